//! Labels of an event that a rule matched, and what its alert is the same by.

use sha2::{Digest, Sha256};

use crate::detect::queries::Asker;
use crate::detect::suppress::Suppression;
use crate::rules::format::Severity;
use crate::rules::rule::Rule;

/// What is known of a match beside it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Triaged {
    /// In the order of the rule; the first one is the alert's.
    pub labels: Vec<String>,
    pub suppression: Option<Suppression>,
}

/// Reads what the rule asks for. Of an event with more values than are looked at nothing is known:
/// it gets the default label, and is never withheld.
///
/// What is graver, or ended otherwise, is not the same: a request that was refused does not withhold
/// the alert on the one that succeeds.
pub fn triage(rule: &Rule, severity: Severity, cluster: &str, asker: &Asker<'_, '_>) -> Triaged {
    let Some(triage) = rule.triage() else { return Triaged::default() };
    let values = asker.values(triage.fields());
    let of = |field: usize| -> &[String] {
        values.as_ref().ok().and_then(|values| values.get(field)).map_or(&[], Vec::as_slice)
    };
    let labels =
        triage.labels().map(|labels| labels.of(of(labels.field).iter().map(String::as_str)));
    let suppression = triage.suppress().filter(|_| values.is_ok()).map(|suppress| {
        let by = suppress.by.iter().map(|field| of(*field));
        let kind = [severity as u8, asker.event.outcome() as u8];
        Suppression { key: key([cluster, rule.id()], kind, by), for_ms: suppress.for_ms }
    });
    Triaged { labels: labels.unwrap_or_default(), suppression }
}

/// Half of SHA-256 over lengths and texts: of cluster, rule, severity, outcome, and the values field
/// by field.
fn key<'v>(rule: [&str; 2], kind: [u8; 2], fields: impl Iterator<Item = &'v [String]>) -> [u8; 16] {
    let mut hash = Sha256::new();
    let mut text = |text: &str| {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    };
    rule.into_iter().for_each(&mut text);
    for values in fields {
        text(&values.len().to_string());
        values.iter().for_each(|value| text(value));
    }
    hash.update(kind);
    let mut key = [0; 16];
    key.iter_mut().zip(hash.finalize()).for_each(|(to, from)| *to = from);
    key
}
