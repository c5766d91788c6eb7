//! `kubetell demo` as a newcomer sees it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::process::Output;

use crate::support::{Found, json_lines, masked, program};

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
