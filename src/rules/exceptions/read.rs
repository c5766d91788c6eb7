//! From the text of a file to exceptions, with everything that is wrong at its place.

use std::net::{IpAddr, Ipv6Addr};
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Condition, Exception, ExceptionError, Expiry, Key, Named, Rules, Source, Wildcard};
use crate::limits;
use crate::rules::query::{Mode, Network, Program, Query, QueryError};

/// The tables of a file of exceptions, and those in the file of a rule.
const TABLE: &str = "exception";
const TABLE_OF_RULE: &str = "exceptions";
/// What an exception may have beside the keys of its conditions.
const OTHER_KEYS: [&str; 7] = ["rule", "rules", "id", "reason", "expires", "query", SOURCE];
const SOURCE: &str = "source";

/// All keys of an exception in the file of a rule.
pub fn keys_of_rule() -> impl Iterator<Item = &'static str> {
    let others = OTHER_KEYS.into_iter().filter(|key| !matches!(*key, "rule" | "rules"));
    Key::ALL.into_iter().map(Key::as_str).chain(others)
}

/// The exceptions of a file that holds nothing else.
///
/// # Errors
/// All that is wrong, up to [`limits::CONFIG_PROBLEMS_MAX`].
pub fn read_file(file: &str, text: &str) -> Result<Vec<Exception>, Vec<ExceptionError>> {
    let mut reader = Reader { file, text, rule: None, problems: Vec::new() };
    let table = reader.parse().map_err(|error| vec![error])?;
    let has = |key: &str| table.get_ref().get(key).is_some();
    if !has(TABLE) && (has("type") || has("rule")) {
        return Err(vec![ExceptionError::IsRule { file: file.to_owned() }]);
    }
    for (key, _) in table.get_ref().iter() {
        let name = key.get_ref().as_ref();
        if name != TABLE {
            let hint = if name == TABLE_OF_RULE {
                "an exception begins with `[[exception]]`".to_owned()
            } else {
                "a file of exceptions holds `[[exception]]` and nothing else".to_owned()
            };
            reader.problem(key.span(), format!("there is no key {}", quoted(name)), Some(hint));
        }
    }
    let entries = table.get_ref().get(TABLE);
    if entries.is_none() && reader.problems.is_empty() {
        let hint = "an exception begins with `[[exception]]`".to_owned();
        reader.problem(0..0, "there is no exception in it".to_owned(), Some(hint));
    }
    let exceptions = entries.map(|entries| reader.entries(entries)).unwrap_or_default();
    // The keys of a table have no order of their own.
    reader.problems.sort_by_key(|problem| match problem {
        ExceptionError::Placed { source, .. } => source.offset,
        _ => usize::MAX,
    });
    if reader.problems.is_empty() { Ok(exceptions) } else { Err(reader.problems) }
}

/// The exceptions in the file of a rule, which are of that rule alone.
///
/// # Errors
/// The first that is wrong.
pub fn read_of_rule(
    file: &str,
    text: &str,
    rule_id: &str,
) -> Result<Vec<Exception>, ExceptionError> {
    let mut reader = Reader { file, text, rule: Some(rule_id), problems: Vec::new() };
    let table = reader.parse()?;
    let entries = table.get_ref().get(TABLE_OF_RULE);
    let exceptions = entries.map(|entries| reader.entries(entries)).unwrap_or_default();
    match reader.problems.into_iter().next() {
        None => Ok(exceptions),
        Some(first) => Err(first),
    }
}

struct Reader<'f> {
    file: &'f str,
    text: &'f str,
    /// Whose file it is.
    rule: Option<&'f str>,
    problems: Vec<ExceptionError>,
}

/// The parts of an exception as far as they are read.
#[derive(Default)]
struct Parts {
    id: Option<String>,
    of: Option<Rules>,
    reason: Option<String>,
    expires: Option<Expiry>,
    conditions: Vec<Condition>,
    query: Option<Query>,
    /// A condition that does not hold of everything.
    says_something: bool,
}

impl<'f> Reader<'f> {
    fn parse(&self) -> Result<Spanned<DeTable<'f>>, ExceptionError> {
        DeTable::parse(self.text).map_err(|mut source| {
            source.set_input(Some(self.text));
            ExceptionError::Syntax { file: self.file.to_owned(), source: Box::new(source) }
        })
    }

    fn problem(&mut self, at: Range<usize>, message: impl Into<String>, hint: Option<String>) {
        let source = QueryError::at(self.text, at, message, hint);
        self.placed(source);
    }

    fn placed(&mut self, source: QueryError) {
        let file = self.file.to_owned();
        match self.problems.len() {
            limits::CONFIG_PROBLEMS_MAX => {
                let problems = limits::CONFIG_PROBLEMS_MAX;
                self.problems.push(ExceptionError::More { file, problems });
            }
            len if len > limits::CONFIG_PROBLEMS_MAX => {}
            _ => self.problems.push(ExceptionError::Placed { file, source: Box::new(source) }),
        }
    }

    fn entries(&mut self, entries: &Spanned<DeValue<'f>>) -> Vec<Exception> {
        let DeValue::Array(entries) = entries.get_ref() else {
            let name = if self.rule.is_some() { TABLE_OF_RULE } else { TABLE };
            let hint = format!("an exception begins with `[[{name}]]`");
            self.problem(entries.span(), "no list of exceptions", Some(hint));
            return Vec::new();
        };
        let mut read = Vec::new();
        for entry in entries.iter() {
            match entry.get_ref() {
                DeValue::Table(table) => read.extend(self.entry(table, entry.span())),
                _ => self.problem(entry.span(), "no table of an exception", None),
            }
        }
        read
    }

    /// `None` only with a problem in the list.
    fn entry(&mut self, table: &DeTable<'f>, span: Range<usize>) -> Option<Exception> {
        let before = self.problems.len();
        let mut parts = Parts::default();
        for (key, value) in table.iter() {
            self.key(&mut parts, key, value);
        }
        // An empty table at the end of a file has no place of its own.
        let span = span.start..span.end.max(span.start);
        let line = QueryError::at(self.text, span.clone(), "", None).line;
        let of = parts.of.or_else(|| {
            let own = self.rule?;
            let place = QueryError::at(self.text, span.clone(), "", None);
            Some(Rules::These(vec![Named { id: own.to_owned(), place }]))
        });
        let is_complete = self.problems.len() == before;
        if of.is_none() && is_complete {
            let hint =
                "`rule = \"ID\"`, `rules = [\"ID\", …]`, or `rule = \"*\"` for all".to_owned();
            self.problem(span.clone(), "an exception without `rule`", Some(hint));
        }
        if parts.reason.is_none() && is_complete {
            let hint = "say in a sentence why these events are no alerts".to_owned();
            self.problem(span.clone(), "an exception without `reason`", Some(hint));
        }
        if !parts.says_something && is_complete {
            let (message, hint) = if parts.conditions.is_empty() && parts.query.is_none() {
                (
                    "an exception without a condition would hold of every event",
                    "name at least one of",
                )
            } else {
                ("an exception whose conditions hold of every event", "say more with one of")
            };
            self.problem(span.clone(), message, Some(format!("{hint} {}", conditions_text())));
        }
        let of_sources = |condition: &Condition| matches!(condition, Condition::Sources(_));
        if parts.query.as_ref().is_some_and(asks_for_addresses)
            && !parts.conditions.iter().any(of_sources)
        {
            let message = "a query for addresses, of which one that a client forged is enough";
            let hint =
                "`source = [\"10.0.0.0/8\"]` holds if all addresses lie there, forged ones too";
            self.problem(span.clone(), message, Some(hint.to_owned()));
        }
        if self.problems.len() > before {
            return None;
        }
        let name = parts.id.unwrap_or_else(|| format!("{}:{line}", self.file));
        Some(Exception {
            name,
            file: self.file.to_owned(),
            line,
            of: of?,
            reason: parts.reason?,
            expires: parts.expires,
            conditions: parts.conditions,
            query: parts.query,
        })
    }

    fn key(
        &mut self,
        parts: &mut Parts,
        key: &Spanned<toml::de::DeString<'f>>,
        value: &Spanned<DeValue<'f>>,
    ) {
        let name = key.get_ref().as_ref();
        match name {
            "rule" | "rules" if self.rule.is_some() => {
                let hint = "exceptions of other rules stand in files of their own".to_owned();
                let message = format!(
                    "`{name}` does not belong here: in a rule's file an exception is of that rule alone"
                );
                self.problem(key.span(), message, Some(hint));
            }
            "rule" | "rules" if parts.of.is_some() => {
                self.problem(
                    key.span(),
                    "`rule` stands beside `rules`: one of both is enough",
                    None,
                );
            }
            "rule" | "rules" => parts.of = self.rules(name, value),
            "id" => parts.id = self.id(value),
            "reason" => parts.reason = self.reason(value),
            "expires" => parts.expires = self.expires(value),
            "query" => {
                parts.query = self.query(value);
                parts.says_something = true;
            }
            SOURCE => {
                let sources = self.sources(value);
                parts.says_something |= !sources.iter().any(|source| source.network.is_all());
                parts.conditions.push(Condition::Sources(sources));
            }
            _ => match Key::ALL.into_iter().find(|known| known.as_str() == name) {
                Some(of) => {
                    let values = self.wildcards(name, value);
                    parts.says_something |= !values.iter().any(Wildcard::is_any);
                    parts.conditions.push(Condition::Like(of, values));
                }
                None => {
                    let hint = match nearest(name) {
                        Some(nearest) => format!("did you mean `{nearest}`?"),
                        None => format!(
                            "there are `rule`, `rules`, `id`, `reason`, `expires`, and the conditions {}",
                            conditions_text()
                        ),
                    };
                    let message = format!("there is no key {}", quoted(name));
                    self.problem(key.span(), message, Some(hint));
                }
            },
        }
    }

    /// The texts of a value that is one, or a list of some.
    fn texts(&mut self, name: &str, value: &Spanned<DeValue<'f>>) -> Vec<(String, Range<usize>)> {
        let one = |value: &Spanned<DeValue<'f>>| {
            let text = value.get_ref().as_str()?;
            Some((text.to_owned(), value.span()))
        };
        let found: Option<Vec<_>> = match value.get_ref() {
            DeValue::Array(items) => items.iter().map(one).collect(),
            _ => one(value).map(|one| vec![one]),
        };
        let Some(found) = found else {
            self.problem(value.span(), format!("`{name}` is no text and no list of texts"), None);
            return Vec::new();
        };
        if found.is_empty() {
            self.problem(value.span(), format!("`{name}` is an empty list"), None);
        }
        if found.len() > limits::EXCEPTION_VALUES_MAX {
            let most = limits::EXCEPTION_VALUES_MAX;
            self.problem(value.span(), format!("`{name}` has more than {most} values"), None);
            return Vec::new();
        }
        found
    }

    fn rules(&mut self, name: &str, value: &Spanned<DeValue<'f>>) -> Option<Rules> {
        let ids = self.texts(name, value);
        if ids.iter().any(|(id, _)| id == "*") {
            if ids.len() > 1 {
                let hint = "`rule = \"*\"` is for all rules".to_owned();
                self.problem(value.span(), "`*` stands beside other rules", Some(hint));
                return None;
            }
            return Some(Rules::All);
        }
        let named = ids
            .into_iter()
            .map(|(id, span)| Named { id, place: QueryError::at(self.text, span, "", None) });
        let named: Vec<Named> = named.collect();
        (!named.is_empty()).then_some(Rules::These(named))
    }

    fn id(&mut self, value: &Spanned<DeValue<'f>>) -> Option<String> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let id = value.get_ref().as_str().unwrap_or_default();
        if id.is_empty() || id.len() > limits::NAME_MAX_BYTES || !id.chars().all(plain) {
            let message = "`id` must be lower-case letters, digits and hyphens";
            self.problem(value.span(), message, None);
            return None;
        }
        Some(id.to_owned())
    }

    fn reason(&mut self, value: &Spanned<DeValue<'f>>) -> Option<String> {
        let reason = value.get_ref().as_str().unwrap_or_default().trim();
        if reason.is_empty() || reason.len() > limits::EXCEPTION_REASON_MAX_BYTES {
            let most = limits::EXCEPTION_REASON_MAX_BYTES;
            let message = format!("`reason` must be a text of 1 to {most} bytes");
            self.problem(value.span(), message, None);
            return None;
        }
        Some(reason.to_owned())
    }

    fn expires(&mut self, value: &Spanned<DeValue<'f>>) -> Option<Expiry> {
        let DeValue::Datetime(time) = value.get_ref() else {
            let hint = "write it without quotes, e.g. `expires = 2027-01-31`".to_owned();
            self.problem(value.span(), "`expires` is no date", Some(hint));
            return None;
        };
        let text = time.to_string();
        match Expiry::parse(&text) {
            Ok(expires) => Some(expires),
            Err(hint) => {
                let message = format!("`expires` is {text}, which is no moment in time");
                self.problem(value.span(), message, Some(hint.to_owned()));
                None
            }
        }
    }

    fn query(&mut self, value: &Spanned<DeValue<'f>>) -> Option<Query> {
        let Some(text) = value.get_ref().as_str() else {
            self.problem(value.span(), "`query` is no text", None);
            return None;
        };
        let wrong = match Query::parse(text) {
            Err(error) => error,
            Ok(query) => {
                let alone = Program::compile(std::slice::from_ref(&query), &[], Mode::Strict);
                match alone {
                    Ok(program) => match program.fixed_answer(0) {
                        None => return Some(query),
                        Some(true) => QueryError::at(
                            text,
                            0..text.len(),
                            "the query holds of every event",
                            None,
                        ),
                        Some(false) => {
                            QueryError::at(text, 0..text.len(), "the query holds of no event", None)
                        }
                    },
                    Err(problems) => problems.into_iter().next()?.error,
                }
            }
        };
        let written = self.text.get(value.span()).unwrap_or_default();
        // A text with escapes stands there otherwise than it is: its own lines are told then.
        let wrong = match written.find(text) {
            Some(at) => wrong.within(self.text, value.span().start + at),
            None => wrong,
        };
        self.placed(wrong);
        None
    }

    fn sources(&mut self, value: &Spanned<DeValue<'f>>) -> Vec<Source> {
        let mut sources = Vec::new();
        for (text, span) in self.texts(SOURCE, value) {
            match Network::parse(&text) {
                Some(network) => match of_host(&text, &network) {
                    None => sources.push(Source { network, text }),
                    Some(meant) => {
                        let message = format!(
                            "`source` is {}, whose address has bits beyond its length",
                            quoted(&text)
                        );
                        self.problem(span, message, Some(format!("did you mean {meant}?")));
                    }
                },
                None => {
                    let hint =
                        "write e.g. \"10.0.0.0/8\", \"2001:db8::/32\" or \"192.0.2.7\"".to_owned();
                    let message = format!(
                        "`source` is {}, which is no address and no network",
                        quoted(&text)
                    );
                    self.problem(span, message, Some(hint));
                }
            }
        }
        sources
    }

    fn wildcards(&mut self, name: &str, value: &Spanned<DeValue<'f>>) -> Vec<Wildcard> {
        let mut wildcards = Vec::new();
        for (text, span) in self.texts(name, value) {
            if text.is_empty() || text.len() > limits::EXCEPTION_VALUE_MAX_BYTES {
                let most = limits::EXCEPTION_VALUE_MAX_BYTES;
                self.problem(span, format!("`{name}` must be 1 to {most} bytes long"), None);
                continue;
            }
            match Wildcard::parse(&text) {
                Ok(wildcard) => wildcards.push(wildcard),
                Err(problem) => self.problem(span, format!("`{name}` {problem}"), None),
            }
        }
        wildcards
    }
}

impl Expiry {
    /// Of a date, which ends with its day in UTC, or of a time with its offset.
    ///
    /// # Errors
    /// Says what to write.
    pub fn parse(text: &str) -> Result<Expiry, &'static str> {
        const HINT: &str = "write a date, which ends with its day in UTC, or a time with its offset: `2027-01-31`, `2027-01-31T18:00:00Z`";
        let moment = text.parse::<jiff::Timestamp>().ok();
        let date = || text.parse::<jiff::civil::Date>().ok().filter(|_| text.len() == 10);
        let end_of = |date: jiff::civil::Date| {
            let tomorrow = date.tomorrow().ok()?;
            format!("{tomorrow}T00:00:00Z").parse::<jiff::Timestamp>().ok()
        };
        let at = moment.or_else(|| date().and_then(end_of)).ok_or(HINT)?;
        Ok(Expiry { at_ms: at.as_millisecond(), text: text.to_owned() })
    }
}

/// What may be meant by a prefix whose address is none of a network: `10.1.2.3/8`, and
/// `::ffff:10.0.0.0/8`, which would hold every address of IPv4. `None` where all is well.
fn of_host(text: &str, network: &Network) -> Option<String> {
    let (address, length) = text.split_once('/')?;
    let host: IpAddr = address.parse().ok()?;
    let bits = match host {
        IpAddr::V4(host) => host.to_ipv6_mapped().to_bits(),
        IpAddr::V6(host) => host.to_bits(),
    };
    if bits == network.first {
        return None;
    }
    let first = Ipv6Addr::from_bits(network.first);
    let mapped = match host {
        IpAddr::V4(_) => None,
        IpAddr::V6(host) => host.to_ipv4_mapped(),
    };
    Some(match (mapped, first.to_ipv4_mapped(), host) {
        // A length of IPv4 beside an address that is written as one of IPv6.
        (Some(v4), None, _) => {
            let length: u32 = length.parse().unwrap_or(0);
            format!("\"{v4}/{length}\" or \"::ffff:{v4}/{}\"", 96 + length.min(32))
        }
        (_, Some(first), IpAddr::V4(_)) => format!("\"{first}/{length}\" or \"{address}\""),
        _ => format!("\"{first}/{length}\" or \"{address}\""),
    })
}

/// Whether a field of the query is, or may be, `sourceIPs`.
fn asks_for_addresses(query: &Query) -> bool {
    const NAMES: [&str; 3] = ["source.ip", "client.ip", "kubernetes.audit.sourceIPs"];
    let may_be = |field: &str, name: &str| match field.split_once('*') {
        Some((known, _)) => name.starts_with(known),
        None => field == name,
    };
    query.fields().iter().any(|field| NAMES.iter().any(|name| may_be(field, name)))
}

fn conditions_text() -> String {
    let keys = Key::ALL.iter().map(|key| key.as_str()).chain([SOURCE, "query"]);
    keys.map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
}

fn nearest(name: &str) -> Option<&'static str> {
    // A longer name is no slip of the finger, and the comparison is quadratic.
    if name.len() > limits::CONFIG_QUOTED_MAX_CHARS {
        return None;
    }
    Key::ALL
        .iter()
        .map(|key| key.as_str())
        .chain(OTHER_KEYS)
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

/// A text of the file within a message: what could rewrite a terminal is escaped.
fn quoted(text: &str) -> String {
    let short: String = text.chars().take(limits::CONFIG_QUOTED_MAX_CHARS).collect();
    format!("{short:?}")
}
