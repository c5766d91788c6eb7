//! What a query means, fact by fact.

use serde_json::{Value as Json, json};

use super::super::reference::Document;
use super::super::{Mode, Needles, NotDerived, Program, Query, Scratch};

/// Each case: a query, an event, and whether they match. Both evaluators have to say so.
#[track_caller]
fn check(cases: &[(&str, Json, bool)]) {
    for (text, event, expected) in cases {
        let query = Query::parse(text).unwrap_or_else(|error| panic!("`{text}`\n{error}"));
        let program = Program::compile(std::slice::from_ref(&query), &[], Mode::Strict)
            .unwrap_or_else(|problems| panic!("`{text}`\n{}", problems[0]));
        let json = event.to_string();
        let (mut scratch, mut none) = (Scratch::default(), NotDerived);
        let found = program.run(json.as_bytes(), &mut scratch, &mut none).unwrap();
        assert_eq!(found.contains(0), *expected, "`{text}` {json}");
        assert_eq!(Document::new(event, &[]).matches(&query.node), *expected, "slow: `{text}`");
        if let (Needles::AnyOf(needles), true) = (&program.needles()[0], expected) {
            assert!(needles.iter().any(|needle| json.contains(needle.as_str())), "`{text}`");
        }
    }
}

#[test]
fn a_value_is_compared_whole_and_case_sensitively() {
    let verb = |verb: &str| json!({ "verb": verb });
    check(&[
        ("kubernetes.audit.verb:get", verb("get"), true),
        ("kubernetes.audit.verb:get", verb("Get"), false),
        ("kubernetes.audit.verb:get", verb("getx"), false),
        ("kubernetes.audit.verb:get", verb(" get"), false),
        ("kubernetes.audit.verb:\"get\"", verb("get"), true),
        // Blanks within an unquoted value are part of it.
        ("kubernetes.audit.verb: a  b ", verb("a  b"), true),
        ("kubernetes.audit.verb: a b", verb("a"), false),
        // `?` is a character like others.
        ("kubernetes.audit.verb:g?t", verb("get"), false),
        ("kubernetes.audit.verb:g?t", verb("g?t"), true),
        ("kubernetes.audit.verb:g?*", verb("g?x"), true),
        // A keyword field holds the text of a number and of a boolean.
        ("kubernetes.audit.verb:5", json!({ "verb": 5 }), true),
        ("kubernetes.audit.verb:true", json!({ "verb": true }), true),
        ("kubernetes.audit.verb:5.0", json!({ "verb": 5 }), false),
    ]);
}

#[test]
fn wildcards_match_any_characters_wherever_they_stand() {
    let agent = |agent: &str| json!({ "userAgent": agent });
    check(&[
        ("kubernetes.audit.userAgent:kube*", agent("kubectl/1.30"), true),
        ("kubernetes.audit.userAgent:kube*", agent("xkube"), false),
        ("kubernetes.audit.userAgent:*Format", agent("kubernetes/$Format"), true),
        ("kubernetes.audit.userAgent:*Format", agent("kubernetes/$Format "), false),
        ("kubernetes.audit.userAgent:k*t", agent("kubernetes/$Format"), true),
        ("kubernetes.audit.userAgent:k*e*F*t", agent("kubernetes/$Format"), true),
        ("kubernetes.audit.userAgent:k*F*e*t", agent("kubernetes/$Format"), false),
        // Also none, and across lines and blanks.
        ("kubernetes.audit.userAgent:ab*cd", agent("abcd"), true),
        ("kubernetes.audit.userAgent:a*d", agent("a b\nc d"), true),
        ("kubernetes.audit.userAgent:ab*ba", agent("aba"), false),
        ("kubernetes.audit.userAgent:a* b*", agent("a1 b2"), true),
        // An escaped star is the character, with a wildcard beside it.
        ("kubernetes.audit.userAgent:a\\**", agent("a*b"), true),
        ("kubernetes.audit.userAgent:a\\**", agent("ab"), false),
        ("kubernetes.audit.userAgent:system\\:x\\:*", agent("system:x:y"), true),
        ("kubernetes.audit.userAgent:system\\:x\\:*", agent("system:x"), false),
        // Within quotes everything is literal.
        ("kubernetes.audit.userAgent:\"*\"", agent("*"), true),
        ("kubernetes.audit.userAgent:\"*\"", agent("x"), false),
        ("kubernetes.audit.userAgent:\"k*\"", agent("kubectl"), false),
    ]);
}

#[test]
fn a_field_exists_with_an_empty_text_but_not_with_nothing() {
    let cases = [
        (json!({ "user": { "username": "" } }), true),
        (json!({ "user": { "username": "a" } }), true),
        (json!({ "user": { "username": ["", null] } }), true),
        (json!({ "user": { "username": null } }), false),
        (json!({ "user": { "username": [] } }), false),
        (json!({ "user": { "username": [null] } }), false),
        (json!({ "user": { "username": [[]] } }), false),
        (json!({ "user": {} }), false),
        (json!({}), false),
    ];
    for (event, exists) in cases {
        let name = "kubernetes.audit.user.username";
        check(&[
            (&format!("{name}:*"), event.clone(), exists),
            (&format!("not {name}:*"), event.clone(), !exists),
            // Within a list `not *` means missing.
            (&format!("{name}:(x or not *)"), event.clone(), !exists),
            (&format!("{name}:(not *)"), event, !exists),
        ]);
    }
    let empty = json!({ "user": { "username": "" } });
    check(&[
        ("kubernetes.audit.user.username:\"\"", empty.clone(), true),
        ("kubernetes.audit.user.username:\"\"", json!({}), false),
        // The copy is absent when empty.
        ("user.name:*", empty.clone(), false),
        ("user.name:\"\"", empty.clone(), false),
        ("not user.name:alice", empty, true),
    ]);
}

#[test]
fn a_missing_field_makes_not_true() {
    check(&[
        ("not kubernetes.audit.verb:get", json!({}), true),
        ("not kubernetes.audit.responseStatus.code:403", json!({}), true),
        ("not kubernetes.audit.responseStatus.code >= 400", json!({}), true),
        ("not source.ip:\"10.0.0.0/8\"", json!({}), true),
        ("kubernetes.audit.verb:(not get)", json!({}), true),
        ("kubernetes.audit.verb:(* and not get)", json!({}), false),
    ]);
}

#[test]
fn lists_hold_if_any_element_does() {
    let groups = json!({ "user": { "groups": ["a", "b", ["c"]] } });
    let name = "kubernetes.audit.user.groups";
    check(&[
        (&format!("{name}:b"), groups.clone(), true),
        (&format!("{name}:c"), groups.clone(), true),
        (&format!("{name}:d"), groups.clone(), false),
        (&format!("not {name}:a"), groups.clone(), false),
        (&format!("not {name}:d"), groups.clone(), true),
        (&format!("{name}:(a and b)"), groups.clone(), true),
        (&format!("{name}:(a and not d)"), groups.clone(), true),
        // Some element, and none of them `a`.
        (&format!("{name}:(* and not a)"), groups.clone(), false),
        (&format!("{name}:(a or not (b* and c))"), groups.clone(), true),
        (&format!("{name}:(d or not (b* and c))"), groups, false),
    ]);
}

fn containers() -> Json {
    json!({ "requestObject": { "spec": { "containers": [
        { "name": "a", "securityContext": { "privileged": true }, "ports": [{ "n": 1 }] },
        { "name": "b", "securityContext": { "privileged": false }, "ports": [{ "n": 2 }, { "n": 3 }] },
    ] } } })
}

#[test]
fn conditions_on_a_list_of_objects_need_not_meet_in_one_unless_nested() {
    let at = "kubernetes.audit.requestObject.spec.containers";
    check(&[
        (&format!("{at}.name:b and {at}.securityContext.privileged:true"), containers(), true),
        (&format!("{at}:{{ name:b and securityContext.privileged:true }}"), containers(), false),
        (&format!("{at}:{{ name:a and securityContext.privileged:true }}"), containers(), true),
        (&format!("{at}:{{ not name:a }}"), containers(), true),
        (&format!("not {at}:{{ name:a }}"), containers(), false),
        (&format!("{at}:{{ ports.n:2 and ports.n:3 }}"), containers(), true),
        (&format!("{at}:{{ ports:{{ n >= 2 and n < 3 }} and name:b }}"), containers(), true),
        (&format!("{at}:{{ ports:{{ n:2 and n:3 }} }}"), containers(), false),
        (&format!("{at}:{{ ports:{{ n:2 }} and name:a }}"), containers(), false),
        (&format!("{at}:{{ *n*:a }}"), containers(), true),
        (&format!("{at}:{{ b }}"), containers(), true),
        (&format!("{at}:{{ c }}"), containers(), false),
        (&format!("{at}:{{ * }}"), containers(), true),
        (&format!("{at}:{{ * }}"), json!({ "requestObject": { "spec": {} } }), false),
        (&format!("{at}:{{ securityContext.*:true and name:(a or b) }}"), containers(), true),
        // A single object is one, too; values that are none are not.
        (
            "kubernetes.audit.objectRef:{ resource:pods and name:x }",
            json!({ "objectRef": { "resource": "pods", "name": "x" } }),
            true,
        ),
        (
            "kubernetes.audit:{ verb:get and objectRef.resource:pods }",
            json!({ "verb": "get", "objectRef": { "resource": "pods" } }),
            true,
        ),
        (
            &format!("{at}:{{ not name:x }}"),
            json!({ "requestObject": { "spec": { "containers": ["y"] } } }),
            false,
        ),
    ]);
}

#[test]
fn numbers_and_booleans_are_compared_as_such() {
    let code = |code: Json| json!({ "responseStatus": { "code": code } });
    let spec = |spec: Json| json!({ "requestObject": { "spec": spec } });
    let at = "kubernetes.audit.requestObject.spec";
    check(&[
        ("kubernetes.audit.responseStatus.code:403", code(json!(403)), true),
        ("kubernetes.audit.responseStatus.code:\"403\"", code(json!(403)), true),
        ("kubernetes.audit.responseStatus.code:403", code(json!("403")), true),
        ("kubernetes.audit.responseStatus.code:403.0", code(json!(403)), true),
        ("kubernetes.audit.responseStatus.code:403", code(json!(403.7)), true),
        ("kubernetes.audit.responseStatus.code >= 400", code(json!(403)), true),
        ("kubernetes.audit.responseStatus.code > 403", code(json!(403)), false),
        ("kubernetes.audit.responseStatus.code < 1000", code(json!(403)), true),
        ("kubernetes.audit.responseStatus.code <= 403.5", code(json!(403)), true),
        ("kubernetes.audit.responseStatus.code >= 40", code(json!("403")), true),
        ("kubernetes.audit.responseStatus.code:*", code(json!(0)), true),
        ("kubernetes.audit.responseStatus.code:*", code(json!("none")), false),
        (&format!("{at}.hostPID:true"), spec(json!({ "hostPID": true })), true),
        (&format!("{at}.hostPID:\"true\""), spec(json!({ "hostPID": true })), true),
        (&format!("{at}.hostPID:true"), spec(json!({ "hostPID": "true" })), true),
        (&format!("{at}.hostPID:true"), spec(json!({ "hostPID": false })), false),
        (&format!("{at}.hostPID:false"), spec(json!({})), false),
        // Where nothing says what a field is, the event does.
        (&format!("{at}.replicas > 5"), spec(json!({ "replicas": 10 })), true),
        (&format!("{at}.replicas > 5"), spec(json!({ "replicas": "10" })), true),
        (&format!("{at}.replicas:3"), spec(json!({ "replicas": 3 })), true),
        (&format!("{at}.replicas:\"3.0\""), spec(json!({ "replicas": 3 })), true),
        (&format!("{at}.replicas:3"), spec(json!({ "replicas": "3" })), true),
        (&format!("{at}.replicas:3*"), spec(json!({ "replicas": 30 })), true),
        (&format!("{at}.replicas > 5"), spec(json!({ "replicas": "many" })), false),
        (&format!("{at}.name > b"), spec(json!({ "name": "c" })), true),
        // Keywords have the order of their texts.
        ("kubernetes.audit.verb >= g", json!({ "verb": "get" }), true),
        ("kubernetes.audit.verb < \"10\"", json!({ "verb": "9" }), false),
    ]);
}

#[test]
fn addresses_are_compared_as_addresses() {
    let from = |sources: &[&str]| json!({ "sourceIPs": sources });
    check(&[
        ("source.ip:127.0.0.1", from(&["127.0.0.1"]), true),
        ("source.ip:127.0.0.1", from(&["::ffff:127.0.0.1"]), true),
        ("source.ip:\"::ffff:127.0.0.1\"", from(&["127.0.0.1"]), true),
        ("source.ip:\"2001:db8:0::1\"", from(&["2001:DB8::1"]), true),
        ("source.ip:10.0.0.0/8", from(&["10.1.2.3"]), true),
        ("source.ip:\"10.0.0.0/8\"", from(&["::ffff:10.1.2.3"]), true),
        // Bits beyond the length do not count.
        ("source.ip:10.9.9.9/8", from(&["10.1.2.3"]), true),
        ("source.ip:10.0.0.0/8", from(&["11.1.2.3"]), false),
        ("source.ip:\"2001:db8::/32\"", from(&["2001:db8:1::"]), true),
        ("source.ip:\"::/0\"", from(&["10.1.2.3"]), true),
        ("source.ip:0.0.0.0/0", from(&["2001:db8::1"]), false),
        ("source.ip >= 10.0.0.0 and source.ip < 10.0.1.0", from(&["10.0.0.255"]), true),
        // All of them, and none if one is no address.
        ("source.ip:10.1.2.3 and client.ip:10.1.2.4", from(&["10.1.2.3", "10.1.2.4"]), true),
        ("source.ip:*", from(&["10.1.2.3", "nowhere"]), false),
        ("source.ip:*", from(&["10.1.2.3", ""]), false),
        ("source.ip:*", from(&[]), false),
        ("source.ip:*", json!({ "sourceIPs": ["10.1.2.3", null] }), true),
        // As the event has them they are texts.
        ("kubernetes.audit.sourceIPs:nowhere", from(&["10.1.2.3", "nowhere"]), true),
        ("kubernetes.audit.sourceIPs:10.*", from(&["10.1.2.3"]), true),
    ]);
}

#[test]
fn times_are_compared_as_times() {
    let at = |time: &str| json!({ "requestReceivedTimestamp": time });
    let time = "2026-11-23T07:16:11.206180Z";
    check(&[
        ("@timestamp >= \"2026-11-23T07:16:11.206Z\"", at(time), true),
        ("@timestamp > \"2026-11-23T07:16:11.206Z\"", at(time), false),
        ("@timestamp:\"2026-11-23T07:16:11.206Z\"", at(time), true),
        ("@timestamp:\"2026-11-23T08:16:11.206+01:00\"", at(time), true),
        // What is said less precisely stands for all of it.
        ("@timestamp:2026-11-23", at(time), true),
        ("@timestamp:2026", at(time), true),
        ("@timestamp > 2026-11-23", at(time), false),
        ("@timestamp > 2026-11-22", at(time), true),
        ("@timestamp >= 2026-11-23", at(time), true),
        ("@timestamp <= 2026-11-23", at(time), true),
        ("@timestamp < 2026-11-23", at(time), false),
        ("@timestamp:1795418171206", at(time), true),
        ("kubernetes.audit.requestReceivedTimestamp < 2027", at(time), true),
        // The stage's time only if the other is none.
        (
            "@timestamp:2026-11-23",
            json!({ "requestReceivedTimestamp": time, "stageTimestamp": "2026-11-24T00:00:00Z" }),
            true,
        ),
        (
            "@timestamp:2026-11-24",
            json!({ "requestReceivedTimestamp": time, "stageTimestamp": "2026-11-24T00:00:00Z" }),
            false,
        ),
        (
            "@timestamp:2026-11-24",
            json!({ "requestReceivedTimestamp": "", "stageTimestamp": "2026-11-24T00:00:00Z" }),
            true,
        ),
        ("@timestamp:*", at("yesterday"), false),
    ]);
}

#[test]
fn the_copies_of_a_document_are_there() {
    let event = json!({
        "apiVersion": "audit.k8s.io/v1", "verb": "create", "userAgent": "curl/8",
        "user": { "username": "alice", "uid": "u-1" },
        "impersonatedUser": { "username": "root", "groups": ["system:masters"] },
        "objectRef": { "resource": "pods", "namespace": "prod", "name": "web" },
        "annotations": { "authorization.k8s.io/decision": "forbid" },
    });
    for text in [
        "event.action:create",
        "event.outcome:failure",
        "user.name:alice and user.id:u-1",
        "not user.name:root",
        "kubernetes.audit.impersonatedUser.username:root",
        "kubernetes.audit.impersonatedUser.groups:system\\:masters",
        "user_agent.original:curl*",
        "orchestrator.api_version:audit.k8s.io/v1",
        "orchestrator.namespace:prod",
        "orchestrator.resource.name:web",
        "orchestrator.resource.type:pods",
        "data_stream.dataset:\"kubernetes.audit_logs\" and event.dataset:kubernetes.audit*",
        "event.kind:event and event.module:kubernetes and orchestrator.type:kubernetes",
        "data_stream.namespace:default",
        "event.*:failure",
        "*.name:web",
        "kubernetes.audit.*:forbid",
    ] {
        check(&[(text, event.clone(), true), (&format!("not ({text})"), event.clone(), false)]);
    }
    let decision =
        |decision: Json| json!({ "annotations": { "authorization.k8s.io/decision": decision } });
    check(&[
        ("event.outcome:success", decision(json!("allow")), true),
        ("event.outcome:*", decision(json!("other")), false),
        ("event.outcome:*", decision(json!("")), false),
        ("event.outcome:*", json!({}), false),
        ("event.outcome:failure", json!({ "responseStatus": { "code": 403 } }), false),
        ("event.action:*", json!({ "verb": "" }), false),
        ("user_agent.original:*", json!({ "userAgent": "" }), false),
        ("orchestrator.namespace:*", json!({ "objectRef": { "namespace": "" } }), false),
    ]);
}

#[test]
fn names_of_annotations_are_underscored_and_those_of_other_maps_are_levels() {
    let raw = json!({ "annotations": { "authorization.k8s.io/decision": "allow" } });
    let underscored = json!({ "annotations": { "authorization_k8s_io/decision": "allow" } });
    for event in [raw, underscored] {
        check(&[
            (
                "kubernetes.audit.annotations.authorization_k8s_io/decision:allow",
                event.clone(),
                true,
            ),
            (
                "kubernetes.audit.annotations.authorization.k8s.io/decision:allow",
                event.clone(),
                true,
            ),
            ("kubernetes.audit.annotations.authorization_k8s_io/*:allow", event.clone(), true),
            ("kubernetes.audit.annotations.*k8s.io*:allow", event.clone(), true),
            ("kubernetes.audit.annotations.*:allow", event.clone(), true),
            ("kubernetes.audit.annotations:*", event.clone(), true),
            ("kubernetes.audit.annotations.other:*", event.clone(), false),
            ("event.outcome:success", event, true),
        ]);
    }
    let extra = json!({ "user": { "extra": {
        "authentication.kubernetes.io/pod-name": ["web"], "a": { "b.c": 1 },
    } } });
    check(&[
        (
            "kubernetes.audit.user.extra.authentication.kubernetes.io/pod-name:web",
            extra.clone(),
            true,
        ),
        (
            "kubernetes.audit.user.extra.authentication_kubernetes_io/pod-name:web",
            extra.clone(),
            false,
        ),
        ("kubernetes.audit.user.extra.a.b.c:1", extra.clone(), true),
        ("kubernetes.audit.user.extra.a:*", extra.clone(), true),
        ("kubernetes.audit.user.extra:*", extra.clone(), true),
        ("kubernetes.audit.user.extra.*pod-name:w*", extra.clone(), true),
        ("kubernetes.audit.user:*", extra, true),
    ]);
    let labels =
        json!({ "requestObject": { "metadata": { "labels": { "app.kubernetes.io/name": "x" } } } });
    check(&[
        (
            "kubernetes.audit.requestObject.metadata.labels.app.kubernetes.io/name:x",
            labels.clone(),
            true,
        ),
        ("kubernetes.audit.requestObject.metadata.labels.*:x", labels, true),
    ]);
}

#[test]
fn a_value_without_a_field_is_looked_for_in_all_of_them() {
    let event = containers();
    check(&[
        ("b", event.clone(), true),
        ("\"b\"", event.clone(), true),
        ("c", event.clone(), false),
        ("3", event.clone(), true),
        ("true", event.clone(), true),
        ("*:b", event.clone(), true),
        ("*", event.clone(), true),
        ("*:*", event.clone(), true),
        ("not *", event, false),
        ("alice", json!({ "user": { "username": "alice" } }), true),
        ("ali*", json!({ "user": { "username": "alice" } }), true),
        ("failure", json!({ "annotations": { "authorization.k8s.io/decision": "forbid" } }), true),
        ("10.0.0.0/8", json!({ "sourceIPs": ["10.1.2.3"] }), true),
        // A constant of every document.
        ("kubernetes", json!({}), true),
        // What is no field is not looked at.
        ("x", json!({ "other": "x" }), false),
    ]);
}
