//! The two text forms of metrics: Prometheus' own, version 0.0.4, and OpenMetrics 1.0.
//!
//! Owns names, types and escapes as <https://prometheus.io/docs/instrumenting/exposition_formats/>
//! and <https://prometheus.io/docs/specs/om/open_metrics_spec/> have them. Knows no figures.

use std::fmt::{Display, Write};

use crate::stats::histogram::{BOUNDS_SECONDS, Distribution};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Prometheus,
    OpenMetrics,
}

impl Format {
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// The form that a client likes best, by its `Accept` header. Prometheus' own where it likes
    /// both alike or does not say.
    pub fn accepted(accept: &str) -> Format {
        let liking = |wanted: &str| {
            let ranges = accept.split(',').map(|range| {
                let mut parts = range.split(';').map(str::trim);
                let is_wanted = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(wanted));
                let mut quality = 1.0;
                for part in parts {
                    if let Some(value) = part.strip_prefix("q=") {
                        quality = value.parse().unwrap_or(0.0);
                    }
                }
                if is_wanted { quality } else { 0.0 }
            });
            ranges.fold(0.0_f32, f32::max)
        };
        let open = liking("application/openmetrics-text");
        if open > 0.0 && open > liking("text/plain") {
            Format::OpenMetrics
        } else {
            Format::Prometheus
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
    /// Always 1: what it says stands in its labels.
    Info,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::Info => "info",
        }
    }
}

/// A family of series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Without `_total` and `_info`; ends with the unit, where it has one.
    pub name: &'static str,
    pub kind: Kind,
    pub unit: Option<&'static str>,
    pub labels: &'static [&'static str],
    /// One sentence, without the full stop.
    pub help: &'static str,
}

impl Metric {
    /// The name of its samples; of a histogram, what they begin with.
    pub fn sample_name(&self) -> String {
        let Metric { name, kind, .. } = self;
        match kind {
            Kind::Counter => format!("{name}_total"),
            Kind::Info => format!("{name}_info"),
            Kind::Gauge | Kind::Histogram => (*name).to_owned(),
        }
    }

    fn describe(&self, format: Format, text: &mut String) {
        let sample_name;
        let (name, kind) = match format {
            Format::OpenMetrics => (self.name, self.kind.as_str()),
            Format::Prometheus => {
                sample_name = self.sample_name();
                let is_info = self.kind == Kind::Info;
                (sample_name.as_str(), if is_info { "gauge" } else { self.kind.as_str() })
            }
        };
        let _ = writeln!(text, "# TYPE {name} {kind}");
        if let (Format::OpenMetrics, Some(unit)) = (format, self.unit) {
            let _ = writeln!(text, "# UNIT {name} {unit}");
        }
        let _ = write!(text, "# HELP {name} ");
        // OpenMetrics escapes quotes in a help text, the older form knows no such escape.
        escape(self.help, format == Format::OpenMetrics, text);
        text.push('\n');
    }
}

/// A label's value or a help text: no line ends within it.
fn escape(value: &str, quotes: bool, text: &mut String) {
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '"' if quotes => text.push_str("\\\""),
            c => text.push(c),
        }
    }
}

/// Writes the series of one family.
pub struct Series<'t> {
    metric: &'static Metric,
    sample_name: String,
    text: &'t mut String,
}

impl Series<'_> {
    /// `labels` are the values of the metric's labels, in their order.
    pub fn value(&mut self, labels: &[&str], value: impl Display) {
        let Series { metric, sample_name, text } = self;
        sample(text, sample_name, "", &mut pairs(metric, labels), value);
    }

    pub fn histogram(&mut self, labels: &[&str], distribution: &Distribution) {
        let Series { metric, sample_name, text } = self;
        let mut bounds = BOUNDS_SECONDS.map(|bound| format!("{bound:?}")).to_vec();
        bounds.push("+Inf".to_owned());
        for (bound, count) in bounds.iter().zip(distribution.at_most) {
            let mut pairs = pairs(metric, labels).chain([("le", bound.as_str())]);
            sample(text, sample_name, "_bucket", &mut pairs, count);
        }
        sample(text, sample_name, "_sum", &mut pairs(metric, labels), distribution.sum_seconds);
        sample(text, sample_name, "_count", &mut pairs(metric, labels), distribution.count());
    }
}

fn pairs<'p>(
    metric: &Metric,
    labels: &'p [&'p str],
) -> impl Iterator<Item = (&'static str, &'p str)> {
    metric.labels.iter().copied().zip(labels.iter().copied())
}

fn sample(
    text: &mut String,
    name: &str,
    suffix: &str,
    labels: &mut dyn Iterator<Item = (&'static str, &str)>,
    value: impl Display,
) {
    text.push_str(name);
    text.push_str(suffix);
    let mut open = '{';
    for (label, value) in labels {
        text.push(open);
        text.push_str(label);
        text.push_str("=\"");
        escape(value, true, text);
        text.push('"');
        open = ',';
    }
    if open == ',' {
        text.push('}');
    }
    let _ = writeln!(text, " {value}");
}

/// Room for what usually is written.
const TEXT_BYTES: usize = 64 * 1024;

pub fn begin() -> String {
    String::with_capacity(TEXT_BYTES)
}

/// One family, its series written by `read`. Without series it is left out.
pub fn family(
    format: Format,
    metric: &'static Metric,
    text: &mut String,
    read: impl FnOnce(&mut Series<'_>),
) {
    let begun = text.len();
    metric.describe(format, text);
    let described = text.len();
    let sample_name = metric.sample_name();
    read(&mut Series { metric, sample_name, text });
    if text.len() == described {
        text.truncate(begun);
    }
}

pub fn end(format: Format, text: &mut String) {
    if format == Format::OpenMetrics {
        text.push_str("# EOF\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::histogram::Histogram;
    use std::time::Duration;

    const COUNTER: Metric = Metric {
        name: "t_read_bytes",
        kind: Kind::Counter,
        unit: Some("bytes"),
        labels: &["topic", "way"],
        help: "Bytes \"read\"\nof \\ topics",
    };
    const INFO: Metric =
        Metric { name: "t_build", kind: Kind::Info, unit: None, labels: &["v"], help: "Build" };
    const EMPTY: Metric =
        Metric { name: "t_none", kind: Kind::Gauge, unit: None, labels: &["v"], help: "None" };
    const TIMES: Metric = Metric {
        name: "t_took_seconds",
        kind: Kind::Histogram,
        unit: Some("seconds"),
        labels: &["way"],
        help: "Times",
    };

    fn written(format: Format) -> String {
        let mut text = begin();
        family(format, &COUNTER, &mut text, |series| {
            series.value(&["a\"b\\c\nd{e}=\u{2028}", "in"], 7);
        });
        family(format, &EMPTY, &mut text, |_| {});
        family(format, &INFO, &mut text, |series| series.value(&["1.0"], 1));
        end(format, &mut text);
        text
    }

    #[test]
    fn a_label_is_text_whatever_it_holds_and_a_family_without_series_is_left_out() {
        let sample = "t_read_bytes_total{topic=\"a\\\"b\\\\c\\nd{e}=\u{2028}\",way=\"in\"} 7\n";
        assert_eq!(
            written(Format::Prometheus),
            format!(
                "# TYPE t_read_bytes_total counter\n\
                 # HELP t_read_bytes_total Bytes \"read\"\\nof \\\\ topics\n{sample}\
                 # TYPE t_build_info gauge\n# HELP t_build_info Build\nt_build_info{{v=\"1.0\"}} 1\n"
            )
        );
        assert_eq!(
            written(Format::OpenMetrics),
            format!(
                "# TYPE t_read_bytes counter\n# UNIT t_read_bytes bytes\n\
                 # HELP t_read_bytes Bytes \\\"read\\\"\\nof \\\\ topics\n{sample}\
                 # TYPE t_build info\n# HELP t_build Build\nt_build_info{{v=\"1.0\"}} 1\n# EOF\n"
            )
        );
    }

    #[test]
    fn a_histogram_is_cumulative_and_ends_with_all() {
        let times = Histogram::default();
        times.add(Duration::from_millis(1_500));
        times.add(Duration::from_secs(200_000));
        let mut text = begin();
        family(Format::Prometheus, &TIMES, &mut text, |series| {
            series.histogram(&["up"], &times.snapshot());
        });
        let has = |line: &str| assert!(text.lines().any(|other| other == line), "{line}\n{text}");
        has("t_took_seconds_bucket{way=\"up\",le=\"1.0\"} 0");
        has("t_took_seconds_bucket{way=\"up\",le=\"2.5\"} 1");
        has("t_took_seconds_bucket{way=\"up\",le=\"86400.0\"} 1");
        has("t_took_seconds_bucket{way=\"up\",le=\"+Inf\"} 2");
        has("t_took_seconds_sum{way=\"up\"} 200001.5");
        has("t_took_seconds_count{way=\"up\"} 2");
        assert_eq!(text.lines().count(), 2 + BOUNDS_SECONDS.len() + 3);
    }

    #[test]
    fn the_form_is_the_one_that_the_client_likes_best() {
        let check =
            |accept: &str, format: Format| assert_eq!(Format::accepted(accept), format, "{accept}");
        check("", Format::Prometheus);
        check("*/*", Format::Prometheus);
        check("text/html,application/xhtml+xml", Format::Prometheus);
        check("application/openmetrics-text; version=1.0.0; charset=utf-8", Format::OpenMetrics);
        // What Prometheus sends.
        check(
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1",
            Format::OpenMetrics,
        );
        check("application/openmetrics-text;q=0.2,text/plain;q=0.3", Format::Prometheus);
        check("application/openmetrics-text;q=0", Format::Prometheus);
        check("application/openmetrics-text;q=x,;;,q=", Format::Prometheus);
    }
}
