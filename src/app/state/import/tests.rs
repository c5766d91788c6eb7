use proptest::prelude::*;

use super::*;
use crate::limits::WINDOW_MAX_MS;
use crate::terms::fold::Verdict;
use crate::terms::testing::{T0, VERSION, marker, observation, record_of};

fn folded(records: &[Record]) -> Batch {
    let mut batch = Batch::default();
    for (offset, record) in (0..).zip(records) {
        fold::fold(&mut batch, offset, T0 + offset, record, |_| Ok::<_, Infallible>(None)).unwrap();
    }
    batch
}

#[test]
fn a_log_without_a_marker_gets_an_id_and_one_with_a_marker_keeps_its_own() {
    let none = PartitionState::default();
    let [one, two] = [(); 2].map(|()| ending_marker(&none, 4, &[VERSION]).unwrap());
    assert_ne!(one.log_id, two.log_id);
    assert_eq!((one.partitions, one.hash_version), (4, HASH_VERSION));
    assert_eq!(one.learning_starts[VERSION], LEARNING_ENDED_MS);

    let known = folded(&[Record::Marker(marker("log", &[("other@1", T0), (VERSION, T0)]))]);
    let ending = ending_marker(&known.state, 3, &[VERSION]).unwrap();
    assert_eq!(ending, marker("log", &[("other@1", T0), (VERSION, LEARNING_ENDED_MS)]));
}

#[test]
fn no_marker_is_written_where_nothing_is_left_to_end() {
    let over = folded(&[Record::Marker(marker("log", &[(VERSION, LEARNING_ENDED_MS)]))]);
    assert_eq!(ending_marker(&over.state, 3, &[VERSION]), None);
    assert_eq!(ending_marker(&PartitionState::default(), 3, &[]), None);
    assert!(ending_marker(&over.state, 3, &[VERSION, "other@1"]).is_some());
}

#[test]
fn after_history_and_its_marker_only_what_is_new_alerts() {
    let mut history = observation("u", "known", "h", Some(200));
    history.history = true;
    history.learning_ms = WINDOW_MAX_MS;
    let before = folded(&[Record::Marker(marker("log", &[(VERSION, T0)]))]);
    let ending = ending_marker(&before.state, 3, &[VERSION]).unwrap();
    let mut batch = folded(&[
        Record::Marker(marker("log", &[(VERSION, T0)])),
        record_of(history),
        Record::Marker(ending),
    ]);
    assert!(batch.state.marker_owed_from.is_none(), "the marker lacks nothing of the merge");
    let mut seen = |term: &str, id: &str| {
        let mut live = observation("u", term, id, Some(200));
        live.learning_ms = WINDOW_MAX_MS;
        let nothing = |_: &[u8]| Ok::<_, Infallible>(None);
        let offset = batch.state.next;
        fold::fold(&mut batch, offset, T0 + 10, &record_of(live), nothing).unwrap().verdict
    };
    assert_eq!(seen("known", "e1"), Verdict::Nothing);
    assert_eq!(seen("unknown", "e2"), Verdict::New);
}

proptest! {
    /// Whatever markers stand in the log and whatever an owner appends at the same time: after
    /// ours, the merge is under the first id, learning of our versions is over, and nothing that
    /// the log said is gone.
    #[test]
    fn an_ending_marker_ends_learning_and_loses_nothing(
        standing in prop::collection::vec(("[ab]", prop::collection::btree_map("[vw]", 1..9i64, 0..3)), 0..4),
        meanwhile in prop::option::of(("[ab]", prop::collection::btree_map("[vw]", 1..9i64, 0..3))),
        ended in prop::collection::btree_set("[vwx]", 1..3),
    ) {
        let made = |(id, starts): &(String, BTreeMap<String, i64>)| Record::Marker(Marker {
            log_id: id.clone(), partitions: 3, hash_version: HASH_VERSION, learning_starts: starts.clone(),
        });
        let mut records: Vec<Record> = standing.iter().map(made).collect();
        let before = folded(&records).state;
        let ended: Vec<&str> = ended.iter().map(String::as_str).collect();
        let ending = ending_marker(&before, 3, &ended).unwrap();
        if let Some(known) = &before.marker {
            prop_assert_eq!(&known.log_id, &ending.log_id);
        }
        records.extend(meanwhile.iter().map(made));
        let names: Vec<String> = folded(&records).state.marker.iter()
            .flat_map(|marker| marker.learning_starts.keys().cloned()).collect();
        records.push(Record::Marker(ending.clone()));
        let after = folded(&records).state;
        let merged = after.marker.unwrap();
        let first = standing.first().or(meanwhile.as_ref()).map_or(&ending.log_id, |(id, _)| id);
        prop_assert_eq!(&merged.log_id, first);
        for version in &ended {
            prop_assert_eq!(merged.learning_starts[*version], LEARNING_ENDED_MS);
        }
        for name in names {
            prop_assert!(merged.learning_starts.contains_key(&name));
        }
        if meanwhile.is_none() {
            prop_assert!(after.marker_owed_from.is_none());
        }
    }
}
