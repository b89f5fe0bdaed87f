//! The length of a longest common subsequence where one side has at most 64 tokens: a table from token to the bits of its positions, small enough to
//! be emptied for every pair.

use super::lcs::{grown, next};
use super::numbers::hash;

/// So many tokens the shorter side has at most.
pub(super) const MOST: usize = 64;
const SLOT_BITS: u32 = 9;

/// Tokens of the shorter side and where they stand in it.
pub(super) struct Masks {
    /// Open addressing; a slot of 0 is empty, another the place of a token in `keys` and `masks`.
    slots: [u8; 1 << SLOT_BITS],
    /// The first is no token's: no key is 0, and its mask is that of a token that is not there.
    keys: [u128; MOST + 1],
    masks: [u64; MOST + 1],
}

impl Default for Masks {
    fn default() -> Self {
        Self { slots: [0; 1 << SLOT_BITS], keys: [0; MOST + 1], masks: [0; MOST + 1] }
    }
}

impl Masks {
    /// The length of the longest common subsequence of keys, of which `left` are at most [`MOST`].
    pub(super) fn length(&mut self, left: &[u128], right: &[u128]) -> usize {
        self.slots.fill(0);
        let mut known = 0u8;
        for (at, &key) in left.iter().enumerate() {
            let slot = self.probe(key);
            if self.slots[slot] == 0 {
                known += 1;
                self.slots[slot] = known;
                self.keys[usize::from(known)] = key;
                self.masks[usize::from(known)] = 0;
            }
            self.masks[usize::from(self.slots[slot])] |= 1 << at;
        }
        let row = right.iter().fold(u64::MAX, |row, &key| {
            let mask = self.masks[usize::from(self.slots[self.probe(key)])];
            next(row, mask, &mut false)
        });
        grown(row, left.len()).count_ones() as usize
    }

    /// The key's slot: its own, or the empty one that it would take.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "a few bits choose the slot")]
    fn probe(&self, key: u128) -> usize {
        let mut at = (hash(key) >> (64 - SLOT_BITS)) as usize;
        loop {
            let place = usize::from(self.slots[at]);
            if (place == 0) | (self.keys[place] == key) {
                return at;
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }
}
