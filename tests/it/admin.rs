//! Metrics and health of a running service, asked over HTTP as Prometheus and an orchestrator do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use serde_json::Value;

use crate::kafka::broker::{self, Broker, Options};
use crate::kafka::client::Record;
use crate::kafka::process::{Process, kubetell};
use crate::kafka::{DEADLINE, unique};
use crate::pipeline::Stream;
use crate::support::{self, eventually};

pub(crate) const ANY_PORT: [&str; 2] = ["--set", "admin.listen=127.0.0.1:0"];

pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// Where a process serves, as its log says.
pub(crate) fn address(process: &Process) -> String {
    let line =
        process.wait_for_stderr(DEADLINE, |line| line.contains("metrics and health are served"));
    let line: Value = serde_json::from_str(&line).unwrap();
    line["address"].as_str().unwrap().to_owned()
}

fn ask(address: &str, request: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

/// Whether a request is answered with an error, or its connection closed while it is still sent.
fn is_cut_off(address: &str, request: &str) -> bool {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut answer = String::new();
    let read =
        stream.write_all(request.as_bytes()).and_then(|()| stream.read_to_string(&mut answer));
    read.is_err() || answer.starts_with("HTTP/1.1 431 ")
}

/// Whether the server has not closed a connection on which nothing was asked.
fn is_open(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    stream.read(&mut [0]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}

pub(crate) fn get(address: &str, path: &str) -> Answer {
    get_accepting(address, path, "*/*")
}

fn get_accepting(address: &str, path: &str, accept: &str) -> Answer {
    ask(
        address,
        &format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
        ),
    )
}

/// The samples of `/metrics`.
pub(crate) fn scrape(address: &str) -> BTreeMap<String, f64> {
    let answer = get(address, "/metrics");
    assert_eq!(answer.status, 200);
    samples(&answer.body)
}

/// Those of a text, by name and labels.
pub(crate) fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

pub(crate) fn sum(samples: &BTreeMap<String, f64>, name: &str) -> f64 {
    let of_name = |key: &str| key == name || key.starts_with(&format!("{name}{{"));
    samples.iter().filter(|(key, _)| of_name(key)).map(|(_, value)| value).sum()
}

#[test]
fn figures_are_those_of_what_was_sent_and_raised() {
    let kafka = broker::shared();
    let stream = Stream::new(kafka, "admin");
    let process = stream.run("one", &ANY_PORT);
    let address = address(&process);

    let mut records = Vec::new();
    for number in 0..40 {
        let exec = support::exec_event(&format!("exec-{number}"));
        records.push(Record::value(exec).partition(number % 6));
    }
    for number in 0..25 {
        let user = format!("user-{number}");
        let secret = support::secret_event(&format!("secret-{number}"), &user);
        records.push(Record::value(secret).partition(number % 6));
    }
    for number in 0..30 {
        records.push(Record::value(support::quiet_event()).partition(number % 6));
    }
    records.push(Record::value("{\"auditID\": \"exec secrets /etc/shadow").partition(0));
    records.push(Record::default().key("tombstone").partition(1));
    kafka.produce(&stream.source(), &records);
    let bytes: usize =
        records.iter().filter_map(|record| record.value.as_ref()).map(Vec::len).sum();

    eventually(DEADLINE, "everything is raised and no lag is left", || {
        let samples = scrape(&address);
        sum(&samples, "kubetell_source_records_total") == 97.0
            && sum(&samples, "kubetell_alerts_total") == 65.0
            && samples.iter().filter(|(key, _)| key.contains("_lag_records")).count() == 10
            && sum(&samples, "kubetell_consumer_lag_records") == 0.0
    });
    stream.wait_until_read(kafka);
    let raised = stream.raised(kafka);
    assert_eq!(raised.len(), 65);
    eventually(DEADLINE, "a commit is looked up, which comes after the broker has it", || {
        sum(&scrape(&address), "kubetell_consumer_commit_seconds_count") > 0.0
    });

    let samples = scrape(&address);
    let check = |name: &str, value: f64| {
        assert_eq!(samples.get(name).copied(), Some(value), "{name}\n{samples:#?}");
    };
    let topic = stream.source();
    check(&format!("kubetell_source_records_total{{topic=\"{topic}\"}}"), 97.0);
    check(&format!("kubetell_source_bytes_total{{topic=\"{topic}\"}}"), bytes as f64);
    check(&format!("kubetell_source_tombstones_total{{topic=\"{topic}\"}}"), 1.0);
    check(&format!("kubetell_source_prefiltered_records_total{{topic=\"{topic}\"}}"), 30.0);
    check(&format!("kubetell_events_total{{topic=\"{topic}\",wrapper=\"bare\"}}"), 65.0);
    check("kubetell_alerts_total{rule=\"pod-exec-sensitive-path\"}", 40.0);
    check("kubetell_alerts_total{rule=\"secret-access-unusual-client\"}", 25.0);
    check("kubetell_matches_total{rule=\"pod-exec-sensitive-path\"}", 40.0);
    check("kubetell_matches_total{rule=\"secret-access-unusual-client\"}", 25.0);
    check("kubetell_observations_total", 25.0);
    let markers =
        sum(&samples, "kubetell_produce_seconds_count{half=\"first-seen\",kind=\"marker\"}");
    assert!(markers >= 4.0, "a marker a partition at least: {markers}");
    check("kubetell_observations_folded_total", 25.0);
    check("kubetell_dead_letters_total", 1.0);
    check("kubetell_unreadable_items_total{reason=\"truncated\"}", 1.0);
    check("kubetell_consumer_assigned_partitions{half=\"detect\"}", 6.0);
    check("kubetell_consumer_assigned_partitions{half=\"first-seen\"}", 4.0);
    check("kubetell_restoring_partitions", 0.0);
    check("kubetell_alert_append_delay_seconds_count{half=\"detect\"}", 40.0);
    check("kubetell_alert_event_delay_seconds_bucket{half=\"first-seen\",le=\"+Inf\"}", 25.0);
    check("kubetell_produce_seconds_count{half=\"detect\",kind=\"alert\"}", 40.0);
    check("kubetell_produce_seconds_count{half=\"detect\",kind=\"observation\"}", 25.0);
    check("kubetell_produce_seconds_count{half=\"first-seen\",kind=\"alert\"}", 25.0);
    check("kubetell_client_brokers_up{half=\"detect\",client=\"consumer\"}", 1.0);
    assert!(sum(&samples, "kubetell_worker_busy_seconds_total") > 0.0);
    assert!(sum(&samples, "process_resident_memory_bytes") > 1e6);
    let ruleset = format!("kubetell_ruleset_info{{hash={}}}", raised[0]["rule"]["ruleset"]);
    check(&ruleset, 1.0);

    let open = get_accepting(&address, "/metrics", "application/openmetrics-text;version=1.0.0");
    assert!(open.head.contains("content-type: application/openmetrics-text; version=1.0.0"));
    assert!(open.body.ends_with("# EOF\n"));
    assert!(open.body.contains("# UNIT kubetell_source_bytes bytes\n"));

    let status = get(&address, "/status").json();
    let totals = &status["topology"]["totals"];
    assert_eq!((&totals["records"], &totals["alerts"]), (&97.0.into(), &65.0.into()), "{status:#}");
    assert_eq!(status["partitions"].as_array().unwrap().len(), 10);
    assert_eq!(status["rules"]["hash"], raised[0]["rule"]["ruleset"]);
    let newest = status["alerts"]["newest"].as_array().unwrap();
    assert_eq!(newest.len(), 50);
    for one in newest {
        let left = raised.iter().find(|alert| alert["event"]["id"] == one["id"]).unwrap();
        assert_eq!((&one["message"], &one["rule"]), (&left["message"], &left["rule"]["id"]));
    }
    let page = get(&address, "/");
    assert!(page.head.contains("content-security-policy: default-src 'none'; script-src 'self'"));

    let ready = get(&address, "/readyz");
    assert_eq!(
        (ready.status, ready.json()["ready"].as_bool()),
        (200, Some(true)),
        "{}",
        ready.body
    );
    let live = get(&address, "/livez");
    assert_eq!((live.status, live.json()["live"].as_bool()), (200, Some(true)), "{}", live.body);

    assert_eq!(process.terminate(DEADLINE).code(), Some(0));
}

#[test]
fn ready_only_once_the_brokers_have_assigned_something() {
    let mut kafka = Broker::start(Options::default());
    let stream = Stream::new(&kafka, "admin-ready");
    kafka.freeze();
    let process = stream.run("one", &ANY_PORT);
    let address = address(&process);
    let ready = get(&address, "/readyz");
    assert_eq!(ready.status, 503, "{}", ready.body);
    assert_eq!(ready.json()["checks"][0]["name"], "started");
    assert_eq!(get(&address, "/livez").status, 200, "who waits for brokers is alive");
    assert_eq!(sum(&scrape(&address), "kubetell_build_info"), 1.0);

    kafka.thaw();
    eventually(DEADLINE, "it is ready", || get(&address, "/readyz").status == 200);
    let ready = get(&address, "/readyz").json();
    let checks: Vec<String> = ready["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| format!("{}/{}", check["half"].as_str().unwrap_or(""), check["name"]))
        .collect();
    assert_eq!(
        checks.join(" ").replace('"', ""),
        "/started detect/assigned detect/brokers first-seen/assigned first-seen/brokers \
         first-seen/restored"
    );

    kafka.kill();
    eventually(DEADLINE, "it has missed its broker", || {
        let ready = get(&address, "/readyz");
        ready.status == 503 && ready.body.contains("no broker can be reached")
    });
    assert_eq!(get(&address, "/livez").status, 200, "a lost broker is waited for");
    kafka.restart();
    eventually(DEADLINE, "it is ready again", || get(&address, "/readyz").status == 200);
    assert_eq!(process.terminate(DEADLINE).code(), Some(0));
}

/// A service that waits for brokers which are not there.
fn waiting(more: &[&str]) -> Process {
    let directory = std::env::temp_dir().join(unique("kubetell-admin-nowhere"));
    let state = format!("state.directory={}", directory.display());
    let mut arguments =
        vec!["run", "--set", "kafka.bootstrap_servers=127.0.0.1:1", "--set", &state];
    arguments.extend(more);
    Process::spawn(kubetell(&arguments))
}

#[test]
fn an_address_that_cannot_be_had_ends_the_start_with_a_hint() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let setting = format!("admin.listen={}", taken.local_addr().unwrap());
    let finished = waiting(&["--set", &setting]).wait(DEADLINE);
    assert_eq!(finished.code(), Some(78), "{}", finished.stderr);
    assert!(finished.stderr.contains("nothing can listen on `127.0.0.1:"), "{}", finished.stderr);
    assert!(finished.stderr.contains("hint: another process has the port"), "{}", finished.stderr);
}

#[test]
fn what_is_no_question_is_refused_and_harms_nothing() {
    let process = waiting(&ANY_PORT);
    let address = address(&process);
    let status = |request: &str| ask(&address, request).status;
    assert_eq!(
        status("GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
        404
    );
    let posted = ask(
        &address,
        "POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc",
    );
    assert_eq!(posted.status, 405);
    assert!(posted.head.contains("allow: get, head"));
    assert_eq!(status("nonsense\r\n\r\n"), 400);
    let large = format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    assert!(is_cut_off(&address, &large));
    let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(1_000));
    assert_eq!(status(&many), 431);
    let head =
        ask(&address, "HEAD /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_eq!((head.status, head.body.as_str()), (200, ""));

    // Connections that say nothing hold up nobody: who comes is answered while they are open.
    eventually(DEADLINE, "an answer beside silent connections", || {
        let mut silent: Vec<_> = (0..64).map(|_| TcpStream::connect(&address).unwrap()).collect();
        assert_eq!(get(&address, "/livez").status, 200);
        is_open(&mut silent[63]) && !is_open(&mut silent[0])
    });
    assert_eq!(sum(&scrape(&address), "kubetell_build_info"), 1.0);
}
