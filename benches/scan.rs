//! `kubetell scan` over a file in the page cache, beside programs that do less and more with it.
//!
//! `cargo bench --bench scan -- [--events N] [--rounds R] [--candidates 5] [--seed S]` writes a
//! made-up audit log, one event a line, of which that many events in 100 concern the built-in rules,
//! also as gzip and as zstd, and lets all programs read it in turn: `cat`, `grep -c -F`, `rg -c -F`
//! and `jq` where they are installed, and `kubetell scan`. It prints for each the median, with the
//! least and the most, of the throughput in wall time and for a second of processor time, in GB of
//! the plain log. Every scan has to raise what the log was made with.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

#[path = "support/audit/mod.rs"]
mod audit;
#[path = "../tests/fixtures/commands/corpus.rs"]
mod corpus;
#[allow(dead_code)]
#[path = "support/process.rs"]
mod process;
#[allow(dead_code)]
#[path = "support/series.rs"]
mod series;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Parser;
use flate2::Compression;
use flate2::write::GzEncoder;

use audit::{AuditLog, Expected, Plan};
use kubetell::clock;
use series::Series;

#[derive(Debug, Parser)]
struct Args {
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Of 100 events so many concern the rules.
    #[arg(long, default_value_t = 5)]
    candidates: u64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only writes the log to this file.
    #[arg(long)]
    write: Option<PathBuf>,
    /// Given by `cargo bench`.
    #[arg(long)]
    bench: bool,
}

/// The same log in three forms.
struct Logs {
    plain: PathBuf,
    gzip: PathBuf,
    zstd: PathBuf,
    /// Of the plain one.
    bytes: u64,
    expected: Expected,
}

/// A program, and how often it was measured.
struct Contender {
    name: String,
    command: Vec<String>,
    /// What `scan` finds is checked.
    is_scan: bool,
    rounds: usize,
    wall: Series,
    processor: Series,
}

fn main() {
    let args = Args::parse();
    if let Some(path) = &args.write {
        let mut out = BufWriter::new(File::create(path).expect("a file that can be written"));
        let plan = Plan { seed: args.seed, ..Plan::new(args.events, args.candidates) };
        for record in AuditLog::new(plan) {
            out.write_all(&record.bytes).and_then(|()| out.write_all(b"\n")).unwrap();
        }
        out.flush().unwrap();
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let logs = write_logs(&args, folder.path());
    println!(
        "{} events, {} in 100 concern the rules, {} records, {:.2} GB; load {:.1}",
        logs.expected.events,
        args.candidates,
        logs.expected.records,
        logs.bytes as f64 / 1e9,
        process::load()
    );
    let mut contenders = contenders(&args, &logs);
    for round in 0..args.rounds {
        for contender in contenders.iter_mut().filter(|it| round < it.rounds) {
            measure(contender, &logs);
        }
    }
    println!("{:<34} {:>24} {:>24}", "", "GB/s", "GB a processor second");
    for Contender { name, wall, processor, .. } in &contenders {
        println!("{name:<34} {:>24} {:>24}", wall.to_string(), processor.to_string());
    }
}

fn write_logs(args: &Args, folder: &Path) -> Logs {
    let path = |name: &str| folder.join(name);
    let (plain, gzip, zstd) = (path("log"), path("log.gz"), path("log.zst"));
    let create = |path: &Path| BufWriter::with_capacity(1 << 20, File::create(path).unwrap());
    let mut out = create(&plain);
    let mut out_gzip = GzEncoder::new(create(&gzip), Compression::fast());
    let mut out_zstd = zstd::Encoder::new(create(&zstd), 1).unwrap();
    let plan = Plan { seed: args.seed, ..Plan::new(args.events, args.candidates) };
    let mut log = AuditLog::new(plan);
    let mut bytes = 0;
    for record in log.by_ref() {
        let mut line = record.bytes;
        line.push(b'\n');
        bytes += line.len() as u64;
        out.write_all(&line).unwrap();
        out_gzip.write_all(&line).unwrap();
        out_zstd.write_all(&line).unwrap();
    }
    out.flush().unwrap();
    out_gzip.finish().unwrap().flush().unwrap();
    out_zstd.finish().unwrap().flush().unwrap();
    Logs { plain, gzip, zstd, bytes, expected: log.into_expected() }
}

fn contenders(args: &Args, logs: &Logs) -> Vec<Contender> {
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let plain = text(&logs.plain);
    let mut all = Vec::new();
    let mut add = |name: &str, rounds: usize, command: &[&str], is_scan: bool| {
        let found = is_scan
            || Command::new(command[0]).arg("--version").stdout(Stdio::null()).status().is_ok();
        if !found {
            println!("{name}: not installed");
            return;
        }
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        let name = name.to_owned();
        let (wall, processor) = (Series::default(), Series::default());
        all.push(Contender { name, command, is_scan, rounds, wall, processor });
    };
    add("cat", args.rounds, &["cat", &plain], false);
    add(
        "grep -c -F '\"secrets\"'",
        args.rounds,
        &["grep", "-c", "-F", "\"secrets\"", &plain],
        false,
    );
    add("rg -c -F '\"secrets\"'", args.rounds, &["rg", "-c", "-F", "\"secrets\"", &plain], false);
    let wanted = r#"select(.objectRef.resource == "secrets") | .auditID"#;
    add("jq (one round)", 1, &["jq", "-c", wanted, &plain], false);
    let kubetell = env!("CARGO_BIN_EXE_kubetell");
    for (form, path) in
        [("", &plain), (" of gzip", &text(&logs.gzip)), (" of zstd", &text(&logs.zstd))]
    {
        for threads in ["1", "2"] {
            let name = format!("kubetell scan{form}, {threads} workers");
            let words = [kubetell, "scan", "--quiet", "--threads", threads, path];
            add(&name, args.rounds, &words, true);
        }
    }
    all
}

fn measure(contender: &mut Contender, logs: &Logs) {
    let (program, arguments) = contender.command.split_first().unwrap();
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    // GNU grep reads no further than the first match where its output goes nowhere.
    let discards = program == "cat";
    let output = if discards { Stdio::null() } else { Stdio::piped() };
    let (before, begun) = (process::children_seconds(), clock::monotonic());
    let done = command.stdout(output).spawn().unwrap().wait_with_output().unwrap();
    let seconds = (clock::monotonic() - begun).as_secs_f64();
    let processor = process::children_seconds() - before;
    let gigabytes = logs.bytes as f64 / 1e9;
    contender.wall.push(gigabytes / seconds);
    contender.processor.push(gigabytes / processor.max(0.01));
    if contender.is_scan {
        check(&done.stdout, &logs.expected);
    }
}

/// The alerts of a scan are those that the log was made with.
fn check(output: &[u8], expected: &Expected) {
    let mut execs = BTreeSet::new();
    let mut terms = 0;
    for line in output.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let alert: serde_json::Value = serde_json::from_slice(line).unwrap();
        if alert["rule"]["id"] == "pod-exec-sensitive-path" {
            execs.insert(alert["kubernetes"]["audit"]["auditID"].as_str().unwrap().to_owned());
        } else {
            terms += 1;
        }
    }
    assert!(execs == expected.execs, "the alerts of execs are not those expected");
    assert_eq!(terms, expected.terms.len(), "alerts of new terms");
}
