//! How many instructions each part of a record's way takes: a count that a busy machine does not
//! change, so it can be held to a ceiling.
//!
//! `tests/instructions` builds and runs it. It starts itself under `valgrind --tool=callgrind`,
//! which counts only what `counted` does and writes the sum down after each `summed`: each part runs
//! once to warm up, and once for the count. The counts an event are compared with the ceilings in
//! `benches/instructions.toml`; one above its ceiling ends with an error. `--write` sets all
//! ceilings anew, 5 in 100 above what was counted.
//!
//! The seed of std's hash tables differs from run to run, and with it the counts by up to 5 in 1,000.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

#[path = "support/audit/mod.rs"]
mod audit;
#[path = "../tests/fixtures/commands/corpus.rs"]
mod corpus;
#[path = "support/execs.rs"]
mod execs;
#[path = "support/parts.rs"]
mod parts;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use clap::Parser;
use serde::{Deserialize, Serialize};

#[derive(Debug, Parser)]
struct Args {
    /// Sets the ceilings to what is counted now, and 5 in 100.
    #[arg(long)]
    write: bool,
    /// The counted process.
    #[arg(long, hide = true)]
    counted: bool,
    /// Given by `cargo bench`.
    #[arg(long)]
    bench: bool,
}

/// What the counted process says of a part.
#[derive(Debug, Serialize, Deserialize)]
struct Ran {
    name: String,
    unit: String,
    count: u64,
    bytes: u64,
}

const MARGIN: f64 = 1.05;

fn main() -> ExitCode {
    let args = Args::parse();
    if args.counted {
        for mut part in parts::parts() {
            (part.run)();
            summed(&mut part.run);
            let (name, unit) = (part.name.to_owned(), part.unit.to_owned());
            let ran = Ran { name, unit, count: part.count, bytes: part.bytes };
            println!("{}", serde_json::to_string(&ran).unwrap());
        }
        return ExitCode::SUCCESS;
    }
    compare(&args)
}

/// Behind which valgrind writes the count down. Of two options for one function it takes the first,
/// so this is not the function that it counts.
#[inline(never)]
fn summed(run: &mut dyn FnMut()) -> u32 {
    counted(run) + black_box(1)
}

/// What valgrind counts, and nothing else. The result keeps the call from becoming a jump.
#[inline(never)]
fn counted(run: &mut dyn FnMut()) -> u32 {
    run();
    black_box(1)
}

fn ceilings_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.toml")
}

fn compare(args: &Args) -> ExitCode {
    let text = std::fs::read_to_string(ceilings_file()).unwrap_or_default();
    let ceilings: BTreeMap<String, u64> = toml::from_str(&text).unwrap();
    let measured = measure();
    let mut over = Vec::new();
    println!(
        "{:<16} {:>6} {:<12} {:>9} {:>12} {:>8} {:>9}",
        "part", "of", "", "bytes", "instructions", "a byte", "ceiling"
    );
    for (ran, instructions) in &measured {
        let each = instructions / ran.count;
        let ceiling = ceilings.get(&ran.name).copied();
        let too_many = ceiling.is_none_or(|ceiling| each > ceiling);
        println!(
            "{:<16} {:>6} {:<12} {:>9} {each:>12} {:>8.2} {:>9}{}",
            ran.name,
            ran.count,
            format!("{}s", ran.unit),
            ran.bytes / ran.count,
            *instructions as f64 / ran.bytes as f64,
            ceiling.map_or_else(|| "none".to_owned(), |ceiling| ceiling.to_string()),
            if too_many { "  ABOVE" } else { "" }
        );
        if too_many {
            over.push(ran.name.as_str());
        }
    }
    println!("Bytes and instructions are for one of each.");
    if args.write {
        write(&measured);
        return ExitCode::SUCCESS;
    }
    if let Some(reason) = incomparable() {
        println!("The ceilings are NOT checked: {reason}.");
        return ExitCode::SUCCESS;
    }
    let gone = ceilings.keys().filter(|name| measured.iter().all(|(ran, _)| ran.name != **name));
    over.extend(gone.map(String::as_str));
    if over.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!(
        "error: above the ceiling, or without one: {}\n\n\
         hint: where it is meant, `tests/instructions --write` sets the ceilings anew",
        over.join(", ")
    );
    ExitCode::FAILURE
}

/// Why this machine's counts say nothing about the ceilings.
fn incomparable() -> Option<&'static str> {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        return None;
    }
    Some("they are of a processor with AVX2, by which searches take fewer instructions")
}

fn write(measured: &[(Ran, u64)]) {
    let mut text = String::from(
        "# Ceilings of instructions for one of each, which `tests/instructions` checks and, with `--write`,\n\
         # sets to 5 in 100 above what it counts.\n",
    );
    for (ran, instructions) in measured {
        let ceiling = (*instructions as f64 / ran.count as f64 * MARGIN).ceil();
        text.push_str(&format!("{} = {ceiling}\n", ran.name));
    }
    std::fs::write(ceilings_file(), text).unwrap();
}

/// All parts with their instructions.
fn measure() -> Vec<(Ran, u64)> {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("counts");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet", "--collect-atstart=no"])
        .args(["--toggle-collect=instructions::counted*", "--dump-after=instructions::summed*"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(std::env::current_exe().unwrap())
        .arg("--counted")
        .stderr(Stdio::inherit())
        .output()
        .expect("`valgrind` has to be installed");
    assert!(output.status.success(), "the counted process failed: {}", output.status);
    let said = String::from_utf8(output.stdout).unwrap();
    let ran = said.lines().map(|line| serde_json::from_str::<Ran>(line).unwrap());
    // They are written in turn as `counts.1`, `counts.2`, ….
    let sum = |number: usize| {
        let text = std::fs::read_to_string(out.with_extension(number.to_string())).unwrap();
        let totals = text.lines().find_map(|line| line.strip_prefix("totals: ")).unwrap();
        totals.trim().parse::<u64>().unwrap()
    };
    let measured: Vec<(Ran, u64)> = ran.enumerate().map(|(at, ran)| (ran, sum(at + 1))).collect();
    assert!(measured.iter().all(|(_, count)| *count > 0), "valgrind counted nothing");
    measured
}
