//! A counting sort by hash prefix: equal hashes end up in one part, and each part fits a core's cache.

use rayon::prelude::*;

use crate::{Error, Result};

/// Rows a part should have on average.
const ROWS_PER_PART: usize = 2048;
/// Positions that are sorted at a time, by one thread and within its cache; more of them where that would make too many chunks.
const ROWS_PER_CHUNK: usize = 1 << 18;
const MOST_CHUNKS: usize = 256;

/// Positions `0..length`, grouped by hash prefix.
pub(super) struct Partitions {
    chunks: Vec<Chunk>,
    parts: usize,
}

/// The positions of a range, by part.
struct Chunk {
    positions: Vec<u32>,
    /// Where each part begins, and where the last ends.
    bounds: Vec<u32>,
}

impl Partitions {
    /// `prefix` gives a position's hash, of which the highest bits choose the part. 4 bytes a position.
    #[expect(clippy::cast_possible_truncation, reason = "at most 16 bits are left")]
    pub(super) fn new(length: usize, prefix: impl Fn(usize) -> u64 + Sync) -> Result<Self> {
        let length_u32 = u32::try_from(length).map_err(|_| Error::TooManyRows { rows: length as u64 })?;
        let bits = (length / ROWS_PER_PART).next_power_of_two().trailing_zeros().clamp(1, 16);
        let part = |position: u32| (prefix(position as usize) >> (64 - bits)) as usize;
        let parts = 1 << bits;
        let size = ROWS_PER_CHUNK.max(length.div_ceil(MOST_CHUNKS));
        let chunks = (0..length.div_ceil(size)).into_par_iter().map(|chunk| {
            let start = (chunk * size) as u32;
            Chunk::new(start..length_u32.min(start.saturating_add(size as u32)), parts, part)
        });
        Ok(Self { chunks: chunks.collect(), parts })
    }

    /// The parts in the order of their prefixes, positions ascending within each.
    pub(super) fn parts(&self) -> impl IndexedParallelIterator<Item = impl Iterator<Item = u32>> {
        (0..self.parts).into_par_iter().map(|part| {
            self.chunks.iter().flat_map(move |chunk| {
                let bounds = chunk.bounds[part] as usize..chunk.bounds[part + 1] as usize;
                chunk.positions[bounds].iter().copied()
            })
        })
    }
}

impl Chunk {
    #[expect(clippy::cast_possible_truncation, reason = "a chunk has fewer positions than there are rows")]
    fn new(positions: std::ops::Range<u32>, parts: usize, part: impl Fn(u32) -> usize) -> Self {
        let part_of: Vec<u16> = positions.clone().map(|position| part(position) as u16).collect();
        let mut bounds = vec![0u32; parts + 1];
        for &part in &part_of {
            bounds[usize::from(part) + 1] += 1;
        }
        for part in 1..bounds.len() {
            bounds[part] += bounds[part - 1];
        }
        let mut next = bounds.clone();
        let mut sorted = vec![0u32; part_of.len()];
        for (position, &part) in positions.zip(&part_of) {
            let slot = &mut next[usize::from(part)];
            sorted[*slot as usize] = position;
            *slot += 1;
        }
        Self { positions: sorted, bounds }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash;

    #[test]
    fn every_position_is_in_the_part_of_its_prefix_once_and_in_order() {
        let prefix = |position: usize| hash::place(&hash::text(&position.to_string()), 0);
        for length in [0, 1, ROWS_PER_CHUNK, 2 * ROWS_PER_CHUNK + 5] {
            let partitions = Partitions::new(length, prefix).unwrap();
            let parts: Vec<Vec<u32>> = partitions.parts().map(Iterator::collect).collect();
            let bits = parts.len().trailing_zeros();
            for (part, positions) in (0u64..).zip(&parts) {
                assert!(positions.is_sorted_by(|left, right| left < right));
                assert!(positions.iter().all(|&position| prefix(position as usize) >> (64 - bits) == part));
            }
            assert_eq!(parts.iter().map(Vec::len).sum::<usize>(), length);
        }
    }
}
