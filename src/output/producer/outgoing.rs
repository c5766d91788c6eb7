//! What goes out: one record to produce, and what comes back of it.

use std::sync::Arc;

use crate::output::dead_letter::Headers;
use crate::output::forms;

/// What an output takes of memory beside its bytes.
const OVERHEAD_BYTES: usize = 512;

/// Where in the input an output came from; opaque to the producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket {
    /// The caller's number for a topic's partition.
    pub slot: u32,
    /// The assignment under which the record was read.
    pub epoch: u64,
    pub offset: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputKind {
    Alert,
    Observation,
    Marker,
    DeadLetter,
}

impl OutputKind {
    /// In the order in which their figures stand.
    pub const ALL: [OutputKind; 4] =
        [OutputKind::Alert, OutputKind::Observation, OutputKind::Marker, OutputKind::DeadLetter];

    pub fn as_str(self) -> &'static str {
        match self {
            OutputKind::Alert => "alert",
            OutputKind::Observation => "observation",
            OutputKind::Marker => "marker",
            OutputKind::DeadLetter => "dead letter",
        }
    }
}

/// One record to produce.
#[derive(Debug)]
pub struct Output {
    pub kind: OutputKind,
    pub topic: Arc<str>,
    /// `None` leaves the choice to librdkafka's partitioner (by key).
    pub partition: Option<i32>,
    pub key: Option<Vec<u8>>,
    pub payload: Option<Vec<u8>>,
    pub headers: Headers,
    /// Of no use any more.
    pub reduced: Option<Vec<u8>>,
    pub ticket: Ticket,
    /// Which one of the ticket's outputs this is; the caller's, as the ticket is.
    pub serial: u32,
}

impl Output {
    /// Bytes that this output keeps in memory: ours, and librdkafka's copy of it.
    pub fn size(&self) -> usize {
        let bytes = self.payload.as_ref().map_or(0, Vec::len)
            + self.key.as_ref().map_or(0, Vec::len)
            + forms::headers_size(&self.headers);
        2 * bytes + OVERHEAD_BYTES
    }
}

/// An output whose ticket comes back, and what became of it.
#[derive(Debug)]
pub struct Acknowledged {
    pub output: Arc<Output>,
    /// It went to the dead letters in place of its topic.
    pub diverted: bool,
}

impl std::ops::Deref for Acknowledged {
    type Target = Output;
    fn deref(&self) -> &Output {
        &self.output
    }
}
