use std::collections::HashSet;

use super::*;
use crate::rules::format::Severity;
use crate::rules::set::RuleSet;

const EXEC: &str = include_str!("builtin/pod-exec-sensitive-path.toml");
const TERMS: &str = include_str!("builtin/secret-access-unusual-client.toml");

#[test]
fn the_builtin_rules_are_valid_and_carry_their_identity() {
    let rules = RuleSet::builtin().unwrap();
    let identity: Vec<_> = rules
        .rules()
        .iter()
        .map(|rule| {
            let info = rule.info();
            let techniques: Vec<&str> = info
                .threat
                .iter()
                .flat_map(|threat| &threat.techniques)
                .flat_map(|technique| {
                    let subs = technique.subtechniques.iter().map(|sub| sub.id.as_str());
                    std::iter::once(technique.id.as_str()).chain(subs)
                })
                .collect();
            (&*info.id, &*info.uuid, info.severity, info.risk_score, techniques)
        })
        .collect();
    assert_eq!(
        identity,
        [
            (
                "pod-exec-sensitive-path",
                "b2c3d4e5-f6a7-4890-b1c2-d3e4f5a60789",
                Severity::High,
                73,
                vec!["T1552", "T1552.001", "T1552.007", "T1609"]
            ),
            (
                "secret-access-unusual-client",
                "cbda9a0e-2be4-4eaa-9571-8d6a503e9828",
                Severity::Low,
                21,
                vec!["T1552", "T1552.007"]
            ),
        ]
    );
    for rule in rules.rules() {
        assert_eq!(rule.info().license, "Apache-2.0");
        assert_eq!(rule.info().version, "1.0.0");
        assert!(!rule.notes().blind_spots.is_empty() && !rule.notes().known_noise.is_empty());
    }
}

#[test]
fn the_secret_rule_means_what_it_should() {
    let rules = RuleSet::builtin().unwrap();
    let RuleKind::NewTerms(rule) = rules.rules()[1].kind() else { panic!("a new-terms rule") };
    assert_eq!(rule.window_ms, 7 * limits::DAY_MS);
    assert_eq!(rule.fields, [TermField::SourceIp, TermField::UserName, TermField::UserAgent]);
    assert_eq!(rule.shard_by, Some(TermField::UserName));
    // Part of the keys of stored terms: a change here starts a new history everywhere.
    assert_eq!(rule.terms_version, "secret-access-unusual-client/87eb241d7255c522");
}

#[test]
fn another_window_or_other_fields_are_another_version_of_the_terms() {
    use TermField::{SourceIp, UserName};
    let versions = [
        terms_version("a", &[SourceIp, UserName], 1_000),
        terms_version("b", &[SourceIp, UserName], 1_000),
        terms_version("a", &[UserName, SourceIp], 1_000),
        terms_version("a", &[SourceIp], 1_000),
        terms_version("a", &[SourceIp, UserName], 1_001),
    ];
    let distinct: HashSet<_> = versions.iter().collect();
    assert_eq!(distinct.len(), versions.len(), "{versions:?}");
}

#[test]
fn picks_rules_by_id_and_suggests_the_nearest() {
    let rules = RuleSet::builtin().unwrap();
    let ids = |set: RuleSet| -> Vec<String> {
        set.rules().iter().map(|rule| rule.id().to_owned()).collect()
    };
    assert_eq!(ids(rules.only(&["secret-access-unusual-client"]).unwrap()).len(), 1);
    assert_eq!(ids(rules.only(&[""; 0]).unwrap()).len(), 2);

    let error = rules.only(&["pod-exec-sensitve-path"]).unwrap_err();
    assert_eq!(error.nearest.as_deref(), Some("pod-exec-sensitive-path"));
    assert_eq!(
        error.to_string(),
        "there is no rule `pod-exec-sensitve-path`\n\nhint: did you mean `pod-exec-sensitive-path`?"
    );
    let error = rules.only(&["zzz"]).unwrap_err();
    assert_eq!(error.to_string(), "there is no rule `zzz`");
}

#[test]
fn refuses_two_rules_of_one_id() {
    let twice = RuleSet::from_sources([("a.toml", EXEC), ("b.toml", EXEC)]);
    assert!(matches!(twice, Err(RuleError::DuplicateId { file, .. }) if file == "b.toml"));
    let builtin = RuleSet::builtin().unwrap();
    assert!(builtin.clone().merged(builtin).is_err());
}

#[test]
fn says_what_is_wrong_with_a_rule_file() {
    let replaced = |text: &str, from: &str, to: &str| {
        assert!(text.contains(from), "the case no longer applies: {from}");
        text.replacen(from, to, 1)
    };
    for (text, from, to, message) in [
        (EXEC, "mask =", "masks =", "unknown field `masks`"),
        (EXEC, "[unseen_command]\nlabel", "[unseen_command]\nlabels", "unknown field `labels`"),
        (EXEC, "name = \"Execution\"", "title = \"Execution\"", "unknown field `title`"),
        (EXEC, "type = \"exec\"", "type = \"shell\"", "unknown variant `shell`"),
        (EXEC, "type = \"exec\"", "", "missing field `type`"),
        (EXEC, "type = \"exec\"", "type = \"new_terms\"", "`sensitive_paths` does not belong"),
        (EXEC, "type = \"exec\"", "type = \"exec\"\nwindow = \"7d\"", "`window` does not belong"),
        (EXEC, "default_label =", "#", "`default_label` is missing"),
        (EXEC, "'\\.p12'", "'('", "in `sensitive_paths`, pattern `pkcs12-file` is not valid"),
        (EXEC, "'\\.p12'", "'x*'", "would match every command"),
        (EXEC, "\"/etc/resolv.conf\"]", "\"resolv.conf\"]", "`mask` must hold absolute paths"),
        (EXEC, "risk_score = 73", "risk_score = 101", "`risk_score` must be at most 100"),
        (EXEC, "risk_score = 47", "risk_score = 101", "`likely.risk_score` must be"),
        (EXEC, "risk_score = 21", "risk_score = 101", "`hidden_command.risk_score` must be"),
        (
            EXEC,
            "UNSEEN_COMMAND\"\nseverity = \"low\"\nrisk_score = 21",
            "UNSEEN_COMMAND\"\nseverity = \"low\"\nrisk_score = 101",
            "`unseen_command.risk_score` must be",
        ),
        (EXEC, "path = \"**/*.p12\"", "path = \"p12\"", "in `paths`, path `pkcs12-file`"),
        (EXEC, "[likely]\nseverity", "[likely]\nseverities", "unknown field `severities`"),
        (EXEC, "id = \"pod-exec", "id = \"Pod exec", "`id` must be"),
        (EXEC, "uuid = \"b2", "uuid = \"", "`uuid` is no UUID"),
        (TERMS, "window = \"7d\"", "window = \"7\"", "`7` is no duration"),
        (TERMS, "window = \"7d\"", "window = \"91d\"", "at most 90d"),
        (TERMS, "window = \"7d\"", "window = \"0s\"", "more than 0s"),
        (TERMS, "window = \"7d\"", "", "`window` is missing"),
        (TERMS, "\"source.ip\", ", "\"container.name\", ", "the rule needs `query` and no `match`"),
        (TERMS, "\"source.ip\", ", "\"user.name\", ", "`fields` must hold"),
        (TERMS, "\"user.name\", ", "", "`shard_by` must be one of `fields`"),
        (TERMS, "[\"get\", \"list\"]", "[]", "`match.verbs` is empty"),
        (TERMS, "\"secrets\"", "\"\"", "`match.resource` must name"),
        (TERMS, "required", "needed", "unknown field `needed`"),
        (TERMS, "kubernetes/$Format\" }", "\" }", "which every user agent ends with"),
        (
            EXEC,
            "type = \"exec\"",
            "type = \"exec\"\nlabel_field = \"user.name\"",
            "`label_field` does not",
        ),
        (TERMS, "window = \"7d\"", "window = \"7d\"\nlabels = []", "`labels` needs both"),
        (
            TERMS,
            "window = \"7d\"",
            "window = \"7d\"\ndefault_label = \"A\"",
            "`default_label` needs both",
        ),
        (
            TERMS,
            "window = \"7d\"",
            "window = \"7d\"\nsuppress = { by = [\"user.name\"], for = \"1h\" }",
            "`suppress` does not belong in a rule of type `new_terms`",
        ),
        (
            EXEC,
            "type = \"exec\"",
            "type = \"exec\"\nsuppress = { by = [], for = \"1h\" }",
            "`suppress.by` must hold 1",
        ),
        (
            EXEC,
            "type = \"exec\"",
            "type = \"exec\"\nsuppress = { by = [\"user.nmae\"], for = \"1h\" }",
            "did you mean `user.name`",
        ),
        (
            EXEC,
            "type = \"exec\"",
            "type = \"exec\"\nsuppress = { by = [\"user.name\"], for = \"0s\" }",
            "`suppress.for` must be more",
        ),
        (
            EXEC,
            "type = \"exec\"",
            "type = \"exec\"\nsuppress = { by = [\"kubernetes.audit.requestObject.a\"], for = \"1h\" }",
            "only asked about",
        ),
    ] {
        let error = Rule::from_toml("r.toml", &replaced(text, from, to)).unwrap_err().to_string();
        assert!(error.contains(message), "{from} -> {to}: {error}");
        assert!(error.starts_with("`r.toml`"), "{error}");
    }
}

#[test]
fn new_terms_of_a_query_may_be_of_any_field_that_may_leave() {
    let (rule, _) = Rule::read("r.toml", BOUND).unwrap();
    let RuleKind::NewTerms(terms) = rule.kind() else { panic!("a new-terms rule") };
    assert_eq!(terms.fields[0], TermField::UserName);
    assert_eq!(terms.fields[2].name(), "kubernetes.audit.objectRef.namespace");
    assert!(rule.query().is_some() && rule.object_words().is_empty());
    let of_field = |name: &str| {
        let from = "\"kubernetes.audit.objectRef.namespace\"";
        BOUND.replacen(from, &format!("{name:?}"), 1)
    };
    for name in ["kubernetes.audit.annotations.a.example/b", "container.name", "exec.access_type"] {
        Rule::from_toml("r.toml", &of_field(name)).unwrap();
    }
    for (name, message) in [
        ("kubernetes.audit.requestObject.spec.nodeName", "never leaves"),
        ("kubernetes.audit.responseObject", "never leaves"),
        ("exec.command", "may hold the secrets of a command"),
        ("kubernetes.audit.requestURI", "may hold the secrets of a command"),
        ("kubernetes.audit.annotations.command.gke.io/command", "the secrets of a command"),
        ("kubernetes.audit.annotations.command_gke_io/command", "the secrets of a command"),
        ("kubernetes.audit.objectRef.nam", "did you mean"),
        ("kubernetes.audit.objectRef", "fields"),
        ("kubernetes.*", "holds `kubernetes.*`"),
        ("", "holds ``"),
        ("user.name", "each once"),
    ] {
        let error = Rule::from_toml("r.toml", &of_field(name)).unwrap_err().to_string();
        assert!(error.contains(message) && error.contains("`fields`"), "{name}: {error}");
    }
    let both = format!("{BOUND}\n[match]\nresource = \"secrets\"\nverbs = [\"get\"]\n");
    let error = Rule::from_toml("r.toml", &both).unwrap_err().to_string();
    assert!(error.contains("one of both is enough"), "{error}");
    let many: Vec<String> = (0..9).map(|nth| format!("\"user.extra{nth}\"")).collect();
    let many =
        BOUND.replacen("\"user.name\", ", &format!("\"user.name\", {}, ", many.join(", ")), 1);
    let error = Rule::from_toml("r.toml", &many).unwrap_err().to_string();
    assert!(error.contains("more than 8 fields"), "{error}");
}

#[test]
fn published_new_terms_are_read_as_they_are() {
    let (rule, notes) = Rule::read("r.toml", GROUP).unwrap();
    let RuleKind::NewTerms(terms) = rule.kind() else { panic!("a new-terms rule") };
    assert_eq!(terms.window_ms, 14 * limits::DAY_MS);
    let names: Vec<&str> = terms.fields.iter().map(TermField::name).collect();
    assert_eq!(names, ["kubernetes.audit.user.username", "kubernetes.audit.user.groups"]);
    assert_eq!(terms.shard_by.as_ref(), terms.fields.first());
    assert_eq!(notes.len(), 1, "{notes:?}");
    let body = GROUP.replacen("audit.user.groups", "audit.requestObject.kind", 1);
    let error = Rule::read("r.toml", &body).unwrap_err();
    assert!(error.to_string().contains("are not supported: what was sent"), "{error}");
}

#[test]
fn a_syntax_error_names_its_line() {
    let error = Rule::from_toml("r.toml", "id = \"a\"\nnope").unwrap_err().to_string();
    assert!(error.contains("line 2"), "{error}");
}

const DELETED: &str = include_str!("../../tests/fixtures/rules/own/secret-deleted.toml");
const PUBLISHED: &str = include_str!("../../tests/fixtures/rules/published/anonymous-access.toml");
const BOUND: &str = include_str!("../../tests/fixtures/rules/own/role-bound-by-a-new-hand.toml");
const GROUP: &str = include_str!("../../tests/fixtures/rules/published/new-group-of-a-user.toml");
const FOREIGN: &str = include_str!("../../tests/fixtures/rules/published/another-language.toml");

#[test]
fn a_wrong_query_is_told_at_its_place_in_the_file() {
    for (from, to, place, message) in [
        ("user.name:", "user.nmae:", "line 13, column 11", "did you mean `user.name`?"),
        ("or deletecollection)", "or deletecollection", "line 13", "hint: "),
        ("event.action:", "event.action=", "line 12, column 61", "hint: "),
        ("type = \"query\"", "type = \"exec\"", "`query` does not belong", ""),
        ("type = \"query\"", "type = \"query\"\nwindow = \"7d\"", "`window` does not belong", ""),
    ] {
        assert!(DELETED.contains(from), "the case no longer applies: {from}");
        let error = Rule::from_toml("r.toml", &DELETED.replacen(from, to, 1)).unwrap_err();
        let error = error.to_string();
        assert!(error.starts_with("`r.toml`"), "{error}");
        assert!(error.contains(place) && error.contains(message), "{from} -> {to}: {error}");
    }
    let missing = DELETED.split("query = '''").next().unwrap();
    let error = Rule::from_toml("r.toml", missing).unwrap_err().to_string();
    assert!(error.contains("`query` is missing"), "{error}");
}

#[test]
fn published_files_are_read_as_they_are() {
    let (rule, notes) = Rule::read("r.toml", PUBLISHED).unwrap();
    let info = rule.info();
    assert_eq!(info.id, "anonymous-request-was-allowed");
    assert_eq!(info.uuid, "7b1d7a04-2b1c-4c1b-8a67-3f2c9d4e5f60");
    assert_eq!((info.severity, info.risk_score), (Severity::Medium, 47));
    assert_eq!(info.threat[0].techniques[0].subtechniques[0].id, "T1078.001");
    assert!(matches!(rule.kind(), RuleKind::Query(_)) && rule.enabled());
    let [note] = &notes[..] else { panic!("{notes:?}") };
    assert!(note.starts_with("`interval`, `from`, `index`, `max_signals`"), "{note}");

    // A field that no event here has is told, and never holds.
    let field = PUBLISHED.replace("data_stream.dataset :", "process.name :");
    let (_, notes) = Rule::read("r.toml", &field).unwrap();
    assert!(notes.iter().any(|note| note.contains("process.name") && note.contains("line 32")));
}

#[test]
fn published_files_that_are_no_rule_here_say_why() {
    let check = |text: &str, message: &str| {
        let error = Rule::read("r.toml", text).unwrap_err().to_string();
        assert!(error.starts_with("`r.toml`") && error.contains(message), "{error}");
    };
    check(FOREIGN, "rules in the language `esql` are not supported");
    for (from, to, message) in [
        ("type = \"query\"", "type = \"threshold\"", "type `threshold` are not supported"),
        ("type = \"query\"", "type = \"query\"\nfilters = []", "`filters`"),
        ("rule_id = \"7b", "rule_id = \"", "`rule.rule_id` is no UUID"),
        ("risk_score = 47", "risk_score = 147", "`rule.risk_score` must be"),
        ("\nquery = '''", "\nquery = '''(", "line 31, column 12"),
        ("severity = \"medium\"", "severity = \"dire\"", "unknown variant `dire`"),
    ] {
        assert!(PUBLISHED.contains(from), "the case no longer applies: {from}");
        check(&PUBLISHED.replacen(from, to, 1), message);
    }
}

#[test]
fn queries_count_only_while_their_rules_are_in_force() {
    let off = PUBLISHED.replacen("[rule]", "[rule]\n", 1);
    let own = DELETED.replacen("type = ", "enabled = false\ntype = ", 1);
    let set = RuleSet::from_sources([("a.toml", off.as_str()), ("b.toml", own.as_str())]).unwrap();
    let ids = |set: &RuleSet| -> Vec<String> {
        let queries = set.queries().unwrap();
        (0..2).filter_map(|at| queries.rule(at)).map(|rule| rule.id().to_owned()).collect()
    };
    assert_eq!(ids(&set), ["anonymous-request-was-allowed"]);
    let both = set.clone().with(&["secret-deleted"]).unwrap();
    assert_eq!(ids(&both), ["anonymous-request-was-allowed", "secret-deleted"]);
    assert_eq!(ids(&both.only(&["secret-deleted"]).unwrap()), ["secret-deleted"]);
    assert!(RuleSet::builtin().unwrap().queries().is_none());
    let merged = RuleSet::builtin().unwrap().merged(both).unwrap();
    assert_eq!(ids(&merged), ["anonymous-request-was-allowed", "secret-deleted"]);
}
