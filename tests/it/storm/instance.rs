//! One instance of `kubetell run` and what the storm does to it.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use kubetell::clock;

use super::schedule::{Blow, InstanceSchedule};
use super::sky::{Sky, Wake, add};
use crate::kafka::DEADLINE;
use crate::kafka::process::{Finished, Process, Signal};

/// How often it is looked whether an instance still runs.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A storm in which an instance ends by itself so often is given up.
const OWN_ENDS_MAX: usize = 20;
/// Lines of the log that are shown of an instance that ended by itself.
const SHOWN_LINES: usize = 12;

pub struct Instance {
    pub number: usize,
    pub name: &'static str,
    pub command: Box<dyn Fn() -> Command + Send>,
    pub state: PathBuf,
    /// Where its standard error of all its lives goes.
    pub log: PathBuf,
    pub process: Option<Process>,
    /// What it said when it ended without being told to.
    pub own_ends: Vec<String>,
}

impl Instance {
    pub fn start(&mut self, sky: &Sky) {
        let process = Process::spawn((self.command)());
        sky.runs(self.number, Some(process.id()));
        self.process = Some(process);
    }

    /// Until the storm is over; the instance runs then.
    pub fn weather(&mut self, sky: &Sky, schedule: InstanceSchedule) {
        let _guard = sky.ends_with_this_thread();
        for next in schedule {
            let mut blow = next.blow;
            match self.run_for(sky, next.up) {
                Wake::Over => return,
                Wake::Struck => blow = Blow::Kill,
                Wake::Due => {}
            }
            let seconds = next.down.as_secs_f64();
            match blow {
                Blow::Kill => {
                    sky.say(&format!("{}: kill -9, back in {seconds:.1} s", self.name));
                    self.kill(sky);
                    add(&sky.tally.kills);
                }
                Blow::KillAndForget => {
                    sky.say(&format!(
                        "{}: kill -9, state deleted, back in {seconds:.1} s",
                        self.name
                    ));
                    self.kill(sky);
                    std::fs::remove_dir_all(&self.state).ok();
                    assert!(!self.state.exists(), "the state of {} is still there", self.name);
                    add(&sky.tally.kills_with_state);
                }
                Blow::Suspend => {
                    sky.say(&format!("{}: SIGSTOP for {seconds:.1} s", self.name));
                    self.process().signal(Signal::STOP);
                    add(&sky.tally.suspensions);
                }
            }
            sky.pause_for(next.down);
            match blow {
                Blow::Suspend => self.process().signal(Signal::CONT),
                Blow::Kill | Blow::KillAndForget => self.start(sky),
            }
        }
    }

    /// Lets it run, and starts it again, as a supervisor would, when it ends by itself.
    fn run_for(&mut self, sky: &Sky, time: Duration) -> Wake {
        let until = clock::monotonic() + time;
        loop {
            let look = until.min(clock::monotonic() + LOOK_EVERY);
            let wake = sky.pause(look, Some(self.number));
            self.revive(sky);
            if wake != Wake::Due || clock::monotonic() >= until {
                return wake;
            }
        }
    }

    /// Starts it again if it has ended by itself.
    pub fn revive(&mut self, sky: &Sky) {
        if !self.process().has_ended() {
            return;
        }
        let finished = self.end();
        let lines: Vec<&str> = finished.stderr.lines().collect();
        let tail = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n");
        let said = format!("{} ended by itself with {:?}:\n{tail}", self.name, finished.status);
        sky.say(&said);
        self.own_ends.push(said);
        assert!(self.own_ends.len() < OWN_ENDS_MAX, "{} does not go on", self.name);
        self.start(sky);
    }

    fn process(&self) -> &Process {
        self.process.as_ref().expect("the instance runs")
    }

    fn kill(&mut self, sky: &Sky) {
        // One that ended a moment ago is noticed, not killed.
        self.revive(sky);
        self.process().signal(Signal::KILL);
        sky.runs(self.number, None);
        self.end();
    }

    /// Ends it as an operator would.
    pub fn terminate(&mut self) -> Finished {
        self.process().signal(Signal::TERM);
        self.end()
    }

    fn end(&mut self) -> Finished {
        let finished = self.process.take().expect("the instance runs").wait(DEADLINE);
        let mut log = File::options().create(true).append(true).open(&self.log).unwrap();
        log.write_all(finished.stderr.as_bytes()).unwrap();
        writeln!(log, "--- {:?}", finished.status).unwrap();
        finished
    }
}
