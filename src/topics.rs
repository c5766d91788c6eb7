//! The topics: whether the brokers answer, whether the topics are there with the settings that
//! correctness needs, and making our own when they are absent.
//!
//! Never touches the source topics. What our topics have to be and why is in `wanted`, what is wrong with
//! them and what to do in `problem`, and how the brokers are asked in `brokers`.

mod brokers;
mod problem;
mod wanted;

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::RDKafkaErrorCode;

use crate::config::Config;
use crate::topics::brokers::{Brokers, passes};
use crate::topics::problem::{absent, is_absent, others_text, undescribed};
use crate::topics::wanted::Wanted;

pub use crate::topics::problem::{Problem, TopicsError, refused_connection};

/// How long the start waits for brokers before it gives up.
pub const CONNECT_MAX: Duration = Duration::from_secs(30);

/// How one topic was found, for `topics check`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicReport {
    pub name: String,
    pub role: &'static str,
    pub partitions: Option<usize>,
    pub created: bool,
    pub problems: Vec<Problem>,
}

/// What the stream needs to know of the topics.
#[derive(Debug, Clone)]
pub struct Report {
    pub topics: Vec<TopicReport>,
    pub warnings: Vec<String>,
}

impl Report {
    pub fn problems(&self) -> Vec<Problem> {
        self.topics.iter().flat_map(|topic| topic.problems.clone()).collect()
    }
}

pub struct Topics<'a> {
    config: &'a Config,
    brokers: Brokers<'a>,
}

impl<'a> Topics<'a> {
    pub fn new(config: &'a Config) -> Result<Self, TopicsError> {
        Ok(Topics { config, brokers: Brokers::new(config)? })
    }

    /// Waits until a broker answers; the number of brokers. What brokers refuse is not waited for.
    pub fn connect(&self, wait: Duration) -> Result<usize, TopicsError> {
        self.brokers.connect(wait)
    }

    /// Looks at every topic; makes our own where they are absent and `create` says so.
    pub fn survey(&self, longest_window_ms: i64, create: bool) -> Result<Report, TopicsError> {
        let brokers = self.brokers.connect(CONNECT_MAX)?;
        let mut warnings = Vec::new();
        let wanted_replicas = self.config.observations.replication_factor;
        let wanted_replicas = i32::from(wanted_replicas);
        let replicas = wanted_replicas.min(i32::try_from(brokers).unwrap_or(1)).max(1);
        let mut topics = Vec::new();
        for name in &self.config.source.topics {
            topics.push(self.source(name)?);
        }
        let own = [
            ("observations", Wanted::observations(&self.config.observations, longest_window_ms)),
            ("alerts", Wanted::outputs(&self.config.alerts.topic)),
            ("dead letters", Wanted::outputs(&self.config.dead_letters.topic)),
        ];
        for (role, wanted) in own {
            topics.push(self.own(role, &wanted, replicas, create)?);
        }
        if replicas < wanted_replicas && topics.iter().any(|topic| topic.created) {
            warnings.push(format!(
                "the cluster has {brokers} broker(s): topics were made with a replication factor of {replicas} instead of {wanted_replicas}"
            ));
        }
        Ok(Report { topics, warnings })
    }

    /// Looks at the observations topic alone; makes nothing.
    pub fn survey_observations(&self, longest_window_ms: i64) -> Result<TopicReport, TopicsError> {
        self.brokers.connect(CONNECT_MAX)?;
        let wanted = Wanted::observations(&self.config.observations, longest_window_ms);
        self.own("observations", &wanted, 1, false)
    }

    /// Looks at the source topics alone, in the configuration's order; makes nothing.
    pub fn survey_sources(&self) -> Result<Vec<TopicReport>, TopicsError> {
        self.brokers.connect(CONNECT_MAX)?;
        self.config.source.topics.iter().map(|name| self.source(name)).collect()
    }

    fn source(&self, name: &str) -> Result<TopicReport, TopicsError> {
        let found = self.brokers.find(name).map_err(|error| self.brokers.unreachable(&error))?;
        let mut report = TopicReport {
            name: name.to_owned(),
            role: "source",
            partitions: None,
            created: false,
            problems: Vec::new(),
        };
        match found.error {
            None => report.partitions = Some(found.partitions),
            Some(error) => {
                let mut problem = absent("source", name, error, false);
                if is_absent(error) {
                    problem.hint.push_str(&self.others(name));
                }
                report.problems.push(problem);
            }
        }
        Ok(report)
    }

    /// Which topics there are in the place of one that is absent, as the end of a sentence; empty where
    /// that can't be known.
    fn others(&self, absent: &str) -> String {
        let Some(names) = self.brokers.topics() else { return String::new() };
        let own = [
            &self.config.observations.topic,
            &self.config.alerts.topic,
            &self.config.dead_letters.topic,
        ];
        let others = names.iter().filter(|name| own.iter().all(|own| own != name));
        others_text(absent, others.map(String::as_str))
    }

    fn own(
        &self,
        role: &'static str,
        wanted: &Wanted,
        replicas: i32,
        create: bool,
    ) -> Result<TopicReport, TopicsError> {
        let mut report = TopicReport {
            name: wanted.name.clone(),
            role,
            partitions: None,
            created: false,
            problems: Vec::new(),
        };
        let mut found =
            self.brokers.find(&wanted.name).map_err(|error| self.brokers.unreachable(&error))?;
        if found.error == Some(RDKafkaErrorCode::UnknownTopicOrPartition) && create {
            match self.brokers.create(wanted, replicas) {
                Ok(created) => report.created = created,
                Err(error) if passes(&error) => return Err(self.brokers.unreachable(&error)),
                Err(error) => {
                    report.problems.push(Problem {
                        message: format!("the topic `{}` could not be made: {error}", wanted.name),
                        hint: format!(
                            "grant `Create` on it, or make it beforehand with {} partitions and {}",
                            wanted.partitions,
                            wanted.settings_text()
                        ),
                    });
                    return Ok(report);
                }
            }
            found = self.brokers.await_created(wanted)?;
        }
        if let Some(error) = found.error {
            report.problems.push(absent(role, &wanted.name, error, true));
            return Ok(report);
        }
        report.partitions = Some(found.partitions);
        if role == "observations" {
            self.check_observations(wanted, found.partitions, &mut report)?;
        }
        Ok(report)
    }

    fn check_observations(
        &self,
        wanted: &Wanted,
        partitions: usize,
        report: &mut TopicReport,
    ) -> Result<(), TopicsError> {
        report.problems.extend(wanted.partitions_problem(partitions));
        match self.brokers.settings(&wanted.name) {
            // What is refused comes back as a topic without settings. Every topic has some.
            Ok(Some(resource)) if resource.entries.is_empty() => {
                report.problems.push(undescribed(&wanted.name, "the brokers tell none of them"));
            }
            Ok(Some(resource)) => {
                let servers = &self.config.kafka.bootstrap_servers;
                let value = |key: &str| resource.get(key).and_then(|entry| entry.value.clone());
                report.problems.extend(wanted.settings_problems(servers, value));
            }
            Ok(None) => {}
            Err(error) if passes(&error) => return Err(self.brokers.unreachable(&error)),
            Err(error) => report.problems.push(undescribed(&wanted.name, &error.to_string())),
        }
        Ok(())
    }

    /// The configuration that these clients were made with.
    pub fn client_config(&self) -> &ClientConfig {
        self.brokers.client_config()
    }
}

#[cfg(test)]
#[path = "topics_tests.rs"]
mod tests;
