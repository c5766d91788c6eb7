//! Where a generator's choices come from: a seed, or a tape of earlier choices that is being
//! shortened.
//!
//! The first alternative of every choice is the plainest. A tape that has ended chooses it, so
//! that every tape means a script and a shorter tape a plainer one.

/// Xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators", 2016).
#[derive(Debug, Clone)]
pub struct Xorshift(u64);

impl Xorshift {
    /// Seeds beside each other give streams that have nothing in common.
    pub fn new(seed: u64) -> Xorshift {
        let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Xorshift((z ^ (z >> 31)).max(1))
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}

pub struct Choices {
    tape: Vec<u32>,
    at: usize,
    source: Option<Xorshift>,
}

impl Choices {
    pub fn from_seed(seed: u64) -> Choices {
        Choices { tape: Vec::new(), at: 0, source: Some(Xorshift::new(seed)) }
    }

    pub fn from_tape(tape: &[u32]) -> Choices {
        Choices { tape: tape.to_vec(), at: 0, source: None }
    }

    /// What was chosen.
    pub fn into_tape(mut self) -> Vec<u32> {
        self.tape.truncate(self.at);
        self.tape
    }

    /// Below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        if let Some(source) = &mut self.source {
            self.tape.push(source.below(bound) as u32);
        }
        let chosen = self.tape.get(self.at).map_or(0, |chosen| *chosen as usize % bound);
        self.at += 1;
        chosen
    }

    /// True for `percent` of a hundred; false is the plainer.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) >= 100 - percent
    }

    pub fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }
}
