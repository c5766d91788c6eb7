//! What the process takes of the machine, as Linux tells it. What cannot be read is left out.

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Process {
    pub cpu_seconds: f64,
    pub resident_bytes: Option<u64>,
    pub virtual_bytes: Option<u64>,
    pub threads: Option<u64>,
    pub open_files: Option<u64>,
    pub max_files: Option<u64>,
}

impl Process {
    pub fn now() -> Process {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let files = std::fs::read_dir("/proc/self/fd").map(Iterator::count);
        Process {
            cpu_seconds: cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9,
            resident_bytes: field(&status, "VmRSS:").map(|kib| kib * 1024),
            virtual_bytes: field(&status, "VmSize:").map(|kib| kib * 1024),
            threads: field(&status, "Threads:"),
            // Reading the directory takes one itself.
            open_files: files.ok().map(|count| (count as u64).saturating_sub(1)),
            max_files: getrlimit(Resource::Nofile).current,
        }
    }
}

/// The number behind a name at the beginning of a line.
fn field(status: &str, name: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(name))?;
    value.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_takes_something() {
        let now = Process::now();
        assert!(now.cpu_seconds > 0.0);
        assert!(now.resident_bytes.unwrap() > 100_000);
        assert!(now.virtual_bytes.unwrap() >= now.resident_bytes.unwrap());
        assert!(now.threads.unwrap() >= 1);
        assert!(now.open_files.unwrap() >= 3 && now.max_files.unwrap() >= now.open_files.unwrap());
        assert_eq!(field("VmRSS:\t  12 kB\n", "VmRSS:"), Some(12));
        assert_eq!(field("VmRSS: many\n", "VmRSS:"), None);
    }
}
