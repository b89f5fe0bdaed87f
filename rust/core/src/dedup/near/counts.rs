//! How often hashes occur, in a byte a cell: never too low, so that what is counted once occurs once.

use std::sync::{Mutex, PoisonError};

/// Hashes a part's buffer holds before it is locked: cells of one part lie in a core's cache while they are counted up.
const BUFFER: usize = 1024;
const PART_BITS: u32 = 8;
/// Odd: spreads the 56 bits of a hash over all 64.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// Counts under way.
pub(in crate::dedup) struct Counter {
    parts: Vec<Mutex<Vec<u8>>>,
    place: Place,
}

/// Counts to look up.
pub(in crate::dedup) struct Counts {
    parts: Vec<Vec<u8>>,
    place: Place,
}

#[derive(Clone, Copy)]
struct Place {
    cell_bits: u32,
}

impl Place {
    #[expect(clippy::cast_possible_truncation, reason = "at most 32 bits are left")]
    fn of(self, hash: u64) -> (usize, u32) {
        let mixed = hash.wrapping_mul(MULTIPLIER);
        ((mixed >> (64 - PART_BITS)) as usize, ((mixed << PART_BITS) >> (64 - self.cell_bits)) as u32)
    }
}

impl Counter {
    /// For about `hashes` of them: two to four cells each, 2 GiB at most.
    pub(in crate::dedup) fn new(hashes: u64) -> Self {
        let cell_bits = (2 * hashes).clamp(1 << 16, 1 << 31).next_power_of_two().trailing_zeros() - PART_BITS;
        let parts = (0..1 << PART_BITS).map(|_| Mutex::new(vec![0; 1 << cell_bits])).collect();
        Self { parts, place: Place { cell_bits } }
    }

    pub(in crate::dedup) fn tally(&self) -> Tally<'_> {
        Tally { counter: self, buffers: vec![Vec::new(); self.parts.len()] }
    }

    pub(in crate::dedup) fn finish(self) -> Counts {
        let parts =
            self.parts.into_iter().map(|part| part.into_inner().unwrap_or_else(PoisonError::into_inner));
        Counts { parts: parts.collect(), place: self.place }
    }
}

/// One thread's share of a [`Counter`]. Call [`Tally::flush`] at the end.
pub(in crate::dedup) struct Tally<'a> {
    counter: &'a Counter,
    buffers: Vec<Vec<u32>>,
}

impl Tally<'_> {
    pub(in crate::dedup) fn add(&mut self, hash: u64) {
        let (part, cell) = self.counter.place.of(hash);
        let buffer = &mut self.buffers[part];
        buffer.push(cell);
        if buffer.len() >= BUFFER {
            self.pass(part);
        }
    }

    pub(in crate::dedup) fn flush(mut self) {
        for part in 0..self.buffers.len() {
            self.pass(part);
        }
    }

    fn pass(&mut self, part: usize) {
        let mut cells = self.counter.parts[part].lock().unwrap_or_else(PoisonError::into_inner);
        for &cell in &self.buffers[part] {
            let count = &mut cells[cell as usize];
            *count = count.saturating_add(1);
        }
        self.buffers[part].clear();
    }
}

impl Counts {
    /// [`Counts::get`] of all `hashes`. Every cell is a miss of the cache; in a loop that does nothing else many are under way at once.
    pub(in crate::dedup) fn get_all(&self, hashes: &[u64], counts: &mut Vec<u8>) {
        counts.clear();
        counts.extend(hashes.iter().map(|&hash| self.get(hash)));
    }

    /// At least how often `hash` was counted, 255 standing for more.
    pub(in crate::dedup) fn get(&self, hash: u64) -> u8 {
        let (part, cell) = self.place.of(hash);
        self.parts[part][cell as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_never_too_low() {
        let counter = Counter::new(10);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut tally = counter.tally();
                    for hash in 0..50_000u64 {
                        tally.add(hash << 40);
                    }
                    for _ in 0..100 {
                        tally.add(u64::MAX);
                    }
                    tally.flush();
                });
            }
        });
        let counts = counter.finish();
        assert!((0..50_000u64).all(|hash| counts.get(hash << 40) >= 4));
        assert_eq!(counts.get(u64::MAX), 255);
        assert_eq!(Counter::new(10).finish().get(5), 0);
    }
}
