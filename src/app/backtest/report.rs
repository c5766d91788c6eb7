//! What a backtest tells: one JSON object, from which the text is made too.
//!
//! Owns the object's names and orders. It is a function of the records and the options: the same
//! range gives the same bytes. Times are RFC 3339 in UTC; counts are those of distinct alerts.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::Serialize;

use super::BacktestOptions;
use super::examine::{Counts, Examiner};
use super::hits::{Hit, Side};
use super::range::{LATE_MAX_MS, Part};
use super::reader::PartRead;
use super::tally::{BySide, RuleTally, Share, Tally};
use crate::app::state::baseline::time_text;
use crate::config::Config;
use crate::limits::HOUR_MS;

/// Of the JSON object.
pub const SCHEMA: &str = "kubetell.backtest";
pub const SCHEMA_VERSION: u32 = 1;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    pub schema: &'static str,
    pub version: u32,
    /// Not all of the range was read.
    pub partial: bool,
    /// Whether two sets of rules were compared. Without it everything is `current`.
    pub compared: bool,
    pub range: Range,
    pub read: ReadCounts,
    /// In the order of the configuration's topics.
    pub partitions: Vec<PartitionView>,
    pub unreadable: Vec<UnreadableView>,
    /// Items that are no audit events and not meant to be, by reason.
    pub skipped: BTreeMap<&'static str, u64>,
    /// Events of which an exception held, by exception; of the candidate if there is one.
    pub excepted: BTreeMap<String, u64>,
    pub alerts: Difference,
    /// Alerts that suppressions withhold; not among the others.
    pub withheld: Sides,
    /// Every rule in force on either side, by id.
    pub rules: Vec<RuleView>,
    /// Those with the most alerts first.
    pub users: Vec<UserView>,
    /// All users that are not listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_users: Option<OtherUsers>,
    /// Hours with alerts, by the time of the event.
    pub hours: Vec<HourView>,
    /// Alerts of hours beyond the ones that are told apart.
    #[serde(skip_serializing_if = "Sides::is_zero")]
    pub other_hours: Sides,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Range {
    pub from: String,
    /// Exclusive.
    pub to: String,
    /// Records from here on, before `from`, were read for the new-terms rules alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history_from: Option<String>,
    /// How long after `to` records were looked for that were late, seconds.
    pub late_seconds: i64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ReadCounts {
    /// Of the range, by the records' own timestamps.
    pub records: u64,
    pub history_records: u64,
    /// Of both.
    pub bytes: u64,
    /// Records between the same offsets whose timestamps are not of the range.
    pub outside_records: u64,
    /// Records without a value.
    pub tombstones: u64,
    /// Events that were parsed; records that concern no rule are passed over unparsed.
    pub events: u64,
    /// What the client calls damaged.
    pub damaged: u64,
    /// Offsets that were deleted while they were read.
    pub lost: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionView {
    pub topic: String,
    pub partition: i32,
    pub from_offset: i64,
    /// Exclusive.
    pub to_offset: i64,
    /// Exclusive. Less than `to_offset` where not all was read.
    pub read_to_offset: i64,
    /// Records of the range.
    pub records: u64,
    /// The log begins within the range: what was before is deleted.
    pub range_cut: bool,
    /// The log begins within the history.
    pub history_cut: bool,
    /// Time of the first record that was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_record: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnreadableView {
    pub class: &'static str,
    pub records: u64,
    /// Where the first one stands, and why it could not be read.
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub reason: String,
}

/// Counts of alerts by the set of rules.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Sides {
    pub current: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidate: Option<u64>,
}

impl Sides {
    pub fn is_zero(&self) -> bool {
        self.current == 0 && self.candidate.is_none_or(|count| count == 0)
    }

    fn sum(self) -> u64 {
        self.current + self.candidate.unwrap_or(0)
    }
}

/// Counts of alerts, and what of them both sets raise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    #[serde(flatten)]
    pub sides: Sides,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub both: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only_current: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only_candidate: Option<u64>,
}

impl Difference {
    pub fn nothing(compared: bool) -> Difference {
        let zero = compared.then_some(0);
        let sides = Sides { current: 0, candidate: zero };
        Difference { sides, both: zero, only_current: zero, only_candidate: zero }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleView {
    pub id: String,
    /// Whether the rule is in force.
    pub in_current: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_candidate: Option<bool>,
    #[serde(flatten)]
    pub alerts: Difference,
    /// Alerts that the rule's suppression withholds.
    #[serde(skip_serializing_if = "Sides::is_zero")]
    pub withheld: Sides,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<ExampleView>,
}

/// The earliest alerts of each share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExampleView {
    /// Absent where nothing is compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<&'static str>,
    pub time: String,
    pub user: String,
    pub what: String,
    pub audit_id: String,
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UserView {
    /// Empty: the events name no user.
    pub user: String,
    #[serde(flatten)]
    pub alerts: Sides,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct OtherUsers {
    #[serde(flatten)]
    pub alerts: Sides,
    /// Not all of them could be told apart, so their number is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HourView {
    /// Its first moment.
    pub hour: String,
    #[serde(skip)]
    pub start_ms: i64,
    #[serde(flatten)]
    pub alerts: Sides,
}

/// What was read, as far as it got.
pub struct Read<'a> {
    pub parts: &'a [Part],
    pub reads: Vec<PartRead>,
    pub counts: Counts,
}

pub fn build(
    config: &Config,
    options: &BacktestOptions,
    examiner: &Examiner,
    read: Read<'_>,
    tally: Tally,
    partial: bool,
) -> Report {
    let names = Names { topics: &config.source.topics, compared: examiner.has_candidate() };
    let rules: Vec<RuleView> = (0..)
        .zip(examiner.rule_ids().iter().zip(&tally.rules))
        .map(|(number, (id, rule))| RuleView {
            id: id.clone(),
            in_current: examiner.has(Side::Current, number),
            in_candidate: names.compared.then(|| examiner.has(Side::Candidate, number)),
            alerts: names.difference(rule.alerts, rule.both),
            withheld: names.sides(rule.withheld),
            examples: names.examples(rule),
        })
        .collect();
    let sum = |part: fn(&RuleTally) -> u64| tally.rules.iter().map(part).sum();
    let all = [sum(|rule| rule.alerts[0]), sum(|rule| rule.alerts[1])];
    let withheld = [sum(|rule| rule.withheld[0]), sum(|rule| rule.withheld[1])];
    let (users, other_users) = names.users(&tally, options.users);
    let history_ms = options.history_ms;
    Report {
        schema: SCHEMA,
        version: SCHEMA_VERSION,
        partial,
        compared: names.compared,
        range: Range {
            from: time_text(options.from_ms),
            to: time_text(options.to_ms),
            history_from: (history_ms > 0)
                .then(|| time_text(options.from_ms.saturating_sub(history_ms))),
            late_seconds: LATE_MAX_MS / 1_000,
        },
        read: read_counts(&read),
        partitions: names.partitions(&read),
        unreadable: names.unreadable(&read.counts),
        skipped: read.counts.skipped,
        excepted: read.counts.excepted,
        alerts: names.difference(all, sum(|rule| rule.both)),
        withheld: names.sides(withheld),
        rules,
        users,
        other_users,
        hours: tally
            .hours
            .iter()
            .map(|(&start_ms, &alerts)| HourView {
                hour: time_text(start_ms),
                start_ms,
                alerts: names.sides(alerts),
            })
            .collect(),
        other_hours: names.sides(tally.other_hours),
    }
}

fn read_counts(read: &Read<'_>) -> ReadCounts {
    let mut counts = ReadCounts { events: read.counts.events, ..ReadCounts::default() };
    for one in &read.reads {
        counts.records += one.records;
        counts.history_records += one.history_records;
        counts.bytes += one.bytes;
        counts.outside_records += one.outside;
        counts.tombstones += one.tombstones;
        counts.damaged += one.damaged;
        counts.lost += one.lost;
    }
    counts
}

/// How what is known by number is called.
struct Names<'a> {
    topics: &'a [String],
    compared: bool,
}

impl Names<'_> {
    fn topic(&self, number: u16) -> String {
        self.topics.get(usize::from(number)).cloned().unwrap_or_default()
    }

    fn sides(&self, alerts: BySide) -> Sides {
        Sides { current: alerts[0], candidate: self.compared.then_some(alerts[1]) }
    }

    fn difference(&self, alerts: BySide, both: u64) -> Difference {
        let only = |side: usize| self.compared.then(|| alerts[side].saturating_sub(both));
        Difference {
            sides: self.sides(alerts),
            both: self.compared.then_some(both),
            only_current: only(0),
            only_candidate: only(1),
        }
    }

    fn examples(&self, rule: &RuleTally) -> Vec<ExampleView> {
        let shares = rule.examples.iter();
        let examples = shares.flat_map(|(share, hits)| hits.values().map(move |hit| (*share, hit)));
        examples.map(|(share, hit)| self.example(share, hit)).collect()
    }

    fn example(&self, share: Share, hit: &Hit) -> ExampleView {
        let name = match share {
            Share::OnlyCurrent => "only_current",
            Share::OnlyCandidate => "only_candidate",
            Share::Both => "both",
        };
        let place = &hit.seen.place;
        ExampleView {
            share: self.compared.then_some(name),
            time: time_text(hit.seen.time_ms),
            user: hit.shown.user.clone(),
            what: hit.shown.what.clone(),
            audit_id: hit.shown.audit_id.clone(),
            topic: self.topic(place.topic),
            partition: place.partition,
            offset: place.offset,
        }
    }

    fn partitions(&self, read: &Read<'_>) -> Vec<PartitionView> {
        let parts = read.parts.iter().map(|part| {
            let is_of =
                |read: &&PartRead| read.topic == part.topic && read.partition == part.partition;
            let read = read.reads.iter().find(is_of);
            PartitionView {
                topic: self.topic(part.topic),
                partition: part.partition,
                from_offset: part.start,
                to_offset: part.until,
                read_to_offset: read.map_or(part.start, |read| read.reached),
                records: read.map_or(0, |read| read.records),
                range_cut: part.range_cut,
                history_cut: part.history_cut,
                first_record: read.and_then(|read| read.first_ms).map(time_text),
            }
        });
        parts.collect()
    }

    fn unreadable(&self, counts: &Counts) -> Vec<UnreadableView> {
        let classes = counts.unreadable.iter().map(|(class, unreadable)| UnreadableView {
            class,
            records: unreadable.records,
            topic: self.topic(unreadable.first.topic),
            partition: unreadable.first.partition,
            offset: unreadable.first.offset,
            reason: unreadable.reason.clone(),
        });
        classes.collect()
    }

    fn users(&self, tally: &Tally, listed: usize) -> (Vec<UserView>, Option<OtherUsers>) {
        let mut users: Vec<(&String, BySide)> =
            tally.users.iter().map(|(user, alerts)| (user, *alerts)).collect();
        users.sort_by_key(|(user, alerts)| (Reverse(self.sides(*alerts).sum()), *user));
        let rest = users.split_off(listed.min(users.len()));
        let mut others = tally.other_users;
        for (_, alerts) in &rest {
            others[0] += alerts[0];
            others[1] += alerts[1];
        }
        let listed = users
            .into_iter()
            .map(|(user, alerts)| UserView { user: user.clone(), alerts: self.sides(alerts) });
        let others = self.sides(others);
        let known = tally.other_users == BySide::default();
        let others = (!others.is_zero())
            .then(|| OtherUsers { alerts: others, users: known.then_some(rest.len() as u64) });
        (listed.collect(), others)
    }
}

/// Whether an hour is one of the range.
pub fn is_within(hour_ms: i64, from_ms: i64, to_ms: i64) -> bool {
    hour_ms.saturating_add(HOUR_MS) > from_ms && hour_ms < to_ms
}
