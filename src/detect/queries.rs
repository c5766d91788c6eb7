//! Asks the queries of rules about an event.
//!
//! Owns how an event becomes the document that a query sees: its own JSON, the bodies of request
//! and response where the record has them, and what is read from the command of an exec. Nothing
//! of that document is kept.

use std::cell::RefCell;
use std::collections::BTreeSet;

use crate::audit::event::{Body, Event};
use crate::detect::command::{Command, judge};
use crate::rules::query::{Derived, DerivedField, DerivedValues, Scratch};
use crate::rules::rule::RuleKind;
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

/// The numbers of the queries that match, ascending. `Err` says why the event could not be asked:
/// it has more values than are kept.
pub fn ask(
    rules: &RuleSet,
    queries: &RuleQueries,
    event: &Event<'_>,
    command: Option<&Command<'_>>,
) -> Result<Vec<usize>, String> {
    ROOM.with_borrow_mut(|room| {
        let Room { json, scratch } = room;
        json.clear();
        document(event, json).map_err(|error| error.to_string())?;
        let mut derived = FromCommand { command, rules };
        let asked = queries.program().run(json, scratch, &mut derived);
        asked.map(|matches| matches.queries().to_vec()).map_err(|error| error.to_string())
    })
}

/// The event as JSON, with its bodies.
fn document(event: &Event<'_>, json: &mut Vec<u8>) -> serde_json::Result<()> {
    serde_json::to_writer(&mut *json, event)?;
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
                let all = self.rules.rules().iter().chain(self.rules.off());
                let verdicts = all.filter_map(|rule| match rule.kind() {
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
