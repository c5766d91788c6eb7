//! The values of an event that queries ask for, found in one walk over its JSON.
//!
//! The paths are a trie. What no path leads to is skipped without being read. Strings stay where
//! they are in the event unless they hold escapes. An object that a nested query looks at (its
//! scope) is asked as soon as it ends, and its values are then forgotten.

use std::cmp::Ordering;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::predicate::{Glob, Scalar};
use super::value::Number;
use crate::limits;

/// Where the values of one path are kept while an event is asked.
pub(super) type Slot = usize;
pub(super) type NodeId = usize;
pub(super) type ScopeId = usize;

const NONE: u32 = u32::MAX;
/// More entries than this are given back after an event.
const KEPT_ENTRIES: usize = 16 * 1024;
const KEPT_BUFFER_BYTES: usize = 1024 * 1024;

#[derive(Debug, Clone, Default)]
struct Node {
    /// Sorted as `order` says.
    children: Vec<(Box<str>, NodeId)>,
    /// For every other name.
    rest: Option<NodeId>,
    /// What a value here goes to.
    slots: Vec<Slot>,
    /// What a value below here goes to; folded into the nodes below by `finish`.
    below: Vec<Slot>,
    /// The paths of values at and below here are compared with the wildcard names.
    wild: bool,
    /// The nested queries for which each object here is one to look at.
    scopes: Vec<ScopeId>,
    /// The dots of the names here read as underscores.
    underscored: bool,
}

/// The paths that are looked for.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    nodes: Vec<Node>,
    patterns: Vec<(Glob, Slot)>,
    /// What the path of a value begins with.
    prefix: &'static str,
}

impl Plan {
    pub fn new(prefix: &'static str) -> Plan {
        Plan { nodes: vec![Node::default()], patterns: Vec::new(), prefix }
    }

    /// Values at the path.
    pub fn add_at(&mut self, path: &str, slot: Slot) {
        let node = self.node(path);
        self.nodes[node].slots.push(slot);
    }

    /// Values below the path.
    pub fn add_below(&mut self, path: &str, slot: Slot) {
        let node = self.node(path);
        self.nodes[node].below.push(slot);
    }

    /// Values at or below one of the prefixes whose path, with the plan's own prefix, is like this.
    pub fn add_pattern(&mut self, prefixes: &[&str], glob: Glob, slot: Slot) {
        self.patterns.push((glob, slot));
        for prefix in prefixes {
            let node = self.node(prefix);
            self.nodes[node].wild = true;
        }
    }

    /// Each object at the path is a scope of its own.
    pub fn add_scope(&mut self, path: &str, scope: ScopeId) {
        let node = if path.is_empty() { 0 } else { self.node(path) };
        self.nodes[node].scopes.push(scope);
    }

    fn node(&mut self, path: &str) -> NodeId {
        if let Some(key) = path.strip_prefix("annotations.") {
            let annotations = self.child(0, "annotations");
            self.nodes[annotations].underscored = true;
            return self.child(annotations, key);
        }
        let node = path.split('.').fold(0, |node, segment| self.child(node, segment));
        self.nodes[node].underscored |= path == "annotations";
        node
    }

    fn child(&mut self, node: NodeId, name: &str) -> NodeId {
        match self.nodes[node].children.binary_search_by(|(known, _)| order(known, name)) {
            Ok(at) => self.nodes[node].children[at].1,
            Err(at) => {
                let child = self.nodes.len();
                self.nodes.push(Node::default());
                self.nodes[node].children.insert(at, (name.into(), child));
                child
            }
        }
    }

    /// To be called once, after the last path was added.
    pub fn finish(&mut self) {
        let mut open = vec![(0, Vec::new(), false)];
        while let Some((id, inherited, wild)) = open.pop() {
            let node = &mut self.nodes[id];
            node.slots.extend(&inherited);
            node.wild |= wild;
            let mut below = inherited;
            below.append(&mut node.below);
            let wild = node.wild;
            for (_, child) in &node.children {
                open.push((*child, below.clone(), wild));
            }
            if !below.is_empty() || wild {
                let rest = self.nodes.len();
                let everything = Node { slots: below, wild, rest: Some(rest), ..Node::default() };
                self.nodes.push(everything);
                self.nodes[id].rest = Some(rest);
            }
        }
    }

    fn step(&self, from: NodeId, key: &str) -> Option<NodeId> {
        let node = &self.nodes[from];
        if !key.as_bytes().contains(&b'.') {
            return node.step(key);
        }
        if node.underscored {
            return node.step(&key.replace('.', "_"));
        }
        key.split('.').try_fold(from, |node, segment| self.nodes[node].step(segment))
    }
}

impl Node {
    fn step(&self, name: &str) -> Option<NodeId> {
        match self.children.binary_search_by(|(known, _)| order(known, name)) {
            Ok(at) => Some(self.children[at].1),
            Err(_) => self.rest,
        }
    }
}

/// By length first, which tells most names apart without reading them.
fn order(a: &str, b: &str) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// A value that was found. Texts are ranges, so that what holds them can be used again.
#[derive(Debug, Clone, Copy)]
enum Found {
    InEvent { start: u32, length: u32 },
    InBuffer { start: u32, length: u32 },
    Integer(i64),
    Float(f64),
    Boolean(bool),
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    found: Found,
    /// Of the same slot.
    next: u32,
}

/// The values of one event, slot by slot.
#[derive(Debug, Default)]
pub(super) struct Values {
    entries: Vec<Entry>,
    /// First and last entry of each slot.
    lists: Vec<(u32, u32)>,
    buffer: String,
    path: String,
    /// The slots of the wildcard names that match `path`, if they are known.
    like_path: Vec<Slot>,
    like_path_known: bool,
    too_many: bool,
}

impl Values {
    /// Forgets everything, keeping what memory is worth keeping.
    pub fn reset(&mut self, slots: usize) {
        self.entries.clear();
        self.entries.shrink_to(KEPT_ENTRIES);
        self.buffer.clear();
        self.buffer.shrink_to(KEPT_BUFFER_BYTES);
        self.path.clear();
        self.path.shrink_to(KEPT_BUFFER_BYTES);
        self.lists.clear();
        self.lists.resize(slots, (NONE, NONE));
        self.like_path_known = false;
        self.too_many = false;
    }

    pub fn forget(&mut self, slots: &[Slot]) {
        for slot in slots {
            self.lists[*slot] = (NONE, NONE);
        }
    }

    pub fn too_many(&self) -> bool {
        self.too_many
    }

    /// In the order in which they were found.
    pub fn of<'v>(&'v self, event: &'v str, slot: Slot) -> impl Iterator<Item = Scalar<'v>> {
        let mut at = self.lists[slot].0;
        std::iter::from_fn(move || {
            let entry = self.entries.get(at as usize)?;
            at = entry.next;
            Some(self.scalar(event, entry.found))
        })
    }

    fn scalar<'v>(&'v self, event: &'v str, found: Found) -> Scalar<'v> {
        let text = |within: &'v str, start: u32, length: u32| {
            let (start, length) = (start as usize, length as usize);
            Scalar::Text(within.get(start..start + length).unwrap_or_default())
        };
        match found {
            Found::InEvent { start, length } => text(event, start, length),
            Found::InBuffer { start, length } => text(&self.buffer, start, length),
            Found::Integer(number) => Scalar::Number(Number::Integer(number)),
            Found::Float(number) => Scalar::Number(Number::Float(number)),
            Found::Boolean(found) => Scalar::Boolean(found),
        }
    }

    /// A value that is not from the event's JSON. Too many are cut short.
    pub fn push_text(&mut self, slot: Slot, text: &str) {
        let found = self.own(text);
        self.push(slot, found);
    }

    pub fn push_boolean(&mut self, slot: Slot, value: bool) {
        self.push(slot, Found::Boolean(value));
    }

    fn own(&mut self, text: &str) -> Found {
        let start = self.buffer.len();
        let fits = start + text.len() <= NONE as usize;
        self.too_many |= !fits;
        if fits {
            self.buffer.push_str(text);
        }
        let length = if fits { text.len() } else { 0 };
        Found::InBuffer { start: start as u32, length: length as u32 }
    }

    fn push(&mut self, slot: Slot, found: Found) {
        if self.entries.len() == limits::EVENT_VALUES_MAX {
            self.too_many = true;
            return;
        }
        let at = self.entries.len() as u32;
        self.entries.push(Entry { found, next: NONE });
        let (first, last) = &mut self.lists[slot];
        match self.entries.get_mut(*last as usize) {
            Some(entry) if *first != NONE => entry.next = at,
            _ => *first = at,
        }
        *last = at;
    }
}

/// What has to be done with each object of a scope.
pub(super) trait Scopes {
    fn begin(&mut self, values: &mut Values, scope: ScopeId);
    fn end(&mut self, values: &mut Values, event: &str, scope: ScopeId);
}

/// Fills `values`, which have to be reset, from an event of at most 4 GiB.
pub(super) fn extract<S: Scopes>(
    plan: &Plan,
    event: &str,
    values: &mut Values,
    scopes: &mut S,
) -> Result<(), serde_json::Error> {
    if !plan.patterns.is_empty() {
        values.path.push_str(plan.prefix);
    }
    let mut deserializer = serde_json::Deserializer::from_str(event);
    Walk { plan, event, values, scopes, node: 0 }.deserialize(&mut deserializer)?;
    deserializer.end()
}

struct Walk<'w, 'e, S> {
    plan: &'w Plan,
    event: &'e str,
    values: &'w mut Values,
    scopes: &'w mut S,
    node: NodeId,
}

impl<'e, S: Scopes> Walk<'_, 'e, S> {
    fn at(&mut self, node: NodeId) -> Walk<'_, 'e, S> {
        Walk { plan: self.plan, event: self.event, values: self.values, scopes: self.scopes, node }
    }

    fn take<E: de::Error>(self, found: Found) -> Result<(), E> {
        let node = &self.plan.nodes[self.node];
        for slot in &node.slots {
            self.values.push(*slot, found);
        }
        if node.wild {
            if !self.values.like_path_known {
                let path = &self.values.path;
                let like = self.plan.patterns.iter().filter(|(glob, _)| glob.matches(path));
                self.values.like_path.clear();
                self.values.like_path.extend(like.map(|(_, slot)| *slot));
                self.values.like_path_known = true;
            }
            for nth in 0..self.values.like_path.len() {
                self.values.push(self.values.like_path[nth], found);
            }
        }
        if self.values.too_many { Err(E::custom("it has too many values")) } else { Ok(()) }
    }

    /// Makes `key` the end of the path, of which `length` bytes stay.
    fn set_path(&mut self, length: usize, key: &str) {
        if self.plan.patterns.is_empty() {
            return;
        }
        self.values.path.truncate(length);
        self.values.path.push('.');
        if self.plan.nodes[self.node].underscored {
            let underscored = |c| if c == '.' { '_' } else { c };
            self.values.path.extend(key.chars().map(underscored));
        } else {
            self.values.path.push_str(key);
        }
        self.values.like_path_known = false;
    }
}

impl<'e, S: Scopes> DeserializeSeed<'e> for Walk<'_, 'e, S> {
    type Value = ();

    fn deserialize<D: Deserializer<'e>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'e, S: Scopes> Visitor<'e> for Walk<'_, 'e, S> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'e str) -> Result<(), E> {
        let start = (text.as_ptr() as usize).wrapping_sub(self.event.as_ptr() as usize);
        let found = match u32::try_from(start) {
            Ok(start) if start as usize + text.len() <= self.event.len() => {
                Found::InEvent { start, length: text.len() as u32 }
            }
            _ => self.values.own(text),
        };
        self.take(found)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        let found = self.values.own(text);
        self.take(found)
    }

    fn visit_bool<E: de::Error>(self, found: bool) -> Result<(), E> {
        self.take(Found::Boolean(found))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<(), E> {
        self.take(Found::Integer(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<(), E> {
        self.take(i64::try_from(number).map_or(Found::Float(number as f64), Found::Integer))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<(), E> {
        self.take(Found::Float(number))
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'e>>(mut self, mut list: A) -> Result<(), A::Error> {
        let node = self.node;
        while list.next_element_seed(self.at(node))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'e>>(mut self, mut map: A) -> Result<(), A::Error> {
        let node = &self.plan.nodes[self.node];
        for scope in &node.scopes {
            self.scopes.begin(self.values, *scope);
        }
        let length = self.values.path.len();
        let from = self.node;
        while let Some(step) = map.next_key_seed(Key { walk: self.at(from), length })? {
            match step {
                Some(to) => map.next_value_seed(self.at(to))?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        self.values.path.truncate(length);
        self.values.like_path_known = false;
        for scope in &node.scopes {
            self.scopes.end(self.values, self.event, *scope);
        }
        Ok(())
    }
}

/// A key: where it leads to.
struct Key<'w, 'e, S> {
    walk: Walk<'w, 'e, S>,
    length: usize,
}

impl<'e, S: Scopes> DeserializeSeed<'e> for Key<'_, 'e, S> {
    type Value = Option<NodeId>;

    fn deserialize<D: Deserializer<'e>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'e, S: Scopes> Visitor<'e> for Key<'_, 'e, S> {
    type Value = Option<NodeId>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: de::Error>(mut self, key: &str) -> Result<Self::Value, E> {
        let step = self.walk.plan.step(self.walk.node, key);
        if step.is_some() {
            self.walk.set_path(self.length, key);
        }
        Ok(step)
    }
}
