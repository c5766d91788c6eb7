use serde_json::{Value as Json, json};

use super::super::generate::{self, Random};
use super::super::reference::Document;
use super::super::{DerivedField, Needles, Query};
use super::*;
use crate::limits;

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
    let (mut pairs, mut matches, mut with_needles, mut spared, mut not_asked) = (0, 0, 0, 0, 0);
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
        let alone = queries.iter().map(std::slice::from_ref);
        let alone: Vec<Program> =
            alone.map(|query| Program::compile(query, &[], Mode::Lenient).unwrap()).collect();
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
                let may_match = alone[nth].may_match(|field| known(&event, &derived, field));
                assert!(may_match || !expected, "seed {seed}\n{}\n{json}", texts[nth]);
                not_asked += usize::from(!may_match);
                if let Needles::AnyOf(needles) = &program.needles()[nth] {
                    with_needles += 1;
                    let held = needles.iter().any(|needle| json.contains(needle.as_str()));
                    spared += usize::from(!held);
                    assert!(held || !expected, "{needles:?}\n{}\n{json}", texts[nth]);
                }
            }
        }
    }
    println!(
        "{pairs} pairs, {matches} matches, {with_needles} with needles, {spared} spared, \
         {not_asked} not asked"
    );
    assert!(pairs >= 100_000 && matches > pairs / 10 && matches < pairs * 9 / 10);
    assert!(spared > with_needles / 10 && not_asked > pairs / 50);
}

/// What a caller may know of an event: its texts, and that others are not there.
fn known<'v>(event: &'v Json, derived: &[(&str, Json)], field: EarlyField) -> Known<'v> {
    let Some(path) = field.path() else {
        return if derived.is_empty() { Known::Text(None) } else { Known::Unknown };
    };
    let first = path.split('.').next().unwrap_or_default();
    if !["verb", "stage", "userAgent", "objectRef", "user"].contains(&first)
        || path.contains("extra")
    {
        return Known::Unknown;
    }
    // Any of several objects would do.
    if event.get(first).is_some_and(serde_json::Value::is_array) {
        return Known::Unknown;
    }
    let pointer = format!("/{}", path.replace('.', "/"));
    match event.pointer(&pointer) {
        Some(serde_json::Value::String(text)) => Known::Text(Some(text)),
        // A name may hold dots itself.
        None if !event.to_string().contains(&format!("\"{path}")) => Known::Text(None),
        _ => Known::Unknown,
    }
}

#[test]
fn what_no_query_may_match_is_known_from_the_fields_that_tell_them_apart() {
    let queries = [
        "kubernetes.audit.objectRef.resource:(roles or rolebindings) and event.action:create",
        "event.action:delete and user.name:a*",
    ];
    let queries = queries.map(|text| Query::parse(text).unwrap());
    let program = Program::compile(&queries, &[], Mode::Strict).unwrap();
    let may = |verb, resource| {
        program.may_match(|field| match field {
            EarlyField::Verb => Known::Text(verb),
            EarlyField::Resource => Known::Text(resource),
            _ => Known::Unknown,
        })
    };
    assert!(may(Some("create"), Some("roles")) && may(Some("delete"), None));
    assert!(!may(Some("create"), Some("pods")) && !may(Some("get"), None) && !may(None, None));
    assert!(program.may_match(|_| Known::Unknown));
    let open = Program::compile(&[Query::parse("not user.name:a").unwrap()], &[], Mode::Strict);
    assert!(open.unwrap().may_match(|_| Known::Text(None)));
}

fn compiled(text: &str) -> Program {
    let query = Query::parse(text).unwrap_or_else(|error| panic!("`{text}`\n{error}"));
    Program::compile(&[query], &[], Mode::Strict)
        .unwrap_or_else(|problems| panic!("`{text}`\n{}", problems[0]))
}

#[test]
fn derived_values_are_asked_for_once_and_only_if_needed() {
    struct Counting(Vec<DerivedField>);
    impl Derived for Counting {
        fn derive(&mut self, field: DerivedField, values: &mut DerivedValues<'_>) {
            self.0.push(field);
            match field {
                DerivedField::ExecCommand => values.text("cat /etc/shadow"),
                DerivedField::ExecArgs => {
                    ["cat", "/etc/shadow"].iter().for_each(|arg| values.text(arg))
                }
                DerivedField::ExecInteractive => values.boolean(true),
                _ => {}
            }
        }
    }
    let texts = [
        "kubernetes.audit.verb:get and exec.command:*shadow*",
        "exec.command:\"cat /etc/shadow\" and kubernetes.audit.verb:get",
        "exec.args:cat and kubernetes.audit.verb:get",
        "exec.interactive:true and not exec.normal_form:* and kubernetes.audit.verb:get",
    ];
    let queries: Vec<Query> = texts.iter().map(|text| Query::parse(text).unwrap()).collect();
    let program = Program::compile(&queries, &["exec.args"], Mode::Strict).unwrap();
    assert_eq!(program.derives().len(), 4);
    let mut scratch = Scratch::default();
    let mut counting = Counting(Vec::new());
    let found = program.run(br#"{"verb":"get"}"#, &mut scratch, &mut counting).unwrap();
    assert_eq!(found.queries(), [0, 1, 2, 3]);
    counting.0.sort_by_key(|field| *field as u8);
    assert_eq!(
        counting.0,
        [
            DerivedField::ExecCommand,
            DerivedField::ExecArgs,
            DerivedField::ExecNormalForm,
            DerivedField::ExecInteractive,
        ]
    );
    let mut counting = Counting(Vec::new());
    let mut found = program.run(br#"{"verb":"list"}"#, &mut scratch, &mut counting).unwrap();
    assert_eq!(found.queries(), [] as [usize; 0]);
    assert_eq!(found.values(0), ["cat", "/etc/shadow"]);
    assert_eq!(found.values(0), ["cat", "/etc/shadow"]);
    assert_eq!(counting.0, [DerivedField::ExecArgs]);

    let either = "exec.command:(x or \"cat /etc/shadow\") or kubernetes.audit.verb:(get or put)";
    let program = compiled(either);
    for (event, asked) in [(&br#"{"verb":"get"}"#[..], 0), (br#"{"verb":"list"}"#, 1)] {
        let mut counting = Counting(Vec::new());
        let found = program.run(event, &mut scratch, &mut counting).unwrap();
        assert!(found.contains(0));
        assert_eq!(counting.0.len(), asked);
    }
}

#[test]
fn values_of_fields_can_be_read() {
    let reads = [
        "source.ip",
        "user.name",
        "kubernetes.audit.user.username",
        "kubernetes.audit.responseStatus.code",
        "kubernetes.audit.user.groups",
        "kubernetes.audit.annotations.a.b",
        "event.kind",
        "@timestamp",
        "event.outcome",
    ];
    let program = Program::compile(&[], &reads, Mode::Strict).unwrap();
    let mut scratch = Scratch::default();
    let mut none = NotDerived;
    let event = json!({
        "sourceIPs": ["10.0.0.1", "::1"], "user": { "username": "", "groups": ["b", "a\n", ["b"]] },
        "responseStatus": { "code": 200 }, "annotations": { "a.b": "x" },
        "requestReceivedTimestamp": "2026-01-01T00:00:00Z",
    });
    let event = event.to_string();
    let mut found = program.run(event.as_bytes(), &mut scratch, &mut none).unwrap();
    let expected: [&[&str]; 9] = [
        &["10.0.0.1", "::1"],
        &[],
        &[""],
        &["200"],
        &["b", "a\n", "b"],
        &["x"],
        &["event"],
        &["2026-01-01T00:00:00Z"],
        &[],
    ];
    for (nth, expected) in expected.iter().enumerate() {
        assert_eq!(found.values(nth), *expected, "{}", reads[nth]);
    }
    assert_eq!(found.values(99), [] as [&str; 0]);
    for name in ["user.nam", "user", "kubernetes.audit.requestObject"] {
        let problems = Program::compile(&[], &[name], Mode::Lenient).unwrap_err();
        assert_eq!(problems.len(), 1, "{name}");
    }
}

#[test]
fn what_no_event_can_have_is_an_error_or_a_warning() {
    for (text, offset, message, hint) in [
        ("user.nam:x", 0, "no event has a field `user.nam`", "`user.name`"),
        ("a:b and kubernetes.audit.verb:x", 0, "no event has a field `a`", ""),
        ("verb:get", 0, "no event has", "`kubernetes.audit.verb`"),
        ("objectref.resource:x", 0, "no event has", "`kubernetes.audit.objectRef.resource`"),
        ("kubernetes.audit.objectref.resource:x", 0, "no event", "objectRef.resource`"),
        ("host.*:x", 0, "no event has a field `host.*`", ""),
        ("kubernetes.audit.user:x", 0, "no value of its own", "`kubernetes.audit.user.*`"),
        ("kubernetes.audit.responseStatus.code:4*", 37, "no wildcard", "`>= 400`"),
        ("kubernetes.audit.responseStatus.code:x", 37, "is a number", ""),
        ("source.ip:10.*", 10, "no wildcard", "`10.0.0.0/8`"),
        ("source.ip:x", 10, "is an address", ""),
        ("source.ip > 10.0.0.0/8", 12, "not with a network", ""),
        ("@timestamp > now-1d", 13, "is a time", "relative to now"),
        ("@timestamp:\"now\"", 11, "is a time", "relative to now"),
        ("exec.interactive:yes", 17, "is `true` or `false`", ""),
        ("kubernetes.audit.requestObject.spec.hostPID:1", 44, "is `true` or `false`", ""),
        ("user.name > a*", 12, "no wildcards", ""),
        ("user.name:null", 10, "`null`", "`not user.name: *`"),
        ("null", 0, "`null`", "\"null\""),
        ("user:{ name:x }", 0, "no list of objects", "`and`"),
        ("kubernetes.audit.annotations:{ x:y }", 0, "no list of objects", ""),
        ("kubernetes.audit.foo:{ x:y }", 0, "no event has", ""),
        (
            "kubernetes.audit.objectRef:{ nam:y }",
            29,
            "`kubernetes.audit.objectRef.nam`",
            "objectRef.name`",
        ),
        ("kubernetes.*:{ x:y }", 0, "no wildcards", ""),
    ] {
        let query = Query::parse(text).unwrap();
        let problems =
            Program::compile(std::slice::from_ref(&query), &[], Mode::Strict).unwrap_err();
        let error = &problems[0].error;
        assert_eq!(error.offset, offset, "`{text}`\n{error}");
        assert!(error.message.contains(message), "`{text}`\n{error}");
        assert!(error.hint.as_deref().unwrap_or_default().contains(hint), "`{text}`\n{error}");

        // Leniently it holds of nothing, and `not` of everything.
        let not = Query::parse(&format!("not ({text})")).unwrap();
        let program = Program::compile(&[query, not], &[], Mode::Lenient).unwrap();
        assert!(program.warnings().len() >= 2);
        if !text.contains(" and ") {
            assert_eq!(program.fixed_answer(0), Some(false), "{text}");
            assert_eq!(program.fixed_answer(1), Some(true), "{text}");
        }
    }
    // All problems of all queries are told.
    let queries = ["a:1 or b:2", "user.name:x", "c:3"].map(|text| Query::parse(text).unwrap());
    let problems = Program::compile(&queries, &[], Mode::Strict).unwrap_err();
    let told: Vec<_> =
        problems.iter().map(|problem| (problem.query, problem.error.offset)).collect();
    assert_eq!(told, [(0, 0), (0, 7), (2, 0)]);
    let many = Query::parse(&vec!["a:1"; 1_000].join(" or ")).unwrap();
    let problems = Program::compile(&[many.clone(), many], &[], Mode::Strict).unwrap_err();
    assert_eq!(problems.len(), 2 * limits::CONFIG_PROBLEMS_MAX);
}

#[test]
fn what_is_the_same_for_every_event_is_known_beforehand() {
    for (text, expected) in [
        ("*", Some(true)),
        ("not *", Some(false)),
        ("event.kind:event", Some(true)),
        ("event.kind:alert", Some(false)),
        ("event.dataset:kubernetes.* and not event.kind:alert", Some(true)),
        ("event.kind:alert and user.name:x", Some(false)),
        ("event.kind:event and user.name:x", None),
        ("user.name:*", None),
    ] {
        assert_eq!(compiled(text).fixed_answer(0), expected, "{text}");
    }
}

#[test]
fn equal_conditions_of_many_queries_are_one() {
    let texts: Vec<String> = (0..500)
        .map(|nth| {
            format!(
                "user.name:alice and kubernetes.audit.verb:(get or list) and user.id:{}",
                nth % 7
            )
        })
        .collect();
    let queries: Vec<Query> = texts.iter().map(|text| Query::parse(text).unwrap()).collect();
    let program = Program::compile(&queries, &[], Mode::Strict).unwrap();
    // Two constants, `alice`, two verbs, their alternative, seven ids, seven conjunctions.
    assert_eq!(program.exprs.len(), 2 + 1 + 2 + 1 + 7 + 7);
}

#[test]
fn many_texts_of_one_field_are_found_together() {
    let names: Vec<String> = (0..2_000).map(|nth| format!("user{nth}")).collect();
    let parts: Vec<String> = (0..500).map(|nth| format!("*/part{nth}/*")).collect();
    let queries = [
        format!("user.name:({})", names.join(" or ")),
        format!("user_agent.original:({})", parts.join(" or ")),
        format!("not user.name:({}) and user.name:*", names.join(" or ")),
    ];
    let queries = queries.map(|text| Query::parse(&text).unwrap());
    let program = Program::compile(&queries, &[], Mode::Strict).unwrap();
    let mut scratch = Scratch::default();
    for (user, agent, expected) in [
        ("user1999", "x/part499/y", &[0, 1][..]),
        ("user2000", "x/part500/y", &[2][..]),
        ("", "/part1/", &[1][..]),
        ("user1 ", "/part1", &[2][..]),
    ] {
        let event = json!({ "user": { "username": user }, "userAgent": agent }).to_string();
        let mut none = NotDerived;
        let found = program.run(event.as_bytes(), &mut scratch, &mut none).unwrap();
        assert_eq!(found.queries(), expected, "{user} {agent}");
    }
}

#[test]
fn a_text_that_repeats_what_is_looked_for_takes_no_longer() {
    // Each place holds most of the parts, and one part is never found.
    let mut parts: Vec<String> = (1..100).map(|nth| format!("*{}*", "a".repeat(nth))).collect();
    parts.push("*b*".to_owned());
    let queries: Vec<Query> = parts
        .iter()
        .map(|part| Query::parse(&format!("user_agent.original:{part}")).unwrap())
        .collect();
    let program = Program::compile(&queries, &[], Mode::Strict).unwrap();
    let (mut scratch, mut none) = (Scratch::default(), NotDerived);
    let event = json!({ "userAgent": "a".repeat(2_000_000) }).to_string();
    let found = program.run(event.as_bytes(), &mut scratch, &mut none).unwrap();
    assert_eq!(found.queries(), (0..99).collect::<Vec<_>>());
}

#[test]
fn limits_of_a_program_are_errors_in_either_mode() {
    let many = |count: usize, text: &dyn Fn(usize) -> String| -> Vec<Query> {
        (0..count).map(|nth| Query::parse(&text(nth)).unwrap()).collect()
    };
    let check = |queries: &[Query]| {
        for mode in [Mode::Strict, Mode::Lenient] {
            assert!(Program::compile(&queries[1..], &[], mode).is_ok());
            assert!(Program::compile(queries, &[], mode).is_err());
        }
    };
    check(&many(limits::PROGRAM_QUERIES_MAX + 1, &|_| "user.name:x".to_owned()));
    let wild = |nth| format!("kubernetes.audit.requestObject.*{nth}:x");
    check(&many(limits::PROGRAM_WILDCARD_NAMES_MAX + 1, &wild));
    let list = |of: usize| {
        let ids: Vec<String> = (0..5_000).map(|nth| format!("{of}x{nth}")).collect();
        format!("user.id:({})", ids.join(" or "))
    };
    let queries = many(limits::PROGRAM_NODES_MAX / 5_000 + 1, &list);
    assert!(Program::compile(&queries, &[], Mode::Lenient).is_err());
}

#[test]
fn events_that_cannot_be_asked_are_errors() {
    let program = compiled("kubernetes.audit.requestObject.x:y or alice");
    let mut scratch = Scratch::default();
    let mut ask = |event: &[u8]| {
        let mut none = NotDerived;
        program.run(event, &mut scratch, &mut none).map(|found| found.contains(0))
    };
    assert!(matches!(ask(b"\xff{}"), Err(RunError::Encoding)));
    for text in ["", " ", "[]", "\"x\"", "5", "null", "[{\"user\":1}]"] {
        assert!(matches!(ask(text.as_bytes()), Err(RunError::NotAnObject)), "{text}");
    }
    for text in ["{", "{\"a\"}", "{}x", "{\"requestObject\":{\"x\":\"y\"}", "{\"user\":{]}"] {
        assert!(matches!(ask(text.as_bytes()), Err(RunError::Json(_))), "{text}");
    }
    let deep = format!("{{\"requestObject\":{}1{}}}", "[".repeat(500), "]".repeat(500));
    assert!(matches!(ask(deep.as_bytes()), Err(RunError::Json(_))));
    let many = format!("{{\"requestObject\":[{}1]}}", "1,".repeat(limits::EVENT_VALUES_MAX));
    assert!(matches!(ask(many.as_bytes()), Err(RunError::TooManyValues)));
    // What was left behind does no harm.
    assert!(matches!(ask(b" \n{\"requestObject\":{\"x\":\"y\"}} "), Ok(true)));
    assert!(matches!(ask(b"{\"requestObject\":{\"x\":\"z\"}}"), Ok(false)));
    assert!(matches!(ask(b"{\"u\\u0073er\":{\"username\":\"\\u0061lice\"}}"), Ok(true)));
    // Twice the same name: either value counts.
    assert!(matches!(ask(b"{\"user\":{\"uid\":\"alice\",\"uid\":\"bob\"}}"), Ok(true)));
}

#[test]
fn the_fields_of_a_query_are_told() {
    let query = Query::parse("b.c:x and (a:(y or z) or *) and n:{ x:1 and m:{ y > 2 } } and p.*:q");
    assert_eq!(query.unwrap().fields(), ["*", "a", "b.c", "n.m.y", "n.x", "p.*"]);
}
