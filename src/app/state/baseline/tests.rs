use serde_json::{Value, json};

use super::*;
use crate::alert::fixtures::secret_read;
use crate::audit::event::Text;

fn rules() -> RuleSet {
    RuleSet::builtin().unwrap()
}

/// A term of the rule in force.
fn observation() -> Observation {
    let rules = rules();
    let (_, rule) = rules
        .rules()
        .iter()
        .find_map(|rule| match rule.kind() {
            RuleKind::NewTerms(terms) => Some((rule.id(), terms)),
            RuleKind::Exec(_) | RuleKind::Query(_) => None,
        })
        .unwrap();
    let mut observation = secret_read("ResponseComplete");
    observation.terms_version = rule.terms_version.clone();
    observation.window_ms = rule.window_ms;
    assert_eq!(check(&observation, &rules), Ok(()), "the fixture is of the rule in force");
    observation
}

fn line_of(observation: &Observation) -> Value {
    let key = record::key(observation);
    let line = term_line(&key, &value(observation.clone()).unwrap(), 1_800_000_000_123).unwrap();
    serde_json::from_slice(&line).unwrap()
}

fn read(line: &Value) -> Result<Term, TermError> {
    term(line.to_string().as_bytes(), &rules())
}

#[test]
fn a_term_comes_back_as_it_was_without_how_it_came() {
    let mut imported = observation();
    imported.history = true;
    let line = line_of(&imported);
    assert_eq!(line["append_time"], "2027-01-15T08:00:00.123Z");
    let read = read(&line).unwrap();
    assert_eq!(read, Term { observation: observation(), append_ms: 1_800_000_000_123 });
    // Written again it is the same text.
    assert_eq!(line_of(&read.observation).to_string(), line.to_string());
}

#[test]
fn the_whitespace_of_a_line_does_not_count() {
    let line = serde_json::to_string_pretty(&line_of(&observation())).unwrap();
    assert_eq!(term(line.as_bytes(), &rules()).unwrap().observation, observation());
}

#[test]
fn bodies_and_unknown_fields_never_come_in() {
    let mut line = line_of(&observation());
    let secret = json!({ "data": { "password": "aHVudGVyMg==" } });
    line["value"]["event"]["responseObject"] = secret.clone();
    line["value"]["event"]["requestObject"] = secret.clone();
    line["value"]["event"]["objectRef"]["data"] = secret.clone();
    line["value"]["more"] = secret.clone();
    line["more"] = secret;
    let term = read(&line).unwrap();
    assert_eq!(term.observation, observation());
    let written = bounded_value(&term.observation).unwrap();
    assert!(!String::from_utf8(written).unwrap().contains("aHVudGVyMg"));
}

#[test]
fn a_term_that_this_program_could_not_have_written_is_refused() {
    let check = |path: &str, value: Value, expected: TermError| {
        let mut line = line_of(&observation());
        *line.pointer_mut(path).unwrap_or_else(|| panic!("{path}")) = value;
        assert_eq!(read(&line).unwrap_err(), expected, "{path}");
    };
    check("/key/4/0", json!("10.9.9.9"), TermError::Key);
    check("/key/0", json!("marker"), TermError::Key);
    check("/key/3", json!("another-cluster"), TermError::Key);
    check("/value/terms/1", json!("somebody else"), TermError::Key);
    check("/value/cluster", json!("another-cluster"), TermError::Key);
    check("/value/window_ms", json!(i64::MAX), TermError::Range("window_ms"));
    check("/value/window_ms", json!(0), TermError::Range("window_ms"));
    check("/value/window_ms", json!(86_400_000), TermError::Rule("window_ms"));
    check("/value/learning_ms", json!(-1), TermError::Range("learning_ms"));
    check("/value/shard_key", json!("somebody else"), TermError::Shard);
    check("/value/fields/0", json!("destination.ip"), TermError::Rule("fields"));
    check("/value/fields", json!([]), TermError::Count);
    check("/value/event_id", json!(""), TermError::Empty("event_id"));
    check("/value/event_id", json!("x".repeat(10_000)), TermError::Long("event_id"));
    check("/append_time", json!("yesterday"), TermError::Time);
    // A term of another version of a rule counts, with whichever of its values as the shard key.
    let mut older = observation();
    older.terms_version = "secret-access-unusual-client/0000000000000000".to_owned();
    older.window_ms = 86_400_000;
    assert!(read(&line_of(&older)).is_ok());
    older.shard_key = "somebody else".to_owned();
    assert_eq!(read(&line_of(&older)).unwrap_err(), TermError::Shard);
    older.shard_key = older.terms[0].clone();
    older.terms[1] = "x".repeat(10_000);
    assert_eq!(read(&line_of(&older)).unwrap_err(), TermError::Long("terms"));
}

#[test]
fn what_is_no_term_is_said_with_its_place_and_without_its_content() {
    let good = line_of(&observation()).to_string();
    for hostile in ["", "{", "[1]", "{\"key\":\"hunter2\"}", "nonsense hunter2", &good[..200]] {
        let error = term(hostile.as_bytes(), &rules()).unwrap_err().to_string();
        assert!(error.starts_with("not a term of a baseline: "), "{error}");
        assert!(error.contains("column"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn an_event_too_large_for_many_brokers_is_cut_once_and_means_the_same() {
    let mut large = observation();
    large.event.source_ips = Some(vec![Text::from("10.0.0.1"); 200_000]);
    let cut = bounded_value(&large).unwrap();
    assert!(cut.len() < 600_000, "{}", cut.len());
    let read: Observation = serde_json::from_slice(&cut).unwrap();
    assert_eq!(record::key(&read), record::key(&large));
    assert_eq!(bounded_value(&read).unwrap(), cut);
}

#[test]
fn a_header_tells_a_baseline_and_refuses_what_this_version_cannot_read() {
    let line = header_line(
        Origin {
            topic: "o",
            partitions: 2,
            hash_version: HASH_VERSION,
            log_ids: vec![Some("a".to_owned()), None],
            exported_at_ms: 1_800_000_000_000,
        },
        7,
    )
    .unwrap();
    assert!(is_header(&line));
    let read = header(&line).unwrap();
    assert_eq!((read.terms, read.partitions), (7, 2));
    let changed = |name: &str, value: Value| {
        let mut header: Value = serde_json::from_slice(&line).unwrap();
        header[name] = value;
        header.to_string().into_bytes()
    };
    assert_eq!(header(&changed("format", json!(2))), Err(HeaderError::Format(2)));
    assert_eq!(header(&changed("hash_version", json!(9))), Err(HeaderError::Hash(9)));
    assert!(matches!(header(&changed("terms", json!("x"))), Err(HeaderError::Json(_))));
    assert!(matches!(header(&changed("format", json!(null))), Err(HeaderError::Json(_))));
    for other in
        [changed("kubetell", json!("something")), br#"{"kind":"Event"}"#.to_vec(), b"{".to_vec()]
    {
        assert!(!is_header(&other));
    }
    // What an event says is no header.
    assert!(!is_header(br#"{"kind":"Event","userAgent":"terms-baseline"}"#));
}
