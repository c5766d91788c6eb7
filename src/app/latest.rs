//! The latest item of each key, in the order of the keys, whatever their number.
//!
//! Owns the memory and the temporary file that this takes: what does not fit into memory goes to
//! the file in sorted runs, which are merged when they are read. The file has no name, so nobody
//! else opens it and it ends with the process. Knows nothing of what the items mean.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;

/// Items in memory before they go to the file.
const MEMORY_MAX_BYTES: usize = 64 * 1024 * 1024;
/// Runs in the file before they are merged into one; each is read through a buffer of its own.
const RUNS_MAX: usize = 64;
const BUFFER_BYTES: usize = 64 * 1024;
/// What an item takes beside its key and payload, roughly.
const ITEM_BYTES: usize = 96;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    pub key: Vec<u8>,
    /// A time; the highest of a key is the latest.
    pub rank: i64,
    pub payload: Vec<u8>,
}

/// A part of the file: where a sorted run begins and ends.
#[derive(Debug, Clone, Copy)]
struct Run {
    from: u64,
    until: u64,
}

pub struct Latest {
    memory_max: usize,
    runs_max: usize,
    memory: HashMap<Vec<u8>, (i64, Vec<u8>)>,
    bytes: usize,
    spilled: Option<Spilled>,
}

struct Spilled {
    file: File,
    runs: Vec<Run>,
    end: u64,
}

impl Default for Latest {
    fn default() -> Self {
        Latest::bounded(MEMORY_MAX_BYTES, RUNS_MAX)
    }
}

impl Latest {
    fn bounded(memory_max: usize, runs_max: usize) -> Latest {
        Latest { memory_max, runs_max, memory: HashMap::new(), bytes: 0, spilled: None }
    }

    /// Takes an item unless a later one of its key is there. Among equals the last one stays.
    pub fn push(&mut self, key: Vec<u8>, rank: i64, mut payload: Vec<u8>) -> io::Result<()> {
        payload.shrink_to_fit();
        match self.memory.get_mut(&key) {
            Some(known) if known.0 > rank => return Ok(()),
            Some(known) => {
                self.bytes = self.bytes + payload.len() - known.1.len();
                *known = (rank, payload);
            }
            None => {
                self.bytes += key.len() + payload.len() + ITEM_BYTES;
                self.memory.insert(key, (rank, payload));
            }
        }
        if self.bytes > self.memory_max { self.spill() } else { Ok(()) }
    }

    /// Everything, to be read as often as is wanted.
    pub fn sorted(mut self) -> io::Result<Sorted> {
        if self.spilled.is_some() {
            self.spill()?;
        }
        Ok(Sorted { memory: self.drain(), spilled: self.spilled })
    }

    fn drain(&mut self) -> Vec<Item> {
        self.bytes = 0;
        let mut items: Vec<Item> = std::mem::take(&mut self.memory)
            .into_iter()
            .map(|(key, (rank, payload))| Item { key, rank, payload })
            .collect();
        items.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        items
    }

    fn spill(&mut self) -> io::Result<()> {
        let items = self.drain();
        let mut spilled = match self.spilled.take() {
            Some(spilled) => spilled,
            None => Spilled { file: tempfile::tempfile()?, runs: Vec::new(), end: 0 },
        };
        spilled.append(items.into_iter().map(Ok))?;
        if spilled.runs.len() >= self.runs_max {
            // One run of what is still the latest, in a file of its own: the space of the rest
            // comes back.
            let mut merged = Spilled { file: tempfile::tempfile()?, runs: Vec::new(), end: 0 };
            merged.append(Merge::new(&[], Some(&spilled))?)?;
            spilled = merged;
        }
        self.spilled = Some(spilled);
        Ok(())
    }
}

impl Spilled {
    fn append(&mut self, items: impl Iterator<Item = io::Result<Item>>) -> io::Result<()> {
        let from = self.end;
        let mut out = BufWriter::with_capacity(BUFFER_BYTES, &self.file);
        for item in items {
            self.end += write(&mut out, &item?)?;
        }
        out.flush()?;
        drop(out);
        self.runs.push(Run { from, until: self.end });
        Ok(())
    }
}

/// Lengths as little-endian `u32`, the rank as `i64`; bytes written.
fn write(out: &mut impl Write, item: &Item) -> io::Result<u64> {
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).map_err(io::Error::other);
    out.write_all(&length(&item.key)?.to_le_bytes())?;
    out.write_all(&length(&item.payload)?.to_le_bytes())?;
    out.write_all(&item.rank.to_le_bytes())?;
    out.write_all(&item.key)?;
    out.write_all(&item.payload)?;
    Ok(16 + item.key.len() as u64 + item.payload.len() as u64)
}

/// The latest item of each key.
pub struct Sorted {
    memory: Vec<Item>,
    spilled: Option<Spilled>,
}

impl Sorted {
    pub fn items(&self) -> io::Result<impl Iterator<Item = io::Result<Item>>> {
        Merge::new(&self.memory, self.spilled.as_ref())
    }

    pub fn count(&self) -> io::Result<u64> {
        self.items()?.try_fold(0, |count, item| item.map(|_| count + 1))
    }
}

enum Source<'s> {
    Memory(std::slice::Iter<'s, Item>),
    Run(BufReader<RunReader<'s>>),
}

impl Source<'_> {
    fn next(&mut self) -> io::Result<Option<Item>> {
        let run = match self {
            Source::Memory(items) => return Ok(items.next().cloned()),
            Source::Run(run) => run,
        };
        let mut head = [0; 16];
        let mut filled = 0;
        while filled < head.len() {
            match run.read(&mut head[filled..])? {
                0 if filled == 0 => return Ok(None),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => filled += count,
            }
        }
        let (key_length, rest) = head.split_at(4);
        let (payload_length, rank) = rest.split_at(4);
        let length = |bytes: &[u8]| bytes.try_into().map_or(0, u32::from_le_bytes) as usize;
        let mut key = vec![0; length(key_length)];
        run.read_exact(&mut key)?;
        let mut payload = vec![0; length(payload_length)];
        run.read_exact(&mut payload)?;
        Ok(Some(Item { key, rank: rank.try_into().map_or(0, i64::from_le_bytes), payload }))
    }
}

struct RunReader<'s> {
    file: &'s File,
    run: Run,
}

impl Read for RunReader<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.run.until - self.run.from).unwrap_or(usize::MAX);
        let wanted = into.len().min(left);
        let count = self.file.read_at(&mut into[..wanted], self.run.from)?;
        self.run.from += count as u64;
        Ok(count)
    }
}

/// The next item of a source. The greatest of a heap comes first: the lowest key, and of a key
/// the latest, which among equals is that of the later source.
struct Head {
    item: Item,
    source: usize,
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        let (a, b) = (&self.item, &other.item);
        b.key.cmp(&a.key).then(a.rank.cmp(&b.rank)).then(self.source.cmp(&other.source))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Head {}

struct Merge<'s> {
    sources: Vec<Source<'s>>,
    heads: BinaryHeap<Head>,
}

impl<'s> Merge<'s> {
    fn new(memory: &'s [Item], spilled: Option<&'s Spilled>) -> io::Result<Merge<'s>> {
        let mut sources = Vec::new();
        if let Some(spilled) = spilled {
            sources.extend(spilled.runs.iter().map(|run| {
                let reader = RunReader { file: &spilled.file, run: *run };
                Source::Run(BufReader::with_capacity(BUFFER_BYTES, reader))
            }));
        }
        sources.push(Source::Memory(memory.iter()));
        let mut merge = Merge { heads: BinaryHeap::with_capacity(sources.len()), sources };
        for source in 0..merge.sources.len() {
            merge.refill(source)?;
        }
        Ok(merge)
    }

    fn refill(&mut self, source: usize) -> io::Result<()> {
        if let Some(item) = self.sources[source].next()? {
            self.heads.push(Head { item, source });
        }
        Ok(())
    }

    fn pop(&mut self) -> io::Result<Option<Item>> {
        let Some(head) = self.heads.pop() else { return Ok(None) };
        self.refill(head.source)?;
        while let Some(same) = self.heads.peek()
            && same.item.key == head.item.key
        {
            let source = same.source;
            self.heads.pop();
            self.refill(source)?;
        }
        Ok(Some(head.item))
    }
}

impl Iterator for Merge<'_> {
    type Item = io::Result<Item>;

    fn next(&mut self) -> Option<Self::Item> {
        self.pop().transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever fits into memory and however many runs there are, it is what a map would hold.
        #[test]
        fn keeps_the_latest_of_each_key_in_order(
            pushed in prop::collection::vec(("[a-c]{0,3}", -3..3i64, "[xy]{0,40}"), 0..80),
            memory_max in prop::sample::select(vec![0usize, 200, 500, 1 << 20]),
            runs_max in 2..6usize,
        ) {
            let mut latest = Latest::bounded(memory_max, runs_max);
            let mut expected: BTreeMap<Vec<u8>, (i64, Vec<u8>)> = BTreeMap::new();
            for (key, rank, payload) in pushed {
                let (key, payload) = (key.into_bytes(), payload.into_bytes());
                latest.push(key.clone(), rank, payload.clone()).unwrap();
                let known = expected.entry(key).or_insert_with(|| (i64::MIN, Vec::new()));
                if rank >= known.0 {
                    *known = (rank, payload);
                }
            }
            let sorted = latest.sorted().unwrap();
            let found: Vec<Item> = sorted.items().unwrap().map(Result::unwrap).collect();
            let wanted: Vec<Item> = expected
                .into_iter()
                .map(|(key, (rank, payload))| Item { key, rank, payload })
                .collect();
            prop_assert_eq!(&found, &wanted);
            prop_assert_eq!(sorted.count().unwrap(), wanted.len() as u64);
            // It can be read again.
            prop_assert_eq!(sorted.items().unwrap().map(Result::unwrap).collect::<Vec<_>>(), wanted);
        }
    }

    #[test]
    fn what_is_in_memory_and_on_disk_stays_bounded() {
        let mut latest = Latest::bounded(10_000, 4);
        for number in 0..20_000i64 {
            let key = (number % 50).to_be_bytes().to_vec();
            latest.push(key, number, vec![0; 1_000]).unwrap();
            assert!(latest.bytes <= 10_000, "{}", latest.bytes);
            let spilled = latest.spilled.as_ref().map_or(0, |spilled| spilled.end);
            assert!(spilled < 200_000, "50 items of 1 KB, and few runs beside: {spilled}");
        }
        assert_eq!(latest.sorted().unwrap().count().unwrap(), 50);
    }
}
