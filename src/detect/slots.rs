//! The source partitions of the detect thread, by the numbers that tickets carry, with what is
//! counted of each and how far its commits are.
//!
//! A partition keeps its number for as long as the process runs, whether it is assigned or not.

use std::collections::HashMap;
use std::sync::Arc;

use crate::detect::ledger::Ledger;
use crate::ingest::commit::Commits;
use crate::stats::flow::{SourceFlow, Sources};
use crate::stats::half::{PartitionFigures, Places};

pub struct Slot {
    pub topic: Arc<str>,
    pub partition: i32,
    pub commits: Commits,
    /// The counters of its topic.
    pub read: Arc<SourceFlow>,
    /// Append time of the record read last, milliseconds.
    pub append_ms: Option<i64>,
    places: Places,
}

#[derive(Default)]
pub struct Slots {
    slots: Vec<Slot>,
    by_topic: HashMap<Arc<str>, HashMap<i32, u32>>,
    last: u32,
}

impl Slots {
    /// The number of a partition. Records come in runs of one, so the last one is looked at first.
    pub fn number(&mut self, topic: &str, partition: i32, sources: &Sources) -> u32 {
        if let Some(slot) = self.slots.get(self.last as usize)
            && slot.partition == partition
            && &*slot.topic == topic
        {
            return self.last;
        }
        let found = self.by_topic.get(topic).and_then(|slots| slots.get(&partition)).copied();
        let number = found.unwrap_or_else(|| self.add(topic.into(), partition, sources));
        self.last = number;
        number
    }

    fn add(&mut self, topic: Arc<str>, partition: i32, sources: &Sources) -> u32 {
        let number = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        self.by_topic.entry(Arc::clone(&topic)).or_default().insert(partition, number);
        self.slots.push(Slot {
            read: sources.of(&topic),
            topic,
            partition,
            commits: Commits::new(0),
            append_ms: None,
            places: Places::default(),
        });
        number
    }

    pub fn get_mut(&mut self, number: u32) -> Option<&mut Slot> {
        self.slots.get_mut(number as usize)
    }

    pub fn iter(&self) -> impl Iterator<Item = (u32, &Slot)> {
        (0..).zip(&self.slots)
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut Slot)> {
        (0..).zip(&mut self.slots)
    }

    /// The partition is read anew from `start`.
    pub fn begin(&mut self, number: u32, start: i64) {
        if let Some(slot) = self.get_mut(number) {
            slot.commits = Commits::new(start);
            slot.append_ms = None;
            slot.places = Places::default();
        }
    }

    /// How far the assigned partitions are.
    pub fn figures(&mut self, ledger: &Ledger) -> Vec<PartitionFigures> {
        let mut figures = Vec::new();
        for (number, slot) in self.iter_mut() {
            let (Some(next), Some(done)) = (ledger.next(number), ledger.committable(number)) else {
                continue;
            };
            if let Some(append_ms) = slot.append_ms {
                slot.places.read(next, append_ms);
            }
            figures.push(PartitionFigures {
                topic: Arc::clone(&slot.topic),
                partition: slot.partition,
                next,
                done,
                committed: slot.commits.confirmed(),
                done_append_ms: slot.places.at(done),
                restoring: false,
            });
        }
        figures
    }
}
