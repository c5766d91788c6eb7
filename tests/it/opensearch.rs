//! A real OpenSearch: one process with one node, on a free port of 127.0.0.1.
//!
//! Owns the process, its folder and its port. What it started ends with it, also when the test
//! binary is killed. `tests/run` passes the place of the jars in `KUBETELL_OPENSEARCH_LIBS`;
//! without it these tests fail rather than pass unseen.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use kubetell::demo::random::Random;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::kafka::broker::watch;
use crate::kafka::{DEADLINE, unique};
use crate::markdown;
use crate::support::eventually;

/// How much of the node's log a failure shows.
const LOG_TAIL_LINES: usize = 40;

pub struct OpenSearch {
    folder: TempDir,
    /// Tells it from a stranger on its port.
    cluster: String,
    port: u16,
    running: Option<Running>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

/// A document as it stands in an index.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    pub version: u64,
    pub source: Value,
}

impl OpenSearch {
    /// Starts a node and waits until it answers.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("kubetell-opensearch-").tempdir().unwrap();
        let cluster = format!("{}-{}", unique("kubetell"), std::process::id());
        let mut node = OpenSearch { folder, cluster, port: free_port(), running: None };
        node.restart();
        node
    }

    /// Starts a node that was killed again, on its port and with its data.
    pub fn restart(&mut self) {
        let log = File::options().create(true).append(true).open(self.log_path()).unwrap();
        let child = Command::new("java")
            .args(["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"])
            // The JVM itself expands the asterisk.
            .arg(libs().join("*"))
            .arg("groovy.ui.GroovyMain")
            .arg(markdown::root().join("tests/opensearch/node.groovy"))
            .arg(self.folder.path().join("node"))
            .args([&self.cluster, &self.port.to_string()])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            // Ctrl-C is for the tests; the node goes when they are gone.
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("`java` does not start: {error}; use `tests/run`"));
        let watchdog = watch(child.id(), self.folder.path());
        self.running = Some(Running { child, watchdog });
        eventually(DEADLINE, "OpenSearch answers", || {
            let running = self.running.as_mut().unwrap();
            if running.child.try_wait().unwrap().is_some() {
                panic!("OpenSearch did not start\n{}", self.log_tail());
            }
            let path = "/_cluster/health?wait_for_status=yellow&timeout=1s";
            self.ask("GET", path, "").is_ok_and(|answer| {
                answer.status == 200 && answer.body["cluster_name"] == self.cluster.as_str()
            })
        });
    }

    /// Kills the node, as a crash would. What it has acknowledged stays.
    pub fn kill(&mut self) {
        self.running = None;
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Puts the pipeline and the template in force that this project publishes.
    pub fn set_up(&self) {
        for (path, file) in [
            ("/_ingest/pipeline/kubetell-alerts", "schemas/ingest-pipeline.json"),
            ("/_index_template/kubetell-alerts", "schemas/index-template.json"),
        ] {
            let text = fs::read_to_string(markdown::root().join(file)).unwrap();
            let answer = self.ask("PUT", path, &text).unwrap();
            assert_eq!(answer.body, json!({ "acknowledged": true }), "{file}");
        }
    }

    /// Asks, and fails where there is no answer.
    pub fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let body = body.map(Value::to_string).unwrap_or_default();
        self.ask(method, path, &body).unwrap_or_else(|error| {
            panic!("{method} {path} has no answer: {error}\n{}", self.log_tail())
        })
    }

    /// Writes many documents at once: for each a line that says what to do, and a line with it.
    pub fn bulk(&self, index: &str, lines: &str) -> Value {
        let answer = self.ask("POST", &format!("/{index}/_bulk"), lines).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    /// All documents of an index, by id. None while the index is not there.
    pub fn documents(&self, index: &str) -> BTreeMap<String, Document> {
        if self.request("POST", &format!("/{index}/_refresh"), None).status == 404 {
            return BTreeMap::new();
        }
        let body = json!({ "size": 10_000, "version": true, "query": { "match_all": {} } });
        let answer = self.request("POST", &format!("/{index}/_search"), Some(&body));
        assert_eq!(answer.status, 200, "{}", answer.body);
        let hits = answer.body["hits"]["hits"].as_array().unwrap();
        let document = |hit: &Value| Document {
            version: hit["_version"].as_u64().unwrap(),
            source: hit["_source"].clone(),
        };
        hits.iter().map(|hit| (hit["_id"].as_str().unwrap().to_owned(), document(hit))).collect()
    }

    /// The ids of what a query finds.
    pub fn found(&self, index: &str, query: &Value) -> Vec<String> {
        let body = json!({ "size": 10_000, "query": query });
        let answer = self.request("POST", &format!("/{index}/_search"), Some(&body));
        assert_eq!(answer.status, 200, "{query}: {}", answer.body);
        let hits = answer.body["hits"]["hits"].as_array().unwrap();
        hits.iter().map(|hit| hit["_id"].as_str().unwrap().to_owned()).collect()
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> std::io::Result<Answer> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(DEADLINE))?;
        // With this version an answer comes in one piece and ends with the connection.
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or(std::io::ErrorKind::InvalidData)?;
        Ok(Answer { status, body: serde_json::from_str(body)? })
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("opensearch.log")
    }

    fn log_tail(&self) -> String {
        let log = fs::read(self.log_path()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log).into_owned();
        let lines: Vec<&str> = log.lines().collect();
        let tail = &lines[lines.len().saturating_sub(LOG_TAIL_LINES)..];
        format!("--- the end of OpenSearch's log\n{}\n---", tail.join("\n"))
    }
}

struct Running {
    child: Child,
    watchdog: Child,
}

impl Drop for Running {
    fn drop(&mut self) {
        // The watchdog first: after that nobody else signals the node's process id, and nobody
        // removes its folder.
        self.watchdog.kill().ok();
        self.watchdog.wait().ok();
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn libs() -> PathBuf {
    let libs = std::env::var_os("KUBETELL_OPENSEARCH_LIBS").map(PathBuf::from).unwrap_or_default();
    let has_jars = fs::read_dir(&libs).is_ok_and(|mut files| {
        files.any(|file| file.is_ok_and(|file| file.path().extension().is_some_and(|e| e == "jar")))
    });
    assert!(
        has_jars,
        "these tests need a real OpenSearch, and KUBETELL_OPENSEARCH_LIBS (`{}`) holds no jars: \
         use `tests/run`, which fetches it, instead of `cargo test`",
        libs.display()
    );
    libs
}

/// A port that is free now and stays free while the node is down: below those that the system
/// gives to outgoing connections.
fn free_port() -> u16 {
    let mut random = Random::new(uuid::Uuid::new_v4().as_u64_pair().0);
    loop {
        let port = u16::try_from(random.within(10_240..32_768)).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
