//! A server on the JVM as a child process of the tests: a broker, or another program that they need
//! for real.
//!
//! Owns the process. What it started ends with it: it is killed when it is dropped, and a watchdog
//! kills it when the test binary ends in any other way, since a shared server lives in a static,
//! which Rust never drops, and a test run may be killed.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use kubetell::demo::random::Random;
use rustix::process::{Pid, Signal};

/// How much of a server's log a failure shows.
const LOG_TAIL_LINES: usize = 60;

/// The folder of a program's jars, which `tests/run` passes in the variable.
pub(crate) fn jars(variable: &str, program: &str) -> PathBuf {
    let folder = std::env::var_os(variable).map(PathBuf::from).unwrap_or_default();
    let is_jar = |file: std::io::Result<fs::DirEntry>| {
        file.is_ok_and(|file| file.path().extension().is_some_and(|extension| extension == "jar"))
    };
    assert!(
        fs::read_dir(&folder).is_ok_and(|mut files| files.any(is_jar)),
        "these tests need a real {program}, and {variable} (`{}`) holds no jars: use `tests/run`, \
         which fetches it, instead of `cargo test`",
        folder.display()
    );
    folder
}

/// The end of a log, as a failure shows it.
pub(crate) fn tail(program: &str, log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    let tail = &lines[lines.len().saturating_sub(LOG_TAIL_LINES)..];
    format!("--- the end of {program}'s log\n{}\n---", tail.join("\n"))
}

/// A server that was started.
pub(crate) struct Running {
    child: Child,
    watchdog: Child,
}

impl Running {
    /// Starts the command, whose arguments have to name the server's folder. What it prints goes to
    /// the log.
    pub(crate) fn start(command: &mut Command, log: &Path, folder: &Path) -> Running {
        let log = File::options().create(true).append(true).open(log).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            // Ctrl-C is for the tests; the server goes when they are gone.
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("`java` does not start: {error}; use `tests/run`"));
        let watchdog = watch(child.id(), folder);
        Running { child, watchdog }
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Asks it to shut down and waits until it has.
    pub(crate) fn stop(mut self) {
        self.signal(Signal::TERM);
        self.child.wait().unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        rustix::process::kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The watchdog first: after that nobody else signals the server's process id. Killed, it
        // does not come to remove the folder.
        self.watchdog.kill().ok();
        self.watchdog.wait().ok();
        // A stopped process (`freeze`) can be killed too.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Starts a shell that waits for its standard input to end, which it does when this process is
/// gone in whatever way, and then kills the child that has its folder in its arguments, and
/// removes the folder.
fn watch(pid: u32, folder: &Path) -> Child {
    // The folder in the command line tells the child from a stranger that got its number.
    const SCRIPT: &str = r#"
        trap '' INT TERM HUP
        cat >/dev/null
        if tr '\0' '\n' <"/proc/$1/cmdline" | grep -qF -- "$2"; then
            kill -9 "$1"
        fi
        rm -rf -- "$2"
    "#;
    Command::new("sh")
        .args(["-c", SCRIPT, "watchdog"])
        .arg(pid.to_string())
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap()
}

/// Ports that are free now and stay so, as far as that can be had: below those that the system gives
/// to outgoing connections.
pub(crate) fn reserved_ports<const COUNT: usize>() -> [u16; COUNT] {
    const PORTS: std::ops::Range<u64> = 10_240..32_768;
    // Each call looks elsewhere: who was given ports before may not listen on them yet.
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    let mut random = Random::new(u64::from(std::process::id()) << 16 | call);
    let mut held = Vec::new();
    while held.len() < COUNT {
        let port = u16::try_from(random.within(PORTS)).unwrap();
        held.extend(TcpListener::bind(("127.0.0.1", port)));
    }
    std::array::from_fn(|at| held[at].local_addr().unwrap().port())
}
