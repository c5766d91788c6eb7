//! An explanation of a command as text for people.
//!
//! Makes strings and prints nothing. Whatever a command says passes through `alert::visible`.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use crate::alert::visible::visible;
use crate::detect::explain::{Explanation, Verdict};
use crate::detect::finding::{ExecVia, Match, View};
use crate::limits::TERMINAL_VALUE_MAX_CHARS;
use crate::rules::format::Severity;

const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();
/// Most lines and paths of a normal form that are drawn.
const DRAWN_MAX: usize = 60;
/// Width of the column of names.
const NAME_WIDTH: usize = 9;

/// Several lines, the last one ended.
pub fn explanation(of: &Explanation, colours: bool) -> String {
    let mut drawing = Drawing { out: String::new(), colours };
    drawing.command(of);
    drawing.as_written(of);
    drawing.normal_form(of);
    drawing.verdicts(of);
    drawing.out
}

struct Drawing {
    out: String,
    colours: bool,
}

impl Drawing {
    fn paint(&self, style: Style, text: &str) -> String {
        if self.colours && !text.is_empty() {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }

    fn line(&mut self, text: &str) {
        self.out.push_str(text.trim_end());
        self.out.push('\n');
    }

    fn title(&mut self, text: &str) {
        let title = self.paint(BOLD, text);
        self.line(&title);
    }

    fn detail(&mut self, name: &str, value: &str) {
        let name = self.paint(DIM, &format!("{name:<NAME_WIDTH$}"));
        self.line(&format!("  {name} {value}"));
    }

    fn command(&mut self, of: &Explanation) {
        self.title("command");
        if of.argv.is_empty() {
            self.line("  the request names no command");
        }
        for (at, argument) in of.argv.iter().take(DRAWN_MAX).enumerate() {
            let name = match of.via {
                ExecVia::ShellText => "script".to_owned(),
                _ => format!("argv[{at}]"),
            };
            self.detail(&name, &shown(argument));
        }
        if of.argv.len() > DRAWN_MAX {
            self.detail("", &format!("and {} more", of.argv.len() - DRAWN_MAX));
        }
        let place = [&of.namespace, &of.pod, &of.container];
        let place: Vec<String> = place.into_iter().flatten().map(|name| shown(name)).collect();
        if !place.is_empty() {
            self.detail("where", &place.join("/"));
        }
        match of.via {
            ExecVia::PodsExec | ExecVia::ShellText => {}
            ExecVia::NodesProxyExec => self.detail("through", "the kubelet's exec"),
            ExecVia::NodesProxyRun => self.detail("through", "the kubelet's run"),
            ExecVia::GkeLabel => {
                self.detail("through", "a GKE label, which keeps no argument boundaries");
            }
        }
        if of.stdin && of.tty {
            self.detail("session", "interactive: what is typed is not in the audit log");
        }
    }

    fn as_written(&mut self, of: &Explanation) {
        self.title("as written");
        let matches = matches(of, View::AsWritten);
        self.line(&format!("  {}", shown(&of.command_line)));
        for found in &matches {
            self.underline(&of.command_line, found);
        }
        if matches.is_empty() {
            self.line("  nothing sensitive");
        }
    }

    /// Marks where a match stands, on a line of its own, if the line above shows it there.
    fn underline(&mut self, text: &str, found: &Match) {
        let (before, inside) = match (text.get(..found.span.start), text.get(found.span.clone())) {
            (Some(before), Some(inside)) => (shown(before), shown(inside)),
            _ => return,
        };
        let width = before.chars().count();
        let marks = "^".repeat(inside.chars().count().max(1));
        let style = AnsiColor::BrightRed.on_default();
        if width + marks.len() > TERMINAL_VALUE_MAX_CHARS {
            let text = format!("  {} {}", self.paint(style, &inside), shown(&found.pattern));
            return self.line(&text);
        }
        let marks = self.paint(style, &marks);
        self.line(&format!("  {:width$}{marks} {}", "", shown(&found.pattern)));
    }

    fn normal_form(&mut self, of: &Explanation) {
        self.title("normal form");
        let form = &of.normal_form;
        for line in form.lines.iter().take(DRAWN_MAX) {
            self.read(&shown(&line.text).replace('\n', " "), &line.steps, "");
        }
        for path in form.paths.iter().take(DRAWN_MAX) {
            let mut text = format!("{} {}", path.reach, shown(&path.path));
            if let Some(name) = &path.name {
                let _ = write!(text, " for names like {}", shown(name));
            }
            self.read(&text, &path.steps, "→ ");
        }
        let omitted = form.lines.len().saturating_sub(DRAWN_MAX)
            + form.paths.len().saturating_sub(DRAWN_MAX)
            + form.omitted;
        if omitted > 0 {
            self.line(&format!("  and {omitted} more"));
        }
        for part in &form.hidden {
            let text = format!("hidden: {}", part.reason);
            self.read(&text, &part.steps, "! ");
        }
        if form.lines.is_empty() && form.paths.is_empty() && form.hidden.is_empty() {
            self.line("  as it is written");
        }
        for found in matches(of, View::NormalForm) {
            let style = AnsiColor::BrightRed.on_default();
            let what = found.reads.as_deref().map(|reads| self.paint(style, &shown(reads)) + " ");
            let what = what.unwrap_or_default();
            let pattern = shown(&found.pattern);
            self.line(&format!("  = {what}{pattern} ({})", found.confidence.as_str()));
            for step in &found.steps {
                let step = self.paint(DIM, &shown(step));
                self.line(&format!("      {step}"));
            }
        }
    }

    fn read(&mut self, text: &str, steps: &[&str], mark: &str) {
        let steps =
            if steps.is_empty() { String::new() } else { format!("  # {}", steps.join(", ")) };
        let steps = self.paint(DIM, &steps);
        self.line(&format!("  {mark}{text}{steps}"));
    }

    fn verdicts(&mut self, of: &Explanation) {
        self.title("verdict");
        for verdict in &of.verdicts {
            self.verdict(verdict);
        }
        if let Some(reason) = of.reason {
            self.line(&format!("  no alert: {reason}"));
        }
    }

    fn verdict(&mut self, verdict: &Verdict) {
        let (name, style) = match verdict.severity {
            Severity::Critical => ("CRITICAL", AnsiColor::BrightRed.on_default().bold()),
            Severity::High => ("HIGH", AnsiColor::BrightRed.on_default().bold()),
            Severity::Medium => ("MEDIUM", AnsiColor::Yellow.on_default().bold()),
            Severity::Low => ("LOW", AnsiColor::Cyan.on_default().bold()),
        };
        let name = self.paint(style, name);
        let confidence = verdict.confidence.map_or("", |confidence| confidence.as_str());
        let sure = if confidence.is_empty() { String::new() } else { format!(", {confidence}") };
        self.line(&format!("  {name} {}: {}{sure}", verdict.rule, verdict.access_types.join(", ")));
        if let Some(by) = &verdict.excepted {
            let (name, place, reason) = (shown(&by.exception), shown(&by.place), shown(&by.reason));
            let name = if name == place { name } else { format!("{name} ({place})") };
            self.line(&format!("      excepted by {name}: {reason}"));
        }
    }
}

fn matches(of: &Explanation, view: View) -> Vec<&Match> {
    let all = of.verdicts.iter().flat_map(|verdict| &verdict.matches);
    all.filter(|found| found.view == view).collect()
}

fn shown(text: &str) -> String {
    visible(text, TERMINAL_VALUE_MAX_CHARS)
}
