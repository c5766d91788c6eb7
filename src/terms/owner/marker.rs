//! The markers that the owner of a partition writes into it, each acknowledged before what rests
//! on it goes on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Active, FirstSeenHandler, Owned, Pending};
use crate::clock;
use crate::ingest::kafka::HalfError;
use crate::limits;
use crate::output::producer::{Output, OutputKind, Ticket};
use crate::terms::fold::PartitionState;
use crate::terms::observation::Observation;
use crate::terms::record::{self, HASH_VERSION, Marker};

/// How long a step waits for a marker's acknowledgement before it is tried again.
const MARKER_MAX: Duration = Duration::from_secs(2);

impl FirstSeenHandler {
    /// The marker that has to stand in the log before this observation is folded.
    pub(super) fn missing_marker(
        &self,
        state: &PartitionState,
        active: &Active,
        observation: &Observation,
        pending: &Pending,
    ) -> Option<Marker> {
        let version = &observation.terms_version;
        let appended = active.appended.as_ref();
        if !state.lacks_learning_start(observation)
            || appended.is_some_and(|marker| marker.learning_starts.contains_key(version))
        {
            // Folded, or appended and acknowledged: then it stands at a higher offset.
            return None;
        }
        let mut marker = self.whole_marker(state, active);
        marker.learning_starts.entry(version.clone()).or_insert(pending.append_ms);
        Some(marker)
    }

    /// Everything known of the log's markers: those folded, and the last one appended here.
    fn whole_marker(&self, state: &PartitionState, active: &Active) -> Marker {
        // The id of the first marker folded stays.
        let mut marker = match (&state.marker, &active.appended) {
            (Some(folded), _) => folded.clone(),
            (None, Some(appended)) => appended.clone(),
            (None, None) => self.new_marker(),
        };
        for (version, start) in active.appended.iter().flat_map(|other| &other.learning_starts) {
            let earliest = marker.learning_starts.entry(version.clone()).or_insert(*start);
            *earliest = (*earliest).min(*start);
        }
        marker
    }

    /// Appends each partition's marker again long before retention would delete it: without it
    /// neither the group's offset nor the view would count, and learning would begin anew.
    pub(super) fn repeat_markers(&mut self) {
        let now_ms = clock::now_ms();
        let due: Vec<i32> = self
            .owned
            .iter()
            .filter_map(|(partition, owned)| match owned {
                Owned::Active(active) => {
                    let latest = active.appended_ms.max(active.state.marker_append_ms);
                    (now_ms - latest > limits::MARKER_REPEAT_MS).then_some(*partition)
                }
                Owned::Restoring(_) => None,
            })
            .collect();
        for partition in due {
            let Some(Owned::Active(mut active)) = self.owned.remove(&partition) else { continue };
            let marker = self.whole_marker(&active.state, &active);
            let epoch = active.epoch;
            self.append_marker(partition, epoch, &mut active, marker);
            self.owned.insert(partition, Owned::Active(active));
        }
    }

    pub(super) fn new_marker(&self) -> Marker {
        Marker {
            log_id: uuid::Uuid::new_v4().to_string(),
            partitions: self.partitions,
            hash_version: HASH_VERSION,
            learning_starts: BTreeMap::new(),
        }
    }

    /// Appends a marker and waits for its acknowledgement; `false` when it is late. One that was
    /// late before is waited for again, not sent again.
    pub(super) fn append_marker(
        &mut self,
        partition: i32,
        epoch: u64,
        active: &mut Active,
        marker: Marker,
    ) -> bool {
        let serial = match &active.unacknowledged {
            Some((serial, sent)) if *sent == marker => *serial,
            _ => {
                let Some(serial) = self.send_marker(partition, epoch, &marker) else {
                    return false;
                };
                active.unacknowledged = Some((serial, marker.clone()));
                serial
            }
        };
        let deadline = clock::monotonic() + MARKER_MAX;
        loop {
            if self.markers_acknowledged.remove(&serial) {
                active.unacknowledged = None;
                active.appended = Some(marker);
                active.appended_ms = clock::now_ms();
                return true;
            }
            if clock::monotonic() >= deadline || self.fatal.is_some() {
                return false;
            }
            self.pump(Duration::from_millis(10), Some((partition, active)));
        }
    }

    /// Sends a marker; the number by which its acknowledgement is known.
    fn send_marker(&mut self, partition: i32, epoch: u64, marker: &Marker) -> Option<i64> {
        let payload = match record::marker_value(marker) {
            Ok(payload) => payload,
            Err(error) => {
                self.fail(HalfError::Internal(error.to_string()));
                return None;
            }
        };
        self.markers_sent += 1;
        let serial = self.markers_sent;
        let slot = u32::try_from(partition).unwrap_or(0);
        let output = Output {
            kind: OutputKind::Marker,
            topic: Arc::clone(&self.topic),
            partition: Some(partition),
            key: Some(record::marker_key().to_vec()),
            payload: Some(payload),
            headers: Vec::new(),
            reduced: None,
            ticket: Ticket { slot, epoch, offset: serial },
            serial: 0,
        };
        if let Err(error) = self.producer.send(output) {
            self.fail(error.into());
            return None;
        }
        Some(serial)
    }
}
