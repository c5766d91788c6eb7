//! What each rule in force needs to see of an event, as far as its kind and its query tell. Pure.

use std::collections::BTreeSet;

use crate::rules::format::TermField;
use crate::rules::rule::{Condition, Rule, RuleKind};
use crate::rules::set::RuleSet;

/// The fields in which the parts of an event are known to queries.
pub const SOURCES: &[&str] = &["source.ip", "kubernetes.audit.sourceIPs"];
pub const USER_AGENTS: &[&str] = &["user_agent.original", "kubernetes.audit.userAgent"];
pub const USERS: &[&str] = &["user.name", "kubernetes.audit.user.username"];

/// What one rule needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleNeeds {
    pub id: String,
    /// Commands of execs.
    pub execs: bool,
    /// A new-terms rule.
    pub terms: bool,
    /// Requests for this resource, with one of these verbs.
    pub requests: Option<(String, Vec<String>)>,
    /// Fields that it reads, by the names of queries.
    pub fields: BTreeSet<String>,
    /// Bodies of requests or responses.
    pub bodies: bool,
}

/// What the rules in force need, in the order of their ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    pub rules: Vec<RuleNeeds>,
}

impl Needs {
    pub fn of(rules: &RuleSet) -> Needs {
        let mut rules: Vec<RuleNeeds> = rules.rules().iter().map(|rule| of_rule(rule)).collect();
        rules.sort_by(|one, other| one.id.cmp(&other.id));
        Needs { rules }
    }

    fn ids(&self, is_meant: impl Fn(&RuleNeeds) -> bool) -> Vec<String> {
        self.rules.iter().filter(|rule| is_meant(rule)).map(|rule| rule.id.clone()).collect()
    }

    pub fn all(&self) -> Vec<String> {
        self.ids(|_| true)
    }

    pub fn of_execs(&self) -> Vec<String> {
        self.ids(|rule| rule.execs)
    }

    pub fn of_terms(&self) -> Vec<String> {
        self.ids(|rule| rule.terms)
    }

    pub fn of_bodies(&self) -> Vec<String> {
        self.ids(|rule| rule.bodies)
    }

    /// Those that count requests for the resource.
    pub fn of_resource(&self, resource: &str) -> Vec<String> {
        self.ids(|rule| rule.requests.as_ref().is_some_and(|(of, _)| of == resource))
    }

    /// Those that read one of the fields.
    pub fn of_fields(&self, fields: &[&str]) -> Vec<String> {
        self.ids(|rule| fields.iter().any(|field| rule.fields.contains(*field)))
    }

    /// New-terms rules that read one of the fields.
    pub fn of_terms_over(&self, fields: &[&str]) -> Vec<String> {
        self.ids(|rule| rule.terms && fields.iter().any(|field| rule.fields.contains(*field)))
    }
}

fn of_rule(rule: &Rule) -> RuleNeeds {
    let mut needs = RuleNeeds {
        id: rule.id().to_owned(),
        execs: matches!(rule.kind(), RuleKind::Exec(_)),
        terms: matches!(rule.kind(), RuleKind::NewTerms(_)),
        requests: None,
        fields: BTreeSet::new(),
        bodies: false,
    };
    if let Some(query) = rule.query() {
        needs.fields.extend(query.fields());
        needs.bodies = query.asks_about_bodies();
    }
    if let RuleKind::NewTerms(terms) = rule.kind() {
        needs.fields.extend(terms.fields.iter().map(|field| field.name().to_owned()));
        if let Condition::Match(table) = &terms.condition {
            needs.requests = Some((table.resource.clone(), table.verbs.clone()));
            if table.user_agent.required {
                needs.fields.insert(TermField::UserAgent.name().to_owned());
            }
        }
    }
    needs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_rules_need_execs_and_whole_reads_of_secrets() {
        let needs = Needs::of(&RuleSet::builtin().unwrap());
        let (exec, secrets) = ("pod-exec-sensitive-path", "secret-access-unusual-client");
        assert_eq!(needs.all(), [exec, secrets]);
        assert_eq!(needs.of_execs(), [exec]);
        assert_eq!(needs.of_resource("secrets"), [secrets]);
        assert_eq!(needs.of_terms(), [secrets]);
        for fields in [SOURCES, USER_AGENTS, USERS] {
            assert_eq!(needs.of_terms_over(fields), [secrets], "{fields:?}");
            assert_eq!(needs.of_fields(fields), [secrets], "{fields:?}");
        }
        assert!(needs.of_bodies().is_empty());
    }
}
