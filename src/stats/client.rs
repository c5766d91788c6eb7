//! What librdkafka tells of one of its clients, reduced to what is shown.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use rdkafka::statistics::Statistics;

/// As of the latest statistics; empty before the first, or where the operator turned them off.
#[derive(Debug, Default)]
pub struct ClientFigures(Mutex<Option<Figures>>);

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
    /// Brokers that are known, without those that only were asked first.
    pub brokers: u64,
    pub brokers_up: u64,
    /// Records in the client's queues, and their bytes: fetched and not polled, or to be sent.
    pub queued_records: u64,
    pub queued_bytes: u64,
    /// Events and answers that wait for a thread of ours.
    pub waiting_events: u64,
    pub sent_bytes: u64,
    pub received_bytes: u64,
    pub requests: u64,
    pub request_timeouts: u64,
    pub request_retries: u64,
    /// Of the slowest broker in the latest interval, microseconds.
    pub rtt_average_us: u64,
    pub rtt_max_us: u64,
    /// The group has let the consumer in and is at rest.
    pub joined: bool,
    /// Where the logs end for a reader, by topic and partition: as of the last fetch.
    pub ends: HashMap<String, HashMap<i32, i64>>,
}

impl ClientFigures {
    /// Whether the client is connected to any broker.
    pub fn take(&self, statistics: &Statistics) -> bool {
        let figures = Figures::of(statistics);
        let connected = figures.brokers_up > 0;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(figures);
        connected
    }

    /// The group has let the consumer in and is at rest.
    pub fn joined(&self) -> bool {
        let figures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        figures.as_ref().is_some_and(|figures| figures.joined)
    }

    pub fn get(&self) -> Option<Figures> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn positive(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

impl Figures {
    fn of(statistics: &Statistics) -> Figures {
        let mut figures = Figures {
            waiting_events: positive(statistics.replyq),
            sent_bytes: positive(statistics.tx_bytes),
            received_bytes: positive(statistics.rx_bytes),
            requests: positive(statistics.tx),
            joined: statistics.cgrp.as_ref().is_some_and(|group| group.join_state == "steady"),
            ..Figures::default()
        };
        for broker in statistics.brokers.values().filter(|broker| broker.nodeid >= 0) {
            figures.brokers += 1;
            figures.brokers_up += u64::from(broker.state == "UP");
            figures.request_timeouts += broker.req_timeouts;
            figures.request_retries += broker.txretries;
            if let Some(rtt) = broker.rtt.as_ref().filter(|rtt| rtt.cnt > 0) {
                figures.rtt_average_us = figures.rtt_average_us.max(positive(rtt.avg));
                figures.rtt_max_us = figures.rtt_max_us.max(positive(rtt.max));
            }
        }
        for topic in statistics.topics.values() {
            for partition in topic.partitions.values().filter(|one| one.partition >= 0) {
                figures.queued_records += positive(partition.fetchq_cnt);
                figures.queued_bytes += partition.fetchq_size;
                // What is read is read up to the last stable offset.
                let end = if partition.ls_offset >= 0 {
                    partition.ls_offset
                } else {
                    partition.hi_offset
                };
                if end >= 0 {
                    let ends = figures.ends.entry(topic.topic.clone()).or_default();
                    ends.insert(partition.partition, end);
                }
            }
        }
        if statistics.client_type == "producer" {
            figures.queued_records = statistics.msg_cnt;
            figures.queued_bytes = statistics.msg_size;
        }
        figures
    }

    pub fn end(&self, topic: &str, partition: i32) -> Option<i64> {
        self.ends.get(topic)?.get(&partition).copied()
    }
}
