//! A real OpenSearch: one process with one node, on a free port of 127.0.0.1.
//!
//! Owns the process, its folder and its port. `tests/run` passes the place of the jars in `KUBETELL_OPENSEARCH_LIBS`;
//! without it these tests fail rather than pass unseen.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::kafka::server::{self, Running, reserved_ports};
use crate::kafka::{DEADLINE, unique};
use crate::markdown;
use crate::support::eventually;

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
        let [port] = reserved_ports();
        let mut node = OpenSearch { folder, cluster, port, running: None };
        node.restart();
        node
    }

    /// Starts a node that was killed again, on its port and with its data.
    pub fn restart(&mut self) {
        let mut command = Command::new("java");
        command
            .args(["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"])
            // The JVM itself expands the asterisk.
            .arg(server::jars("KUBETELL_OPENSEARCH_LIBS", "OpenSearch").join("*"))
            .arg("groovy.ui.GroovyMain")
            .arg(markdown::root().join("tests/opensearch/node.groovy"))
            .arg(self.folder.path().join("node"))
            .args([&self.cluster, &self.port.to_string()]);
        self.running = Some(Running::start(&mut command, &self.log_path(), self.folder.path()));
        eventually(DEADLINE, "OpenSearch answers", || {
            let running = self.running.as_mut().unwrap();
            if running.has_ended() {
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

    /// All documents of an index, by id. None while the index is not there, or just being made.
    pub fn documents(&self, index: &str) -> BTreeMap<String, Document> {
        if self.request("POST", &format!("/{index}/_refresh"), None).status == 404 {
            return BTreeMap::new();
        }
        let body = json!({ "size": 10_000, "version": true, "query": { "match_all": {} } });
        let answer = self.request("POST", &format!("/{index}/_search"), Some(&body));
        // None of its shards has begun yet.
        if answer.status == 503 {
            return BTreeMap::new();
        }
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
        server::tail("OpenSearch", &String::from_utf8_lossy(&log))
    }
}
