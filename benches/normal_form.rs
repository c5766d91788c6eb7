//! What reading commands as a shell costs, beside comparing their text.
//!
//! `cargo bench --bench normal_form -- [--rounds N]` prints, for the commands of
//! `tests/fixtures/commands`: the median time of the as-written match and of the normal form with
//! its judgement, and their ratio, measured alternately in one run; then the time for the worst
//! shapes known, at sizes that double up to 1 MB.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::hint::black_box;
use std::time::Duration;

use clap::Parser;

use kubetell::audit::shell;
use kubetell::clock;
use kubetell::detect::command::{Command, judge};
use kubetell::detect::finding::{ExecCommand, ExecVia};
use kubetell::rules::rule::{ExecRule, RuleKind};
use kubetell::rules::set::RuleSet;

#[path = "../tests/fixtures/commands/corpus.rs"]
mod corpus;
#[path = "support/execs.rs"]
mod execs;

#[derive(Debug, Parser)]
struct Args {
    /// How often every command is measured.
    #[arg(long, default_value_t = 51)]
    rounds: usize,
    /// Prints so many of the commands that cost most, each with its share of the sum.
    #[arg(long, default_value_t = 0)]
    slowest: usize,
    /// Measures only the commands that hold this text.
    #[arg(long, default_value = "")]
    filter: String,
    /// Given by `cargo bench`.
    #[arg(long)]
    bench: bool,
}

/// The median of several runs, each of one call.
fn median(rounds: usize, mut run: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..rounds)
        .map(|_| {
            let begun = clock::monotonic();
            run();
            clock::monotonic() - begun
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}

fn as_written(rule: &ExecRule, text: &str) -> usize {
    let text = rule.mask.apply(text);
    rule.sensitive_paths.find(&text, 32).len() + rule.labels.matching(&text).len()
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn measure(
    name: &str,
    execs: &[ExecCommand],
    rule: &ExecRule,
    Args { rounds, slowest, filter, .. }: &Args,
) {
    let rounds = *rounds;
    let mut rows: Vec<(f64, f64, f64, &str)> = execs
        .iter()
        .filter(|exec| exec.text.contains(filter))
        .map(|exec| {
            let written = median(rounds, || {
                black_box(as_written(rule, black_box(&exec.text)));
            });
            let read = median(rounds, || {
                black_box(Command::new(black_box(exec)).reading().lines.len());
            });
            let judged = median(rounds, || {
                black_box(judge(rule, &Command::new(black_box(exec))));
            });
            (micros(written), micros(read), micros(judged), exec.text.as_str())
        })
        .collect();
    rows.sort_by(|a, b| a.2.total_cmp(&b.2));
    let sum = |of: fn(&(f64, f64, f64, &str)) -> f64| rows.iter().map(of).sum::<f64>();
    let ratio = sum(|row| row.2) / sum(|row| row.0);
    let at = |share: f64| rows[((rows.len() - 1) as f64 * share) as usize];
    println!(
        "{name}: {} commands, median {} bytes; as written + normal form + judgement: median {:.1} µs, \
         p90 {:.1} µs, p99 {:.1} µs, most {:.1} µs; reading alone: mean {:.2} µs; as written alone: \
         mean {:.2} µs; all together {ratio:.1} times the as-written match, so the normal form \
         costs {:.1} of them",
        rows.len(),
        {
            let mut sizes: Vec<usize> = rows.iter().map(|row| row.3.len()).collect();
            sizes.sort_unstable();
            sizes[sizes.len() / 2]
        },
        at(0.5).2,
        at(0.9).2,
        at(0.99).2,
        at(1.0).2,
        sum(|row| row.1) / rows.len() as f64,
        sum(|row| row.0) / rows.len() as f64,
        ratio - 1.0,
    );
    for (_, _, judged, text) in rows.iter().rev().take(*slowest) {
        println!("{:6.1} µs, {:4.1} % of all: {text:?}", judged, 100.0 * judged / sum(|row| row.2));
    }
}

/// Texts of about so many bytes that are costly for one part of the reader or another.
fn shapes(bytes: usize) -> Vec<(&'static str, String)> {
    let times = |unit: &str| unit.repeat(bytes / unit.len());
    let halves = |open: &str, close: &str| {
        let count = bytes / (open.len() + close.len());
        open.repeat(count) + &close.repeat(count)
    };
    vec![
        ("nested braces", format!("echo {}", halves("{a,", "}"))),
        ("many braces", format!("echo {}", times("{a,b}"))),
        ("backticks", times("`echo ")),
        ("nested $(", halves("$(echo ", ")")),
        ("many $( )", times("$(echo a) ")),
        ("open quotes", times("'\" ")),
        ("pairs of quotes", format!("cat /etc/{}", times("''"))),
        ("$(( not closed", times("$((1+(")),
        ("nested ${a:-", halves("${a:-", "}")),
        ("stars", format!("cat /{}", times("*a"))),
        ("brackets", format!("cat /{}", times("[["))),
        ("extended globs", format!("cat /{}", halves("@(a|", ")"))),
        ("here-documents", times("cat <<E\nx\nE\n")),
        (
            "here-documents of one line",
            format!("cat {}\n{}", "<<E ".repeat(bytes / 12), "E\n".repeat(bytes / 12)),
        ),
        ("assignments", (0..bytes / 12).map(|at| format!("v{at}=$v{}\n", at / 2)).collect()),
        ("a doubling variable", format!("a=x; {}", times("a=$a$a; "))),
        ("a long for", format!("for i in {}; do cat /app/$i; done", times("a "))),
        ("a loop without end", format!("while :; do {}; done", times("i=$i$i; "))),
        ("eval", times("eval ")),
        ("functions", times("f() { f; }; f; ")),
        ("pipes", times("cat | ")),
        ("case", times("case x in x) ")),
        ("if", times("if ")),
        ("dots in a path", format!("cat /{}", times("../a/./"))),
        ("backslashes", times("\\")),
        ("one word", times("a")),
        ("words", times("a ")),
        ("operators", times("&&|;")),
        ("arrays", format!("a=({}); echo ${{a[@]}}", times("x "))),
        ("base64 of itself", format!("echo {} | base64 -d | sh", times("ZWNobyBhCg"))),
        ("tr", format!("echo {} | tr a-z b-za", times("abc"))),
        ("sed", format!("echo {} | sed 's/a/b/g;s/(/c/g'", times("a("))),
        ("python", format!("python3 -c \"print({})\"", times("'a'+"))),
        ("nested python", format!("python3 -c \"{}\"", halves("f(", ")"))),
        ("xargs", format!("echo {} | xargs -n1 cat", times("a "))),
    ]
}

fn main() {
    let args = Args::parse();
    let rules = RuleSet::builtin().unwrap();
    let rule = rules.get("pod-exec-sensitive-path").unwrap();
    let RuleKind::Exec(rule) = rule.kind() else { panic!("an exec rule") };
    measure("harmless", &execs::harmless(), rule, &args);
    measure("hidden", &execs::hidden(), rule, &args);

    println!(
        "\nmilliseconds for the worst shapes, by size; `sh -c` and the shape, read and judged"
    );
    let sizes = [64 * 1024, 128 * 1024, 256 * 1024, 512 * 1024, 1024 * 1024];
    let mut rows: Vec<(&str, Vec<f64>)> = Vec::new();
    for size in sizes {
        for (at, (name, script)) in shapes(size).into_iter().enumerate() {
            let exec =
                ExecCommand::new(ExecVia::PodsExec, vec!["sh".to_owned(), "-c".to_owned(), script]);
            let time = median(3, || {
                black_box(judge(rule, &Command::new(&exec)));
            });
            let reading = shell::read(&exec.argv);
            black_box(reading);
            if rows.len() == at {
                rows.push((name, Vec::new()));
            }
            rows[at].1.push(micros(time) / 1e3);
        }
    }
    println!(
        "{:<28}{:>9}{:>9}{:>9}{:>9}{:>9}  last / first",
        "shape", "64K", "128K", "256K", "512K", "1M"
    );
    for (name, times) in rows {
        let growth = times[times.len() - 1] / times[0].max(0.001);
        let cells: String = times.iter().map(|time| format!("{time:>9.2}")).collect();
        println!("{name:<28}{cells}  {growth:>6.1}");
    }
}
