//! Asks the queries of rules about an event.
//!
//! Owns how an event becomes the document that a query sees: its own JSON, the bodies of request
//! and response where the record has them, and what is read from the command of an exec. Nothing
//! of that document is kept.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::audit::event::{Body, Event, Text};
use crate::detect::command::{Command, judge};
use crate::ingest::envelope::Bodies;
use crate::limits;
use crate::rules::query::{
    Derived, DerivedField, DerivedValues, EarlyField, Known, Matches, Program, Scratch,
};
use crate::rules::rule::{Rule, RuleKind};
use crate::rules::set::{RuleQueries, RuleSet};

/// What asking takes, kept by each worker's thread from one event to the next.
#[derive(Default)]
struct Room {
    json: Vec<u8>,
    scratch: Scratch,
}

thread_local! {
    static ROOM: RefCell<Room> = RefCell::default();
}

/// A rule whose query matches.
pub struct Found<'r> {
    pub rule: &'r Arc<Rule>,
    /// For a new-terms rule the distinct values of each of its fields, in their order; none of
    /// those that are not read by a query.
    pub values: Vec<Vec<String>>,
}

/// An event that is asked.
#[derive(Clone, Copy)]
pub struct Asker<'a, 'e> {
    /// For the labels of those about commands.
    pub rules: &'a RuleSet,
    pub event: &'a Event<'e>,
    /// Of an exec.
    pub command: Option<&'a Command<'e>>,
}

impl Asker<'_, '_> {
    /// Runs the program over the event's document. `Err` says why the event could not be asked: it
    /// has more values than are kept.
    fn run<T>(
        &self,
        program: &Program,
        bodies: Bodies,
        with: impl FnOnce(Matches<'_>) -> T,
    ) -> Result<T, String> {
        ROOM.with_borrow_mut(|room| {
            let Room { json, scratch } = room;
            json.clear();
            document(self.event, bodies, json).map_err(|error| error.to_string())?;
            let mut derived = FromCommand { command: self.command, rules: self.rules };
            let asked = program.run(json, scratch, &mut derived);
            asked.map(with).map_err(|error| error.to_string())
        })
    }

    /// The values of each field that the program reads, in the event's order; none of the bodies.
    /// Errors as for [`Asker::matching`].
    pub fn values(&self, program: &Program) -> Result<Vec<Vec<String>>, String> {
        self.run(program, Bodies::Skipped, |mut asked| {
            let texts = |read| asked.values(read).into_iter().map(Cow::into_owned).collect();
            (0..program.reads()).map(texts).collect()
        })
    }

    /// The rules in force whose queries match, in the order of the queries. `Err` says why the event
    /// could not be asked: it has more values than are kept.
    pub fn matching<'r>(&self, queries: &'r RuleQueries) -> Result<Vec<Found<'r>>, String> {
        if !queries.program().may_match(|field| self.known(field)) {
            return Ok(Vec::new());
        }
        self.run(queries.program(), Bodies::PointedAt, |mut asked| {
            let matching = asked.queries().to_vec();
            let found = matching.into_iter().filter_map(|query| {
                let reads = queries.reads(query).iter();
                let values = |read: &Option<usize>| read.map(|read| distinct(asked.values(read)));
                let rule = queries.rule(query)?;
                Some(Found {
                    rule,
                    values: reads.map(values).map(Option::unwrap_or_default).collect(),
                })
            });
            found.collect()
        })
    }

    /// The numbers of the queries of a program that match, ascending. Errors as for
    /// [`Asker::matching`].
    pub fn numbers(&self, program: &Program) -> Result<Vec<usize>, String> {
        if !program.may_match(|field| self.known(field)) {
            return Ok(Vec::new());
        }
        self.run(program, Bodies::PointedAt, |asked| asked.queries().to_vec())
    }

    /// What of the event tells most queries apart, without making it a document.
    fn known(&self, field: EarlyField) -> Known<'_> {
        let event = self.event;
        let object = event.object_ref.as_ref();
        let text = match field {
            EarlyField::Verb => event.verb.as_ref(),
            EarlyField::Stage => event.stage.as_ref(),
            EarlyField::Level => event.level.as_ref(),
            EarlyField::UserAgent => event.user_agent.as_ref(),
            EarlyField::UserName => event.user.as_ref().and_then(|user| user.username.as_ref()),
            EarlyField::Resource => object.and_then(|object| object.resource.as_ref()),
            EarlyField::Subresource => object.and_then(|object| object.subresource.as_ref()),
            EarlyField::Namespace => object.and_then(|object| object.namespace.as_ref()),
            EarlyField::Name => object.and_then(|object| object.name.as_ref()),
            EarlyField::ApiGroup => object.and_then(|object| object.api_group.as_ref()),
            EarlyField::Derived if self.command.is_none() => None,
            EarlyField::Derived => return Known::Unknown,
        };
        Known::Text(text.map(Text::as_str))
    }
}

/// At most as many as can make tuples, and one more to tell that there are too many: the last, since
/// of addresses that is the peer.
fn distinct(mut values: Vec<Cow<'_, str>>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    let last = values.pop();
    for value in values.into_iter().filter(|value| Some(value) != last.as_ref()) {
        if kept.len() == limits::TUPLES_MAX {
            break;
        }
        if !kept.iter().any(|known| *known == *value) {
            kept.push(value.into_owned());
        }
    }
    kept.extend(last.map(Cow::into_owned));
    kept
}

/// The event as JSON, with its bodies if they are wanted.
fn document(event: &Event<'_>, bodies: Bodies, json: &mut Vec<u8>) -> serde_json::Result<()> {
    serde_json::to_writer(&mut *json, event)?;
    if bodies == Bodies::Skipped {
        return Ok(());
    }
    let bodies =
        [("requestObject", event.request_object), ("responseObject", event.response_object)];
    for (name, body) in bodies {
        let Some(body) = body else { continue };
        json.pop();
        if json.last() != Some(&b'{') {
            json.push(b',');
        }
        push_field(json, name, body);
        json.push(b'}');
    }
    Ok(())
}

fn push_field(json: &mut Vec<u8>, name: &str, body: Body<'_>) {
    json.push(b'"');
    json.extend_from_slice(name.as_bytes());
    json.extend_from_slice(b"\":");
    json.extend_from_slice(body.json().as_bytes());
}

/// What only the command of an exec tells.
struct FromCommand<'c> {
    command: Option<&'c Command<'c>>,
    /// For the labels of those about commands, whether they are in force or not.
    rules: &'c RuleSet,
}

impl Derived for FromCommand<'_> {
    fn derive(&mut self, field: DerivedField, values: &mut DerivedValues<'_>) {
        let Some(command) = self.command else { return };
        let exec = command.exec();
        match field {
            DerivedField::ExecCommand if !exec.text.is_empty() => values.text(&exec.text),
            DerivedField::ExecCommand => {}
            DerivedField::ExecArgs => exec.argv.iter().for_each(|arg| values.text(arg)),
            DerivedField::ExecNormalForm => {
                let lines: BTreeSet<&str> =
                    command.reading().lines.iter().map(|line| line.text.as_str()).collect();
                lines.into_iter().for_each(|line| values.text(line));
            }
            DerivedField::ExecAccessType => {
                let verdicts = self.rules.all().filter_map(|rule| match rule.kind() {
                    RuleKind::Exec(rule) if !rule.interactive_shell => judge(rule, command),
                    _ => None,
                });
                verdicts.flat_map(|it| it.access_types).for_each(|label| values.text(&label));
            }
            DerivedField::ExecInteractive => {
                let interactive = exec.stdin && exec.tty && command.reading().interactive;
                values.boolean(interactive);
            }
            DerivedField::ContainerName => {
                exec.container.iter().for_each(|name| values.text(name));
            }
        }
    }
}
