use std::collections::VecDeque;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::audit::event::{Event, ObjectRef};
use crate::detect::finding::ExecVia;
use crate::detect::matcher::{Context, Detection, Matcher};
use crate::position::Position;

static RULES: LazyLock<Arc<RuleSet>> = LazyLock::new(|| Arc::new(RuleSet::builtin().unwrap()));

fn rules() -> Arc<RuleSet> {
    Arc::clone(&RULES)
}

fn command(argv: &[&str]) -> ExecCommand {
    ExecCommand::new(ExecVia::PodsExec, argv.iter().map(|&part| part.to_owned()).collect())
}

fn exec(argv: &[&str], terminal: bool) -> Event<'static> {
    let query = argv.iter().map(|part| {
        let escaped: String = part.bytes().map(|byte| format!("%{byte:02x}")).collect();
        format!("command={escaped}&")
    });
    let query: String = query.collect();
    Event {
        audit_id: Some("a-1".into()),
        request_uri: Some(format!("/exec?{query}stdin={terminal}&tty={terminal}").into()),
        object_ref: Some(ObjectRef {
            resource: Some("pods".into()),
            subresource: Some("exec".into()),
            ..ObjectRef::default()
        }),
        ..Event::default()
    }
}

fn context() -> Context<'static> {
    let position = Position::File { path: "audit.log".to_owned(), line: 1, item: 0 };
    Context { cluster: "prod", position, wrapper_id: None, wrapper_time_ms: None }
}

/// What is learned anew of a command if it is asked about now.
fn is_new(harmless: &mut Harmless, rules: &Arc<RuleSet>, argv: &[&str]) -> bool {
    let is_new = !harmless.knows(rules, &command(argv));
    if is_new {
        harmless.learn();
    }
    is_new
}

#[test]
fn a_command_that_was_judged_is_known_by_all_that_decides() {
    let rules = rules();
    let mut harmless = Harmless::default();
    assert!(is_new(&mut harmless, &rules, &["sh", "-c", "ls /tmp"]));
    assert!(!is_new(&mut harmless, &rules, &["sh", "-c", "ls /tmp"]));
    for other in [&["sh", "-c", "ls", "/tmp"][..], &["sh -c ls /tmp"], &["sh", "-c", "ls /tmp", ""]]
    {
        assert!(is_new(&mut harmless, &rules, other), "{other:?}");
    }
    let known = command(&["sh", "-c", "ls /tmp"]);
    for other in [
        ExecCommand { tty: true, ..known.clone() },
        ExecCommand { stdin: true, ..known.clone() },
        ExecCommand { via: ExecVia::NodesProxyRun, ..known.clone() },
        ExecCommand { text: "sh -c ls  /tmp".to_owned(), ..known.clone() },
    ] {
        assert!(!harmless.knows(&rules, &other), "{other:?}");
    }
    let elsewhere = ExecCommand {
        namespace: Some("n".to_owned()),
        pod: Some("p".to_owned()),
        container: Some("c".to_owned()),
        ..known
    };
    assert!(harmless.knows(&rules, &elsewhere), "where a command runs decides nothing");
}

#[test]
fn what_is_known_is_forgotten_with_the_rules() {
    let others = Arc::new(RuleSet::builtin().unwrap());
    let rules = rules();
    let mut harmless = Harmless::default();
    assert!(is_new(&mut harmless, &rules, &["ls"]));
    assert!(is_new(&mut harmless, &others, &["ls"]));
    assert!(is_new(&mut harmless, &rules, &["ls"]));
    assert!(!is_new(&mut harmless, &rules, &["ls"]));
}

#[test]
fn a_command_that_raises_something_is_judged_each_time() {
    let matcher = Matcher::new(rules(), 0);
    let mut harmless = Harmless::default();
    for _ in 0..3 {
        let mut found = Vec::new();
        let event = exec(&["cat", "/etc/shadow"], false);
        matcher.examine_knowing(&mut harmless, event, context(), &mut found);
        assert!(matches!(found[..], [Detection::Finding(_)]), "{found:?}");
    }
    assert!(harmless.young.is_empty());
}

#[test]
fn what_is_kept_is_bounded_and_what_is_asked_for_stays() {
    let rules = rules();
    let mut harmless = Harmless::default();
    assert!(is_new(&mut harmless, &rules, &["ls", "/tmp"]));
    let padding = "x".repeat(1_000);
    let mut most = 0;
    for number in 0..4_000 {
        assert!(is_new(&mut harmless, &rules, &[&padding, &number.to_string()]));
        assert!(!is_new(&mut harmless, &rules, &["ls", "/tmp"]), "forgotten at {number}");
        let kept = harmless.young.iter().chain(&harmless.old);
        most = most.max(kept.map(|key| kept_bytes(key.len())).sum());
    }
    let bound = HARMLESS_COMMANDS_MAX_BYTES;
    assert!(most <= bound && most > bound / 2, "{most}");
    assert!(is_new(&mut harmless, &rules, &[&padding, "0"]), "the oldest are forgotten");
    assert!(!is_new(&mut harmless, &rules, &[&padding, "3999"]), "the youngest are not");
}

#[test]
fn a_long_command_is_not_kept() {
    let rules = rules();
    let mut harmless = Harmless::default();
    let long = "x".repeat(HARMLESS_COMMAND_MAX_BYTES);
    let many = vec![""; HARMLESS_COMMAND_MAX_BYTES];
    for argv in [&[long.as_str()][..], &many] {
        assert!(is_new(&mut harmless, &rules, argv));
        assert!(is_new(&mut harmless, &rules, argv));
    }
    assert!(harmless.young.is_empty() && harmless.key.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Commands of few words, so that many repeat and many differ only in where an argument ends.
    #[test]
    fn what_is_known_decides_as_what_is_judged_anew(
        commands in prop::collection::vec(
            (prop::collection::vec(0_usize..WORDS.len(), 0..4), any::<bool>()),
            1..60,
        )
    ) {
        let matcher = Matcher::new(rules(), 0);
        let mut harmless = Harmless::default();
        // Each once more after the others.
        let mut commands: VecDeque<_> = commands.into();
        commands.extend(commands.clone());
        for (words, terminal) in commands {
            let argv: Vec<&str> = words.iter().map(|&word| WORDS[word]).collect();
            let (mut anew, mut known) = (Vec::new(), Vec::new());
            matcher.examine(exec(&argv, terminal), context(), &mut anew);
            let event = exec(&argv, terminal);
            matcher.examine_knowing(&mut harmless, event, context(), &mut known);
            prop_assert_eq!(anew, known, "{:?}", argv);
        }
    }
}

const WORDS: [&str; 12] = [
    "cat",
    "/etc/shadow",
    "/etc",
    "shadow",
    "sh",
    "-c",
    "cat /etc/shadow",
    "cat /etc",
    "ls",
    "",
    "/",
    "sh -c",
];
