//! `kubetell rules except`: an exception made from an alert.
//!
//! Owns which values of an alert make an exception. It is never wider than the alert: values are
//! taken as they are, and what cannot be taken is an error.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::alert::redact::REDACTED;
use crate::alert::visible::quoted;
use crate::app::rules::{self, FileError};
use crate::cli::exit::Exit;
use crate::cli::{report, stdout};
use crate::clock;
use crate::duration::parse_duration_ms;
use crate::limits;
use crate::rules::exceptions::{self, Draft, ExceptionError, Expiry, Key};
use crate::rules::set::RuleSet;

#[derive(Debug, Clone, Args)]
pub struct ExceptArgs {
    /// The rule that raised the alert
    #[arg(value_name = "RULE")]
    pub rule: String,

    /// File with one alert as kubetell writes it, or `-` for standard input
    #[arg(long, value_name = "FILE")]
    pub from_alert: PathBuf,

    /// Why such requests are no alerts: a sentence for whoever reads the file later
    #[arg(long, value_name = "TEXT")]
    pub reason: String,

    /// When the exception ends: a date (the end of that day in UTC), a time, or so long from now
    #[arg(long, value_name = "DATE|DURATION", value_parser = Ends::parse)]
    pub expires: Option<Ends>,

    /// What of the alert has to be met [default: user, source, namespace, resource; of an exec
    /// container and command, else verb; user_agent where it is one of the rule's new terms]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "KEY,…")]
    pub by: Vec<By>,

    /// Adds it to a file of exceptions instead of writing it to standard output
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// What of an alert an exception can be made by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum By {
    Cluster,
    /// With the user it acts as, if it does.
    User,
    /// All source addresses.
    Source,
    UserAgent,
    Verb,
    Namespace,
    Resource,
    Name,
    Pod,
    Container,
    Command,
}

/// What stands behind `--expires`.
#[derive(Debug, Clone)]
pub enum Ends {
    At(Expiry),
    /// Milliseconds from now.
    In(i64),
}

impl Ends {
    fn parse(text: &str) -> Result<Ends, String> {
        if let Ok(ms) = parse_duration_ms(text) {
            return Ok(Ends::In(ms));
        }
        if let Ok(time) = text.parse::<jiff::Timestamp>() {
            return Ends::at(&time.to_string());
        }
        Ends::at(text).map_err(|_| "write e.g. 2027-01-31, 2027-01-31T18:00:00Z or 30d".to_owned())
    }

    fn at(text: &str) -> Result<Ends, String> {
        Expiry::parse(text).map(Ends::At).map_err(str::to_owned)
    }

    /// `None` for a time that nobody can write.
    fn resolve(&self, now_ms: i64) -> Option<Expiry> {
        match self {
            Ends::At(expiry) => Some(expiry.clone()),
            Ends::In(ms) => {
                let second = now_ms.checked_add(*ms)?.div_euclid(limits::SECOND_MS);
                let time = jiff::Timestamp::from_second(second).ok()?;
                Expiry::parse(&time.to_string()).ok()
            }
        }
    }
}

/// Why there is no exception: what to say, what to do, and how the command ends.
struct Refused {
    message: String,
    hint: Option<String>,
    exit: Exit,
}

impl Refused {
    fn usage(message: impl Into<String>, hint: impl Into<String>) -> Refused {
        Refused { message: message.into(), hint: Some(hint.into()), exit: Exit::Usage }
    }
}

pub(super) fn run(args: &ExceptArgs) -> Exit {
    match written(args) {
        Ok(exit) => exit,
        Err(Refused { message, hint, exit }) => {
            report::error(message, hint.as_deref());
            exit
        }
    }
}

fn written(args: &ExceptArgs) -> Result<Exit, Refused> {
    let alert = Alert(read(&args.from_alert)?);
    let draft = draft(args, &alert, clock::now_ms())?;
    let text = format!("{}{}", alert.comment(), exceptions::entry_text(&draft));
    if !is_builtin(&draft.rule) {
        report::warning(format_args!(
            "no built-in rule has the id {}: where no rule of your own has it, the exception is an error",
            quoted(&draft.rule, limits::CONFIG_QUOTED_MAX_CHARS)
        ));
    }
    match &args.output {
        None => {
            checked("the exception", &text)?;
            Ok(stdout::print(&text))
        }
        Some(path) => append(path, &text).map(|()| Exit::Done),
    }
}

fn is_builtin(id: &str) -> bool {
    RuleSet::builtin().is_ok_and(|rules| rules.all().any(|rule| rule.id() == id))
}

fn read(path: &Path) -> Result<Value, Refused> {
    let name = path.display().to_string();
    let refused = |message: String, hint: Option<&str>| Refused {
        message,
        hint: hint.map(str::to_owned),
        exit: Exit::Partial,
    };
    let limit = limits::RECORD_MAX_BYTES as u64;
    let mut bytes = Vec::new();
    let read = if name == "-" {
        io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    read.map_err(|error| refused(format!("`{name}` cannot be read: {error}"), None))?;
    let hint = "one document of the alerts topic, or a line of `kubetell scan --format ecs`";
    serde_json::from_slice(&bytes)
        .map_err(|error| refused(format!("`{name}` is not one alert in JSON: {error}"), Some(hint)))
}

fn draft(args: &ExceptArgs, alert: &Alert, now_ms: i64) -> Result<Draft, Refused> {
    let raised_by = alert.text("/rule/id").ok_or_else(|| {
        Refused::usage("there is no `rule.id` in it: this is no alert", "see `kubetell schema ecs`")
    })?;
    if raised_by != args.rule {
        let message = format!(
            "the alert was raised by the rule {}, not by {}",
            quoted(&raised_by, limits::CONFIG_QUOTED_MAX_CHARS),
            quoted(&args.rule, limits::CONFIG_QUOTED_MAX_CHARS)
        );
        return Err(Refused::usage(message, "name the rule that raised it"));
    }
    let expires = match &args.expires {
        None => None,
        Some(ends) => {
            let expiry = ends.resolve(now_ms).filter(|expiry| expiry.at_ms > now_ms);
            let refused = || Refused::usage("`--expires` is no time to come", "write e.g. 30d");
            Some(expiry.ok_or_else(refused)?)
        }
    };
    let mut draft = Draft {
        rule: raised_by,
        conditions: Vec::new(),
        sources: Vec::new(),
        queries: Vec::new(),
        reason: args.reason.trim().to_owned(),
        expires,
    };
    let is_default = args.by.is_empty();
    if is_default && alert.0.pointer("/kubetell/reduced") == Some(&Value::Bool(true)) {
        let message = "the alert was shortened for its topic, so parts of it are missing";
        return Err(Refused::usage(message, "choose by what it shall hold with `--by`"));
    }
    let by = if is_default { alert.default_by() } else { args.by.clone() };
    for by in by {
        let found = alert.put(by, &mut draft)?;
        if !found && is_default {
            // What has a value there is another request.
            draft.queries.extend(by.field().map(|field| format!("not {field}:*")));
        } else if !found {
            let name = by.to_possible_value().map(|it| it.get_name().to_owned());
            let name = name.unwrap_or_default();
            return Err(Refused::usage(
                format!("the alert has no `{name}`"),
                "leave it out of `--by`",
            ));
        }
    }
    Ok(draft)
}

impl By {
    /// The field of a query that is there if the value is, of those that are asked for by default.
    fn field(self) -> Option<&'static str> {
        match self {
            By::User => Some("user.name"),
            By::Source => Some("kubernetes.audit.sourceIPs"),
            By::UserAgent => Some("user_agent.original"),
            By::Verb => Some("event.action"),
            By::Namespace => Some("orchestrator.namespace"),
            By::Resource => Some("orchestrator.resource.type"),
            By::Container => Some("container.name"),
            By::Command => Some("exec.command"),
            By::Cluster | By::Name | By::Pod => None,
        }
    }
}

/// An alert as it left, or as a sink gave it back.
struct Alert(Value);

impl Alert {
    fn text(&self, pointer: &str) -> Option<String> {
        let text = self.0.pointer(pointer)?.as_str()?;
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// A list of texts, or one alone.
    fn texts(&self, pointer: &str) -> Vec<String> {
        match self.0.pointer(pointer) {
            Some(Value::String(text)) => vec![text.clone()],
            Some(Value::Array(items)) => {
                items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Which alert it is, where its id can be no more than that.
    fn comment(&self) -> String {
        let plain = |id: &String| {
            id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        let id = self.text("/event/id").filter(plain);
        id.map(|id| format!("# From the alert {id}\n")).unwrap_or_default()
    }

    fn default_by(&self) -> Vec<By> {
        let mut by = vec![By::User, By::Source, By::Namespace, By::Resource];
        if self.0.pointer("/kubetell/via").is_some() {
            by.extend([By::Container, By::Command]);
        } else {
            by.push(By::Verb);
        }
        if self.texts("/kubetell/new_terms_fields").iter().any(|it| it == "user_agent.original") {
            by.push(By::UserAgent);
        }
        by
    }

    /// Puts the alert's value into the draft; whether it has one.
    fn put(&self, by: By, draft: &mut Draft) -> Result<bool, Refused> {
        let (key, value) = match by {
            By::Source => {
                draft.sources = self.sources()?;
                // `source` asks that no other is there, this that all of them are.
                if let [_, _, ..] = &draft.sources[..] {
                    let all: Vec<String> =
                        draft.sources.iter().map(|source| format!("\"{source}\"")).collect();
                    draft.queries.push(format!("source.ip:({})", all.join(" and ")));
                }
                return Ok(!draft.sources.is_empty());
            }
            By::Command => (Key::Command, self.command()?),
            By::Resource => (Key::Resource, self.resource()),
            By::User => (Key::User, self.text("/user/name")),
            By::Verb => (Key::Verb, self.text("/event/action")),
            By::Cluster => (Key::Cluster, self.text("/orchestrator/cluster/name")),
            By::UserAgent => (Key::UserAgent, self.text("/user_agent/original")),
            By::Namespace => (Key::Namespace, self.text("/orchestrator/namespace")),
            By::Name => (Key::Name, self.text("/kubernetes/audit/objectRef/name")),
            By::Pod => {
                let is_pod = self.text("/orchestrator/resource/type").as_deref() == Some("pods");
                let name = self.text("/orchestrator/resource/name");
                (Key::Pod, name.filter(|_| is_pod))
            }
            By::Container => (Key::Container, self.text("/container/name")),
        };
        let Some(value) = value else { return Ok(false) };
        draft.conditions.push((key, vec![value]));
        if by == By::User && self.is_impersonated() {
            let whom = self
                .text("/user/effective/name")
                .or_else(|| self.text("/kubernetes/audit/impersonatedUser/username"));
            let whom = whom.ok_or_else(|| {
                Refused::usage(
                    "the request was made as somebody else, and the alert does not say who",
                    "leave `user` out with `--by`",
                )
            })?;
            draft.conditions.push((Key::ImpersonatedUser, vec![whom]));
        }
        Ok(true)
    }

    fn is_impersonated(&self) -> bool {
        let there = |pointer| self.0.pointer(pointer).is_some_and(|value| !value.is_null());
        there("/user/effective") || there("/kubernetes/audit/impersonatedUser")
    }

    /// All of them: an exception for some would not hold of the request.
    fn sources(&self) -> Result<Vec<String>, Refused> {
        let mut sources = self.texts("/kubernetes/audit/sourceIPs");
        if sources.is_empty() {
            sources = self.texts("/source/ip");
        }
        if let Some(wrong) = sources.iter().find(|it| it.parse::<std::net::IpAddr>().is_err()) {
            let wrong = quoted(wrong, limits::CONFIG_QUOTED_MAX_CHARS);
            return Err(Refused::usage(
                format!("the source {wrong} of the alert is no address"),
                "leave `source` out with `--by`",
            ));
        }
        let mut seen = std::collections::HashSet::new();
        sources.retain(|source| seen.insert(source.clone()));
        Ok(sources)
    }

    fn command(&self) -> Result<Option<String>, Refused> {
        if self.text("/kubetell/via").as_deref() == Some("nodes-proxy-run") {
            return Err(Refused::usage(
                "what a run through a node's proxy runs may stand in the body of the request, so no \
                 exception can name its command",
                "leave `command` out with `--by`",
            ));
        }
        let command = self.text("/process/command_line");
        if command.as_ref().is_some_and(|command| command.contains(REDACTED)) {
            return Err(Refused::usage(
                "parts of the alert's command are redacted, so no exception can name it",
                "leave `command` out with `--by`, or write the command yourself",
            ));
        }
        Ok(command)
    }

    fn resource(&self) -> Option<String> {
        let resource = self.text("/kubernetes/audit/objectRef/resource")?;
        Some(match self.text("/kubernetes/audit/objectRef/subresource") {
            Some(subresource) => format!("{resource}/{subresource}"),
            None => resource,
        })
    }
}

/// What is written has to be what is read.
fn checked(name: &str, text: &str) -> Result<(), Refused> {
    let first = match exceptions::read_file(name, text) {
        Ok(all) if all.len() > limits::EXCEPTIONS_MAX => Some(ExceptionError::TooMany),
        Ok(_) => None,
        Err(errors) => errors.into_iter().next(),
    };
    let Some(first) = first else { return Ok(()) };
    let error = first.to_string();
    let (message, hint) = report::split_hint(&error);
    let (message, hint) = (message.to_owned(), hint.map(str::to_owned));
    Err(Refused { message, hint, exit: Exit::Configuration })
}

/// Adds the exception at the end of a file, whose others have to be well.
fn append(path: &Path, text: &str) -> Result<(), Refused> {
    let name = path.display().to_string();
    let failed = |error: io::Error| Refused {
        message: format!("cannot write `{name}`: {error}"),
        hint: None,
        exit: Exit::Usage,
    };
    let limit = limits::RULE_FILE_MAX_BYTES;
    let too_large = || Refused {
        message: format!("`{name}` would be larger than {} KiB, and not be read", limit / 1024),
        hint: Some("choose another file with `--output`".to_owned()),
        exit: Exit::Configuration,
    };
    let before = match rules::text(path) {
        Ok(before) => before,
        Err(FileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            String::new()
        }
        Err(FileError::Io { source, .. }) => return Err(failed(source)),
        Err(FileError::TooLarge { .. }) => return Err(too_large()),
        Err(error) => return Err(failed(io::Error::other(error))),
    };
    let gap = match before.as_str() {
        "" => "",
        text if text.ends_with('\n') => "\n",
        _ => "\n\n",
    };
    let added = format!("{gap}{text}");
    if before.len() + added.len() > limit {
        return Err(too_large());
    }
    checked(&name, &format!("{before}{added}"))?;
    let mut file = OpenOptions::new().append(true).create(true).open(path).map_err(failed)?;
    file.write_all(added.as_bytes()).map_err(failed)?;
    report::note(format_args!("the exception was added to `{name}`"));
    Ok(())
}
