//! `kubetell backtest` on a real Kafka. The oracle for what rules raise is `kubetell scan`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::{Value, json};

use crate::kafka::DEADLINE;
use crate::kafka::broker::{self, Broker, NOBODY, Options, Security};
use crate::kafka::client::Record;
use crate::kafka::process::Signal;
use crate::reading::Source;
use crate::support::{exec_event, json_lines, program, secret_event};

/// 2026-03-01T08:00:00Z.
const T0: i64 = 1_772_352_000_000;
const HOUR_MS: i64 = 3_600_000;
const MINUTE_MS: i64 = 60_000;

/// An event at a time by a user.
fn event(bare: &[u8], time_ms: i64, user: &str) -> Vec<u8> {
    let mut event: Value = serde_json::from_slice(bare).unwrap();
    let time = jiff::Timestamp::from_millisecond(time_ms).unwrap().to_string();
    event["requestReceivedTimestamp"] = time.clone().into();
    event["stageTimestamp"] = time.into();
    event["user"]["username"] = user.into();
    event.to_string().into_bytes()
}

/// An exec of a sensitive file, written when it was received.
fn exec(audit_id: &str, time_ms: i64, user: &str) -> Record {
    Record::value(event(&exec_event(audit_id), time_ms, user)).at(time_ms)
}

/// Counts of `rules`, `users` or `hours`, by their names.
fn counts(report: &Value, list: &str, name: &str) -> BTreeMap<String, u64> {
    let items = report[list].as_array().unwrap().iter();
    let counts = items
        .map(|item| (item[name].as_str().unwrap().to_owned(), item["current"].as_u64().unwrap()));
    counts.filter(|(_, count)| *count > 0).collect()
}

fn expected(counts: &[(&str, u64)]) -> BTreeMap<String, u64> {
    counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

/// Records that no consumer is shown, the marks of transactions, and at the end of the log one that
/// is open for as long as the producer is kept.
fn produce_in_transactions(source: &Source<'_>, partition: i32, times: &[i64]) -> BaseProducer {
    let mut config = source.kafka.client_config();
    config.set("transactional.id", &source.prefix);
    // The open one stays open until nobody looks at it any more.
    config.set("transaction.timeout.ms", "600000");
    let producer: BaseProducer = config.create().unwrap();
    producer.init_transactions(DEADLINE).unwrap();
    for name in ["committed", "aborted", "open"] {
        producer.begin_transaction().unwrap();
        for time in times {
            let Record { value, .. } = exec(&format!("{name}-{time}"), *time, name);
            let (topic, value) = (source.topic(), value.unwrap());
            let record: BaseRecord<'_, (), Vec<u8>> =
                BaseRecord::to(&topic).partition(partition).timestamp(*time).payload(&value);
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(DEADLINE).unwrap();
        match name {
            "committed" => producer.commit_transaction(DEADLINE).unwrap(),
            "aborted" => producer.abort_transaction(DEADLINE).unwrap(),
            _ => {}
        }
    }
    producer
}

#[test]
fn a_range_of_time_is_counted_twice_alike_and_nothing_is_left_behind() {
    let kafka = broker::shared();
    let source = Source::new("backtest", kafka, "backtest", 5);
    let mut records = Vec::new();
    // Partitions 0 and 1: an exec every half hour, by a user an hour.
    for step in 0..20 {
        let time = T0 + step * HOUR_MS / 2;
        let user = format!("user-{}", step / 2);
        let partition = i32::try_from(step % 2).unwrap();
        records.push(exec(&format!("at-{step}"), time, &user).partition(partition));
        if step == 10 {
            // One that was late, behind a record past the end.
            records.push(exec("late", T0 + 4 * HOUR_MS, "late").partition(0));
            // And the copy of one that is there.
            records.push(exec("at-4", T0 + 2 * HOUR_MS, "user-2").partition(1));
        }
    }
    // One that was later still: less than 1,000 records are between.
    records.push(exec("too-late", T0 + 4 * HOUR_MS, "late").partition(0));
    // Partition 2: what cannot be read, what is no event, and what is empty.
    let at = T0 + 3 * HOUR_MS;
    records.push(Record::value("no audit event").partition(2).at(at));
    records.push(Record::value("nor this").partition(2).at(at));
    records.push(Record::default().key("tombstone").partition(2).at(at));
    // Partition 4 stays empty.
    source.produce(&records);
    let times = [T0, T0 + 3 * HOUR_MS, T0 + 9 * HOUR_MS];
    let _open = produce_in_transactions(&source, 3, &times);
    let range = ["--from", "2026-03-01T10:00:00Z", "--to", "2026-03-01T13:00:00Z"];

    let first = source.check(&[&range[..], &["--format", "json"]].concat(), 2);
    let again = source.check(&[&range[..], &["--format", "json", "--jobs", "1"]].concat(), 2);

    assert_eq!(first.stdout_text(), again.stdout_text());
    let report: Value = serde_json::from_slice(&first.stdout).unwrap();
    assert_eq!(
        counts(&report, "rules", "id"),
        // Six half hours, the late ones, the committed one.
        expected(&[("pod-exec-sensitive-path", 9)])
    );
    assert_eq!(
        counts(&report, "users", "user"),
        expected(&[("user-2", 2), ("user-3", 2), ("user-4", 2), ("late", 2), ("committed", 1)])
    );
    assert_eq!(
        counts(&report, "hours", "hour"),
        expected(&[
            ("2026-03-01T10:00:00Z", 2),
            ("2026-03-01T11:00:00Z", 3),
            ("2026-03-01T12:00:00Z", 4),
        ])
    );
    let read = &report["read"];
    assert_eq!((&read["records"], &read["tombstones"]), (&json!(13), &json!(1)));
    let unreadable = report["unreadable"].as_array().unwrap();
    let records: u64 = unreadable.iter().map(|class| class["records"].as_u64().unwrap()).sum();
    assert_eq!((records, &unreadable[0]["partition"]), (2, &json!(2)), "{unreadable:?}");
    assert_eq!(unreadable[0]["offset"], 0);
    for partition in report["partitions"].as_array().unwrap() {
        assert_eq!(partition["read_to_offset"], partition["to_offset"], "{partition}");
        assert_eq!(partition["range_cut"], false);
    }

    let text = source.check(&range, 2).stdout_text();
    assert!(text.contains("\n9 alerts\n"), "{text}");

    // To the very end, where marks of transactions stand, and past it.
    let whole = source.json(&["--from", "2026-03-01", "--history", "0s"], 2);
    let committed = counts(&whole, "users", "user")["committed"];
    assert_eq!((&whole["alerts"]["current"], committed), (&json!(25), 3));
    for partition in whole["partitions"].as_array().unwrap() {
        assert_eq!(partition["read_to_offset"], partition["to_offset"], "{partition}");
    }

    let own: Vec<String> = kafka.topics(&source.prefix).into_keys().collect();
    assert_eq!(own, [source.topic()], "no topic was made");
    let client: BaseConsumer = kafka.client_config().create().unwrap();
    let groups = client.fetch_group_list(None, DEADLINE).unwrap();
    let names = groups.groups().iter().map(|group| group.name().to_owned());
    let own: Vec<String> = names.filter(|name| name.starts_with(&source.prefix)).collect();
    assert!(own.is_empty(), "no group was joined, and nothing committed: {own:?}");
    assert!(!source.dir.path().join("state").exists(), "no state directory");
}

const RULE: &str = r#"
id = "ID"
uuid = "5a3e2c60-3d0e-4c5c-9f0f-3b1d6f3f9a11"
name = "A test"
version = "1.0.0"
license = "Apache-2.0"
severity = "low"
risk_score = 21
description = "A test."
type = "query"
query = '''QUERY'''
"#;

fn rule(id: &str, query: &str) -> String {
    RULE.replace("ID", id).replace("QUERY", query)
}

#[test]
fn a_candidate_is_compared_over_the_same_read() {
    let kafka = broker::shared();
    let mut source = Source::new("backtest", kafka, "backtest-candidate", 3);
    let users = ["ada", "bob", "eve"];
    let mut records = Vec::new();
    for step in 0..30 {
        let time = T0 + step * MINUTE_MS;
        let user = users[usize::try_from(step).unwrap() % 3];
        let partition = i32::try_from(step / 7 % 3).unwrap();
        records.push(exec(&format!("at-{step}"), time, user).partition(partition));
    }
    source.produce(&records);
    let current = source.write("current/execs.toml", &rule("execs", "user.name:(ada or bob)"));
    source.write("candidate/execs.toml", &rule("execs", "user.name:(bob or eve)"));
    source.write("candidate/more/eve.toml", &rule("all-of-eve", "user.name:eve"));
    // Of eve's ten, three minutes apart each.
    let quiet = rule("quiet", "user.name:eve");
    let quiet = format!("{quiet}suppress = {{ by = [\"user.name\"], for = \"10m\" }}\n");
    source.write("candidate/quiet.toml", &quiet);
    let candidate = source.dir.path().join("candidate");
    source.extra.push(format!("rules=[\"{}\"]", current.display()));
    let candidate = candidate.to_str().unwrap();
    let arguments = ["--from", "2026-03-01", "--candidate", candidate, "--examples", "2"];

    let report = source.json(&arguments, 0);

    assert_eq!(
        report["alerts"],
        json!({"current": 50, "candidate": 63, "both": 40, "only_current": 10, "only_candidate": 23})
    );
    let rules = report["rules"].as_array().unwrap();
    let of = |id: &str| {
        let rule = rules.iter().find(|rule| rule["id"] == id).unwrap();
        let shares = ["current", "candidate", "both", "only_current", "only_candidate"];
        (shares.map(|share| rule[share].as_u64().unwrap()), rule["in_current"].as_bool().unwrap())
    };
    assert_eq!(of("execs"), ([20, 20, 10, 10, 10], true));
    assert_eq!(of("all-of-eve"), ([0, 10, 0, 0, 10], false));
    assert_eq!(of("pod-exec-sensitive-path"), ([30, 30, 30, 0, 0], true));
    assert_eq!(of("quiet"), ([0, 3, 0, 0, 3], false));
    assert_eq!(report["withheld"], json!({"current": 0, "candidate": 7}));
    let execs = rules.iter().find(|rule| rule["id"] == "execs").unwrap();
    let examples = execs["examples"].as_array().unwrap().iter();
    let shown: Vec<_> = examples
        .map(|one| (one["share"].as_str().unwrap(), one["audit_id"].as_str().unwrap()))
        .collect();
    assert_eq!(
        shown,
        [
            ("only_current", "at-0"),
            ("only_current", "at-3"),
            ("only_candidate", "at-2"),
            ("only_candidate", "at-5"),
            ("both", "at-1"),
            ("both", "at-4"),
        ]
    );
    let first = &execs["examples"][0];
    assert_eq!(
        (&first["user"], &first["what"], &first["offset"]),
        (&json!("ada"), &json!("get pods/exec n/p: cat /etc/shadow"), &json!(0))
    );

    let text = source.check(&arguments, 0).stdout_text();
    assert!(text.contains("\nonly the candidate raises\n"), "{text}");

    let only = source.json(&[&arguments[..], &["--only", "all-of-eve"]].concat(), 0);
    assert_eq!((&only["alerts"]["current"], &only["alerts"]["candidate"]), (&json!(0), &json!(10)));
    let unknown = source.check(&[&arguments[..], &["--only", "all-of-ev"]].concat(), 64);
    assert!(unknown.stderr.contains("did you mean `all-of-eve`?"), "{}", unknown.stderr);
    source.write("candidate/wrong.toml", "id = 1");
    source.check(&arguments, 78);
}

/// New terms of three users over ten days, with gaps longer than the window.
fn reads() -> Vec<(i64, Vec<u8>)> {
    let mut reads = Vec::new();
    for (user, hours) in
        [("ada", vec![0, 5, 30, 170, 239]), ("bob", vec![2, 235]), ("eve", vec![200, 201, 238])]
    {
        for hour in hours {
            let time = T0 + hour * HOUR_MS;
            let id = format!("{user}-{hour}");
            reads.push((time, event(&secret_event(&id, user), time, user)));
            let id = format!("exec-{user}-{hour}");
            reads.push((time + 1, event(&exec_event(&id), time + 1, user)));
        }
    }
    reads.sort();
    reads
}

#[test]
fn new_terms_are_those_of_a_scan_whatever_partition_they_lie_in() {
    let kafka = broker::shared();
    let mut source = Source::new("backtest", kafka, "backtest-terms", 4);
    let other = format!("{}.other", source.prefix);
    kafka.create_topic(&other, 1, &[("retention.ms", "-1")]);
    source.extra.push(format!("source.topics=[\"{}\", \"{other}\"]", source.topic()));
    let reads = reads();
    for (number, (time, event)) in (0..).zip(&reads) {
        let record = Record::value(event.clone()).at(*time);
        match number % 5 {
            4 => kafka.produce(&other, &[record]),
            partition => source.produce(&[record.partition(partition)]),
        }
    }
    let log = reads.iter().flat_map(|(_, event)| [event, &b"\n"[..]].concat());
    let log = source.write("audit.log", &String::from_utf8(log.collect()).unwrap());
    let scan = program(&["scan", "--format", "ecs", log.to_str().unwrap()]).output().unwrap();
    let mut scanned = BTreeMap::<String, u64>::new();
    for alert in json_lines(&scan.stdout) {
        *scanned.entry(alert["rule"]["id"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert_eq!(scanned["secret-access-unusual-client"], 4, "{scanned:?}");

    let whole = source.json(&["--from", "2026-03-01"], 0);

    assert_eq!(counts(&whole, "rules", "id"), scanned);

    // The last day: what was known in the week before is not new.
    let last_day = ["--from", "2026-03-10T08:00:00Z", "--to", "2026-03-11T08:00:00Z"];
    let report = source.json(&last_day, 0);
    let new = ("secret-access-unusual-client", 1);
    let terms = |report: &Value| {
        let examples = report["rules"].as_array().unwrap().iter();
        let of_rule = examples.filter(|rule| rule["id"] == new.0);
        of_rule.map(|rule| rule["current"].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!(terms(&report), new.1, "only bob's was longer ago: {report:#}");
    assert_eq!(report["range"]["history_from"], "2026-03-03T08:00:00Z");
    assert!(report["read"]["history_records"].as_u64() > Some(0));
    let without = source.check(&[&last_day[..], &["--history", "0s"]].concat(), 0);
    assert!(without.stderr.contains("no history is read"), "{}", without.stderr);
    let without = source.json(&[&last_day[..], &["--history", "0s"]].concat(), 0);
    assert_eq!(terms(&without), 3);
}

#[test]
fn exceptions_hold_as_in_a_scan_and_are_counted() {
    let kafka = broker::shared();
    let mut source = Source::new("backtest", kafka, "backtest-exceptions", 1);
    let reads = reads();
    for (time, event) in &reads {
        source.produce(&[Record::value(event.clone()).at(*time).partition(0)]);
    }
    let exceptions = source.write(
        "exceptions.toml",
        "[[exception]]\nid = \"ada\"\nrule = \"*\"\nuser = \"ada\"\nreason = \"r\"\n\
         [[exception]]\nid = \"eve\"\nrule = \"secret-access-unusual-client\"\nuser = \"eve\"\n\
         expires = 2026-03-09T16:30:00Z\nreason = \"Until her second read.\"\n",
    );
    let exceptions = exceptions.to_str().unwrap();
    let log = reads.iter().flat_map(|(_, event)| [event, &b"\n"[..]].concat());
    let log = source.write("audit.log", &String::from_utf8(log.collect()).unwrap());
    let arguments = ["scan", "--format", "ecs", "--exceptions", exceptions];
    let scan = program(&[&arguments[..], &[log.to_str().unwrap()]].concat()).output().unwrap();
    let mut scanned = BTreeMap::<String, u64>::new();
    for alert in json_lines(&scan.stdout) {
        *scanned.entry(alert["rule"]["id"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    source.extra.push(format!("exceptions=[\"{exceptions}\"]"));

    let report = source.json(&["--from", "2026-03-01"], 0);

    // Both of bob's, who was away for a week; what eve read while she was excepted is known.
    let rules = [("pod-exec-sensitive-path", 5), ("secret-access-unusual-client", 2)];
    assert_eq!(scanned, expected(&rules));
    assert_eq!(counts(&report, "rules", "id"), scanned);
    let held: BTreeMap<String, u64> = serde_json::from_value(report["excepted"].clone()).unwrap();
    assert_eq!(held, expected(&[("ada", 10), ("eve", 1)]));

    // Of a candidate that lacks the rule the others hold.
    let own = source.write("next/r.toml", &rule("reads", "event.action:get and user.name:ada"));
    let compared = source.check(&["--from", "2026-03-01", "--candidate", own.to_str().unwrap()], 0);
    assert!(compared.stderr.contains("exceptions held of events"), "{}", compared.stderr);
}

#[test]
fn what_retention_has_taken_is_told() {
    let kafka = broker::shared();
    let source = Source::new("backtest", kafka, "backtest-retention", 2);
    let at = |hour: i64, partition: i32| {
        exec(&format!("{hour}-{partition}"), T0 + hour * HOUR_MS, "ada").partition(partition)
    };
    source.produce(&[at(0, 0), at(1, 0), at(0, 1), at(1, 1)]);
    kafka.empty_topic(&source.topic(), 2);
    source.produce(&[at(4, 0), at(5, 0), at(9, 1)]);

    let range = ["--from", "2026-03-01T08:00:00Z", "--to", "2026-03-01T14:00:00Z"];
    let cut = source.check(&range, 0);
    let said = "2 of 2 partitions begin later than the range";
    assert!(cut.stderr.contains(said), "{}", cut.stderr);
    assert!(cut.stderr.contains("is whole from 2026-03-01T12:00:00Z on"), "{}", cut.stderr);
    assert!(cut.stdout_text().contains("\n2 alerts\n"), "{}", cut.stdout_text());

    let range = ["--from", "2026-03-01T13:00:00Z", "--to", "2026-03-01T14:00:00Z"];
    let report = source.json(&range, 0);
    let cut = |name: &str| {
        let partitions = report["partitions"].as_array().unwrap().iter();
        partitions.map(|partition| partition[name].as_bool().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!((cut("range_cut"), cut("history_cut")), (vec![false, true], vec![true, true]));
    assert_eq!(report["alerts"]["current"], 1);
}

#[test]
fn what_is_deleted_while_it_is_read_is_counted() {
    let kafka = broker::shared();
    let source = Source::new("backtest", kafka, "backtest-deleted", 1);
    source.produce(&[exec("first", T0, "ada")]);
    // More than is fetched ahead.
    kafka.produce_load(&source.topic(), 300_000, 1_000);
    let process = source.spawn(&["--from", "2026-03-01", "--format", "json"]);
    process.wait_for_stderr(DEADLINE, |line| line.contains("reading a partition"));
    process.signal(Signal::STOP);
    kafka.empty_topic(&source.topic(), 1);
    process.signal(Signal::CONT);

    let finished = process.wait(DEADLINE);

    assert_eq!(finished.code(), Some(2), "{}", finished.stderr);
    let report: Value = serde_json::from_slice(&finished.stdout).unwrap();
    let (lost, partition) = (report["read"]["lost"].as_u64().unwrap(), &report["partitions"][0]);
    let records = report["read"]["records"].as_u64().unwrap();
    assert!(lost > 0, "{records} records were read");
    assert_eq!((lost + records, &partition["read_to_offset"]), (300_001, &json!(300_001)));
    assert!(finished.stderr.contains(&format!("{lost} records were deleted by retention")));
}

#[test]
fn no_right_to_a_group_is_needed_and_one_to_the_topic_is() {
    let kafka = Broker::start(Options { security: Security::Acl, ..Options::default() });
    let mut source = Source::new("backtest", &kafka, "backtest-rights", 2);
    source.produce(&[exec("one", T0, "ada").partition(0), exec("two", T0, "ada").partition(1)]);
    source.extra = kafka
        .security_properties(NOBODY)
        .into_iter()
        .map(|(name, value)| format!("kafka.properties.{name}={value:?}"))
        .collect();
    let refused = source.check(&["--from", "2026-03-01"], 78);
    assert!(refused.stderr.contains("no right to"), "{}", refused.stderr);
    assert!(refused.stderr.contains("\nhint: "), "{}", refused.stderr);

    kafka.allow(NOBODY.0, &["Read"], ["--topic", &source.topic()]);

    assert_eq!(source.json(&["--from", "2026-03-01"], 0)["alerts"]["current"], 2);
}

#[test]
fn a_missing_topic_is_told_and_not_made() {
    let kafka = broker::shared();
    let mut source = Source::new("backtest", kafka, "backtest-missing", 1);
    let missing = format!("{}.missing", source.prefix);
    source.extra = vec![format!("source.topics=[\"{}\", \"{missing}\"]", source.topic())];

    let refused = source.check(&["--last", "1h"], 78);

    assert!(refused.stderr.contains(&missing), "{}", refused.stderr);
    assert!(!kafka.topics(&missing).contains_key(&missing));
}

#[test]
fn a_signal_ends_it_with_what_is_known_by_then() {
    let kafka = Broker::start(Options::default());
    let source = Source::new("backtest", &kafka, "backtest-signal", 1);
    source.produce(&[exec("one", T0, "ada")]);
    // More than is read between the first line of the log and the freeze.
    kafka.produce_load(&source.topic(), 300_000, 1_000);
    let process = source.spawn(&["--from", "2026-03-01", "--format", "json"]);
    process.wait_for_stderr(DEADLINE, |line| line.contains("reading a partition"));
    kafka.freeze();

    process.signal(Signal::INT);
    let finished = process.wait(DEADLINE);

    kafka.thaw();
    assert_eq!(finished.code(), Some(2), "{}", finished.stderr);
    let report: Value = serde_json::from_slice(&finished.stdout).unwrap();
    assert_eq!(report["partial"], true);
    assert!(finished.stderr.contains("stopped by a signal"), "{}", finished.stderr);
    let partition = &report["partitions"][0];
    assert!(partition["read_to_offset"].as_i64() < partition["to_offset"].as_i64(), "{partition}");
}

#[test]
fn a_record_with_a_wrong_date_hides_none_of_those_behind_it() {
    let source = Source::new("backtest", broker::shared(), "backtest-dated", 1);
    let day: jiff::Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
    let at = |hours: i64| day.as_millisecond() + hours * 3_600_000;
    // The first one is dated three days ahead.
    let mut records = vec![exec("ahead", at(72), "zoe")];
    records.extend((0..23).map(|hour| exec(&format!("in-{hour}"), at(hour), "ann")));
    records.extend((26..30).map(|hour| exec(&format!("behind-{hour}"), at(hour), "bob")));
    source.produce(&records);
    let range = ["--from", "2026-03-01", "--to", "2026-03-02", "--history", "0s"];
    let report = source.json(&range, 0);
    assert_eq!(counts(&report, "users", "user"), expected(&[("ann", 23)]), "{report}");
}
