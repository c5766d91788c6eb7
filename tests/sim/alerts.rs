//! The bytes of an alert: light, and enough to tell what it says and when it was made.

use kubetell::terms::fold::{OutboxRecord, Verdict};
use kubetell::terms::partition::Raised;

use crate::oracle::Alert;

/// `stamp` is a number that no other alert has: the same bytes come from the same encoding.
pub fn encode(raised: &Raised<'_>, stamp: u64) -> OutboxRecord {
    let first_act: u32 = raised.decision.first_event_id.as_deref().unwrap().parse().unwrap();
    let mut payload = stamp.to_be_bytes().to_vec();
    // Of the observation's value, the term.
    payload.extend_from_slice(&raised.value[..4]);
    payload.extend_from_slice(&first_act.to_be_bytes());
    payload.push(u8::from(raised.decision.verdict == Verdict::Revision));
    OutboxRecord { key: payload[8..16].to_vec(), payload, reduced: None, headers: Vec::new() }
}

pub fn stamp(payload: &[u8]) -> u64 {
    u64::from_be_bytes(payload[..8].try_into().unwrap())
}

pub fn decode(payload: &[u8]) -> Alert {
    let number = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
    Alert { term: number(8) as usize, first_act: number(12), revision: payload[16] == 1 }
}
