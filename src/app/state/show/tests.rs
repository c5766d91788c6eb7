use super::*;
use crate::limits::{DAY_MS, HOUR_MS};
use crate::terms::record::DecodeError;
use crate::terms::testing::{T0, VERSION, WINDOW_MS, marker, observation, record_of};

/// Folds records that were appended at these times into partition 1.
fn folded(
    records: Vec<(i64, Result<Record, DecodeError>)>,
    now_ms: i64,
) -> (Folded, PartitionView) {
    let mut folding = Folding::begin("o", 2).unwrap();
    let mut view = PartitionView::default();
    let mut fold = PartitionFold::new(&mut folding, 1);
    for (offset, (append_ms, record)) in (0..).zip(records) {
        let logged = Logged { offset, read: 0, append_ms, bytes: 10, record };
        fold.record(&mut view, logged).unwrap();
    }
    fold.finish().unwrap();
    (folding.finish(now_ms).unwrap(), view)
}

fn seen(user: &str, term: &str) -> Result<Record, DecodeError> {
    Ok(record_of(observation(user, term, &format!("{user}-{term}"), Some(200))))
}

#[test]
fn terms_within_their_window_are_told_as_the_fold_has_them() {
    let mut history = observation("b", "y", "b-y", None);
    history.history = true;
    let (folded, view) = folded(
        vec![
            (T0, Ok(Record::Marker(marker("log", &[(VERSION, T0)])))),
            (T0, seen("a", "x")),
            (T0 + 1, seen("gone", "x")),
            (T0 + HOUR_MS, seen("a", "x")),
            (T0 + HOUR_MS, Ok(record_of(history))),
            (T0 + HOUR_MS, Err(DecodeError::Key)),
            (T0 + HOUR_MS, Ok(Record::Tombstone)),
        ],
        T0 + 2 + WINDOW_MS,
    );
    assert_eq!((view.records, view.bytes, view.unreadable), (7, 70, 1));
    let terms: Vec<TermView> = folded.terms().unwrap().map(Result::unwrap).collect();
    let told: Vec<_> = terms
        .iter()
        .map(|term| {
            (term.terms.join(" "), term.first_append - T0, term.last_append - T0, term.raised)
        })
        .collect();
    assert_eq!(
        told,
        [("a x".to_owned(), 0, HOUR_MS, true), ("b y".to_owned(), HOUR_MS, HOUR_MS, false)]
    );
    assert_eq!(terms[0].fields, ["user", "resource"]);
    assert_eq!(terms[0].age_ms, WINDOW_MS + 2 - HOUR_MS);
    assert_eq!(terms[0].known_until, T0 + HOUR_MS + WINDOW_MS);
    assert!(terms.iter().all(|term| term.partition == 1));
}

#[test]
fn terms_are_found_by_rule_and_user() {
    let term = TermView {
        rule: "r".to_owned(),
        terms_version: "r/1".to_owned(),
        cluster: "c".to_owned(),
        fields: vec!["source.ip".to_owned(), "user.name".to_owned()],
        terms: vec!["10.0.0.1".to_owned(), "mallory".to_owned()],
        partition: 0,
        first_append: 0,
        last_append: 0,
        age_ms: 0,
        known_until: 0,
        raised: false,
    };
    let check = |rule: Option<&str>, user: Option<&str>, expected: bool| {
        let filter = Filter { rule: rule.map(str::to_owned), user: user.map(str::to_owned) };
        assert_eq!(filter.takes(&term), expected, "{filter:?}");
    };
    check(None, None, true);
    check(Some("r"), Some("mallory"), true);
    check(Some("other"), Some("mallory"), false);
    check(None, Some("10.0.0.1"), false);
    let unnamed = TermView { fields: Vec::new(), ..term.clone() };
    assert!(!Filter { rule: None, user: Some("mallory".to_owned()) }.takes(&unnamed));
}

#[test]
fn learning_is_told_by_its_start_and_the_configured_length() {
    let check = |start_ms: i64, learning_ms: i64, since, until, learns: bool| {
        assert_eq!(
            learning(2, start_ms, learning_ms, T0),
            LearningView { partition: 2, since, until, learns },
            "{start_ms} {learning_ms}"
        );
    };
    check(T0 - 1, 2, Some(T0 - 1), Some(T0 + 1), true);
    check(T0 - 2, 2, Some(T0 - 2), Some(T0), false);
    check(T0 - 2, 0, Some(T0 - 2), None, false);
    check(super::super::import::LEARNING_ENDED_MS, 90 * DAY_MS, None, None, false);
}

#[test]
fn rules_are_those_in_force_and_those_of_the_log() {
    let rules = RuleSet::builtin().unwrap();
    let terms_of = BTreeMap::from([("old-rule/1".to_owned(), ("old-rule".to_owned(), 3))]);
    let starts = BTreeMap::from([("older-rule/2".to_owned(), vec![learning(0, T0, 1, T0)])]);
    let views = rule_views(&rules, &terms_of, &starts);
    let told: Vec<_> = views
        .iter()
        .map(|view| (view.rule.as_str(), view.in_force, view.terms, view.learning.len()))
        .collect();
    assert_eq!(
        told,
        [
            ("old-rule", false, 3, 0),
            ("older-rule", false, 0, 1),
            ("secret-access-unusual-client", true, 0, 0)
        ]
    );
}
