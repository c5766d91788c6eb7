//! What is kept of a shell's descriptors, by their numbers.

/// A few values, each with a number. Mostly there is none, and to copy none costs nothing.
#[derive(Debug, Clone)]
pub struct Descriptors<T>(Vec<(u32, T)>);

impl<T> Default for Descriptors<T> {
    fn default() -> Descriptors<T> {
        Descriptors(Vec::new())
    }
}

impl<T> Descriptors<T> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn get(&self, number: u32) -> Option<&T> {
        self.0.iter().find(|(known, _)| *known == number).map(|(_, value)| value)
    }

    pub fn insert(&mut self, number: u32, value: T) {
        self.remove(number);
        self.0.push((number, value));
    }

    pub fn remove(&mut self, number: u32) -> Option<T> {
        let at = self.0.iter().position(|(known, _)| *known == number)?;
        Some(self.0.swap_remove(at).1)
    }

    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|(_, value)| value)
    }
}
