//! What a test does to a broker through librdkafka: create topics, write records, and read what is
//! too much for Kafka's own tools (`tools`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{Message, Offset, TopicPartitionList};

use super::DEADLINE;
use super::broker::Broker;
use crate::support::eventually;

/// A record to write.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// Absent: the client chooses by the key.
    pub partition: Option<i32>,
    pub key: Option<Vec<u8>>,
    /// Absent: a tombstone.
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Vec<u8>)>,
    /// Milliseconds since the epoch. Absent: when it is written.
    pub timestamp: Option<i64>,
}

impl Record {
    pub fn value(value: impl Into<Vec<u8>>) -> Self {
        Self { value: Some(value.into()), ..Self::default() }
    }

    pub fn key(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.key = Some(key.into());
        self
    }

    pub fn partition(mut self, partition: i32) -> Self {
        self.partition = Some(partition);
        self
    }

    pub fn at(mut self, timestamp: i64) -> Self {
        self.timestamp = Some(timestamp);
        self
    }

    pub fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

impl Broker {
    /// Creates a topic with a replica on every node, with settings by Kafka's names.
    pub fn create_topic(&self, topic: &str, partitions: i32, settings: &[(&str, &str)]) {
        let admin: AdminClient<DefaultClientContext> = self.client_config().create().unwrap();
        let replicas = i32::try_from(self.nodes()).unwrap();
        let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(replicas));
        for (key, value) in settings {
            new = new.set(key, value);
        }
        let options =
            AdminOptions::new().request_timeout(Some(DEADLINE)).operation_timeout(Some(DEADLINE));
        let results = block_on(admin.create_topics([&new], &options)).unwrap();
        for result in results {
            result.unwrap_or_else(|(topic, error)| {
                panic!("topic `{topic}` could not be created: {error}\n{}", self.log_tail())
            });
        }
        // A broker may know of it a little later.
        self.await_partitions(topic, usize::try_from(partitions).unwrap());
    }

    /// Waits until the brokers show so many partitions of a topic, 0 of one that is gone.
    fn await_partitions(&self, topic: &str, partitions: usize) {
        let client: BaseConsumer = self.client_config().create().unwrap();
        eventually(DEADLINE, "the brokers know the topic as it is", || {
            partitions_of(&client, topic, DEADLINE).is_ok_and(|found| found.len() == partitions)
        });
    }

    /// Deletes a topic; another one may take its name when this returns.
    pub fn delete_topic(&self, topic: &str) {
        let admin: AdminClient<DefaultClientContext> = self.client_config().create().unwrap();
        let options = AdminOptions::new().operation_timeout(Some(DEADLINE));
        for result in block_on(admin.delete_topics(&[topic], &options)).unwrap() {
            result.unwrap();
        }
        self.await_partitions(topic, 0);
    }

    /// Deletes everything that a topic holds now; its offsets go on.
    pub fn empty_topic(&self, topic: &str, partitions: i32) {
        let admin: AdminClient<DefaultClientContext> = self.client_config().create().unwrap();
        let mut offsets = TopicPartitionList::new();
        for partition in 0..partitions {
            offsets.add_partition_offset(topic, partition, Offset::End).unwrap();
        }
        block_on(admin.delete_records(&offsets, &AdminOptions::new())).unwrap();
    }

    /// Writes records in their order and waits until all are acknowledged.
    pub fn produce(&self, topic: &str, records: &[Record]) {
        let failures = Failures::default();
        let producer: ThreadedProducer<Failures> = self
            .client_config()
            .set("acks", "all")
            .set("enable.idempotence", "true")
            // With more, a batch that was lost with its leader may be taken for written.
            .set("max.in.flight.requests.per.connection", "1")
            .set("linger.ms", "1")
            .set("message.max.bytes", "50000000")
            .set("queue.buffering.max.messages", "1000000")
            .create_with_context(failures.clone())
            .unwrap();
        for record in records {
            let mut base: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic);
            if let Some(partition) = record.partition {
                base = base.partition(partition);
            }
            if let Some(key) = &record.key {
                base = base.key(key.as_slice());
            }
            if let Some(value) = &record.value {
                base = base.payload(value.as_slice());
            }
            if let Some(timestamp) = record.timestamp {
                base = base.timestamp(timestamp);
            }
            if !record.headers.is_empty() {
                let mut headers = OwnedHeaders::new();
                for (key, value) in &record.headers {
                    headers = headers.insert(Header { key, value: Some(value) });
                }
                base = base.headers(headers);
            }
            producer.send(base).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(DEADLINE).unwrap();
        let failures = failures.0.lock().unwrap();
        assert!(failures.is_empty(), "records of `{topic}` were not taken: {failures:?}");
    }
}

impl Broker {
    pub fn watermarks(&self, topic: &str) -> Result<BTreeMap<i32, (i64, i64)>, KafkaError> {
        watermarks(&self.client_config(), topic, DEADLINE)
    }

    /// How many records of a topic a group has not committed; an error while nobody can say.
    pub fn lag(&self, group: &str, topic: &str) -> Result<i64, KafkaError> {
        let client: BaseConsumer = self.client_config().set("group.id", group).create()?;
        let mut asked = TopicPartitionList::new();
        for partition in partitions_of(&client, topic, DEADLINE)? {
            asked.add_partition(topic, partition);
        }
        if asked.count() == 0 {
            return Err(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition));
        }
        // The ends come last: what is appended meanwhile counts.
        let committed = client.committed_offsets(asked, DEADLINE)?;
        let behind = committed.elements().into_iter().map(|element| {
            element.error()?;
            let (start, end) = client.fetch_watermarks(topic, element.partition(), DEADLINE)?;
            Ok(match element.offset() {
                Offset::Offset(offset) => end - offset,
                _ => end - start,
            })
        });
        behind.sum()
    }

    /// Reads all records of a topic that nobody writes to meanwhile, each partition in its order.
    pub fn read_all(&self, topic: &str, mut each: impl FnMut(&BorrowedMessage<'_>)) {
        let mut config = self.client_config();
        // Nobody joins or commits under this name.
        config.set("group.id", "reads-all").set("enable.auto.commit", "false");
        let consumer: BaseConsumer = config.create().unwrap();
        let mut ends = BTreeMap::new();
        // Who was just elected may not know yet that it leads.
        eventually(DEADLINE, "the topic's leaders answer", || match self.watermarks(topic) {
            Ok(found) => {
                ends = found;
                true
            }
            Err(_) => false,
        });
        ends.retain(|_, (start, end)| start < end);
        let mut assignment = TopicPartitionList::new();
        for (partition, (start, _)) in &ends {
            let start = Offset::Offset(*start);
            assignment.add_partition_offset(topic, *partition, start).unwrap();
        }
        consumer.assign(&assignment).unwrap();
        while !ends.is_empty() {
            let message = consumer.poll(DEADLINE).expect("the topic has more records");
            let Ok(message) = message else { continue };
            each(&message);
            if ends[&message.partition()].1 <= message.offset() + 1 {
                ends.remove(&message.partition());
            }
        }
    }
}

/// The first offset and the end of the log, by partition.
pub fn watermarks(
    config: &ClientConfig,
    topic: &str,
    wait: Duration,
) -> Result<BTreeMap<i32, (i64, i64)>, KafkaError> {
    let client: BaseConsumer = config.create()?;
    let partitions = partitions_of(&client, topic, wait)?.into_iter();
    partitions.map(|id| Ok((id, client.fetch_watermarks(topic, id, wait)?))).collect()
}

/// None: there is no such topic.
fn partitions_of(
    client: &BaseConsumer,
    topic: &str,
    wait: Duration,
) -> Result<Vec<i32>, KafkaError> {
    let metadata = client.fetch_metadata(Some(topic), wait)?;
    Ok(metadata.topics()[0].partitions().iter().map(|partition| partition.id()).collect())
}

/// Runs one request of librdkafka's asynchronous admin API.
pub fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

#[derive(Clone, Default)]
struct Failures(Arc<Mutex<Vec<String>>>);

impl ClientContext for Failures {}

impl ProducerContext for Failures {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.0.lock().unwrap().push(error.to_string());
        }
    }
}
