//! Where an event stood in the input. It rides along with everything made of the event.

use serde::{Deserialize, Serialize};

/// The place of one event: which input, which record of it, which item of the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "input", rename_all = "lowercase")]
pub enum Position {
    /// A record of a topic.
    Kafka {
        topic: String,
        partition: i32,
        offset: i64,
        /// 0-based index of the event within the record.
        item: u32,
    },
    /// A line of a file; `path` is `-` for standard input.
    File {
        path: String,
        /// 1-based number of the line on which the record begins.
        line: u64,
        /// 0-based index of the event within the record.
        item: u32,
    },
}
