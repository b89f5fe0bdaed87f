//! Longest common subsequences of tokens, 64 cells of the table at a time (Hyyrö 2004, "Bit-parallel LCS-length computation revisited").
//!
//! Tokens are numbers from 1 on; 0 on the right side is one that the left side does not have.

use crate::control::Pace;
use crate::{Control, Result};

/// The left side as bits, and what of the table is kept.
#[derive(Default)]
pub(super) struct Lcs {
    /// For each number the bits of its positions, `blocks` words each; all zero but for those in `numbers`.
    masks: Vec<u64>,
    numbers: Vec<u32>,
    blocks: usize,
    left: usize,
    /// Bit j of row i is 0 where the table grows at column j: where the common subsequence of i tokens of the right side and j + 1 of the left is
    /// longer than that with j.
    rows: Vec<u64>,
    /// The positions in the left side that were traced.
    hits: Vec<u64>,
}

impl Lcs {
    /// Takes the left side, whose numbers are at most `most`.
    pub(super) fn prepare(&mut self, left: &[u32], most: usize) {
        for &number in &self.numbers {
            self.masks[number as usize * self.blocks..][..self.blocks].fill(0);
        }
        self.numbers.clear();
        self.numbers.extend_from_slice(left);
        self.left = left.len();
        self.blocks = left.len().div_ceil(64);
        self.hits.clear();
        self.hits.resize(self.blocks, 0);
        let size = (most + 1) * self.blocks;
        if self.masks.len() < size {
            self.masks.resize(size, 0);
        }
        for (at, &number) in left.iter().enumerate() {
            self.masks[number as usize * self.blocks + at / 64] |= 1 << (at % 64);
        }
    }

    /// The length of the longest common subsequence with `right`.
    #[inline]
    pub(super) fn length(&mut self, right: impl Iterator<Item = u32>, control: &Control) -> Result<usize> {
        if self.blocks == 1 {
            let row = right.fold(u64::MAX, |row, number| next(row, self.masks[number as usize], &mut false));
            return Ok(grown(row, self.left).count_ones() as usize);
        }
        self.rows.clear();
        self.rows.resize(self.blocks, u64::MAX);
        let mut pace = Pace::new(control);
        for number in right.filter(|&number| number != 0) {
            pace.glance(self.blocks * 8)?;
            let mut carry = false;
            let masks = &self.masks[number as usize * self.blocks..][..self.blocks];
            for (row, &mask) in self.rows.iter_mut().zip(masks) {
                *row = next(*row, mask, &mut carry);
            }
        }
        let rows = self.rows.iter().enumerate();
        Ok(rows.map(|(block, &row)| grown(row, self.left - block * 64).count_ones() as usize).sum())
    }

    /// Adds to [`Lcs::traced`] one longest common subsequence with `right`: the one that is met going back from the end of the table, past a token of
    /// the left side wherever this loses nothing, else past one of the right.
    pub(super) fn trace(&mut self, right: &[u32], control: &Control) -> Result<()> {
        self.rows.clear();
        if self.blocks == 1 {
            let mut row = u64::MAX;
            self.rows.extend(right.iter().map(|&number| {
                row = next(row, self.masks[number as usize], &mut false);
                row
            }));
            let mut below = u64::MAX >> (64 - self.left);
            for (&number, &row) in right.iter().zip(&self.rows).rev() {
                let mask = self.masks[number as usize];
                let Some(bit) = ((mask | !row) & below).checked_ilog2() else { break };
                let is_equal = mask >> bit & 1;
                self.hits[0] |= is_equal << bit;
                below = (u64::MAX >> (63 - bit)) >> is_equal;
            }
            return Ok(());
        }
        self.trace_blocks(right, control)
    }

    fn trace_blocks(&mut self, right: &[u32], control: &Control) -> Result<()> {
        let mut pace = Pace::new(control);
        for (at, &number) in right.iter().enumerate() {
            pace.glance(self.blocks * 8)?;
            let mut carry = false;
            for block in 0..self.blocks {
                let above = if at == 0 { u64::MAX } else { self.rows[(at - 1) * self.blocks + block] };
                let mask = self.masks[number as usize * self.blocks + block];
                self.rows.push(next(above, mask, &mut carry));
            }
        }
        let mut column = self.left;
        for (at, &number) in right.iter().enumerate().rev() {
            // The nearest column to the left at which the tokens are equal, which is taken, or the table grows, which is left by its row.
            let mut block = column / 64;
            let mut below = (1 << (column % 64)) - 1;
            loop {
                if block < self.blocks {
                    let mask = self.masks[number as usize * self.blocks + block];
                    let stops = (mask | !self.rows[at * self.blocks + block]) & below;
                    if let Some(bit) = stops.checked_ilog2() {
                        let is_equal = mask >> bit & 1;
                        self.hits[block] |= is_equal << bit;
                        column = block * 64 + bit as usize + usize::from(is_equal == 0);
                        break;
                    }
                }
                if block == 0 {
                    return Ok(());
                }
                block -= 1;
                below = u64::MAX;
            }
        }
        Ok(())
    }

    /// The positions in the left side that any subsequence had, in order.
    pub(super) fn traced(&self) -> impl Iterator<Item = usize> {
        self.hits.iter().enumerate().flat_map(|(block, &hits)| {
            let rest = std::iter::successors(Some(hits), |rest| Some(rest & rest.wrapping_sub(1)));
            rest.take_while(|&rest| rest != 0).map(move |rest| block * 64 + rest.trailing_zeros() as usize)
        })
    }
}

/// A block of the next row.
#[inline]
pub(super) fn next(row: u64, mask: u64, carry: &mut bool) -> u64 {
    let both = row & mask;
    let (sum, over) = row.overflowing_add(both);
    let (sum, over_too) = sum.overflowing_add(u64::from(*carry));
    *carry = over | over_too;
    sum | (row - both)
}

/// The columns at which a block of a row grows, of which `left` are columns.
#[inline]
pub(super) fn grown(row: u64, left: usize) -> u64 {
    if left < 64 { !row & ((1 << left) - 1) } else { !row }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Where a table goes back when tokens differ and both neighbours are as long.
    #[derive(Clone, Copy, PartialEq)]
    enum Tie {
        Left,
        Right,
    }

    /// The positions in both sides as the packages read them out of the whole table.
    fn by_table(left: &[u32], right: &[u32], tie: Tie) -> Vec<(usize, usize)> {
        let mut table = vec![vec![0; right.len() + 1]; left.len() + 1];
        for (i, one) in left.iter().enumerate() {
            for (j, other) in right.iter().enumerate() {
                table[i + 1][j + 1] =
                    if one == other { table[i][j] + 1 } else { table[i][j + 1].max(table[i + 1][j]) };
            }
        }
        let (mut i, mut j, mut found) = (left.len(), right.len(), Vec::new());
        while i > 0 && j > 0 {
            let (up, back) = (table[i - 1][j], table[i][j - 1]);
            if left[i - 1] == right[j - 1] {
                (i, j) = (i - 1, j - 1);
                found.push((i, j));
            } else if up > back || (up == back && tie == Tie::Left) {
                i -= 1;
            } else {
                j -= 1;
            }
        }
        found
    }

    fn sides() -> impl Strategy<Value = (Vec<u32>, Vec<u32>)> {
        let side = |most| {
            prop_oneof![0..5usize, 60..70usize, 0..300usize]
                .prop_flat_map(move |length| proptest::collection::vec(1..=most, length))
        };
        (1..14u32).prop_flat_map(move |most| (side(most), side(most)))
    }

    proptest! {
        #[test]
        fn lengths_and_positions_are_those_of_the_table((left, right) in sides(), (before, _) in sides()) {
            let mut lcs = Lcs::default();
            lcs.prepare(&before, 14);
            lcs.prepare(&left, 14);
            let (of_left, of_right) = (by_table(&left, &right, Tie::Left), by_table(&right, &left, Tie::Right));
            let control = Control::default();
            prop_assert_eq!(lcs.length(right.iter().copied(), &control)?, of_left.len());
            lcs.trace(&right, &control)?;
            let mut positions: Vec<usize> = lcs.traced().collect();
            positions.reverse();
            prop_assert_eq!(&positions, &of_left.iter().map(|&(one, _)| one).collect::<Vec<_>>());
            // The same way back with the sides exchanged is the other tie.
            prop_assert_eq!(&positions, &of_right.iter().map(|&(_, other)| other).collect::<Vec<_>>());
        }
    }
}
