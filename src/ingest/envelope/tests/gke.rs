//! What becomes of the names, codes and operations of Cloud Logging entries.

use super::*;

#[test]
fn gke_names_become_objects() {
    let entry = |payload: &str| format!(r#"{{"insertId":"i","protoPayload":{{{payload}}}}}"#);
    let of = |name: &str| {
        let object = event(entry(&format!(
            r#""serviceName":"k8s.io","methodName":"io.k8s.x.v1.y.get","resourceName":"{name}""#
        )))
        .object_ref
        .unwrap();
        let text = |text: Option<crate::audit::event::Text<'_>>| {
            text.map_or("-".to_owned(), |text| text.to_string())
        };
        [
            text(object.api_group),
            text(object.api_version),
            text(object.namespace),
            text(object.resource),
            text(object.name),
            text(object.subresource),
        ]
        .join(" ")
    };
    for (name, expected) in [
        ("core/v1/namespaces/n/pods/p/exec", "- v1 n pods p exec"),
        ("core/v1/namespaces/n/secrets", "- v1 n secrets - -"),
        ("core/v1/nodes/one/proxy", "- v1 - nodes one proxy"),
        ("core/v1/namespaces/n", "- v1 n namespaces n -"),
        ("core/v1/namespaces/n/finalize", "- v1 n namespaces n finalize"),
        ("core/v1/namespaces", "- v1 - namespaces - -"),
        ("apps/v1/namespaces/n/deployments/d", "apps v1 n deployments d -"),
        (
            "rbac.authorization.k8s.io/v1/clusterroles/r",
            "rbac.authorization.k8s.io v1 - clusterroles r -",
        ),
    ] {
        assert_eq!(of(name), expected, "{name}");
    }
    let path = event(entry(r#""methodName":"io.k8s.get","resourceName":"readyz""#));
    assert_eq!((path.request_uri.as_deref(), path.object_ref), (Some("/readyz"), None));
    assert_eq!(shape(entry(r#""serviceName":"compute.googleapis.com""#)), ["other-service"]);
    assert_eq!(shape(entry(r#""methodName":"v2.insert""#)), ["other-service"]);
    assert_eq!(shape(entry(r#""serviceName":"k8s.io""#)), ["not-an-audit-event"]);
    assert_eq!(shape(entry("")), ["not-an-audit-event"]);
}

#[test]
fn gke_outcomes_become_http_codes_stages_and_decisions() {
    let of = |status: &str, rest: &str, name: &str| {
        event(format!(
            r#"{{"protoPayload":{{"methodName":"io.k8s.core.v1.pods.create"{status},
            "authorizationInfo":[{{"granted":false,"resource":"{name}"}}]}}{rest}}}"#
        ))
    };
    let pod = "core/v1/namespaces/n/pods/p";
    for (grpc, http) in
        [(0, 200), (3, 400), (5, 404), (6, 409), (7, 403), (8, 429), (16, 401), (2, 500)]
    {
        let found = of(&format!(r#","status":{{"code":{grpc}}}"#), "", pod);
        assert_eq!(found.response_status.unwrap().code, Some(http), "{grpc}");
    }
    assert_eq!(of("", "", pod).response_status, None);
    for (name, code) in [("exec", 101), ("attach", 101), ("portforward", 101), ("log", 200)] {
        let found = of(r#","status":{}"#, "", &format!("{pod}/{name}"));
        assert_eq!(found.response_status.unwrap().code, Some(code), "{name}");
    }
    let decision = "authorization.k8s.io/decision";
    assert_eq!(of("", "", pod).annotation(decision), Some("forbid"));
    let labelled = of("", r#","labels":{"authorization.k8s.io/decision":"allow","n":7}"#, pod);
    assert_eq!(labelled.annotation(decision), Some("allow"));
    let stage = |operation: &str| {
        of("", &format!(r#","operation":{{{operation}}}"#), pod).stage.unwrap().to_string()
    };
    assert_eq!(stage(r#""first":true"#), "ResponseStarted");
    assert_eq!(stage(r#""first":true,"last":true"#), "ResponseComplete");
    assert_eq!(stage(r#""last":true"#), "ResponseComplete");
    assert_eq!(event(fixture("11_gke_logentry.json")).audit_id, None);
    assert_eq!(
        event(fixture("11_gke_pubsub_push.json")).annotation("command.gke.io/command"),
        Some("cat /etc/shadow")
    );
}
