//! A child process whose output is read while it runs and whose end is waited for with a deadline.
//!
//! Owns the child: it is killed by its own process id when this is dropped. Signals go only to a
//! child that has not been reaped, so never to a stranger that got its number.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, TryRecvError};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use kubetell::clock;
pub use rustix::process::Signal;
use rustix::process::{Pid, WaitId, WaitIdOptions};

/// A command that runs this build of kubetell, untouched by the caller's configuration.
pub fn kubetell(arguments: &[&str]) -> Command {
    kubetell_at(Path::new(env!("CARGO_BIN_EXE_kubetell")), arguments)
}

/// As [`kubetell`], of another build.
pub fn kubetell_at(program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("KUBETELL_") {
            command.env_remove(name);
        }
    }
    command
}

/// What a process left behind.
#[derive(Debug)]
pub struct Finished {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Finished {
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

/// Lines that a reader thread adds to and that others wait on.
#[derive(Default)]
struct Lines {
    state: Mutex<LinesState>,
    changed: Condvar,
}

#[derive(Default)]
struct LinesState {
    lines: Vec<String>,
    ended: bool,
}

impl Lines {
    fn push(&self, line: String) {
        self.state.lock().unwrap().lines.push(line);
        self.changed.notify_all();
    }

    fn end(&self) {
        self.state.lock().unwrap().ended = true;
        self.changed.notify_all();
    }

    fn text(&self) -> String {
        self.state.lock().unwrap().lines.concat()
    }
}

pub struct Process {
    child: Child,
    name: String,
    stdout: Arc<Lines>,
    stderr: Arc<Lines>,
    readers: Vec<JoinHandle<()>>,
    /// Says once that the child has ended (it is not yet reaped then).
    ended: mpsc::Receiver<()>,
}

impl Process {
    /// Starts `command` with an empty standard input.
    pub fn spawn(mut command: Command) -> Self {
        let name = format!("{command:?}");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let (stdout, stderr) = (Arc::<Lines>::default(), Arc::<Lines>::default());
        let readers = vec![
            read_lines(child.stdout.take().unwrap(), &stdout),
            read_lines(child.stderr.take().unwrap(), &stderr),
        ];
        let pid = pid_of(&child);
        let (sender, ended) = mpsc::sync_channel(1);
        std::thread::spawn(move || {
            // `NOWAIT` leaves the child to be reaped by its owner.
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            while let Err(rustix::io::Errno::INTR) =
                rustix::process::waitid(WaitId::Pid(pid), options)
            {}
            sender.send(()).ok();
        });
        Self { child, name, stdout, stderr, readers, ended }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What was written to standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// What was written to standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// Waits for a line of standard error and returns it.
    pub fn wait_for_stderr(&self, deadline: Duration, wanted: impl Fn(&str) -> bool) -> String {
        self.wait_for(&self.stderr, "standard error", deadline, wanted)
    }

    /// Waits for a line of standard output and returns it.
    pub fn wait_for_stdout(&self, deadline: Duration, wanted: impl Fn(&str) -> bool) -> String {
        self.wait_for(&self.stdout, "standard output", deadline, wanted)
    }

    fn wait_for(
        &self,
        lines: &Lines,
        stream: &str,
        deadline: Duration,
        wanted: impl Fn(&str) -> bool,
    ) -> String {
        let until = clock::monotonic() + deadline;
        let mut seen = 0;
        let mut state = lines.state.lock().unwrap();
        loop {
            if let Some(line) = state.lines[seen..].iter().find(|line| wanted(line)) {
                return line.clone();
            }
            seen = state.lines.len();
            let left = until.saturating_duration_since(clock::monotonic());
            if state.ended || left.is_zero() {
                let why = if state.ended { "ended" } else { "is still running" };
                drop(state);
                panic!(
                    "the line that was waited for is not in {stream} of {}, which {why}\n{}",
                    self.name,
                    self.output()
                );
            }
            state = lines.changed.wait_timeout(state, left).unwrap().0;
        }
    }

    pub fn signal(&self, signal: Signal) {
        rustix::process::kill_process(pid_of(&self.child), signal)
            .unwrap_or_else(|error| panic!("{} takes no signal: {error}", self.name));
    }

    pub fn has_ended(&self) -> bool {
        self.ended.try_recv() != Err(TryRecvError::Empty)
    }

    /// Waits until the process has ended; one that has not by the deadline fails the test.
    pub fn wait(mut self, deadline: Duration) -> Finished {
        // Its end may have been heard of before: then nobody is left to send.
        if self.ended.recv_timeout(deadline) == Err(RecvTimeoutError::Timeout) {
            panic!("{} has not ended in {deadline:?}\n{}", self.name, self.output());
        }
        let status = self.child.wait().unwrap();
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        Finished { status, stdout: self.stdout().into_bytes(), stderr: self.stderr() }
    }

    /// Ends the process as an operator would.
    pub fn terminate(self, deadline: Duration) -> Finished {
        self.signal(Signal::TERM);
        self.wait(deadline)
    }

    fn output(&self) -> String {
        format!("--- stdout\n{}--- stderr\n{}", self.stdout(), self.stderr())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both do nothing to a child that was reaped.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_child(child)
}

fn read_lines(stream: impl Read + Send + 'static, lines: &Arc<Lines>) -> JoinHandle<()> {
    let lines = Arc::clone(lines);
    std::thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        while stream.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            lines.push(String::from_utf8_lossy(&line).into_owned());
            line.clear();
        }
        lines.end();
    })
}
