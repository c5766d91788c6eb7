use super::*;
use crate::audit::event::{ObjectRef, Text, User};
use crate::rules::rule::{Condition, RuleKind};
use crate::rules::set::RuleSet;

const UNSTAMPED: &str = "controller/v0.0.0 (linux/amd64) kubernetes/$Format";

fn with_rule<T>(ask: impl FnOnce(&NewTermsRule) -> T) -> T {
    let rules = RuleSet::builtin().unwrap();
    match rules.get("secret-access-unusual-client").unwrap().kind() {
        RuleKind::NewTerms(rule) => ask(rule),
        _ => panic!("a new-terms rule"),
    }
}

fn with_table<T>(ask: impl FnOnce(&MatchTable) -> T) -> T {
    with_rule(|rule| match &rule.condition {
        Condition::Match(table) => ask(table),
        Condition::Query(_) => panic!("a table"),
    })
}

fn secret_read<'a>(sources: &[&'a str], user: &'a str, agent: &'a str) -> Event<'a> {
    Event {
        verb: Some("get".into()),
        user: Some(User { username: Some(user.into()), ..User::default() }),
        source_ips: Some(sources.iter().map(|ip| Text::from(*ip)).collect()),
        user_agent: Some(agent.into()),
        object_ref: Some(ObjectRef { resource: Some("secrets".into()), ..ObjectRef::default() }),
        ..Event::default()
    }
}

#[test]
fn counts_reads_of_secrets_by_stamped_clients() {
    for (resource, verb, agent, expected) in [
        ("secrets", "get", "kubectl/v1.34", true),
        ("secrets", "list", "kubectl/v1.34", true),
        ("secrets", "watch", "kubectl/v1.34", false),
        ("secrets", "create", "kubectl/v1.34", false),
        ("secrets", "GET", "kubectl/v1.34", false),
        ("Secrets", "get", "kubectl/v1.34", false),
        ("secret", "get", "kubectl/v1.34", false),
        ("configmaps", "get", "kubectl/v1.34", false),
        ("secrets", "get", UNSTAMPED, false),
        // Only the very end counts, and case does.
        ("secrets", "get", "controller kubernetes/$Format/leader-election", true),
        ("secrets", "get", "controller kubernetes/$format", true),
        ("secrets", "get", "kubernetes/$Format", false),
        ("secrets", "get", "", false),
    ] {
        let mut event = secret_read(&["10.0.0.1"], "jane", agent);
        event.verb = Some(verb.into());
        event.object_ref.as_mut().unwrap().resource = Some(resource.into());
        let counted = with_table(|table| counts(table, &event));
        assert_eq!(counted, expected, "{resource} {verb} {agent}");
    }
    let mut event = secret_read(&["10.0.0.1"], "jane", "kubectl");
    event.user_agent = None;
    assert!(!with_table(|table| counts(table, &event)));
    assert!(!with_table(|table| counts(table, &Event::default())));
}

#[test]
fn a_missing_or_empty_field_gives_no_tuple() {
    let no_user = Event { user: None, ..secret_read(&["10.0.0.1"], "", "kubectl") };
    let no_sources = Event { source_ips: None, ..secret_read(&[], "jane", "kubectl") };
    for (event, field) in [
        (secret_read(&["10.0.0.1"], "", "kubectl"), TermField::UserName),
        (no_user, TermField::UserName),
        (secret_read(&["10.0.0.1"], "jane", ""), TermField::UserAgent),
        (secret_read(&[], "jane", "kubectl"), TermField::SourceIp),
        (no_sources, TermField::SourceIp),
    ] {
        let found = with_rule(|rule| of(rule, &event, &[]));
        assert_eq!(found.tuples, []);
        assert_eq!(found.absent, Some(Absent::Field(field)));
    }
}

#[test]
fn one_address_has_one_text() {
    for (sources, expected) in [
        (&["10.0.0.1"][..], &["10.0.0.1"][..]),
        (&["::ffff:10.0.0.1", "10.0.0.1"], &["10.0.0.1"]),
        (&["::FFFF:0a00:0001"], &["10.0.0.1"]),
        (&["2001:DB8:0:0::1", "2001:db8::1"], &["2001:db8::1"]),
        (&["::1"], &["::1"]),
        (&["10.0.0.2", "10.0.0.1", "10.0.0.2"], &["10.0.0.1", "10.0.0.2"]),
    ] {
        let found = with_rule(|rule| of(rule, &secret_read(sources, "jane", "kubectl"), &[]));
        let addresses: Vec<&str> = found.tuples.iter().map(|t| t.terms[0].as_str()).collect();
        assert_eq!(addresses, expected, "{sources:?}");
        for tuple in &found.tuples {
            assert_eq!(tuple.terms[1..], ["jane", "kubectl"]);
            assert_eq!(tuple.shard_key, "jane");
        }
        assert_eq!(found.sources_over_limit, 0);
    }
}

#[test]
fn a_source_that_is_no_address_leaves_the_event_without_one() {
    for sources in [
        &["unknown"][..],
        &["10.0.0.1", ""],
        &["gce-internal-ip", "10.0.0.1"],
        &["10.0.0.1:443"],
        &["010.0.0.1"],
        &["fe80::1%eth0"],
    ] {
        let found = with_rule(|rule| of(rule, &secret_read(sources, "jane", "kubectl"), &[]));
        assert_eq!(found.tuples, [], "{sources:?}");
        assert_eq!(found.absent, Some(Absent::SourceNoAddress), "{sources:?}");
    }
}

#[test]
fn a_long_list_of_sources_is_cut_and_keeps_the_peer() {
    let forged: Vec<String> = (1..=20).map(|n| format!("192.0.2.{n}")).collect();
    let mut sources: Vec<&str> = forged.iter().map(String::as_str).collect();
    sources.push("10.9.8.7");
    let found = with_rule(|rule| of(rule, &secret_read(&sources, "jane", "kubectl"), &[]));
    assert_eq!(found.tuples.len(), limits::SOURCE_IPS_MAX);
    assert_eq!(found.sources_over_limit, 13);
    assert_eq!(found.tuples[0].terms[0], "192.0.2.1");
    assert_eq!(found.tuples[7].terms[0], "10.9.8.7");
}

#[test]
fn a_rule_without_a_shard_field_is_sharded_by_the_whole_term() {
    with_rule(|rule| {
        let rule = NewTermsRule { shard_by: None, ..rule.clone() };
        let found = of(&rule, &secret_read(&["10.0.0.1"], "jane", "kubectl"), &[]);
        assert_eq!(found.tuples[0].shard_key, "10.0.0.1\njane\nkubectl");
    });
}

#[test]
fn a_value_too_long_for_a_key_is_cut_and_stays_itself() {
    let long = "ü".repeat(limits::TERM_MAX_BYTES);
    let longer = format!("{long}x");
    let term = |agent: &str| {
        let found = with_rule(|rule| of(rule, &secret_read(&["10.0.0.1"], "jane", agent), &[]));
        found.tuples[0].terms[2].clone()
    };
    assert!(term(&long).len() < limits::TERM_MAX_BYTES + 100);
    assert_eq!(term(&long), term(&long));
    assert_ne!(term(&long), term(&longer), "what differs behind the cut differs still");
    let whole = "a".repeat(limits::TERM_MAX_BYTES);
    assert_eq!(term(&whole), whole);
}

#[test]
fn forged_addresses_push_no_tuple_of_the_peer_out() {
    let forged: Vec<String> = (1..=7).map(|n| format!("192.0.2.{n}")).collect();
    let mut sources: Vec<&str> = forged.iter().map(String::as_str).collect();
    sources.push("10.9.8.7");
    let groups: Vec<String> = (0..10).map(|n| format!("group-{n}")).collect();
    let found = with_rule(|rule| {
        let fields = vec![TermField::SourceIp, TermField::Other("groups".to_owned())];
        let rule = NewTermsRule { fields, shard_by: None, ..rule.clone() };
        of(&rule, &secret_read(&sources, "jane", "kubectl"), &[Vec::new(), groups.clone()])
    });
    assert!(found.over_limit);
    let terms: Vec<Vec<String>> = found.tuples.into_iter().map(|tuple| tuple.terms).collect();
    let expected: Vec<Vec<String>> =
        groups.iter().map(|group| vec!["10.9.8.7".to_owned(), group.clone()]).collect();
    assert_eq!(terms, expected, "every group of the peer has its tuple");

    // What is too much without them is cut.
    let many: Vec<String> = (0..65).map(|n| format!("group-{n}")).collect();
    let found = with_rule(|rule| {
        let fields = vec![TermField::UserName, TermField::Other("groups".to_owned())];
        let rule = NewTermsRule { fields, shard_by: None, ..rule.clone() };
        of(&rule, &secret_read(&["10.9.8.7"], "jane", "kubectl"), &[Vec::new(), many])
    });
    assert_eq!((found.tuples.len(), found.over_limit), (limits::TUPLES_MAX, true));
}
