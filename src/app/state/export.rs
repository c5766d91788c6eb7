//! Taking the terms out: the latest observation of each term within its window, sorted by key.

use std::io::Write;

use super::baseline::{self, Origin};
use super::log::ObservationsLog;
use super::{StateError, Watcher, other_sharding};
use crate::app::latest::Latest;
use crate::terms::record::{self, HASH_VERSION, Marker, Record};
use crate::topics::Problem;

/// What an export came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exported {
    pub terms: u64,
    /// Records of the log that are none of ours.
    pub unreadable: u64,
    /// What the operator should know of the log.
    pub problems: Vec<Problem>,
}

/// Writes a baseline. `now_ms` decides which windows are over.
pub fn export(
    log: &ObservationsLog,
    now_ms: i64,
    out: &mut dyn Write,
    watcher: &mut dyn Watcher,
) -> Result<Exported, StateError> {
    let mut exported = Exported::default();
    let mut latest = Latest::default();
    let mut markers: Vec<Option<Marker>> = Vec::new();
    watcher.stage("reading the log", Some(log.length()));
    for partition in 0..log.partitions() {
        let mut first = None;
        let number = i32::try_from(partition).unwrap_or(i32::MAX);
        log.read(number, &mut |logged| {
            watcher.at(logged.read);
            let outcome = match logged.record {
                // Counted as the fold counts it: up to its window's end a term is known.
                Ok(Record::Observation { key, sighting, value })
                    if now_ms.saturating_sub(logged.append_ms) <= sighting.window_ms =>
                {
                    record::observation(&key, &value).map(|observation| Some((key, observation)))
                }
                Ok(Record::Marker(marker)) => {
                    first.get_or_insert(marker);
                    Ok(None)
                }
                Ok(Record::Observation { .. } | Record::Tombstone) => Ok(None),
                Err(error) => Err(error),
            };
            match outcome {
                Ok(Some((key, observation))) => {
                    let value = baseline::value(observation)?;
                    latest.push(key, logged.append_ms, value).map_err(StateError::Scratch)?;
                }
                Ok(None) => {}
                Err(error) => {
                    exported.unreadable += 1;
                    watcher.unreadable(&log.place(number, logged.offset), &error.to_string());
                }
            }
            Ok(())
        })?;
        markers.push(first);
    }
    let known = markers.iter().flatten();
    exported.problems.extend(
        known.clone().find_map(|marker| other_sharding(log.topic(), log.partitions(), marker)),
    );
    let origin = Origin {
        topic: log.topic(),
        partitions: log.partitions(),
        hash_version: known.clone().next().map_or(HASH_VERSION, |marker| marker.hash_version),
        log_ids: markers.iter().map(|marker| Some(marker.as_ref()?.log_id.clone())).collect(),
        exported_at_ms: now_ms,
    };
    let sorted = latest.sorted().map_err(StateError::Scratch)?;
    exported.terms = sorted.count().map_err(StateError::Scratch)?;
    watcher.stage("writing the terms", Some(exported.terms));
    let mut line = |bytes: Vec<u8>| out.write_all(&bytes).and_then(|()| out.write_all(b"\n"));
    line(baseline::header_line(origin, exported.terms)?).map_err(StateError::Output)?;
    for (count, item) in (1..).zip(sorted.items().map_err(StateError::Scratch)?) {
        let item = item.map_err(StateError::Scratch)?;
        let bytes = baseline::term_line(&item.key, &item.payload, item.rank)?;
        line(bytes).map_err(StateError::Output)?;
        watcher.at(count);
    }
    out.flush().map_err(StateError::Output)?;
    Ok(exported)
}
