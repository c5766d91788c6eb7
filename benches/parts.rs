//! How long each part of a record's way takes that needs neither Kafka nor a thread.
//!
//! `cargo bench --bench parts -- [FILTER]`: throughput in bytes of the input, and in records,
//! events, commands or alerts. Times of a busy machine move; `tests/instructions` counts
//! instructions of the same parts over the same input.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/audit/mod.rs"]
mod audit;
#[path = "../tests/fixtures/commands/corpus.rs"]
mod corpus;
#[path = "support/execs.rs"]
mod execs;
#[path = "support/parts.rs"]
mod parts;

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

fn all(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("part");
    for mut part in parts::parts() {
        group.throughput(Throughput::ElementsAndBytes { elements: part.count, bytes: part.bytes });
        let id = BenchmarkId::new(part.name, part.unit);
        group.bench_function(id, |bencher| bencher.iter(&mut part.run));
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .without_plots()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3));
    targets = all
}
criterion_main!(benches);
