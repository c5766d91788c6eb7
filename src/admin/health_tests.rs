use super::*;
use crate::admin::Watched;
use crate::clock;
use crate::stats::half::PartitionFigures;

fn place(partition: i32, restoring: bool) -> PartitionFigures {
    PartitionFigures {
        topic: "t".into(),
        partition,
        next: 0,
        done: 0,
        committed: 0,
        done_append_ms: None,
        restoring,
    }
}

/// The names of the checks that fail, with their halves.
fn failing(watched: &Watched) -> Vec<(&'static str, Option<&'static str>)> {
    let ready = ready(&Snapshot::take(watched));
    let failing: Vec<_> = ready
        .checks
        .iter()
        .filter(|check| !check.ok)
        .map(|check| (check.name, check.half))
        .collect();
    assert_eq!(ready.ready, failing.is_empty());
    failing
}

#[test]
fn a_loop_or_a_worker_that_does_not_turn_is_not_alive() {
    let watched = Watched::default();
    let at = |later_ms: u64| {
        let mut snapshot = Snapshot::take(&watched);
        snapshot.monotonic_ms = clock::monotonic_ms() + later_ms;
        live(&snapshot)
    };
    assert!(at(u64::MAX / 2).live, "before the halves run nothing has to turn");

    watched.stats.detect.runs.set(true);
    assert!(at(u64::MAX / 2).live, "nor before the loop has begun");
    watched.stats.detect.beat.turn();
    assert!(at(SILENT_MAX_MS / 2).live);
    let stalled = at(SILENT_MAX_MS + 1_000);
    assert!(!stalled.live);
    assert_eq!((stalled.loops[0].name.as_str(), stalled.loops[0].turns), ("detect", false));
    watched.stats.detect.beat.rest();
    assert!(at(SILENT_MAX_MS + 1_000).live, "a stop has time limits of its own");

    let worker = watched.stats.pool.worker();
    worker.busy(|| {
        assert!(at(SILENT_MAX_MS / 2).live);
        let stuck = at(SILENT_MAX_MS + 1_000);
        assert!(!stuck.live);
        assert_eq!(stuck.loops[1].name, "detect-worker-0");
    });
    assert!(at(SILENT_MAX_MS + 1_000).live);
}

#[test]
fn ready_once_everything_is_assigned_reachable_and_restored() {
    let watched = Watched::default();
    assert_eq!(failing(&watched), [("started", None)]);
    let (detect, first_seen) = (&watched.stats.detect, &watched.stats.first_seen);
    detect.runs.set(true);
    detect.assigned.set(true);
    assert_eq!(failing(&watched), [("started", None)], "the other half is yet to come");
    detect.assigned.set(false);
    first_seen.runs.set(true);
    watched.stats.started.set(true);
    assert_eq!(failing(&watched), [("assigned", Some("detect")), ("assigned", Some("first-seen"))]);

    detect.assigned.set(true);
    first_seen.assigned.set(true);
    first_seen.publish(vec![place(0, false), place(1, true)]);
    assert_eq!(failing(&watched), [("restored", Some("first-seen"))]);

    first_seen.publish(vec![place(0, false), place(1, false)]);
    assert_eq!(failing(&watched), []);
    detect.lost.set(true);
    assert_eq!(failing(&watched), [("brokers", Some("detect"))]);
}

#[test]
fn a_member_that_is_assigned_nothing_is_ready_once_its_group_is_at_rest() {
    let watched = Watched::default();
    watched.stats.detect.runs.set(true);
    watched.stats.started.set(true);
    let statistics = serde_json::json!({
        "name": "n", "client_id": "c", "type": "consumer", "ts": 0, "time": 0, "age": 0,
        "replyq": 0, "msg_cnt": 0, "msg_size": 0, "msg_max": 0, "msg_size_max": 0, "tx": 1,
        "tx_bytes": 2, "rx": 0, "rx_bytes": 0, "txmsgs": 0, "txmsg_bytes": 0, "rxmsgs": 0,
        "rxmsg_bytes": 0, "simple_cnt": 0, "metadata_cache_cnt": 0, "brokers": {}, "topics": {},
        "cgrp": {
            "state": "up", "stateage": 0, "join_state": "wait-sync", "rebalance_age": 0,
            "rebalance_cnt": 0, "rebalance_reason": "", "assignment_size": 0
        }
    });
    let told = |join_state: &str| {
        let mut statistics = statistics.clone();
        statistics["cgrp"]["join_state"] = join_state.into();
        watched.stats.detect.consumer.take(&serde_json::from_value(statistics).unwrap());
    };
    told("wait-sync");
    assert_eq!(failing(&watched), [("assigned", Some("detect"))]);
    told("steady");
    assert_eq!(failing(&watched), []);
}
