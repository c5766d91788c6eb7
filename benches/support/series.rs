//! A few measurements of one thing: their median and their spread.

use std::fmt;

#[derive(Debug, Clone, Default)]
pub struct Series(Vec<f64>);

impl Series {
    pub fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    fn sorted(&self) -> Vec<f64> {
        let mut values = self.0.clone();
        values.sort_unstable_by(f64::total_cmp);
        values
    }

    /// The middle one, or the mean of the two in the middle; 0 without any.
    pub fn median(&self) -> f64 {
        let values = self.sorted();
        let middle = values.len() / 2;
        match (values.len() % 2, values.get(middle)) {
            (_, None) => 0.0,
            (1, Some(value)) => *value,
            (_, Some(value)) => (values[middle - 1] + value) / 2.0,
        }
    }

    /// The value at a share of the sorted ones, 0 to 1, by the nearest rank; 0 without any.
    pub fn at(&self, share: f64) -> f64 {
        let values = self.sorted();
        let rank = (share * values.len() as f64).ceil() as usize;
        values.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// `median (least–most)`, with the precision asked for.
impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(2);
        let (least, most) = (self.at(0.0), self.at(1.0));
        write!(f, "{:.digits$} ({least:.digits$}–{most:.digits$})", self.median())
    }
}
