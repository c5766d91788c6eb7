use super::*;
use crate::audit::event::{Event, ObjectRef};
use crate::audit::exec::decode;
use crate::rules::rule::RuleKind;
use crate::rules::set::RuleSet;

fn with_exec_rule<T>(ask: impl FnOnce(&ExecRule) -> T) -> T {
    let rules = RuleSet::builtin().unwrap();
    let rule = rules.get("pod-exec-sensitive-path").unwrap();
    match rule.kind() {
        RuleKind::Exec(rule) => ask(rule),
        _ => panic!("an exec rule"),
    }
}

fn exec_of(resource: &str, subresource: &str, uri: &str) -> Option<ExecCommand> {
    decode(&Event {
        request_uri: Some(uri.into()),
        object_ref: Some(ObjectRef {
            resource: Some(resource.into()),
            subresource: Some(subresource.into()),
            ..ObjectRef::default()
        }),
        ..Event::default()
    })
}

/// The verdict on a command line given as the query of a pod's exec.
fn judge_query(query: &str) -> Option<CommandVerdict> {
    let uri = format!("/api/v1/namespaces/n/pods/p/exec?{query}");
    let exec = exec_of("pods", "exec", &uri).expect("an exec");
    with_exec_rule(|rule| judge(rule, &Command::new(&exec)))
}

/// The verdict on a command text, sent as one argument.
fn judge_text(text: &str) -> Option<CommandVerdict> {
    let escaped: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
    judge_query(&format!("command={escaped}"))
}

fn labels_of(text: &str) -> Vec<String> {
    judge_text(text).map(|verdict| verdict.access_types).unwrap_or_default()
}

/// Each row is a family of requests that a comparison of raw text misses.
#[test]
fn sees_the_command_in_whatever_order_and_spelling_it_is_sent() {
    let long = "x".repeat(5_000);
    for query in [
        // The order of dashboards, Java, JavaScript, kube-rs.
        "container=c&stdout=1&stderr=1&command=cat&command=%2Fetc%2Fshadow",
        "stdin=false&stdout=true&stderr=true&tty=false&container=c&command=cat&command=/etc/shadow",
        "&stdout=true&stderr=true&container=c&command=cat&command=%2Fetc%2Fshadow",
        // Nothing after the commands, or nothing but tty.
        "command=cat&command=/etc/shadow",
        "command=cat&command=/etc/shadow&tty=true",
        // Parameters between two commands.
        "command=cat&container=c&stdin=1&command=/etc/shadow&stdout=1",
        // A newline, before or after.
        "command=sh&command=-c&command=id%0Acat+/etc/shadow&container=c",
        "command=sh&command=-c&command=cat+/etc/shadow%0Aid&container=c",
        // An argument that holds what looks like a parameter.
        "command=echo&command=a%26stdin%3Dtrue&command=/etc/shadow&container=c",
        "command=echo&command=a&command=%26container%3D&command=/etc/shadow",
        // A malformed escape elsewhere.
        "stdin=%zz&command=cat&command=/etc/shadow",
        "command=cat&command=/etc/shadow&container=100%",
        // Escaped parameter names.
        "%63ommand=cat&comm%61nd=/etc/shadow",
        // The benign file beside it, and files named like it.
        "command=cat&command=/etc/resolv.conf&command=/etc/shadow",
        "command=cat&command=/etc/shadow&command=/etc/resolv.conf",
        "command=cat&command=/etc/resolv.conf.bak&command=/etc/shadow",
        // A space as `+` and as `%20`.
        "command=sh&command=-c&command=cat+/etc/shadow",
        "command=sh&command=-c&command=cat%20%2fetc%2fshadow",
        // Past any limit on the length of a field.
        &format!("command=echo&command={long}&command=/etc/shadow"),
    ] {
        let verdict = judge_query(query).unwrap_or_else(|| panic!("missed: {query}"));
        assert_eq!(verdict.access_types[0], "HOST_CREDENTIALS", "{query}");
        let shadow = verdict.matches.iter().find(|found| found.pattern == "etc-shadow").unwrap();
        assert_eq!(shadow.view, View::AsWritten);
    }
}

#[test]
fn sees_an_exec_through_a_nodes_proxy() {
    for uri in [
        "/api/v1/nodes/n/proxy/exec/ns/pod/c?command=cat&command=/etc/shadow&output=1",
        "/api/v1/nodes/https:n:10250/proxy/exec/ns/pod/uid/c?command=cat+/etc/shadow",
        "/api/v1/nodes/n:10250/proxy/run/ns/pod/c?cmd=cat%20/etc/shadow",
    ] {
        let exec = exec_of("nodes", "proxy", uri).unwrap();
        let verdict = with_exec_rule(|rule| judge(rule, &Command::new(&exec))).unwrap();
        assert_eq!(verdict.access_types, ["HOST_CREDENTIALS"], "{uri}");
        assert_eq!(verdict.severity, None);
    }
    let exec = exec_of("nodes", "proxy", "/api/v1/nodes/n/proxy/run/ns/pod/c?cmd=id").unwrap();
    assert_eq!(with_exec_rule(|rule| judge(rule, &Command::new(&exec))), None);
}

#[test]
fn a_run_whose_command_cannot_be_seen_has_a_label_of_its_own() {
    for query in ["", "?", "?cmd=", "?command=id"] {
        let uri = format!("/api/v1/nodes/n/proxy/run/ns/pod/c{query}");
        let exec = exec_of("nodes", "proxy", &uri).unwrap();
        let verdict = with_exec_rule(|rule| judge(rule, &Command::new(&exec))).unwrap();
        assert_eq!(
            verdict,
            CommandVerdict {
                matches: vec![],
                access_types: vec!["NODE_PROXY_RUN_UNSEEN_COMMAND".to_owned()],
                confidence: None,
                severity: Some((Severity::Low, 21)),
            },
            "{uri}"
        );
    }
    // An exec has no body to hide a command in.
    let exec = exec_of("nodes", "proxy", "/api/v1/nodes/n/proxy/exec/ns/pod/c").unwrap();
    assert_eq!(with_exec_rule(|rule| judge(rule, &Command::new(&exec))), None);
    assert_eq!(judge_query(""), None);
}

#[test]
fn raises_nothing_where_no_such_command_runs() {
    for query in [
        // A sensitive path in another parameter.
        "container=/etc/shadow&command=ls&stdin=1",
        // A parameter whose name merely ends in `command`.
        "xcommand=/etc/shadow&command=ls",
        "command=ls&Command=/etc/shadow&command[]=/etc/shadow",
        // The path appears only when `command=` is cut out of an argument.
        "command=/etc/shacommand%3Ddow",
        "command=/etc/sha&command=dow",
        // A dropped parameter.
        "command=/etc/shadow%zz&command=ls",
        "command=/etc/shadow;x&command=ls",
        // Plain work.
        "command=ls&command=-la&command=/app",
        "command=cat&command=/etc/hosts",
        "command=cat&command=/etc/resolv.conf",
        "command=grep&command=key&command=/etc/resolv.conf",
        "command=grep&command=/etc/resolv.conf&command=-e&command=token",
    ] {
        assert_eq!(judge_query(query), None, "{query}");
    }
}

#[test]
fn every_access_type_has_its_command() {
    for (text, labels) in [
        (
            "cat /var/run/secrets/eks.amazonaws.com/serviceaccount/token",
            &["AWS_IRSA_TOKEN", "MOUNTED_SECRET"][..],
        ),
        (
            "cat /var/run/secrets/azure/tokens/azure-identity-token",
            &["AZURE_WORKLOAD_IDENTITY_TOKEN", "MOUNTED_SECRET"],
        ),
        (
            "cat /var/run/secrets/tokens/gcp-ksa/token",
            &["GCP_WORKLOAD_IDENTITY_TOKEN", "MOUNTED_SECRET"],
        ),
        (
            "cat /var/run/secrets/kubernetes.io/serviceaccount/token",
            &["K8S_SA_TOKEN", "MOUNTED_SECRET"],
        ),
        (
            "cat /run/secrets/kubernetes.io/serviceaccount/token",
            &["K8S_SA_TOKEN", "MOUNTED_SECRET"],
        ),
        ("cat /var/run/secrets/kubernetes.io/serviceaccount/ca.crt", &["MOUNTED_SECRET"]),
        ("cat /var/run/secrets/db/password", &["MOUNTED_SECRET"]),
        ("cat /run/secrets/db", &["MOUNTED_SECRET"]),
        ("ls /var/run/secrets", &["MOUNTED_SECRET"]),
        ("ls /run/secrets", &["MOUNTED_SECRET"]),
        ("ls '/run/secrets'", &["MOUNTED_SECRET"]),
        ("ls /run/secrets;id", &["MOUNTED_SECRET"]),
        ("cat /run/secrets*", &["MOUNTED_SECRET"]),
        ("cat /srv/tls.pem", &["CERTIFICATE_OR_KEY"]),
        ("cat a.p12", &["CERTIFICATE_OR_KEY"]),
        ("cat a.key", &["CERTIFICATE_OR_KEY"]),
        ("cat a.jks", &["CERTIFICATE_OR_KEY"]),
        ("cat a.keystore", &["CERTIFICATE_OR_KEY"]),
        ("cat /etc/kubernetes/admin.conf", &["K8S_CONFIG"]),
        ("ls /var/lib/kubelet/pods", &["KUBELET_CONFIG"]),
        ("cat /etc/shadow", &["HOST_CREDENTIALS"]),
        ("cat /etc/shadow-", &["HOST_CREDENTIALS"]),
        ("cat /etc/gshadow", &["HOST_CREDENTIALS"]),
        ("cat /etc/passwd", &["USER_ENUMERATION"]),
        ("cat /etc/sudoers", &["SUDOERS_ACCESS"]),
        ("ls /etc/sudoers.d/", &["SUDOERS_ACCESS"]),
        ("cat /root/.ssh/id_rsa", &["USER_CREDENTIALS"]),
        ("cat /home/jane/.aws/credentials", &["USER_CREDENTIALS"]),
        ("cat /home/jane/.azure/x", &["USER_CREDENTIALS"]),
        ("cat /home/jane/.kube/config", &["USER_CREDENTIALS"]),
        ("cat /home/jane/.config/gcloud/x.db", &["USER_CREDENTIALS"]),
        ("cat /var/lib/jenkins/.ssh/id_rsa", &["USER_CREDENTIALS"]),
        ("cat /proc/1/environ", &["PROCESS_ENV_SECRETS"]),
        ("cat /proc/self/environ", &["PROCESS_ENV_SECRETS"]),
        (
            "grep password /etc/app.conf; grep token /etc/app.conf -e secret",
            &["EMBEDDED_CONFIG_SECRET"],
        ),
        // Several at once, in the order of the rule and not of the text.
        (
            "cat /etc/passwd /etc/shadow /root/.ssh/server.key",
            &["CERTIFICATE_OR_KEY", "HOST_CREDENTIALS", "USER_ENUMERATION", "USER_CREDENTIALS"],
        ),
    ] {
        assert_eq!(labels_of(text), labels, "{text}");
    }
}

/// The label pattern of the default can only be missed by a rule whose labels do not cover its
/// patterns; the built-in rule's do.
#[test]
fn falls_back_to_the_default_label() {
    let text = include_str!("../rules/builtin/pod-exec-sensitive-path.toml")
        .replace("{ label = \"HOST_CREDENTIALS\", pattern = '/etc/g?shadow' },", "");
    let rules = RuleSet::from_sources([("r.toml", text.as_str())]).unwrap();
    let RuleKind::Exec(rule) = rules.rules()[0].kind() else { panic!("an exec rule") };
    let exec = exec_of("pods", "exec", "/x?command=/etc/shadow").unwrap();
    assert_eq!(judge(rule, &Command::new(&exec)).unwrap().access_types, ["OTHER_SENSITIVE"]);
}

#[test]
fn tells_paths_from_those_that_begin_like_them() {
    for text in [
        "ls /var/run/secrets-store",
        "ls /run/secrets.d",
        "ls /run/secretsfoo",
        "ls /run/secret",
        "cat /etc/shado",
        "cat /ETC/SHADOW",
        "ls /etc/kubernetes",
        "ls /home/.ssh",
        "ls /rootfs/.ssh",
        "cat /proc/environ",
        "cat key.pub pem keystore",
    ] {
        assert_eq!(judge_text(text), None, "{text}");
    }
}

#[test]
fn known_noise_is_raised() {
    for (text, pattern) in [
        ("jq .keys data.json", "key-file"),
        ("cat /etc/app.conf; echo monkey", "secret-in-config"),
        ("curl http://x/etc/passwd-policy.html", "etc-passwd"),
    ] {
        let verdict = judge_text(text).unwrap_or_else(|| panic!("not raised: {text}"));
        assert!(verdict.matches.iter().any(|found| found.pattern == pattern), "{text}");
    }
}

/// The command as `explain` takes one: a script that a shell is given.
fn judge_script(text: &str) -> Option<CommandVerdict> {
    let exec = ExecCommand {
        via: ExecVia::ShellText,
        text: text.to_owned(),
        argv: vec![text.to_owned()],
        ..exec_of("pods", "exec", "/x?command=x").unwrap()
    };
    with_exec_rule(|rule| judge(rule, &Command::new(&exec)))
}

/// These all read the same files. Comparing text does not tell; reading them as a shell does.
#[test]
fn the_normal_form_sees_what_the_view_as_written_does_not() {
    use Confidence::{Certain, Likely};
    for (text, confidence) in [
        ("sh -c 'cat /etc/sh''adow'", Certain),
        ("cat /etc/sha\\dow", Certain),
        ("cat /etc/shad?w", Likely),
        ("cat /etc/sha*", Likely),
        ("cat /etc/./shadow", Certain),
        ("cat //etc//shadow", Certain),
        ("cat /tmp/../etc/./shadow", Certain),
        ("cd /etc; cat shadow", Certain),
        ("cat ~/.ssh/id_rsa", Certain),
        ("cat $HOME/.kube/config", Certain),
        ("cat $'\\x2fetc\\x2fshadow'", Certain),
        ("echo L2V0Yy9zaGFkb3c= | base64 -d | xargs cat", Certain),
        ("curl file:///%65tc/shadow", Certain),
    ] {
        let found = with_exec_rule(|rule| rule.sensitive_paths.find(text, 9).len());
        assert_eq!(found, 0, "{text}");
        let verdict = judge_script(text).unwrap_or_else(|| panic!("not raised: {text}"));
        assert_eq!(verdict.confidence, Some(confidence), "{text}");
        assert!(verdict.matches.iter().all(|found| found.view == View::NormalForm), "{text}");
    }
}

#[test]
fn confidence_decides_the_severity() {
    let check = |text: &str, severity: Option<(Severity, u8)>, labels: &[&str]| {
        let verdict = judge_script(text).unwrap_or_else(|| panic!("not raised: {text}"));
        assert_eq!(
            (verdict.severity, verdict.access_types),
            (severity, labels.iter().map(|&label| label.to_owned()).collect::<Vec<_>>(),),
            "{text}"
        );
    };
    check("cat /etc/sh''adow", None, &["HOST_CREDENTIALS"]);
    check("cat /etc/shad?w", Some((Severity::Medium, 47)), &["HOST_CREDENTIALS"]);
    check("eval \"$(curl -s x | base64 -d)\"", Some((Severity::Low, 21)), &["HIDDEN_COMMAND"]);
    // What is certain comes before what is only likely.
    check(
        "cat /etc/kub?rnetes/admin.conf /etc/sh''adow",
        None,
        &["HOST_CREDENTIALS", "K8S_CONFIG"],
    );
}

#[test]
fn a_match_of_the_normal_form_tells_its_steps_and_where_it_comes_from() {
    let text = "cd /etc; cat sh''ad?w";
    let verdict = judge_script(text).unwrap();
    let [found] = verdict.matches.as_slice() else { panic!("{verdict:?}") };
    assert_eq!(found.pattern, "etc-shadow");
    assert_eq!(&text[found.span.clone()], "sh''ad?w");
    assert_eq!(found.reads.as_deref(), Some("/etc/shad?w"));
    assert_eq!(
        found.steps,
        ["quotes removed", "working directory followed", "glob /etc/shad?w can match /etc/shadow",]
    );
}

#[test]
fn a_label_without_argument_boundaries_is_read_as_a_script() {
    let judge_label = |text: &str| {
        let exec = ExecCommand {
            via: ExecVia::GkeLabel,
            text: text.to_owned(),
            argv: text.split(' ').map(str::to_owned).collect(),
            ..exec_of("pods", "exec", "/x?command=x").unwrap()
        };
        with_exec_rule(|rule| judge(rule, &Command::new(&exec)))
    };
    for text in [
        "sh -c cd /etc; cat shadow",
        "cat /etc/sh''adow",
        "bash -c cat /etc/sh''adow",
        "sh -x -c cat /etc/sh*",
        "bash -o pipefail -c cat /etc/sh*",
        "bash --norc -c cd /etc; cat shado*",
        "bash -euo pipefail -c cd /et'c'; cat sh''adow",
        "bash  -c  cat /etc/sh*",
        "env A=1 /bin/bash -ec cat /etc/sh*",
        "python3 -c print(open('/etc/sh'+'adow').read())",
        "perl -e print `cat /etc/sh''adow`",
    ] {
        let verdict = judge_label(text).unwrap_or_else(|| panic!("not raised: {text}"));
        assert_eq!(verdict.access_types, ["HOST_CREDENTIALS"], "{text}");
        let place = |found: &Match| text.get(found.span.clone()).is_some();
        assert!(verdict.matches.iter().all(place), "{text}: {:?}", verdict.matches);
    }
    assert_eq!(judge_label("ls -la /app"), None);
}

#[test]
fn a_label_that_ends_with_its_option_for_code_tells_no_place_behind_its_end() {
    for text in ["tar c /etc sh -c", "cat sh  -c", "eval sh -c", "xargs bash -ec", "$(x) sh -c"] {
        let exec = ExecCommand {
            via: ExecVia::GkeLabel,
            text: text.to_owned(),
            argv: text.split(' ').map(str::to_owned).collect(),
            ..exec_of("pods", "exec", "/x?command=x").unwrap()
        };
        let command = Command::new(&exec);
        let reading = command.reading();
        let spans = reading.lines.iter().map(|line| &line.span);
        let spans = spans.chain(reading.accesses.iter().map(|access| &access.span));
        let spans = spans.chain(reading.hidden.iter().map(|hidden| &hidden.span));
        for span in spans {
            assert!(text.get(span.clone()).is_some(), "{span:?}: {text}");
        }
    }
}

#[test]
fn an_interactive_shell_is_raised_by_a_rule_that_is_off_by_default() {
    let rules = RuleSet::builtin().unwrap();
    let id = "pod-exec-interactive-shell";
    assert!(rules.rules().iter().all(|rule| rule.id() != id));
    let rules = rules.with(&[id]).unwrap();
    let rule = rules.rules().iter().find(|rule| rule.id() == id).unwrap();
    let RuleKind::Exec(exec_rule) = rule.kind() else { panic!("an exec rule") };
    let check = |argv: &[&str], stdin: bool, tty: bool, raised: bool| {
        let exec = ExecCommand {
            argv: argv.iter().map(|&word| word.to_owned()).collect(),
            text: argv.join(" "),
            stdin,
            tty,
            ..exec_of("pods", "exec", "/x?command=x").unwrap()
        };
        let verdict = judge(exec_rule, &Command::new(&exec));
        assert_eq!(
            verdict.map(|verdict| verdict.access_types),
            raised.then(|| { vec!["INTERACTIVE_SHELL".to_owned()] }),
            "{argv:?}"
        );
    };
    check(&["sh"], true, true, true);
    check(&["/bin/bash", "-l"], true, true, true);
    check(&["env", "TERM=xterm", "bash", "-i"], true, true, true);
    check(&["nsenter", "-t", "1", "-m", "--", "sh"], true, true, true);
    check(&["su", "-"], true, true, true);
    check(&["sudo", "-i"], true, true, true);
    check(&["chroot", "/host"], true, true, true);
    check(&["nsenter", "-t", "1", "-m", "-u", "-i", "-n", "-p"], true, true, true);
    check(&["busybox", "sh"], true, true, true);
    check(&["script", "-qc", "bash", "/dev/null"], true, true, true);
    check(&["bash", "--rcfile", "/tmp/rc", "-i"], true, true, true);
    // As dashboards and other clients open theirs.
    let scripts = [
        "bash || sh",
        "(bash || ash || sh)",
        "exec bash",
        "TERM=xterm exec bash -l",
        "clear; (bash || ash || sh)",
        "command -v bash >/dev/null && exec bash || exec sh",
        "if [ -x /bin/bash ]; then /bin/bash; else /bin/sh; fi",
        "cd /app && TERM=xterm-256color bash",
        "[ -x /bin/bash ] && ([ -x /usr/bin/script ] && /usr/bin/script -q -c /bin/bash /dev/null || exec /bin/bash) || exec /bin/sh",
        "export TERM=xterm; sh </dev/tty",
        "stty rows 40; su - postgres",
    ];
    for script in scripts {
        check(&["sh", "-c", script], true, true, true);
        check(&["sh", "-c", script], true, false, false);
    }
    for script in [
        "echo hi",
        "curl -s https://example.com/i.sh | sh",
        "sh < /opt/run.sh",
        "bash /opt/run.sh",
        "echo ls | bash",
        "sh <<< ls",
        "exec psql -U app",
        "false && bash",
        "find / -name x -exec sh -c 'ls {}' \\;",
        "ls | xargs -n1 sh",
    ] {
        check(&["bash", "-c", script], true, true, false);
    }
    for program in ["python3", "mysql", "redis-cli", "vi", "top"] {
        check(&[program], true, true, false);
    }
    check(&["sh"], true, false, false);
    check(&["sh"], false, true, false);
    check(&["sh", "-c", "ls"], true, true, false);
    check(&["psql"], true, true, false);
    // It looks for nothing else.
    check(&["cat", "/etc/shadow"], true, true, false);
}

#[test]
fn what_another_program_may_unquote_is_likely() {
    let confidence = |text: &str| judge_text(text).and_then(|verdict| verdict.confidence);
    assert_eq!(confidence("ssh h \"cat '/etc/'sha''dow\""), Some(Confidence::Likely));
    let verdict = judge_text("printf %s \"a:;cat /etc/sh'a'dow\"").expect("a verdict");
    assert_eq!(verdict.access_types, ["HOST_CREDENTIALS"]);
    let [found] = &verdict.matches[..] else { panic!("one match") };
    assert_eq!(found.reads.as_deref(), Some("/etc/shadow"));
    assert_eq!(found.steps, [WITHOUT_QUOTES]);
    // A program that runs nothing looks for a file with quotes in its name.
    assert_eq!(judge_query("command=cat&command=/etc/sh%27%27adow"), None);
    // What is surer is told alone, and what is benign stays so.
    assert_eq!(judge_text("cat /etc/sh''adow").map(|verdict| verdict.matches.len()), Some(1));
    assert_eq!(confidence("x \"cat /etc/resolv'.'conf | grep key\""), None);
}

#[test]
fn marks_where_the_pattern_stands_in_the_text() {
    let text = "ls é /etc/resolv.conf /var/run/secrets /etc/shadow";
    let verdict = judge_text(text).unwrap();
    let marked: Vec<(&str, &str)> = verdict
        .matches
        .iter()
        .map(|found| (found.pattern.as_str(), &text[found.span.clone()]))
        .collect();
    assert_eq!(marked, [("mounted-secrets", "/var/run/secrets"), ("etc-shadow", "/etc/shadow")]);
}

#[test]
fn lists_no_more_matches_than_the_limit() {
    let text = "/etc/shadow ".repeat(1_000) + "/etc/passwd x.jks";
    let verdict = judge_text(&text).unwrap();
    assert_eq!(verdict.matches.len(), limits::MATCHES_LISTED_MAX);
    let patterns: Vec<&str> = verdict.matches.iter().map(|found| &*found.pattern).collect();
    assert!(patterns.ends_with(&["etc-shadow", "etc-passwd", "java-keystore"]), "{patterns:?}");
}

/// Every command that the reference's own patterns find is found, whatever else stands in it.
#[test]
fn nothing_of_the_reference_set_is_lost() {
    for path in [
        "/var/run/secrets/",
        "/etc/kubernetes/",
        "/var/lib/kubelet/",
        "/etc/shadow",
        "/etc/passwd",
        "/etc/sudoers",
        "/root/.ssh",
        "/root/.aws",
        "/home/a b/.azure",
        "/home/\n/.kube",
        "/home/x/.config/gcloud",
        ".p12",
        ".pem",
        ".key",
        ".jks",
        ".keystore",
        "/etc/\n.conf\ncredential",
        "/etc/a.conf password",
        "/etc/a.confsecret",
        "/proc//environ",
        "/proc/\n/environ",
    ] {
        for text in [path.to_owned(), format!("x{path}y"), format!("\n{path}\n")] {
            assert!(judge_text(&text).is_some(), "{text:?}");
        }
    }
}
