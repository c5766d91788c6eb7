//! The labels and the suppression of a rule file.

use std::sync::Arc;

use super::{Compiler, RuleError};
use crate::duration::{format_duration, parse_duration_ms};
use crate::limits;
use crate::rules::format::{RuleFile, RuleType, SuppressTable};
use crate::rules::query::{Mode, Program};
use crate::rules::triage::{Labels, Suppress, Triage, number_of};

impl Compiler<'_> {
    /// What is read of an event that the rule has matched; `None` if nothing is.
    pub(super) fn triage(&self, raw: &RuleFile) -> Result<Option<Triage>, RuleError> {
        let mut names = Vec::new();
        let labels = match raw.kind {
            // Those of an exec rule are over its command.
            RuleType::Exec => None,
            RuleType::Query | RuleType::NewTerms => self.labels(raw, &mut names)?,
        };
        let suppress = raw.suppress.as_ref().map(|table| self.suppress(table, &mut names));
        let suppress = suppress.transpose()?;
        if labels.is_none() && suppress.is_none() {
            return Ok(None);
        }
        let reads: Vec<&str> = names.iter().map(String::as_str).collect();
        // Each was compiled before: what is wrong is wrong with all of them together.
        let fields = Program::compile(&[], &reads, Mode::Strict);
        let fields = fields.map_err(|_| self.invalid("suppress.by", "holds too many fields"))?;
        Ok(Some(Triage { fields: Arc::new(fields), names, labels, suppress }))
    }

    fn labels(&self, raw: &RuleFile, names: &mut Vec<String>) -> Result<Option<Labels>, RuleError> {
        let (Some(field), Some(labels)) = (&raw.label_field, &raw.labels) else {
            let key = match (&raw.label_field, &raw.labels, &raw.default_label) {
                (Some(_), ..) => "label_field",
                (_, Some(_), _) => "labels",
                (.., Some(_)) => "default_label",
                _ => return Ok(None),
            };
            return Err(self.invalid(key, "needs both `labels` and `label_field`"));
        };
        self.check_field("label_field", field)?;
        let pairs = labels.iter().map(|entry| (entry.label.as_str(), entry.pattern.as_str()));
        Ok(Some(Labels {
            field: number_of(names, field),
            patterns: self.patterns("labels", pairs)?,
            default: raw.default_label.clone(),
        }))
    }

    fn suppress(
        &self,
        table: &SuppressTable,
        names: &mut Vec<String>,
    ) -> Result<Suppress, RuleError> {
        if table.by.is_empty() || table.by.len() > limits::TERM_FIELDS_MAX {
            let most = limits::TERM_FIELDS_MAX;
            return Err(self.invalid("suppress.by", format!("must hold 1 to {most} fields")));
        }
        for name in &table.by {
            self.check_field("suppress.by", name)?;
        }
        let wrong = |problem: String| self.invalid("suppress.for", problem);
        let for_ms = parse_duration_ms(&table.time).map_err(|error| wrong(error.to_string()))?;
        if for_ms <= 0 || for_ms > limits::WINDOW_MAX_MS {
            let most = format_duration(limits::WINDOW_MAX_MS);
            return Err(wrong(format!("must be more than 0s and at most {most}")));
        }
        Ok(Suppress { by: table.by.iter().map(|name| number_of(names, name)).collect(), for_ms })
    }

    /// A field that an event can have, and that is no body.
    fn check_field(&self, key: &'static str, name: &str) -> Result<(), RuleError> {
        if super::is_in_body(name) {
            let problem = format!("holds `{name}`: what was sent or answered is only asked about");
            return Err(self.invalid(key, problem));
        }
        self.check_name(key, name)
    }
}
