//! The shell reader beside real shells: scripts made up at random are run by dash, bash and
//! busybox in a directory that stands for a container's root, and the files they really opened are
//! what the reading has to tell.
//!
//! Every file that any of the shells opened is told (recall); a path that is told as certain of a
//! script in which nothing is left to chance is opened by at least one of them (precision).
//!
//! `KUBETELL_SHELLS_SCRIPTS` says how many scripts, `KUBETELL_SHELLS_SEED` with which seed: script
//! number `n` of seed `s` is script 0 of seed `s + n`. The shells must be there: without them the
//! tests fail. `tests/run` installs them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

mod choices;
mod locate;
mod print;
mod reads;
mod script;
mod spell;
mod tree;
mod verdict;
mod wrap;

pub use choices::Xorshift;

use choices::Choices;
use script::{Dialect, Script, generate};
use tree::{FILES, SHELLS, Tree, Truth};
use verdict::Complaint;

/// A minute in a debug build.
const SCRIPTS: u64 = 600;
const DEFAULT_SEED: u64 = 1;
/// Failures that are looked into: each is made smaller, which takes many runs.
const FAILURES_MAX: usize = 12;
/// Runs that making a failure smaller may take.
const SHRINKING_RUNS_MAX: usize = 400;
/// Percent of the scripts that have to open something, for the comparison to mean anything.
const OPENING_MIN_PERCENT: u64 = 80;
/// Percent of the scripts that each shell has to open something in.
const OPENING_BY_SHELL_MIN_PERCENT: u64 = 40;

pub fn from_environment<T: std::str::FromStr>(name: &str, otherwise: T) -> T {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("`{name}` is `{text}`, not a number")),
        Err(_) => otherwise,
    }
}

/// The script that a seed means, for a tree at `root`.
pub fn script_of(seed: u64, root: &str) -> String {
    generate(&mut Choices::from_seed(seed), root).text
}

struct Failure {
    seed: u64,
    script: Script,
    complaint: String,
    truth: Truth,
}

#[derive(Default)]
struct Counts {
    opening: AtomicU64,
    by_shell: [AtomicU64; SHELLS.len()],
    pure: AtomicU64,
    files: AtomicU64,
    timed_out: AtomicU64,
    /// Scripts in which a shell that does not know the dialect opened something that is not told.
    accidents: AtomicU64,
}

fn try_script(tree: &Tree, script: &Script) -> (Truth, Option<Complaint>) {
    let truth = tree.run(&script.text);
    let complaint = verdict::complaint(tree.root(), script, &truth);
    (truth, complaint)
}

/// The plainest script found that fails as well.
fn smaller(tree: &Tree, mut tape: Vec<u32>) -> (Script, String, Truth) {
    let attempt = |tape: &[u32]| {
        let mut choices = Choices::from_tape(tape);
        let script = generate(&mut choices, tree.root());
        let (truth, complaint) = try_script(tree, &script);
        match complaint {
            Some(Complaint::Real(complaint)) => Some((script, complaint, truth)),
            _ => None,
        }
    };
    let mut best = attempt(&tape).expect("a failure fails again");
    let mut runs = 0;
    let mut width = tape.len().div_ceil(2);
    while width > 0 {
        let (mut at, mut shorter) = (0, false);
        while at < tape.len() && runs < SHRINKING_RUNS_MAX {
            let end = (at + width).min(tape.len());
            let without: Vec<u32> = [&tape[..at], &tape[end..]].concat();
            let mut plain = tape.clone();
            plain[at..end].fill(0);
            let candidates = [without, plain];
            let found = candidates.into_iter().filter(|other| *other != tape).find_map(|other| {
                runs += 1;
                let found = attempt(&other)?;
                (found.0.text.len() <= best.0.text.len()).then_some((other, found))
            });
            match found {
                Some((other, found)) => {
                    shorter |= found.0.text.len() < best.0.text.len();
                    best = found;
                    if other.len() == tape.len() {
                        at += width;
                    }
                    tape = other;
                }
                None => at += width,
            }
        }
        if width == 1 && !shorter || runs >= SHRINKING_RUNS_MAX {
            break;
        }
        width = if width == 1 { 1 } else { width / 2 };
    }
    best
}

fn told(failures: &[Failure], scripts: u64) -> String {
    let mut out = format!("{} of {scripts} scripts are misread", failures.len());
    // The plainest first.
    let mut failures: Vec<&Failure> = failures.iter().collect();
    failures.sort_by_key(|failure| failure.script.text.len());
    for failure in failures {
        let Failure { seed, script, complaint, truth } = failure;
        let _ = write!(
            out,
            "\n\n== {complaint}\n   KUBETELL_SHELLS_SEED={seed} KUBETELL_SHELLS_SCRIPTS=1\n{}\n",
            script.text
        );
        for (at, (shell, _)) in SHELLS.iter().enumerate() {
            let said: String = truth.output[at].chars().take(200).collect();
            let _ =
                writeln!(out, "   {}: {}", shell.join(" "), said.trim_end().replace('\n', " | "));
        }
    }
    out
}

#[test]
fn what_real_shells_open_is_what_is_read() {
    let seed = from_environment("KUBETELL_SHELLS_SEED", DEFAULT_SEED);
    let scripts = from_environment("KUBETELL_SHELLS_SCRIPTS", SCRIPTS);
    let workers = std::thread::available_parallelism().map_or(2, |n| n.get().min(8));
    let (next, counts) = (AtomicU64::new(0), Counts::default());
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                let tree = Tree::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= scripts || failures.lock().unwrap().len() >= FAILURES_MAX {
                        return;
                    }
                    let seed = seed.wrapping_add(number);
                    let mut choices = Choices::from_seed(seed);
                    let script = generate(&mut choices, tree.root());
                    let (truth, complaint) = try_script(&tree, &script);
                    counts.note(&script, &truth);
                    match complaint {
                        None => {}
                        Some(Complaint::Accident(complaint)) => {
                            counts.accidents.fetch_add(1, Ordering::Relaxed);
                            if scripts == 1 {
                                eprintln!("by accident: {complaint}\n{}", script.text);
                            }
                        }
                        Some(Complaint::Real(_)) => {
                            let (script, complaint, truth) = smaller(&tree, choices.into_tape());
                            let failure = Failure { seed, script, complaint, truth };
                            failures.lock().unwrap().push(failure);
                        }
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{}", told(&failures, scripts));
    eprintln!("{}", counts.told(scripts));
    if scripts >= SCRIPTS {
        counts.check(scripts);
    }
}

impl Counts {
    fn note(&self, script: &Script, truth: &Truth) {
        let add = |counter: &AtomicU64, value: u32| {
            counter.fetch_add(u64::from(value), Ordering::Relaxed);
        };
        add(&self.opening, u32::from(truth.any() != 0));
        for (counter, opened) in self.by_shell.iter().zip(truth.opened) {
            add(counter, u32::from(opened != 0));
        }
        add(&self.pure, u32::from(script.pure));
        add(&self.files, truth.any().count_ones());
        add(&self.timed_out, u32::from(truth.timed_out));
    }

    fn told(&self, scripts: u64) -> String {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        format!(
            "{scripts} scripts, {} open something ({} files), by shell {:?}, {} pure, {} timed out, {} \
             with accidents",
            value(&self.opening),
            value(&self.files),
            self.by_shell.each_ref().map(value),
            value(&self.pure),
            value(&self.timed_out),
            value(&self.accidents),
        )
    }

    /// Scripts that open nothing prove nothing.
    fn check(&self, scripts: u64) {
        let percent = |counter: &AtomicU64| counter.load(Ordering::Relaxed) * 100 / scripts;
        assert!(percent(&self.opening) >= OPENING_MIN_PERCENT, "{}", self.told(scripts));
        for counter in &self.by_shell {
            let opening = percent(counter);
            assert!(opening >= OPENING_BY_SHELL_MIN_PERCENT, "{}", self.told(scripts));
        }
    }
}

#[test]
fn a_seed_means_one_script() {
    let script = |seed| script_of(seed, "/r");
    assert_eq!(script(7), script(7));
    let different: std::collections::BTreeSet<String> = (0..200).map(script).collect();
    assert!(different.len() > 190, "{}", different.len());
    for dialect in [Dialect::Posix, Dialect::Ash, Dialect::Bash] {
        let of = |seed| generate(&mut Choices::from_seed(seed), "/r").dialect;
        assert!((0..50).any(|seed| of(seed) == dialect), "{dialect:?}");
    }
    assert_eq!(generate(&mut Choices::from_tape(&[]), "/r").text, format!("cat /r/{}", FILES[0]));
}
