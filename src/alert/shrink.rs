//! JSON made small enough for a broker.
//!
//! Owns the one bound that holds whatever an event carries: every text and every list is cut,
//! more and more, until the whole fits. Without it a record that no broker takes would be sent
//! again for ever, and hold up everything behind it.

use serde_json::Value;

/// Largest reduced form, far below Kafka's usual limit of 1 MB for a record.
pub const REDUCED_MAX_BYTES: usize = 512 * 1024;

/// Longest text (in characters) and most elements of a list or an object, step by step.
const STEPS: [(usize, usize); 4] = [(8_192, 64), (1_024, 64), (256, 48), (64, 32)];

/// The document with texts, lists and objects cut until it takes `REDUCED_MAX_BYTES` at most, or
/// can't be cut any more.
pub fn shrunk(mut document: Value) -> Value {
    for (chars, items) in STEPS {
        if document.to_string().len() <= REDUCED_MAX_BYTES {
            break;
        }
        cut(&mut document, chars, items);
    }
    document
}

/// As [`shrunk`], with the first cut made in any case.
pub fn cut_and_shrunk(mut document: Value) -> Value {
    let (chars, items) = STEPS[0];
    cut(&mut document, chars, items);
    shrunk(document)
}

/// Depth is that of a document of ours: a few levels and the bounded ones of a user's `extra`.
fn cut(value: &mut Value, chars: usize, items: usize) {
    match value {
        Value::String(text) => {
            if let Some((at, _)) = text.char_indices().nth(chars) {
                text.truncate(at);
            }
        }
        Value::Array(list) => {
            list.truncate(items);
            list.iter_mut().for_each(|item| cut(item, chars, items));
        }
        Value::Object(map) => {
            let mut seen = 0;
            map.retain(|key, _| {
                seen += 1;
                seen <= items && key.len() <= chars
            });
            map.values_mut().for_each(|item| cut(item, chars, items));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn whatever_is_large_is_cut_until_the_whole_fits() {
        let control = "\u{1}".repeat(2_000_000);
        let keys: serde_json::Map<String, Value> =
            (0..100_000).map(|n| (format!("key-{n}"), json!("value"))).collect();
        for large in [
            json!(control),
            json!(vec!["é".repeat(9_000); 500]),
            json!(vec![vec![control; 3]; 3]),
            json!(keys),
            json!({ "k".repeat(1_000_000): 1 }),
        ] {
            let document = json!({ "id": "kept", "count": 7, "large": large });
            let small = shrunk(document);
            assert!(small.to_string().len() <= REDUCED_MAX_BYTES);
            assert_eq!((&small["id"], &small["count"]), (&json!("kept"), &json!(7)));
        }
    }

    #[test]
    fn what_fits_stays_as_it_is() {
        let document = json!({ "a": "x".repeat(100_000), "b": vec![1; 1_000] });
        assert_eq!(shrunk(document.clone()), document);
    }
}
