//! A real rsyslog, as a child process with a folder and a configuration of its own; never the
//! service of this machine.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::process::Command;

use crate::kafka::DEADLINE;
use crate::kafka::process::{Finished, Process};

/// Starts rsyslog, after it was asked whether it takes the configuration.
pub fn start(folder: &Path, configuration: &str) -> Process {
    let checked = check(folder, configuration);
    assert_eq!(checked.code(), Some(0), "rsyslog refuses its configuration\n{}", checked.stderr);
    // Left behind by one that was killed; its number may be somebody else's by now.
    let pid = folder.join("rsyslogd.pid");
    if pid.exists() {
        std::fs::remove_file(&pid).unwrap();
    }
    let mut command = program();
    command.arg("-n").arg("-f").arg(folder.join("rsyslog.conf")).arg("-i").arg(pid);
    Process::spawn(command)
}

/// What rsyslog says to a configuration; its exit code is 0 when it takes it.
pub fn check(folder: &Path, configuration: &str) -> Finished {
    let path = folder.join("rsyslog.conf");
    std::fs::write(&path, configuration).unwrap();
    let mut command = program();
    command.arg("-N1").arg("-f").arg(path);
    Process::spawn(command).wait(DEADLINE)
}

fn program() -> Command {
    // Its folder is not on everybody's path.
    let place =
        ["/usr/sbin/rsyslogd", "/sbin/rsyslogd"].into_iter().find(|it| Path::new(it).exists());
    let Some(place) = place else {
        panic!(
            "these tests need rsyslog: use `tests/run`, which installs it, instead of `cargo test`"
        )
    };
    let mut command = Command::new(place);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command
}
