use super::*;
use crate::limits::{HOUR_MS, MARKER_REPEAT_MS, OUTAGE_MAX_MS};
use crate::terms::store::memory::MemoryStore;
use crate::terms::takeover::Request;
use crate::terms::testing::{T0, VERSION, marker, observation, record_of};

const PARTITION: i32 = 3;
const EPOCH: u64 = 7;

struct World {
    store: MemoryStore,
    partition: Partition,
    times: Times,
    out: Vec<Outgoing>,
}

impl World {
    /// An owner of a partition in the given state, everything before it committed.
    fn new(state: PartitionState) -> World {
        World::with_faults(state, Faults::NONE)
    }

    fn with_faults(state: PartitionState, faults: Faults) -> World {
        let store = MemoryStore::default();
        store.begin(PARTITION, EPOCH);
        let restored = Restored {
            request: Request { partition: PARTITION, epoch: EPOCH },
            acknowledged: state.next,
            resend: Vec::new(),
            log_end: state.next,
            begun_boot_ms: 0,
            gap: 0,
            folded: 0,
            state,
        };
        let mut out = Vec::new();
        let partition = Partition::open(restored, 3, faults, &mut out).unwrap();
        World { store, partition, times: Times { now_ms: T0, boot_ms: 0 }, out }
    }

    fn step(&mut self) -> StepEnd {
        let env = Env {
            times: self.times,
            encode: &|raised| {
                Ok(Some(OutboxRecord {
                    key: raised.key.to_vec(),
                    payload: format!("{:?}", raised.decision.verdict).into_bytes(),
                    reduced: None,
                    headers: Vec::new(),
                }))
            },
            new_log_id: &|| "new".to_owned(),
        };
        let mut counts = Counts::default();
        self.partition.step(&env, &self.store, &mut self.out, &mut counts).unwrap()
    }

    fn pass(&mut self, milliseconds: i64) {
        self.times.now_ms += milliseconds;
        self.times.boot_ms += milliseconds;
    }

    fn see(&mut self, offset: i64, term: &str, event: &str) {
        let record = record_of(observation("mallory", term, event, None));
        self.partition.receive(offset, self.times.now_ms, 100, Some(record));
    }

    fn see_marker(&mut self, offset: i64, marker: Marker) {
        self.partition.receive(offset, self.times.now_ms, 100, Some(Record::Marker(marker)));
    }

    fn sent_alerts(&mut self) -> Vec<i64> {
        let out = std::mem::take(&mut self.out);
        out.into_iter()
            .filter_map(|outgoing| match outgoing {
                Outgoing::Alert { offset, .. } => Some(offset),
                Outgoing::Marker { .. } => None,
            })
            .collect()
    }

    fn sent_markers(&mut self) -> Vec<(u64, Marker)> {
        let out = std::mem::take(&mut self.out);
        out.into_iter()
            .filter_map(|outgoing| match outgoing {
                Outgoing::Marker { serial, marker } => Some((serial, marker)),
                Outgoing::Alert { .. } => None,
            })
            .collect()
    }

    fn acknowledge_marker(&mut self, serial: u64) {
        self.partition.marker_acknowledged(serial, self.times);
    }

    fn committable(&mut self) -> Option<i64> {
        self.partition.committable().map(|(offset, _, _)| offset)
    }
}

fn known(id: &str) -> PartitionState {
    PartitionState {
        next: 10,
        marker: Some(marker(id, &[(VERSION, T0)])),
        marker_offset: 2,
        marker_append_ms: T0,
        last_append_ms: T0,
        ..PartitionState::default()
    }
}

#[test]
fn nothing_is_folded_before_the_log_has_an_id() {
    let mut world = World::new(PartitionState::default());
    world.see(0, "x", "1");
    world.step();
    world.step();
    let markers = world.sent_markers();
    assert_eq!(markers.len(), 1, "one marker, sent once");
    assert_eq!(markers[0].1.log_id, "new");
    assert!(markers[0].1.starts(VERSION));
    assert_eq!(world.partition.state().next, 0);

    world.acknowledge_marker(markers[0].0);
    world.step();
    assert_eq!(world.sent_alerts(), [0]);
    assert_eq!(world.committable(), None, "what names the log is not folded yet");

    world.see_marker(1, markers[0].1.clone());
    world.step();
    assert_eq!(world.committable(), Some(0), "the alert is not acknowledged");
    world.partition.alert_acknowledged(0).unwrap();
    assert_eq!(world.committable(), Some(2));
}

#[test]
fn a_rule_version_that_no_marker_holds_waits_for_one_and_the_others_before_it_do_not() {
    let mut state = known("a");
    state.marker = Some(marker("a", &[("other@1", T0)]));
    let mut world = World::new(state);
    world.see_marker(10, marker("a", &[("other@1", T0)]));
    world.see(11, "x", "1");
    world.see(12, "y", "2");
    world.step();
    assert_eq!(world.partition.state().next, 11);
    let [(serial, sent)] = &world.sent_markers()[..] else { panic!("not one marker") };
    assert_eq!(*sent, marker("a", &[("other@1", T0), (VERSION, T0)]));
    world.acknowledge_marker(serial + 1);
    world.step();
    assert_eq!(world.partition.state().next, 11, "another marker's acknowledgement counts for it");
    world.acknowledge_marker(*serial);
    world.step();
    assert_eq!(world.sent_alerts(), [11, 12]);
}

#[test]
fn nothing_behind_a_marker_that_lacks_something_is_committed_before_the_whole_one() {
    let mut world = World::new(known("a"));
    world.see_marker(10, marker("stranger", &[("other@1", T0)]));
    world.see(11, "x", "1");
    world.step();
    let whole = marker("a", &[("other@1", T0), (VERSION, T0)]);
    let serial = world
        .out
        .iter()
        .find_map(|outgoing| match outgoing {
            Outgoing::Marker { serial, marker } if *marker == whole => Some(*serial),
            _ => None,
        })
        .expect("the whole marker follows");
    assert_eq!(world.sent_alerts(), [11], "it holds up no alert");
    world.partition.alert_acknowledged(11).unwrap();
    assert_eq!(world.committable(), Some(10), "up to the marker that lacks something");
    world.acknowledge_marker(serial);
    assert_eq!(world.committable(), Some(12));
}

#[test]
fn the_marker_is_repeated_long_before_retention_and_once() {
    let mut world = World::new(known("a"));
    world.step();
    assert_eq!(world.sent_markers(), []);
    for _ in 0..4 {
        // An owner that steps now and then was not away.
        world.pass(MARKER_REPEAT_MS / 3);
        world.step();
    }
    let markers = world.sent_markers();
    assert_eq!(markers.len(), 1);
    world.acknowledge_marker(markers[0].0);
    world.step();
    assert_eq!(world.sent_markers(), []);
}

#[test]
fn an_owner_that_was_suspended_folds_nothing_more() {
    let mut world = World::new(known("a"));
    world.step();
    world.see(10, "x", "1");
    world.pass(OUTAGE_MAX_MS + 1);
    assert_eq!(world.step(), StepEnd::Away);
    assert_eq!(world.out, []);
    assert_eq!(world.partition.state().next, 10);
}

#[test]
fn an_owner_that_has_not_caught_up_in_time_gives_up() {
    let mut world = World::new(known("a"));
    world.partition.log_end = 12;
    for _ in 0..3 {
        world.pass(OUTAGE_MAX_MS / 2 - HOUR_MS);
        world.step();
    }
    assert_eq!(world.step(), StepEnd::Away);
}

#[test]
fn what_one_batch_raises_twice_of_a_term_is_kept_twice() {
    let mut world = World::new(known("a"));
    world.see(10, "x", "1");
    world.pass(3 * HOUR_MS);
    world.see(11, "x", "2");
    world.step();
    assert_eq!(world.sent_alerts(), [10, 11]);
    let kept: Vec<i64> = world
        .store
        .outbox(PARTITION, 0, 100)
        .unwrap()
        .into_iter()
        .map(|(offset, _)| offset)
        .collect();
    assert_eq!(kept, [10, 11]);
}

#[test]
fn the_outbox_is_pruned_below_a_confirmed_commit_only() {
    let mut world = World::new(known("a"));
    world.see(10, "x", "1");
    world.step();
    world.partition.alert_acknowledged(10).unwrap();
    world.see(11, "y", "2");
    world.step();
    assert_eq!(world.store.outbox(PARTITION, 0, 100).unwrap().len(), 2);
    world.partition.committable().unwrap().2.confirm(11);
    world.see(12, "z", "3");
    world.step();
    let kept = world.store.outbox(PARTITION, 0, 100).unwrap();
    assert_eq!(kept.iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), [11, 12]);
}

#[test]
fn a_record_that_comes_again_is_let_go() {
    let mut world = World::new(known("a"));
    world.see(10, "x", "1");
    world.see(10, "x", "1");
    world.see(9, "y", "2");
    world.step();
    assert_eq!(world.sent_alerts(), [10]);
    assert_eq!(world.partition.queued_bytes(), 0);
}
