use serde_json::{Value, json};

use super::*;
use crate::alert::redact::Redaction;
use crate::detect::ledger::{Admission, Ledger};
use crate::faults::Faults;
use crate::limits::HOUR_MS;
use crate::rules::set::RuleSet;

const TICKET: Ticket = Ticket { slot: 0, epoch: 4, offset: 77 };

fn worker() -> Worker {
    Worker {
        stats: Arc::default(),
        instance: "kubetell-0".into(),
        cluster: "prod".into(),
        cluster_field: None,
        forced_wrapper: None,
        alerts_topic: "alerts".into(),
        observations_topic: "observations".into(),
        observations_partitions: 12,
        dead_letters_topic: "dead".into(),
        likely: None,
    }
}

/// Settles one record with a key and a header.
fn settle_with(worker: &Worker, payload: &[u8]) -> Settled {
    settle_under(RuleSet::builtin().unwrap(), worker, payload)
}

/// A job of one record.
fn job(rules: RuleSet, payload: &[u8]) -> Job {
    let mut bytes = b"what stands before".to_vec();
    let start = bytes.len();
    bytes.extend_from_slice(payload);
    let candidate = Candidate {
        ticket: TICKET,
        topic: "audit".into(),
        partition: 5,
        payload: start..bytes.len(),
        size: payload.len() + 9,
        key: Some(b"key".to_vec()),
        headers: vec![("trace".to_owned(), Some(b"7".to_vec()))],
        append_ms: Some(1),
        cluster: None,
    };
    let rules = Arc::new(InForce::new(Arc::new(rules), 0, Arc::new(Redaction::none())));
    let batch = Batch { bytes, candidates: vec![candidate] };
    Job { batch, rules }
}

fn settle_under(rules: RuleSet, worker: &Worker, payload: &[u8]) -> Settled {
    let mut settled = worker.process(&job(rules, payload), &mut Harmless::default());
    assert_eq!(settled.len(), 1);
    let settled = settled.remove(0);
    assert_eq!((settled.ticket, settled.size), (TICKET, payload.len() + 9));
    assert!(settled.products.iter().all(|product| product.output.ticket == TICKET));
    settled
}

/// Only the payload was counted once, and headers are the producer's to choose.
#[test]
fn all_that_is_kept_of_a_record_counts_as_in_flight() {
    let header = ("name".to_owned(), Some(vec![0; 1_000]));
    let headers = vec![header.clone(), header];
    let bare = size_of_record(b"", None, &Vec::new());
    assert!(bare >= size_of::<Candidate>(), "even an empty record takes a place");
    let whole = size_of_record(&[0; 10], Some(&[0; 100]), &headers);
    assert!(whole >= bare + 2_110, "{whole}");
}

fn settle(payload: &Value) -> Settled {
    settle_with(&worker(), payload.to_string().as_bytes())
}

fn exec(audit_id: &str, stage: &str, code: Option<u16>) -> Value {
    let mut event = json!({
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": audit_id,
        "stage": stage,
        "requestURI": "/api/v1/namespaces/n/pods/p/exec?command=cat&command=%2Fetc%2Fshadow",
        "verb": "create",
        "user": { "username": "mallory" },
        "sourceIPs": ["203.0.113.9"],
        "objectRef": {
            "resource": "pods", "namespace": "n", "name": "p", "apiVersion": "v1",
            "subresource": "exec"
        },
        "requestReceivedTimestamp": "2026-03-01T08:00:00.000000Z",
        "stageTimestamp": "2026-03-01T08:00:00.000000Z"
    });
    if let Some(code) = code {
        event["responseStatus"] = json!({ "code": code });
    }
    event
}

fn secret(user: &str, addresses: &[&str]) -> Value {
    json!({
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": format!("secret-{user}"),
        "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces/n/secrets/s",
        "verb": "get",
        "user": { "username": user },
        "sourceIPs": addresses,
        "userAgent": "curl/8.5.0",
        "objectRef": { "resource": "secrets", "namespace": "n", "name": "s", "apiVersion": "v1" },
        "responseStatus": { "code": 200 },
        "requestReceivedTimestamp": "2026-03-01T08:00:00.000000Z",
        "stageTimestamp": "2026-03-01T08:00:00.000000Z"
    })
}

fn list(items: Vec<Value>) -> Value {
    json!({ "kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}, "items": items })
}

fn kinds(settled: &Settled) -> Vec<OutputKind> {
    settled.products.iter().map(|product| product.output.kind).collect()
}

fn body(product: &Product) -> Value {
    serde_json::from_slice(product.output.payload.as_deref().unwrap()).unwrap()
}

#[test]
fn one_record_can_raise_observe_and_fail_at_once() {
    let broken = json!({ "kind": "Event", "apiVersion": "audit.k8s.io/v1", "user": 7 });
    let record = list(vec![
        exec("a", "ResponseComplete", Some(101)),
        broken,
        secret("jane", &["10.0.0.1", "10.0.0.2"]),
        exec("b", "ResponseComplete", Some(101)),
    ]);
    let payload = record.to_string();
    let worker = worker();
    let settled = settle_with(&worker, payload.as_bytes());
    use OutputKind::{Alert, DeadLetter, Observation};
    assert_eq!(kinds(&settled), [Alert, Observation, Observation, Alert, DeadLetter]);
    assert_eq!((worker.stats.events.get(), worker.stats.unreadable.snapshot().len()), (3, 1));

    let [first, _, _, last, dead] = settled.products.as_slice() else { unreachable!() };
    let position = |product: &Product| body(product)["kubetell"]["position"].clone();
    for (product, item) in [(first, 0), (last, 3)] {
        let expected = json!({
            "input": "kafka", "topic": "audit", "partition": 5, "offset": 77, "item": item
        });
        assert_eq!(position(product), expected);
        assert_eq!(product.output.topic.as_ref(), "alerts");
        let Mark::Alert(mark) = &product.mark else { panic!("{product:?}") };
        assert_eq!(product.output.key.as_deref(), Some(mark.id.as_bytes()));
        assert!(mark.outcome_known);
    }
    assert_ne!(first.output.key, last.output.key);

    assert_eq!(dead.output.topic.as_ref(), "dead");
    assert_eq!(dead.output.payload.as_deref(), Some(payload.as_bytes()), "the whole record");
    assert_eq!(dead.output.key.as_deref(), Some(&b"key"[..]));
    let header = |name: &str| {
        let found = dead.output.headers.iter().find(|(other, _)| other == name);
        String::from_utf8(found.unwrap().1.clone().unwrap()).unwrap()
    };
    assert_eq!(header("trace"), "7");
    assert_eq!(header("kubetell-item"), "1");
    assert_eq!(header("kubetell-unreadable-items"), "1");
    assert_eq!(header("kubetell-offset"), "77");
}

#[test]
fn stages_of_one_request_share_an_id_and_tell_more_each_time() {
    let settled = settle(&list(vec![
        exec("a", "RequestReceived", None),
        exec("a", "ResponseComplete", Some(101)),
    ]));
    let marks: Vec<&Mark> = settled.products.iter().map(|product| &product.mark).collect();
    let [Mark::Alert(received), Mark::Alert(complete)] = marks[..] else { panic!("{settled:?}") };
    assert_eq!(received.id, complete.id);
    assert_eq!((received.revision, received.outcome_known), (1, false));
    assert_eq!((complete.revision, complete.outcome_known), (3, true));
    assert_eq!(complete.rule_id, "pod-exec-sensitive-path");
}

/// They are looked at by nobody, so that nobody would miss them.
#[test]
fn what_gives_a_new_terms_rule_nothing_is_counted_with_its_reason() {
    let worker = worker();
    let mut no_user = secret("jane", &["10.0.0.1"]);
    no_user.as_object_mut().unwrap().remove("user");
    let record = list(vec![
        no_user,
        secret("jane", &["unknown"]),
        secret("jane", &["unknown", "10.0.0.1"]),
        secret("jane", &["10.0.0.1"]),
    ]);
    let settled = settle_with(&worker, record.to_string().as_bytes());
    assert_eq!(kinds(&settled), [OutputKind::Observation]);
    let expected = [("field-missing".to_owned(), 1), ("source-no-address".to_owned(), 2)];
    assert_eq!(worker.stats.without_terms.snapshot(), expected.into());
}

#[test]
fn observations_of_a_user_go_to_one_partition() {
    let partitions = |payload: &Value| -> Vec<i32> {
        let settled = settle(payload);
        settled.products.iter().map(|product| product.output.partition.unwrap()).collect()
    };
    let jane = partitions(&secret("jane", &["10.0.0.1", "10.0.0.2", "2001:db8::1"]));
    assert_eq!(jane.len(), 3, "one for each address");
    assert!(jane.iter().all(|partition| *partition == jane[0]), "{jane:?}");
    // The hash is part of the state: another one would tear users from their history.
    for (user, partition) in [("jane", 3), ("joe", 2), ("system:serviceaccount:shop:web", 0)] {
        assert_eq!(partitions(&secret(user, &["10.0.0.1"])), [partition], "{user}");
    }
}

/// What a worker leaves unwritten is spared, or its record is settled once more.
#[test]
fn an_observation_that_is_likely_to_be_spared_is_not_written() {
    let mut ledger = Ledger::new(Faults::NONE, 1 << 20);
    let knows = Worker { likely: Some(Arc::clone(ledger.likely())), ..worker() };
    ledger.assigned(0, 0);
    // Of a record: how much is not written of it, and what is sent unless it is to be settled again.
    let read = |ledger: &mut Ledger, worker: &Worker, offset: i64, boot_ms: i64| {
        let ticket = match ledger.look(0, offset) {
            Admission::New(ticket) => ticket,
            _ => Ticket { slot: 0, epoch: 1, offset },
        };
        if ledger.next(0) == Some(offset) {
            ledger.admit(ticket).unwrap();
        }
        let record = secret("jane", &["10.0.0.1"]).to_string();
        let mut settled = settle_with(worker, record.as_bytes());
        for product in &mut settled.products {
            product.output.ticket = ticket;
        }
        let unwritten = settled.unwritten.len();
        assert_eq!(unwritten + settled.products.len(), 1);
        let mut send = Vec::new();
        let counted = ledger.settle(Settled { ticket, ..settled }, boot_ms, &mut send).unwrap();
        (unwritten, counted.map(|counted| (counted.spared, send)))
    };
    // The worker reads the clock.
    let now = crate::clock::since_boot_ms();
    let (_, first) = read(&mut ledger, &knows, 0, now);
    let (unwritten, second) = read(&mut ledger, &knows, 1, now);
    let (Some((0, first)), Some((0, second))) = (first, second) else { panic!() };
    assert_eq!((first.len(), second.len(), unwritten), (1, 1, 0), "nothing is acknowledged yet");
    ledger.acknowledge(&first[0], now + 1).unwrap();
    let (unwritten, spared) = read(&mut ledger, &knows, 2, now + 2);
    let Some((1, sent)) = spared else { panic!("{spared:?}") };
    assert_eq!((unwritten, sent.len()), (1, 0));

    let (unwritten, late) = read(&mut ledger, &knows, 3, now + HOUR_MS + 1);
    assert_eq!((unwritten, late.is_none()), (1, true), "it is to be settled once more");
    assert_eq!(ledger.under_way(0), 2, "with the second, which is not acknowledged");
    let writes = knows.writing_all();
    let (_, late) = read(&mut ledger, &writes, 3, now + HOUR_MS + 1);
    let Some((0, late)) = late else { panic!("{late:?}") };
    assert_eq!(late[0].payload, first[0].payload);
    let (unwritten, _) = read(&mut ledger, &knows, 4, now + HOUR_MS + 2);
    assert_eq!(unwritten, 0, "it is sent and not acknowledged");
}

/// The thread that polls settles it once more, should the hint be wrong.
#[test]
fn of_a_large_record_everything_is_written() {
    let ledger = Ledger::new(Faults::NONE, 1 << 20);
    let worker = Worker { likely: Some(Arc::clone(ledger.likely())), ..worker() };
    let read = |events: usize, padding: usize| {
        let list = json!({
            "kind": "EventList", "apiVersion": "audit.k8s.io/v1",
            "metadata": { "padding": "x".repeat(padding) },
            "items": vec![secret("jane", &["10.0.0.1"]); events],
        });
        settle_with(&worker, list.to_string().as_bytes())
    };
    let first = read(1, 0);
    let Mark::Observation(mark) = &first.products[0].mark else { unreachable!() };
    ledger.likely().note(mark.term(), crate::clock::since_boot_ms());
    assert_eq!(read(16, 0).unwritten.len(), 16);
    for large in [read(17, 0), read(1, UNWRITTEN_MAX_BYTES)] {
        assert!(large.unwritten.is_empty() && !large.products.is_empty());
    }
}

/// What is settled once more counts nothing twice, and everything in it is written.
#[test]
fn what_is_settled_once_more_counts_once() {
    let mut ledger = Ledger::new(Faults::NONE, 1 << 20);
    let worker = Worker { likely: Some(Arc::clone(ledger.likely())), ..worker() };
    let list = json!({
        "kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {},
        "items": [exec("b", "ResponseComplete", Some(101)), secret("jane", &["10.0.0.1"]), { "kind": 1 }],
    });
    let job = job(RuleSet::builtin().unwrap(), list.to_string().as_bytes());
    let settle = |worker: &Worker| worker.process(&job, &mut Harmless::default()).remove(0);
    let first = settle(&worker);
    assert_eq!(kinds(&first), [OutputKind::Alert, OutputKind::Observation, OutputKind::DeadLetter]);
    let Mark::Observation(mark) = &first.products[1].mark else { unreachable!() };
    let now = crate::clock::since_boot_ms();
    ledger.assigned(0, 0);
    let Admission::New(ticket) = ledger.look(0, 0) else { unreachable!() };
    ledger.admit(ticket).unwrap();
    ledger.likely().note(mark.term(), now);

    let hinted = settle(&worker);
    assert_eq!(kinds(&hinted), [OutputKind::Alert, OutputKind::DeadLetter]);
    assert_eq!(hinted.unwritten, std::slice::from_ref(mark));
    let counters = || {
        let stats = &worker.stats;
        let by_name = [stats.matches.snapshot(), stats.unreadable.snapshot()];
        (stats.events.get(), by_name)
    };
    let before = counters();
    let mut send = Vec::new();
    let counted = ledger.settle(Settled { ticket, ..hinted }, now, &mut send);
    assert!(matches!(counted, Ok(None)) && send.is_empty(), "the hint was wrong");
    let again = worker.writing_all().settle_again(&job.batch.candidates[0], &job);
    assert_eq!(kinds(&again), kinds(&first));
    assert_eq!(again.products[1].output.payload, first.products[1].output.payload);
    let counted = ledger.settle(Settled { ticket, ..again }, now, &mut send).unwrap().unwrap();
    assert_eq!((counted.repeats, counted.spared, send.len()), (0, 0, 3), "it changed nothing");
    assert_eq!(counters(), before);
}

#[test]
fn unreadable_record_is_nothing_but_a_dead_letter() {
    for payload in [&b"not json"[..], b"", b"\xff\xfe", b"{\"kind\":\"Event\""] {
        let settled = settle_with(&worker(), payload);
        assert_eq!(kinds(&settled), [OutputKind::DeadLetter], "{payload:?}");
        assert_eq!(settled.products[0].output.payload.as_deref(), Some(payload));
    }
}

#[test]
fn cluster_comes_from_the_record_where_the_configuration_asks_for_it() {
    let worker = Worker { cluster_field: Some("/cluster/name".into()), ..worker() };
    let name = |payload: &Value| {
        let settled = settle_with(&worker, payload.to_string().as_bytes());
        body(&settled.products[0])["orchestrator"]["cluster"]["name"].clone()
    };
    let mut event = exec("a", "ResponseComplete", Some(101));
    assert_eq!(name(&event), "prod", "the fallback");
    event["cluster"] = json!({ "name": "edge-7" });
    assert_eq!(name(&event), "edge-7");
}

#[test]
fn an_excepted_event_is_counted_and_leaves_as_history_alone() {
    let text = "[[exception]]\nid = \"all\"\nrule = \"*\"\nnamespace = \"n\"\nreason = \"r\"\n\
                [[exception]]\nid = \"old\"\nrule = \"*\"\nnamespace = \"m\"\nreason = \"r\"\n\
                expires = 2000-01-01\n";
    let settle = |worker: &Worker, namespace: &str| {
        let found = crate::rules::exceptions::read_file("e.toml", text).unwrap();
        let rules = RuleSet::builtin().unwrap().excepting(found).unwrap();
        let mut exec = exec("b", "ResponseComplete", Some(101));
        exec["objectRef"]["namespace"] = namespace.into();
        let mut secret = exec.clone();
        secret["requestURI"] = "/api/v1/secrets".into();
        secret["verb"] = "list".into();
        secret["objectRef"] = json!({ "resource": "secrets", "namespace": namespace });
        secret["userAgent"] = "curl/8.5.0".into();
        let list = json!({
            "kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {},
            "items": [exec, secret],
        });
        settle_under(rules, worker, list.to_string().as_bytes()).products
    };
    let worker = worker();
    let excepted = settle(&worker, "n");
    let [Product { output, mark: Mark::Observation(_) }] = &excepted[..] else {
        panic!("{excepted:?}")
    };
    let value: Value = serde_json::from_slice(output.payload.as_deref().unwrap()).unwrap();
    assert_eq!(value["history"], true);
    assert_eq!(worker.stats.excepted.snapshot(), [("all".to_owned(), 2)].into());

    let expired = settle(&worker, "m");
    let [Product { mark: Mark::Alert(_), .. }, Product { output, mark: Mark::Observation(_) }] =
        &expired[..]
    else {
        panic!("{expired:?}")
    };
    let value: Value = serde_json::from_slice(output.payload.as_deref().unwrap()).unwrap();
    assert_eq!(value.get("history"), None);
    assert_eq!(worker.stats.exceptions_expired.snapshot(), [("old".to_owned(), 2)].into());
    assert_eq!(worker.stats.excepted.snapshot(), [("all".to_owned(), 2)].into());
}
