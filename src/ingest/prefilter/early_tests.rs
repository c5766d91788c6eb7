use std::cell::Cell;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::tests::{Choices, Escapes, Speller, object_event};
use super::*;
use crate::audit::event::{Event, Text};

const EVENT: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"7e1b","stage":"ResponseComplete","requestURI":"/api/v1/pods?a=1\u0026b=2","verb":"watch","user":{"username":"ann","groups":["a","b"]},"sourceIPs":["10.0.0.7"],"userAgent":"kubectl/v1 (\"x\")","objectRef":{"resource":"pods","namespace":"n","apiVersion":"v1"},"responseStatus":{"metadata":{},"code":200},"requestObject":{"verb":"create","a":[{"b":"}\""},[]]},"annotations":{"k":"{"}}"#;

/// What is known of each event; `None` if the record is not judged.
fn known(record: &str) -> Option<Vec<Vec<Option<Option<String>>>>> {
    let mut events = Vec::new();
    super::any(record.as_bytes(), &mut |event| {
        let known = EarlyField::ALL.map(|field| match event.known(field) {
            Known::Text(text) => Some(text.map(str::to_owned)),
            Known::Unknown => None,
        });
        events.push(known.to_vec());
        false
    })
    .map(|_| events)
}

#[test]
fn the_fields_of_an_event_and_of_a_list_are_found() {
    let text = |text: &str| Some(Some(text.to_owned()));
    let absent = Some(None);
    let expected = vec![
        text("watch"),
        text("ResponseComplete"),
        text("Metadata"),
        // It has an escape.
        None,
        text("ann"),
        text("pods"),
        absent.clone(),
        text("n"),
        absent.clone(),
        absent.clone(),
        absent,
    ];
    assert_eq!(known(EVENT), Some(vec![expected.clone()]));
    assert_eq!(known(&format!(" {EVENT}\n")), Some(vec![expected.clone()]));
    let parsed = EVENT.replacen('{', r#"{"@timestamp":1751351591.5,"#, 1);
    assert_eq!(known(&parsed), Some(vec![expected.clone()]));
    let item = EVENT.replacen(r#""kind":"Event","apiVersion":"audit.k8s.io/v1","#, "", 1);
    let list = format!(
        r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{{}},"items":[{item},{EVENT}]}}"#
    );
    assert_eq!(known(&list), Some(vec![expected.clone(), expected]));
    // Of an exec more is derived.
    let exec = EVENT.replace(r#""resource":"pods""#, r#""resource":"pods","subresource":"exec""#);
    assert_eq!(known(&exec).unwrap()[0].last(), Some(&None));
}

#[test]
fn what_is_written_in_another_way_is_not_judged() {
    let edit = |from: &str, to: &str| {
        assert!(EVENT.contains(from), "{from}");
        EVENT.replacen(from, to, 1)
    };
    let mut cut: Vec<String> = (1..EVENT.len())
        .filter(|at| EVENT.is_char_boundary(*at))
        .map(|at| EVENT[..at].to_owned())
        .collect();
    cut.extend([
        format!("{EVENT}\n{EVENT}"),
        format!("{EVENT}{EVENT}"),
        format!("{EVENT} {EVENT}"),
        format!("{EVENT}]"),
        format!("[{EVENT}]"),
        format!("\u{feff}{EVENT}"),
        edit("\"verb\"", "\n\"verb\""),
        // Which of two counts is for the reader to say.
        edit("\"level\"", r#""verb":"get","level""#),
        edit("\"level\"", r#""objectRef":{},"level""#),
        edit("\"level\"", r#""requestURI":"/","level""#),
        edit("\"groups\"", r#""username":"bob","groups""#),
        edit("\"namespace\"", r#""resource":"roles","namespace""#),
        // Escapes in names, and in what an object is.
        edit("\"verb\"", r#""\u0076erb""#),
        edit("\"username\"", r#""user\u006eame""#),
        edit("\"resource\"", r#""resourc\u0065""#),
        edit("\"pods\"", r#""pod\u0073""#),
        // Values of another type.
        edit("\"watch\"", "null"),
        edit("\"watch\"", "1"),
        edit("\"watch\"", "[\"watch\"]"),
        edit("\"ann\"", "{}"),
        edit(r#"{"resource":"pods","namespace":"n","apiVersion":"v1"}"#, "[]"),
        // What may hold events itself.
        edit("\"level\"", r#""log":"x","level""#),
        edit("\"level\"", r#""items":[],"level""#),
        edit(r#""kind":"Event""#, r#""kind":"EventList""#),
        edit(r#""kind":"Event""#, r#""kind":"EventX""#),
        edit("audit.k8s.io/v1", "v1"),
        edit("[{\"b\"", &format!("{}{{\"b\"", "[".repeat(limits::JSON_MAX_DEPTH))),
        r#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[{"verb":"get"}]}"#
            .to_owned(),
        r#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":["{}"]}"#.to_owned(),
        r#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1"}"#.to_owned(),
        // An event by its id, where every record is said to be one.
        r#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","auditID":"","items":[]}"#.to_owned(),
    ]);
    for record in cut {
        assert_eq!(known(&record), None, "{record}");
    }
}

#[test]
fn the_events_of_a_wrapper_are_found_where_nothing_else_may_hold_one() {
    let quoted = |text: &str| Value::from(text).to_string();
    let line = quoted(&format!("{EVENT}\n"));
    let expected = known(EVENT);
    assert!(expected.is_some());
    let inner = quoted(&format!(r#"{{"log":{line},"stream":"stdout"}}"#));
    for record in [
        format!(r#"{{"log":{line}}}"#),
        format!(r#"{{"@timestamp":1.5,"log":{line}}}"#),
        format!(r#"{{"file":"/var/log/audit.log","message":{line},"source_type":"file"}}"#),
        format!(r#"{{"message":{inner}}}"#),
        format!(r#"{{"log":{{"offset":1}},"message":{line}}}"#),
        format!(
            r#"{{"@timestamp":"x","data_stream":{{"type":"logs"}},"user":{{"name":"ann"}},"kubernetes":{{"node":"n","audit":{EVENT}}}}}"#
        ),
    ] {
        assert_eq!(known(&record), expected, "{record}");
    }
    let two = format!(r#"{{"log":{line},"message":{line}}}"#);
    assert_eq!(known(&two).unwrap().len(), 2);
    let cut = quoted(&EVENT[..EVENT.len() - 1]);
    let thrice = quoted(&format!(r#"{{"log":{inner}}}"#));
    let deeper = quoted(&format!(r#"{{"log":{thrice}}}"#));
    for record in [
        // Not one whole event, or not alone.
        format!(r#"{{"log":{cut}}}"#),
        format!(r#"{{"log":{}}}"#, quoted(&format!("{EVENT}\n{EVENT}"))),
        format!(r#"{{"log":{}}}"#, quoted(&format!("2026-02-03 stdout F {EVENT}"))),
        format!(r#"{{"log":{line}}} {{"log":{line}}}"#),
        format!("{{\"log\":{line}}}\n{{\"log\":{line}}}"),
        format!(r#"{{"log":{line}"#),
        format!(r#"[{{"log":{line}}}]"#),
        format!(r#"{{"message":{deeper}}}"#),
        // What else may hold one, or be one.
        format!(r#"{{"log":{line},"event":{EVENT}}}"#),
        format!(r#"{{"log":{line},"verb":"get","user":{{}}}}"#),
        format!(r#"{{"log":{line},"ver\u0062":"get","user":{{}}}}"#),
        format!(r#"{{"log":{line},"auditID":"x"}}"#),
        format!(r#"{{"log":{line},"records":[{{"properties":{{"log":{line}}}}}]}}"#),
        format!(r#"{{"log":{line},"message":"text {{\"verb\":\"get\"}}"}}"#),
        format!(r#"{{"log":{line},"message":{{"data":"e30="}}}}"#),
        format!(r#"{{"log":{line},"protoPayload":{{}}}}"#),
        // None at all.
        r#"{"log":"I0101 text"}"#.to_owned(),
        r#"{"kubernetes":{"audit":{"kind":"Event"}}}"#.to_owned(),
        r#"{"kubernetes":{}}"#.to_owned(),
    ] {
        assert_eq!(known(&record), None, "{record}");
    }
}

/// All that an event has comes before its bodies, but what follows may still change it.
#[test]
fn what_follows_the_beginning_of_an_event_counts() {
    let (head, _) = EVENT.split_once(r#","responseStatus""#).unwrap();
    let whole = format!(r#"{head},"responseStatus":{{"code":200}},"annotations":{{"a":"b"}}}}"#);
    assert_eq!(known(&whole), known(EVENT));
    let behind =
        |text: &str| whole.replace(r#","annotations""#, &format!(r#",{text},"annotations""#));
    assert_eq!(known(&behind(r#""requestObject":{"verb":"get"}"#)), known(EVENT));
    for record in [
        behind(r#""verb":"get""#),
        behind(r#""v\u0065rb":"get""#),
        behind(r#""items":[]"#),
        behind(r#""k8s_audit_level":"Request""#),
        behind(r#""requestObject":{"a":{"#),
        whole[..whole.len() - 1].to_owned(),
        format!("{whole}}}"),
        format!("{whole}{{\"auditID\":\"x\",\"kind\":\"Event\"}}"),
        format!("{whole} {{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\"}}"),
        format!("{whole}\n{whole}"),
        // A second document, which holds an event as a text or in base64, or is a text.
        format!("{whole}{{\"log\":{}}}", Value::from(EVENT)),
        format!("{whole} {}", Value::from(EVENT)),
        format!("{whole}{{\"message\":{{\"data\":\"e30=\"}}}}"),
        format!("{whole}{{\"awslogs\":{{\"data\":\"e30=\"}}}}"),
    ] {
        assert_eq!(known(&record), None, "{record}");
    }
}

#[test]
fn one_event_that_may_match_is_enough() {
    let item = |verb: &str| EVENT.replace("watch", verb);
    let list = format!(
        r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[{},{},{}]}}"#,
        item("get"),
        item("create"),
        item("get")
    );
    let judged = |wanted: &str| {
        super::any(list.as_bytes(), &mut |event| {
            event.known(EarlyField::Verb) == Known::Text(Some(wanted))
        })
    };
    assert_eq!(judged("create"), Some(true));
    assert_eq!(judged("delete"), Some(false));
}

/// The field as the typed event has it.
fn of_event<'e>(event: &'e Event<'_>, field: EarlyField) -> Option<&'e str> {
    let object = event.object_ref.as_ref();
    let text = match field {
        EarlyField::Verb => event.verb.as_ref(),
        EarlyField::UserName => event.user.as_ref().and_then(|user| user.username.as_ref()),
        EarlyField::Resource => object.and_then(|object| object.resource.as_ref()),
        EarlyField::Subresource => object.and_then(|object| object.subresource.as_ref()),
        EarlyField::Namespace => object.and_then(|object| object.namespace.as_ref()),
        EarlyField::Stage => event.stage.as_ref(),
        EarlyField::Level => event.level.as_ref(),
        EarlyField::UserAgent => event.user_agent.as_ref(),
        EarlyField::Name => object.and_then(|object| object.name.as_ref()),
        EarlyField::ApiGroup => object.and_then(|object| object.api_group.as_ref()),
        EarlyField::Derived => None,
    };
    text.map(Text::as_str)
}

proptest! {
    /// Bytes beside a quote or a backslash in value, and those with their highest bit set, too.
    #[test]
    fn a_string_ends_at_its_first_quote_or_backslash(
        bytes in prop::collection::vec(
            prop_oneof![20 => prop::num::u8::ANY, 4 => b' '..=b'#', 4 => b'['..=b']', 2 => 0xa1..=0xa3_u8],
            0..120,
        ),
        from in 0..60_usize,
    ) {
        let plain = |byte: &u8| if matches!(byte, b'"' | b'\\') { b'x' } else { *byte };
        let text: Vec<u8> = bytes.iter().take(from).map(plain).chain(bytes.iter().skip(from).copied()).collect();
        let expected = text.iter().position(|byte| matches!(byte, b'"' | b'\\'));
        prop_assert_eq!(end_or_escape(&text), expected, "{:?}", text);
    }

    #[test]
    fn what_is_known_is_what_the_event_has(
        events in prop::collection::vec(object_event(), 1..4),
        seed: u64,
        escapes in prop_oneof![Just(0), 1..200_u64],
    ) {
        let mut speller = Speller { choices: Choices(seed), escapes: Escapes::OneIn(escapes) };
        let spelled: Vec<String> = events.iter().map(|event| speller.value(event).replace('\n', " ").replace(r"\/", "/")).collect();
        let list = format!(r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[{}]}}"#, spelled.join(","));
        let nth = Cell::new(0);
        let judged = super::any(list.as_bytes(), &mut |known| {
            let event: Event<'_> = serde_json::from_str(&spelled[nth.get()]).unwrap();
            nth.set(nth.get() + 1);
            for field in EarlyField::ALL.into_iter().filter(|field| field.path().is_some()) {
                if let Known::Text(text) = known.known(field) {
                    assert_eq!(text, of_event(&event, field), "{field:?} {list}");
                }
            }
            false
        });
        prop_assert!(escapes > 0 || judged == Some(false), "{}", list);
        prop_assert!(judged.is_none() || nth.get() == events.len());
    }

    #[test]
    fn never_panics(text in "([{}\\[\\]\",: \\\\]|auditID|kind|Event|\"objectRef\"|.){0,80}", beginning in 0..3_usize) {
        let heads = ["", r#"{"kind":"Event","#, r#"{"@timestamp":"#];
        let _: Value = json!(super::any(format!("{}{text}", heads[beginning]).as_bytes(), &mut |_| false));
    }
}
