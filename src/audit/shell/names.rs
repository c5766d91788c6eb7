//! A quick look at a name before it is compared with many: most commands are none of them.

/// A set of names that may hold others as well, but few.
pub(super) struct Names([u64; WORDS]);

const WORDS: usize = 16;

impl Names {
    /// `lists` hold names divided by single spaces.
    pub(super) const fn of(lists: &[&str]) -> Names {
        let mut bits = [0; WORDS];
        let mut list = 0;
        while list < lists.len() {
            let bytes = lists[list].as_bytes();
            let (mut start, mut at) = (0, 0);
            while at <= bytes.len() {
                if at == bytes.len() || bytes[at] == b' ' {
                    let bit = bit(bytes, start, at);
                    bits[bit / 64] |= 1 << (bit % 64);
                    start = at + 1;
                }
                at += 1;
            }
            list += 1;
        }
        Names(bits)
    }

    /// Whether it may be one of the names; true for all that are.
    pub(super) fn may_hold(&self, name: &str) -> bool {
        let bit = bit(name.as_bytes(), 0, name.len());
        self.0[bit / 64] & 1 << (bit % 64) != 0
    }
}

/// By the name's length, its first, second and last byte.
const fn bit(bytes: &[u8], start: usize, end: usize) -> usize {
    if start >= end {
        return 0;
    }
    let second = if start + 1 < end { bytes[start + 1] as usize } else { 0 };
    let (first, last) = (bytes[start] as usize, bytes[end - 1] as usize);
    ((end - start) * 151 + first * 37 + second * 11 + last * 5) % (WORDS * 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_its_names_and_few_others() {
        const SET: Names = Names::of(&["cat : [", "echo"]);
        assert!(["cat", ":", "[", "echo"].iter().all(|name| SET.may_hold(name)));
        let others = ["", "a", "nginx", "pg_isready", "curl", "redis-cli", "mysql", "é", "sh"];
        assert!(others.iter().filter(|name| SET.may_hold(name)).count() <= 1);
    }
}
