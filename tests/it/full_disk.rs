//! A disk that takes nothing more, played by a limit on the size of files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::kafka::broker;
use crate::kafka::client::Record;
use crate::kafka::process::{Process, kubetell};
use crate::kafka::{DEADLINE, unique};
use crate::support::{self, json_lines, secret_event};

/// As much as a start asks for, and half as much again for the state.
const FILE_MAX_BYTES: u64 = 1_572_864;
/// More than fit: an alert alone is some 5 KB.
const USERS: usize = 1_500;

/// Half of what a start asks for.
const TOO_SMALL_BYTES: u64 = 524_288;

/// The command under a limit on the size of its files. The system's own way to say so, a signal
/// that ends the process, is turned off: what is left is a failing write, as on a full disk.
fn limited(command: &Command, file_max_bytes: u64) -> Command {
    let mut limited = Command::new("sh");
    // In POSIX mode the unit is 512 bytes.
    let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", file_max_bytes / 512);
    limited.arg("-c").arg(script).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    limited
}

fn user(number: usize) -> String {
    format!("user-{number}")
}

fn events() -> Vec<Vec<u8>> {
    (0..USERS).map(|number| secret_event(&format!("event-{number}"), &user(number))).collect()
}

fn all_users() -> BTreeSet<String> {
    (0..USERS).map(user).collect()
}

fn users_of<'a>(alerts: impl IntoIterator<Item = &'a serde_json::Value>) -> BTreeSet<String> {
    alerts.into_iter().map(|alert| alert["user"]["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_full_disk_ends_the_service_with_words_and_a_restart_loses_nothing() {
    let kafka = broker::shared();
    let name = unique("full");
    let topics: Vec<String> =
        ["audit", "alerts", "observations", "dead"].map(|kind| format!("{name}.{kind}")).into();
    kafka.create_topic(&topics[0], 2, &[]);
    let records: Vec<Record> = events().into_iter().map(Record::value).collect();
    kafka.produce(&topics[0], &records);
    let state = tempfile::tempdir().unwrap();
    let settings = [
        format!("kafka.bootstrap_servers={}", kafka.bootstrap()),
        format!("kafka.group_id={name}"),
        format!("source.topics=[\"{}\"]", topics[0]),
        format!("alerts.topic={}", topics[1]),
        format!("observations.topic={}", topics[2]),
        "observations.partitions=2".to_owned(),
        "observations.replication_factor=1".to_owned(),
        format!("dead_letters.topic={}", topics[3]),
        format!("state.directory={}", state.path().display()),
        "new_terms.learning=0s".to_owned(),
    ];
    let mut arguments = vec!["run"];
    for setting in &settings {
        arguments.extend(["--set", setting]);
    }

    // A supervisor does not try again after 78, and room may come by itself.
    let refused = Process::spawn(limited(&kubetell(&arguments), TOO_SMALL_BYTES)).wait(DEADLINE);
    assert_eq!(refused.code(), Some(70), "{}", refused.stderr);
    assert!(refused.stderr.contains("make room on that disk"), "{}", refused.stderr);

    let ended = Process::spawn(limited(&kubetell(&arguments), FILE_MAX_BYTES)).wait(DEADLINE);

    assert_eq!(ended.code(), Some(70), "{}", ended.stderr);
    assert!(ended.stderr.contains("the state can't be written"), "{}", ended.stderr);
    assert!(ended.stderr.contains("make room on the disk"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);

    // There is room again.
    let again = Process::spawn(kubetell(&arguments));
    support::eventually(DEADLINE, "every user's alert", || {
        let alerts: Vec<_> = kafka
            .consume_all(&topics[1])
            .iter()
            .map(|record| serde_json::from_str(record.value_text()).unwrap())
            .collect();
        users_of(&alerts) == all_users()
    });
    let finished = again.terminate(DEADLINE);
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
}

#[test]
fn a_scan_whose_state_has_no_room_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("audit.log");
    // Enough terms for the pages of entries alone to fill the disk.
    let lines: Vec<Vec<u8>> =
        (0..30_000).map(|number| secret_event(&format!("event-{number}"), &user(number))).collect();
    std::fs::write(&log, lines.join(&b"\n"[..])).unwrap();
    let state = directory.path().join("state");
    let scan = |log: &Path| {
        let (log, state) = (log.to_str().unwrap(), state.to_str().unwrap());
        kubetell(&["scan", log, "--format", "ecs", "--state", state])
    };

    let ended = Process::spawn(limited(&scan(&log), FILE_MAX_BYTES)).wait(DEADLINE);

    assert_eq!(ended.code(), Some(70), "{}", ended.stderr);
    assert!(ended.stderr.contains("the state can't be written"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);

    // There is room again, and the state is as far as it came: a scan of something else goes on.
    let other = directory.path().join("other.log");
    std::fs::write(&other, secret_event("other", "somebody-else")).unwrap();
    let finished = Process::spawn(scan(&other)).wait(DEADLINE);
    assert_eq!(finished.code(), Some(1), "{}", finished.stderr);
    assert!(!finished.stderr.contains("could not be used"), "{}", finished.stderr);
    let alerts = json_lines(&finished.stdout);
    assert_eq!(users_of(&alerts), BTreeSet::from(["somebody-else".to_owned()]));
}
