//! What the system says of a process and of a folder.

use std::collections::BTreeMap;
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

/// Processor time that a process has used, in seconds, in all its threads, those that have ended
/// included; `None` once it is gone.
pub fn cpu_seconds(process: u32) -> Option<f64> {
    cpu_seconds_in(&Path::new("/proc").join(process.to_string()))
}

/// The same by the names of the threads that are there, without the numbers at their ends.
pub fn cpu_by_thread(process: u32) -> BTreeMap<String, f64> {
    let mut seconds = BTreeMap::new();
    let Ok(threads) = std::fs::read_dir(format!("/proc/{process}/task")) else { return seconds };
    for thread in threads.flatten() {
        let name = std::fs::read_to_string(thread.path().join("comm")).unwrap_or_default();
        let name = name.trim_end().trim_end_matches(|end: char| end.is_ascii_digit() || end == '-');
        let used = cpu_seconds_in(&thread.path()).unwrap_or(0.0);
        *seconds.entry(name.to_owned()).or_insert(0.0) += used;
    }
    seconds
}

/// The same of this process's children that have ended and were waited for.
pub fn children_seconds() -> f64 {
    cpu_fields(Path::new("/proc/self"), 13).unwrap_or(0.0)
}

fn cpu_seconds_in(folder: &Path) -> Option<f64> {
    cpu_fields(folder, 11)
}

/// Two neighbouring fields of `stat`, of which `before` stand between the name and the first.
fn cpu_fields(folder: &Path, before: usize) -> Option<f64> {
    let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
    // The name, in brackets, may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(before);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    // Linux counts a hundredth of a second a tick towards programs, whatever its own clock does.
    Some((ticks()? + ticks()?) as f64 / 100.0)
}

/// The load average of the last minute.
pub fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|load| load.parse().ok()).unwrap_or(0.0)
}

/// Asks a child that has not been waited for to end, as Ctrl-C does.
pub fn interrupt(child: &std::process::Child) {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).ok();
}
