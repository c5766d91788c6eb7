//! `kubetell demo` as a newcomer sees it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::{TcpListener, TcpStream};
use std::process::Output;

use crate::admin::{get, scrape, sum};
use crate::kafka::DEADLINE;
use crate::kafka::process::{Process, Signal};
use crate::support::{Found, eventually, json_lines, masked, program};

fn demo(arguments: &[&str]) -> (Output, String) {
    let output = program(&[&["demo"], arguments].concat()).output().unwrap();
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    for line in stderr.lines() {
        let line = line.to_lowercase();
        assert!(!line.contains("warn") && !line.contains("error"), "{stderr}");
    }
    (output, stderr)
}

#[test]
fn story_raises_exactly_what_is_in_it() {
    let (output, _) = demo(&["--format", "ecs"]);
    let alerts = json_lines(&output.stdout);
    assert_eq!(Found::of(&alerts), Found::in_story_after_learning());
    let expected = Found::in_story_after_learning();
    let mut shown: Vec<(&str, u64)> = alerts
        .iter()
        .map(|alert| {
            let revision = alert["kubetell"]["revision"].as_u64().unwrap();
            (alert["event"]["id"].as_str().unwrap(), revision)
        })
        .collect();
    shown.sort_unstable();
    assert!(shown.windows(2).all(|pair| pair[0] != pair[1]), "nothing is shown twice: {shown:?}");
    shown.dedup_by_key(|(id, _)| *id);
    assert_eq!(shown.len(), expected.exec.len() + expected.terms.len(), "one id each");
}

#[test]
fn generated_log_ends_well() {
    let (output, stderr) = demo(&["--events", "20000", "--format", "ecs"]);
    assert!(!json_lines(&output.stdout).is_empty());
    assert!(stderr.contains("20000 events"), "{stderr}");
}

#[test]
fn text_reads_well() {
    let (output, stderr) = demo(&["--format", "text"]);
    assert_eq!(stderr, "");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains('\u{1b}'), "no colours without a terminal");
    let (intro, alerts) = text.split_once("\n\n").unwrap();
    // The order of arrival is not the story's; one alert stands for all.
    let mut blocks: Vec<String> = Vec::new();
    for line in alerts.split_inclusive('\n').take_while(|line| *line != "\n") {
        if !line.starts_with(' ') {
            blocks.push(String::new());
        }
        blocks.last_mut().unwrap().push_str(line);
    }
    let first = blocks.iter().find(|block| block.contains("\"cat /etc/passwd\"")).unwrap();
    // Two workers may tell the stages in either order, and the outcome comes with the second.
    let depends = ["  User ", "    outcome ", "    alert "];
    let first: String = first
        .split_inclusive('\n')
        .filter(|line| !depends.iter().any(|start| line.starts_with(start)))
        .collect();
    insta::assert_snapshot!("demo_text", format!("{intro}\n\n{}", masked(&first)));
    assert!(text.contains("summary") && text.contains("seconds in all"), "{text}");
}

/// Where the demo says that its page is.
fn served(process: &Process) -> String {
    let line = process.wait_for_stderr(DEADLINE, |line| line.contains("the status page is at"));
    let (_, url) = line.trim_end().split_once("http://").unwrap();
    url.trim_end_matches('/').to_owned()
}

fn serve(arguments: &[&str]) -> Process {
    Process::spawn(program(&[&["demo", "--serve", "127.0.0.1:0"], arguments].concat()))
}

#[test]
fn what_is_served_is_the_service_and_goes_on_until_it_is_stopped() {
    let process = serve(&["--format", "ecs"]);
    let address = served(&process);
    assert_eq!(get(&address, "/livez").status, 200);
    let page = get(&address, "/");
    assert!(page.body.contains("<title>kubetell</title>"), "{}", page.body);
    process.wait_for_stderr(DEADLINE, |line| line.contains("the same minute is played again"));
    let story = Found::in_story_after_learning();
    let played = scrape(&address);
    let count = |rule: &str| sum(&played, &format!("kubetell_alerts_total{{rule=\"{rule}\"}}"));
    // At least: revisions count as well.
    assert!(count("pod-exec-sensitive-path") >= story.exec.len() as f64, "{played:#?}");
    assert!(count("secret-access-unusual-client") >= story.terms.len() as f64, "{played:#?}");
    let records = sum(&played, "kubetell_source_records_total");
    eventually(DEADLINE, "the story is played again", || {
        sum(&scrape(&address), "kubetell_source_records_total") > records
    });
    let status = get(&address, "/status").json();
    assert_eq!(status["cluster"], "demo");
    assert_eq!(status["topology"]["halves"], serde_json::json!(["detect", "first-seen"]));
    assert_eq!(status["topology"]["sources"][0]["topic"], "demo.audit");
    assert_eq!(get(&address, "/readyz").status, 200, "{status:#}");

    let finished = process.terminate(DEADLINE);
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    let alerts = json_lines(&finished.stdout);
    let found = Found::of(&alerts);
    assert_eq!((&found.exec, &found.terms), (&story.exec, &story.terms));
    assert!(
        finished.stderr.contains(" revisions\n"),
        "it tells what there was: {}",
        finished.stderr
    );
}

#[test]
fn a_generated_log_is_served_as_well_and_ends_at_once_when_it_is_stopped() {
    let process = serve(&["--events", "20000", "--format", "ecs"]);
    let address = served(&process);
    eventually(DEADLINE, "something is read", || {
        sum(&scrape(&address), "kubetell_source_records_total") > 0.0
    });
    let finished = process.terminate(DEADLINE);
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    assert!(TcpStream::connect(&address).is_err(), "nothing is served any more");
}

#[test]
fn a_signal_ends_a_demo_that_is_not_served_early_and_says_so() {
    let process = Process::spawn(program(&["demo", "--format", "ecs"]));
    process.wait_for_stdout(DEADLINE, |line| line.contains("@timestamp"));
    process.signal(Signal::INT);
    let finished = process.wait(DEADLINE);
    assert_eq!(finished.code(), Some(2), "{}", finished.stderr);
    assert!(finished.stderr.contains("warning: stopped by a signal"), "{}", finished.stderr);
}

#[test]
fn an_address_that_cannot_be_had_is_said_before_anything_is_played() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (address, message) in [
        (taken.as_str(), "nothing can listen on `127.0.0.1:"),
        ("nowhere.invalid:1", "`nowhere.invalid:1` names no address"),
    ] {
        let output = program(&["demo", "--serve", address, "--format", "ecs"]).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(78), "{stderr}");
        assert!(stderr.contains("error: `--serve`: ") && stderr.contains(message), "{stderr}");
        assert!(stderr.contains("hint: `--serve 127.0.0.1:0` takes any port"), "{stderr}");
        assert!(output.stdout.is_empty());
    }
}
