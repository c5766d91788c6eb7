//! A source topic of its own on a real Kafka, and a command that reads it beside the service.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::kafka::broker::Broker;
use crate::kafka::client::Record;
use crate::kafka::process::{Finished, Process, kubetell};
use crate::kafka::{DEADLINE, unique};

/// A topic whose records never expire, and a folder for files and for what must stay empty.
pub struct Source<'k> {
    command: &'static str,
    pub kafka: &'k Broker,
    pub prefix: String,
    pub dir: tempfile::TempDir,
    /// More settings.
    pub extra: Vec<String>,
}

impl<'k> Source<'k> {
    /// `command` is the program's that reads.
    pub fn new(command: &'static str, kafka: &'k Broker, name: &str, partitions: i32) -> Self {
        let source = Source {
            command,
            kafka,
            prefix: unique(name),
            dir: tempfile::tempdir().unwrap(),
            extra: Vec::new(),
        };
        kafka.create_topic(&source.topic(), partitions, &[("retention.ms", "-1")]);
        source
    }

    pub fn topic(&self) -> String {
        format!("{}.audit", self.prefix)
    }

    pub fn produce(&self, records: &[Record]) {
        self.kafka.produce(&self.topic(), records);
    }

    pub fn spawn(&self, arguments: &[&str]) -> Process {
        let mut all = vec![self.command.to_owned()];
        all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        let settings = [
            format!("kafka.bootstrap_servers={}", self.kafka.bootstrap()),
            format!("kafka.group_id={}", self.prefix),
            format!("source.topics=[\"{}\"]", self.topic()),
            format!("alerts.topic={}.alerts", self.prefix),
            format!("observations.topic={}.observations", self.prefix),
            format!("dead_letters.topic={}.dead", self.prefix),
            format!("state.directory={}", self.dir.path().join("state").display()),
        ];
        for setting in settings.iter().chain(&self.extra) {
            all.extend(["--set".to_owned(), setting.clone()]);
        }
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let mut command = kubetell(&all);
        command.env("KUBETELL_LOG", "kubetell=debug,warn");
        Process::spawn(command)
    }

    /// Runs it to its end, which has to be this one.
    pub fn check(&self, arguments: &[&str], code: i32) -> Finished {
        let finished = self.spawn(arguments).wait(DEADLINE);
        let stdout = finished.stdout_text();
        assert_eq!(finished.code(), Some(code), "{arguments:?}\n{stdout}\n{}", finished.stderr);
        finished
    }

    pub fn json(&self, arguments: &[&str], code: i32) -> Value {
        let arguments = [arguments, &["--format", "json"]].concat();
        serde_json::from_slice(&self.check(&arguments, code).stdout).unwrap()
    }

    pub fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }
}
