use super::*;
use crate::alert::fixtures;
use crate::detect::finding::Match;

fn finding(argv: &[&str]) -> Finding {
    let mut finding = fixtures::shell_exec();
    finding.exec.argv = argv.iter().map(|&word| word.to_owned()).collect();
    finding.exec.text = argv.join(" ");
    let commands: Vec<String> = argv
        .iter()
        .map(|word| word.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>())
        .map(|word| format!("command={word}"))
        .collect();
    let uri = format!("/api/v1/namespaces/n/pods/p/exec?{}&container=c&x=%zz", commands.join("&"));
    finding.event.request_uri = Some(uri.into());
    finding.matches = Vec::new();
    finding
}

fn redaction() -> Redaction {
    Redaction::compile(true, &[]).unwrap()
}

/// What is left of a command as the one argument of `sh -c`.
fn left(text: &str) -> String {
    redaction().apply(finding(&["sh", "-c", text])).exec.argv[2].clone()
}

#[test]
fn the_secrets_that_command_lines_carry_are_replaced() {
    for (text, expected) in [
        (
            "curl -H 'Authorization: Bearer abcdefgh1234' x",
            "curl -H 'Authorization: Bearer [redacted]' x",
        ),
        (
            "curl -H 'Authorization: Basic dXNlcjpwYXNz' x",
            "curl -H 'Authorization: Basic [redacted]' x",
        ),
        ("echo eyJhbGciOiJSUzI1.eyJpc3MiOiJrdWJl.c2lnbmF0dXJl", "echo [redacted]"),
        ("PGPASSWORD=hunter2 psql -U app", "PGPASSWORD=[redacted] psql -U app"),
        ("MYSQL_PWD=hunter2 mysql", "MYSQL_PWD=[redacted] mysql"),
        ("x --password=hunter2 --user=u", "x --password=[redacted] --user=u"),
        ("x --password hunter2 --user u", "x --password [redacted] --user u"),
        ("x --token 'hunter2'", "x --token '[redacted]'"),
        ("curl 'https://h/?api_key=hunter2&a=b'", "curl 'https://h/?api_key=[redacted]&a=b'"),
        ("curl -d '{\"password\": \"hunter2\"}' h", "curl -d '{\"password\": \"[redacted]\"}' h"),
        ("mysql -uroot -phunter2 app", "mysql -uroot -p[redacted] app"),
        ("mysqldump -u root -p'hunter2' app", "mysqldump -u root -p'[redacted]' app"),
        ("mariadb-dump -phunter2 app", "mariadb-dump -p[redacted] app"),
        ("sshpass -p hunter2 ssh h", "sshpass -p [redacted] ssh h"),
        ("mongosh -u root -p hunter2", "mongosh -u root -p [redacted]"),
        ("redis-cli -h h -a hunter2 ping", "redis-cli -h h -a [redacted] ping"),
        ("curl -u user:hunter2 h", "curl -u user:[redacted] h"),
        ("git clone https://u:hunter2@h/r", "git clone https://u:[redacted]@h/r"),
        ("echo AKIAIOSFODNN7EXAMPLE", "echo [redacted]"),
        (
            "aws configure set aws_secret_access_key wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY",
            "aws configure set aws_secret_access_key [redacted]",
        ),
        ("x ghp_abcdefghijklmnopqrstuvwxyz0123456789", "x [redacted]"),
        ("x glpat-abcdefghij0123456789", "x [redacted]"),
        ("x xoxb-1234567890-abcdef", "x [redacted]"),
        (
            "echo '-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----' > k",
            "echo '[redacted]' > k",
        ),
    ] {
        assert_eq!(left(text), expected, "{text}");
    }
}

#[test]
fn paths_and_what_only_looks_like_a_secret_stay() {
    for text in [
        "cat /var/run/secrets/kubernetes.io/serviceaccount/token",
        "x --token-file=/run/secrets/token",
        "x --token=$(cat /run/secrets/token)",
        "cat password.txt",
        "mysqladmin ping -p",
        "mysql -P 3306",
        "mysqladmin ping -p$MYSQL_ROOT_PASSWORD",
        "cat ${PWD:0:1}etc/passwd",
        "PWD=/etc sh",
        "curl -u user h",
        "echo token",
        "kubectl get secret db-password",
        "ls -p /etc",
    ] {
        assert_eq!(left(text), text);
    }
}

#[test]
fn whatever_repeats_the_command_is_rewritten_too() {
    let argv = ["mysql", "--password", "hun ter2", "-e", "source /etc/shadow"];
    let mut before = finding(&argv);
    let span = before.exec.text.find("/etc/shadow").unwrap();
    before.matches = vec![Match {
        reads: Some("hun ter2".to_owned()),
        steps: vec!["glob hun can".to_owned()],
        ..Match::as_written("etc-shadow", span..span + "/etc/shadow".len())
    }];
    let after = redaction().apply(before);
    assert_eq!(
        after.exec.argv,
        ["mysql", "--password", "[redacted] ter2", "-e", "source /etc/shadow"]
    );
    assert_eq!(&after.exec.text[after.matches[0].span.clone()], "/etc/shadow");
    let uri = after.event.request_uri.unwrap().into_owned();
    assert!(uri.contains("command=%5Bredacted%5D%20ter2&command="), "{}", uri.as_str());
    assert!(uri.ends_with("&container=c&x=%zz"), "{}", uri.as_str());
    // The others are as they were sent.
    assert!(uri.contains("?command=%6D%79%73%71%6C&"), "{}", uri.as_str());
}

#[test]
fn a_secret_over_two_arguments_leaves_as_many_as_there_were() {
    let redaction = Redaction::compile(false, &["b c".to_owned()]).unwrap();
    let after = redaction.apply(finding(&["a b", "c d"]));
    assert_eq!(after.exec.argv, ["a [redacted]", "[redacted] d"]);
    assert_eq!(after.exec.text, "a [redacted] [redacted] d");
}

#[test]
fn a_label_that_repeats_the_command_is_rewritten() {
    let mut before = fixtures::gke_exec();
    before.exec.text = "mysql  -phunter2 x".to_owned();
    before.exec.argv = vec!["mysql".to_owned(), "-phunter2".to_owned(), "x".to_owned()];
    before.matches.clear();
    let label = Text::from("command.gke.io/command");
    before.event.annotations.as_mut().unwrap().insert(label.clone(), "mysql  -phunter2 x".into());
    let after = redaction().apply(before);
    assert_eq!(after.exec.argv, ["mysql", "-p[redacted]", "x"]);
    assert_eq!(after.event.annotations.unwrap()[&label].as_str(), "mysql  -p[redacted] x");
}

#[test]
fn own_patterns_come_beside_the_defaults_and_wrong_ones_are_named() {
    let own = Redaction::compile(true, &["card-(?<secret>[0-9]+)".to_owned()]).unwrap();
    let after = own.apply(finding(&["x card-4711", "--password=hunter2"]));
    assert_eq!(after.exec.argv, ["x card-[redacted]", "--password=[redacted]"]);
    let error = Redaction::compile(false, &["(".to_owned()]).unwrap_err().to_string();
    assert!(error.contains("`(`"), "{error}");
    assert!(Redaction::compile(false, &[".*".to_owned()]).is_err());
    let before = finding(&["x", "--password=hunter2"]);
    assert_eq!(Redaction::none().apply(before.clone()), before);
}

#[test]
fn every_place_of_the_text_has_one_in_what_is_left() {
    let exec = finding(&["ab", "cdef", "g"]).exec;
    let cut = Cut::new(&exec, &[1..2, 4..6]);
    assert_eq!(cut.text, "a[redacted] c[redacted]f g");
    let places: Vec<(usize, usize)> =
        (0..=exec.text.len()).map(|at| (cut.place(at, false), cut.place(at, true))).collect();
    assert_eq!(
        places,
        [
            (0, 0),
            (1, 1),
            (11, 11),
            (12, 12),
            (13, 13),
            (13, 23),
            (23, 23),
            (24, 24),
            (25, 25),
            (26, 26),
        ]
    );
}
