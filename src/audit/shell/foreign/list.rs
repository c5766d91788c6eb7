//! Lists: making them costs work, since each element costs memory.

use super::fold::Folder;
use super::value::{LIST_MAX, Value};

/// Units of work for an element that is made.
const ELEMENT_WORK: usize = 2;

impl Folder {
    /// What a loop over a value sees: elements, or characters.
    pub fn items(&mut self, value: &Value) -> Option<Vec<Value>> {
        let count = match value {
            Value::List(values) => values.len(),
            Value::Map(pairs) => pairs.len(),
            Value::Text(text) => text.len(),
            _ => return None,
        };
        if !self.spend(ELEMENT_WORK * count) {
            return None;
        }
        value.items()
    }

    /// The elements with those of lists among them in their place.
    pub fn flattened(&mut self, values: &[Value]) -> Vec<Value> {
        let mut out = Vec::new();
        for value in values {
            match value {
                Value::List(inner) => {
                    let room = LIST_MAX.saturating_sub(out.len());
                    if !self.spend(ELEMENT_WORK * inner.len().min(room)) {
                        break;
                    }
                    out.extend(inner.iter().take(room).cloned());
                }
                other => out.push(other.clone()),
            }
        }
        out
    }

    /// Whole numbers from one to another.
    pub fn range(&mut self, from: i64, to: i64, step: i64, inclusive: bool) -> Value {
        let mut values = Vec::new();
        let mut at = from;
        while values.len() < LIST_MAX && self.spend(ELEMENT_WORK) {
            let inside = match (step.signum(), inclusive) {
                (1, true) => at <= to,
                (1, false) => at < to,
                (-1, true) => at >= to,
                (-1, false) => at > to,
                _ => false,
            };
            if !inside {
                break;
            }
            values.push(Value::Int(at));
            let Some(next) = at.checked_add(step) else { break };
            at = next;
        }
        Value::list(values)
    }
}
