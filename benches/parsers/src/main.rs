//! serde_json beside sonic-rs and simd-json: from the bytes of a bare audit event to the event as
//! kubetell has it, borrowed where the escapes allow. All read the same lines in turn.
//!
//! ```sh
//! cargo bench --profile dev --bench scan -- --events 100000 --write /tmp/audit.log
//! cargo run --release --manifest-path benches/parsers/Cargo.toml -- /tmp/audit.log 11
//! ```
//! The second number is how often each goes over the file. `RUSTFLAGS="-C target-cpu=native"` is what
//! sonic-rs asks for.

#[allow(dead_code)]
#[path = "../../../src/audit/event.rs"]
mod event;

use std::hint::black_box;
use std::time::Instant;

use event::Event;

const LOCK: &str = include_str!("../Cargo.lock");

/// The version that was built.
fn version(name: &str) -> &str {
    let package = LOCK.split("[[package]]").find(|it| it.contains(&format!("name = \"{name}\"")));
    package
        .and_then(|it| it.split("version = \"").nth(1))
        .and_then(|it| it.split('"').next())
        .unwrap_or("?")
}

/// Reads all events; how many of them tell a user, so that no reading is left out.
type Reader = fn(&[&[u8]]) -> usize;

fn told(event: &Event<'_>) -> usize {
    usize::from(event.user.as_ref().is_some_and(|user| user.username.is_some()))
}

fn with_serde_json(lines: &[&[u8]]) -> usize {
    lines.iter().map(|line| told(&black_box(serde_json::from_slice(line).unwrap()))).sum()
}

/// Records are read from a byte slice of unknown encoding, so the check for UTF-8 is part of it.
fn with_sonic(lines: &[&[u8]]) -> usize {
    lines.iter().map(|line| told(&black_box(sonic_rs::from_slice(line).unwrap()))).sum()
}

/// It writes into its input, and librdkafka's memory is not ours to write: a copy is part of it.
fn with_simd_json(lines: &[&[u8]]) -> usize {
    let mut buffers = simd_json::Buffers::default();
    let mut copy = Vec::new();
    let mut count = 0;
    for line in lines {
        copy.clear();
        copy.extend_from_slice(line);
        let event = simd_json::serde::from_slice_with_buffers(&mut copy, &mut buffers).unwrap();
        count += told(&black_box(event));
    }
    count
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().expect("a file of audit events, one a line");
    let rounds: usize = arguments.next().map_or(11, |rounds| rounds.parse().unwrap());
    let bytes = std::fs::read(file).unwrap();
    let is_bare = |line: &&[u8]| line.starts_with(b"{\"kind\":\"Event\",");
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').filter(is_bare).collect();
    let size: usize = lines.iter().map(|line| line.len()).sum();
    println!("{} bare events of {size} bytes, {rounds} rounds", lines.len());
    let readers: [(&str, Reader); 3] =
        [("serde_json", with_serde_json), ("sonic-rs", with_sonic), ("simd-json", with_simd_json)];
    let mut seconds = [const { Vec::new() }; 3];
    let expected = with_serde_json(&lines);
    for _ in 0..rounds {
        for ((name, read), seconds) in readers.iter().zip(&mut seconds) {
            let begun = Instant::now();
            assert_eq!(read(black_box(&lines)), expected, "{name}");
            seconds.push(begun.elapsed().as_secs_f64());
        }
    }
    seconds.iter_mut().for_each(|of| of.sort_unstable_by(f64::total_cmp));
    let median = |of: &Vec<f64>| of[of.len() / 2];
    println!(
        "| | version | MB/s, median (least–most) | ns an event | time to serde_json's |\n|---|---|---|---|---|"
    );
    for ((name, _), of) in readers.iter().zip(&seconds) {
        let mb = |seconds: f64| size as f64 / 1e6 / seconds;
        println!(
            "| {name} | {} | {:.0} ({:.0}–{:.0}) | {:.0} | {:.2} |",
            version(name),
            mb(median(of)),
            mb(of[of.len() - 1]),
            mb(of[0]),
            median(of) * 1e9 / lines.len() as f64,
            median(of) / median(&seconds[0])
        );
    }
}
