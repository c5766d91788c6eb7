//! TLS, passwords and rights on a real Kafka: right credentials work with the least rights, wrong ones
//! end in one error that says what to do, and no secret stands in any output.
//!
//! The configurations and the rights are those of docs/security.md, read from there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};

use rdkafka::Message;
use serde_json::Value;

use crate::admin;
use crate::kafka::client::Record;
use crate::kafka::process::{Finished, Process, kubetell};
use crate::kafka::secured::{
    Door, KEY_PASSWORD, PLAIN_PASSWORD, SCRAM_256_PASSWORD, SCRAM_512_PASSWORD, SECRETS, Secured,
    USER, WRONG_PASSWORD,
};
use crate::kafka::{DEADLINE, unique};
use crate::support::{self, eventually};

/// The default names, which the page uses.
const SOURCE: &str = "kubernetes-audit";
const ALERTS: &str = "kubetell.alerts";

const CREDENTIALS: &str = "the brokers refuse the credentials";

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/security.md");
    std::fs::read_to_string(path).unwrap()
}

/// The configurations of the page with the headings that they stand under.
fn recipes() -> Vec<(String, String)> {
    let mut recipes = Vec::new();
    let (mut heading, mut block) = (String::new(), None::<String>);
    for line in page().lines() {
        match &mut block {
            Some(text) if line == "```" => {
                recipes.push((heading.clone(), std::mem::take(text)));
                block = None;
            }
            Some(text) => *text += &format!("{line}\n"),
            None if line == "```toml" => block = Some(String::new()),
            None => {
                if let Some(title) = line.strip_prefix('#') {
                    heading = title.trim_start_matches('#').trim().to_owned();
                }
            }
        }
    }
    recipes
}

pub(crate) fn recipe(heading: &str) -> String {
    let found = recipes().into_iter().find(|(title, _)| title == heading);
    found.unwrap_or_else(|| panic!("docs/security.md has no configuration under `{heading}`")).1
}

/// One line of the page's list of rights.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Right {
    operation: String,
    /// `--topic` or `--group`, and the name.
    resource: [String; 2],
}

impl Right {
    fn is_creation(&self) -> bool {
        self.operation == "Create"
    }
}

fn rights() -> Vec<Right> {
    let page = page();
    let lines = page.lines().filter_map(|line| line.strip_prefix("acl --operation "));
    lines
        .map(|line| {
            let mut words = line.split_whitespace().map(str::to_owned);
            let mut next = || words.next().unwrap();
            Right { operation: next(), resource: [next(), next()] }
        })
        .collect()
}

/// The user who has every right of the page but the one at this place.
fn user_without(right: usize) -> String {
    format!("without-{right}")
}

/// Has what is needed when the topics are there.
const SETTLED: &str = "settled";

/// The broker of these tests, with the rights of the page given.
pub(crate) struct Guarded {
    pub(crate) secured: Secured,
    /// Who runs as a member of the groups: one at a time.
    pub(crate) members: Mutex<()>,
}

pub(crate) fn guarded() -> &'static Guarded {
    static GUARDED: OnceLock<Guarded> = OnceLock::new();
    GUARDED.get_or_init(|| {
        let rights = rights();
        assert!(rights.len() >= 11, "{rights:?}");
        let mut users: Vec<String> = (0..rights.len()).map(user_without).collect();
        users.push(SETTLED.to_owned());
        let secured = Secured::start(&users);
        secured.kafka.create_topic(SOURCE, 2, &[]);
        for (at, right) in rights.iter().enumerate() {
            let mut given = vec![USER.to_owned()];
            given.extend((0..rights.len()).filter(|other| *other != at).map(user_without));
            if !right.is_creation() {
                given.push(SETTLED.to_owned());
            }
            let given: Vec<&str> = given.iter().map(String::as_str).collect();
            let [kind, name] = &right.resource;
            secured.kafka.allow_all(&given, &right.operation, [kind, name]);
        }
        Guarded { secured, members: Mutex::new(()) }
    })
}

/// A configuration file in a folder of its own, with the files that it names.
pub(crate) struct Setup {
    folder: tempfile::TempDir,
    settings: Vec<String>,
}

impl Setup {
    /// Of a configuration of the page: its broker is replaced, and so is the folder of its files.
    fn new(configuration: &str, bootstrap: &str) -> Setup {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().display().to_string();
        let text = configuration.replace("/etc/kubetell", &root);
        std::fs::write(folder.path().join("kubetell.toml"), text).unwrap();
        let settings = vec![
            format!("kafka.bootstrap_servers={bootstrap}"),
            format!("state.directory={root}/state"),
            "observations.partitions=4".to_owned(),
            "observations.replication_factor=1".to_owned(),
            "new_terms.learning=0s".to_owned(),
            "admin.listen=127.0.0.1:0".to_owned(),
            "kafka.properties.session.timeout.ms=6000".to_owned(),
            "kafka.properties.heartbeat.interval.ms=500".to_owned(),
            // Nothing that the client library says may hold a secret either.
            "kafka.properties.debug=security,broker,conf,feature".to_owned(),
        ];
        Setup { folder, settings }
    }

    /// Against the broker of these tests, with all files as they should be.
    pub(crate) fn at(configuration: &str, door: Door) -> Setup {
        let secured = &guarded().secured;
        let setup = Setup::new(configuration, &secured.bootstrap(door));
        for name in ["ca.pem", "client.pem", "client.key"] {
            setup.file(name, &std::fs::read_to_string(secured.file(name)).unwrap());
        }
        setup.file("key-password", &format!("{KEY_PASSWORD}\n"));
        setup
    }

    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    fn password(self, password: &str) -> Setup {
        self.file("kafka-password", &format!("{password}\n"));
        self
    }

    pub(crate) fn set(mut self, setting: &str) -> Setup {
        self.settings.push(setting.to_owned());
        self
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Without the lines that begin like this.
    pub(crate) fn without(self, start: &str) -> Setup {
        let path = self.folder.path().join("kubetell.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let kept: String = text
            .lines()
            .filter(|line| !line.starts_with(start))
            .map(|line| line.to_owned() + "\n")
            .collect();
        assert_ne!(kept, text);
        std::fs::write(path, kept).unwrap();
        self
    }

    fn command(&self, command: &[&str]) -> Command {
        let config = self.folder.path().join("kubetell.toml");
        let mut arguments = command.to_vec();
        arguments.extend(["--config", config.to_str().unwrap()]);
        for setting in &self.settings {
            arguments.extend(["--set", setting]);
        }
        kubetell(&arguments)
    }

    pub(crate) fn run(&self) -> Process {
        let mut command = self.command(&["run"]);
        command.env("KUBETELL_LOG", "trace");
        Process::spawn(command)
    }
}

fn assert_no_secret(what: &str, text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "a password in {what}:\n{text}");
    }
}

fn finished(process: Process) -> Finished {
    let finished = process.wait(DEADLINE);
    assert_no_secret("standard error", &finished.stderr);
    assert_no_secret("standard output", &finished.stdout_text());
    finished
}

/// What is told as an error; the log is JSON.
fn errors(finished: &Finished) -> Vec<&str> {
    finished.stderr.lines().filter(|line| line.starts_with("error: ")).collect()
}

/// Ends with one error that holds these texts, and a hint.
pub(crate) fn check_refused(name: &str, process: Process, code: i32, says: &[&str]) -> Finished {
    let finished = finished(process);
    assert_eq!(finished.code(), Some(code), "{name}: {}", finished.stderr);
    let told = errors(&finished);
    assert_eq!(told.len(), 1, "{name}: {}", finished.stderr);
    let hints: Vec<&str> =
        finished.stderr.lines().filter(|line| line.starts_with("hint: ")).collect();
    assert_eq!(hints.len(), 1, "{name}: {}", finished.stderr);
    let text = format!("{}\n{}", told[0], hints[0]);
    for word in says {
        let failures = || -> Vec<&str> {
            finished.stderr.lines().filter(|line| line.contains("\"FAIL\"")).take(8).collect()
        };
        assert!(text.contains(word), "{name}: `{word}` is not in:\n{text}\n{:#?}", failures());
    }
    finished
}

/// An exec and the read of a secret, each by an id that nobody used before.
pub(crate) fn acts(secured: &Secured) -> BTreeSet<String> {
    let (exec, read) = (unique("exec"), unique("read"));
    let events = [support::exec_event(&exec), support::secret_event(&read, &unique("user"))];
    let records: Vec<Record> = events.into_iter().map(Record::value).collect();
    secured.kafka.produce(SOURCE, &records);
    [exec, read].into()
}

/// Whether both groups have read, and committed, everything.
pub(crate) fn is_read(secured: &Secured) -> bool {
    [("kubetell", SOURCE), ("kubetell-terms", "kubetell.observations")]
        .iter()
        .all(|(group, topic)| secured.kafka.lag(group, topic).is_ok_and(|lag| lag == 0))
}

/// Audit ids of the alerts in their topic, which nobody writes to.
pub(crate) fn raised_ids(secured: &Secured) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    secured.kafka.read_all(ALERTS, |message| {
        let alert: Value = serde_json::from_slice(message.payload().unwrap()).unwrap();
        support::assert_valid_ecs(&alert);
        ids.insert(alert["kubernetes"]["audit"]["auditID"].as_str().unwrap().to_owned());
    });
    ids
}

/// The whole pipeline, from events to the alerts of both kinds, and a clean end; no secret in
/// anything that it says or serves.
pub(crate) fn check_runs(name: &str, setup: &Setup) {
    let secured = &guarded().secured;
    let acts = acts(secured);
    let run = setup.run();
    let address = admin::address(&run);
    let mut all_read = false;
    eventually(DEADLINE, name, || {
        all_read = is_read(secured);
        all_read || run.has_ended()
    });
    assert!(all_read, "{name}: {}", run.stderr());
    for path in ["/", "/status", "/metrics", "/readyz", "/livez"] {
        assert_no_secret(path, &admin::get(&address, path).body);
    }
    run.signal(crate::kafka::process::Signal::TERM);
    let finished = finished(run);
    assert_eq!(finished.code(), Some(0), "{name}: {}", finished.stderr);
    assert!(acts.is_subset(&raised_ids(secured)), "{name}: {}", finished.stderr);
    assert!(
        finished.stderr.contains("\"target\":\"librdkafka\""),
        "{name} is heard of in debugging"
    );
    for format in ["text", "json"] {
        let show = setup.command(&["config", "show", "--format", format]).output().unwrap();
        assert_eq!(show.status.code(), Some(0));
        assert_no_secret("config show", std::str::from_utf8(&show.stdout).unwrap());
        assert_no_secret("config show", std::str::from_utf8(&show.stderr).unwrap());
    }
}

#[test]
fn every_recipe_is_a_valid_configuration() {
    let recipes = recipes();
    let titles: Vec<&str> = recipes.iter().map(|(title, _)| title.as_str()).collect();
    for title in [
        "TLS",
        "Mutual TLS",
        "SASL PLAIN",
        "SASL SCRAM",
        "SASL OAUTHBEARER",
        "Azure Event Hubs",
        "Amazon MSK",
    ] {
        assert!(titles.contains(&title), "{titles:?}");
    }
    for (title, text) in recipes {
        let setup = Setup::new(&text, "localhost:9092").password(PLAIN_PASSWORD);
        let check = |code: i32| {
            let output = setup.command(&["config", "check", "--offline"]).output().unwrap();
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(code), "{title}: {stderr}");
            assert_no_secret(&title, &stderr);
            stderr
        };
        // What is not there is missed, so that this can fail.
        let named: Vec<&str> =
            ["key-password", "client-secret", "event-hubs-connection-string", "msk-password"]
                .into_iter()
                .filter(|name| text.contains(&format!("/etc/kubetell/{name}")))
                .collect();
        for name in named {
            assert!(check(78).contains(name), "{title}");
            setup.file(name, PLAIN_PASSWORD);
        }
        check(0);
    }
}

#[test]
fn right_credentials_run_from_events_to_alerts_over_every_mechanism() {
    let guarded = guarded();
    let _member = guarded.members.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    check_runs("TLS", &Setup::at(&recipe("TLS"), Door::Tls));
    check_runs("mutual TLS", &Setup::at(&recipe("Mutual TLS"), Door::Mutual));
    let plain = Setup::at(&recipe("SASL PLAIN"), Door::Sasl).password(PLAIN_PASSWORD);
    check_runs("PLAIN", &plain);
    let scram = Setup::at(&recipe("SASL SCRAM"), Door::Sasl).password(SCRAM_512_PASSWORD);
    check_runs("SCRAM-SHA-512", &scram);
    let scram = Setup::at(&recipe("SASL SCRAM"), Door::Sasl).password(SCRAM_256_PASSWORD);
    check_runs("SCRAM-SHA-256", &scram.set("kafka.properties.sasl.mechanism=SCRAM-SHA-256"));
}

#[test]
fn wrong_credentials_end_in_one_clear_error() {
    let tls = recipe("TLS");
    let mutual = recipe("Mutual TLS");
    let plain = recipe("SASL PLAIN");
    let scram = recipe("SASL SCRAM");
    let secured = &guarded().secured;
    let password = |text: &str| Setup::at(text, Door::Sasl).password(WRONG_PASSWORD);
    let other_authority = Setup::at(&tls, Door::Tls);
    other_authority.file("ca.pem", &std::fs::read_to_string(secured.file("other-ca.pem")).unwrap());
    let key = Setup::at(&mutual, Door::Mutual);
    key.file("key-password", WRONG_PASSWORD);
    let clients = format!("kafka.bootstrap_servers={}", secured.kafka.bootstrap());
    let certificate = ["certificate", "hint: ", "ssl.ca.location", "bootstrap_servers"];
    let cases: Vec<(&str, Setup, i32, &[&str])> = vec![
        ("PLAIN", password(&plain), 78, &[CREDENTIALS, "sasl.password"]),
        ("SCRAM-SHA-512", password(&scram), 78, &[CREDENTIALS, "sasl.password"]),
        (
            "SCRAM-SHA-256",
            password(&scram).set("kafka.properties.sasl.mechanism=SCRAM-SHA-256"),
            78,
            &[CREDENTIALS, "sasl.password"],
        ),
        (
            "no such mechanism",
            Setup::at(&plain, Door::Sasl)
                .password(PLAIN_PASSWORD)
                .set("kafka.properties.security.protocol=SASL_PLAINTEXT")
                .set("kafka.properties.sasl.mechanism=SCRAM-SHA-512")
                .set(&clients),
            78,
            &[CREDENTIALS, "mechanism", "PLAIN"],
        ),
        (
            "Kerberos",
            Setup::at(&plain, Door::Sasl)
                .set("kafka.properties.sasl.mechanism=GSSAPI")
                .password(PLAIN_PASSWORD),
            78,
            &["GSSAPI", "kafka.properties"],
        ),
        ("another authority", other_authority, 78, &certificate),
        ("another host", Setup::at(&tls, Door::Elsewhere), 78, &certificate),
        (
            "no certificate of the client",
            Setup::at(&tls, Door::Mutual),
            78,
            &["certificate", "ssl.certificate.location", "ssl.key.location"],
        ),
        ("another password of the key", key, 78, &["ssl.key.location", "hint: "]),
        (
            "no TLS where it is asked for",
            Setup::at(&tls, Door::Tls).set("kafka.properties.security.protocol=PLAINTEXT"),
            69,
            &["one with TLS", "security.protocol"],
        ),
        (
            "TLS where there is none",
            Setup::at(&tls, Door::Tls).set(&clients),
            69,
            &["one without TLS", "security.protocol"],
        ),
        (
            "no credentials where they are asked for",
            Setup::at(&tls, Door::Sasl),
            69,
            &["SASL", "security.protocol"],
        ),
    ];
    // All at once: those that may be a broker's restart take half a minute each.
    let running: Vec<(&str, Setup, Process, i32, &[&str])> = cases
        .into_iter()
        .map(|(name, setup, code, says)| {
            let run = setup.run();
            (name, setup, run, code, says)
        })
        .collect();
    for (name, _setup, run, code, says) in running {
        let _ = check_refused(name, run, code, says);
    }
}

#[test]
fn the_rights_of_the_page_are_enough_and_each_of_them_is_needed() {
    let guarded = guarded();
    let secured = &guarded.secured;
    let _member = guarded.members.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let as_user = |user: &str| {
        Setup::at(&recipe("SASL PLAIN"), Door::Sasl)
            .password(PLAIN_PASSWORD)
            .set(&format!("kafka.properties.sasl.username={user}"))
    };
    let rights = rights();
    let (creations, others): (Vec<_>, Vec<_>) =
        rights.iter().enumerate().partition(|(_, right)| right.is_creation());
    assert_eq!((creations.len(), others.len()), (3, 8));
    let check_each = |rights: Vec<(usize, &Right)>, before: &dyn Fn(&Right)| {
        for (at, right) in rights {
            before(right);
            let name = format!("{right:?}");
            let [_, resource] = &right.resource;
            let setup = as_user(&user_without(at));
            let finished = check_refused(
                &name,
                setup.run(),
                78,
                &[&format!("`{resource}`"), &format!("`{}`", right.operation)],
            );
            // A member that joined its group and died kept its partitions until its session was over.
            let is_of_group = right.resource[0] == "group";
            let joined = finished.stderr.contains("source partitions assigned");
            assert!(!is_of_group || !joined, "{name}: {}", finished.stderr);
        }
    };
    check_each(creations, &|right| {
        let [_, topic] = &right.resource;
        if secured.kafka.watermarks(topic).is_ok_and(|partitions| !partitions.is_empty()) {
            secured.kafka.delete_topic(topic);
        }
    });
    // Whoever may make the topics does, and then nobody has to.
    check_runs("all rights of the page", &as_user(USER));
    check_runs("the topics are there", &as_user(SETTLED));
    check_each(others, &|_| drop(acts(secured)));
    check_runs("after all that", &as_user(SETTLED));
}
