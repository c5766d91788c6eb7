//! What the tests of this module's parts share: short ways to write observations and markers.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::audit::event::{Event, ResponseStatus};
use crate::position::Position;
use crate::rules::format::{RuleInfo, Severity};
use crate::terms::observation::{Observation, Sighting};
use crate::terms::record::{self, HASH_VERSION, Marker, Record};

/// Window of the observations that [`observation`] makes: longer than the revision limit.
pub const WINDOW_MS: i64 = 2 * crate::limits::HOUR_MS;
/// The terms version of the observations that [`observation`] makes.
pub const VERSION: &str = "rule@1";
/// A moment to count from: 2027-01-15.
pub const T0: i64 = 1_800_000_000_000;

/// An observation of `term` by `user`, in the event `event_id` that answered `code`, of a rule
/// that does not learn.
pub fn observation(user: &str, term: &str, event_id: &str, code: Option<i64>) -> Observation {
    let response_status =
        code.map(|code| ResponseStatus { code: Some(code), ..Default::default() });
    Observation {
        rule: Arc::new(RuleInfo {
            id: "rule".to_owned(),
            uuid: "8a0b8d3e-0000-4000-8000-000000000001".to_owned(),
            name: "A rule".to_owned(),
            description: "Raises what was not seen before.".to_owned(),
            version: "1".to_owned(),
            license: "Apache-2.0".to_owned(),
            severity: Severity::Medium,
            risk_score: 47,
            references: Vec::new(),
            threat: Vec::new(),
            ruleset: "5f0e2a91c47b83d6".to_owned(),
        }),
        terms_version: VERSION.to_owned(),
        cluster: "c1".to_owned(),
        fields: vec!["user".to_owned(), "resource".to_owned()],
        access_types: Vec::new(),
        terms: vec![user.to_owned(), term.to_owned()],
        shard_key: user.to_owned(),
        window_ms: WINDOW_MS,
        learning_ms: 0,
        event: Event { response_status, ..Event::default() },
        event_id: event_id.to_owned(),
        event_time_ms: Some(T0),
        position: Position::File { path: "-".to_owned(), line: 1, item: 0 },
        history: false,
        reduced: false,
    }
}

pub fn record_of(observation: Observation) -> Record {
    Record::Observation {
        key: record::key(&observation),
        sighting: Sighting::of(&observation),
        value: record::value(&observation).unwrap(),
    }
}

pub fn marker(log_id: &str, starts: &[(&str, i64)]) -> Marker {
    Marker {
        log_id: log_id.to_owned(),
        partitions: 3,
        hash_version: HASH_VERSION,
        learning_starts: starts
            .iter()
            .map(|(version, start)| ((*version).to_owned(), *start))
            .collect::<BTreeMap<_, _>>(),
    }
}
