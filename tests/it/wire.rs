//! A record written to a broker byte by byte: what no client library writes, and a broker takes.
//!
//! Source of the format: the Kafka protocol guide, `Produce` version 7 and record batch version 2.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{Read, Write};
use std::net::TcpStream;

const PRODUCE: i16 = 0;
const PRODUCE_VERSION: i16 = 7;

pub struct RawRecord<'a> {
    pub value: &'a [u8],
    /// Names need not be UTF-8.
    pub headers: &'a [(&'a [u8], &'a [u8])],
}

/// Writes one record to the leader of a partition, and waits until it is taken.
pub fn produce(broker: &str, topic: &str, partition: i32, record: &RawRecord<'_>) {
    let mut request = Vec::new();
    put(&mut request, &PRODUCE.to_be_bytes());
    put(&mut request, &PRODUCE_VERSION.to_be_bytes());
    put(&mut request, &1i32.to_be_bytes()); // correlation id
    put(&mut request, &(-1i16).to_be_bytes()); // no client id
    put(&mut request, &(-1i16).to_be_bytes()); // no transactional id
    put(&mut request, &1i16.to_be_bytes()); // acknowledged by the leader
    put(&mut request, &10_000i32.to_be_bytes());
    put(&mut request, &1i32.to_be_bytes()); // topics
    put(&mut request, &i16::try_from(topic.len()).unwrap().to_be_bytes());
    put(&mut request, topic.as_bytes());
    put(&mut request, &1i32.to_be_bytes()); // partitions
    put(&mut request, &partition.to_be_bytes());
    put_sized(&mut request, &batch(record));

    let mut stream = TcpStream::connect(broker).unwrap();
    let mut framed = Vec::new();
    put_sized(&mut framed, &request);
    stream.write_all(&framed).unwrap();
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; usize::try_from(i32::from_be_bytes(length)).unwrap()];
    stream.read_exact(&mut answer).unwrap();
    // Correlation id, topics, the topic's name, partitions, the partition, then the error.
    let at = 4 + 4 + 2 + topic.len() + 4 + 4;
    assert_eq!(answer[at..at + 2], [0, 0], "the broker refuses the record: {answer:?}");
}

fn batch(record: &RawRecord<'_>) -> Vec<u8> {
    let mut body = vec![0]; // attributes
    put_varint(&mut body, 0); // after the first timestamp
    put_varint(&mut body, 0); // after the base offset
    put_varint(&mut body, -1); // no key
    put_varint(&mut body, length(record.value));
    put(&mut body, record.value);
    put_varint(&mut body, i64::try_from(record.headers.len()).unwrap());
    for (name, value) in record.headers {
        put_varint(&mut body, length(name));
        put(&mut body, name);
        put_varint(&mut body, length(value));
        put(&mut body, value);
    }

    let mut checked = Vec::new();
    put(&mut checked, &0i16.to_be_bytes()); // attributes: not compressed
    put(&mut checked, &0i32.to_be_bytes()); // last offset, after the base offset
    for _ in 0..2 {
        put(&mut checked, &1_772_352_000_000i64.to_be_bytes()); // first and last timestamp
    }
    put(&mut checked, &(-1i64).to_be_bytes()); // not idempotent: producer, epoch, sequence
    put(&mut checked, &(-1i16).to_be_bytes());
    put(&mut checked, &(-1i32).to_be_bytes());
    put(&mut checked, &1i32.to_be_bytes()); // records
    put_varint(&mut checked, length(&body));
    put(&mut checked, &body);

    let mut batch = Vec::new();
    put(&mut batch, &0i64.to_be_bytes()); // base offset: the broker's to set
    let rest = 4 + 1 + 4 + checked.len();
    put(&mut batch, &i32::try_from(rest).unwrap().to_be_bytes());
    put(&mut batch, &(-1i32).to_be_bytes()); // leader epoch
    batch.push(2); // format
    put(&mut batch, &crc32c(&checked).to_be_bytes());
    put(&mut batch, &checked);
    batch
}

fn put(bytes: &mut Vec<u8>, more: &[u8]) {
    bytes.extend_from_slice(more);
}

fn put_sized(bytes: &mut Vec<u8>, more: &[u8]) {
    put(bytes, &i32::try_from(more.len()).unwrap().to_be_bytes());
    put(bytes, more);
}

fn length(bytes: &[u8]) -> i64 {
    i64::try_from(bytes.len()).unwrap()
}

/// Zigzag, then seven bits a byte.
fn put_varint(bytes: &mut Vec<u8>, number: i64) {
    let mut left = (number << 1 ^ number >> 63).cast_unsigned();
    while left >= 0x80 {
        bytes.push(left.to_le_bytes()[0] | 0x80);
        left >>= 7;
    }
    bytes.push(left.to_le_bytes()[0]);
}

/// CRC-32C (Castagnoli), bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            crc >> 1 ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 }
        })
    })
}

#[test]
fn the_checksum_is_the_one_of_the_protocol() {
    assert_eq!(crc32c(b"123456789"), 0xe306_9283);
}
