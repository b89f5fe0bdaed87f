//! A Bloom filter in which a key costs one cache line: most of what most rows say is in no item, and ends here.

/// Bits in the filter for each key: about one foreign key in 200 passes.
const BITS_PER_KEY: usize = 16;

/// Blocks of 64 bits; a key sets four bits of one block.
#[derive(Debug)]
pub(super) struct Filter {
    blocks: Vec<u64>,
    shift: u32,
}

impl Filter {
    /// With room for `keys` keys.
    pub(super) fn new(keys: usize) -> Self {
        let blocks = (keys * BITS_PER_KEY / 64).next_power_of_two().max(2);
        Self { blocks: vec![0; blocks], shift: 64 - blocks.trailing_zeros() }
    }

    /// Adds a key whose bits are evenly mixed.
    pub(super) fn insert(&mut self, key: u64) {
        let block = self.block(key);
        self.blocks[block] |= bits(key);
    }

    /// False only for keys that were not inserted.
    pub(super) fn may_contain(&self, key: u64) -> bool {
        let bits = bits(key);
        self.blocks[self.block(key)] & bits == bits
    }

    #[expect(clippy::cast_possible_truncation, reason = "there are fewer blocks than a usize counts")]
    fn block(&self, key: u64) -> usize {
        (key >> self.shift) as usize
    }
}

/// The lowest 24 bits choose, the highest choose the block: the two are independent.
fn bits(key: u64) -> u64 {
    (1 << (key & 63)) | (1 << ((key >> 6) & 63)) | (1 << ((key >> 12) & 63)) | (1 << ((key >> 18) & 63))
}

#[cfg(test)]
mod tests {
    use xxhash_rust::xxh3::xxh3_64;

    use super::*;

    #[test]
    fn every_key_is_found_and_few_others() {
        let key = |number: u32| xxh3_64(&number.to_le_bytes());
        let mut filter = Filter::new(100_000);
        (0..100_000).for_each(|number| filter.insert(key(number)));
        assert!((0..100_000).all(|number| filter.may_contain(key(number))));
        let foreign = (100_000..200_000).filter(|&number| filter.may_contain(key(number))).count();
        assert!(foreign < 1_000, "{foreign} of 100,000 foreign keys pass");
    }

    #[test]
    fn an_empty_filter_has_nothing() {
        assert!(!Filter::new(0).may_contain(7));
    }
}
