//! What bash keeps under one name: a value, or an array with its keys.
//!
//! Owns which element a key means and in which order elements come. Knows nothing of words, and of
//! how a key is spelled only that an index is a number.

use std::ops::Range;

use compact_str::{CompactString, ToCompactString};
use smallvec::SmallVec;

use super::super::text::Text;

/// How many lists bash keeps the keys of an associative array in.
const BUCKETS: u32 = 1_024;
/// How many elements are moved for the work that one byte takes.
const ELEMENTS_MOVED_A_UNIT: usize = 8;
/// How many bytes of keys are compared for that.
const KEY_BYTES_COMPARED_A_UNIT: usize = 64;

/// Elements in the order in which they are expanded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Array {
    pub elements: SmallVec<[Text; 1]>,
    keys: Keys,
}

/// As many as there are elements, and each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Keys {
    /// 0, 1, 2 …
    #[default]
    Counted,
    /// Ascending.
    Indices(Vec<i64>),
    /// Of an associative array, in the order in which bash goes over them.
    Names(Vec<Name>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Name {
    hash: u32,
    key: CompactString,
}

impl Name {
    fn bucket(&self) -> u32 {
        self.hash % BUCKETS
    }
}

impl Array {
    pub fn counted(elements: impl Into<SmallVec<[Text; 1]>>) -> Array {
        Array { elements: elements.into(), keys: Keys::Counted }
    }

    pub fn associative() -> Array {
        Array { elements: SmallVec::new(), keys: Keys::Names(Vec::new()) }
    }

    pub fn is_associative(&self) -> bool {
        matches!(self.keys, Keys::Names(_))
    }

    /// Whether it is a value and nothing more.
    pub fn is_plain(&self) -> bool {
        self.elements.len() == 1 && self.keys == Keys::Counted
    }

    /// What the name without a subscript stands for.
    pub fn first(&self) -> Option<&Text> {
        match self.keys {
            Keys::Counted => self.elements.first(),
            _ => self.get("0"),
        }
    }

    /// `None` where they are 0, 1, 2 and so on.
    pub fn keys(&self) -> Option<Vec<CompactString>> {
        match &self.keys {
            Keys::Counted => None,
            Keys::Indices(indices) => {
                Some(indices.iter().map(ToCompactString::to_compact_string).collect())
            }
            Keys::Names(names) => Some(names.iter().map(|name| name.key.clone()).collect()),
        }
    }

    /// Whether the keys are 0, 1, 2 and so on.
    pub fn is_counted(&self) -> bool {
        self.keys == Keys::Counted
    }

    /// What finding a key takes, in units of about a byte.
    pub fn finding_work(&self, key: &str) -> usize {
        let Keys::Names(names) = &self.keys else { return 1 };
        let list = list_of(names, hash(key)).len();
        key.len() + list * (1 + key.len() / KEY_BYTES_COMPARED_A_UNIT)
    }

    /// What `put` takes, in units of about a byte: an element that is put in moves those behind it.
    pub fn putting_work(&self, key: &str) -> usize {
        let count = self.elements.len();
        let moved = match (self.place(key), &self.keys) {
            // Indices have to be written down from then on.
            (Err(Some(_)), Keys::Counted) if self.index(key) != Some(self.next_index()) => count,
            (Err(Some(at)), _) => count - at,
            _ => 0,
        };
        self.finding_work(key) + moved / ELEMENTS_MOVED_A_UNIT
    }

    pub fn get(&self, key: &str) -> Option<&Text> {
        self.elements.get(self.place(key).ok()?)
    }

    /// The element at an index; negative ones count from behind the last.
    pub fn at(&self, index: i64) -> Option<&Text> {
        let index = if index < 0 { self.next_index().checked_add(index)? } else { index };
        match &self.keys {
            Keys::Counted => self.elements.get(usize::try_from(index).ok()?),
            Keys::Indices(indices) => self.elements.get(indices.binary_search(&index).ok()?),
            Keys::Names(_) => self.get(&index.to_compact_string()),
        }
    }

    /// The index behind the last.
    pub fn next_index(&self) -> i64 {
        match &self.keys {
            Keys::Indices(indices) => indices.last().map_or(0, |last| last.saturating_add(1)),
            _ => i64::try_from(self.elements.len()).unwrap_or(i64::MAX),
        }
    }

    /// Sets an element, or adds to it. A key that is no index of an indexed array, or one below the
    /// first, is taken for the next.
    pub fn put(&mut self, key: &str, value: Text, append: bool) {
        let place = match (self.place(key), &self.keys) {
            (Err(None), _) => {
                let next = self.next_index().to_compact_string();
                self.place(&next).map_err(Option::unwrap_or_default)
            }
            (place, _) => place.map_err(Option::unwrap_or_default),
        };
        match place {
            Ok(at) => {
                let Some(element) = self.elements.get_mut(at) else { return };
                if append {
                    element.append(&value);
                } else {
                    *element = value;
                }
            }
            Err(at) => self.insert(at, key, value),
        }
    }

    fn insert(&mut self, at: usize, key: &str, value: Text) {
        let next = self.next_index();
        let index = self.index(key).unwrap_or(next);
        if self.keys == Keys::Counted && index != next {
            self.keys = Keys::Indices((0..next).collect());
        }
        match &mut self.keys {
            Keys::Counted => {}
            Keys::Indices(indices) => indices.insert(at, index),
            Keys::Names(names) => names.insert(at, Name { hash: hash(key), key: key.into() }),
        }
        self.elements.insert(at, value);
    }

    pub fn remove(&mut self, key: &str) {
        let Ok(at) = self.place(key) else { return };
        if self.keys == Keys::Counted && at + 1 < self.elements.len() {
            self.keys = Keys::Indices((0..self.next_index()).collect());
        }
        match &mut self.keys {
            Keys::Counted => {}
            Keys::Indices(indices) => _ = indices.remove(at),
            Keys::Names(names) => _ = names.remove(at),
        }
        self.elements.remove(at);
    }

    /// What a key of an indexed array says; `None` if that is no index.
    fn index(&self, key: &str) -> Option<i64> {
        let index: i64 = key.parse().ok()?;
        let index = if index < 0 { self.next_index().checked_add(index)? } else { index };
        (index >= 0).then_some(index)
    }

    /// Where the key is, or where it would be put; `Err(None)` if it is no key.
    fn place(&self, key: &str) -> Result<usize, Option<usize>> {
        match &self.keys {
            Keys::Counted => {
                let Some(index) = self.index(key) else { return Err(None) };
                let count = self.elements.len();
                match usize::try_from(index) {
                    Ok(index) if index < count => Ok(index),
                    _ => Err(Some(count)),
                }
            }
            Keys::Indices(indices) => {
                let Some(index) = self.index(key) else { return Err(None) };
                indices.binary_search(&index).map_err(Some)
            }
            Keys::Names(names) => {
                let hash = hash(key);
                let list = list_of(names, hash);
                let first = list.start;
                let same = names.get(list).unwrap_or_default();
                let found = same.iter().position(|name| name.hash == hash && name.key == key);
                // The newest of a list comes first.
                found.map(|at| first + at).ok_or(Some(first))
            }
        }
    }
}

/// Where the keys are that bash keeps in one list with a key of this hash.
fn list_of(names: &[Name], hash: u32) -> Range<usize> {
    let of = hash % BUCKETS;
    let from = names.partition_point(|name| name.bucket() < of);
    from..names.partition_point(|name| name.bucket() <= of)
}

/// What bash chooses the list of a key by: FNV-1 in 32 bits, the multiplication first.
fn hash(key: &str) -> u32 {
    key.bytes().fold(2_166_136_261_u32, |hash, byte| {
        // Bytes are signed there.
        hash.wrapping_mul(16_777_619) ^ i32::from(byte.cast_signed()).cast_unsigned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(array: &Array) -> Vec<String> {
        let keys = array.keys().unwrap_or_else(|| {
            (0..array.elements.len()).map(|at| at.to_compact_string()).collect()
        });
        keys.iter().zip(&array.elements).map(|(key, text)| format!("{key}={text}")).collect()
    }

    #[test]
    fn indices_may_have_gaps() {
        let mut array = Array::default();
        for (key, value) in [("5", "f"), ("1", "b"), ("-1", "g"), ("6", "h"), ("x", "i")] {
            array.put(key, Text::literal(value), false);
        }
        assert_eq!(shown(&array), ["1=b", "5=g", "6=h", "7=i"]);
        assert!(array.first().is_none());
        array.remove("5");
        array.put("6", Text::literal("!"), true);
        assert_eq!(shown(&array), ["1=b", "6=h!", "7=i"]);
        assert_eq!(array.at(-2).map(Text::as_str), Some("h!"));
        let mut counted = Array::counted([Text::literal("a"), Text::literal("b")].to_vec());
        counted.remove("1");
        assert!(counted.is_plain());
        counted.put("1", Text::literal("c"), false);
        counted.remove("0");
        assert_eq!(shown(&counted), ["1=c"]);
    }

    #[test]
    fn what_is_looked_at_is_work() {
        let mut names = Array::associative();
        names.put(&"k".repeat(30_000), Text::new(), false);
        // Not the other keys, unless bash has them in the same list.
        assert!(names.finding_work("x") <= 2);
        assert!(names.finding_work(&"x".repeat(30_000)) >= 30_000);
        let of = hash("x") % BUCKETS;
        let others = (0..100_000).map(|at: u32| at.to_compact_string());
        let same: Vec<_> = others.filter(|key| hash(key) % BUCKETS == of).collect();
        same.iter().for_each(|key| names.put(key, Text::new(), false));
        assert!(names.finding_work("x") >= same.len() && same.len() > 50);
        let mut indices = Array::default();
        for at in 1..=800_i64 {
            assert!(indices.putting_work(&(9_000 + at).to_compact_string()) <= 1);
            indices.put(&(9_000 + at).to_compact_string(), Text::new(), false);
        }
        assert!(indices.putting_work("5") >= 100);
    }

    /// The order that bash 5.2 prints them in.
    #[test]
    fn names_are_in_the_order_of_bash() {
        let mut array = Array::associative();
        for key in "a b c d e f x y z k j one two three".split(' ') {
            array.put(key, Text::literal(key), false);
        }
        let names: Vec<&str> = array.elements.iter().map(Text::as_str).collect();
        assert_eq!(names.join(" "), "z y x k j f e d c b a two three one");
    }
}
