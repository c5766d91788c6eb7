//! `kubetell state` on a real Kafka, beside instances that run.
//!
//! The oracle for what is in a topic is Kafka's own console consumer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;

use kubetell::clock;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;

use crate::kafka::broker::{self, Broker, NOBODY, Options, Security};
use crate::kafka::client::{Record, block_on};
use crate::kafka::process::{Finished, Process, kubetell};
use crate::kafka::server::reserved_ports;
use crate::kafka::{DEADLINE, unique};
use crate::support::{self, eventually, json_lines};

/// A stream with topics, groups and a state directory of its own, whose rules learn for a week.
struct Stream<'k> {
    kafka: &'k Broker,
    prefix: String,
    dir: tempfile::TempDir,
    partitions: i32,
    extra: Vec<String>,
}

impl<'k> Stream<'k> {
    fn new(kafka: &'k Broker, name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let stream = Stream { kafka, prefix: unique(name), dir, partitions: 3, extra: Vec::new() };
        let audit = stream.topic("audit");
        kafka.create_topic(&audit, 2, &[]);
        eventually(DEADLINE, "the broker knows the topic", || stream.partitions_of(&audit) == 2);
        stream
    }

    fn topic(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn spawn(&self, command: &[&str]) -> Process {
        let mut arguments: Vec<String> = command.iter().map(|text| (*text).to_owned()).collect();
        let settings = [
            format!("kafka.bootstrap_servers={}", self.kafka.bootstrap()),
            format!("kafka.group_id={}", self.prefix),
            format!("source.topics=[\"{}\"]", self.topic("audit")),
            format!("alerts.topic={}", self.topic("alerts")),
            format!("observations.topic={}", self.topic("observations")),
            format!("observations.partitions={}", self.partitions),
            "observations.replication_factor=1".to_owned(),
            format!("dead_letters.topic={}", self.topic("dead")),
            format!("state.directory={}", self.file("state").display()),
            "new_terms.learning=7d".to_owned(),
            "cluster=test".to_owned(),
        ];
        for setting in settings.iter().chain(&self.extra) {
            arguments.extend(["--set".to_owned(), setting.clone()]);
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut command = kubetell(&arguments);
        command.env("KUBETELL_LOG", "kubetell=debug,warn");
        Process::spawn(command)
    }

    /// Runs a command to its end, which has to be this one.
    fn check(&self, command: &[&str], code: i32) -> Finished {
        let finished = self.spawn(command).wait(DEADLINE);
        let stdout = finished.stdout_text();
        assert_eq!(finished.code(), Some(code), "{command:?}\n{stdout}\n{}", finished.stderr);
        finished
    }

    fn make_topics(&self) {
        self.check(&["topics", "create"], 0);
    }

    fn show(&self) -> Value {
        serde_json::from_slice(&self.check(&["state", "show", "--format", "json"], 0).stdout)
            .unwrap()
    }

    /// The whole baseline, and its lines but the header without what says when.
    fn export(&self, name: &str) -> (Vec<Value>, String) {
        let path = self.file(name);
        let finished = self.check(&["state", "export", "--output", path.to_str().unwrap()], 0);
        assert!(finished.stdout.is_empty());
        let text = std::fs::read_to_string(path).unwrap();
        let terms = text.lines().skip(1).map(|line| {
            let (term, time) = line.split_once(r#","append_time":""#).unwrap();
            assert!(time.ends_with("Z\"}"), "{time}");
            format!("{term}\n")
        });
        (json_lines(text.as_bytes()), terms.collect())
    }

    fn produce(&self, events: &[Vec<u8>]) {
        let records: Vec<Record> =
            events.iter().map(|event| Record::value(event.clone())).collect();
        self.kafka.produce(&self.topic("audit"), &records);
    }

    /// Whether a group has committed everything of a topic.
    fn committed(&self, group: &str, topic: &str) -> bool {
        let mut config = self.kafka.client_config();
        let consumer: BaseConsumer = config.set("group.id", group).create().unwrap();
        let mut asked = TopicPartitionList::new();
        for partition in 0..self.partitions_of(topic) {
            asked.add_partition(topic, partition);
        }
        let Ok(committed) = consumer.committed_offsets(asked, DEADLINE) else { return false };
        committed.count() > 0
            && committed.elements().iter().all(|element| {
                let bounds = consumer.fetch_watermarks(topic, element.partition(), DEADLINE);
                bounds.is_ok_and(|(_, end)| element.offset() == Offset::Offset(end) || end == 0)
            })
    }

    /// 0: there is no such topic.
    fn partitions_of(&self, topic: &str) -> i32 {
        let consumer: BaseConsumer = self.kafka.client_config().create().unwrap();
        let metadata = consumer.fetch_metadata(Some(topic), DEADLINE).unwrap();
        i32::try_from(metadata.topics()[0].partitions().len()).unwrap()
    }

    fn wait_until_read(&self) {
        eventually(DEADLINE, "both groups have read everything", || {
            self.committed(&self.prefix, &self.topic("audit"))
                && self.committed(&format!("{}-terms", self.prefix), &self.topic("observations"))
        });
    }

    /// Users who were alerted on.
    fn alerted(&self) -> BTreeSet<String> {
        let alerts = self.kafka.consume_all(&self.topic("alerts"));
        alerts
            .iter()
            .map(|alert| {
                let alert: Value = serde_json::from_str(alert.value_text()).unwrap();
                alert["user"]["name"].as_str().unwrap().to_owned()
            })
            .collect()
    }

    fn delete_observations(&self) {
        self.kafka.delete_topic(&self.topic("observations"));
    }
}

/// A read of a secret so long ago, with the secret in the event.
fn read(user: &str, id: &str, ago_ms: i64) -> Vec<u8> {
    let mut event: Value = serde_json::from_slice(&support::secret_event(id, user)).unwrap();
    let time = jiff::Timestamp::from_millisecond(clock::now_ms() - ago_ms).unwrap();
    event["requestReceivedTimestamp"] = time.to_string().into();
    event["stageTimestamp"] = time.to_string().into();
    event["responseObject"] = serde_json::json!({ "data": { "password": "aHVudGVyMg==" } });
    event.to_string().into_bytes()
}

fn reads(users: impl IntoIterator<Item = &'static str>, id: &str) -> Vec<Vec<u8>> {
    users.into_iter().map(|user| read(user, &format!("{id}-{user}"), 0)).collect()
}

const DAY_MS: i64 = 86_400_000;
const KNOWN: [&str; 6] = ["ada", "bob", "eve", "kim", "sam", "zoë \"z\""];

fn lines(events: &[Vec<u8>]) -> Vec<u8> {
    events.iter().flat_map(|event| [event.as_slice(), b"\n"].concat()).collect()
}

#[test]
fn a_baseline_comes_back_as_it_was_and_ends_learning() {
    let kafka = broker::shared();
    let stream = Stream::new(kafka, "round");
    let run = stream.spawn(&["run"]);
    stream.produce(&reads(KNOWN, "first"));
    stream.wait_until_read();
    let shown = stream.show();
    assert_eq!(shown["totals"]["terms"], 6);
    let learning = shown["rules"][0]["learning"].as_array().unwrap();
    assert!(learning.iter().all(|one| one["learns"] == true), "{shown:#}");
    let (before, terms) = stream.export("before.ndjson");
    assert_eq!((before[0]["terms"].as_u64(), before.len()), (Some(6), 7));
    assert!(!terms.contains("aHVudGVyMg"), "no bodies");
    assert_eq!(run.terminate(DEADLINE).code(), Some(0));
    assert_eq!(stream.alerted(), BTreeSet::new(), "everything was learned");

    // Another log under the same name, with the group's offsets and the view still there.
    stream.delete_observations();
    stream.make_topics();
    let path = stream.file("before.ndjson");
    let imported =
        stream.check(&["state", "import", "--format", "json", path.to_str().unwrap()], 0);
    let imported: Value = serde_json::from_slice(&imported.stdout).unwrap();
    assert_eq!(imported["written"], 6);
    assert_eq!((&imported["markers"], &imported["new_logs"]), (&3.into(), &3.into()));
    assert_eq!(imported["rules"][0]["learning_ended"], true);
    let (after, terms_after) = stream.export("after.ndjson");
    assert_eq!(terms, terms_after);
    for name in ["topic", "partitions", "hash_version", "terms", "format"] {
        assert_eq!(before[0][name], after[0][name], "{name}");
    }
    assert_ne!(before[0]["log_ids"], after[0]["log_ids"]);

    let run = stream.spawn(&["run"]);
    stream.produce(&reads(KNOWN.into_iter().chain(["mallory"]), "third"));
    stream.wait_until_read();
    let finished = run.terminate(DEADLINE);
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    assert_eq!(stream.alerted(), BTreeSet::from(["mallory".to_owned()]));
}

#[test]
fn a_baseline_fits_any_number_of_partitions() {
    let kafka = broker::shared();
    let mut stream = Stream::new(kafka, "reshard");
    stream.make_topics();
    let log = stream.file("audit.log");
    std::fs::write(&log, lines(&reads(KNOWN, "first"))).unwrap();
    stream.check(&["state", "import", log.to_str().unwrap()], 0);
    // Another record of a term: the later one counts.
    let second = stream.file("second.log");
    std::fs::write(&second, lines(&reads(["ada"], "second"))).unwrap();
    stream.check(&["state", "import", second.to_str().unwrap()], 0);
    let (_, terms) = stream.export("three.ndjson");
    assert!(terms.contains(r#""auditID":"second-ada""#) && !terms.contains("first-ada"));

    // The count of the log is part of the state: with another one nothing may be added.
    let admin: AdminClient<DefaultClientContext> = kafka.client_config().create().unwrap();
    let topic = stream.topic("observations");
    let more = NewPartitions::new(&topic, 5);
    block_on(admin.create_partitions([&more], &AdminOptions::new())).unwrap();
    stream.partitions = 5;
    eventually(DEADLINE, "the topic has 5 partitions", || stream.partitions_of(&topic) == 5);
    let refused = stream.check(&["state", "import", log.to_str().unwrap()], 78);
    for says in ["has 5 partitions, but its log began with 3", "hint: ", "state export"] {
        assert!(refused.stderr.contains(says), "{}", refused.stderr);
    }
    // What is there can be looked at and taken along.
    let (_, more) = stream.export("more.ndjson");
    assert_eq!(more, terms);
    let shown = stream.check(&["state", "show"], 0);
    assert!(shown.stderr.contains("its log began with 3"), "{}", shown.stderr);
    stream.delete_observations();
    stream.make_topics();
    let path = stream.file("more.ndjson");
    stream.check(&["state", "import", path.to_str().unwrap()], 0);
    let (header, again) = stream.export("five.ndjson");
    assert_eq!(again, terms);
    assert_eq!(header[0]["partitions"], 5);
}

#[test]
fn audit_logs_become_history_beside_running_instances() {
    let kafka = broker::shared();
    let stream = Stream::new(kafka, "history");
    let run = stream.spawn(&["run"]);
    stream.produce(&reads(["ada"], "live"));
    eventually(DEADLINE, "every log of observations has its marker", || {
        let ends = kafka.watermarks(&stream.topic("observations"));
        ends.is_ok_and(|ends| ends.len() == 3 && ends.values().all(|(_, end)| *end > 0))
    });
    stream.wait_until_read();
    let old = stream.show();

    // Compressed, in a wrapper, with something unreadable, something old and a repetition.
    let list = format!(
        r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[{},{}]}}"#,
        String::from_utf8(read("bob", "h1", DAY_MS)).unwrap(),
        String::from_utf8(read("bob", "h2", 2 * DAY_MS)).unwrap()
    );
    let more = lines(&[read("kim", "h3", 6 * DAY_MS), read("gone", "h4", 8 * DAY_MS)]);
    let log = [list.as_bytes(), b"\n{\"kind\":\n", &more].concat();
    let directory = stream.file("logs");
    std::fs::create_dir(&directory).unwrap();
    let mut file = flate2::write::GzEncoder::new(
        std::fs::File::create(directory.join("audit.log.gz")).unwrap(),
        flate2::Compression::fast(),
    );
    file.write_all(&log).unwrap();
    file.finish().unwrap();
    let directory = directory.to_str().unwrap();

    let json = stream.check(&["state", "import", "--dry-run", "--format", "json", directory], 2);
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&json["written"], &json["dry_run"]), (&2.into(), &true.into()));
    assert_eq!(json["terms"][0]["terms"][1], "bob");
    let ends = kafka.topic_offsets(&stream.topic("observations"));
    let dry = stream.check(&["state", "import", "--dry-run", directory], 2);
    assert_eq!(kafka.topic_offsets(&stream.topic("observations")), ends, "nothing is written");
    let text = dry.stdout_text();
    for says in ["user.name=bob", "user.name=kim", "to be written  2 terms", "ends"] {
        assert!(text.contains(says), "`{says}` is not in {text}");
    }
    assert!(!text.contains("user.name=gone"), "{text}");

    let imported = stream.check(&["state", "import", "--format", "json", directory], 2);
    assert!(imported.stderr.contains("audit.log.gz:2: not read: "), "{}", imported.stderr);
    let imported: Value = serde_json::from_slice(&imported.stdout).unwrap();
    assert_eq!(imported["read"]["events"], 4);
    assert_eq!(imported["read"]["outside_window"], 1);
    assert_eq!((&imported["written"], &imported["new_logs"]), (&2.into(), &0.into()));
    stream.wait_until_read();

    let shown = stream.show();
    let learning = shown["rules"][0]["learning"].as_array().unwrap().clone();
    assert_eq!(learning.len(), 3, "{shown:#}");
    assert!(learning.iter().all(|one| one["learns"] == false && one["since"].is_null()));
    assert_eq!((&shown["totals"]["terms"], &shown["totals"]["lag"]), (&3.into(), &0.into()));
    for (before, after) in
        old["partitions"].as_array().unwrap().iter().zip(shown["partitions"].as_array().unwrap())
    {
        assert_eq!(before["log_id"], after["log_id"], "a log keeps its id");
    }
    // Importing again does no harm.
    stream.check(&["state", "import", directory], 2);
    stream.produce(&reads(["ada", "bob", "kim", "gone", "mallory"], "now"));
    stream.wait_until_read();
    assert_eq!(run.terminate(DEADLINE).code(), Some(0));
    let expected = ["gone", "mallory"].map(str::to_owned);
    assert_eq!(stream.alerted(), BTreeSet::from(expected));
    for record in kafka.consume_all(&stream.topic("observations")) {
        assert!(!record.value_text().contains("aHVudGVyMg"), "a body in {}", record.key_text());
    }

    // The terms one by one.
    let all = stream.check(&["state", "show", "--terms", "--format", "json"], 0);
    let all: Value = serde_json::from_slice(&all.stdout).unwrap();
    let of = |user: &str| {
        let terms = all["terms"].as_array().unwrap();
        terms
            .iter()
            .find(|term| term["terms"][1] == user)
            .unwrap_or_else(|| panic!("{user}"))
            .clone()
    };
    assert_eq!(all["terms"].as_array().unwrap().len(), 5);
    assert_eq!((&of("bob")["raised"], &of("mallory")["raised"]), (&false.into(), &true.into()));
    let bob = stream.check(&["state", "show", "--user", "bob"], 0).stdout_text();
    assert!(bob.contains("user.name=bob") && !bob.contains("user.name=ada"), "{bob}");
    let some = stream.check(&["state", "show", "--limit", "2"], 0);
    assert_eq!(some.stdout_text().matches("user.name=").count(), 2);
    assert!(some.stderr.contains("3 more terms are not listed"), "{}", some.stderr);
}

#[test]
fn an_import_may_leave_learning_or_end_it_for_every_rule() {
    let kafka = broker::shared();
    let stream = Stream::new(kafka, "learning");
    stream.make_topics();
    let (log, empty) = (stream.file("audit.log"), stream.file("empty.log"));
    std::fs::write(&log, lines(&reads(["ada"], "first"))).unwrap();
    std::fs::write(&empty, support::quiet_event()).unwrap();
    let learning = || {
        let shown = stream.show();
        let learning = shown["rules"][0]["learning"].as_array().unwrap();
        learning.iter().filter(|one| one["since"].is_null()).count()
    };
    stream.check(&["state", "import", "--keep-learning", log.to_str().unwrap()], 0);
    assert_eq!(learning(), 0);
    stream.check(&["state", "import", empty.to_str().unwrap()], 0);
    assert_eq!(learning(), 0, "nothing of a rule was imported");
    stream.check(&["state", "import", "--learned", empty.to_str().unwrap()], 0);
    assert_eq!(learning(), 3);
}

#[test]
fn a_view_is_thrown_away_only_while_no_instance_uses_it() {
    let kafka = broker::shared();
    let stream = Stream::new(kafka, "rebuild");
    let run = stream.spawn(&["run"]);
    stream.produce(&reads(KNOWN, "first"));
    stream.wait_until_read();
    let refused = stream.check(&["state", "rebuild", "--yes"], 78);
    assert!(refused.stderr.contains("in use by another process"), "{}", refused.stderr);
    assert!(refused.stderr.contains("hint: stop the instance"), "{}", refused.stderr);
    assert_eq!(run.terminate(DEADLINE).code(), Some(0));

    let unasked = stream.check(&["state", "rebuild"], 64);
    assert!(unasked.stderr.contains("hint: `--yes`"), "{}", unasked.stderr);
    assert!(stream.file("state").join("terms").exists());
    let done = stream.check(&["state", "rebuild", "--yes"], 0);
    assert!(done.stdout_text().starts_with("removed "), "{}", done.stdout_text());
    assert!(!stream.file("state").join("terms").exists());
    let nothing = stream.check(&["state", "rebuild"], 0);
    assert!(nothing.stderr.contains("there is no view"), "{}", nothing.stderr);

    // The next start folds it anew; what was learned stays learned, and is not learned again.
    let path = stream.file("b.ndjson");
    stream.export("b.ndjson");
    stream.check(&["state", "import", path.to_str().unwrap()], 0);
    let run = stream.spawn(&["run"]);
    stream.produce(&reads(KNOWN.into_iter().chain(["mallory"]), "second"));
    stream.wait_until_read();
    let finished = run.terminate(DEADLINE);
    assert!(finished.stderr.contains("keep_view: false"), "{}", finished.stderr);
    assert_eq!(stream.alerted(), BTreeSet::from(["mallory".to_owned()]));
}

#[test]
fn what_keeps_a_state_command_from_its_work_is_said() {
    let kafka = broker::shared();
    let mut stream = Stream::new(kafka, "state-refused");
    let log = stream.file("audit.log");
    std::fs::write(&log, lines(&reads(["ada"], "first"))).unwrap();
    let log = log.to_str().unwrap();
    for command in [&["state", "show"][..], &["state", "export"], &["state", "import", log]] {
        let refused = stream.check(command, 78);
        assert!(refused.stdout.is_empty());
        assert!(refused.stderr.contains("does not exist"), "{}", refused.stderr);
        assert!(
            refused.stderr.contains("hint: run `kubetell topics create`"),
            "{}",
            refused.stderr
        );
    }
    let unwritable = stream.check(&["state", "export", "--output", "/nowhere/b.ndjson"], 64);
    assert!(
        unwritable.stderr.contains("cannot write `/nowhere/b.ndjson`"),
        "{}",
        unwritable.stderr
    );
    stream.make_topics();
    let missing = stream.check(&["state", "import", "/nowhere/audit.log"], 2);
    assert!(missing.stderr.contains("/nowhere/audit.log: not read: "), "{}", missing.stderr);

    // A topic without the settings that keep terms is looked at, and not added to.
    let by_hand = stream.topic("by-hand");
    kafka.create_topic(&by_hand, 3, &[("cleanup.policy", "delete")]);
    eventually(DEADLINE, "the broker knows the topic", || stream.partitions_of(&by_hand) == 3);
    let observations = format!("observations.topic={by_hand}");
    stream.extra = vec![observations];
    let refused = stream.check(&["state", "import", log], 78);
    assert!(refused.stderr.contains("kafka-configs.sh"), "{}", refused.stderr);
    // Whatever else is written there is said, and is no term.
    kafka.produce(&by_hand, &[Record::value("{}").key("[\"other\"]").partition(1)]);
    for command in [&["state", "show"][..], &["state", "export"]] {
        let partial = stream.check(command, 2);
        let place =
            format!("{by_hand}, partition 1, offset 0: not read: the key is not one of ours");
        assert!(partial.stderr.contains(&place), "{}", partial.stderr);
    }
    // Nobody listens on a port that was free a moment ago.
    let [port] = reserved_ports();
    stream.extra = vec![format!("kafka.bootstrap_servers=127.0.0.1:{port}")];
    let unreachable = stream.check(&["state", "show"], 69);
    assert!(unreachable.stderr.contains("no broker"), "{}", unreachable.stderr);
}

#[test]
fn rights_that_are_missing_are_named() {
    let kafka = Broker::start(Options { security: Security::Acl, ..Options::default() });
    let mut stream = Stream::new(&kafka, "state-rights");
    let login = |user| -> Vec<String> {
        let properties = kafka.security_properties(user);
        properties.iter().map(|(key, value)| format!("kafka.properties.{key}={value}")).collect()
    };
    stream.extra = login(broker::ADMIN);
    stream.make_topics();
    let log = stream.file("audit.log");
    std::fs::write(&log, lines(&reads(["ada"], "first"))).unwrap();
    let log = log.to_str().unwrap();
    stream.check(&["state", "import", log], 0);

    stream.extra = login(NOBODY);
    let refused = stream.check(&["state", "show"], 78);
    assert!(
        refused.stderr.contains("no right to use the observations topic"),
        "{}",
        refused.stderr
    );
    let topic = stream.topic("observations");
    kafka.allow(NOBODY.0, &["Read", "DescribeConfigs"], ["--topic", &topic]);
    let exported = stream.check(&["state", "export"], 0);
    assert_eq!(json_lines(&exported.stdout).len(), 2);
    let refused = stream.check(&["state", "show"], 78);
    let group = format!("no right to use the consumer group `{}-terms`", stream.prefix);
    assert!(refused.stderr.contains(&group), "{}", refused.stderr);
    let refused = stream.check(&["state", "import", log], 78);
    assert!(refused.stderr.contains("no right to write to the topic"), "{}", refused.stderr);
}
