//! A counting sort by hash prefix: equal hashes end up in one part, and each part fits a core's cache.

use rayon::prelude::*;

use crate::{Error, Result};

/// Rows a part should have on average.
const ROWS_PER_PART: usize = 2048;

/// Positions `0..length`, grouped by hash prefix.
pub(super) struct Partitions {
    positions: Vec<u32>,
    bounds: Vec<usize>,
}

impl Partitions {
    /// `prefix` gives a position's hash, of which the highest bits choose the part. 4 bytes a position.
    #[expect(clippy::cast_possible_truncation, reason = "at most 16 bits are left")]
    pub(super) fn new(length: usize, prefix: impl Fn(usize) -> u64) -> Result<Self> {
        let length_u32 = u32::try_from(length).map_err(|_| Error::TooManyRows { rows: length as u64 })?;
        let bits = (length / ROWS_PER_PART).next_power_of_two().trailing_zeros().clamp(1, 16);
        let part = |position: u32| (prefix(position as usize) >> (64 - bits)) as usize;
        let mut bounds = vec![0usize; (1 << bits) + 1];
        for position in 0..length_u32 {
            bounds[part(position) + 1] += 1;
        }
        for part in 1..bounds.len() {
            bounds[part] += bounds[part - 1];
        }
        let mut next = bounds.clone();
        let mut positions = vec![0u32; length];
        for position in 0..length_u32 {
            let slot = &mut next[part(position)];
            positions[*slot] = position;
            *slot += 1;
        }
        Ok(Self { positions, bounds })
    }

    /// The parts in the order of their prefixes, positions ascending within each.
    pub(super) fn parts(&self) -> impl IndexedParallelIterator<Item = &[u32]> {
        self.bounds.par_windows(2).map(|bounds| &self.positions[bounds[0]..bounds[1]])
    }
}
