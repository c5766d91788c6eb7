//! From values to the text of an exception. What the values hold may come from an attacker.

use super::{Expiry, Key, Wildcard};

/// An exception to be written.
#[derive(Debug, Clone)]
pub struct Draft {
    pub rule: String,
    /// Each value is meant as it is, without wildcards; one of them has to be met.
    pub conditions: Vec<(Key, Vec<String>)>,
    /// Addresses or networks.
    pub sources: Vec<String>,
    /// In KQL; all have to hold.
    pub queries: Vec<String>,
    pub reason: String,
    pub expires: Option<Expiry>,
}

/// The table of an exception, `[[exception]]` and what it holds.
pub fn entry_text(draft: &Draft) -> String {
    let mut out = format!("[[exception]]\nrule = {}\n", toml_text(&draft.rule));
    for (key, values) in &draft.conditions {
        let values: Vec<String> = values.iter().map(|value| Wildcard::literal(value)).collect();
        out.push_str(&format!("{} = {}\n", key.as_str(), one_or_list(&values)));
    }
    if !draft.sources.is_empty() {
        out.push_str(&format!("source = {}\n", one_or_list(&draft.sources)));
    }
    if !draft.queries.is_empty() {
        out.push_str(&format!("query = {}\n", toml_text(&draft.queries.join(" and "))));
    }
    out.push_str(&format!("reason = {}\n", toml_text(&draft.reason)));
    if let Some(expires) = &draft.expires {
        out.push_str(&format!("expires = {}\n", expires.text));
    }
    out
}

fn one_or_list(values: &[String]) -> String {
    match values {
        [one] => toml_text(one),
        _ => {
            let values: Vec<String> = values.iter().map(|value| toml_text(value)).collect();
            format!("[{}]", values.join(", "))
        }
    }
}

/// A basic string of TOML on one line, with everything that cannot be seen escaped.
fn toml_text(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\'' => out.push('\''),
            // What Rust would escape is not printable, or changes what stands before it.
            c if c.escape_debug().len() > 1 => out.push_str(&format!("\\U{:08X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
