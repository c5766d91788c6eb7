//! `kubetell state export` and `import`.

use std::fs::File;
use std::io::{self, BufWriter, Stdout, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::super::{report, stdout};
use super::show::terms_text;
use super::{Context, Exit, ExportArgs, ImportArgs, Progress, TextOrJson, open_log, warn};
use crate::app::state::StateError;
use crate::app::state::baseline::time_text;
use crate::app::state::export;
use crate::app::state::import::{self, History, HistoryTerm, Imported, Learning, Target};
use crate::app::state::input::{Counts, Inputs};
use crate::clock;
use crate::config::{ClusterFrom, Config};
use crate::output::terminal::{self, Align};
use crate::rules::set::RuleSet;

/// Where an export goes.
enum Output {
    Stdout(BufWriter<Stdout>),
    /// Becomes the file at once when it is whole.
    File(BufWriter<NamedTempFile>, PathBuf),
    /// A pipe or a device.
    Other(BufWriter<File>),
}

impl Output {
    fn open(path: Option<&Path>) -> io::Result<Output> {
        let Some(path) = path else { return Ok(Output::Stdout(BufWriter::new(io::stdout()))) };
        if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            return Ok(Output::Other(BufWriter::new(File::options().write(true).open(path)?)));
        }
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let file = NamedTempFile::new_in(parent.unwrap_or(Path::new(".")))?;
        Ok(Output::File(BufWriter::new(file), path.to_owned()))
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Output::Stdout(out) => out,
            Output::File(out, _) => out,
            Output::Other(out) => out,
        }
    }

    fn finish(mut self) -> io::Result<()> {
        self.writer().flush()?;
        if let Output::File(out, path) = self {
            let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.as_file().sync_all()?;
            file.persist(path).map_err(|error| error.error)?;
        }
        Ok(())
    }
}

pub fn export(
    args: &ExportArgs,
    config: &Config,
    rules: &RuleSet,
    context: &Context,
) -> Result<Exit, StateError> {
    // First of all: nobody wants to hear at the end that the file can't be written.
    let mut output = match Output::open(args.output.as_deref()) {
        Ok(output) => output,
        Err(error) => {
            let path = args.output.as_deref().unwrap_or(Path::new("-"));
            let hint = "choose a place that can be written to with `--output`";
            report::error(format_args!("cannot write `{}`: {error}", path.display()), Some(hint));
            return Ok(Exit::Usage);
        }
    };
    let log = open_log(config, rules)?;
    let mut progress = Progress::new(context, args.output.is_none() && context.stdout_is_terminal);
    let result = export::export(&log, clock::now_ms(), output.writer(), &mut progress);
    let exit = progress.end();
    let exported = result?;
    output.finish().map_err(StateError::Output)?;
    exported.problems.iter().for_each(warn);
    report::note(format_args!("{} terms of `{}` exported", exported.terms, log.topic()));
    Ok(exit)
}

pub fn import(
    args: &ImportArgs,
    config: &Config,
    rules: &RuleSet,
    context: &Context,
) -> Result<Exit, StateError> {
    let log = open_log(config, rules)?;
    import::check(&log)?;
    let mut progress = Progress::new(context, args.dry_run && context.stdout_is_terminal);
    let result = perform(args, config, rules, &log, &mut progress);
    let exit = progress.end();
    let (imported, listing) = result?;
    let cluster_elsewhere =
        matches!(config.source.cluster_from, ClusterFrom::Topic | ClusterFrom::Header(_));
    if cluster_elsewhere && args.cluster.is_none() && imported.read.events > 0 {
        report::warning(format_args!(
            "files have no topic and no header that names their cluster: their events count as cluster `{}`\nhint: `--cluster NAME` names it",
            config.cluster
        ));
    }
    let text = match args.format {
        TextOrJson::Text => imported_text(&imported, context.stdout_is_terminal),
        TextOrJson::Json => json_tail(&imported, listing.listed)?,
    };
    match stdout::print(&text) {
        Exit::Done => Ok(exit),
        failed => Ok(failed),
    }
}

fn perform(
    args: &ImportArgs,
    config: &Config,
    rules: &RuleSet,
    log: &crate::app::state::log::ObservationsLog,
    progress: &mut Progress,
) -> Result<(Imported, Listing), StateError> {
    let inputs = Inputs {
        paths: &args.paths,
        cluster: args.cluster.as_ref().map_or(&config.cluster, |cluster| &cluster.0),
        config,
        rules,
        now_ms: clock::now_ms(),
    };
    let history = History::read(&inputs, progress)?;
    let learning = match (args.learned, args.keep_learning) {
        (true, _) => Learning::EndsOfAll,
        (_, true) => Learning::GoesOn,
        _ => Learning::EndsOfImported,
    };
    let target = Target { log, config, rules, learning, dry_run: args.dry_run };
    let mut listing = Listing::begin(args)?;
    let imported = history.write(&target, &mut |term| listing.term(term), progress)?;
    listing.end()?;
    Ok((imported, listing))
}

/// The terms of a dry run, as they come.
struct Listing {
    out: BufWriter<Stdout>,
    format: TextOrJson,
    /// Whether there is one at all.
    listed: bool,
    terms: u64,
}

impl Listing {
    fn begin(args: &ImportArgs) -> Result<Listing, StateError> {
        let mut listing = Listing {
            out: BufWriter::new(io::stdout()),
            format: args.format,
            listed: args.dry_run,
            terms: 0,
        };
        if listing.listed && listing.format == TextOrJson::Json {
            listing.write("{\n  \"terms\": [")?;
        }
        Ok(listing)
    }

    fn write(&mut self, text: &str) -> Result<(), StateError> {
        self.out.write_all(text.as_bytes()).map_err(StateError::Output)
    }

    fn term(&mut self, term: &HistoryTerm) -> Result<(), StateError> {
        if !self.listed {
            return Ok(());
        }
        let observation = &term.observation;
        let (rule, cluster) = (&observation.rule.id, &observation.cluster);
        let line = match self.format {
            TextOrJson::Text => {
                if self.terms == 0 {
                    self.write(HISTORY_HEADING)?;
                }
                let text = terms_text(rule, cluster, &observation.fields, &observation.terms);
                format!("{:<24}  {:>9}  {text}\n", time_text(term.seen_ms), term.partition)
            }
            TextOrJson::Json => {
                let comma = if self.terms == 0 { "" } else { "," };
                let object = serde_json::json!({
                    "rule": rule,
                    "terms_version": observation.terms_version,
                    "cluster": cluster,
                    "fields": observation.fields,
                    "terms": observation.terms,
                    "partition": term.partition,
                    "seen": time_text(term.seen_ms),
                });
                format!("{comma}\n    {object}")
            }
        };
        self.terms += 1;
        self.write(&line)
    }

    fn end(&mut self) -> Result<(), StateError> {
        if self.listed {
            match self.format {
                TextOrJson::Json => self.write("\n  ],")?,
                TextOrJson::Text if self.terms > 0 => self.write("\n")?,
                TextOrJson::Text => {}
            }
        }
        self.out.flush().map_err(StateError::Output)
    }
}

const HISTORY_HEADING: &str = "seen                      partition  rule, cluster and terms\n";

/// What follows the listing, where there is one; else the whole.
fn json_tail(imported: &Imported, listed: bool) -> Result<String, StateError> {
    let text = serde_json::to_string_pretty(imported)?;
    // The listing has opened the object.
    let tail = if listed { text.get(1..).unwrap_or_default() } else { &text };
    Ok(format!("{tail}\n"))
}

pub(super) fn imported_text(imported: &Imported, colours: bool) -> String {
    let Imported { dry_run, topic, partitions, read, written, rules, markers, new_logs } = imported;
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut row = |name: &str, value: String| rows.push(vec![name.to_owned(), value]);
    row("read", read_text(read));
    let left_out = [
        (read.outside_window, "older than their rule's window"),
        (read.without_time, "without a time"),
        (read.without_term, "without the value of a field"),
    ];
    let left_out: Vec<String> = left_out
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, why)| format!("{count} {why}"))
        .collect();
    if !left_out.is_empty() {
        row("no history", left_out.join(", "));
    }
    let unreadable: Vec<String> =
        read.unreadable.iter().map(|(class, count)| format!("{count} {class}")).collect();
    if !unreadable.is_empty() {
        row("unreadable", unreadable.join(", "));
    }
    let title = if *dry_run { "to be written" } else { "written" };
    row(title, format!("{written} terms to {topic}, the latest sighting of each"));
    let begun =
        if *new_logs > 0 { format!(", {new_logs} of which begin a log") } else { String::new() };
    row("markers", format!("in {markers} of {partitions} partitions{begun}"));
    let rules: Vec<Vec<String>> = rules
        .iter()
        .map(|rule| {
            let version = if rule.in_force {
                rule.terms_version.clone()
            } else {
                format!("{} (not in force)", rule.terms_version)
            };
            let learning = match (rule.learning_ended, dry_run) {
                (true, true) => "ends",
                (true, false) => "ended",
                (false, _) => "as before",
            };
            vec![version, rule.terms.to_string(), learning.to_owned()]
        })
        .collect();
    let columns = [
        ("rule and version of its terms", Align::Left),
        ("terms", Align::Right),
        ("learning", Align::Left),
    ];
    format!(
        "{}\n{}",
        terminal::table(&[("", Align::Left), ("", Align::Left)], &rows, colours),
        terminal::table(&columns, &rules, colours)
    )
}

fn read_text(read: &Counts) -> String {
    let mut text = format!("{} events, {} terms of baselines", read.events, read.baseline_terms);
    if read.skipped > 0 {
        text.push_str(&format!(", {} of other kinds", read.skipped));
    }
    text
}
