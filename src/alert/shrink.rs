//! JSON made small enough for a broker.
//!
//! Owns the one bound that holds whatever an event carries: every text and every list is cut,
//! more and more, until the whole fits. Without it a record that no broker takes would be sent
//! again for ever, and hold up everything behind it.

use serde_json::Value;

/// How much of each part stays.
#[derive(Clone, Copy)]
struct Step {
    /// Of a text, and of a key, in characters.
    chars: usize,
    /// Elements of a list.
    items: usize,
    /// Fields of an object: more than any of ours has.
    fields: usize,
}

const STEPS: [Step; 5] = [
    Step { chars: 8_192, items: 64, fields: 64 },
    Step { chars: 1_024, items: 64, fields: 64 },
    Step { chars: 256, items: 48, fields: 48 },
    Step { chars: 64, items: 32, fields: 32 },
    Step { chars: 48, items: 4, fields: 32 },
];

/// The document with texts, lists and objects cut until it takes `below` bytes at most, or can't
/// be cut any more. What the pointers of `whole` name stays as it is.
pub fn to_fit(mut document: Value, whole: &[&str], below: usize) -> Value {
    let kept: Vec<(&str, Value)> = whole
        .iter()
        .filter_map(|pointer| Some((*pointer, document.pointer(pointer)?.clone())))
        .collect();
    for step in STEPS {
        if document.to_string().len() <= below {
            break;
        }
        cut(&mut document, step);
        for (pointer, value) in &kept {
            restore(&mut document, pointer, value);
        }
    }
    document
}

/// Puts a field back, whether it was cut or left out.
fn restore(document: &mut Value, pointer: &str, value: &Value) {
    let Some((parent, field)) = pointer.rsplit_once('/') else { return };
    if let Some(Value::Object(map)) = document.pointer_mut(parent) {
        map.insert(field.replace("~1", "/").replace("~0", "~"), value.clone());
    }
}

/// Depth is that of a document of ours: a few levels and the bounded ones of a user's `extra`.
fn cut(value: &mut Value, step: Step) {
    match value {
        Value::String(text) => {
            if let Some((at, _)) = text.char_indices().nth(step.chars) {
                text.truncate(at);
            }
        }
        Value::Array(list) => {
            list.truncate(step.items);
            list.iter_mut().for_each(|item| cut(item, step));
        }
        Value::Object(map) => {
            let mut seen = 0;
            map.retain(|key, _| {
                seen += 1;
                seen <= step.fields && key.len() <= step.chars
            });
            map.values_mut().for_each(|item| cut(item, step));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const BELOW: usize = 512 * 1024;

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
            let small = to_fit(document, &[], BELOW);
            assert!(small.to_string().len() <= BELOW);
            assert_eq!((&small["id"], &small["count"]), (&json!("kept"), &json!(7)));
        }
    }

    #[test]
    fn what_fits_stays_as_it_is() {
        let document = json!({ "a": "x".repeat(100_000), "b": vec![1; 1_000] });
        assert_eq!(to_fit(document.clone(), &[], BELOW), document);
    }

    #[test]
    fn what_is_to_stay_whole_does() {
        let long = "x".repeat(200);
        let many: serde_json::Map<String, Value> = (0..100)
            .map(|n| (format!("{n:03}"), json!(n)))
            .chain([("z/z".into(), json!(1))])
            .collect();
        let document = json!({ "a": { "b": long, "c": long }, "d": long, "many": many });
        let small = to_fit(document, &["/a/b", "/none", "/many/z~1z"], 0);
        assert_eq!(small["many"].as_object().unwrap().len(), 33);
        assert_eq!(small["many"]["z/z"], json!(1));
        assert_eq!(small["a"]["b"], json!(long));
        assert_eq!(small["a"]["c"].as_str().unwrap().len(), 48);
        assert_eq!(small["d"].as_str().unwrap().len(), 48);
    }
}
