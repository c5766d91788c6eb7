use super::super::{Mode, Query};
use super::*;

#[test]
fn needles_are_what_every_encoder_writes_as_it_is() {
    let at = "kubernetes.audit";
    // Needles, or nothing if nothing is certain.
    for (text, expected) in [
        ("user.name:alice".to_owned(), Some(&["alice"][..])),
        // Alternatives: one of them; what holds another is not needed.
        ("user.name:(alice or bob or alice2)".to_owned(), Some(&["alice", "bob"])),
        // The best of what is required.
        (format!("{at}.verb:get and {at}.objectRef.resource:secrets"), Some(&["secrets"])),
        (format!("{at}.verb:(get or list) and not user.name:alice"), Some(&["get", "list"])),
        ("not user.name:alice".to_owned(), None),
        ("not (not user.name:alice)".to_owned(), Some(&["alice"])),
        ("not (user.name:* or not user.id:u-1)".to_owned(), Some(&["u-1"])),
        ("user.name:alice or not user.id:x".to_owned(), None),
        // The longest run of plain characters.
        ("user.name:\"system:serviceaccount:prod/x\"".to_owned(), Some(&["serviceaccount"])),
        ("user.name:*a&bcd*".to_owned(), Some(&["bcd"])),
        ("user.name:*é*".to_owned(), None),
        ("user.name:*".to_owned(), None),
        // Numbers can be written in many ways; the name of the field cannot.
        ("user.name:123".to_owned(), None),
        (format!("{at}.responseStatus.code:403"), None),
        (format!("{at}.requestObject.spec.replicas:3"), Some(&["replicas"])),
        (format!("{at}.requestObject.spec.hostPID:true"), Some(&["hostPID"])),
        (format!("{at}.requestObject.spec.volumes.hostPath.path:*"), Some(&["path"])),
        (format!("{at}.annotations.pod-security_kubernetes_io/x:*"), Some(&["pod-security"])),
        (format!("{at}.annotations.authorization_k8s_io/decision:*"), None),
        // Copies are where they are copied from.
        ("event.action:create".to_owned(), Some(&["create"])),
        ("event.outcome:failure".to_owned(), Some(&["forbid"])),
        ("event.outcome:success".to_owned(), None),
        ("event.outcome:other".to_owned(), Some(&[])),
        ("source.ip:10.1.2.3".to_owned(), None),
        ("exec.command:*shadow*".to_owned(), None),
        (format!("exec.command:*shadow* and {at}.objectRef.subresource:exec"), Some(&["exec"])),
        ("event.kind:alert".to_owned(), Some(&[])),
        ("event.kind:event".to_owned(), None),
        (
            format!("{at}.requestObject.spec.containers:{{ name:web-frontend and image:x }}"),
            Some(&["web-frontend"]),
        ),
        (format!("{at}.requestObject.metadata.name:x"), Some(&["requestObject"])),
        (format!("{at}.requestObject:*"), Some(&["requestObject"])),
        (
            format!("{at}.requestObject.rules:{{ verbs:escalate-privileges }}"),
            Some(&["escalate-privileges"]),
        ),
        (format!("{at}.requestObject.rules:{{ not verbs:x }}"), None),
        ("alice".to_owned(), None),
        (format!("{at}.requestObject.*:nginx-web"), Some(&["nginx-web"])),
        (format!("{at}.verb:get"), Some(&["get"])),
    ] {
        let query = Query::parse(&text).unwrap();
        let program = Program::compile(&[query], &[], Mode::Strict).unwrap();
        let expected = match expected {
            Some(needles) => Needles::AnyOf(needles.iter().map(|n| (*n).to_owned()).collect()),
            None => Needles::Unknown,
        };
        assert_eq!(program.needles(), [expected], "{text}");
    }
}

#[test]
fn too_many_needles_are_none() {
    let names = |count: usize| -> String {
        let names: Vec<String> = (0..count).map(|nth| format!("name-{nth:03}")).collect();
        names.join(" or ")
    };
    for (count, known) in [(limits::NEEDLES_MAX, true), (limits::NEEDLES_MAX + 1, false)] {
        let query = Query::parse(&format!("user.name:({})", names(count))).unwrap();
        let program = Program::compile(&[query], &[], Mode::Strict).unwrap();
        assert_eq!(program.needles()[0] != Needles::Unknown, known, "{count}");
    }
}
