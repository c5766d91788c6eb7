//! `kubetell demo`: the whole pipeline with nothing to install.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use clap::{Args, value_parser};

use crate::admin::server::ListenError;
use crate::alert::ecs::Document;
use crate::app::demo::{self as stage, Audience, DemoError, LEARNING_MS, Play, Stage, Summary};
use crate::app::run::RunError;
use crate::config::{self, Inputs, Loaded};
use crate::output::terminal::{self, Align};
use crate::rules::set::RuleSet;

use super::args::AlertFormat;
use super::context::Context;
use super::exit::Exit;
use super::signals::{self, Signals};
use super::{help, report, stdout};

/// Plays a bundled audit log through an in-process Kafka and shows what is detected
///
/// Starts a cluster inside the process, creates the topics, plays about a minute of a cluster's
/// life through the code of `run` (routine traffic, an intruder's execs in several disguises, a
/// stolen kubeconfig that reads secrets), prints each alert as it leaves the alerts topic, and
/// ends with a summary. With --serve it shows metrics, health and the status page of the service
/// meanwhile, and goes on with the same minute, at its own pace, until it is stopped.
#[derive(Debug, Clone, Args)]
#[command(after_help = help::DEMO)]
pub struct DemoArgs {
    /// Plays a generated log of so many events instead of the bundled one
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..=EVENTS_MAX))]
    pub events: Option<u64>,

    /// How alerts are printed [default: text on a terminal, ecs otherwise]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<AlertFormat>,

    /// Uses a real cluster instead of the one in the process
    #[arg(long, value_name = "HOST:PORT")]
    pub bootstrap: Option<String>,

    /// Serves the status page, /metrics and /status there until it is stopped [default address:
    /// 127.0.0.1:9464]
    #[arg(
        long,
        value_name = "ADDR",
        num_args = 0..=1,
        default_missing_value = SERVED_AT,
        value_parser = served_at
    )]
    pub serve: Option<String>,
}

/// Where `run` serves too, by default.
const SERVED_AT: &str = "127.0.0.1:9464";

fn served_at(text: &str) -> Result<String, String> {
    if config::names_a_listener(text) {
        return Ok(text.to_owned());
    }
    Err(format!("no host:port; write e.g. `{SERVED_AT}`"))
}

const EVENTS_MAX: u64 = 1_000_000_000;

pub fn run(args: &DemoArgs, context: &Context) -> Exit {
    match AlertFormat::or_default(args.format, context) {
        Ok(format) => play(args, format, context),
        Err(exit) => exit,
    }
}

/// The demo itself; `format` is what to print.
fn play(args: &DemoArgs, format: AlertFormat, context: &Context) -> Exit {
    let (signals, _runtime) = match signals::hear() {
        Ok(heard) => heard,
        Err(exit) => return exit,
    };
    match perform(args, format, context, &signals) {
        Ok(summary) => tell(&summary, args, format, context),
        Err(DemoError::Output(error)) => stdout::outcome(Err(error)),
        Err(DemoError::Run(RunError::Topics(error))) => super::run::topics_failed(&error),
        Err(DemoError::Run(RunError::Listen(error))) => not_served(&error),
        Err(error) => {
            report::error(&error, None);
            Exit::Internal
        }
    }
}

fn tell(summary: &Summary, args: &DemoArgs, format: AlertFormat, context: &Context) -> Exit {
    // Alerts in a machine's form stand alone on stdout.
    let told = if format == AlertFormat::Text {
        stdout::print(&summary_text(summary, context.stdout_is_terminal))
    } else {
        report::note(format_args!(
            "{} events, {} alerts, {} revisions",
            summary.events_played,
            summary.alerts.values().sum::<u64>(),
            summary.revisions
        ));
        Exit::Done
    };
    // What is served has no other end.
    if !summary.stopped || args.serve.is_some() {
        return told;
    }
    report::warning("stopped by a signal: not all of it was played");
    match told {
        Exit::Done => Exit::Partial,
        told => told,
    }
}

fn not_served(error: &ListenError) -> Exit {
    let hint = "`--serve 127.0.0.1:0` takes any port that is free, and says which";
    match error {
        ListenError::Unknown { address, error } => {
            let message = format_args!("`{address}` names no address of this machine: {error}");
            report::error(format_args!("`--serve`: {message}"), Some(hint));
        }
        ListenError::Refused { address, error } => {
            let message = format_args!("nothing can listen on `{address}`: {error}");
            report::error(format_args!("`--serve`: {message}"), Some(hint));
        }
    }
    Exit::Configuration
}

fn perform(
    args: &DemoArgs,
    format: AlertFormat,
    context: &Context,
    signals: &Signals,
) -> Result<Summary, DemoError> {
    let rules = RuleSet::builtin().map_err(io::Error::other)?;
    // The state is the demo's own and goes with it.
    let state = tempfile::tempdir()?;
    let set = match &args.bootstrap {
        Some(bootstrap) => Stage::real(bootstrap),
        None => Stage::mock(),
    }?;
    let (what, learning) = match args.events {
        Some(events) => (Play::Generated(events), "0s".to_owned()),
        None => (Play::Story, format!("{LEARNING_MS}ms")),
    };
    let settings = set.settings(state.path(), &learning, args.serve.as_deref());
    let loaded = configuration(&settings)?;
    loaded.notes.iter().for_each(report::note);
    let bar = (context.stderr_is_terminal && args.events.is_some() && !context.stdout_is_terminal)
        .then(|| indicatif::ProgressBar::new(args.events.unwrap_or(0)));
    if format == AlertFormat::Text {
        let words = match &args.bootstrap {
            None => "a mock Kafka cluster inside this process".to_owned(),
            Some(bootstrap) => format!("{bootstrap}, with topics named {}.*", set.prefix),
        };
        let text = format!(
            "kubetell demo: an audit log goes through {words}.\nEach alert is shown as it leaves the alerts topic.\n\n"
        );
        io::stdout().write_all(text.as_bytes())?;
        io::stdout().flush()?;
    }
    let colours = context.stdout_is_terminal
        && anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never;
    let mut screen = Screen { format, colours, bar };
    signals.begin();
    let summary =
        stage::play(&set, &loaded.config, Arc::new(rules), &what, &mut screen, &signals.stop);
    screen.end();
    summary
}

/// Prints what the demo shows.
struct Screen {
    format: AlertFormat,
    colours: bool,
    bar: Option<indicatif::ProgressBar>,
}

impl Screen {
    fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Audience for Screen {
    fn served(&mut self, address: SocketAddr) {
        report::note(format_args!("the status page is at http://{address}/"));
    }

    fn goes_on(&mut self) {
        self.end();
        report::note("the same minute is played again, at its own pace, until Ctrl-C or SIGTERM");
    }

    fn alert(&mut self, alert: &serde_json::Value, again: bool) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.format == AlertFormat::Text {
            let document: Document =
                serde_json::from_value(alert.clone()).map_err(io::Error::other)?;
            let text = if document.kubetell.revision > 1 && again {
                terminal::revision(&document, self.colours)
            } else {
                terminal::alert(&document, self.colours)
            };
            out.write_all(text.as_bytes())?;
        } else {
            serde_json::to_writer(&mut out, alert)?;
            out.write_all(b"\n")?;
        }
        out.flush()
    }

    fn progress(&mut self, done: u64, _total: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
        }
    }
}

/// The demo's configuration is made of settings, as a user would give them; the environment of
/// the user's own service does not reach it.
fn configuration(settings: &[String]) -> Result<Loaded, DemoError> {
    let mut parsed = Vec::new();
    for text in settings {
        parsed.push(text.parse().map_err(io::Error::other)?);
    }
    let inputs = Inputs { file: None, environment: Vec::new(), settings: parsed };
    config::load(&inputs).map_err(|errors| {
        let texts: Vec<String> = errors.problems.iter().map(ToString::to_string).collect();
        DemoError::Output(io::Error::other(texts.join("; ")))
    })
}

fn summary_text(summary: &Summary, colours: bool) -> String {
    let read = summary.stats.sources.totals();
    let mut rows = vec![
        vec!["events".to_owned(), summary.events_played.to_string()],
        vec!["records".to_owned(), read.records.to_string()],
        vec!["spared by the prefilter".to_owned(), read.prefiltered.to_string()],
    ];
    for (rule, count) in &summary.alerts {
        rows.push(vec![format!("alerts of {rule}"), count.to_string()]);
    }
    rows.push(vec!["revisions with the outcome".to_owned(), summary.revisions.to_string()]);
    rows.push(vec!["observations".to_owned(), summary.stats.observations.get().to_string()]);
    rows.push(vec!["learned silently".to_owned(), summary.stats.learned.get().to_string()]);
    rows.push(vec!["unreadable".to_owned(), summary.stats.dead_letters.get().to_string()]);
    let a_second = summary.events_played as f64 / summary.seconds.max(0.001);
    rows.push(vec!["events a second, as played".to_owned(), format!("{a_second:.0}")]);
    if let Some([p50, p90, p99]) = summary.stats.append_to_alert.percentiles([0.5, 0.9, 0.99]) {
        rows.push(vec![
            "append to alert, p50 / p90 / p99".to_owned(),
            format!("{p50} / {p90} / {p99} ms"),
        ]);
    }
    rows.push(vec!["seconds in all".to_owned(), format!("{:.1}", summary.seconds)]);
    format!(
        "\n{}",
        terminal::table(&[("summary", Align::Left), ("", Align::Right)], &rows, colours)
    )
}
