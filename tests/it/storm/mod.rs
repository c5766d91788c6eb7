//! A storm: three brokers, three instances of `run` and a steady producer, under kills, restarts,
//! suspensions and lost state directories at random, from a seed. When it is over, every expected
//! alert has to be on the alerts topic and no other.
//!
//! The test here is a short storm, a part of `tests/run`. `tests/storm` runs the same for longer,
//! with any build, and with a fault planted into it, which has to be found. It says what it wants
//! in variables, see [`Plan::from_environment`].
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use kubetell::clock;

use crate::kafka::DEADLINE;
use crate::kafka::broker::Broker;
use crate::kafka::cluster::{Cluster, NODES};
use crate::kafka::process::{Process, kubetell_at};
use crate::support;

mod acts;
mod instance;
mod judgement;
mod report;
mod schedule;
mod sky;

use acts::produce;
use instance::Instance;
use report::{Memory, Report};
use schedule::{BrokerSchedule, InstanceSchedule, SESSION_TIMEOUT_MS};
use sky::{Sky, Wake, add};

const INSTANCES: usize = 3;
const NAMES: [&str; INSTANCES] = ["a", "b", "c"];
const CLUSTER: &str = "storm";
const EXEC_RULE: &str = "pod-exec-sensitive-path";
/// Partitions of the source.
const PARTITIONS: i32 = 12;
/// How long the short storm blows.
const SHORT: Duration = Duration::from_secs(30);
const DEFAULT_SEED: u64 = 1;
/// How often the state of things is said.
const SAY_EVERY: Duration = Duration::from_secs(10);
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// What kind of storm.
struct Plan {
    seed: u64,
    time: Duration,
    /// The kubetell that weathers it.
    program: PathBuf,
    /// A mistake that is planted into the program: then losses or inventions have to be found.
    fault: Option<String>,
    /// Where what the instances said stays; it goes with the test otherwise.
    keep: Option<PathBuf>,
}

impl Plan {
    /// `KUBETELL_STORM_SEED`, `…_MINUTES`, `…_BINARY`, `…_FAULT`, `…_KEEP`; all may be absent.
    fn from_environment() -> Self {
        let variable = |name: &str| {
            let value = std::env::var(format!("KUBETELL_STORM_{name}")).ok();
            value.filter(|value| !value.is_empty())
        };
        let minutes =
            |text: String| text.parse::<f64>().expect("KUBETELL_STORM_MINUTES is a number");
        let seed = |text: String| text.parse().expect("KUBETELL_STORM_SEED is a number");
        Plan {
            seed: variable("SEED").map_or(DEFAULT_SEED, seed),
            time: variable("MINUTES")
                .map_or(SHORT, |text| Duration::from_secs_f64(60.0 * minutes(text))),
            program: variable("BINARY")
                .unwrap_or_else(|| env!("CARGO_BIN_EXE_kubetell").to_owned())
                .into(),
            fault: variable("FAULT"),
            keep: variable("KEEP").map(PathBuf::from),
        }
    }
}

struct Topics {
    source: String,
    alerts: String,
    observations: String,
    dead_letters: String,
    group: String,
}

impl Topics {
    fn settings(&self, kafka: &Broker, state: &Path) -> Vec<String> {
        vec![
            format!("kafka.bootstrap_servers={}", kafka.bootstrap()),
            format!("kafka.group_id={}", self.group),
            format!("kafka.properties.session.timeout.ms={SESSION_TIMEOUT_MS}"),
            "kafka.properties.heartbeat.interval.ms=500".to_owned(),
            format!("source.topics=[\"{}\"]", self.source),
            format!("alerts.topic={}", self.alerts),
            format!("observations.topic={}", self.observations),
            "observations.partitions=6".to_owned(),
            format!("dead_letters.topic={}", self.dead_letters),
            format!("state.directory={}", state.display()),
            "new_terms.learning=0s".to_owned(),
            format!("cluster={CLUSTER}"),
        ]
    }

    /// Both groups, each with the topic that it reads.
    fn groups(&self) -> [(String, &str); 2] {
        [(self.group.clone(), &self.source), (format!("{}-terms", self.group), &self.observations)]
    }

    /// Records that are not committed; `None` while nobody can say.
    fn lag(&self, kafka: &Broker) -> Option<i64> {
        self.groups().iter().map(|(group, topic)| kafka.lag(group, topic).ok()).sum()
    }
}

#[test]
fn a_storm_loses_and_invents_nothing() {
    let plan = Plan::from_environment();
    let report = blow(&plan);
    eprintln!("{report}");
    match &plan.fault {
        None => assert!(report.is_clean(), "the storm found what is listed above"),
        Some(fault) => assert!(
            report.shows_the_fault(),
            "`{fault}` was planted, and the storm found no lost and no invented alert"
        ),
    }
}

fn blow(plan: &Plan) -> Report {
    eprintln!(
        "A storm of {:.1} minutes, seed {}, {}{}",
        plan.time.as_secs_f64() / 60.0,
        plan.seed,
        plan.program.display(),
        plan.fault.as_ref().map_or(String::new(), |fault| format!(", with the fault `{fault}`"))
    );
    let cluster = Cluster::start();
    let topics = Topics {
        source: "audit".to_owned(),
        alerts: "alerts".to_owned(),
        observations: "observations".to_owned(),
        dead_letters: "dead-letters".to_owned(),
        group: "storm".to_owned(),
    };
    let dir = tempfile::tempdir().unwrap();
    let logs = plan.keep.clone().unwrap_or_else(|| dir.path().join("logs"));
    std::fs::create_dir_all(&logs).unwrap();
    let settings = |name: &str| topics.settings(cluster.node(0), &dir.path().join(name));
    prepare(plan, &cluster, &topics, &settings(NAMES[0]));

    let instances: Vec<Instance> = (0..INSTANCES)
        .map(|number| {
            let name = NAMES[number];
            let (settings, program, fault) =
                (settings(name), plan.program.clone(), plan.fault.clone());
            Instance {
                number,
                name,
                command: Box::new(move || command(&program, "run", &settings, fault.as_deref())),
                state: dir.path().join(name),
                log: logs.join(format!("{name}.log")),
                process: None,
                own_ends: Vec::new(),
            }
        })
        .collect();
    let records = logs.join("records.jsonl");
    weather(plan, cluster, &topics, instances, records)
}

/// Makes the topics, as they are made in production.
fn prepare(plan: &Plan, cluster: &Cluster, topics: &Topics, settings: &[String]) {
    cluster.node(0).create_topic(&topics.source, PARTITIONS, &[]);
    let finished =
        Process::spawn(command(&plan.program, "topics create", settings, None)).wait(DEADLINE);
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    let made = cluster.node(0).topic_settings(&topics.observations);
    assert_eq!(made.get("min.insync.replicas").map(String::as_str), Some("2"), "{made:?}");
    support::eventually(DEADLINE, "the cluster is whole", || cluster.is_whole(0));
}

fn command(
    program: &Path,
    verb: &str,
    settings: &[String],
    fault: Option<&str>,
) -> std::process::Command {
    let verb: Vec<&str> = verb.split(' ').collect();
    let mut command = kubetell_at(program, &verb);
    for setting in settings {
        command.args(["--set", setting]);
    }
    if let Some(fault) = fault {
        command.env("KUBETELL_PLANTED_FAULT", fault);
    }
    command
}

fn weather(
    plan: &Plan,
    mut cluster: Cluster,
    topics: &Topics,
    mut instances: Vec<Instance>,
    records: PathBuf,
) -> Report {
    let sky = Sky::new();
    let mut memory = Memory::default();
    let source_config = cluster.node(0).client_config();
    // Where the alerts are counted: the cluster itself is in the hands of its storm.
    let alerts = Alerts { config: source_config.clone(), topic: &topics.alerts };
    for instance in &mut instances {
        instance.start(&sky);
    }
    let produced = std::thread::scope(|scope| {
        let sky = &sky;
        let producer =
            scope.spawn(|| produce(sky, source_config, &topics.source, plan.seed, records));
        scope.spawn(|| strike_brokers(sky, &mut cluster, BrokerSchedule::new(plan.seed)));
        for instance in &mut instances {
            let schedule = InstanceSchedule::new(plan.seed, instance.number);
            scope.spawn(move || instance.weather(sky, schedule));
        }
        watch(sky, plan.time, &mut memory, &alerts);
        producer.join().unwrap()
    });

    let kafka = cluster.node(0);
    sky.say("the storm is over; waiting until everything is read");
    let mut lag = None;
    let mut calm = clock::monotonic() + DEADLINE;
    // As long as something moves it is waited for; lag that stays is judged.
    support::eventually(10 * DEADLINE, "the groups end to read", || {
        instances.iter_mut().for_each(|instance| instance.revive(&sky));
        memory.sample(sky.running());
        let now = topics.lag(kafka);
        if now != lag {
            lag = now;
            calm = clock::monotonic() + DEADLINE;
            sky.say(&format!("lag {}", now.map_or("?".to_owned(), |lag| lag.to_string())));
        }
        now == Some(0) || clock::monotonic() >= calm
    });
    let ends = instances.iter_mut().map(|instance| (instance.name, instance.terminate())).collect();
    sky.say("everything is read, the instances have stopped; judging");
    let judgement = judgement::judge(kafka, topics, &plan.program, &produced);
    for number in 0..NODES {
        let log = produced.file.with_file_name(format!("broker-{}.log", number + 1));
        std::fs::write(log, cluster.node(number).log()).unwrap();
    }
    let own_ends = instances.into_iter().flat_map(|instance| instance.own_ends).collect();
    let lags = topics.groups().map(|(group, _)| {
        // Kafka's own tool has the last word.
        let offsets = kafka.group_offsets(&group).into_values();
        offsets.map(|offset| offset.log_end - offset.committed.unwrap_or(0)).sum()
    });
    Report::new(plan, sky.tally, produced.expected.acts, judgement, lags, memory, own_ends, ends)
}

/// Kills brokers, one at a time, the next only when every replica is in sync again. They all run
/// when the storm is over.
fn strike_brokers(sky: &Sky, cluster: &mut Cluster, schedule: BrokerSchedule) {
    let _guard = sky.ends_with_this_thread();
    for blow in schedule {
        if sky.pause_for(blow.calm) == Wake::Over {
            return;
        }
        let back = clock::monotonic() + blow.down;
        sky.say(&format!(
            "broker {}: kill -9, back in {:.1} s{}",
            blow.node + 1,
            blow.down.as_secs_f64(),
            blow.strike.map_or(String::new(), |(instance, after)| format!(
                ", and {} is killed after {:.1} s",
                NAMES[instance],
                after.as_secs_f64()
            ))
        ));
        cluster.kill(blow.node);
        add(&sky.tally.broker_kills);
        if let Some((instance, after)) = blow.strike
            && sky.pause_for(after) == Wake::Due
        {
            sky.strike(instance);
        }
        sky.pause(back, None);
        cluster.restart(blow.node);
        support::eventually(DEADLINE, "the cluster is whole", || cluster.is_whole(blow.node));
        sky.say(&format!("broker {}: back, every replica in sync", blow.node + 1));
    }
}

/// Says how things are until the time is over, and ends the storm then.
fn watch(sky: &Sky, time: Duration, memory: &mut Memory, alerts: &Alerts<'_>) {
    let _guard = sky.ends_with_this_thread();
    let mut say_at = SAY_EVERY;
    while sky.elapsed() < time && sky.pause_for(SAMPLE_EVERY) != Wake::Over {
        memory.sample(sky.running());
        if sky.elapsed() >= say_at {
            say_at += SAY_EVERY;
            sky.say(&report::progress(&sky.tally, alerts.count(), memory));
        }
    }
    sky.end();
}

/// Counts what is on the alerts topic.
struct Alerts<'t> {
    config: rdkafka::ClientConfig,
    topic: &'t str,
}

impl Alerts<'_> {
    /// `None` while a partition has no leader.
    fn count(&self) -> Option<i64> {
        let wait = Duration::from_secs(1);
        let watermarks = crate::kafka::client::watermarks(&self.config, self.topic, wait).ok()?;
        Some(watermarks.values().map(|(start, end)| end - start).sum())
    }
}
