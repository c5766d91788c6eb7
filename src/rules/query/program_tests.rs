use serde_json::Value as Json;

use super::super::generate::{self, Random};
use super::super::reference::Document;
use super::super::{DerivedField, Needles, Query};
use super::*;

/// Values by the names of the fields.
struct Given<'g>(&'g [(&'g str, Json)]);

impl Derived for Given<'_> {
    fn derive(&mut self, field: DerivedField, values: &mut DerivedValues<'_>) {
        let name = match field {
            DerivedField::ExecCommand => "exec.command",
            DerivedField::ExecArgs => "exec.args",
            DerivedField::ExecNormalForm => "exec.normal_form",
            DerivedField::ExecAccessType => "exec.access_type",
            DerivedField::ExecInteractive => "exec.interactive",
            DerivedField::ContainerName => "container.name",
        };
        for (_, value) in self.0.iter().filter(|(known, _)| *known == name) {
            match value {
                Json::Bool(value) => values.boolean(*value),
                value => values.text(value.as_str().unwrap()),
            }
        }
    }
}

#[test]
fn agrees_with_a_slow_evaluator_and_no_needle_loses_a_match() {
    const ROUNDS: u64 = 70;
    const QUERIES: usize = 40;
    const EVENTS: usize = 40;
    let (mut pairs, mut matches, mut with_needles, mut spared) = (0, 0, 0, 0);
    let mut scratch = Scratch::default();
    for seed in 0..ROUNDS {
        let random = &mut Random::new(seed + 1);
        let texts: Vec<String> =
            (0..QUERIES).map(|nth| generate::query(random, nth % 4, false)).collect();
        let queries: Vec<Query> = texts
            .iter()
            .map(|text| Query::parse(text).unwrap_or_else(|error| panic!("{text}\n{error}")))
            .collect();
        let program = Program::compile(&queries, &[], Mode::Lenient).unwrap();
        for _ in 0..EVENTS {
            let event = generate::event(random);
            let derived = generate::derived(random);
            let document = Document::new(&event, &derived);
            let json = generate::encode(random, &event);
            let mut given = Given(&derived);
            let found = program.run(json.as_bytes(), &mut scratch, &mut given).unwrap();
            for (nth, query) in queries.iter().enumerate() {
                pairs += 1;
                let expected = document.matches(&query.node);
                assert_eq!(
                    found.contains(nth),
                    expected,
                    "seed {seed}, expected {expected}\n{}\n{query}\n{json}\n{derived:?}",
                    texts[nth]
                );
                matches += usize::from(expected);
                if let Needles::AnyOf(needles) = &program.needles()[nth] {
                    with_needles += 1;
                    let held = needles.iter().any(|needle| json.contains(needle.as_str()));
                    spared += usize::from(!held);
                    assert!(held || !expected, "{needles:?}\n{}\n{json}", texts[nth]);
                }
            }
        }
    }
    println!("{pairs} pairs, {matches} matches, {with_needles} with needles, {spared} spared");
    assert!(pairs >= 100_000 && matches > pairs / 10 && matches < pairs * 9 / 10);
    assert!(spared > with_needles / 10);
}
#[test]
fn dbg() {
    for q in [
        "kubernetes.audit.responseObject.kind:*",
        "@timestamp < \"2026-11-23T07:16:11.206Z\"",
        "@timestamp:*",
        "kubernetes.audit.requestReceivedTimestamp:2026",
    ] {
        let p = Program::compile(&[Query::parse(q).unwrap()], &[], Mode::Strict).unwrap();
        let mut s = Scratch::default();
        let e = br#"{"requestReceivedTimestamp":"2026-11-22T23:59:59.999999Z","responseObject":[[{"kind":"x-1"}],["x-1",3]]}"#;
        let mut none = NotDerived;
        let r = p.run(e, &mut s, &mut none).unwrap();
        eprintln!("{q} {:?}", r.queries());
    }
}
