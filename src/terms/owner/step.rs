//! One step of a partition: folds what was taken in, writes the state, sends what was raised.

use std::sync::Arc;

use super::{Active, FirstSeenHandler, Owned, Pending};
use crate::alert::{self, FirstSeen, Origin, wire};
use crate::clock;
use crate::ingest::kafka::HalfError;
use crate::ingest::watermark::{Watermark, WatermarkError};
use crate::output::producer::{Output, OutputKind, Ticket};
use crate::terms::fold::{self, Batch, Decision, OutboxRecord, Verdict};
use crate::terms::observation::Observation;
use crate::terms::record::Record;
use crate::terms::store::StoreError;
use crate::terms::takeover::has_been_away;

enum StepError {
    MarkerLate,
    Store(StoreError),
    Encode(String),
}

impl From<StoreError> for StepError {
    fn from(error: StoreError) -> Self {
        StepError::Store(error)
    }
}

fn outbox_record(output: &Output) -> OutboxRecord {
    OutboxRecord {
        key: output.key.clone().unwrap_or_default(),
        payload: output.payload.clone().unwrap_or_default(),
        reduced: output.reduced.clone(),
        headers: output
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), value.clone().unwrap_or_default()))
            .collect(),
    }
}

pub(super) fn to_output(record: OutboxRecord, topic: &Arc<str>, ticket: Ticket) -> Output {
    Output {
        kind: OutputKind::Alert,
        topic: Arc::clone(topic),
        partition: None,
        key: Some(record.key),
        payload: Some(record.payload),
        headers: record.headers.into_iter().map(|(name, value)| (name, Some(value))).collect(),
        reduced: record.reduced,
        ticket,
        serial: 0,
    }
}

impl FirstSeenHandler {
    /// Folds what a partition has taken in, writes the state, sends what was raised.
    pub(super) fn step(&mut self, partition: i32) {
        let now_boot_ms = clock::since_boot_ms();
        // Taken out for the step, so that the rest of the half can be called meanwhile.
        if self.active(partition).is_none() {
            return;
        }
        let Some(Owned::Active(mut active)) = self.owned.remove(&partition) else { return };
        let catching_up = active.state.next < active.log_end;
        if has_been_away(active.last_step_boot_ms, now_boot_ms)
            || catching_up && has_been_away(active.begun_boot_ms, now_boot_ms)
        {
            tracing::warn!(
                partition,
                "this instance was away for longer than the protocol allows; taking the partition over anew"
            );
            self.take_over(partition);
            return;
        }
        active.last_step_boot_ms = now_boot_ms;
        if !active.queue.is_empty() && !self.fold_queue(partition, &mut active) {
            return;
        }
        let epoch = active.epoch;
        if active.owes_marker()
            && let Some(marker) = active.state.marker.clone()
        {
            // Until it is acknowledged nothing behind it is committed; a later step tries again.
            self.append_marker(partition, epoch, &mut active, marker);
        }
        self.owned.insert(partition, Owned::Active(active));
    }

    /// Folds what a partition has taken in, writes the state, and sends what was raised. `false`
    /// when the partition is no longer to be owned as it is.
    fn fold_queue(&mut self, partition: i32, active: &mut Active) -> bool {
        let mut batch = Batch {
            state: active.state.clone(),
            prune_below: Some(active.commits.confirmed()),
            ..Batch::default()
        };
        let mut outputs: Vec<(i64, Vec<Output>)> = Vec::new();
        while let Some(pending) = active.queue.pop_front() {
            match self.fold_one(partition, active, &mut batch, &pending) {
                Ok(raised) => outputs.push((pending.offset, raised)),
                Err(StepError::MarkerLate) => {
                    active.queue.push_front(pending);
                    break;
                }
                Err(StepError::Store(StoreError::Corrupt(what))) => {
                    tracing::warn!(partition, what, "the view can't be read; folding it anew");
                    if let Err(error) = self.store.clear(partition, active.epoch) {
                        self.storage(error);
                    }
                    self.take_over(partition);
                    return false;
                }
                Err(StepError::Store(error)) => {
                    // What was folded so far is in memory only: it is folded again later.
                    self.storage(error);
                    return false;
                }
                Err(StepError::Encode(error)) => {
                    self.fail(HalfError::Internal(error));
                    return false;
                }
            }
        }
        if batch.state.next != active.state.next
            && let Err(error) = self.store.apply(partition, active.epoch, &batch)
        {
            self.storage(error);
            return false;
        }
        active.state = batch.state;
        for (offset, raised) in outputs {
            let result = self.send_all(&mut active.mark, offset, raised);
            self.check_mark(result);
        }
        self.check_topology(&active.state);
        true
    }

    pub(super) fn send_all(
        &mut self,
        mark: &mut Watermark,
        offset: i64,
        outputs: Vec<Output>,
    ) -> Result<(), WatermarkError> {
        if outputs.is_empty() {
            return mark.pass(offset);
        }
        mark.admit(offset)?;
        mark.settle(offset, u32::try_from(outputs.len()).unwrap_or(u32::MAX))?;
        for output in outputs {
            if let Err(error) = self.producer.send(output) {
                self.fail(error.into());
            }
        }
        Ok(())
    }

    fn fold_one(
        &mut self,
        partition: i32,
        active: &mut Active,
        batch: &mut Batch,
        pending: &Pending,
    ) -> Result<Vec<Output>, StepError> {
        let Some(record) = &pending.record else {
            fold::pass(batch, pending.offset, pending.append_ms);
            return Ok(Vec::new());
        };
        if let Record::Observation { observation, .. } = record
            && let Some(marker) = self.missing_marker(&batch.state, active, observation, pending)
            && !self.append_marker(partition, active.epoch, active, marker)
        {
            return Err(StepError::MarkerLate);
        }
        let store = Arc::clone(&self.store);
        let decision = fold::fold(batch, pending.offset, pending.append_ms, record, |key| {
            store.entry(partition, key)
        })?;
        let Record::Observation { observation, .. } = record else {
            if let Record::Marker(marker) = record
                && active.appended.as_ref() == Some(marker)
            {
                // Folded: from here on the state knows it, and what comes behind it may lack it.
                active.appended = None;
            }
            return Ok(Vec::new());
        };
        self.stats.terms_folded.add(1);
        if decision.verdict == Verdict::Silent {
            self.stats.learned.add(1);
        }
        if !decision.raises() {
            return Ok(Vec::new());
        }
        let ticket = Ticket {
            slot: u32::try_from(partition).unwrap_or(0),
            epoch: active.epoch,
            offset: pending.offset,
        };
        let output = self.alert(observation, decision, pending.append_ms, ticket)?;
        batch.outbox.push((pending.offset, outbox_record(&output)));
        Ok(vec![output])
    }

    fn alert(
        &self,
        observation: &Observation,
        decision: Decision,
        append_ms: i64,
        ticket: Ticket,
    ) -> Result<Output, StepError> {
        let created_ms = clock::now_ms();
        let is_revision = decision.verdict == Verdict::Revision;
        let first_seen =
            FirstSeen { first_event_id: decision.first_event_id.unwrap_or_default(), is_revision };
        let origin = Origin {
            instance: self.instance.to_string(),
            created_ms,
            latency_ms: Some((created_ms - append_ms).max(0)),
        };
        let alert = alert::from_observation(observation, &first_seen, &origin);
        if is_revision {
            self.stats.revisions.add(1);
        }
        self.stats.alerts.add(&alert.rule.id, 1);
        if let Some(time) = observation.event_time_ms {
            self.stats.event_to_alert.add(created_ms - time);
        }
        self.stats.append_to_alert.add(created_ms - append_ms);
        wire::output(&alert, &self.alerts_topic, ticket)
            .map_err(|error| StepError::Encode(error.to_string()))
    }
}
