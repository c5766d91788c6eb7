use proptest::prelude::*;

use super::*;
use crate::audit::event::Text;

fn pods_exec(uri: &str) -> Event<'_> {
    Event {
        request_uri: Some(uri.into()),
        object_ref: Some(ObjectRef {
            resource: Some("pods".into()),
            subresource: Some("exec".into()),
            namespace: Some("shop".into()),
            name: Some("web-0".into()),
            ..ObjectRef::default()
        }),
        ..Event::default()
    }
}

fn nodes_proxy(uri: &str) -> Event<'_> {
    Event {
        request_uri: Some(uri.into()),
        object_ref: Some(ObjectRef {
            resource: Some("nodes".into()),
            subresource: Some("proxy".into()),
            name: Some("worker-1".into()),
            ..ObjectRef::default()
        }),
        ..Event::default()
    }
}

fn argv_of(query: &str) -> Vec<String> {
    let uri = format!("/api/v1/namespaces/shop/pods/web-0/exec?{query}");
    decode(&pods_exec(&uri)).expect("an exec").argv
}

#[test]
fn reads_the_parameters_as_a_go_server_does() {
    for (query, argv) in [
        // The orders of kubectl, Java, JavaScript and kube-rs.
        ("command=cat&command=%2Fetc%2Fshadow&container=c&stderr=true", vec!["cat", "/etc/shadow"]),
        (
            "stdin=false&stdout=true&tty=false&container=c&command=cat&command=/etc/shadow",
            vec!["cat", "/etc/shadow"],
        ),
        ("stdout=true&command=cat&command=/etc/shadow&container=c", vec!["cat", "/etc/shadow"]),
        ("&stdout=true&container=c&command=cat&command=/etc/shadow", vec!["cat", "/etc/shadow"]),
        // Parameters between two commands, nothing after them, nothing but them.
        ("command=cat&container=c&stdin=1&command=/etc/shadow", vec!["cat", "/etc/shadow"]),
        ("command=id", vec!["id"]),
        // A space is written in two ways, a newline in one.
        ("command=sh&command=-c&command=a+b%20c%0Ad", vec!["sh", "-c", "a b c\nd"]),
        ("command=a%2Bb", vec!["a+b"]),
        // Delimiters that come from decoding delimit nothing.
        ("command=echo&command=x%26stdin%3Dtrue", vec!["echo", "x&stdin=true"]),
        ("command=a=b", vec!["a=b"]),
        ("command=a?b", vec!["a?b"]),
        ("command=a%2526b", vec!["a%26b"]),
        // A malformed escape or a raw semicolon costs its own pair only.
        ("stdin=%zz&command=id", vec!["id"]),
        ("command=%&command=%4&command=%4g&command=id", vec!["id"]),
        ("command=a;b&command=id", vec!["id"]),
        ("command=a%3Bb", vec!["a;b"]),
        // Names are decoded too, then compared exactly.
        ("%63ommand=id", vec!["id"]),
        ("Command=id&command[]=id&xcommand=id&command+=id&commands=id", vec![]),
        ("command", vec![""]),
        ("command=&command=", vec!["", ""]),
        ("=command&&&", vec![]),
        // A fragment does not exist in a request URI.
        ("command=a#b&command=c", vec!["a#b", "c"]),
        ("command=%ff%fe", vec!["\u{fffd}\u{fffd}"]),
        ("command=\u{e9}%C3%A9", vec!["\u{e9}\u{e9}"]),
        ("", vec![]),
    ] {
        assert_eq!(argv_of(query), argv, "{query}");
    }
}

#[test]
fn splits_at_the_first_question_mark_only() {
    let event = pods_exec("/exec?command=a?command=b&command=c");
    assert_eq!(decode(&event).unwrap().argv, ["a?command=b", "c"]);
}

#[test]
fn cuts_nothing_short() {
    let long = "x".repeat(60_000);
    let argv = argv_of(&format!("command=echo&command={long}&command=/etc/shadow"));
    assert_eq!(argv.len(), 3);
    assert_eq!(argv[1].len(), 60_000);
    assert_eq!(argv[2], "/etc/shadow");
}

#[test]
fn takes_the_other_parameters_as_the_api_server_does() {
    for (query, container, stdin, tty) in [
        ("command=id&container=main&stdin=true&tty=true", Some("main"), true, true),
        ("command=id&container=a&container=b&stdin=0&stdin=1", Some("a"), false, false),
        ("command=id&container=&stdin=False&tty=FALSE", None, false, false),
        ("command=id&stdin=&tty=yes", None, true, true),
        ("command=id&stdin&tty=1", None, true, true),
        ("command=id&container=/etc/shadow", Some("/etc/shadow"), false, false),
    ] {
        let uri = format!("/x?{query}");
        let exec = decode(&pods_exec(&uri)).unwrap();
        assert_eq!(
            (exec.container.as_deref(), exec.stdin, exec.tty),
            (container, stdin, tty),
            "{query}"
        );
        assert_eq!(exec.via, ExecVia::PodsExec);
        assert_eq!(exec.namespace.as_deref(), Some("shop"));
        assert_eq!(exec.pod.as_deref(), Some("web-0"));
        assert_eq!(exec.text, "id");
    }
}

#[test]
fn trusts_the_object_and_never_the_text_of_the_path() {
    for path in ["/%65xec", "/api/v1/namespaces/n/pods/x%2Fexec", "", "anything"] {
        let uri = format!("{path}?command=id");
        assert_eq!(decode(&pods_exec(&uri)).unwrap().argv, ["id"], "{path}");
    }
    for (resource, subresource) in [
        (Some("pods"), None),
        (Some("pods"), Some("log")),
        (Some("pods"), Some("Exec")),
        (Some("Pods"), Some("exec")),
        (Some("nodes"), Some("exec")),
        (Some("pods"), Some("proxy")),
        (Some("services"), Some("proxy")),
        (None, Some("exec")),
        (None, None),
    ] {
        let mut event = pods_exec("/api/v1/namespaces/n/pods/p/exec?command=id");
        let object = event.object_ref.as_mut().unwrap();
        object.resource = resource.map(Text::from);
        object.subresource = subresource.map(Text::from);
        assert_eq!(decode(&event), None, "{resource:?}/{subresource:?}");
    }
    assert_eq!(decode(&Event::default()), None);
}

#[test]
fn does_not_look_at_the_verb() {
    for verb in [Some("get"), Some("create"), Some("update"), Some(""), None] {
        let mut event = pods_exec("/x?command=id");
        event.verb = verb.map(Text::from);
        assert_eq!(decode(&event).unwrap().argv, ["id"]);
    }
}

#[test]
fn reads_the_kubelets_routes_behind_a_nodes_proxy() {
    let exec = Some((ExecVia::NodesProxyExec, "kube-system", "etcd", "main"));
    let run = Some((ExecVia::NodesProxyRun, "kube-system", "etcd", "main"));
    for (path, expected) in [
        ("/api/v1/nodes/worker-1/proxy/exec/kube-system/etcd/main", exec),
        ("/api/v1/nodes/worker-1/proxy/exec/kube-system/etcd/0c5b-uid/main", exec),
        ("/api/v1/nodes/worker-1:10250/proxy/exec/kube-system/etcd/main", exec),
        ("/api/v1/nodes/https:worker-1:10250/proxy/exec/kube-system/etcd/main", exec),
        ("/api/v1/nodes/https%3Aworker-1%3A10250/proxy/exec/kube-system/etcd/main", exec),
        ("/api/v1/nodes/nodes/proxy/run/kube-system/etcd/main", run),
        ("/api/v1/nodes/proxy/proxy/run/kube-system/etcd/main", run),
        ("/api/v1/nodes/worker-1/proxy/run/kube-system/etcd/main", run),
        ("/api/v1/nodes/worker-1/proxy/run/kube-system/etcd/uid/main/", run),
        // Other spellings of the same path.
        ("//api/v1/nodes/worker-1/proxy//exec//kube-system/etcd/main", exec),
        ("/api/v1/nodes/worker-1/proxy/%65xec/kube-system/etcd%2Fmain", exec),
        ("/api/v1/nodes/worker-1/proxy/./logs/../exec/kube-system/etcd/main", exec),
        ("/api/v1/nodes/worker-1/proxy/../../exec/kube-system/etcd/main", exec),
        ("/api/v1/nodes/worker-1/proxy/%2e%2e/exec/kube-system/etcd/main", exec),
        // Not routes that run a command.
        ("/api/v1/nodes/worker-1/proxy/exec/kube-system/etcd", None),
        ("/api/v1/nodes/worker-1/proxy/exec/a/b/c/d/e", None),
        ("/api/v1/nodes/worker-1/proxy/Exec/kube-system/etcd/main", None),
        ("/api/v1/nodes/worker-1/proxy/%2565xec/kube-system/etcd/main", None),
        ("/api/v1/nodes/worker-1/proxy/attach/kube-system/etcd/main", None),
        ("/api/v1/nodes/worker-1/proxy/containerLogs/kube-system/etcd/main", None),
        ("/api/v1/nodes/worker-1/proxy/metrics", None),
        ("/api/v1/nodes/worker-1/proxy", None),
        ("/api/v1/nodes/worker-1/proxy/%zz/kube-system/etcd/main", None),
        ("/api/v1/nodes", None),
        ("", None),
    ] {
        let uri = format!("{path}?command=id&cmd=id");
        let decoded = decode(&nodes_proxy(&uri));
        let found = decoded.as_ref().map(|exec| {
            assert_eq!(exec.argv, ["id"], "{path}");
            let part = |part: &'_ Option<String>| part.clone().unwrap();
            (exec.via, part(&exec.namespace), part(&exec.pod), part(&exec.container))
        });
        let expected = expected.map(|(via, namespace, pod, container)| {
            (via, namespace.to_owned(), pod.to_owned(), container.to_owned())
        });
        assert_eq!(found, expected, "{path}");
    }
}

#[test]
fn reads_the_kubelets_own_parameters() {
    let exec = "/api/v1/nodes/n/proxy/exec/ns/pod/c";
    let run = "/api/v1/nodes/n/proxy/run/ns/pod/c";
    for (path, query, argv, stdin) in [
        (
            exec,
            "command=cat&command=/etc/shadow&input=1&output=1",
            vec!["cat", "/etc/shadow"],
            true,
        ),
        (exec, "command=id&input=true&stdin=1", vec!["id"], false),
        (exec, "cmd=id", vec![], false),
        (exec, "command=a+b", vec!["a b"], false),
        (run, "cmd=cat+/etc/shadow", vec!["cat", "/etc/shadow"], false),
        (run, "cmd=cat%20%20x", vec!["cat", "", "x"], false),
        (run, "cmd=ls&cmd=cat%20/etc/shadow", vec!["ls", "cat", "/etc/shadow"], false),
        (run, "command=id", vec![], false),
        (run, "cmd=", vec![], false),
        (run, "", vec![], false),
    ] {
        let uri = format!("{path}?{query}");
        let decoded = decode(&nodes_proxy(&uri)).unwrap();
        assert_eq!(decoded.argv, argv, "{uri}");
        assert_eq!(decoded.text, argv.join(" "), "{uri}");
        assert_eq!(decoded.stdin, stdin, "{uri}");
    }
    // No `?` at all.
    assert_eq!(decode(&nodes_proxy(run)).unwrap().argv, Vec::<String>::new());
}

#[test]
fn reads_the_label_of_a_gke_entry_only_without_a_request_uri() {
    let label = |uri: Option<&'static str>| Event {
        request_uri: uri.map(Text::from),
        annotations: Some(
            [(Text::from(GKE_COMMAND), Text::from("cat  /etc/shadow"))].into_iter().collect(),
        ),
        ..pods_exec("")
    };
    for uri in [None, Some("")] {
        let exec = decode(&label(uri)).unwrap();
        assert_eq!(exec.via, ExecVia::GkeLabel);
        assert_eq!(exec.argv, ["cat", "/etc/shadow"]);
        assert_eq!(exec.text, "cat  /etc/shadow");
        assert_eq!(exec.pod.as_deref(), Some("web-0"));
    }
    let exec = decode(&label(Some("/x?command=id"))).unwrap();
    assert_eq!((exec.via, exec.text.as_str()), (ExecVia::PodsExec, "id"));

    let bare = decode(&Event { request_uri: None, ..pods_exec("") }).unwrap();
    assert_eq!((bare.via, bare.argv.len()), (ExecVia::PodsExec, 0));
}

/// `url.ParseQuery` once more, written plainly after Go's description of it, to compare with.
fn naive_parse_query(query: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    fn unescape(text: &str) -> Option<Vec<u8>> {
        let bytes: Vec<u8> = text.bytes().collect();
        let mut out = vec![];
        let mut i = 0;
        while i < bytes.len() {
            if bytes[i] == b'%' {
                let digits = bytes.get(i + 1..i + 3)?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return None;
                }
                out.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
                i += 3;
            } else {
                out.push(if bytes[i] == b'+' { b' ' } else { bytes[i] });
                i += 1;
            }
        }
        Some(out)
    }
    let mut pairs = vec![];
    for piece in query.split('&') {
        if piece.contains(';') || piece.is_empty() {
            continue;
        }
        let (key, value) = piece.split_once('=').unwrap_or((piece, ""));
        if let (Some(key), Some(value)) = (unescape(key), unescape(value)) {
            pairs.push((key, value));
        }
    }
    pairs
}

proptest! {
    #[test]
    fn agrees_with_the_plain_reading_of_go(query in "([&=;%+?#]|[0-9a-fA-Fg]|command|%[0-9a-f]{2}|\\PC){0,40}") {
        let pairs: Vec<_> =
            query_pairs(&query).map(|(k, v)| (k.into_owned(), v.into_owned())).collect();
        prop_assert_eq!(pairs, naive_parse_query(&query));
    }

    #[test]
    fn never_panics(uri in "(/|nodes|proxy|exec|run|\\.\\.|%|\\?|&|=|command|cmd|\\PC){0,30}", any in ".*") {
        for uri in [uri, any] {
            let _ = decode(&pods_exec(&uri));
            let _ = decode(&nodes_proxy(&uri));
        }
    }

    #[test]
    fn whatever_is_escaped_arrives(argv in prop::collection::vec(".*", 1..5)) {
        let query: Vec<String> = argv
            .iter()
            .map(|arg| {
                let escaped: String = arg.bytes().map(|byte| format!("%{byte:02X}")).collect();
                format!("command={escaped}")
            })
            .collect();
        prop_assert_eq!(argv_of(&query.join("&stdin=1&")), argv);
    }
}
