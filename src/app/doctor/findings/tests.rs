//! Each finding is raised by a sample that deserves it, and none but praise by a healthy one.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::ids::{Id, Input};
use super::*;
use crate::app::doctor::tally::Record;
use crate::rules::set::RuleSet;

/// 2026-03-01T08:00:00Z.
const T0: i64 = 1_772_352_000_000;
const REQUESTS: i64 = 60;
const ABOUT_BODIES: &str = include_str!("../../../../tests/fixtures/rules/own/privileged-pod.toml");

/// A record before it is counted.
struct Made {
    payload: Option<Vec<u8>>,
    event: Value,
    record_ms: Option<i64>,
    partition: usize,
}

struct Sample {
    records: Vec<Made>,
    partitions: Option<usize>,
    now_ms: i64,
    more_rules: Vec<(&'static str, String)>,
    lost: u64,
    lacks_cluster: bool,
}

fn time(ms: i64) -> Value {
    jiff::Timestamp::from_millisecond(ms).unwrap().to_string().into()
}

/// A minute of a cluster: execs, reads of Secrets, other requests, by people from all over.
fn healthy() -> Sample {
    let people = ["ada", "bob", "eve", "kim", "max", "zoe"];
    let mut records = Vec::new();
    for number in 0..REQUESTS {
        let at = T0 + number * 1_000;
        let person = usize::try_from(number).unwrap() % people.len();
        let (verb, object, uri) = match number % 3 {
            0 => (
                "get",
                json!({ "resource": "pods", "subresource": "exec", "namespace": "n", "name": "p" }),
                "/api/v1/namespaces/n/pods/p/exec?command=id&container=c",
            ),
            1 => (
                "list",
                json!({ "resource": "secrets", "namespace": "n" }),
                "/api/v1/namespaces/n/secrets",
            ),
            _ => (
                "create",
                json!({ "resource": "pods", "namespace": "n", "name": "p" }),
                "/api/v1/namespaces/n/pods",
            ),
        };
        for (stage, after_ms) in [("ResponseStarted", 5), ("ResponseComplete", 20)] {
            let event = json!({
                "kind": "Event",
                "apiVersion": "audit.k8s.io/v1",
                "level": "Metadata",
                "auditID": format!("id-{number}"),
                "stage": stage,
                "requestURI": uri,
                "verb": verb,
                "user": { "username": people[person] },
                "sourceIPs": [format!("203.0.113.{person}")],
                "userAgent": "kubectl/v1.34.1",
                "objectRef": object,
                "requestReceivedTimestamp": time(at),
                "stageTimestamp": time(at + after_ms),
            });
            records.push(Made {
                payload: None,
                event,
                record_ms: Some(at + 300),
                partition: usize::try_from(number).unwrap() / 3 % 4,
            });
        }
    }
    Sample {
        records,
        partitions: Some(4),
        now_ms: T0 + 90_000,
        more_rules: Vec::new(),
        lost: 0,
        lacks_cluster: false,
    }
}

impl Sample {
    // Not all of a tally's fields are in sight.
    #[allow(clippy::field_reassign_with_default)]
    fn find(&self) -> Vec<Finding> {
        let own: Vec<(&str, &str)> =
            self.more_rules.iter().map(|(file, text)| (*file, text.as_str())).collect();
        let rules = RuleSet::builtin().unwrap();
        let rules = rules.merged(RuleSet::from_sources(own).unwrap()).unwrap();
        let mut tally = Tally::default();
        tally.lost = self.lost;
        for (number, made) in self.records.iter().enumerate() {
            let event = made.event.to_string().into_bytes();
            let payload = match (&made.payload, &made.event) {
                (Some(payload), _) => Some(payload.as_slice()),
                (None, Value::Null) => None,
                (None, _) => Some(event.as_slice()),
            };
            let record = Record {
                payload,
                record_ms: made.record_ms,
                now_ms: self.now_ms,
                partition: Some(made.partition),
                concerned: true,
                lacks_cluster: self.lacks_cluster,
                place: &|| format!("t/{}@{number}", made.partition),
            };
            tally.record(&record, None);
        }
        let facts = Facts { now_ms: self.now_ms, partitions: self.partitions };
        find(&tally, &Needs::of(&rules), facts)
    }

    /// Every event of this resource and subresource; an empty one means all.
    fn each(&mut self, resource: &str, change: impl Fn(&mut Value)) {
        for made in &mut self.records {
            let object = &made.event["objectRef"];
            let subresource = object["subresource"].as_str().map(|it| format!("/{it}"));
            let kind = format!(
                "{}{}",
                object["resource"].as_str().unwrap_or_default(),
                subresource.unwrap_or_default()
            );
            if resource.is_empty() || kind == resource {
                change(&mut made.event);
            }
        }
    }

    /// What another producer wrote.
    fn also(&mut self, payload: &[u8]) {
        let payload = Some(payload.to_vec());
        let record_ms = Some(T0 + 60_000);
        self.records.push(Made { payload, event: Value::Null, record_ms, partition: 0 });
    }
}

fn without(field: &'static str) -> impl Fn(&mut Value) {
    move |event| drop(event.as_object_mut().unwrap().remove(field))
}

#[test]
fn a_healthy_sample_is_praised_and_nothing_else() {
    let found = healthy().find();
    assert!(found.iter().all(|finding| finding.severity == Severity::Ok), "{found:#?}");
    let praise = [Id::Readable, Id::Execs, Id::SecretReads, Id::Fields, Id::Clocks, Id::Load];
    let ids: Vec<&str> = found.iter().map(|finding| finding.id).collect();
    assert_eq!(ids, praise.map(Id::as_str));
    let load = found.last().unwrap();
    // Two records a second, but that the sample of a partition ends with its last one.
    assert!(load.text.starts_with("2.") && load.text.contains("120 of 120 records"), "{load:?}");
}

#[test]
fn no_load_is_told_of_a_sample_that_is_too_short() {
    let check = |what: &str, is_told: bool, change: Harm| {
        let mut sample = healthy();
        change(&mut sample);
        let ids: Vec<&str> = sample.find().iter().map(|finding| finding.id).collect();
        let of_load = [Id::Load, Id::ShortSample, Id::UnevenPartitions, Id::MorePartitions];
        let said: Vec<&str> =
            of_load.map(Id::as_str).into_iter().filter(|id| ids.contains(id)).collect();
        let id = if is_told { Id::Load } else { Id::ShortSample };
        assert_eq!(said, [id.as_str()], "{what}");
    };
    check("a minute", true, |_| {});
    check("nine events within 34 ms", false, |it| {
        it.records.truncate(9);
        for (number, made) in it.records.iter_mut().enumerate() {
            made.record_ms = Some(T0 + i64::try_from(number).unwrap() * 4);
            made.partition = 3;
        }
    });
    check("a file that was sent to the topic at once", false, |it| {
        it.records.iter_mut().for_each(|made| made.record_ms = Some(T0));
    });
    check("the same, after a few records of long before", false, |it| {
        it.records.iter_mut().skip(9).for_each(|made| made.record_ms = Some(T0 + 3_600_000));
        it.now_ms = T0 + 3_610_000;
    });
    check("a partition that has just begun", true, |it| {
        let last = it.records.len() - 1;
        it.records[last].partition = 4;
        it.records[last - 1].partition = 4;
    });
}

/// What makes the healthy sample one that has the finding.
type Harm = fn(&mut Sample);

#[test]
fn each_finding_is_raised_by_a_sample_that_deserves_it() {
    use Severity::{Error, Note, Ok, Warning};
    let exec = "pod-exec-sensitive-path";
    let secrets = "secret-access-unusual-client";
    let (both, none): (&[&str], &[&str]) = (&[exec, secrets], &[]);
    let cases: &[(Id, Severity, &[&str], &str, Harm)] = &[
        (Id::NoRecords, Error, both, "no record was read", |it| it.records.clear()),
        (Id::NoEvents, Error, both, "none of 1 record holds", |it| {
            it.records.clear();
            it.also(br#"{"messageType":"CONTROL_MESSAGE","logEvents":[]}"#);
        }),
        (Id::UnreadableRecords, Warning, both, "1 of 121 records could not be read", |it| {
            it.also(b"nonsense");
        }),
        (Id::UnreadableRecords, Error, both, "the first at t/0@0: not JSON", |it| {
            it.records.clear();
            it.also(b"nonsense");
        }),
        (Id::CutRecords, Warning, both, "1 of 121 records end in the middle", |it| {
            it.also(br#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"x","verb":"ge"#);
        }),
        (Id::LostRecords, Warning, both, "7 records deleted", |it| it.lost = 7),
        (Id::OtherRecords, Note, none, "1 `control-message`", |it| {
            it.also(br#"{"messageType":"CONTROL_MESSAGE","logEvents":[]}"#);
        }),
        (Id::EmptyRecords, Note, none, "1 of 121 records have no value", |it| {
            it.records.push(Made {
                payload: None,
                event: Value::Null,
                record_ms: Some(T0),
                partition: 0,
            });
        }),
        (Id::NoExecs, Warning, &[exec], "no exec in 120 events", |it| {
            it.each("pods/exec", |event| event["objectRef"]["subresource"] = "log".into());
        }),
        (Id::ExecsWithoutCommand, Error, &[exec], "40 of 40 execs show no command", |it| {
            it.each("pods/exec", without("requestURI"));
        }),
        (
            Id::ExecsWithoutCommand,
            Warning,
            &[exec],
            "2 of 40 execs show no command (5.0 %)",
            |it| {
                it.each("pods/exec", |event| {
                    if event["auditID"] == "id-0" {
                        event["requestURI"] = "/api/v1/namespaces/n/pods/p/exec?container=c".into();
                    }
                });
            },
        ),
        (Id::LateExecs, Note, &[exec], "40 of 40 execs", |it| {
            it.each("pods/exec", |event| event["stage"] = "ResponseComplete".into());
        }),
        (Id::CutUris, Warning, both, "20 of 120 events have", |it| {
            it.each("secrets", |event| {
                if event["stage"] == "ResponseStarted" {
                    event["requestURI"] = "/api/v1/namespaces/n/secrets?labelSelector=%2".into();
                }
            });
        }),
        (Id::NoSecretReads, Warning, &[secrets], "watches of them: 40", |it| {
            it.each("secrets", |event| event["verb"] = "watch".into());
        }),
        (Id::IncompleteSecretReads, Error, &[secrets], "40 without a source address", |it| {
            it.each("secrets", without("sourceIPs"));
        }),
        (Id::NoRequests, Warning, &["configs"], "no `get` of `configmaps` in 120 events", |it| {
            it.more_rules.push(("configs.toml", terms_rule()));
        }),
        (Id::SecretBodies, Warning, none, "40 of 120 events hold the body of a Secret", |it| {
            it.each("secrets", |event| event["level"] = "RequestResponse".into());
        }),
        (Id::UnusedBodies, Note, none, "of the bytes, in 40 of 120 events", |it| {
            it.each("pods", |event| event["requestObject"] = json!({ "x": "y".repeat(2_000) }));
        }),
        (Id::NoBodies, Error, &["privileged-pod"], "none of 120 events has a body", |it| {
            it.more_rules.push(("privileged-pod.toml", ABOUT_BODIES.to_owned()));
        }),
        (Id::TruncatedEvents, Note, none, "40 of 120 events", |it| {
            let marked = json!({ "audit.k8s.io/truncated": "true" });
            it.each("pods", |event| event["annotations"] = marked.clone());
        }),
        (Id::TruncatedEvents, Warning, &["privileged-pod"], "40 of 120 events", |it| {
            it.more_rules.push(("privileged-pod.toml", ABOUT_BODIES.to_owned()));
            let marked = json!({ "audit.k8s.io/truncated": "true" });
            it.each("pods", |event| event["annotations"] = marked.clone());
        }),
        (Id::MissingUserAgents, Warning, &[secrets], "40 of 120 events have no user agent", |it| {
            it.each("pods", without("userAgent"));
        }),
        (Id::MissingUserAgents, Error, &[secrets], "120 of 120 events have no user", |it| {
            it.each("", without("userAgent"));
        }),
        (Id::MissingSources, Warning, &[secrets], "40 of 120 events have no source", |it| {
            it.each("pods", without("sourceIPs"));
        }),
        (Id::MissingUsers, Warning, &[secrets], "40 of 120 events have no user", |it| {
            it.each("pods", without("user"));
        }),
        (Id::MissingIds, Warning, both, "40 of 120 events have no audit ID", |it| {
            it.each("pods", without("auditID"));
        }),
        (Id::MissingTimes, Warning, both, "40 of 120 events have no time", |it| {
            it.each("pods", |event| {
                without("requestReceivedTimestamp")(event);
                without("stageTimestamp")(event);
            });
        }),
        (Id::ForwardedSources, Note, &[secrets], "40 of 120 events have several", |it| {
            it.each("pods", |event| event["sourceIPs"] = json!(["203.0.113.1", "10.0.0.1"]));
        }),
        (Id::SharedSource, Warning, &[secrets], "come from the address 198.51.100.7", |it| {
            it.each("", |event| event["sourceIPs"] = json!(["198.51.100.7"]));
        }),
        (Id::NoSourceAddress, Warning, &[secrets], "40 of 120 events have a source", |it| {
            it.each("pods", |event| event["sourceIPs"] = json!(["203.0.113.1:443"]));
        }),
        (Id::PrivateSources, Note, &[secrets], "all 120 events of 6 people", |it| {
            it.each("", |event| {
                let user = event["user"]["username"].as_str().unwrap();
                event["sourceIPs"] = json!([format!("10.0.0.{}", user.as_bytes()[0])]);
            });
        }),
        (Id::ClockAhead, Warning, both, "40 of 120 events are ahead of their record", |it| {
            it.each("pods", |event| event["stageTimestamp"] = time(T0 + 3_600_000));
        }),
        (Id::RecordsAhead, Warning, &[secrets], "120 of 120 records are ahead of now", |it| {
            it.records.iter_mut().for_each(|made| made.record_ms = Some(T0 + 3_600_000));
        }),
        (Id::LateArrival, Note, both, "(95 in 100)", |it| {
            it.records.iter_mut().for_each(|made| *made.record_ms.as_mut().unwrap() += 20_000);
        }),
        (Id::LateArrival, Warning, both, "(95 in 100)", |it| {
            it.now_ms += 600_000;
            it.records.iter_mut().for_each(|made| *made.record_ms.as_mut().unwrap() += 600_000);
        }),
        (Id::StaleTopic, Warning, both, "the newest record is 2 h 0 min old", |it| {
            it.now_ms = T0 + 59_300 + 7_200_000;
        }),
        (Id::UnnamedCluster, Warning, both, "120 of 120 records do not name", |it| {
            it.lacks_cluster = true;
        }),
        (Id::DuplicateEvents, Note, both, "120 of 240 events are copies", |it| {
            for number in 0..it.records.len() {
                let Made { event, record_ms, partition, .. } = &it.records[number];
                let (event, record_ms, partition) = (event.clone(), *record_ms, *partition);
                it.records.push(Made { payload: None, event, record_ms, partition });
            }
        }),
        (Id::OnlyReceived, Warning, both, "all 120 events are of the stage", |it| {
            it.each("", |event| event["stage"] = "RequestReceived".into());
        }),
        (Id::OldApiVersion, Note, none, "120 of 120 events", |it| {
            it.each("", |event| event["apiVersion"] = "audit.k8s.io/v1beta1".into());
        }),
        (Id::LargeRecords, Warning, both, "the largest record has", |it| {
            it.records[0].event["requestObject"] = json!({ "x": "y".repeat(900_000) });
        }),
        (Id::SinglePartition, Note, none, "1 partition", |it| it.partitions = Some(1)),
        (Id::MorePartitions, Note, none, "2 would carry", |it| {
            it.partitions = Some(1);
            for made in &mut it.records {
                (made.record_ms, made.partition) =
                    (made.record_ms.map(|ms| T0 + (ms - T0) / 10), 0);
            }
            it.each("", |event| event["requestObject"] = json!({ "x": "y".repeat(600_000) }));
        }),
        (Id::UnevenPartitions, Note, none, "partition 3 has", |it| {
            it.partitions = Some(12);
            for made in &mut it.records {
                (made.record_ms, made.partition) =
                    (made.record_ms.map(|ms| T0 + (ms - T0) / 10), 3);
            }
        }),
        (Id::Readable, Ok, none, "all of 120 records could be read, 120 events", |_| {}),
        (Id::Execs, Ok, none, "40 events of execs", |_| {}),
        (Id::SecretReads, Ok, none, "40 events of reads", |_| {}),
        (Id::Fields, Ok, none, "120 events", |_| {}),
        (Id::Clocks, Ok, none, "(median)", |_| {}),
        (Id::Load, Ok, none, "events and", |_| {}),
        (Id::ShortSample, Note, none, "9 records, too few", |it| it.records.truncate(9)),
    ];
    let mut raised = BTreeSet::new();
    for (id, severity, rules, text, harm) in cases {
        let mut sample = healthy();
        harm(&mut sample);
        let found = sample.find();
        let finding = found.iter().find(|finding| finding.id == id.as_str());
        let finding = finding.unwrap_or_else(|| panic!("{id:?} is not raised: {found:#?}"));
        assert_eq!(finding.severity, *severity, "{finding:?}");
        assert_eq!(finding.rules, *rules, "{finding:?}");
        assert!(finding.text.contains(text), "{finding:?}");
        // What is wrong is explained, and the gravest stands first.
        let is_praise = *severity == Ok;
        assert_eq!((finding.means.is_empty(), finding.remedy.is_empty()), (is_praise, is_praise));
        assert!(found.is_sorted_by_key(|finding| finding.severity), "{found:#?}");
        raised.insert(*id);
    }
    let all: BTreeSet<Id> = Id::ALL.iter().copied().collect();
    assert_eq!(raised, all, "each has its case");
}

fn terms_rule() -> String {
    ABOUT_BODIES
        .split("type = ")
        .next()
        .unwrap()
        .replace("privileged-pod", "configs")
        .replace("0c7f1d5e", "1c7f1d5e")
        + r#"
type = "new_terms"
fields = ["user.name"]
window = "7d"

[match]
resource = "configmaps"
verbs = ["get"]
"#
}

#[test]
fn every_finding_is_documented_and_nothing_else() {
    let documented = include_str!("../../../../docs/doctor.md");
    let rows = documented.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let ids: Vec<&str> = Id::ALL.iter().map(|id| id.as_str()).collect();
    assert_eq!(rows.collect::<Vec<_>>(), ids, "docs/doctor.md lists the ids in this order");
    for id in Id::ALL {
        let row = documented.lines().find(|line| line.starts_with(&format!("| `{}`", id.as_str())));
        let row = row.unwrap();
        for said in [id.means(Input::Topic), id.remedy(Input::Topic)] {
            assert!(row.contains(said), "the row of `{}` lacks: {said}", id.as_str());
        }
    }
}

/// Of a file it was once said that `run` sends what it can't read to the dead letters.
#[test]
fn of_files_nothing_is_said_that_only_topics_have() {
    // What only the brokers tell, and what is judged by partition.
    let of_topics = [
        Id::LostRecords,
        Id::EmptyRecords,
        Id::RecordsAhead,
        Id::LateArrival,
        Id::StaleTopic,
        Id::UnnamedCluster,
        Id::SinglePartition,
        Id::MorePartitions,
        Id::UnevenPartitions,
    ];
    for id in Id::ALL.iter().filter(|id| !of_topics.contains(id)) {
        let said = format!("{} {}", id.means(Input::Files), id.remedy(Input::Files));
        for of_topic in
            ["topic", "dead letter", "`run`", "`source.", "`--from`", "`--last", "partition"]
        {
            assert!(!said.contains(of_topic), "`{}` of files: {said}", id.as_str());
        }
    }
    let mut sample = healthy();
    sample.partitions = None;
    sample.records[0].payload = Some(b"{".to_vec());
    sample.records[1].payload = Some(b"no JSON".to_vec());
    let found = sample.find();
    let unreadable = found.iter().find(|found| found.id == Id::UnreadableRecords.as_str()).unwrap();
    assert_eq!(unreadable.means, "What is in them is seen by no rule.");
    assert!(unreadable.remedy.contains("`kubetell scan --unreadable FILE`"));
}

#[test]
fn figures_read_well() {
    for (part, whole, text) in [
        (0, 7, "0 of 7 x (0 %)"),
        (7, 7, "7 of 7 x (100 %)"),
        (1, 3, "1 of 3 x (33.3 %)"),
        (1, 1_000, "1 of 1000 x (0.10 %)"),
        (1, 1_000_000, "1 of 1000000 x (less than 0.01 %)"),
        (999_999, 1_000_000, "999999 of 1000000 x (more than 99.9 %)"),
        (0, 0, "0 of 0 x (0 %)"),
    ] {
        assert_eq!(of(part, whole, "x"), text);
    }
    assert!(!is_share(0, 0, 1) && is_share(1, 100, 1) && !is_share(1, 101, 1));
}
