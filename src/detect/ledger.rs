//! The protocol of the detect half: which records are under way, what of a settled record is sent,
//! and how far each source partition may be committed.
//!
//! Owns the watermarks, the assignments' epochs, what was told of each alert, what was observed
//! lately, and the outputs under way. Does no I/O, reads no clock (times are arguments) and knows no topics: a slot is the
//! driver's number for a source partition. Everything under way carries (slot, epoch, offset);
//! what comes back from a past epoch counts for nothing that may be committed.
//!
//! Bounded: a record under way and an output under way take a few words each, and the driver
//! bounds how many there are, those that only wait for another one's output included; what was
//! told and observed is bounded here.

use std::collections::HashMap;
use std::sync::Arc;

use crate::detect::likely::Likely;
use crate::detect::pool::{AlertMark, Mark, Settled};
use crate::detect::recent::Recent;
use crate::detect::suppress::Suppressor;
use crate::detect::told::{Tell, Told};
use crate::faults::{Fault, Faults};
use crate::ingest::watermark::{Watermark, WatermarkError};
use crate::output::producer::{Output, Ticket};

const TOLD_MAX_ALERTS: usize = 65_536;
/// What a record takes that waits for another one's output: its ticket in a list with room to
/// grow, and its place in the watermark.
const WAITING_BYTES: usize = 128;

#[derive(Debug)]
struct Assignment {
    epoch: u64,
    mark: Watermark,
}

/// What a delivered record is to this instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Admission {
    /// To be passed or admitted before the next record of its slot.
    New(Ticket),
    /// Delivered again: it is under way or done already.
    AlreadySeen,
    /// The slot is not assigned.
    NotOwned,
}

/// What settling a record left out or told more of; for the counters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counted {
    pub revisions: u64,
    /// Later stages of an alerted event that told nothing new.
    pub repeats: u64,
    /// Observations of a term that was observed a moment ago.
    pub spared: u64,
    /// The record was read under a past assignment: whoever has the partition now reads it too.
    pub past: u64,
    /// Rules of alerts that were withheld since one that is the same was raised a while ago.
    pub suppressed: Vec<String>,
}

#[derive(Debug)]
pub struct Ledger {
    faults: Faults,
    /// By slot; `None`: not assigned.
    slots: Vec<Option<Assignment>>,
    /// Of the latest assignment.
    epoch: u64,
    told: Told,
    recent: Recent,
    suppressor: Suppressor,
    /// Sent and not acknowledged, past assignments' too: by ticket and serial.
    open: HashMap<(Ticket, u32), Open>,
    /// By alert id, the output that told it last, while that is open.
    telling: HashMap<String, (Ticket, u32)>,
    /// How often a record waits for another one's output.
    waiting: usize,
}

#[derive(Debug)]
struct Open {
    mark: Mark,
    /// When it was handed to the producer.
    handed_ms: i64,
    /// Records that told nothing because this output does: they are done when it is.
    waiting: Vec<Ticket>,
}

/// An output that is done.
struct Closed {
    mark: Mark,
    /// When it was handed to the producer.
    handed_ms: i64,
    /// It is an alert, and no other output has told it since.
    told_last: bool,
}

impl Ledger {
    /// `cache_bytes` is what the cache of recent observations may take; 0 is none.
    pub fn new(faults: Faults, cache_bytes: u64) -> Self {
        Ledger {
            faults,
            slots: Vec::new(),
            epoch: 0,
            told: Told::new(TOLD_MAX_ALERTS),
            recent: Recent::new(cache_bytes, faults),
            suppressor: Suppressor::default(),
            open: HashMap::new(),
            telling: HashMap::new(),
            waiting: 0,
        }
    }

    /// Which terms' observations are likely to be spared, for the workers.
    pub fn likely(&self) -> &Arc<Likely> {
        self.recent.likely()
    }

    /// The slot is assigned and read from `start` on; its epoch is one that never was before.
    pub fn assigned(&mut self, slot: u32, start: i64) {
        self.epoch += 1;
        let at = slot as usize;
        if self.slots.len() <= at {
            self.slots.resize_with(at + 1, || None);
        }
        let mark = Watermark::with_faults(start, self.faults);
        self.slots[at] = Some(Assignment { epoch: self.epoch, mark });
    }

    /// Revoked or lost: nothing of these slots counts any more.
    pub fn released(&mut self, slots: impl IntoIterator<Item = u32>) {
        for slot in slots {
            if let Some(assignment) = self.slots.get_mut(slot as usize) {
                *assignment = None;
            }
        }
        // What was sent from these slots may never be acknowledged. Should they come back here,
        // their records are read again and their alerts must not count as told.
        self.told.clear();
    }

    fn assignment(&self, slot: u32) -> Option<&Assignment> {
        self.slots.get(slot as usize)?.as_ref()
    }

    /// The assignment that a ticket is of, unless it is past.
    fn of(&mut self, ticket: Ticket) -> Option<&mut Assignment> {
        let any = self.faults.has(Fault::PastEpochAccepted);
        let assignment = self.slots.get_mut(ticket.slot as usize)?.as_mut()?;
        (any || assignment.epoch == ticket.epoch).then_some(assignment)
    }

    /// What the watermark says to a step of a present assignment; a past one's has no say.
    fn step(
        &mut self,
        ticket: Ticket,
        step: impl FnOnce(&mut Watermark) -> Result<(), WatermarkError>,
    ) -> Result<(), WatermarkError> {
        let planted = self.faults.has(Fault::PastEpochAccepted);
        let Some(assignment) = self.of(ticket) else { return Ok(()) };
        match step(&mut assignment.mark) {
            Err(_) if planted => Ok(()),
            result => result,
        }
    }

    pub fn owns(&self, slot: u32) -> bool {
        self.assignment(slot).is_some()
    }

    /// One past the highest offset that was passed or admitted, else where the slot began.
    pub fn next(&self, slot: u32) -> Option<i64> {
        Some(self.assignment(slot)?.mark.next())
    }

    /// Looks at a delivered record. One that is new is then passed or admitted.
    pub fn look(&self, slot: u32, offset: i64) -> Admission {
        let Some(assignment) = self.assignment(slot) else { return Admission::NotOwned };
        if offset < assignment.mark.next() {
            return Admission::AlreadySeen;
        }
        Admission::New(Ticket { slot, epoch: assignment.epoch, offset })
    }

    /// Nothing in the record concerns a rule.
    ///
    /// # Errors
    /// As every step: a bug of the caller. Nothing may be committed on the strength of it.
    pub fn pass(&mut self, ticket: Ticket) -> Result<(), WatermarkError> {
        self.step(ticket, |mark| mark.pass(ticket.offset))
    }

    /// The record goes to the pool, and will be settled.
    pub fn admit(&mut self, ticket: Ticket) -> Result<(), WatermarkError> {
        self.step(ticket, |mark| mark.admit(ticket.offset))
    }

    /// The outputs of a record are known: what is to be sent of them goes to `send`. Nothing of a
    /// past assignment's. `boot_ms`: since boot, counting suspension.
    ///
    /// `None`: an observation that was left unwritten is to be sent. Nothing has changed; the record
    /// is to be settled once more, with everything written.
    pub fn settle(
        &mut self,
        settled: Settled,
        boot_ms: i64,
        send: &mut Vec<Output>,
    ) -> Result<Option<Counted>, WatermarkError> {
        let ticket = settled.ticket;
        let mut counted = Counted::default();
        if self.of(ticket).is_none() {
            counted.past += 1;
            return Ok(Some(counted));
        }
        // An observation before it in the record could only change this by being sent without an
        // outcome; it would be spared then, as it is of the same term and so of the same window.
        if !settled.unwritten.iter().all(|mark| self.recent.spares(mark, boot_ms)) {
            return Ok(None);
        }
        counted.spared += settled.unwritten.len() as u64;
        let mut serial = 0;
        let mut waits = 0;
        for product in settled.products {
            match &product.mark {
                Mark::Alert(mark) if let Some(raised) = self.withheld_for(mark) => {
                    counted.suppressed.push(mark.rule_id.clone());
                    waits += u32::from(self.wait_for(&raised, ticket));
                    continue;
                }
                Mark::Alert(mark) => match self.told.tell(&mark.id, mark.outcome_known) {
                    Tell::First => {}
                    Tell::Revision => counted.revisions += 1,
                    Tell::Repeat => {
                        counted.repeats += 1;
                        // What is told by another record is not told before it is acknowledged:
                        // that record may be lost with its partition.
                        waits += u32::from(self.wait_for(&mark.id, ticket));
                        continue;
                    }
                },
                Mark::Observation(mark) => {
                    if self.recent.spares(mark, boot_ms) {
                        counted.spared += 1;
                        continue;
                    }
                    self.recent.sent(mark, boot_ms);
                }
                Mark::DeadLetter => {}
            }
            send.push(Output { serial, ..product.output });
            if let Mark::Alert(mark) = &product.mark {
                self.telling.insert(mark.id.clone(), (ticket, serial));
            }
            let open = Open { mark: product.mark, handed_ms: boot_ms, waiting: Vec::new() };
            self.open.insert((ticket, serial), open);
            serial += 1;
        }
        self.step(ticket, |mark| mark.settle(ticket.offset, serial + waits))?;
        Ok(Some(counted))
    }

    /// The record is done when what tells the alert of this id is; whether it has to wait for that.
    fn wait_for(&mut self, id: &str, ticket: Ticket) -> bool {
        let open = self.telling.get(id).and_then(|key| self.open.get_mut(key));
        let Some(open) = open else { return false };
        open.waiting.push(ticket);
        self.waiting += 1;
        true
    }

    /// The alert for which this one is withheld.
    fn withheld_for(&mut self, mark: &AlertMark) -> Option<String> {
        let by = mark.suppression?;
        let raised = self.suppressor.withheld_for(&mark.id, mark.event_time_ms, by);
        raised.map(str::to_owned)
    }

    /// An output is acknowledged: its mark, unless it was acknowledged before.
    pub fn acknowledge(
        &mut self,
        output: &Output,
        boot_ms: i64,
    ) -> Result<Option<Mark>, WatermarkError> {
        let Some(Closed { mark, handed_ms, .. }) = self.close(output)? else { return Ok(None) };
        if let Mark::Observation(mark) = &mark {
            self.recent.acknowledged(mark, handed_ms, boot_ms);
        }
        Ok(Some(mark))
    }

    /// The output is done, and with it what waits for it; nothing if it was done before.
    fn close(&mut self, output: &Output) -> Result<Option<Closed>, WatermarkError> {
        let key = (output.ticket, output.serial);
        let Some(open) = self.open.remove(&key) else { return Ok(None) };
        let mut told_last = false;
        if let Mark::Alert(mark) = &open.mark
            && self.telling.get(&mark.id) == Some(&key)
        {
            self.telling.remove(&mark.id);
            told_last = true;
        }
        self.waiting -= open.waiting.len();
        for ticket in std::iter::once(output.ticket).chain(open.waiting) {
            self.step(ticket, |mark| mark.acknowledge(ticket.offset))?;
        }
        Ok(Some(Closed { mark: open.mark, handed_ms: open.handed_ms, told_last }))
    }

    /// An output went to the dead letters in its place: it is done, and nobody was told.
    ///
    /// What waits for it is done as well: the dead letter says what it would have said. What comes
    /// later of the same alert is sent, unless an output younger than this one tells it; its record
    /// is then done when that is acknowledged, as any other.
    pub fn diverted(&mut self, output: &Output) -> Result<(), WatermarkError> {
        match self.close(output)? {
            Some(Closed { mark: Mark::Alert(mark), told_last: true, .. }) => {
                self.told.forget(&mark.id);
                if let Some(by) = mark.suppression {
                    self.suppressor.forget(&mark.id, by);
                }
            }
            Some(Closed { mark: Mark::Observation(mark), .. }) => {
                self.recent.diverted(&mark);
            }
            _ => {}
        }
        Ok(())
    }

    /// The offset up to which a slot may be committed; `None` when it is not assigned.
    pub fn committable(&self, slot: u32) -> Option<i64> {
        let assignment = self.assignment(slot)?;
        if self.faults.has(Fault::CommitBeforeAcknowledgement) {
            return Some(assignment.mark.next());
        }
        Some(assignment.mark.committable())
    }

    /// Records of a slot that are not done.
    pub fn under_way(&self, slot: u32) -> usize {
        self.assignment(slot).map_or(0, |assignment| assignment.mark.under_way())
    }

    /// What records take that are read and settled and wait for another one's output.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting * WAITING_BYTES
    }

    /// Outputs that are sent and not acknowledged.
    pub fn open(&self) -> usize {
        self.open.len()
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
