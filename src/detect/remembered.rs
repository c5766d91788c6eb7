//! A map of the latest so many keys: bounded, and forgetful on purpose.

use std::borrow::Borrow;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

#[derive(Debug)]
pub struct Remembered<K, V> {
    values: HashMap<K, V>,
    /// Of every key, the oldest first; of one that was removed until it is the oldest.
    order: VecDeque<K>,
    capacity: usize,
}

impl<K: Eq + Hash + Clone, V> Remembered<K, V> {
    /// Remembers the latest `capacity` keys, at least one.
    pub fn new(capacity: usize) -> Self {
        Remembered { values: HashMap::new(), order: VecDeque::new(), capacity: capacity.max(1) }
    }

    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.values.get(key)
    }

    pub fn get_mut<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.values.get_mut(key)
    }

    /// Adds a key that is not there, in the place of the oldest if there are too many.
    pub fn insert(&mut self, key: K, value: V) {
        if self.order.len() >= self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.values.remove(&oldest);
        }
        self.order.push_back(key.clone());
        self.values.insert(key, value);
    }

    /// Its place in the order stays until it is the oldest: what is removed and added again and
    /// again takes no more room.
    pub fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        self.values.remove(key);
    }

    pub fn clear(&mut self) {
        self.values.clear();
        self.order.clear();
    }
}

#[cfg(test)]
impl<K, V> Remembered<K, V> {
    /// Keys that are there, and places that are taken.
    pub fn sizes(&self) -> (usize, usize) {
        (self.values.len(), self.order.len())
    }
}
