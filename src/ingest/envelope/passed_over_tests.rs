//! What is passed over is an event, stands where it stood, and is in the wrapper that it was in; all
//! else of a record is the same as without.

use std::cell::Cell;
use std::io::Write as _;
use std::path::Path;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::*;
use crate::ingest::prefilter::Prefilter;
use crate::rules::set::RuleSet;

/// There is no rule that an event could match.
static NO_RULES: LazyLock<Prefilter> =
    LazyLock::new(|| Prefilter::new(&RuleSet::of(std::iter::empty()).unwrap()));

const EVENT: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Request","auditID":"7e1b","stage":"ResponseComplete","requestURI":"/api/v1/pods?a=1\u0026b=2","verb":"watch","user":{"username":"ann","uid":"1","groups":["a","b"],"extra":{"k":["v"]}},"impersonatedUser":{"username":"eve","groups":["c"]},"sourceIPs":["10.0.0.7"],"userAgent":"kubectl/v1 (\"x\")","objectRef":{"resource":"pods","namespace":"n","apiVersion":"v1"},"responseStatus":{"metadata":{},"status":"Failure","reason":"x","code":404,"details":{"a":[1.5e3]}},"requestObject":{"verb":"create","a":[{"b":"}\""},[]]},"requestReceivedTimestamp":"2025-07-13T08:38:39.127266Z","stageTimestamp":"2025-07-13T08:38:39.127266Z","annotations":{"k":"{\u003c"}}"#;

fn item() -> String {
    EVENT.replacen(r#""kind":"Event","apiVersion":"audit.k8s.io/v1","#, "", 1)
}

fn list(items: &[String]) -> String {
    let items = items.join(",");
    format!(
        r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{{}},"items":[{items}]}}"#
    )
}

fn gzipped(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// How many events are passed over, of how many outcomes.
fn passed_over(record: &[u8], forced: Option<Wrapper>) -> (usize, usize) {
    let shown = String::from_utf8_lossy(record);
    for bodies in [Bodies::Skipped, Bodies::PointedAt] {
        let mut all = Vec::new();
        read_asking(record, forced, bodies, &mut |_, outcome| {
            let wrapper = match &outcome {
                Outcome::Event(item) => Some(item.wrapper),
                _ => None,
            };
            all.push((wrapper, format!("{outcome:?}")));
        });
        let (mut count, mut next) = (0, 0);
        let judge: PassesOver<'_> = &|json| NO_RULES.passes_over(json);
        read_but(record, forced, bodies, Some(judge), &mut |index, outcome| {
            assert_eq!(index as usize, next, "{shown}");
            let (wrapper, said) = &all[next];
            next += 1;
            match outcome {
                Outcome::PassedOver(of) => {
                    assert_eq!(Some(of), *wrapper, "{said} {shown}");
                    count += 1;
                }
                other => assert_eq!(format!("{other:?}"), *said, "{forced:?} {shown}"),
            }
        });
        assert_eq!(next, all.len(), "{shown}");
        if bodies == Bodies::Skipped {
            continue;
        }
        return (count, next);
    }
    unreachable!()
}

#[test]
fn events_of_lists_are_passed_over_where_they_stand() {
    let odd = EVENT.replace("\"watch\"", "7");
    let quoted = |text: &str| Value::from(text).to_string();
    let line = quoted(EVENT);
    let of_lines = |head: &str, tail: &str| {
        let each = format!("{head}{line}{tail}");
        format!("[{each},{each}]")
    };
    for (record, expected) in [
        (list(&[item(), item(), item()]), (3, 3)),
        (list(&[item(), odd.clone(), EVENT.to_owned()]), (2, 3)),
        (format!("[{EVENT},{odd},1,{EVENT}]"), (2, 4)),
        (format!(" [ {EVENT} , {EVENT} ]\n[{EVENT}]"), (3, 3)),
        (list(&[]), (0, 1)),
        // A single one was looked at before.
        (EVENT.to_owned(), (0, 1)),
        (format!(r#"{{"log":{line}}}"#), (0, 1)),
        // Of lines each by itself.
        (of_lines(r#"{"message":"#, r#","source_type":"file"}"#), (2, 2)),
        (
            format!(
                r#"{{"records":{}}}"#,
                of_lines(r#"{"category":"kube-audit","properties":{"log":"#, "}}")
            ),
            (2, 2),
        ),
        (
            format!(
                r#"{{"messageType":"DATA_MESSAGE","logEvents":{}}}"#,
                of_lines(r#"{"id":"3","message":"#, "}")
            ),
            (2, 2),
        ),
        (
            format!(
                r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":{}}}]}}]}}"#,
                of_lines(r#"{"body":{"stringValue":"#, "}}")
            ),
            (2, 2),
        ),
        // In another wrapper, which is the event's own, it is another thing.
        (list(&[item().replacen('{', r#"{"@timestamp":1.5,"#, 1)]), (0, 1)),
        (list(&[item().replacen('{', r#"{"log_type":"audit","#, 1)]), (0, 1)),
    ] {
        assert_eq!(passed_over(record.as_bytes(), None), expected, "{record}");
    }
}

#[test]
fn events_of_texts_that_nobody_could_look_into_are_passed_over() {
    let lines = format!("{EVENT}\n{EVENT}\n").into_bytes();
    assert_eq!(passed_over(&gzipped(&lines), None), (2, 2));
    assert_eq!(passed_over(&gzipped(list(&[item()]).as_bytes()), None), (1, 1));
    let data = STANDARD.encode(&lines);
    let pushed = json!({"message": {"messageId": "1", "data": data}}).to_string();
    assert_eq!(passed_over(pushed.as_bytes(), None), (2, 2));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wrappers");
    let read = |name: &str| passed_over(&std::fs::read(folder.join(name)).unwrap(), None);
    // One of them is a line that was cut off.
    assert_eq!(read("09_cloudwatch_raw.gz"), (2, 3));
    let (count, of) = read("02_webhook_eventlist.json");
    assert!(count > 1 && count == of, "{count} of {of}");
}

/// Whatever a configuration says that every record is.
#[test]
fn a_forced_wrapper_decides_as_it_does_without() {
    for forced in Wrapper::ALL {
        for text in [
            EVENT.to_owned(),
            list(&[item(), item()]),
            format!("[{EVENT},{EVENT}]"),
            Value::from(EVENT).to_string(),
            json!([{"message": EVENT}, {"message": EVENT}]).to_string(),
        ] {
            passed_over(text.as_bytes(), Some(forced));
            passed_over(&gzipped(text.as_bytes()), Some(forced));
        }
    }
    let of = |text: &str, forced| passed_over(text.as_bytes(), Some(forced));
    assert_eq!(of(&list(&[item(), item()]), Wrapper::EventList), (2, 2));
    assert_eq!(of(&format!("[{EVENT},{EVENT}]"), Wrapper::FluentBit), (2, 2));
    assert_eq!(of(&format!("[{EVENT},{EVENT}]"), Wrapper::EventList), (0, 2));
    assert_eq!(of(&format!("[{EVENT},{EVENT}]"), Wrapper::Gke), (0, 2));
}

/// A reason, an index and a place are those that the record has without passing over anything.
#[test]
fn what_is_wrong_with_an_item_is_said_as_without() {
    let edits = [
        ("\"watch\"", "7"),
        ("\"watch\"", "null"),
        ("\"watch\"", "\"a\\ud800b\""),
        ("\"watch\"", "\"wa\\u0074ch\""),
        ("\"watch\"", "\"wa\ttch\""),
        ("\"watch\"", "\"w\\xatch\""),
        ("\"7e1b\"", "\"\""),
        ("\"7e1b\"", "7"),
        ("\"7e1b\"", "null"),
        ("\"ann\"", "[]"),
        ("\"eve\"", "[]"),
        ("[\"a\",\"b\"]", "[1]"),
        ("[\"c\"]", "\"c\""),
        ("[\"v\"]", "[1e999]"),
        ("\"uid\":\"1\"", "\"uid\":1e999"),
        ("[\"10.0.0.7\"]", "[\"10.0.0.7\",{}]"),
        ("\"resource\":\"pods\"", "\"resource\":{}"),
        ("404", "\"404\""),
        ("404", "404.5"),
        ("404", "1e999"),
        ("404", "12345678901234567890"),
        ("404", "-404"),
        ("1.5e3", "1e999"),
        ("1.5e3", "01"),
        ("\"x\",\"code\"", "1e999,\"code\""),
        ("\"{\\u003c\"", "{}"),
        ("\"k\":\"{", "\"\\ud800\":\"{"),
        ("\"create\"", "\"\\ud800\""),
        ("\"create\"", "nul"),
        ("\"verb\":\"watch\"", "\"verb\":\"watch\",\"verb\":7"),
        ("\"verb\":\"watch\"", "\"verb\":\"watch\",\"message\":\"x\""),
        ("\"verb\":\"watch\"", "\"verb\":\"watch\",\"items\":[]"),
        ("\"kind\":\"Event\"", "\"kind\":7"),
        ("\"kind\":\"Event\"", "\"kind\":\"EventList\""),
        ("\"requestReceivedTimestamp\":\"", "\"requestReceivedTimestamp\":7,\"x\":\""),
        ("\"requestURI\":\"", "\"requestURI\":7,\"x\":\""),
        ("\"level\":\"Request\"", "\"level\":\"Request\",\"x\":1e999"),
    ];
    for (from, to) in edits {
        assert!(EVENT.contains(from), "{from}");
        let wrong = EVENT.replacen(from, to, 1);
        let each = [EVENT.to_owned(), wrong.clone(), EVENT.to_owned()];
        for text in [list(&each), format!("\n[{}]", each.join(",\n ")), each.join("\n")] {
            passed_over(text.as_bytes(), None);
            passed_over(&gzipped(text.as_bytes()), None);
        }
    }
    let whole = list(&[item(), item()]);
    for end in (0..whole.len()).filter(|end| whole.is_char_boundary(*end)) {
        passed_over(&whole.as_bytes()[..end], None);
    }
    let mut bytes = list(&[item(), item()]).into_bytes();
    let at = bytes.windows(5).position(|window| window == b"watch").unwrap();
    bytes[at] = 0xff;
    assert_eq!(passed_over(&bytes, None).0, 0);
}

#[test]
fn no_more_items_are_told_than_without() {
    let items = vec!["{}".to_owned(); limits::RECORD_MAX_ITEMS - 1];
    let fits = list(&[items.clone(), vec![item()]].concat());
    assert_eq!(passed_over(fits.as_bytes(), None), (1, limits::RECORD_MAX_ITEMS));
    let over = list(&[items, vec![item(), item()]].concat());
    assert_eq!(passed_over(over.as_bytes(), None).1, limits::RECORD_MAX_ITEMS + 1);
}

/// What stands deep in lists within lists is not read again and again.
#[test]
fn every_text_of_a_list_is_asked_about_once() {
    let nested = format!("{}{EVENT}{}", "[".repeat(12), "]".repeat(12));
    let asked = Cell::new(0);
    let judge: PassesOver<'_> = &|json| {
        asked.set(asked.get() + json.len());
        false
    };
    read_but(nested.as_bytes(), None, Bodies::Skipped, Some(judge), &mut |_, _| {});
    assert!(asked.get() > 0 && asked.get() <= nested.len(), "{}", asked.get());
}

/// What is looked at in vain is bounded, though each line begins a document that goes on to the end, and
/// that only serde_json refuses where it begins.
#[test]
fn a_text_is_not_looked_at_anew_from_each_of_its_lines_on() {
    let begin = r#"{"kind":"Event","auditID":"x","verb":"\ud800","requestObject":"#;
    let filler = format!("[\"data\",\"pods\",\"exec\",\"{}\"]", "a".repeat(20_000));
    let objects = format!("{}{filler}{}", format!("{begin}\n").repeat(60), "}".repeat(60));
    let arrays = format!("{}{filler}{}", format!("[{begin}\n").repeat(60), "}]".repeat(60));
    for text in [objects, arrays] {
        for record in [text.clone().into_bytes(), gzipped(text.as_bytes())] {
            let looked_at = Cell::new(0);
            let judge: PassesOver<'_> = &|json| {
                looked_at.set(looked_at.get() + json.len());
                false
            };
            let mut outcomes = 0;
            read_but(&record, None, Bodies::Skipped, Some(judge), &mut |_, outcome| {
                assert!(matches!(outcome, Outcome::Unreadable(_)), "{outcome:?}");
                outcomes += 1;
            });
            assert!(outcomes > 0);
            assert!(looked_at.get() <= 3 * text.len(), "{} of {}", looked_at.get(), text.len());
        }
    }
}
