//! `kubetell scan` as a script sees it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use kubetell::demo::scenario;
use serde_json::Value;

use crate::support::{
    self, Found, exec_event, json_lines, masked, program, quiet_event, without_times,
};

const EXEC: &str = "pod-exec-sensitive-path";
const SECRET: &str = "secret-access-unusual-client";

/// A directory of input files that goes with the test.
struct Inputs {
    dir: tempfile::TempDir,
}

impl Inputs {
    fn new() -> Self {
        Inputs { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        text_of(&path)
    }

    /// The demo's story, a file for each record: some are gzip and can't be lines.
    fn story(&self) -> String {
        for (number, record) in support::story().iter().enumerate() {
            self.file(&format!("story/{number:06}"), &record.bytes);
        }
        text_of(&self.path("story"))
    }
}

fn text_of(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

struct Scanned {
    code: Option<i32>,
    stdout: Vec<u8>,
    stderr: String,
}

impl Scanned {
    fn of(output: Output) -> Self {
        let stderr = String::from_utf8(output.stderr).unwrap();
        Scanned { code: output.status.code(), stdout: output.stdout, stderr }
    }

    fn alerts(&self) -> Vec<Value> {
        json_lines(&self.stdout)
    }
}

/// Scans, and wants this exit code.
fn scan(arguments: &[&str], code: i32) -> Scanned {
    let scanned = Scanned::of(program(&[&["scan"], arguments].concat()).output().unwrap());
    assert_eq!(scanned.code, Some(code), "{arguments:?}\n{}", scanned.stderr);
    scanned
}

fn scan_stdin(arguments: &[&str], input: &[u8], code: i32) -> Scanned {
    let mut command = program(&[&["scan"], arguments].concat());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let scanned = Scanned::of(child.wait_with_output().unwrap());
    assert_eq!(scanned.code, Some(code), "{arguments:?}\n{}", scanned.stderr);
    scanned
}

fn lines(records: &[Vec<u8>]) -> Vec<u8> {
    records.iter().flat_map(|record| [record.as_slice(), b"\n"].concat()).collect()
}

/// A read of a secret that told its outcome.
fn secret_event(audit_id: &str, user: &str, received: &str) -> Vec<u8> {
    serde_json::json!({
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": audit_id,
        "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces/n/secrets/db",
        "verb": "get",
        "user": { "username": user, "groups": ["system:authenticated"] },
        "sourceIPs": ["203.0.113.9"],
        "userAgent": "curl/8.5.0",
        "objectRef": {
            "resource": "secrets", "namespace": "n", "name": "db", "apiVersion": "v1"
        },
        "responseStatus": { "code": 200 },
        "requestReceivedTimestamp": received,
        "stageTimestamp": received
    })
    .to_string()
    .into_bytes()
}

fn at_stage(event: &[u8], stage: &str, code: Option<u16>) -> Vec<u8> {
    let mut event: Value = serde_json::from_slice(event).unwrap();
    event["stage"] = stage.into();
    match code {
        Some(code) => event["responseStatus"] = serde_json::json!({ "code": code }),
        None => drop(event.as_object_mut().unwrap().remove("responseStatus")),
    }
    event.to_string().into_bytes()
}

fn audit_ids(alerts: &[Value]) -> Vec<&str> {
    alerts.iter().map(|alert| alert["kubernetes"]["audit"]["auditID"].as_str().unwrap()).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn story_raises_exactly_what_is_in_it() {
    let inputs = Inputs::new();
    let alerts = scan(&[&inputs.story()], 1).alerts();
    let expected = Found::in_story();
    assert_eq!(alerts.len(), expected.exec.len() + expected.terms.len(), "each is printed once");
    assert_eq!(Found::of(&alerts), expected);
}

#[test]
fn learning_keeps_first_sightings_silent() {
    let inputs = Inputs::new();
    let path = inputs.story();
    let learning = format!("{}s", scenario::LEARNING_UNTIL_MS / 1_000);
    let alerts = scan(&["--learning", &learning, &path], 1).alerts();
    assert_eq!(Found::of(&alerts), Found::in_story_after_learning());
    let alerts = scan(&["--learning", "1d", &path], 1).alerts();
    assert!(Found::of(&alerts).terms.is_empty());
    scan(&["--learning", "1d", "--only", SECRET, &path], 0);
}

#[test]
fn output_does_not_depend_on_the_number_of_threads() {
    let inputs = Inputs::new();
    let mut log = scenario::generated(20_000, 3, "2026-03-01T08:00:00Z".parse().unwrap());
    let (zipped, plain): (Vec<_>, Vec<_>) =
        log.by_ref().partition(|record| record.starts_with(&[0x1f, 0x8b]));
    for (number, part) in plain.chunks(6_000).enumerate() {
        inputs.file(&format!("log/{number}.ndjson"), &lines(part));
    }
    for (number, record) in zipped.iter().enumerate() {
        inputs.file(&format!("log/9/{number:04}.gz"), record);
    }
    let path = text_of(&inputs.path("log"));
    let of = |threads: &str| -> Vec<Value> {
        scan(&["--threads", threads, &path], 1).alerts().iter().map(without_times).collect()
    };
    let one = of("1");
    assert!(one.len() > 10, "too few to compare: {}", one.len());
    for threads in ["2", "8"] {
        assert_eq!(of(threads), one, "{threads} threads");
    }
}

#[test]
fn exit_code_tells_what_was_found() {
    let inputs = Inputs::new();
    let quiet = inputs.file("quiet", &quiet_event());
    let exec = inputs.file("exec", &exec_event("a"));
    let bad = inputs.file("bad", b"{\"kind\": \"Event\", \"apiVersion\"");
    let missing = text_of(&inputs.path("missing"));
    assert!(scan(&[&quiet], 0).stdout.is_empty());
    assert_eq!(scan(&[&exec], 1).alerts().len(), 1);
    assert!(scan(&[&bad], 2).stdout.is_empty());
    assert_eq!(scan(&[&exec, &bad, &quiet], 2).alerts().len(), 1, "2 wins over 1");
    let scanned = scan(&[&missing, &exec], 2);
    assert_eq!(scanned.alerts().len(), 1, "the others are still read");
    assert!(scanned.stderr.contains(&missing), "{}", scanned.stderr);
    assert_eq!(scan(&["--quiet", &missing, &exec], 2).stderr, "");
    scan(&["--since", "2026-01-02", "--until", "2026-01-01", &exec], 64);
    scan(&["--threads", "many", &exec], 64);
}

#[test]
fn compression_is_told_by_the_content() {
    let inputs = Inputs::new();
    let log = lines(&[exec_event("a"), quiet_event(), exec_event("b")]);
    for (name, bytes) in [
        ("plain.gz", log.clone()),
        ("gzip.log", gzip(&log)),
        ("two-members", [gzip(&log[..900]), gzip(&log[900..])].concat()),
        ("zstd", zstd::encode_all(log.as_slice(), 1).unwrap()),
    ] {
        let path = inputs.file(name, &bytes);
        assert_eq!(audit_ids(&scan(&[&path], 1).alerts()), ["a", "b"], "{name}");
        assert_eq!(audit_ids(&scan_stdin(&["-"], &bytes, 1).alerts()), ["a", "b"], "{name}");
    }
    // What came before the end of a truncated file counts.
    let mut truncated = zstd::encode_all(log.as_slice(), 1).unwrap();
    truncated.truncate(truncated.len() - 3);
    let path = inputs.file("truncated", &truncated);
    assert!(scan(&[&path], 2).stderr.contains("truncated"));
    let path = inputs.file("bomb.json.gz", &support::gzip_bomb());
    scan(&[&path], 2);
}

#[test]
fn standard_input_is_the_default_and_has_a_name() {
    let log = lines(&[exec_event("a")]);
    for arguments in [&["-"][..], &[]] {
        assert_eq!(audit_ids(&scan_stdin(arguments, &log, 1).alerts()), ["a"], "{arguments:?}");
    }
    assert!(scan_stdin(&["-"], b"", 0).stdout.is_empty());
    let inputs = Inputs::new();
    let path = inputs.file("b", &exec_event("b"));
    assert_eq!(audit_ids(&scan_stdin(&[&path, "-"], &log, 1).alerts()), ["b", "a"]);
}

#[test]
fn only_runs_the_named_rules() {
    let inputs = Inputs::new();
    let secret = secret_event("s", "jane", "2026-03-01T08:00:00Z");
    let path = inputs.file("log", &lines(&[exec_event("e"), secret]));
    assert_eq!(audit_ids(&scan(&["--only", EXEC, &path], 1).alerts()), ["e"]);
    assert_eq!(audit_ids(&scan(&["--only", SECRET, &path], 1).alerts()), ["s"]);
    assert_eq!(
        audit_ids(&scan(&["--only", SECRET, "--only", EXEC, &path], 1).alerts()),
        ["e", "s"]
    );
    let scanned = scan(&["--only", "pod-exec-sensitive-paths", &path], 64);
    assert!(scanned.stderr.contains(EXEC), "{}", scanned.stderr);
    assert!(scanned.stdout.is_empty());
}

#[test]
fn since_is_inclusive_and_until_is_not() {
    let inputs = Inputs::new();
    let times = ["2026-03-01T07:59:59.999Z", "2026-03-01T08:00:00Z", "2026-03-01T09:00:00Z"];
    let events: Vec<Vec<u8>> = times
        .iter()
        .enumerate()
        .map(|(number, time)| {
            let number = number.to_string();
            secret_event(&number, &format!("user-{number}"), time)
        })
        .collect();
    let path = inputs.file("log", &lines(&events));
    let check = |arguments: &[&str], expected: &[&str]| {
        let code = i32::from(!expected.is_empty());
        let scanned = scan(&[arguments, &[&path]].concat(), code);
        assert_eq!(audit_ids(&scanned.alerts()), expected, "{arguments:?}");
    };
    check(&[], &["0", "1", "2"]);
    check(&["--since", "2026-03-01T08:00:00Z"], &["1", "2"]);
    check(&["--until", "2026-03-01T09:00:00Z"], &["0", "1"]);
    check(&["--since", "2026-03-01T08:00:00Z", "--until", "2026-03-01T09:00:00Z"], &["1"]);
    check(&["--since", "2026-03-02"], &[]);
    check(&["--until", "2026-03-01"], &[]);
}

#[test]
fn state_keeps_terms_between_runs() {
    let inputs = Inputs::new();
    let state = text_of(&inputs.path("state"));
    let at = |user: &str| secret_event(user, user, "2026-03-01T08:00:00Z");
    let first = inputs.file("first", &at("jane"));
    let both = inputs.file("both", &lines(&[at("jane"), at("joe")]));
    assert_eq!(audit_ids(&scan(&["--state", &state, &first], 1).alerts()), ["jane"]);
    assert!(scan(&["--state", &state, &first], 0).stdout.is_empty(), "known by now");
    assert_eq!(audit_ids(&scan(&["--state", &state, &both], 1).alerts()), ["joe"]);
    assert_eq!(scan(&[&both], 1).alerts().len(), 2, "no state without the option");
}

#[test]
fn unreadable_records_are_kept_unchanged() {
    let inputs = Inputs::new();
    let bad: [&[u8]; 3] = [
        b"{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\"verb\":",
        b"not json \xff\xfe",
        b"{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\"user\":7}",
    ];
    let log = lines(&[
        exec_event("a"),
        bad[0].to_vec(),
        exec_event("b"),
        bad[1].to_vec(),
        bad[2].to_vec(),
        exec_event("c"),
    ]);
    let path = inputs.file("log", &log);
    let kept = inputs.path("kept");
    let scanned = scan(&["--unreadable", &text_of(&kept), &path], 2);
    assert_eq!(audit_ids(&scanned.alerts()), ["a", "b", "c"]);
    let expected = lines(&bad.map(<[u8]>::to_vec));
    let kept = fs::read(kept).unwrap();
    assert_eq!(
        kept,
        expected,
        "{}\n{}",
        String::from_utf8_lossy(&kept),
        String::from_utf8_lossy(&expected)
    );
    for line in [2, 4, 5] {
        assert!(scanned.stderr.contains(&format!("{path}:{line}: ")), "{}", scanned.stderr);
    }
}

#[test]
fn stats_are_one_line_of_json() {
    let inputs = Inputs::new();
    let log = lines(&[exec_event("a"), quiet_event(), b"{\"broken\"".to_vec()]);
    let path = inputs.file("log", &log);
    let scanned = scan(&["--quiet", "--stats", &path], 2);
    let stats = json_lines(scanned.stderr.as_bytes());
    let [stats] = stats.as_slice() else { panic!("{}", scanned.stderr) };
    let count = |name: &str| stats[name].as_u64().unwrap();
    // The quiet event concerns no rule and is not read.
    assert_eq!((count("records"), count("prefiltered"), count("events")), (3, 1, 1));
    assert_eq!(stats["alerts"], serde_json::json!({ EXEC: 1 }));
    let unreadable = stats["unreadable"].as_object().unwrap();
    assert_eq!(unreadable.values().map(|count| count.as_u64().unwrap()).sum::<u64>(), 1);
    assert!(stats["bytes"].as_u64().unwrap() > 500 && stats["seconds"].is_f64(), "{stats}");
}

#[test]
fn what_is_broken_beside_every_rule_is_told_when_all_is_read() {
    let inputs = Inputs::new();
    let broken = br#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"x","verb":"list" "stage":"Panic"}"#;
    let path = inputs.file("log", &lines(&[quiet_event(), broken.to_vec()]));
    for (more, code, unreadable, prefiltered) in
        [(&[][..], 0, 0, 2), (&["--read-all"][..], 2, 1, 0)]
    {
        let scanned = scan(&[&["--quiet", "--stats", &path][..], more].concat(), code);
        let stats = &json_lines(scanned.stderr.as_bytes())[0];
        let counted = stats["unreadable"].as_object().unwrap().values();
        assert_eq!(counted.map(|count| count.as_u64().unwrap()).sum::<u64>(), unreadable);
        assert_eq!(stats["prefiltered"], prefiltered, "{stats}");
    }
}

#[test]
fn output_goes_to_a_file_in_the_form_for_programs() {
    let inputs = Inputs::new();
    let path = inputs.file("log", &exec_event("a"));
    let output = inputs.path("alerts.ndjson");
    assert!(scan(&["--output", &text_of(&output), &path], 1).stdout.is_empty());
    let alerts = json_lines(&fs::read(&output).unwrap());
    assert_eq!(Found::of(&alerts).exec.into_iter().collect::<Vec<_>>(), ["a"]);
    let nowhere = text_of(&inputs.path("no/such/directory/alerts"));
    assert!(scan(&["--output", &nowhere, &path], 64).stderr.contains("--output"));
}

#[test]
fn alert_is_printed_once_with_its_outcome() {
    let inputs = Inputs::new();
    let started = |id: &str| at_stage(&exec_event(id), "ResponseStarted", Some(101));
    let received = |id: &str| at_stage(&exec_event(id), "RequestReceived", None);
    let secret = secret_event("s", "jane", "2026-03-01T08:00:00Z");
    let log = lines(&[
        received("a"),
        received("b"),
        at_stage(&secret, "RequestReceived", None),
        quiet_event(),
        started("b"),
        started("a"),
        secret,
        exec_event("a"),
        received("never-told"),
    ]);
    let path = inputs.file("log", &log);
    let alerts = scan(&[&path], 1).alerts();
    assert_eq!(audit_ids(&alerts), ["a", "b", "s", "never-told"], "in the input's order");
    let outcomes: Vec<&str> =
        alerts.iter().map(|alert| alert["event"]["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["success", "success", "success", "unknown"]);
}

/// A client chooses the audit id: with that of a request that came to nothing, an exec passed for
/// a later stage of it, and nobody was told.
#[test]
fn an_exec_with_the_audit_id_of_another_raises_its_own_alert() {
    let inputs = Inputs::new();
    let with = |field: &str, value: &str, code: u16| {
        let mut event: Value = serde_json::from_slice(&exec_event("one")).unwrap();
        event[field] = value.into();
        event["responseStatus"]["code"] = code.into();
        event.to_string().into_bytes()
    };
    let uri = "/api/v1/namespaces/n/pods/p/exec?command=cat&command=%2Fetc%2Fpasswd&container=c";
    let real = exec_event("one");
    let log = lines(&[
        with("requestURI", uri, 404),
        with("requestReceivedTimestamp", "2026-03-01T07:59:59.000000Z", 404),
        at_stage(&real, "RequestReceived", None),
        at_stage(&real, "ResponseStarted", Some(101)),
        real,
    ]);
    let path = inputs.file("log", &log);
    let alerts = scan(&[&path], 1).alerts();
    assert_eq!(audit_ids(&alerts), ["one"; 3]);
    let ids: std::collections::BTreeSet<&str> =
        alerts.iter().map(|alert| alert["event"]["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 3);
    let outcomes: Vec<&str> =
        alerts.iter().map(|alert| alert["event"]["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["failure", "failure", "success"]);
}

#[test]
fn reader_that_has_seen_enough_is_no_failure() {
    let inputs = Inputs::new();
    let events: Vec<Vec<u8>> = (0..3_000).map(|n| exec_event(&n.to_string())).collect();
    let path = inputs.file("log", &lines(&events));
    // The reading end is closed before the program starts.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = program(&["scan", &path]).stdout(writer).output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn text_reads_well() {
    let secret = secret_event("s", "jane", "2026-03-01T08:00:00Z");
    let log = lines(&[exec_event("e"), secret]);
    let scanned = scan_stdin(&["--format", "text", "-"], &log, 1);
    let text = String::from_utf8(scanned.stdout).unwrap();
    assert!(!text.contains('\u{1b}'), "no colours without a terminal");
    insta::assert_snapshot!("scan_text", masked(&text));
}
