//! The tuples of terms that one event gives a new-terms rule.
//!
//! Owns which events count, how a field's value is read and how many tuples an event may have.
//! Whether a tuple is new is for the fold.

use std::net::IpAddr;

use sha2::{Digest, Sha256};

use crate::audit::event::Event;
use crate::limits;
use crate::rules::format::{MatchTable, TermField};
use crate::rules::rule::NewTermsRule;

/// What an event gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tuples {
    /// Values in the order of the rule's fields, each with the key that decides the partition.
    pub tuples: Vec<Tuple>,
    /// Source addresses past [`limits::SOURCE_IPS_MAX`], which give no tuple.
    pub sources_over_limit: u64,
    /// There would be more than [`limits::TUPLES_MAX`]; those past it are left out.
    pub over_limit: bool,
    /// Why there is none although the event matches.
    pub absent: Option<Absent>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tuple {
    pub terms: Vec<String>,
    pub shard_key: String,
}

/// Why a matching event gives no tuple.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Absent {
    /// A field is missing or empty.
    Field(TermField),
    /// An entry of `sourceIPs` is no address, so the event has no `source.ip`.
    SourceNoAddress,
}

/// Whether the event is one that counts.
pub fn counts(table: &MatchTable, event: &Event<'_>) -> bool {
    let Some(object) = &event.object_ref else { return false };
    if object.resource.as_deref() != Some(table.resource.as_str()) {
        return false;
    }
    let verb = event.verb.as_deref().unwrap_or_default();
    if !table.verbs.iter().any(|wanted| wanted == verb) {
        return false;
    }
    match (Event::nonempty(&event.user_agent), &table.user_agent.forbidden_suffix) {
        (None, _) => !table.user_agent.required,
        (Some(agent), Some(suffix)) => !agent.ends_with(suffix.as_str()),
        (Some(_), None) => true,
    }
}

/// The tuples of an event that counts. `others` are the values of the fields that the event does
/// not tell by itself, parallel to the rule's fields.
pub fn of(rule: &NewTermsRule, event: &Event<'_>, others: &[Vec<String>]) -> Tuples {
    let mut result = Tuples::default();
    // The tuples are the product of the fields' values.
    let mut columns: Vec<Vec<String>> = Vec::with_capacity(rule.fields.len());
    for (at, field) in rule.fields.iter().enumerate() {
        let values = match field {
            TermField::Other(_) => {
                let values = others.get(at).into_iter().flatten();
                values.map(|value| bounded(value, limits::TERM_MAX_BYTES)).collect()
            }
            TermField::SourceIp => match source_addresses(event) {
                Ok((addresses, over_limit)) => {
                    result.sources_over_limit = over_limit;
                    addresses
                }
                Err(absent) => {
                    result.absent = Some(absent);
                    return result;
                }
            },
            TermField::UserName => {
                let user = event.user.as_ref();
                one(user.and_then(|user| Event::nonempty(&user.username)))
            }
            TermField::UserAgent => one(Event::nonempty(&event.user_agent)),
        };
        if values.is_empty() {
            return Tuples { absent: Some(Absent::Field(field.clone())), ..Tuples::default() };
        }
        columns.push(values);
    }

    result.over_limit = cut(rule, &mut columns);
    let mut rows: Vec<Vec<String>> = vec![Vec::new()];
    for values in columns {
        let longer = rows.iter().flat_map(|row| {
            values.iter().map(|value| {
                let mut row = row.clone();
                row.push(value.clone());
                row
            })
        });
        rows = longer.collect();
    }
    result.tuples =
        rows.into_iter().map(|terms| Tuple { shard_key: shard_key(rule, &terms), terms }).collect();
    result
}

/// Takes values away until there are no more than [`limits::TUPLES_MAX`] tuples; whether any were.
///
/// Addresses that were forwarded go first, since they are the caller's to write: nobody can push out
/// the peer, which is the last one, or what else the API server knows by itself. Then the longest
/// column gets shorter.
fn cut(rule: &NewTermsRule, columns: &mut [Vec<String>]) -> bool {
    let over = |columns: &[Vec<String>]| {
        let lengths = columns.iter().map(Vec::len);
        lengths.fold(1_usize, usize::saturating_mul) > limits::TUPLES_MAX
    };
    let begins_over = over(columns);
    let is_sources = |field: &TermField| match field {
        TermField::SourceIp => true,
        TermField::Other(name) => name == "kubernetes.audit.sourceIPs",
        TermField::UserName | TermField::UserAgent => false,
    };
    for (_, values) in rule.fields.iter().zip(&mut *columns).filter(|(field, _)| is_sources(field))
    {
        if begins_over {
            values.drain(..values.len().saturating_sub(1));
        }
    }
    while over(columns)
        && let Some(longest) = columns.iter_mut().max_by_key(|values| values.len())
    {
        longest.pop();
    }
    begins_over
}

fn one(value: Option<&str>) -> Vec<String> {
    value.map(|value| bounded(value, limits::TERM_MAX_BYTES)).into_iter().collect()
}

/// A term is part of a record's key, which no smaller form can spare: a longer value stands as
/// its beginning and the SHA-256 of the whole. (An API server cuts user agents at 1,024 bytes.)
pub(crate) fn bounded(value: &str, max_bytes: usize) -> String {
    if value.len() <= max_bytes {
        return value.to_owned();
    }
    let mut end = max_bytes;
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    let digest = Sha256::digest(value.as_bytes());
    let mut term = value[..end].to_owned();
    term.push_str("… sha256:");
    for byte in digest {
        term.push_str(&format!("{byte:02x}"));
    }
    term
}

/// The value of the rule's shard field; for a rule without one, all values, told apart by a
/// line break each.
fn shard_key(rule: &NewTermsRule, terms: &[String]) -> String {
    rule.shard_by
        .as_ref()
        .and_then(|field| rule.fields.iter().position(|other| other == field))
        .and_then(|at| terms.get(at).cloned())
        .unwrap_or_else(|| terms.join("\n"))
}

/// The distinct addresses of `sourceIPs` in canonical text, and how many entries were left out
/// for the limit.
///
/// What stands first is the caller's to write (`X-Forwarded-For`) and may be many; the last one
/// is the peer, which the API server saw itself, so it always has a place.
fn source_addresses(event: &Event<'_>) -> Result<(Vec<String>, u64), Absent> {
    let missing = Absent::Field(TermField::SourceIp);
    let sources = event.source_ips.as_deref().unwrap_or_default();
    let (peer, forwarded) = sources.split_last().ok_or(missing)?;
    let peer = canonical_address(peer)?;

    let mut kept: Vec<IpAddr> = Vec::new();
    let mut over_limit = 0;
    for source in forwarded {
        let address = canonical_address(source)?;
        if address == peer || kept.contains(&address) {
            continue;
        }
        if kept.len() + 1 < limits::SOURCE_IPS_MAX {
            kept.push(address);
        } else {
            over_limit += 1;
        }
    }
    kept.push(peer);
    Ok((kept.iter().map(IpAddr::to_string).collect(), over_limit))
}

/// One address has one text: IPv6 as RFC 5952 writes it, IPv4 within IPv6 as IPv4.
fn canonical_address(text: &str) -> Result<IpAddr, Absent> {
    text.parse().map(|address: IpAddr| address.to_canonical()).map_err(|_| Absent::SourceNoAddress)
}

#[cfg(test)]
#[path = "tuples_tests.rs"]
mod tests;
