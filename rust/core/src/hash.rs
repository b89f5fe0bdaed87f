//! Content hashes: what a row *is*, independent of where it lies.
//!
//! XXH3-128 with seed 0 (xxhash-rust 0.8), whose output is fixed by its specification. It is not a cryptographic hash: wherever equal
//! hashes would remove a row, the texts themselves are compared.

use std::hash::BuildHasherDefault;

use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed, xxh3_128};

/// A map whose iteration order is the same in every run.
pub type Map<K, V> = hashbrown::HashMap<K, V, BuildHasherDefault<Xxh3>>;

/// A set of the same kind.
pub type Set<T> = hashbrown::HashSet<T, BuildHasherDefault<Xxh3>>;

/// 128 bits of content.
pub type ContentHash = [u8; 16];

/// A column of content hashes read by row number.
pub trait Hashes: Sync {
    /// Number of rows.
    fn len(&self) -> usize;
    /// The hash of `row`.
    fn get(&self, row: usize) -> ContentHash;
    /// Fills `hashes` with those of the rows from `start` on: one call for many rows.
    fn read(&self, start: usize, hashes: &mut [ContentHash]) {
        for (row, hash) in (start..).zip(hashes) {
            *hash = self.get(row);
        }
    }
    /// Whether there are no rows.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Hashes for Vec<ContentHash> {
    fn len(&self) -> usize {
        Self::len(self)
    }
    fn get(&self, row: usize) -> ContentHash {
        self[row]
    }
    fn read(&self, start: usize, hashes: &mut [ContentHash]) {
        hashes.copy_from_slice(&self[start..start + hashes.len()]);
    }
}

/// Hash of one text.
pub fn text(text: &str) -> ContentHash {
    xxh3_128(text.as_bytes()).to_le_bytes()
}

/// Hash of a sequence of numbers.
pub fn numbers(numbers: &[u64]) -> ContentHash {
    let bytes: Vec<[u8; 8]> = numbers.iter().map(|number| number.to_le_bytes()).collect();
    xxh3_128(bytes.as_flattened()).to_le_bytes()
}

/// Hash of a sequence of hashes: unlike a hash of joined texts it cannot confuse `["ab", "c"]` with `["a", "bc"]`.
pub fn combine(parts: &[ContentHash]) -> ContentHash {
    xxh3_128(parts.as_flattened()).to_le_bytes()
}

/// A row's place in a sample: a hash of its content keyed by the seed, so that the place does not depend on the other rows.
pub fn place(content: &ContentHash, seed: u64) -> u64 {
    xxh3_64_with_seed(content, seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_count() {
        assert_ne!(combine(&[text("ab"), text("c")]), combine(&[text("a"), text("bc")]));
    }

    #[test]
    fn the_hash_is_the_specifications() {
        // XXH3-128 of the empty input, seed 0, from the xxHash specification.
        assert_eq!(u128::from_le_bytes(text("")), 0x99aa_06d3_0147_98d8_6001_c324_468d_497f);
    }

    #[test]
    fn another_seed_is_another_order() {
        let (a, b) = (text("a"), text("b"));
        assert!((0..64).any(|seed| (place(&a, seed) < place(&b, seed)) != (place(&a, 0) < place(&b, 0))));
    }
}
