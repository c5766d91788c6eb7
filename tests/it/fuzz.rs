//! Inputs that nobody would write: what reads hostile bytes never panics, keeps its bounds and
//! tells places that exist.
//!
//! Each target runs for a few seconds on a thread with the stack that threads have.
//! `KUBETELL_FUZZ_SECONDS` says for how long, `KUBETELL_FUZZ_SEED` with which seed: execution
//! number `n` of seed `s` is the first one of seed `s + n`, which a failure names. `tests/fuzz` has
//! those that take bytes, and one for queries, for libFuzzer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kubetell::audit::event::{Event, ObjectRef};
use kubetell::audit::exec;
use kubetell::audit::shell;
use kubetell::audit::shell::reading::Reading;
use kubetell::clock;
use kubetell::detect::command::{Command, judge};
use kubetell::detect::explain::explain;
use kubetell::detect::finding::{Confidence, ExecCommand, ExecVia};
use kubetell::ingest::envelope;
use kubetell::limits;
use kubetell::rules::rule::{ExecRule, RuleKind};
use kubetell::rules::set::RuleSet;

use crate::corpus;
use crate::shells::{self, Xorshift, from_environment};

mod mutate;
mod passed;
mod shapes;

use mutate::{JSON_TOKENS, SHELL_TOKENS, URI_TOKENS, mutated};
use shapes::Shape;

const SECONDS: u64 = 3;
const DEFAULT_SEED: u64 = 1;
/// What a thread has that nothing else is said about.
const STACK_BYTES: usize = 2 * 1024 * 1024;
/// Scripts made up at random that are judged as they are written.
const AS_WRITTEN_SCRIPTS: u64 = 2_000;

/// The commands of all the fixtures.
fn commands() -> Vec<Vec<String>> {
    [corpus::hidden_argvs(), corpus::harmless_argvs(), corpus::noisy_argvs()].concat()
}

/// Checks one input after another until the time is over.
fn fuzz<I>(name: &str, input: impl Fn(&mut Xorshift) -> I + Sync, check: impl Fn(&I) + Sync) {
    let seconds = from_environment("KUBETELL_FUZZ_SECONDS", SECONDS);
    let seed = from_environment("KUBETELL_FUZZ_SEED", DEFAULT_SEED);
    let executions = std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().stack_size(STACK_BYTES);
        let fuzzing = builder.spawn_scoped(scope, || {
            let end = clock::monotonic() + Duration::from_secs(seconds);
            let mut executions: u64 = 0;
            while clock::monotonic() < end {
                let seed = seed.wrapping_add(executions);
                let input = input(&mut Xorshift::new(seed));
                if catch_unwind(AssertUnwindSafe(|| check(&input))).is_err() {
                    panic!("{name}: KUBETELL_FUZZ_SEED={seed} fails");
                }
                executions += 1;
            }
            executions
        });
        fuzzing.unwrap().join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    eprintln!("{name}: {executions} executions in {seconds} s from seed {seed}");
    assert!(executions > 0, "{name}: nothing was run");
}

fn as_text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

// ---- request URIs

/// The audit event of an exec with the URI, for each of the ways in which it may be one.
fn exec_events(uri: &str) -> Vec<Event<'_>> {
    let kinds = [("pods", "exec"), ("nodes", "proxy")];
    let event = |(resource, subresource): (&'static str, &'static str)| Event {
        request_uri: Some(uri.into()),
        object_ref: Some(ObjectRef {
            resource: Some(resource.into()),
            subresource: Some(subresource.into()),
            ..ObjectRef::default()
        }),
        ..Event::default()
    };
    kinds.into_iter().map(event).collect()
}

/// Decoding yields no more than was there: a replacement character is three bytes for one.
fn check_uri(uri: &str) {
    let decoded = exec_events(uri).iter().filter_map(exec::decode).collect::<Vec<_>>();
    for exec in exec::decode_uri(uri).iter().chain(&decoded) {
        assert_eq!(exec.text, exec.argv.join(" "), "{uri:?}");
        assert!(exec.text.len() <= 3 * uri.len(), "{uri:?}");
    }
    let same = exec::rewrite_query(uri, |_| None);
    assert!(same == uri || !uri.contains('?'), "{uri:?} becomes {same:?}");
    let asked = |uri: &str| {
        let mut count = 0;
        let out = exec::rewrite_query(uri, |_| {
            count += 1;
            Some("x y".to_owned())
        });
        (out, count)
    };
    let (rewritten, count) = asked(uri);
    assert_eq!(asked(&rewritten), (rewritten.clone(), count), "{uri:?}");
}

fn uri_seeds() -> Vec<Vec<u8>> {
    let encoded = |argv: &[String]| {
        let encode = |word: &String| {
            let set = percent_encoding::NON_ALPHANUMERIC;
            format!("command={}", percent_encoding::utf8_percent_encode(word, set))
        };
        argv.iter().map(encode).collect::<Vec<_>>().join("&")
    };
    let uri = |argv: &Vec<String>| format!("{}?{}&tty=1", URI_TOKENS[0], encoded(argv));
    commands().iter().take(200).map(|argv| uri(argv).into_bytes()).collect()
}

#[test]
fn any_request_uri_is_decoded() {
    let seeds = uri_seeds();
    let input = |random: &mut Xorshift| as_text(&mutated(random, &seeds, &URI_TOKENS));
    fuzz("exec_uri", input, |uri| check_uri(uri));
}

// ---- commands

/// Places exist, and the work is bounded: what is told is a part of what was done.
fn check_reading(reading: &Reading, text: &str) {
    let lines = reading.lines.iter().map(|line| (&line.span, line.text.len()));
    let paths = reading.accesses.iter().map(|access| {
        (&access.span, access.path.len() + access.name.as_ref().map_or(0, |name| name.len()))
    });
    let hidden = reading.hidden.iter().map(|hidden| (&hidden.span, 0));
    let mut told = 0;
    for (span, size) in lines.chain(paths).chain(hidden) {
        assert!(text.get(span.clone()).is_some(), "{span:?} of {} bytes: {text:?}", text.len());
        told += size;
    }
    assert!(told <= told_max(text.len()), "{told} bytes are told: {text:?}");
}

fn told_max(bytes: usize) -> usize {
    limits::SHELL_WORK_BASE + limits::SHELL_WORK_PER_BYTE * (bytes + 1)
}

fn exec_of(argv: Vec<String>) -> ExecCommand {
    ExecCommand {
        via: ExecVia::PodsExec,
        text: argv.join(" "),
        argv,
        container: Some("app".to_owned()),
        namespace: Some("shop".to_owned()),
        pod: Some("web-1".to_owned()),
        stdin: false,
        tty: false,
    }
}

fn check_command(argv: &[String], rules: &RuleSet) {
    let exec = exec_of(argv.to_vec());
    check_reading(&shell::read(argv), &exec.text);
    check_reading(&shell::read_script(&exec.text), &exec.text);
    for via in [ExecVia::PodsExec, ExecVia::GkeLabel, ExecVia::ShellText] {
        let exec = ExecCommand { via, ..exec.clone() };
        let explanation = explain(&exec, rules);
        let json = serde_json::to_string(&explanation).unwrap();
        assert!(json.starts_with('{'));
        for found in explanation.verdicts.iter().flat_map(|verdict| &verdict.matches) {
            let span = found.span.clone();
            assert!(exec.text.get(span.clone()).is_some(), "{via:?} {span:?}: {:?}", exec.text);
        }
    }
}

/// The arguments of the fixtures' commands, and each command as one text.
fn shell_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for argv in commands() {
        seeds.extend(argv.last().map(|script| script.clone().into_bytes()));
        seeds.push(argv.join(" ").into_bytes());
    }
    seeds.retain(|seed| !seed.is_empty());
    seeds
}

#[test]
fn any_command_is_read() {
    let (seeds, rules) = (shell_seeds(), RuleSet::builtin().unwrap());
    let input = |random: &mut Xorshift| -> Vec<String> {
        let text = as_text(&mutated(random, &seeds, &SHELL_TOKENS));
        match random.below(4) {
            0 => text.split(' ').map(str::to_owned).collect(),
            1 => ["bash", "-c", &text, "a", "b c"].map(str::to_owned).to_vec(),
            _ => ["sh", "-c", &text].map(str::to_owned).to_vec(),
        }
    };
    fuzz("shell", input, |argv| check_command(argv, &rules));
}

// ---- records

fn check_record(record: &[u8]) {
    let mut next = 0;
    envelope::read(record, None, &mut |index, _| {
        assert_eq!(index, next, "{:?}", as_text(record));
        next += 1;
    });
    assert!(next > 0, "{:?}", as_text(record));
    assert!(next as usize <= limits::RECORD_MAX_ITEMS + 1, "{next}");
}

fn record_seeds() -> Vec<Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/wrappers");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 10, "{} files in `{folder}`", files.len());
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn any_record_is_read() {
    let seeds = record_seeds();
    let input = |random: &mut Xorshift| {
        let record = mutated(random, &seeds, &JSON_TOKENS);
        if random.below(8) == 0 { gzipped(&record) } else { record }
    };
    fuzz("envelope", input, |record| check_record(record));
}

/// What a rule finds in a record gets past the filter of raw bytes, whatever the record looks like.
#[test]
fn no_record_that_a_rule_finds_something_in_is_passed_over() {
    let (asked, counts) = (passed::Asked::all(), passed::Counts::default());
    fuzz("prefilter", passed::record, |record| {
        asked.iter().for_each(|asked| asked.check(record, &counts));
    });
    let [found, dropped] = [&counts.found, &counts.dropped].map(|it| it.load(Ordering::Relaxed));
    eprintln!("prefilter: something was found {found} times, nothing looked for {dropped} times");
    assert!(found > 0 && dropped > 0, "{found} {dropped}");
}

// ---- as written

fn with_exec_rule(ask: impl FnOnce(&ExecRule)) {
    let rules = RuleSet::builtin().unwrap();
    match rules.get("pod-exec-sensitive-path").unwrap().kind() {
        RuleKind::Exec(rule) => ask(rule),
        _ => panic!("an exec rule"),
    }
}

/// What the published rule finds is found whatever the normal form makes of the command. Whether
/// there was something to be found.
fn check_as_written(rule: &ExecRule, argv: Vec<String>) -> bool {
    let exec = exec_of(argv);
    let text = rule.mask.apply(&exec.text);
    if rule.sensitive_paths.find(&text, 1).is_empty() {
        return false;
    }
    let verdict = judge(rule, &Command::new(&exec));
    let confidence = verdict.and_then(|verdict| verdict.confidence);
    assert_eq!(confidence, Some(Confidence::Certain), "{:?}", exec.text);
    true
}

#[test]
fn what_stands_there_as_written_is_never_lost() {
    with_exec_rule(|rule| {
        let seed = from_environment("KUBETELL_SHELLS_SEED", DEFAULT_SEED);
        let fixtures = commands().into_iter();
        let scripts = (0..AS_WRITTEN_SCRIPTS).map(|number| {
            let script = shells::script_of(seed.wrapping_add(number), "");
            ["sh", "-c", &script].map(str::to_owned).to_vec()
        });
        let found = fixtures.chain(scripts).filter(|argv| check_as_written(rule, argv.clone()));
        let found = found.count() as u64;
        assert!(found > AS_WRITTEN_SCRIPTS / 4, "only {found} commands have anything to find");
    });
}

// ---- the worst shapes

/// Bytes that a reading tells, and how often it says that something is hidden.
fn told_bytes(argv: &[String]) -> usize {
    let reading = shell::read(argv);
    check_reading(&reading, &argv.join(" "));
    let lines: usize = reading.lines.iter().map(|line| line.text.len() + 1).sum();
    let paths: usize = reading.accesses.iter().map(|access| access.path.len() + 1).sum();
    lines + paths + reading.hidden.len()
}

/// CPU time of this thread, which does not depend on what else the machine does.
fn cpu_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// The least of several: what else the machine does only ever adds to it.
fn least_time(argv: &[String]) -> Duration {
    let measured = (0..shapes::MEASURED).map(|_| {
        let start = cpu_time();
        told_bytes(argv);
        cpu_time() - start
    });
    measured.min().unwrap_or_default()
}

/// Twice the size tells at most a little more than twice as much. Over all sizes the time grows by
/// at most three times the factor of the size: what is quadratic grows by its square.
fn check_shape(shape: &Shape) {
    let mut before: Option<usize> = None;
    for kilobytes in shapes::SIZES_KIB {
        let told = told_bytes(&shape.argv(kilobytes * 1024));
        if let Some(told_before) = before {
            // The part of the work that every command has may come all at once.
            let most = (told_before * 5 / 2).max(shapes::TOLD_FREE_BYTES);
            assert!(told <= most, "{} at {kilobytes} KiB: {told_before} to {told}", shape.name);
        }
        before = Some(told);
    }
    let [small, .., large] = shapes::SIZES_KIB;
    let took = least_time(&shape.argv(large * 1024));
    if took > shapes::FREE_TIME {
        let took_small = least_time(&shape.argv(small * 1024));
        let factor = u32::try_from(large / small).unwrap();
        assert!(
            took <= took_small * factor * 3,
            "{} from {small} to {large} KiB: {took_small:?} to {took:?}",
            shape.name
        );
    }
}

#[test]
fn the_worst_shapes_grow_no_faster_than_their_size() {
    let next = AtomicUsize::new(0);
    let workers = std::thread::available_parallelism().map_or(2, |n| n.get().min(8));
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(shape) = shapes::SHAPES.get(next.fetch_add(1, Ordering::Relaxed)) {
                    check_shape(shape);
                }
            });
        }
    });
}
