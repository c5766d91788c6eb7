//! `kubetell state show`.

use std::io::{self, BufWriter, Write};

use indicatif::HumanBytes;

use super::super::report;
use super::{Context, Exit, Progress, ShowArgs, TextOrJson, open_log, warn};
use crate::alert::visible::visible;
use crate::app::state::StateError;
use crate::app::state::baseline::time_text;
use crate::app::state::show::{Filter, Overview, RuleView, Survey, TermView};
use crate::clock;
use crate::config::Config;
use crate::limits::{DAY_MS, HOUR_MS, SECOND_MS, TERMINAL_VALUE_MAX_CHARS};
use crate::output::terminal::{self, Align};
use crate::rules::set::RuleSet;

pub fn run(
    args: &ShowArgs,
    config: &Config,
    rules: &RuleSet,
    context: &Context,
) -> Result<Exit, StateError> {
    let log = open_log(config, rules)?;
    let mut progress = Progress::new(context, false);
    let survey = Survey::of(&log, config, rules, clock::now_ms(), &mut progress);
    let exit = progress.end();
    let survey = survey?;
    survey.overview.problems.iter().for_each(warn);
    let listed = args.terms || args.rule.is_some() || args.user.is_some() || args.limit.is_some();
    let filter = Filter { rule: args.rule.clone(), user: args.user.clone() };
    let limit = args.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let mut terms = survey.terms(filter)?;
    let wanted = terms.by_ref().take(if listed { limit } else { 0 });
    let mut out = BufWriter::new(io::stdout());
    match args.format {
        TextOrJson::Text => {
            let learning_ms = config.new_terms.learning_ms;
            let text = overview_text(&survey.overview, learning_ms, context.stdout_is_terminal);
            out.write_all(text.as_bytes()).map_err(StateError::Output)?;
            let heading = if listed { TERMS_HEADING } else { "" };
            out.write_all(heading.as_bytes()).map_err(StateError::Output)?;
            for term in wanted {
                out.write_all(term_text(&term?).as_bytes()).map_err(StateError::Output)?;
            }
        }
        TextOrJson::Json => write_json(&mut out, &survey.overview, listed, wanted)?,
    }
    out.flush().map_err(StateError::Output)?;
    if listed && limit < usize::MAX {
        let left = terms.count();
        if left > 0 {
            report::note(format_args!("{left} more terms are not listed"));
        }
    }
    Ok(exit)
}

/// One object; the terms are written as they come, a line each.
fn write_json(
    out: &mut dyn Write,
    overview: &Overview,
    listed: bool,
    terms: impl Iterator<Item = Result<TermView, StateError>>,
) -> Result<(), StateError> {
    let mut text = serde_json::to_string_pretty(overview)?;
    if !listed {
        return writeln!(out, "{text}").map_err(StateError::Output);
    }
    // The last two characters are the line feed and the brace that closes the object.
    text.truncate(text.len() - 2);
    write!(out, "{text},\n  \"terms\": [").map_err(StateError::Output)?;
    for (number, term) in terms.enumerate() {
        let comma = if number == 0 { "" } else { "," };
        let term = serde_json::to_string(&term?)?;
        write!(out, "{comma}\n    {term}").map_err(StateError::Output)?;
    }
    writeln!(out, "\n  ]\n}}").map_err(StateError::Output)
}

pub(super) fn overview_text(overview: &Overview, learning_ms: i64, colours: bool) -> String {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let since = |ms: Option<i64>| or_dash(ms.map(|ms| age(overview.at - ms)));
    let mut rows: Vec<Vec<String>> = overview
        .partitions
        .iter()
        .map(|view| {
            vec![
                view.partition.to_string(),
                view.log_start.to_string(),
                view.log_end.to_string(),
                or_dash(view.committed.map(|offset| offset.to_string())),
                or_dash(view.lag.map(|lag| lag.to_string())),
                view.records.to_string(),
                HumanBytes(view.bytes).to_string(),
                view.terms.to_string(),
                since(view.newest),
                since(view.oldest),
                or_dash(view.log_id.clone()),
            ]
        })
        .collect();
    let totals = &overview.totals;
    rows.push(vec![
        "all".to_owned(),
        String::new(),
        String::new(),
        String::new(),
        or_dash(totals.lag.map(|lag| lag.to_string())),
        totals.records.to_string(),
        HumanBytes(totals.bytes).to_string(),
        totals.terms.to_string(),
    ]);
    let columns = [
        ("partition", Align::Left),
        ("log start", Align::Right),
        ("log end", Align::Right),
        ("committed", Align::Right),
        ("lag", Align::Right),
        ("records", Align::Right),
        ("size", Align::Right),
        ("terms", Align::Right),
        ("newest", Align::Right),
        ("oldest", Align::Right),
        ("log id", Align::Left),
    ];
    let partitions = overview.partitions.len();
    let rules: Vec<Vec<String>> = overview
        .rules
        .iter()
        .map(|view| {
            let version = if view.in_force {
                view.terms_version.clone()
            } else {
                format!("{} (not in force)", view.terms_version)
            };
            vec![version, view.terms.to_string(), learning_text(view, partitions, learning_ms)]
        })
        .collect();
    let rule_columns = [
        ("rule and version of its terms", Align::Left),
        ("terms", Align::Right),
        ("learning", Align::Left),
    ];
    format!(
        "topic {}, group {}, at {}\n\n{}\n{}",
        visible(&overview.topic, TERMINAL_VALUE_MAX_CHARS),
        visible(&overview.group, TERMINAL_VALUE_MAX_CHARS),
        time_text(overview.at),
        terminal::table(&columns, &rows, colours),
        terminal::table(&rule_columns, &rules, colours),
    )
}

/// Where a rule learns and until when.
fn learning_text(view: &RuleView, partitions: usize, learning_ms: i64) -> String {
    if learning_ms == 0 {
        return "off".to_owned();
    }
    let mut parts = Vec::new();
    let of = |count: usize| {
        if count == 1 { "1 partition".to_owned() } else { format!("{count} partitions") }
    };
    let learns: Vec<_> = view.learning.iter().filter(|one| one.learns).collect();
    if let Some(until) = learns.iter().filter_map(|one| one.until).max() {
        parts.push(format!("until {} in {}", time_text(until), of(learns.len())));
    }
    let imported = view.learning.iter().filter(|one| one.since.is_none()).count();
    let over = view.learning.len() - learns.len() - imported;
    if over > 0 {
        parts.push(format!("over in {}", of(over)));
    }
    if imported > 0 {
        parts.push(format!("ended by an import in {}", of(imported)));
    }
    let open = partitions.saturating_sub(view.learning.len());
    if open > 0 {
        parts.push(format!("not begun in {}", of(open)));
    }
    parts.join(", ")
}

const TERMS_HEADING: &str = "\nlast append               first append              age      first sighting  rule, cluster and terms\n";

pub(super) fn term_text(term: &TermView) -> String {
    format!(
        "{:<24}  {:<24}  {:<7}  {:<14}  {}\n",
        time_text(term.last_append),
        time_text(term.first_append),
        age(term.age_ms),
        if term.raised { "alerted" } else { "silent" },
        terms_text(&term.rule, &term.cluster, &term.fields, &term.terms),
    )
}

/// The rule, the cluster, and the terms with their names.
pub(super) fn terms_text(rule: &str, cluster: &str, fields: &[String], terms: &[String]) -> String {
    let shown = |text: &str| visible(text, TERMINAL_VALUE_MAX_CHARS);
    let mut text = format!("{}  cluster={}", shown(rule), shown(cluster));
    for (number, term) in terms.iter().enumerate() {
        let name = fields.get(number).map_or("?", String::as_str);
        text.push_str(&format!("  {}={}", shown(name), shown(term)));
    }
    text
}

/// A time span in its two largest units.
pub(super) fn age(ms: i64) -> String {
    let units = [("d", DAY_MS), ("h", HOUR_MS), ("m", 60 * SECOND_MS), ("s", SECOND_MS)];
    let ms = ms.max(0);
    let Some(first) = units.iter().position(|(_, unit)| ms >= *unit) else {
        return "0s".to_owned();
    };
    let (name, unit) = units[first];
    let rest = units.get(first + 1).map(|(name, smaller)| (name, ms % unit / smaller));
    match rest {
        Some((smaller, count)) if count > 0 => format!("{}{name} {count}{smaller}", ms / unit),
        _ => format!("{}{name}", ms / unit),
    }
}
