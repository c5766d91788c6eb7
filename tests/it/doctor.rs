//! `kubetell doctor` over files and on a real Kafka.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Output;

use kubetell::clock;
use kubetell::ingest::envelope::Wrapper;
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::{Value, json};

use crate::kafka::DEADLINE;
use crate::kafka::broker::{self, Broker, NOBODY, Options, Security};
use crate::kafka::client::Record;
use crate::kafka::process::{Process, Signal, kubetell};
use crate::reading::Source;
use crate::support::{exec_event, gzip_bomb, program, quiet_event, secret_event};

/// 2026-03-01T08:00:00Z.
const T0: i64 = 1_772_352_000_000;

fn changed(event: &[u8], change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut event: Value = serde_json::from_slice(event).unwrap();
    change(&mut event);
    event.to_string().into_bytes()
}

/// An event that has just been.
fn now(event: &[u8]) -> Vec<u8> {
    at(event, clock::now_ms())
}

fn at(event: &[u8], time_ms: i64) -> Vec<u8> {
    let time = jiff::Timestamp::from_millisecond(time_ms).unwrap().to_string();
    changed(event, |event| {
        event["requestReceivedTimestamp"] = time.clone().into();
        event["stageTimestamp"] = time.into();
    })
}

/// An exec that does not show its command.
fn blind_exec(audit_id: &str) -> Vec<u8> {
    changed(&exec_event(audit_id), |event| {
        event.as_object_mut().unwrap().remove("requestURI");
    })
}

/// Findings of one source by their ids.
fn findings(source: &Value) -> BTreeMap<String, Value> {
    let all = source["findings"].as_array().unwrap().iter();
    all.map(|finding| (finding["id"].as_str().unwrap().to_owned(), finding.clone())).collect()
}

fn severity<'f>(found: &'f BTreeMap<String, Value>, id: &str) -> Option<&'f str> {
    found.get(id).map(|finding| finding["severity"].as_str().unwrap())
}

/// Values of one kind by how many events have them.
fn seen(source: &Value, kind: &str) -> BTreeMap<String, u64> {
    let values = source["seen"][kind]["values"].as_array().unwrap().iter();
    let value =
        |it: &Value| (it["value"].as_str().unwrap().to_owned(), it["events"].as_u64().unwrap());
    values.map(value).collect()
}

fn write(dir: &Path, name: &str, lines: &[Vec<u8>]) -> PathBuf {
    let path = dir.join(name);
    let mut bytes = lines.join(&b'\n');
    bytes.push(b'\n');
    fs::write(&path, bytes).unwrap();
    path
}

/// Runs it over files to its end, which has to be this one.
fn check(arguments: &[&str], code: i32) -> Output {
    let output = program(&[&["doctor"], arguments].concat()).output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{stdout}\n{stderr}");
    output
}

fn check_json(arguments: &[&str], code: i32) -> Value {
    let output = check(&[arguments, &["--format", "json"]].concat(), code);
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_file_is_judged_without_kafka() {
    let dir = tempfile::tempdir().unwrap();
    let lines = [exec_event("a"), secret_event("b", "ada"), quiet_event()];
    let good = write(dir.path(), "good.log", &lines);
    let good = good.to_str().unwrap();

    let report = check_json(&[good], 0);

    assert_eq!((&report["schema"], &report["version"]), (&json!("kubetell.doctor"), &json!(1)));
    assert_eq!(
        (&report["partial"], &report["sources"][0]["name"]),
        (&json!(false), &json!("files"))
    );
    let source = &report["sources"][0];
    assert_eq!((&source["sample"]["records"], &source["sample"]["events"]), (&json!(3), &json!(3)));
    let found = findings(source);
    assert_eq!(severity(&found, "execs"), Some("ok"));
    assert_eq!(severity(&found, "secret-reads"), Some("ok"));
    // An exec that is told when it has ended is told late.
    assert_eq!(severity(&found, "late-execs"), Some("note"));
    assert_eq!(report["verdict"], "note", "{report:#}");
    assert_eq!(source["rules"][0]["state"], "sees");
    assert_eq!(seen(source, "resources")["pods/exec"], 1);

    let text = String::from_utf8(check(&[good], 0).stdout).unwrap();
    assert!(text.starts_with("files\n3 records"), "{text}");
    assert!(text.contains("\nnote     late-execs\n"), "{text}");
    assert!(!text.contains('\u{1b}'), "no colours where there is no terminal");

    // Without a command every rule about commands is blind.
    let bad = write(dir.path(), "bad.log", &[blind_exec("a"), secret_event("b", "ada")]);
    let bad = bad.to_str().unwrap();
    let report = check_json(&[bad], 1);
    let found = findings(&report["sources"][0]);
    let finding = &found["execs-without-command"];
    assert_eq!((&finding["severity"], &report["verdict"]), (&json!("error"), &json!("error")));
    assert_eq!(finding["rules"], json!(["pod-exec-sensitive-path"]));
    assert!(finding["text"].as_str().unwrap().starts_with("1 of 1 execs show no command"));
    assert!(!finding["means"].as_str().unwrap().is_empty());
    assert_eq!(report["sources"][0]["rules"][0]["state"], "blind");

    // A warning is one with `--strict` alone.
    let quiet = write(dir.path(), "quiet.log", &[exec_event("a"), quiet_event()]);
    let quiet = quiet.to_str().unwrap();
    let report = check_json(&[quiet], 0);
    assert_eq!(severity(&findings(&report["sources"][0]), "no-secret-reads"), Some("warning"));
    check(&[quiet, "--strict"], 1);
    check(&[good, "--strict"], 0);
}

#[test]
fn every_wrapper_is_seen() {
    // Some of them hold events that were cut off on the way.
    let report = check_json(&["tests/fixtures/wrappers"], 2);
    let source = &report["sources"][0];
    let wrappers = seen(source, "wrappers");
    // A plain array stands in no file of its own.
    let missing: Vec<&str> = Wrapper::ALL
        .into_iter()
        .map(Wrapper::as_str)
        .filter(|name| !wrappers.contains_key(*name))
        .collect();
    assert_eq!(missing, ["array"], "{wrappers:?}");
    let found = findings(source);
    assert_eq!(severity(&found, "other-records"), Some("note"));
    let text = found["cut-records"]["text"].as_str().unwrap();
    assert!(text.starts_with("3 of 20 records") && text.contains("cloudwatch"), "{text}");
    assert_eq!(source["sample"]["unreadable"], 3);
}

#[test]
fn what_cannot_be_read_is_told_by_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let cut = exec_event("cut");
    let lines = [exec_event("a"), cut[..200].to_vec(), secret_event("b", "ada")];
    let file = write(dir.path(), "some.log", &lines);
    let (file, missing) = (file.to_str().unwrap(), dir.path().join("missing.log"));

    let report = check_json(&[file, missing.to_str().unwrap()], 2);

    let found = findings(&report["sources"][0]);
    let text = |id: &str| found[id]["text"].as_str().unwrap();
    assert!(text("cut-records").contains("some.log:2: "), "{}", text("cut-records"));
    assert!(text("unreadable-records").contains("`io`, the first at "), "{found:#?}");
    assert!(text("unreadable-records").contains("missing.log"), "{found:#?}");
    assert_eq!(report["sources"][0]["sample"]["events"], 2);
}

#[test]
fn of_each_path_so_many_records_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let one = write(dir.path(), "one.log", &vec![quiet_event(); 2_000]);
    let two = write(dir.path(), "two.log", &[exec_event("a"), secret_event("b", "ada")]);
    let paths = [one.to_str().unwrap(), two.to_str().unwrap()];
    let records = |arguments: &[&str]| {
        let report = check_json(&[&paths, arguments].concat(), 0);
        report["sources"][0]["sample"]["records"].as_u64().unwrap()
    };
    assert_eq!(records(&["--sample", "1"]), 2);
    assert_eq!(records(&["--sample", "700"]), 702);
    assert_eq!(records(&[]), 2_002);
}

#[test]
fn hostile_text_moves_no_cursor_and_forges_no_line() {
    let dir = tempfile::tempdir().unwrap();
    let hostile = "\u{1b}[2J\u{9b}31m\u{202e}x\nok       forged";
    let event = changed(&exec_event("a"), |event| {
        for field in ["verb", "level", "stage", "userAgent", "auditID", "requestURI"] {
            event[field] = hostile.into();
        }
        event["sourceIPs"] = json!([hostile]);
        event["user"]["username"] = hostile.into();
        event["objectRef"] = json!({ "resource": hostile, "namespace": hostile });
    });
    let file = write(dir.path(), "hostile\u{1b}[2J.log", &[event, b"nonsense".to_vec()]);
    let output = check(&[file.to_str().unwrap()], 2);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(r"\u{1b}[2J"), "{text}");
    assert!(text.lines().all(|line| !line.starts_with("ok       forged")), "{text}");
    assert!(!text.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'), "{text:?}");
}

#[test]
fn a_signal_ends_a_pipe_that_goes_on_with_what_has_come() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let mut command = kubetell(&["doctor", pipe.to_str().unwrap(), "--format", "json"]);
    command.env("KUBETELL_LOG", "kubetell=debug,warn");
    let process = Process::spawn(command);
    // Opens when the other side does.
    let mut writer = fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    writer.write_all(&exec_event("a")).unwrap();
    writer.write_all(b"\n").unwrap();
    writer.flush().unwrap();
    process.wait_for_stderr(DEADLINE, |line| line.contains("a batch of a file was read"));

    process.signal(Signal::INT);
    let finished = process.wait(DEADLINE);

    drop(writer);
    assert_eq!(finished.code(), Some(2), "{}", finished.stderr);
    let report: Value = serde_json::from_slice(&finished.stdout).unwrap();
    assert_eq!(
        (&report["partial"], &report["sources"][0]["sample"]["events"]),
        (&json!(true), &json!(1))
    );
    assert!(finished.stderr.contains("stopped by a signal"), "{}", finished.stderr);
}

#[test]
fn the_newest_records_of_each_partition_are_judged_and_nothing_is_left_behind() {
    let kafka = broker::shared();
    let source = Source::new("doctor", kafka, "doctor", 4);
    let mut records = Vec::new();
    for partition in 0..3 {
        let of_old = (0..30).map(|n| blind_exec(&format!("old-{partition}-{n}")));
        let of_new = (0..10).flat_map(|n| {
            let id = format!("{partition}-{n}");
            [exec_event(&format!("new-{id}")), secret_event(&format!("secret-{id}"), "ada")]
        });
        let events = of_old.chain(of_new).map(|event| now(&event));
        records.extend(events.map(|event| Record::value(event).partition(partition)));
    }
    source.produce(&records);

    let report = source.json(&["--sample", "60"], 0);

    let of_topic = &report["sources"][0];
    assert_eq!((&of_topic["name"], &of_topic["partitions"]), (&json!(source.topic()), &json!(4)));
    assert_eq!(of_topic["sample"]["records"], 60);
    let found = findings(of_topic);
    assert_eq!(severity(&found, "execs"), Some("ok"), "{found:#?}");
    assert!(found["execs"]["text"].as_str().unwrap().starts_with("30 events of execs"));
    assert_eq!(severity(&found, "secret-reads"), Some("ok"));
    assert_eq!(severity(&found, "clocks"), Some("ok"));
    assert_eq!(severity(&found, "stale-topic"), None);

    // All of it: the older ones show no command.
    let whole = source.json(&[], 0);
    let of_topic = &whole["sources"][0];
    assert_eq!(of_topic["sample"]["records"], 150);
    let finding = &findings(of_topic)["execs-without-command"];
    assert_eq!(finding["severity"], "warning");
    let text = finding["text"].as_str().unwrap();
    assert!(text.starts_with("90 of 120 execs show no command (75.0 %)"), "{text}");

    let own: Vec<String> = kafka.topics(&source.prefix).into_keys().collect();
    assert_eq!(own, [source.topic()], "no topic was made");
    let client: BaseConsumer = kafka.client_config().create().unwrap();
    let groups = client.fetch_group_list(None, DEADLINE).unwrap();
    let names = groups.groups().iter().map(|group| group.name().to_owned());
    let own: Vec<String> = names.filter(|name| name.starts_with(&source.prefix)).collect();
    assert!(own.is_empty(), "no group was joined, and nothing committed: {own:?}");
    assert!(!source.dir.path().join("state").exists(), "no state directory");
}

#[test]
fn what_is_wrong_in_a_topic_is_found_by_the_records_own_times_and_places() {
    let source = Source::new("doctor", broker::shared(), "doctor-wrong", 1);
    let body = changed(&now(&secret_event("body", "ada")), |event| {
        event["level"] = "RequestResponse".into();
        event["responseObject"] = json!({ "data": { "password": "hunter2hunter2" } });
    });
    let ahead = at(&exec_event("ahead"), clock::now_ms() + 3_600_000);
    let late = at(&exec_event("late"), clock::now_ms() - 3_600_000);
    source.produce(&[
        Record::value(now(&exec_event("one"))),
        Record::value(body),
        Record::value(ahead),
        Record::value(late),
        Record::default().key("tombstone"),
        Record::value("no audit event"),
        Record::value(gzip_bomb()),
    ]);

    let finished = source.check(&["--format", "json"], 2);

    let report: Value = serde_json::from_slice(&finished.stdout).unwrap();
    let found = findings(&report["sources"][0]);
    for (id, severe, said) in [
        ("secret-bodies", "warning", "1 of 4 events"),
        ("clock-ahead", "warning", "1 of 4 events are ahead of their record, or of now"),
        ("late-arrival", "warning", "1 h 0 min (most)"),
        ("empty-records", "note", "1 of 7 records"),
        ("single-partition", "note", "1 partition"),
        ("unreadable-records", "warning", "1 `decompression-limit`"),
    ] {
        let finding = found.get(id).unwrap_or_else(|| panic!("no `{id}`: {found:#?}"));
        let text = finding["text"].as_str().unwrap();
        assert!(finding["severity"] == severe && text.contains(said), "{finding:#}");
    }
    let text = found["unreadable-records"]["text"].as_str().unwrap();
    assert!(text.contains(&format!("the first at {}/0@5: ", source.topic())), "{text}");
    let everything = finished.stdout_text() + &finished.stderr;
    assert!(!everything.contains("hunter2"), "no body is shown");
}

#[test]
fn what_is_older_is_left_out() {
    let source = Source::new("doctor", broker::shared(), "doctor-last", 2);
    let old = (0..20).map(|n| Record::value(blind_exec(&format!("{n}"))).at(T0 + n).partition(0));
    source.produce(&old.collect::<Vec<_>>());
    let records = |arguments: &[&str], code| {
        let report = source.json(arguments, code);
        let of_topic = &report["sources"][0];
        let ids: Vec<String> = findings(of_topic).into_keys().collect();
        (of_topic["sample"]["records"].as_u64().unwrap(), ids)
    };
    let (count, ids) = records(&["--last", "1h"], 1);
    assert!(count == 0 && ids.contains(&"no-records".to_owned()), "{count} {ids:?}");
    let (count, ids) = records(&[], 1);
    assert!(count == 20 && ids.contains(&"stale-topic".to_owned()), "{count} {ids:?}");

    source.produce(&[Record::value(now(&exec_event("new"))).partition(0)]);

    let (count, ids) = records(&["--last", "1h"], 0);
    assert!(count == 1 && ids.contains(&"execs".to_owned()), "{count} {ids:?}");
    assert_eq!(records(&["--from", "2026-03-01T08:00:00.015Z"], 0).0, 6);
}

#[test]
fn each_topic_is_judged_by_itself() {
    let kafka = broker::shared();
    let mut source = Source::new("doctor", kafka, "doctor-topics", 1);
    let other = format!("{}.other", source.prefix);
    kafka.create_topic(&other, 2, &[]);
    source.extra = vec![format!("source.topics=[\"{}\", \"{other}\"]", source.topic())];
    source.produce(&[Record::value(now(&exec_event("one")))]);
    kafka.produce(&other, &[Record::value(now(&secret_event("two", "ada")))]);

    let report = source.json(&[], 0);

    let sources = report["sources"].as_array().unwrap();
    let [first, second] = sources.as_slice() else { panic!("{report:#}") };
    assert_eq!((&first["name"], &second["name"]), (&json!(source.topic()), &json!(other)));
    let (of_first, of_second) = (findings(first), findings(second));
    assert!(of_first.contains_key("execs") && of_first.contains_key("no-secret-reads"));
    assert!(of_second.contains_key("no-execs") && of_second.contains_key("secret-reads"));
}

#[test]
fn a_record_that_does_not_name_its_cluster_is_told() {
    let mut source = Source::new("doctor", broker::shared(), "doctor-cluster", 1);
    let named = Record::value(now(&exec_event("one"))).header("origin", "prod-eu-1");
    let field = changed(&now(&exec_event("two")), |event| event["origin"] = "prod-eu-1".into());
    source.produce(&[named, Record::value(field), Record::value(now(&exec_event("three")))]);
    let said = |source: &Source<'_>| {
        let report = source.json(&[], 0);
        let found = findings(&report["sources"][0]);
        found.get("unnamed-cluster").map(|it| it["text"].as_str().unwrap().to_owned())
    };
    assert_eq!(said(&source), None);
    for from in ["header:origin", "field:/origin"] {
        source.extra = vec![format!("source.cluster_from={from}")];
        let said = said(&source).unwrap_or_default();
        assert!(said.starts_with("2 of 3 records do not name their cluster"), "{from}: {said}");
    }
}

#[test]
fn no_right_to_a_group_is_needed_and_one_to_the_topic_is() {
    let kafka = Broker::start(Options { security: Security::Acl, ..Options::default() });
    let mut source = Source::new("doctor", &kafka, "doctor-rights", 2);
    source.produce(&[Record::value(now(&exec_event("one"))).partition(1)]);
    source.extra = kafka
        .security_properties(NOBODY)
        .into_iter()
        .map(|(name, value)| format!("kafka.properties.{name}={value:?}"))
        .collect();
    let refused = source.check(&[], 78);
    assert!(refused.stderr.contains("no right to"), "{}", refused.stderr);
    assert!(refused.stderr.contains("\nhint: "), "{}", refused.stderr);
    assert!(!refused.stderr.contains(NOBODY.1), "no password is shown");

    kafka.allow(NOBODY.0, &["Read"], ["--topic", &source.topic()]);

    assert_eq!(source.json(&[], 0)["sources"][0]["sample"]["events"], 1);
}

#[test]
fn a_missing_topic_is_told_and_not_made() {
    let kafka = broker::shared();
    let mut source = Source::new("doctor", kafka, "doctor-missing", 1);
    let missing = format!("{}.missing", source.prefix);
    source.extra = vec![format!("source.topics=[\"{}\", \"{missing}\"]", source.topic())];

    let refused = source.check(&[], 78);

    assert!(refused.stderr.contains(&missing), "{}", refused.stderr);
    assert!(refused.stdout.is_empty(), "{}", refused.stdout_text());
    assert!(!kafka.topics(&missing).contains_key(&missing));
}

#[test]
fn a_signal_ends_the_reading_of_a_topic_with_what_is_known_by_then() {
    let kafka = Broker::start(Options::default());
    let source = Source::new("doctor", &kafka, "doctor-signal", 1);
    source.produce(&[Record::value(now(&exec_event("one")))]);
    // More than is read between the first line of the log and the freeze.
    kafka.produce_load(&source.topic(), 300_000, 1_000);
    let process = source.spawn(&["--sample", "1000000", "--format", "json"]);
    process.wait_for_stderr(DEADLINE, |line| line.contains("reading a partition"));
    kafka.freeze();

    process.signal(Signal::INT);
    let finished = process.wait(DEADLINE);

    kafka.thaw();
    assert_eq!(finished.code(), Some(2), "{}", finished.stderr);
    let report: Value = serde_json::from_slice(&finished.stdout).unwrap();
    assert_eq!(report["partial"], true);
    assert!(finished.stderr.contains("stopped by a signal"), "{}", finished.stderr);
    let records = report["sources"][0]["sample"]["records"].as_u64().unwrap_or(0);
    assert!(records < 300_001, "{records}");
}
