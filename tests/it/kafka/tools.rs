//! Kafka's own command-line tools, as an oracle that is not our client.
//!
//! Each call starts a JVM: about a second. Ask once and compare the whole answer.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use super::DEADLINE;
use super::broker::{Broker, java};
use super::process::{Finished, Process};

/// What separates the parts of a record in the console consumer's output. Control characters,
/// since a record may hold every character that a person would choose.
const PART: &str = "\u{1f}";
const HEADER: &str = "\u{1d}";
const RECORD: &str = "\u{1e}\n";
const NULL: &str = "\u{1c}";

/// A record as Kafka's console consumer prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumed {
    /// `CreateTime` or `LogAppendTime`.
    pub timestamp_type: String,
    /// Milliseconds since the epoch.
    pub timestamp_ms: i64,
    pub partition: i32,
    pub offset: i64,
    /// In their order. A header's name must hold no colon here.
    pub headers: Vec<(String, Vec<u8>)>,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
}

impl Consumed {
    pub fn key_text(&self) -> &str {
        self.key.as_deref().map_or("", |key| std::str::from_utf8(key).unwrap())
    }

    pub fn value_text(&self) -> &str {
        self.value.as_deref().map_or("", |value| std::str::from_utf8(value).unwrap())
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(key, _)| key == name)?;
        Some(std::str::from_utf8(value).unwrap())
    }
}

/// How far a group is in one partition of one topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupOffset {
    /// Absent: the group has committed nothing there.
    pub committed: Option<i64>,
    pub log_end: i64,
}

impl Broker {
    fn tool(&self, class: &str) -> Command {
        let mut command = java(256, "warn", class);
        command
            .args(["--bootstrap-server", &self.bootstrap()])
            .arg("--command-config")
            .arg(self.tool_config());
        command
    }

    /// Reads `count` records of a topic from its beginning, and no more. Partitions come in no
    /// order among each other. Fails when there are fewer.
    pub fn consume(&self, topic: &str, count: usize) -> Vec<Consumed> {
        if count == 0 {
            return Vec::new();
        }
        let mut command = self.tool("org.apache.kafka.tools.consumer.ConsoleConsumer");
        command.args(["--topic", topic, "--from-beginning"]);
        command.args(["--max-messages", &count.to_string()]);
        command.args(["--timeout-ms", &DEADLINE.as_millis().to_string()]);
        for property in [
            "print.timestamp=true",
            "print.partition=true",
            "print.offset=true",
            "print.headers=true",
            "print.key=true",
            &format!("key.separator={PART}"),
            &format!("headers.separator={HEADER}"),
            &format!("line.separator={RECORD}"),
            &format!("null.literal={NULL}"),
        ] {
            command.args(["--formatter-property", property]);
        }
        let output = command.stdin(Stdio::null()).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "the console consumer failed: {stderr}");
        let records = parse_consumed(&output.stdout);
        assert_eq!(records.len(), count, "records in `{topic}`; {stderr}");
        records
    }

    /// All records of a topic that nobody writes to meanwhile, by partition and offset. Not for
    /// topics with transactions or compaction, whose offsets have gaps.
    pub fn consume_all(&self, topic: &str) -> Vec<Consumed> {
        let offsets = self.topic_offsets(topic);
        let count: i64 = offsets.values().map(|(start, end)| end - start).sum();
        let mut records = self.consume(topic, usize::try_from(count).unwrap());
        records.sort_by_key(|record| (record.partition, record.offset));
        records
    }

    /// The first offset and the end of the log, by partition.
    pub fn topic_offsets(&self, topic: &str) -> BTreeMap<i32, (i64, i64)> {
        let of = |time: &str| -> BTreeMap<i32, i64> {
            let mut command = self.tool("org.apache.kafka.tools.GetOffsetShell");
            command.args(["--topic", topic, "--time", time]);
            let output = run(command);
            // TOPIC:PARTITION:OFFSET
            output
                .lines()
                .filter_map(|line| {
                    let mut parts = line.rsplitn(3, ':');
                    let offset = parts.next()?.parse().ok()?;
                    let partition = parts.next()?.parse().ok()?;
                    (parts.next()? == topic).then_some((partition, offset))
                })
                .collect()
        };
        let (starts, ends) = (of("earliest"), of("latest"));
        assert!(!ends.is_empty(), "topic `{topic}` has no offsets");
        ends.into_iter().map(|(partition, end)| (partition, (starts[&partition], end))).collect()
    }

    /// What a group has committed, by topic and partition: all partitions of the topics that it
    /// has committed anything of or is subscribed to.
    pub fn group_offsets(&self, group: &str) -> BTreeMap<(String, i32), GroupOffset> {
        let mut command = self.tool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand");
        command.args(["--describe", "--offsets", "--group", group]);
        command.args(["--timeout", &DEADLINE.as_millis().to_string()]);
        parse_group_table(&run(command))
    }

    /// The settings of a topic that differ from the broker's own.
    pub fn topic_settings(&self, topic: &str) -> BTreeMap<String, String> {
        let mut command = self.tool("kafka.admin.ConfigCommand");
        command.args(["--describe", "--entity-type", "topics", "--entity-name", topic]);
        parse_settings(&run(command))
    }

    /// Changes a setting of a topic.
    pub fn alter_topic(&self, topic: &str, setting: &str, value: &str) {
        let mut command = self.tool("kafka.admin.ConfigCommand");
        command.args(["--alter", "--entity-type", "topics", "--entity-name", topic]);
        command.args(["--add-config", &format!("{setting}={value}")]);
        run(command);
    }

    /// How many partitions each topic has whose name begins so. Of the others none is looked at:
    /// the tool fails if a topic goes that it has just listed.
    pub fn topics(&self, beginning: &str) -> BTreeMap<String, i32> {
        let mut command = self.tool("org.apache.kafka.tools.TopicCommand");
        let pattern = format!("{}.*", regex::escape(beginning));
        command.args(["--describe", "--exclude-internal", "--if-exists", "--topic", &pattern]);
        let output = run(command);
        let field = |line: &str, name: &str| {
            line.split('\t').find_map(|part| part.strip_prefix(name).map(|v| v.trim().to_owned()))
        };
        output
            .lines()
            .filter_map(|line| {
                let partitions = field(line, "PartitionCount:")?.parse().ok()?;
                Some((field(line, "Topic:")?, partitions))
            })
            .collect()
    }

    /// Gives a user rights, by the names of Kafka's ACL tool: operations such as `Read`, on one
    /// resource such as `["--topic", "alerts"]` or `["--group", "kubetell"]`.
    pub fn allow(&self, user: &str, operations: &[&str], resource: [&str; 2]) {
        let mut command = self.tool("org.apache.kafka.tools.AclCommand");
        command.args(["--add", "--allow-principal", &format!("User:{user}")]);
        for operation in operations {
            command.args(["--operation", operation]);
        }
        command.args(resource);
        run(command);
    }

    /// Gives one right to several users at once; as [`Self::allow`].
    pub fn allow_all(&self, users: &[&str], operation: &str, resource: [&str; 2]) {
        let mut command = self.tool("org.apache.kafka.tools.AclCommand");
        command.args(["--add", "--operation", operation]).args(resource);
        for user in users {
            command.args(["--allow-principal", &format!("User:{user}")]);
        }
        run(command);
    }

    /// Takes a right away again, whatever else allows it; as [`Self::allow`].
    pub fn deny(&self, user: &str, operation: &str, resource: [&str; 2]) {
        let mut command = self.tool("org.apache.kafka.tools.AclCommand");
        command.args(["--add", "--deny-principal", &format!("User:{user}")]);
        command.args(["--operation", operation]).args(resource);
        run(command);
    }

    /// Writes lines with Kafka's own console producer: text before the first tab is the key.
    pub fn console_produce(&self, topic: &str, lines: &str) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), lines).unwrap();
        let mut command = self.tool("org.apache.kafka.tools.ConsoleProducer");
        command.args(["--topic", topic, "--reader-property", "parse.key=true"]);
        let output = command.stdin(file.reopen().unwrap()).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        // It says what went wrong and ends well all the same.
        assert!(
            output.status.success() && !stderr.contains("ERROR"),
            "the console producer failed: {stderr}"
        );
    }

    /// Writes `count` records of `bytes` bytes each with Kafka's own load generator.
    pub fn produce_load(&self, topic: &str, count: usize, bytes: usize) {
        let mut command = self.tool("org.apache.kafka.tools.ProducerPerformance");
        command.args(["--topic", topic, "--throughput", "-1"]);
        command.args(["--num-records", &count.to_string()]);
        command.args(["--record-size", &bytes.to_string()]);
        run(command);
    }
}

/// Runs a tool to its end and returns its standard output.
fn run(command: Command) -> String {
    let name = format!("{command:?}");
    let finished: Finished = Process::spawn(command).wait(DEADLINE);
    let stdout = finished.stdout_text();
    assert!(finished.status.success(), "{name} failed\n{stdout}{}", finished.stderr);
    stdout
}

fn parse_consumed(output: &[u8]) -> Vec<Consumed> {
    split(output, RECORD.as_bytes())
        .into_iter()
        .filter(|record| !record.is_empty())
        .map(parse_record)
        .collect()
}

fn parse_record(record: &[u8]) -> Consumed {
    let parts = split(record, PART.as_bytes());
    let text = |index: usize| std::str::from_utf8(parts[index]).unwrap();
    let (timestamp_type, timestamp_ms) = text(0).split_once(':').unwrap();
    let number = |index: usize, name: &str| text(index).strip_prefix(name).unwrap();
    let nullable = |bytes: &[u8]| (bytes != NULL.as_bytes()).then(|| bytes.to_vec());
    let headers = match parts[3] {
        b"NO_HEADERS" => Vec::new(),
        all => split(all, HEADER.as_bytes())
            .into_iter()
            .map(|header| {
                let colon = header.iter().position(|byte| *byte == b':').unwrap();
                (
                    String::from_utf8_lossy(&header[..colon]).into_owned(),
                    header[colon + 1..].to_vec(),
                )
            })
            .collect(),
    };
    Consumed {
        timestamp_type: timestamp_type.to_owned(),
        timestamp_ms: timestamp_ms.parse().unwrap(),
        partition: number(1, "Partition:").parse().unwrap(),
        offset: number(2, "Offset:").parse().unwrap(),
        headers,
        key: nullable(parts[4]),
        // The value may hold the separator.
        value: nullable(&parts[5..].join(PART.as_bytes())),
    }
}

fn split<'a>(bytes: &'a [u8], separator: &[u8]) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    let mut rest = bytes;
    while let Some(at) = memchr::memmem::find(rest, separator) {
        parts.push(&rest[..at]);
        rest = &rest[at + separator.len()..];
    }
    parts.push(rest);
    parts
}

/// A table whose columns are told by its head line; `-` stands for nothing.
fn parse_group_table(output: &str) -> BTreeMap<(String, i32), GroupOffset> {
    let mut offsets = BTreeMap::new();
    let mut columns: Vec<&str> = Vec::new();
    for line in output.lines() {
        let cells: Vec<&str> = line.split_whitespace().collect();
        if cells.contains(&"CURRENT-OFFSET") {
            columns = cells;
            continue;
        }
        let cell = |name: &str| {
            let index = columns.iter().position(|column| *column == name)?;
            cells.get(index).copied()
        };
        if let (Some(topic), Some(partition), Some(committed), Some(log_end)) = (
            cell("TOPIC"),
            cell("PARTITION").and_then(|cell| cell.parse().ok()),
            cell("CURRENT-OFFSET"),
            cell("LOG-END-OFFSET").and_then(|cell| cell.parse().ok()),
        ) {
            let committed = committed.parse().ok();
            offsets.insert((topic.to_owned(), partition), GroupOffset { committed, log_end });
        }
    }
    offsets
}

/// Lines of the form `  NAME=VALUE sensitive=false synonyms={…}`.
fn parse_settings(output: &str) -> BTreeMap<String, String> {
    output
        .lines()
        .filter_map(|line| {
            let (name, rest) = line.trim().split_once('=')?;
            let (value, _) = rest.split_once(" sensitive=")?;
            Some((name.to_owned(), value.to_owned()))
        })
        .collect()
}

/// Keeps the parsers honest about what they skip.
mod parsers {
    use super::*;

    #[test]
    fn group_table_is_read_by_its_head_line() {
        let table = "\n\
            GROUP TOPIC   PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG CONSUMER-ID HOST CLIENT-ID\n\
            g     audit   0         7              9              2   -           -    -\n\
            g     audit   1         -              4              -   c-1         /127.0.0.1 c\n";
        let offsets = parse_group_table(table);
        let at = |partition| offsets[&("audit".to_owned(), partition)];
        assert_eq!(offsets.len(), 2);
        assert_eq!(at(0), GroupOffset { committed: Some(7), log_end: 9 });
        assert_eq!(at(1), GroupOffset { committed: None, log_end: 4 });
    }
}
