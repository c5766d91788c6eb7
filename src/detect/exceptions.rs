//! Asks the exceptions of a rule about an event that the rule matches.
//!
//! Owns which values of an event a condition looks at, and by which clock an exception ends: by the
//! event's own time, which the API server wrote. So the same event has the same answer whenever it
//! is read, again after a crash, in a backlog, or by `scan` a year later.

use std::sync::Arc;

use crate::audit::event::Event;
use crate::detect::command::Command;
use crate::detect::finding::{ExecCommand, ExecVia};
use crate::detect::queries::Asker;
use crate::rules::exceptions::{Condition, Exception, Key};

/// The stage of a request that tells neither what became of it nor for whom it is made.
const FIRST_STAGE: &str = "RequestReceived";

/// What the exceptions of a rule say to an event that it matches.
#[derive(Debug, Clone)]
pub enum Answer {
    /// The first that holds.
    Holds(Arc<Exception>),
    /// None does; this one would if it had not ended.
    Expired(Arc<Exception>),
}

/// The exceptions of all rules, about one event.
pub struct Asking<'a, 'e> {
    asker: Asker<'a, 'e>,
    cluster: &'a str,
    /// Milliseconds since the epoch.
    time_ms: Option<i64>,
    /// The numbers of the queries that match, once one was asked for.
    matching: Option<Vec<usize>>,
}

impl<'a, 'e> Asking<'a, 'e> {
    /// `time_ms` is the event's own time, or what stands in for it.
    pub fn new(asker: Asker<'a, 'e>, cluster: &'a str, time_ms: Option<i64>) -> Asking<'a, 'e> {
        Asking { asker, cluster, time_ms, matching: None }
    }

    pub fn of_rule(&mut self, rule_id: &str) -> Option<Answer> {
        let mut expired = None;
        for (exception, query) in self.asker.rules.exceptions().of_rule(rule_id) {
            // One that has an end holds of nothing whose time nobody knows.
            if exception.expires.is_some() && self.time_ms.is_none() {
                continue;
            }
            let is_expired = self.time_ms.is_some_and(|time_ms| exception.is_expired(time_ms));
            if is_expired && expired.is_some() || !self.holds(exception, query) {
                continue;
            }
            if !is_expired {
                return Some(Answer::Holds(Arc::clone(exception)));
            }
            expired = Some(Answer::Expired(Arc::clone(exception)));
        }
        expired
    }

    fn holds(&mut self, exception: &Exception, query: Option<usize>) -> bool {
        if !self.is_for_whom_it_asks(exception) {
            return false;
        }
        let values = Values {
            event: self.asker.event,
            cluster: self.cluster,
            exec: self.asker.command.map(Command::exec),
        };
        exception.conditions.iter().all(|condition| values.meet(condition))
            && query.is_none_or(|query| self.matches(query))
    }

    /// Who may act as others is not those others: an exception for a user is not one for whoever
    /// the user acts as. The first stage does not tell; a later one does.
    fn is_for_whom_it_asks(&self, exception: &Exception) -> bool {
        let is_impersonated = self.asker.event.impersonated_user.is_some();
        !is_impersonated || !exception.asks(Key::User) || exception.asks_whom_it_is_for()
    }

    /// An event that cannot be asked is no exception.
    fn matches(&mut self, query: usize) -> bool {
        let matching = self.matching.get_or_insert_with(|| {
            let program = self.asker.rules.exceptions().program();
            program.and_then(|program| self.asker.numbers(program).ok()).unwrap_or_default()
        });
        matching.binary_search(&query).is_ok()
    }
}

/// Whether it is a stage of which nothing may be remembered yet: what a later stage tells may
/// decide otherwise.
pub fn is_first_stage(event: &Event<'_>) -> bool {
    event.stage.as_deref() == Some(FIRST_STAGE)
}

/// With more addresses an event is not from a source: all but the last are the caller's to write.
const EXCEPTED_SOURCES_MAX: usize = 32;

/// Where conditions find the values that they look at.
struct Values<'a, 'e> {
    event: &'a Event<'e>,
    cluster: &'a str,
    exec: Option<&'a ExecCommand>,
}

impl<'a> Values<'a, '_> {
    fn meet(&self, condition: &Condition) -> bool {
        match condition {
            Condition::Like(Key::ImpersonatedUser, _)
                if self.event.impersonated_user.is_none() && is_first_stage(self.event) =>
            {
                true
            }
            // Whoever may act as another may choose the groups, too.
            Condition::Like(Key::ImpersonatedUser, _) if !self.has_usual_groups() => false,
            // What the kubelet runs then may stand in the body, which nobody sees.
            Condition::Like(Key::Command, _) if self.runs_through_the_kubelet() => false,
            Condition::Like(Key::Resource, wildcards) => {
                let resource = self.resource();
                let like = |resource: &str| wildcards.iter().any(|it| it.matches(resource));
                resource.is_some_and(|resource| like(&resource))
            }
            Condition::Like(key, wildcards) => {
                let value = self.of(*key).filter(|value| !value.is_empty());
                value.is_some_and(|value| wildcards.iter().any(|it| it.matches(value)))
            }
            // All of them: but for the last one, which is the peer, a client may write them itself.
            Condition::Sources(sources) => {
                let addresses = self.event.source_ips.as_deref().unwrap_or_default();
                let within = |address: &str| sources.iter().any(|it| it.network.holds(address));
                // From the peer on: it decides soonest.
                (1..=EXCEPTED_SOURCES_MAX).contains(&addresses.len())
                    && addresses.iter().rev().all(|address| within(address))
            }
        }
    }

    fn of(&self, key: Key) -> Option<&'a str> {
        let event = self.event;
        let object = event.object_ref.as_ref();
        match key {
            Key::Cluster => Some(self.cluster),
            Key::User => event.user.as_ref()?.username.as_deref(),
            Key::ImpersonatedUser => event.impersonated_user.as_ref()?.username.as_deref(),
            Key::UserAgent => event.user_agent.as_deref(),
            Key::Verb => event.verb.as_deref(),
            // Of an exec through a node's proxy the path says which pod is meant.
            Key::Namespace => match self.exec {
                Some(exec) => exec.namespace.as_deref(),
                None => object?.namespace.as_deref(),
            },
            Key::Name => object?.name.as_deref(),
            Key::Pod => match self.exec {
                Some(exec) => exec.pod.as_deref(),
                None if object?.resource.as_deref() == Some("pods") => object?.name.as_deref(),
                None => None,
            },
            Key::Container => self.exec?.container.as_deref(),
            Key::Command => Some(&self.exec?.text),
            // Made of two fields.
            Key::Resource => None,
        }
    }

    /// Whether the request acts as somebody without groups but those that everybody has.
    fn has_usual_groups(&self) -> bool {
        let whom = self.event.impersonated_user.as_ref();
        let groups = whom.and_then(|user| user.groups.as_deref()).unwrap_or_default();
        groups.iter().all(|group| {
            group.as_str() == "system:authenticated"
                || group.as_str() == "system:serviceaccounts"
                || group.starts_with("system:serviceaccounts:")
        })
    }

    fn runs_through_the_kubelet(&self) -> bool {
        self.exec.is_some_and(|exec| exec.via == ExecVia::NodesProxyRun)
    }

    fn resource(&self) -> Option<String> {
        let object = self.event.object_ref.as_ref()?;
        let resource = Event::nonempty(&object.resource)?;
        Some(match Event::nonempty(&object.subresource) {
            Some(subresource) => format!("{resource}/{subresource}"),
            None => resource.to_owned(),
        })
    }
}

#[cfg(test)]
#[path = "exceptions_tests.rs"]
mod tests;
