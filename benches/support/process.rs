//! What the system says of a process and of a folder.

use std::path::Path;

/// `VmRSS` and `VmHWM` of a process, bytes; `None` once it is gone.
pub fn memory_bytes(process: u32) -> Option<(u64, u64)> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let field = |name: &str| -> Option<u64> {
        let line = status.lines().find(|line| line.starts_with(name))?;
        Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1_024)
    };
    field("VmRSS:").zip(field("VmHWM:"))
}

pub fn bytes_under(directory: &Path) -> u64 {
    let Ok(items) = std::fs::read_dir(directory) else { return 0 };
    items
        .flatten()
        .map(|item| match item.metadata() {
            Ok(data) if data.is_dir() => bytes_under(&item.path()),
            Ok(data) => data.len(),
            Err(_) => 0,
        })
        .sum()
}
