//! The rules in force, and their queries as one program.
//!
//! Owns which rules of those that were read are in force, and their names.

use std::collections::HashSet;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::rules::compile::RuleError;
use crate::rules::exceptions::{Exception, ExceptionError, Exceptions, Rules};
use crate::rules::format::TermField;
use crate::rules::query::{Mode, Needles, Program, Query};
use crate::rules::rule::{NewTermsRule, Rule, RuleKind};
use crate::rules::triage;

/// The rules that stand in the binary: file name and text.
const BUILTIN: [(&str, &str); 3] = [
    ("pod-exec-sensitive-path.toml", include_str!("builtin/pod-exec-sensitive-path.toml")),
    (
        "secret-access-unusual-client.toml",
        include_str!("builtin/secret-access-unusual-client.toml"),
    ),
    ("pod-exec-interactive-shell.toml", include_str!("builtin/pod-exec-interactive-shell.toml")),
];

#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("there is no rule `{id}`{}", nearest.as_ref().map(|near| format!("\n\nhint: did you mean `{near}`?")).unwrap_or_default())]
pub struct UnknownRule {
    pub id: String,
    pub nearest: Option<String>,
}

/// The rules in force, in the order they were given, and those that could be.
#[derive(Debug, Clone)]
pub struct RuleSet {
    rules: Vec<Arc<Rule>>,
    /// Not in force unless asked for by id.
    off: Vec<Arc<Rule>>,
    /// Where any rule has a query.
    queries: Option<RuleQueries>,
    /// Of the rules in force.
    hash: String,
    /// Those of rules that are not in force included.
    exceptions: Exceptions,
}

/// The queries of a set's rules as one program, those of rules that are not in force included.
#[derive(Debug, Clone)]
pub struct RuleQueries {
    program: Arc<Program>,
    /// For each query.
    rules: Vec<Asked>,
    bodies: bool,
}

/// The rule of a query.
#[derive(Debug, Clone)]
struct Asked {
    rule: Arc<Rule>,
    in_force: bool,
    /// Of a new-terms rule: the numbers of its fields among those that the program reads; none for
    /// those that are read from the event itself.
    reads: Vec<Option<usize>>,
}

impl RuleQueries {
    /// Its queries are numbered as [`RuleQueries::rule`] counts.
    pub fn program(&self) -> &Program {
        &self.program
    }

    pub fn shared_program(&self) -> Arc<Program> {
        Arc::clone(&self.program)
    }

    /// The rule of a query; `None` where it is not in force.
    pub fn rule(&self, query: usize) -> Option<&Arc<Rule>> {
        self.rules.get(query).filter(|asked| asked.in_force).map(|asked| &asked.rule)
    }

    /// By which numbers the program reads the fields of a new-terms rule, in their order; `None`
    /// for those that it does not read.
    pub fn reads(&self, query: usize) -> &[Option<usize>] {
        self.rules.get(query).map_or(&[], |asked| &asked.reads)
    }

    /// Whether any of them looks into what was sent or answered.
    pub fn asks_about_bodies(&self) -> bool {
        self.bodies
    }

    /// What an event has to hold so that a rule in force can match, rule by rule.
    pub fn in_force(&self) -> impl Iterator<Item = (&Rule, &Needles)> {
        let rules = self.rules.iter().zip(self.program.needles());
        let rules = rules.filter(|(asked, _)| asked.in_force);
        rules.map(|(asked, needles)| (&*asked.rule, needles))
    }
}

impl RuleSet {
    /// The rules that stand in the binary. They are files like any other, so this can fail in
    /// principle; a test keeps it from failing.
    pub fn builtin() -> Result<RuleSet, RuleError> {
        RuleSet::from_sources(BUILTIN)
    }

    /// Rules from pairs of a file name, for messages, and the file's text.
    pub fn from_sources<'s>(
        sources: impl IntoIterator<Item = (&'s str, &'s str)>,
    ) -> Result<RuleSet, RuleError> {
        let rules = sources
            .into_iter()
            .map(|(file, text)| Rule::read(file, text).map(|(rule, _)| (file.to_owned(), rule)));
        RuleSet::of(rules.collect::<Result<Vec<_>, _>>()?)
    }

    /// The rules with the files they come from, for messages.
    pub fn of(all: impl IntoIterator<Item = (String, Rule)>) -> Result<RuleSet, RuleError> {
        let (mut rules, mut off) = (Vec::new(), Vec::new());
        let mut ids = HashSet::new();
        let mut exceptions = Vec::new();
        for (file, rule) in all {
            if !ids.insert(rule.info.id.clone()) {
                return Err(RuleError::DuplicateId { file, id: rule.info.id.clone() });
            }
            exceptions.extend(rule.exceptions.iter().cloned());
            let in_force = if rule.enabled { &mut rules } else { &mut off };
            in_force.push(Arc::new(rule));
        }
        let exceptions = Exceptions::of(exceptions)?;
        RuleSet { rules, off, queries: None, exceptions, hash: String::new() }.with_queries()
    }

    /// The same rules with more exceptions.
    ///
    /// # Errors
    /// All that name a rule which is not in the set; or they are too much together.
    pub fn excepting(mut self, more: Vec<Exception>) -> Result<RuleSet, Vec<ExceptionError>> {
        let mut unknown = Vec::new();
        for exception in &more {
            let Rules::These(rules) = &exception.of else { continue };
            for named in rules.iter().filter(|named| self.get(&named.id).is_none()) {
                let nearest = self.unknown(&named.id).nearest;
                unknown.push(named.unknown(&exception.file, nearest.as_deref()));
            }
        }
        if !unknown.is_empty() {
            return Err(unknown);
        }
        self.exceptions = self.exceptions.and(more).map_err(|error| vec![error])?;
        Ok(self.with_queries_in_force())
    }

    /// What people should know of the exceptions: those that have ended by now (milliseconds since
    /// the epoch), and those of rules that are not in force.
    pub fn exception_warnings(&self, now_ms: i64) -> Vec<String> {
        let mut warnings = Vec::new();
        for exception in self.exceptions.iter() {
            warnings.extend(exception.expiry_warning(now_ms));
            let Rules::These(rules) = &exception.of else { continue };
            for named in rules.iter().filter(|named| self.off.iter().any(|it| it.id() == named.id))
            {
                let (name, id) = (exception.shown_name(), &named.id);
                warnings.push(format!("{name}: its rule `{id}` is not in force"));
            }
        }
        warnings
    }

    pub fn exceptions(&self) -> &Exceptions {
        &self.exceptions
    }

    /// Whether anything that is in force looks into what was sent or answered.
    pub fn asks_about_bodies(&self) -> bool {
        let queries = self.queries().is_some_and(RuleQueries::asks_about_bodies);
        queries || self.exceptions.asks_about_bodies()
    }

    /// Compiles the queries of all rules into one program.
    fn with_queries(mut self) -> Result<RuleSet, RuleError> {
        let (mut queries, mut rules, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for rule in self.rules.iter().chain(&self.off) {
            let Some(query) = rule.query() else { continue };
            queries.push(query.clone());
            let mut read = |field: &TermField| match field {
                TermField::Other(name) => Some(triage::number_of(&mut names, name)),
                _ => None,
            };
            let reads = match rule.kind() {
                RuleKind::NewTerms(terms) => terms.fields.iter().map(&mut read).collect(),
                RuleKind::Query(_) | RuleKind::Exec(_) => Vec::new(),
            };
            rules.push(Asked { rule: Arc::clone(rule), in_force: false, reads });
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.queries = None;
        if !queries.is_empty() {
            // Each was compiled before, strictly where it is the project's own: what is wrong is
            // wrong with all of them together.
            let program =
                Program::compile(&queries, &names, Mode::Lenient).map_err(|problems| {
                    let first = problems.into_iter().next().map(|problem| problem.error);
                    first.map_or(RuleError::TooManyQueries, |error| {
                        RuleError::Queries(Box::new(error))
                    })
                })?;
            let bodies = queries.iter().any(Query::asks_about_bodies);
            self.queries = Some(RuleQueries { program: Arc::new(program), rules, bodies });
        }
        Ok(self.with_queries_in_force())
    }

    /// Which queries count, after rules were taken in or out; and every rule in force gets the hash
    /// of the set that it is in force with.
    fn with_queries_in_force(mut self) -> RuleSet {
        self.hash = hash(&self.rules, &self.off, &self.exceptions);
        for rule in &mut self.rules {
            *rule = Arc::new(rule.in_set(&self.hash));
        }
        if let Some(queries) = &mut self.queries {
            for asked in &mut queries.rules {
                let in_force = self.rules.iter().find(|it| it.id() == asked.rule.id());
                asked.in_force = in_force.is_some();
                if let Some(rule) = in_force {
                    asked.rule = Arc::clone(rule);
                }
            }
        }
        self
    }

    /// 16 hexadecimal digits that say which rules are in force, with which texts and exceptions. The order of
    /// the rules and the names of their files make no difference.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Whether the rule is asked about every event, and every record parsed for it, since nothing is
    /// certain of the text of those that it matches. `false` also for one that is not in force.
    pub fn asks_everything(&self, id: &str) -> bool {
        self.queries().is_some_and(|queries| {
            queries
                .in_force()
                .any(|(rule, of_rule)| rule.id() == id && *of_rule == Needles::Unknown)
        })
    }

    /// The queries of the rules in force; `None` where no rule has one.
    pub fn queries(&self) -> Option<&RuleQueries> {
        self.queries.as_ref().filter(|queries| queries.rules.iter().any(|asked| asked.in_force))
    }

    /// Both sets together, e.g. the built-in rules and those of the configuration.
    pub fn merged(mut self, other: RuleSet) -> Result<RuleSet, RuleError> {
        for rule in other.rules {
            if self.get(rule.id()).is_some() {
                let id = rule.id().to_owned();
                return Err(RuleError::DuplicateId { file: format!("{id}.toml"), id });
            }
            self.rules.push(rule);
        }
        self.off.extend(other.off);
        let exceptions = other.exceptions.iter().map(|it| (**it).clone()).collect();
        self.exceptions = self.exceptions.and(exceptions)?;
        self.with_queries()
    }

    /// Those in force, and then those that are off.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.rules.iter().chain(&self.off)
    }

    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    /// Longest window of any new-terms rule, milliseconds; 0 without one.
    pub fn longest_window_ms(&self) -> i64 {
        self.new_terms().map(|(_, rule)| rule.window_ms).max().unwrap_or(0)
    }

    /// Ids of the new-terms rules, in their order.
    pub fn new_terms_ids(&self) -> Vec<&str> {
        self.new_terms().map(|(id, _)| id).collect()
    }

    fn new_terms(&self) -> impl Iterator<Item = (&str, &NewTermsRule)> {
        self.rules().iter().filter_map(|rule| match rule.kind() {
            RuleKind::NewTerms(new_terms) => Some((rule.id(), new_terms)),
            RuleKind::Exec(_) | RuleKind::Query(_) => None,
        })
    }

    pub fn get(&self, id: &str) -> Option<&Arc<Rule>> {
        self.rules.iter().chain(&self.off).find(|rule| rule.id() == id)
    }

    /// The rules that are not in force unless asked for.
    pub fn off(&self) -> &[Arc<Rule>] {
        &self.off
    }

    /// The same rules, those of these ids in force too.
    pub fn with(mut self, ids: &[impl AsRef<str>]) -> Result<RuleSet, UnknownRule> {
        for id in ids.iter().map(AsRef::as_ref) {
            self.get(id).ok_or_else(|| self.unknown(id))?;
            if let Some(at) = self.off.iter().position(|rule| rule.id() == id) {
                let rule = self.off.remove(at);
                self.rules.push(rule);
            }
        }
        Ok(self.with_queries_in_force())
    }

    /// The rules of these ids, in the order of the set. No ids at all mean every rule.
    pub fn only(&self, ids: &[impl AsRef<str>]) -> Result<RuleSet, UnknownRule> {
        if ids.is_empty() {
            return Ok(self.clone());
        }
        for id in ids.iter().map(AsRef::as_ref) {
            self.get(id).ok_or_else(|| self.unknown(id))?;
        }
        let wanted = |rule: &&Arc<Rule>| ids.iter().any(|id| id.as_ref() == rule.id());
        let all = self.rules.iter().chain(&self.off).cloned();
        let (rules, off) = all.partition(|rule| wanted(&rule));
        let (queries, exceptions) = (self.queries.clone(), self.exceptions.clone());
        let set = RuleSet { rules, off, queries, exceptions, hash: String::new() };
        Ok(set.with_queries_in_force())
    }

    /// The error for an id that is not in the set, with the nearest that is.
    pub fn unknown(&self, id: &str) -> UnknownRule {
        let nearest = self
            .rules
            .iter()
            .chain(&self.off)
            .map(|rule| (strsim::jaro_winkler(id, rule.id()), rule.id()))
            .filter(|(likeness, _)| *likeness > 0.7)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, id)| id.to_owned());
        UnknownRule { id: id.to_owned(), nearest }
    }
}

/// 64 bits of SHA-256 are far more than tells sets apart that one installation ever had; they
/// are no protection against anyone who makes rules on purpose.
///
/// Rules about commands count while they are off, too: queries ask for their labels.
fn hash(rules: &[Arc<Rule>], off: &[Arc<Rule>], exceptions: &Exceptions) -> String {
    let in_force = |it: &&Arc<Exception>| rules.iter().any(|rule| it.concerns(rule.id()));
    let excepted = exceptions.iter().filter(in_force).map(|exception| exception.digest());
    let mut digests: Vec<[u8; 32]> = rules.iter().map(|rule| rule.digest).chain(excepted).collect();
    digests.sort_unstable();
    let about_commands = |rule: &&Arc<Rule>| matches!(rule.kind(), RuleKind::Exec(_));
    let mut off: Vec<[u8; 32]> = off.iter().filter(about_commands).map(|it| it.digest).collect();
    off.sort_unstable();
    let mut hash = Sha256::new();
    hash.update((digests.len() as u64).to_le_bytes());
    digests.iter().chain(&off).for_each(|digest| hash.update(digest));
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(sources: &[(&str, &str)]) -> RuleSet {
        RuleSet::from_sources(sources.iter().copied()).unwrap()
    }

    #[test]
    fn the_hash_is_of_the_rules_in_force_and_stands_in_each_of_them() {
        let all = set(&BUILTIN);
        let hash = all.hash().to_owned();
        assert!(hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{hash}");
        assert!(all.rules().iter().all(|rule| rule.info().ruleset == hash));

        let [first, second, third] = BUILTIN;
        assert_eq!(set(&[third, second, ("renamed.toml", first.1)]).hash(), hash);
        let other = first.1.replace("severity = \"high\"", "severity = \"medium\"");
        assert_ne!(other, first.1);
        assert_ne!(set(&[(first.0, &other), second, third]).hash(), hash);

        let more = all.clone().with(&["pod-exec-interactive-shell"]).unwrap();
        assert_ne!(more.hash(), hash);
        assert!(more.rules().iter().all(|rule| rule.info().ruleset == more.hash()));
        let fewer = more.only(&["pod-exec-sensitive-path", "secret-access-unusual-client"]);
        assert_eq!(fewer.unwrap().hash(), hash, "what is off makes no difference");
        // But for the labels of rules about commands, which queries ask for.
        let labels = third.1.replace("INTERACTIVE_SHELL", "SHELL");
        assert_ne!(labels, third.1);
        assert_ne!(set(&[first, second, (third.0, &labels)]).hash(), hash);
    }

    #[test]
    fn exceptions_are_part_of_the_hash_wherever_they_stand() {
        let hash = |file: &str, text: &str| {
            let found = crate::rules::exceptions::read_file(file, text).unwrap();
            let set = set(&BUILTIN).excepting(found).unwrap();
            assert!(set.rules().iter().all(|rule| rule.info().ruleset == set.hash()));
            set.hash().to_owned()
        };
        let of = |rule: &str, user: &str| {
            format!("[[exception]]\nrule = \"{rule}\"\nuser = \"{user}\"\nreason = \"r\"\n")
        };
        let plain = set(&BUILTIN).hash().to_owned();
        let one = hash("a.toml", &of("*", "a"));
        assert_ne!(one, plain);
        assert_eq!(hash("b.toml", &format!("\n\n{}", of("*", "a"))), one);
        assert_ne!(hash("a.toml", &of("*", "b")), one);
        assert_ne!(hash("a.toml", &of("pod-exec-sensitive-path", "a")), one);
        assert_eq!(hash("a.toml", &of("pod-exec-interactive-shell", "a")), plain, "it is off");
    }
}
