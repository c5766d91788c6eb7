use std::collections::HashSet;

use super::*;

#[test]
fn every_name_is_there_once_and_resolves_to_itself() {
    let mut seen = HashSet::new();
    for field in all() {
        assert!(seen.insert(field.name), "{}", field.name);
        assert_eq!(resolve(field.name), Resolved::Fixed(field));
    }
    for open in open_prefixes() {
        assert!(seen.insert(open), "{open}");
        assert_eq!(resolve(open), Resolved::Object, "{open}");
    }
    assert_eq!(catalogue().count() + open_prefixes().count(), seen.len());
}

#[test]
fn names_resolve_below_open_prefixes() {
    let open = |path: &str, boolean| Resolved::Open { path: path.to_owned(), boolean };
    let at = "kubernetes.audit.requestObject";
    for (name, expected) in [
        (
            "kubernetes.audit.annotations.authorization.k8s.io/decision",
            open("annotations.authorization_k8s_io/decision", false),
        ),
        (
            "kubernetes.audit.annotations.authorization_k8s_io/decision",
            open("annotations.authorization_k8s_io/decision", false),
        ),
        ("kubernetes.audit.user.extra.a.b/c", open("user.extra.a.b/c", false)),
        // What the reader of events leaves out is no field.
        ("kubernetes.audit.responseStatus.details.name", Resolved::Unknown),
        (&format!("{at}.metadata.name"), open("requestObject.metadata.name", false)),
        (&format!("{at}.spec.hostPID"), open("requestObject.spec.hostPID", true)),
        (
            &format!("{at}.spec.template.spec.hostNetwork"),
            open("requestObject.spec.template.spec.hostNetwork", true),
        ),
        (
            &format!("{at}.spec.containers.securityContext.privileged"),
            open("requestObject.spec.containers.securityContext.privileged", true),
        ),
        (
            &format!("{at}.metadata.labels.privileged"),
            open("requestObject.metadata.labels.privileged", false),
        ),
        ("kubernetes.audit.objectRef", Resolved::Object),
        ("kubernetes.audit", Resolved::Object),
        ("orchestrator.resource", Resolved::Object),
        ("exec", Resolved::Object),
        ("kubernetes.audit.object", Resolved::Unknown),
        ("kubernetes.audit.verb.x", Resolved::Unknown),
        ("kubernetes.audit.requestObjects.x", Resolved::Unknown),
        ("user.namex", Resolved::Unknown),
        ("", Resolved::Unknown),
        (".", Resolved::Unknown),
    ] {
        assert_eq!(resolve(name), expected, "{name}");
    }
}

#[test]
fn the_name_that_was_meant_is_found() {
    for (name, expected) in [
        ("user.nmae", Some("user.name")),
        ("usr.name", Some("user.name")),
        ("verb", Some("kubernetes.audit.verb")),
        ("objectRef.resource", Some("kubernetes.audit.objectRef.resource")),
        ("kubernetes.audit.objectref.resource", Some("kubernetes.audit.objectRef.resource")),
        ("kubernetes.audit.object_ref.resource", Some("kubernetes.audit.objectRef.resource")),
        ("requestObject", Some("kubernetes.audit.requestObject")),
        ("USER.NAME", Some("user.name")),
        ("source.address", None),
        ("host.os.family.something", None),
        ("", None),
    ] {
        assert_eq!(nearest(name), expected, "{name}");
    }
    assert_eq!(nearest(&"x".repeat(60_000)), None);
}

#[test]
fn patterns_meet_open_prefixes() {
    let pattern = |text: &str| Pattern { pieces: text.split('*').map(str::to_owned).collect() };
    for (text, expected) in [
        ("*", true),
        ("kubernetes.audit.*", true),
        ("kubernetes.audit.requestObject.spec.*", true),
        ("kubernetes.audit.req*", true),
        ("kubernetes.audit.obj*", false),
        ("user.*", false),
    ] {
        let found = may_match_below(&pattern(text), "kubernetes.audit.requestObject");
        assert_eq!(found, expected, "{text}");
    }
    let shown = |text: &str| underscored(&pattern(text)).shown();
    assert_eq!(
        shown("kubernetes.audit.annotations.a.b*c.d"),
        "kubernetes.audit.annotations.a_b*c_d"
    );
    assert_eq!(shown("kubernetes.audit.*.b"), "kubernetes.audit.*.b");
}

#[test]
fn the_documentation_lists_every_field() {
    let text = include_str!("../../../docs/rules.md");
    for name in all().map(|field| field.name).chain(OPEN.iter().map(|open| open.name)) {
        let short = name.strip_prefix(EVENT_PREFIX).unwrap_or(name);
        let listed = [name, short].iter().any(|name| {
            text.contains(&format!("`{name}`")) || text.contains(&format!("`{name}.…`"))
        });
        assert!(listed, "docs/rules.md does not list `{name}`");
    }
}
