//! A map that is empty as a rule: it costs nothing to make, copy or drop then.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::collections::btree_map::Iter;
use std::rc::Rc;

/// Copies share the entries until one of them is changed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sparse<K, V>(Option<Rc<BTreeMap<K, V>>>);

impl<K, V> Default for Sparse<K, V> {
    fn default() -> Sparse<K, V> {
        Sparse(None)
    }
}

impl<K: Ord, V> Sparse<K, V> {
    pub(super) fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.0.as_ref()?.get(key)
    }

    pub(super) fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.get(key).is_some()
    }

    pub(super) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |entries| entries.len())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// In the order of the keys.
    pub(super) fn iter(&self) -> std::iter::Flatten<std::option::IntoIter<Iter<'_, K, V>>> {
        self.0.as_ref().map(|entries| entries.iter()).into_iter().flatten()
    }
}

impl<K: Ord + Clone, V: Clone> Sparse<K, V> {
    /// The entries to be changed.
    pub(super) fn entries(&mut self) -> &mut BTreeMap<K, V> {
        Rc::make_mut(self.0.get_or_insert_default())
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        self.entries().insert(key, value);
    }

    pub(super) fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        if self.contains_key(key) { self.entries().get_mut(key) } else { None }
    }

    pub(super) fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        if !self.contains_key(key) {
            return None;
        }
        let removed = self.entries().remove(key);
        if self.is_empty() {
            self.0 = None;
        }
        removed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_that_was_emptied_is_as_one_that_never_held_anything() {
        let mut map = Sparse::default();
        map.insert("a".to_owned(), 1);
        let copy = map.clone();
        assert_eq!(map.remove("b"), None);
        assert_eq!(map.remove("a"), Some(1));
        assert_eq!(map, Sparse::default());
        assert_eq!((map.get_mut("a"), copy.get("a"), copy.len()), (None, Some(&1), 1));
    }
}
