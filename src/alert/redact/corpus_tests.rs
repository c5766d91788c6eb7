//! Redaction over the commands of `tests/fixtures/commands`, and over generated ones.

#[path = "../../../tests/fixtures/commands/corpus.rs"]
mod corpus;

use std::sync::LazyLock;

use proptest::prelude::*;

use super::tests::redaction;
use super::*;
use crate::alert::{self, fixtures};
use crate::detect::command::{Command, judge};
use crate::rules::rule::RuleKind;
use crate::rules::set::RuleSet;

fn exec(via: ExecVia, argv: &[String]) -> ExecCommand {
    let text = argv.join(" ");
    let argv = match via {
        ExecVia::PodsExec | ExecVia::NodesProxyExec => argv.to_vec(),
        _ => text.split(' ').map(str::to_owned).collect(),
    };
    ExecCommand { via, argv, text, ..fixtures::shell_exec().exec }
}

/// What the rule makes of a command, as it would leave: with what repeats the command.
fn finding(exec: ExecCommand) -> Finding {
    static RULES: LazyLock<RuleSet> = LazyLock::new(|| RuleSet::builtin().unwrap());
    let RuleKind::Exec(rule) = RULES.get("pod-exec-sensitive-path").unwrap().kind() else {
        panic!("an exec rule");
    };
    let mut finding = fixtures::shell_exec();
    finding.matches =
        judge(rule, &Command::new(&exec)).map(|verdict| verdict.matches).unwrap_or_default();
    let encoded = |text: &String| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let query: Vec<String> = match exec.via {
        ExecVia::NodesProxyRun => vec![format!("cmd={}", encoded(&exec.text))],
        ExecVia::GkeLabel => Vec::new(),
        _ => exec.argv.iter().map(|word| format!("command={}", encoded(word))).collect(),
    };
    finding.event.request_uri = Some(format!("/x?container=c&{}", query.join("&")).into());
    let label = Text::from(exec::GKE_COMMAND);
    let annotations = finding.event.annotations.get_or_insert_default();
    annotations.insert(label, exec.text.clone().into());
    finding.exec = exec;
    finding
}

/// What of the harmless commands is hidden. Each line of the snapshot is read by people: what
/// stands there must be a secret.
#[test]
fn of_harmless_commands_only_secrets_are_hidden() {
    let mut changed = String::new();
    for argv in [corpus::harmless_argvs(), corpus::noisy_argvs(), corpus::hidden_argvs()].concat() {
        let before = exec(ExecVia::PodsExec, &argv);
        let mut finding = fixtures::shell_exec();
        finding.matches.clear();
        finding.exec = before.clone();
        let after = redaction().apply(finding).exec;
        for (old, new) in before.argv.iter().zip(&after.argv).filter(|(old, new)| old != new) {
            changed.push_str(&format!("- {old}\n+ {new}\n"));
        }
    }
    insta::assert_snapshot!(changed);
}

/// Which file was read stays in sight, whatever is hidden around it.
#[test]
fn no_alert_loses_what_was_matched() {
    for argv in [corpus::noisy_argvs(), corpus::hidden_argvs()].concat() {
        for via in [ExecVia::PodsExec, ExecVia::NodesProxyRun, ExecVia::GkeLabel] {
            let before = finding(exec(via, &argv));
            let after = redaction().apply(before.clone());
            assert_eq!(told(&before), told(&after), "{argv:?}");
        }
    }
}

/// What the matches say.
fn told(finding: &Finding) -> Vec<(&str, Option<&str>)> {
    let text = |found: &Match| finding.exec.text.get(found.span.clone());
    let written = |found: &&Match| found.view == View::AsWritten;
    let written = finding.matches.iter().filter(written).map(|found| text(found).unwrap_or("?"));
    let written: Vec<&str> = written.collect();
    let told = finding.matches.iter().map(|found| (&*found.pattern, found.reads.as_deref()));
    written.into_iter().map(|text| (text, None)).chain(told).collect()
}

#[test]
fn a_file_stays_in_sight_when_its_name_is_called_a_secret() {
    for (script, seen) in [
        ("token=shadow; cat /etc/$token", "/etc/shadow"),
        ("token=/etc/shadow; cat $token", "/etc/shadow"),
        ("cd /etc; token=shadow; cat shadow", "/etc/shadow"),
        ("cat --password=x1/etc/shadow", "/etc/shadow"),
        ("cat --token 'x1 /etc/shadow'", "/etc/shadow"),
        ("password=server.pem; cat $password", "server.pem"),
        ("PASSWORD=x1.pem; cat $PASSWORD", "x1.pem"),
        (
            "secret=kubernetes.io; cat /run/secr'e'ts/$secret/token",
            "/run/secrets/kubernetes.io/token",
        ),
        ("curl -u a:/etc/passwd file:///etc/pass'w'd", "/etc/passwd"),
        ("PASSWORD=hunter2x; cat /home/hunter2x/.s''sh/id_rsa", "/home/hunter2x/.ssh/id_rsa"),
        ("cat /run/secrets/hunter2x; echo hunter2x --password hunter2x", "/run/secrets/hunter2x"),
    ] {
        let argv = ["sh", "-c", script].map(str::to_owned);
        let after = redaction().apply(finding(exec(ExecVia::PodsExec, &argv)));
        let text = |found: &Match| after.exec.text.get(found.span.clone()) == Some(seen);
        let reads = |found: &Match| found.reads.as_deref() == Some(seen);
        let stays = after.matches.iter().any(|found| text(found) || reads(found));
        assert!(stays || after.exec.text.contains(seen), "{script}\n{:#?}", after.matches);
    }
}

/// Every text of an alert, decoded.
fn strings(value: &serde_json::Value, out: &mut Vec<String>) {
    match value {
        serde_json::Value::String(text) => {
            out.push(percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned());
            out.push(text.clone());
        }
        serde_json::Value::Array(all) => all.iter().for_each(|value| strings(value, out)),
        serde_json::Value::Object(all) => all.values().for_each(|value| strings(value, out)),
        _ => {}
    }
}

/// Stands in every generated secret.
const MARK: &str = "Zq7x";

fn single(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

fn double(value: &str) -> String {
    let mut out = String::new();
    for c in value.chars() {
        if "\"\\$`".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    format!("\"{out}\"")
}

fn ansi(value: &str) -> String {
    let mut out = String::new();
    for (at, c) in value.chars().enumerate() {
        match c {
            // A quote as `\'` ends the word for shells without this form, in another way.
            '\'' => out.push_str("\\x27"),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if !c.is_ascii_alphanumeric() && at % 2 == 0 => {
                for byte in c.to_string().bytes() {
                    out.push_str(&format!("\\x{byte:02x}"));
                }
            }
            c => out.push(c),
        }
    }
    format!("$'{out}'")
}

fn backslashes(value: &str) -> String {
    let mut out = String::new();
    for c in value.chars() {
        match c {
            '\n' => out.push_str("'\n'"),
            c if c.is_ascii_alphanumeric() => out.push(c),
            c => out.extend(['\\', c]),
        }
    }
    out
}

/// A command that holds the secret, in one of the forms in which it may be written.
fn commands_with(value: &str) -> Vec<Vec<String>> {
    let mut out = Vec::new();
    for (name, joined) in [
        ("--password", " "),
        ("--password", "="),
        ("--api-token", " "),
        ("--clientSecret", "="),
        ("-Ddb.password", "="),
    ] {
        let tool = "tool".to_owned();
        out.push(match joined {
            " " => vec![tool, name.to_owned(), value.to_owned()],
            _ => vec![tool, format!("{name}={value}")],
        });
        for quoted in [single(value), double(value), ansi(value), backslashes(value)] {
            let script = format!("tool {name}{joined}{quoted} < /etc/sha''dow");
            out.push(vec!["sh".to_owned(), "-c".to_owned(), script.clone()]);
            for outer in [single(&script), double(&script)] {
                let nested = format!("bash -c {outer}; cat /etc/shadow");
                out.push(vec!["sh".to_owned(), "-c".to_owned(), nested]);
            }
        }
    }
    for quoted in [single(value), double(value), ansi(value), backslashes(value)] {
        for script in [
            format!("PGPASSWORD={quoted} psql < /etc/sha''dow"),
            format!("export DB_PASS={quoted}; echo $DB_PASS >> /etc/sha''dow"),
            format!("mysql -u root -p{quoted} -e 'source /etc/shadow'"),
            format!("x=\"$(curl -u user:{quoted} h)\"; cat /etc/sha''dow"),
            format!("echo {quoted} | docker login --password-stdin; cat /etc/shadow"),
        ] {
            out.push(vec!["sh".to_owned(), "-c".to_owned(), script]);
        }
    }
    out.push(vec!["mysql".to_owned(), format!("-p{value}")]);
    out.push(vec!["curl".to_owned(), "-u".to_owned(), format!("user:{value}")]);
    out.push(vec![
        "curl".to_owned(),
        "-H".to_owned(),
        format!("X-Api-Key: {}", value.replace('\n', "")),
    ]);
    out
}

fn check_hidden(argv: &[String]) {
    let before = finding(exec(ExecVia::PodsExec, argv));
    let after = redaction().apply(before.clone());
    assert_eq!(after.exec.argv.len(), argv.len());
    let alert = alert::from_finding(&after, &fixtures::origin());
    let document: serde_json::Value = serde_json::from_slice(&alert.to_json().unwrap()).unwrap();
    let mut all = Vec::new();
    strings(&document, &mut all);
    let shown: Vec<&String> = all.iter().filter(|text| text.contains(MARK)).collect();
    assert!(shown.is_empty(), "{argv:?}\n{shown:#?}");
    check_whole(&after);
    assert_eq!(redaction().apply(after.clone()), after);
    assert_eq!(told(&before).len(), told(&after).len());
}

/// What is left is as well-formed as what was there.
fn check_whole(finding: &Finding) {
    let exec = &finding.exec;
    if exec.via != ExecVia::GkeLabel {
        assert_eq!(exec.argv.join(" "), exec.text);
    }
    for found in &finding.matches {
        assert!(exec.text.get(found.span.clone()).is_some(), "{found:?} of {exec:?}");
    }
}

/// What words, quotes and rules are made of.
const PIECES: [&str; 64] = [
    "password",
    "--password",
    "TOKEN",
    "token",
    "=",
    ":",
    " ",
    " ",
    "\n",
    "'",
    "\"",
    "\\",
    "$",
    "${",
    "}",
    "$(",
    ")",
    "`",
    "$'",
    "<<E",
    "\nE\n",
    "<<<",
    "|",
    "&",
    ";",
    "#",
    "/",
    "/etc/shadow",
    "~",
    ".",
    "sh",
    "-c",
    "mysql",
    "-p",
    "curl",
    "-u",
    "a:b",
    "echo",
    "x",
    "hunter2",
    "passwd",
    "[redacted]",
    "[redact",
    "ed]",
    "Bearer ",
    "://",
    "@",
    "eyJhbGciOiJS",
    "AKIAIOSFODNN7EXAMPLE",
    ",",
    "{",
    "é",
    "\u{0}",
    "\\x4",
    "X-Api-Key: ",
    "Cookie:",
    "-----BEGIN PRIVATE KEY-----",
    ":-",
    "password: ",
    "\"password\":",
    "vault",
    "login",
    "kubectl",
    "--from-literal=k=",
];

fn any_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => proptest::sample::select(&PIECES[..]).prop_map(str::to_owned),
        1 => "\\PC{1,6}",
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// Each would take for ever if it were gone over once for each of its parts.
#[test]
fn long_commands_are_gone_over_in_linear_time() {
    for (piece, end) in [
        ("${a:-", "}"),
        ("\"$(", ""),
        ("'", ""),
        ("`", ""),
        ("$(", ")"),
        ("a=\"token: ", ""),
        ("password='", ""),
        ("redis://a:", "@"),
        ("-----BEGIN PRIVATE KEY-----", ""),
        ("vault ", "login"),
        ("sudo ", "-S"),
        ("docker ", "login -p x"),
        ("cat <<E ", "\n"),
        ("cat <<E\n", ""),
        ("mysql -p ", ""),
        ("--password x ", ""),
        ("PASSWORD=hunter2 ", ""),
        ("token = ", ""),
        ("echo x | passwd;", ""),
        ("echo a | ", "passwd"),
        ("eyJhbGciOiJS.", ""),
        ("a'b'\"c\"", ""),
        ("# ", "\n"),
        ("\\\n", ""),
    ] {
        let script = format!("{}{end}", piece.repeat(60_000 / piece.len()));
        for argv in [vec!["sh".to_owned(), "-c".to_owned(), script.clone()], vec![script]] {
            let mut finding = fixtures::shell_exec();
            finding.matches.clear();
            finding.exec = exec(ExecVia::PodsExec, &argv);
            check_whole(&redaction().apply(finding));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_generated_secret_is_in_no_part_of_an_alert(
        before in r#"[a-zA-Z0-9 '"$&;|<>(){}\\[\\]!#%^*+=~`é/.:,?@-]{0,8}"#,
        after in r#"[a-zA-Z0-9 '"$&;|<>(){}\\[\\]!#%^*+=~`é/.:,?@-]{0,8}"#,
    ) {
        let value = format!("{before}{MARK}{after}");
        // A path is none, and what may be an option is no value.
        prop_assume!(!names::is_open(&value) && !value.starts_with('-') && !value.starts_with('/'));
        for argv in commands_with(&value) {
            check_hidden(&argv);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_command_is_redacted_once_and_for_all(
        argv in proptest::collection::vec(any_text(), 1..5),
        via in proptest::sample::select(
            &[ExecVia::PodsExec, ExecVia::NodesProxyRun, ExecVia::GkeLabel, ExecVia::NodesProxyExec][..]
        ),
    ) {
        let before = finding(exec(via, &argv));
        let count = before.exec.argv.len();
        let after = redaction().apply(before);
        check_whole(&after);
        if via != ExecVia::GkeLabel {
            prop_assert_eq!(after.exec.argv.len(), count);
        }
        let again = redaction().apply(after.clone());
        prop_assert_eq!((&again.exec, &again.event), (&after.exec, &after.event));
    }
}
