//! `kubetell explain`: what the detections make of one exec.

use std::io::{BufRead, Read};
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use serde_json::json;

use crate::audit::exec;
use crate::detect::explain::{Explanation, Request, explain_request};
use crate::detect::finding::{ExecCommand, ExecVia};
use crate::ingest::envelope::{self, Outcome};
use crate::ingest::file::{self, FileEvent};
use crate::limits;
use crate::output::explanation;
use crate::rules::set::RuleSet;

use super::args::{Cluster, TextOrJson};
use super::context::Context;
use super::exit::Exit;
use super::{help, report, rule_files, stdout};

/// Explains what the detections make of an exec
#[derive(Debug, Clone, Args)]
#[command(after_help = help::EXPLAIN)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(false))]
pub struct ExplainArgs {
    /// Request URI of an exec, or `-` for one a line from standard input
    #[arg(long, value_name = "URI", group = "what", allow_hyphen_values = true)]
    pub uri: Option<String>,

    /// Text that a shell is given, or `-` for one a line from standard input
    #[arg(long, value_name = "TEXT", group = "what", allow_hyphen_values = true)]
    pub command: Option<String>,

    /// File of audit events in any wrapper, or `-` for one a line from standard input
    #[arg(long, value_name = "FILE", group = "what")]
    pub event: Option<PathBuf>,

    /// For people, or one JSON object a command
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<TextOrJson>,

    /// A file or a folder with rules beside the built-in ones. Repeatable
    #[arg(long, value_name = "PATH")]
    pub rules: Vec<PathBuf>,

    /// A file or a folder with exceptions, which `--event` is asked about. Repeatable
    #[arg(long, value_name = "PATH")]
    pub exceptions: Vec<PathBuf>,

    /// Name of the cluster that the events are from
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub cluster: Cluster,

    /// Puts a rule in force that is off by default. Repeatable
    #[arg(long, value_name = "ID")]
    pub enable: Vec<String>,
}

/// One input and what came of it.
#[derive(Serialize)]
#[serde(untagged)]
enum Answer {
    Explained(Box<Explanation>),
    NotExec { alert: bool, reason: &'static str },
    Unreadable { error: String },
}

pub fn run(args: &ExplainArgs, context: &Context) -> Exit {
    let rules =
        rule_files::in_force_excepting(&args.rules, &args.exceptions, &args.enable, Exit::Usage);
    let rules = match rules {
        Ok(rules) => rules,
        Err(exit) => return exit,
    };
    let many = [args.uri.as_deref(), args.command.as_deref()].contains(&Some("-"))
        || args.event.as_deref().is_some_and(|path| path.as_os_str() == "-");
    // Many answers are for programs, one is for a person.
    let json = match args.format {
        Some(format) => format == TextOrJson::Json,
        None => many,
    };
    let mut answers = Answers {
        rules: &rules,
        cluster: &args.cluster.0,
        json,
        pretty: !many,
        colours: context.stdout_is_terminal,
        first: true,
        unreadable: false,
        written: Exit::Done,
    };
    match (&args.uri, &args.command, &args.event) {
        (Some(uri), _, _) if uri == "-" => each_line(&mut answers, |line, answers| {
            answers.uri(&text_of(line));
        }),
        (_, Some(command), _) if command == "-" => each_line(&mut answers, |line, answers| {
            answers.exec(&from_text(&text_of(line)));
        }),
        (_, _, Some(path)) if path.as_os_str() == "-" => {
            each_line(&mut answers, |line, answers| {
                answers.record(line);
            })
        }
        (Some(uri), _, _) => answers.uri(uri),
        (_, Some(command), _) => answers.exec(&from_text(command)),
        (_, _, Some(path)) => answers.file(path),
        // clap sees to it that one of them is there.
        (None, None, None) => {}
    }
    match (answers.written, answers.unreadable) {
        (Exit::Done, true) => Exit::Partial,
        (written, _) => written,
    }
}

/// The command as a shell is given it: `sh -c TEXT`, without those words.
fn from_text(text: &str) -> ExecCommand {
    ExecCommand::new(ExecVia::ShellText, vec![text.to_owned()])
}

fn text_of(line: &[u8]) -> String {
    String::from_utf8_lossy(line).into_owned()
}

/// Calls `each` for every line that is not empty.
fn each_line(answers: &mut Answers<'_>, each: impl Fn(&[u8], &mut Answers<'_>)) {
    let mut input = std::io::stdin().lock();
    let mut line = Vec::new();
    while answers.written == Exit::Done {
        line.clear();
        let limit = u64::try_from(limits::RECORD_MAX_BYTES).unwrap_or(u64::MAX);
        match input.by_ref().take(limit).read_until(b'\n', &mut line) {
            Ok(0) => break,
            Ok(_) => {
                while line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
                    line.pop();
                }
                if !line.is_empty() {
                    each(&line, answers);
                }
            }
            Err(error) => {
                answers.failed(&format!("cannot read standard input: {error}"));
                break;
            }
        }
    }
}

/// Where explanations go as they are made.
struct Answers<'r> {
    rules: &'r RuleSet,
    cluster: &'r str,
    json: bool,
    pretty: bool,
    colours: bool,
    first: bool,
    unreadable: bool,
    written: Exit,
}

impl Answers<'_> {
    fn uri(&mut self, uri: &str) {
        match exec::decode_uri(uri) {
            Some(exec) => self.exec(&exec),
            None => self.answer(&Answer::NotExec {
                alert: false,
                reason: "the URI is no exec: neither `…/pods/NAME/exec?command=…` nor \
                         `…/nodes/NAME/proxy/exec/…` nor `…/nodes/NAME/proxy/run/…`",
            }),
        }
    }

    fn exec(&mut self, exec: &ExecCommand) {
        self.explain(exec, None);
    }

    fn explain(&mut self, exec: &ExecCommand, request: Option<Request<'_>>) {
        self.answer(&Answer::Explained(Box::new(explain_request(exec, self.rules, request))));
    }

    fn record(&mut self, record: &[u8]) {
        envelope::read(record, None, &mut |_, outcome| match outcome {
            Outcome::Event(item) => match exec::decode(&item.event) {
                Some(exec) => {
                    let own = item.event.time().or(item.wrapper_time);
                    let time_ms = own.map(jiff::Timestamp::as_millisecond);
                    let cluster = self.cluster;
                    self.explain(&exec, Some(Request { event: &item.event, cluster, time_ms }));
                }
                None => {
                    self.answer(&Answer::NotExec { alert: false, reason: "the event is no exec" })
                }
            },
            Outcome::Skipped(_) => {}
            Outcome::Unreadable(error) => self.failed(&error.to_string()),
        });
    }

    fn file(&mut self, path: &std::path::Path) {
        file::read_paths(&[path.to_owned()], &mut |event| {
            match event {
                FileEvent::Record { bytes, .. } => self.record(bytes),
                FileEvent::Failed { path, reason, .. } => {
                    self.failed(&format!("`{path}`: {reason}"));
                }
                FileEvent::Idle => {}
            }
            self.written == Exit::Done
        });
    }

    /// Something could not be read: an answer of its own for programs, an error for people.
    fn failed(&mut self, error: &str) {
        self.unreadable = true;
        if self.json {
            self.answer(&Answer::Unreadable { error: error.to_owned() });
        } else {
            report::error_text(error);
        }
    }

    fn answer(&mut self, answer: &Answer) {
        let text = match (self.json, answer) {
            (true, _) if self.pretty => format!("{:#}\n", json!(answer)),
            (true, _) => format!("{}\n", json!(answer)),
            (false, Answer::Explained(of)) => explanation::explanation(of, self.colours),
            (false, Answer::NotExec { reason, .. }) => format!("no alert: {reason}\n"),
            (false, Answer::Unreadable { .. }) => return,
        };
        let gap = if self.json || self.first { "" } else { "\n" };
        self.first = false;
        if self.written == Exit::Done {
            self.written = stdout::print(&format!("{gap}{text}"));
        }
    }
}
