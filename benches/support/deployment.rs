//! A kubetell of its own on a broker: a fresh group, fresh topics for what it writes, fresh state.
//! And what it raised, read back and compared with what the log holds.

use std::collections::{BTreeMap, BTreeSet};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Message, Offset, TopicPartitionList};
use serde::Deserialize;

use kubetell::position::Position;

use crate::audit::Expected;
use crate::kafka::DEADLINE;
use crate::kafka::broker::Broker;
use crate::kafka::process::{Process, kubetell};

/// The topic that all deployments read.
pub const SOURCE: &str = "kubernetes-audit";
/// Partitions of every topic, where nothing else is said.
pub const PARTITIONS: u32 = 12;
/// The broker says when a record was appended, for the alerts as for the source: both are times of
/// one clock, in whole milliseconds.
pub const APPEND_TIME: (&str, &str) = ("message.timestamp.type", "LogAppendTime");

/// Creates a topic whose records bear the time of their append.
pub fn create_topic(broker: &Broker, topic: &str, partitions: u32) {
    broker.create_topic(topic, i32::try_from(partitions).unwrap(), &[APPEND_TIME]);
}

pub struct Deployment {
    pub group: String,
    pub alerts: String,
    pub observations: String,
    pub dead_letters: String,
    state: tempfile::TempDir,
    settings: Vec<String>,
}

impl Deployment {
    /// Makes the topics, as they are there whenever a service starts again. `settings` are further
    /// `KEY=VALUE`.
    pub fn new(broker: &Broker, name: &str, settings: &[String]) -> Deployment {
        let state = tempfile::tempdir().unwrap();
        let topic = |role: &str| format!("{name}.{role}");
        let mut deployment = Deployment {
            group: name.to_owned(),
            alerts: topic("alerts"),
            observations: topic("observations"),
            dead_letters: topic("dead-letters"),
            settings: Vec::new(),
            state,
        };
        deployment.settings = vec![
            "cluster=bench".to_owned(),
            format!("kafka.bootstrap_servers={}", broker.bootstrap()),
            format!("kafka.group_id={name}"),
            format!("source.topics=[\"{SOURCE}\"]"),
            format!("alerts.topic={}", deployment.alerts),
            format!("observations.topic={}", deployment.observations),
            "observations.replication_factor=1".to_owned(),
            format!("dead_letters.topic={}", deployment.dead_letters),
            format!("state.directory={}", deployment.state.path().display()),
            "new_terms.learning=0s".to_owned(),
        ];
        deployment.settings.extend(settings.iter().cloned());
        create_topic(broker, &deployment.alerts, PARTITIONS);
        let created = Process::spawn(kubetell(&deployment.arguments(&["topics", "create"])));
        let finished = created.wait(DEADLINE);
        assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
        deployment
    }

    fn arguments<'a>(&'a self, command: &[&'a str]) -> Vec<&'a str> {
        let settings = self.settings.iter().flat_map(|setting| ["--set", setting.as_str()]);
        command.iter().copied().chain(settings).collect()
    }

    /// Starts `kubetell run`.
    pub fn run(&self) -> Process {
        Process::spawn(kubetell(&self.arguments(&["run"])))
    }

    /// The name of the group that reads the observations.
    pub fn terms_group(&self) -> String {
        format!("{}-terms", self.group)
    }

    /// Every record of the alerts topic, each partition in its order.
    pub fn raised(&self, broker: &Broker) -> Vec<Alert> {
        let mut alerts = Vec::new();
        broker.read_all(&self.alerts, |message| {
            let value: Value = serde_json::from_slice(message.payload().unwrap()).unwrap();
            let Position::Kafka { partition, offset, .. } = value.kubetell.position else {
                panic!("an alert of a file")
            };
            alerts.push(Alert {
                id: value.event.id,
                rule: value.rule.id,
                audit_id: value.kubernetes.audit.audit_id,
                terms: value.kubetell.new_terms,
                source: (partition, offset),
                appended_ms: message.timestamp().to_millis().unwrap(),
            });
        });
        alerts
    }

    /// Records in the dead-letter topic.
    pub fn dead_letters(&self, broker: &Broker) -> i64 {
        let watermarks = broker.watermarks(&self.dead_letters).unwrap();
        watermarks.values().map(|(start, end)| end - start).sum()
    }
}

/// One record of the alerts topic.
#[derive(Debug, Clone)]
pub struct Alert {
    pub id: String,
    pub rule: String,
    pub audit_id: String,
    pub terms: Vec<String>,
    /// Partition and offset of the source record.
    #[allow(dead_code)]
    pub source: (i32, i64),
    pub appended_ms: i64,
}

pub const EXEC: &str = "pod-exec-sensitive-path";
pub const TERMS: &str = "secret-access-unusual-client";

#[derive(Deserialize)]
struct Value {
    event: Id,
    rule: Id,
    kubernetes: Kubernetes,
    kubetell: Kubetell,
}

#[derive(Deserialize)]
struct Id {
    id: String,
}

#[derive(Deserialize)]
struct Kubernetes {
    audit: Audit,
}

#[derive(Deserialize)]
struct Audit {
    #[serde(rename = "auditID")]
    audit_id: String,
}

#[derive(Deserialize)]
struct Kubetell {
    position: Position,
    #[serde(default)]
    new_terms: Vec<String>,
}

/// The first record of each alert, of those of one rule.
pub fn first_of<'a>(alerts: &'a [Alert], rule: &str) -> BTreeMap<&'a str, &'a Alert> {
    let mut first: BTreeMap<&str, &Alert> = BTreeMap::new();
    for alert in alerts.iter().filter(|alert| alert.rule == rule) {
        first
            .entry(&alert.id)
            .and_modify(|known| {
                if alert.appended_ms < known.appended_ms {
                    *known = alert;
                }
            })
            .or_insert(alert);
    }
    first
}

/// What is wrong with what was raised; empty where it is exactly what was expected: these execs,
/// these terms, one alert id for each, and no dead letters.
pub fn differences(alerts: &[Alert], dead_letters: i64, expected: &Expected) -> Vec<String> {
    let mut wrong = Vec::new();
    let (execs, terms) = (first_of(alerts, EXEC), first_of(alerts, TERMS));
    let raised: BTreeSet<&str> = execs.values().map(|alert| alert.audit_id.as_str()).collect();
    let wanted: BTreeSet<&str> = expected.execs.iter().map(String::as_str).collect();
    compare("execs", &raised, &wanted, execs.len(), &mut wrong);
    let raised: BTreeSet<Vec<&str>> =
        terms.values().map(|alert| alert.terms.iter().map(String::as_str).collect()).collect();
    let wanted: BTreeSet<Vec<&str>> =
        expected.terms.iter().map(|terms| terms.iter().map(String::as_str).collect()).collect();
    compare("new terms", &raised, &wanted, terms.len(), &mut wrong);
    let others = alerts.iter().filter(|alert| alert.rule != EXEC && alert.rule != TERMS).count();
    if others > 0 {
        wrong.push(format!("{others} alerts of other rules"));
    }
    if dead_letters > 0 {
        wrong.push(format!("{dead_letters} dead letters"));
    }
    wrong
}

fn compare<T: Ord + std::fmt::Debug>(
    what: &str,
    raised: &BTreeSet<T>,
    wanted: &BTreeSet<T>,
    ids: usize,
    wrong: &mut Vec<String>,
) {
    for (side, count, example) in [
        ("missing", wanted.difference(raised).count(), wanted.difference(raised).next()),
        ("too many", raised.difference(wanted).count(), raised.difference(wanted).next()),
    ] {
        if let Some(example) = example {
            wrong.push(format!("{count} {what} {side}, such as {example:?}"));
        }
    }
    if ids != wanted.len() {
        wrong.push(format!("{ids} alert ids of {} {what}", wanted.len()));
    }
}

/// How far a group has committed a topic, asked as often as one likes.
pub struct Progress {
    client: BaseConsumer,
    asked: TopicPartitionList,
}

impl Progress {
    pub fn new(broker: &Broker, group: &str, topic: &str, partitions: u32) -> Progress {
        let client = broker.client_config().set("group.id", group).create().unwrap();
        let mut asked = TopicPartitionList::new();
        for partition in 0..i32::try_from(partitions).unwrap() {
            asked.add_partition(topic, partition);
        }
        Progress { client, asked }
    }

    /// Records committed, where the topic begins at 0.
    pub fn committed(&self) -> i64 {
        let Ok(committed) = self.client.committed_offsets(self.asked.clone(), DEADLINE) else {
            return 0;
        };
        let offset = |offset| if let Offset::Offset(offset) = offset { offset } else { 0 };
        committed.elements().iter().map(|element| offset(element.offset())).sum()
    }
}
