//! Whether the state stays bounded: a view whose terms come, are seen again and expire, over many
//! windows, with time passing as fast as the store can follow.
//!
//! `cargo bench --bench state_soak -- [--seconds S] [--terms N] [--directory DIR] [--out FOLDER]`
//! writes `state_soak.csv` and `state_soak.svg` into `docs/measurements`: bytes on the disk,
//! resident memory and terms held, against time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

#[path = "support/curves.rs"]
mod curves;
#[allow(dead_code)]
#[path = "support/process.rs"]
mod process;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use curves::{Axis, Curve};

use kubetell::clock;
use kubetell::limits::{DAY_MS, HOUR_MS};
use kubetell::terms::fold::{Batch, Entry, OutboxRecord, PartitionState};
use kubetell::terms::record::Marker;
use kubetell::terms::store::open::Expectation;
use kubetell::terms::store::sled::SledStore;
use kubetell::terms::store::{Store, StoreError};

const WINDOW_MS: i64 = 7 * DAY_MS;
/// Simulated time from one step to the next.
const STEP_MS: i64 = HOUR_MS;
/// A step in so many is a restart.
const RESTART_EVERY: i64 = 24 * 7 * 4;
const PARTITIONS: i32 = 12;
/// Steps between an alert's raising and its commit.
const COMMIT_AFTER: i64 = 2;
const ALERT_BYTES: usize = 4_000;
/// Of so many new terms one raises an alert; the others come while their rule learns.
const ALERT_OF: u64 = 20;

#[derive(Debug, Parser)]
struct Args {
    /// How long, in this machine's time.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Terms that are inside their window at any time.
    #[arg(long, default_value_t = 200_000)]
    terms: u64,
    /// Where the state is kept; a temporary folder by default.
    #[arg(long)]
    directory: Option<PathBuf>,
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/measurements"))]
    out: PathBuf,
    /// Given by `cargo bench`.
    #[arg(long)]
    bench: bool,
}

#[derive(Default)]
struct Samples {
    windows: Vec<f64>,
    seconds: Vec<u64>,
    terms: Vec<u64>,
    disk_mb: Vec<f64>,
    resident_mb: Vec<f64>,
}

fn main() {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let args = Args::parse();
    let temporary = tempfile::tempdir().unwrap();
    let directory = args.directory.clone().unwrap_or_else(|| temporary.path().to_owned());
    let mut soak = Soak::new(&directory, args.terms);
    let begun = clock::monotonic();
    let mut samples = Samples::default();
    let mut next_sample = Duration::ZERO;
    while begun.elapsed().as_secs() < args.seconds {
        if let Err(error) = soak.step() {
            eprintln!("{error}\nhint: {}", error.hint().unwrap_or_default());
            std::process::exit(70);
        }
        if begun.elapsed() >= next_sample {
            next_sample = begun.elapsed() + Duration::from_secs(args.seconds) / 200;
            let (resident, _) = process::memory_bytes(std::process::id()).unwrap();
            samples.windows.push(soak.now_ms as f64 / WINDOW_MS as f64);
            samples.seconds.push(begun.elapsed().as_secs());
            samples.terms.push(soak.held());
            samples.disk_mb.push(process::bytes_under(&directory) as f64 / 1e6);
            samples.resident_mb.push(resident as f64 / 1e6);
        }
    }
    println!(
        "{} terms came over {:.1} windows; at most {} held, {:.0} MB on disk, {:.0} MB resident",
        soak.added,
        soak.now_ms as f64 / WINDOW_MS as f64,
        samples.terms.iter().max().unwrap_or(&0),
        samples.disk_mb.iter().copied().fold(0.0, f64::max),
        samples.resident_mb.iter().copied().fold(0.0, f64::max),
    );
    samples.write(&args.out);
}

impl Samples {
    fn write(self, folder: &Path) {
        let axis = Axis { unit: "windows", at: self.windows };
        let curves = [
            Curve { name: "on disk", colour: "#c2410c", mb: self.disk_mb },
            Curve { name: "resident", colour: "#1d4ed8", mb: self.resident_mb },
        ];
        std::fs::create_dir_all(folder).unwrap();
        let more = [("seconds", self.seconds), ("terms", self.terms)];
        std::fs::write(folder.join("state_soak.csv"), curves::csv(&axis, &curves, &more)).unwrap();
        std::fs::write(folder.join("state_soak.svg"), curves::svg(&axis, &curves)).unwrap();
    }
}

struct Partition {
    state: PartitionState,
    cursor: Option<Vec<u8>>,
    swept_at_ms: i64,
}

struct Soak {
    store: Option<SledStore>,
    directory: PathBuf,
    partitions: Vec<Partition>,
    now_ms: i64,
    steps: i64,
    added: u64,
    added_a_step: u64,
    /// Numbers of the terms added at each step are consecutive.
    first_of_step: Vec<u64>,
}

fn term(number: u64) -> Vec<u8> {
    format!(
        r#"["term","secret-access-unusual-client","1","prod-eu-1",["system:serviceaccount:team-{}:worker-{number}","worker/v1.{}.0","10.0.{}.{}"]]"#,
        number % 211,
        number % 10,
        number % 250,
        number % 241
    )
    .into_bytes()
}

impl Soak {
    fn new(directory: &Path, terms: u64) -> Soak {
        let steps_a_window = u64::try_from(WINDOW_MS / STEP_MS).unwrap();
        let marker = Marker {
            log_id: "soak".to_owned(),
            partitions: 12,
            hash_version: 1,
            learning_starts: [("secret-access-unusual-client@1".to_owned(), 0)].into(),
        };
        let state = PartitionState { marker: Some(marker), ..PartitionState::default() };
        let partition = || Partition { state: state.clone(), cursor: None, swept_at_ms: 0 };
        Soak {
            store: Some(open(directory)),
            directory: directory.to_owned(),
            partitions: (0..PARTITIONS).map(|_| partition()).collect(),
            now_ms: 0,
            steps: 0,
            added: 0,
            added_a_step: (terms / steps_a_window).max(1),
            first_of_step: Vec::new(),
        }
    }

    fn held(&self) -> u64 {
        let store = self.store.as_ref().unwrap();
        (0..PARTITIONS).map(|partition| store.entries(partition).unwrap()).sum()
    }

    /// An hour of the simulated time: new terms, some seen again, alerts, commits, a sweep.
    fn step(&mut self) -> Result<(), StoreError> {
        self.now_ms += STEP_MS;
        self.steps += 1;
        if self.steps % RESTART_EVERY == 0 {
            self.restart()?;
        }
        let store = self.store.as_ref().unwrap();
        self.first_of_step.push(self.added);
        // Half of the new ones of three days ago are seen again, once.
        let again_step = usize::try_from(self.steps - 72).ok();
        let again = again_step.map_or(0..0, |step| {
            self.first_of_step[step]..self.first_of_step[step] + self.added_a_step / 2
        });
        let new = self.added..self.added + self.added_a_step;
        self.added = new.end;
        for (number, partition) in (0..PARTITIONS).zip(&mut self.partitions) {
            let mut batch = Batch { state: partition.state.clone(), ..Batch::default() };
            let mine = |term: &u64| {
                *term % u64::from(PARTITIONS.cast_unsigned()) == u64::from(number.cast_unsigned())
            };
            for term_number in new.clone().chain(again.clone()).filter(mine) {
                batch.entries.insert(term(term_number), self::entry(term_number, self.now_ms));
                if term_number >= new.start && term_number.is_multiple_of(ALERT_OF) {
                    batch.outbox.push((batch.state.next, alert(term_number)));
                }
                batch.state.next += 1;
            }
            batch.state.last_append_ms = self.now_ms;
            let committed_step = self.steps - COMMIT_AFTER;
            batch.prune_below = (committed_step > 0).then_some(partition.state.next);
            store.apply(number, 1, &batch)?;
            partition.state = batch.state;
            // Twice a day the whole partition is swept.
            if partition.cursor.is_some() || self.now_ms - partition.swept_at_ms >= DAY_MS / 2 {
                partition.swept_at_ms = self.now_ms;
                let cursor = partition.cursor.take();
                partition.cursor = store.sweep(number, 1, self.now_ms, cursor, 10_000)?;
            }
        }
        Ok(())
    }

    /// Closes the state and opens it as the next process would.
    fn restart(&mut self) -> Result<(), StoreError> {
        self.store = None;
        let store = open(&self.directory);
        for (number, partition) in (0..PARTITIONS).zip(&self.partitions) {
            let state = store.load(number)?;
            assert_eq!(state.as_ref(), Some(&partition.state));
        }
        self.store = Some(store);
        Ok(())
    }
}

fn open(directory: &Path) -> SledStore {
    let expectation =
        Expectation { topic: "soak".to_owned(), partitions: 12, group: "g".to_owned() };
    let opened = SledStore::open(directory, &expectation).unwrap_or_else(|error| {
        eprintln!("{error}\nhint: {}", error.hint());
        std::process::exit(78);
    });
    if let Some(aside) = opened.set_aside {
        panic!("set aside: {}", aside.reason);
    }
    for partition in 0..PARTITIONS {
        opened.store.begin(partition, 1);
    }
    opened.store
}

fn entry(number: u64, now_ms: i64) -> Entry {
    Entry {
        first_seen_ms: now_ms,
        last_seen_ms: now_ms,
        window_ms: WINDOW_MS,
        first_event_id: format!("{number:08x}-7a10-4c3e-9f4e-0123456789ab"),
        raised: number.is_multiple_of(ALERT_OF),
        outcome_told: true,
    }
}

fn alert(number: u64) -> OutboxRecord {
    OutboxRecord {
        key: number.to_be_bytes().to_vec(),
        payload: vec![b'x'; ALERT_BYTES],
        reduced: None,
        headers: vec![("rule".to_owned(), b"secret-access-unusual-client".to_vec())],
    }
}
