//! Longest common subsequences of tokens, 64 cells of the table at a time (Hyyrö 2004, "Bit-parallel LCS-length computation revisited").
//!
//! Tokens are numbers from 1 on; 0 on the right side is one that the left side does not have.

use crate::control::Pace;
use crate::{Control, Result};

/// More words of masks, or of rows that are traced, are not held: 32 MiB. Beyond, positions stand for masks and rows are computed twice.
const MOST_WORDS: usize = 1 << 22;

/// The left side as bits, and what of the table is kept.
pub(super) struct Lcs {
    /// For each number the bits of its positions, `blocks` words each; all zero but for those in `numbers`.
    masks: Vec<u64>,
    numbers: Vec<u32>,
    blocks: usize,
    left: usize,
    /// Where masks would be too large: the positions by number, and for each number where its own are among them.
    places: Vec<u32>,
    spans: Vec<(u32, u32)>,
    is_sparse: bool,
    most_words: usize,
    /// Bit j of row i is 0 where the table grows at column j: where the common subsequence of i tokens of the right side and j + 1 of the left is
    /// longer than that with j.
    rows: Vec<u64>,
    /// The positions in the left side that were traced.
    hits: Vec<u64>,
}

impl Default for Lcs {
    fn default() -> Self {
        Self {
            masks: Vec::new(),
            numbers: Vec::new(),
            blocks: 0,
            left: 0,
            places: Vec::new(),
            spans: Vec::new(),
            is_sparse: false,
            most_words: MOST_WORDS,
            rows: Vec::new(),
            hits: Vec::new(),
        }
    }
}

impl Lcs {
    /// Takes the left side, whose numbers are at most `most`.
    pub(super) fn prepare(&mut self, left: &[u32], most: usize) {
        for &number in &self.numbers {
            if self.is_sparse {
                self.spans[number as usize] = (0, 0);
            } else {
                self.masks[number as usize * self.blocks..][..self.blocks].fill(0);
            }
        }
        self.numbers.clear();
        self.numbers.extend_from_slice(left);
        self.left = left.len();
        self.blocks = left.len().div_ceil(64);
        self.hits.clear();
        self.hits.resize(self.blocks, 0);
        let size = (most + 1) * self.blocks;
        self.is_sparse = self.blocks > 1 && size > self.most_words;
        if self.is_sparse {
            self.place(most);
            return;
        }
        if self.masks.len() < size {
            self.masks.resize(size, 0);
        }
        for (at, &number) in left.iter().enumerate() {
            self.masks[number as usize * self.blocks + at / 64] |= 1 << (at % 64);
        }
    }

    fn place(&mut self, most: usize) {
        if self.spans.len() <= most {
            self.spans.resize(most + 1, (0, 0));
        }
        let mut order: Vec<(u32, u32)> = self.numbers.iter().copied().zip(0..).collect();
        order.sort_unstable();
        self.places.clear();
        self.places.extend(order.iter().map(|&(_, position)| position));
        for (at, &(number, _)) in (0u32..).zip(&order) {
            let span = &mut self.spans[number as usize];
            *span = (if span.1 == 0 { at } else { span.0 }, at + 1);
        }
    }

    /// The positions of a number; of a sparse left side.
    fn positions(&self, number: u32) -> &[u32] {
        let (start, end) = self.spans[number as usize];
        &self.places[start as usize..end as usize]
    }

    /// Where a block's positions of a number are.
    fn mask(&self, number: u32, block: usize) -> u64 {
        if !self.is_sparse {
            return self.masks[number as usize * self.blocks + block];
        }
        let positions = self.positions(number);
        let start = positions.partition_point(|&position| (position as usize) < block * 64);
        bits(&positions[start..], block).0
    }

    /// Makes of a row of the table the next one.
    fn step(&self, number: u32, row: &mut [u64]) {
        let mut carry = false;
        if !self.is_sparse {
            let masks = &self.masks[number as usize * self.blocks..][..self.blocks];
            for (word, &mask) in row.iter_mut().zip(masks) {
                *word = next(*word, mask, &mut carry);
            }
            return;
        }
        // Without a position and without a carry a block stays as it is.
        let (mut rest, mut block) = (self.positions(number), 0);
        while block < row.len() {
            if !carry {
                let Some(&position) = rest.first() else { return };
                block = position as usize / 64;
            }
            let (mask, count) = bits(rest, block);
            rest = &rest[count..];
            row[block] = next(row[block], mask, &mut carry);
            block += 1;
        }
    }

    /// The length of the longest common subsequence with `right`.
    #[inline]
    pub(super) fn length(&mut self, right: impl Iterator<Item = u32>, control: &Control) -> Result<usize> {
        if self.blocks == 1 {
            let row = right.fold(u64::MAX, |row, number| next(row, self.masks[number as usize], &mut false));
            return Ok(grown(row, self.left).count_ones() as usize);
        }
        let mut rows = std::mem::take(&mut self.rows);
        rows.clear();
        rows.resize(self.blocks, u64::MAX);
        let mut pace = Pace::new(control);
        for number in right.filter(|&number| number != 0) {
            pace.glance(self.blocks * 8)?;
            self.step(number, &mut rows);
        }
        let grown = |(block, &row): (usize, &u64)| grown(row, self.left - block * 64).count_ones() as usize;
        let length = rows.iter().enumerate().map(grown).sum();
        self.rows = rows;
        Ok(length)
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
        let width = self.blocks;
        if width == 0 {
            return Ok(());
        }
        // Rows that are too many are computed once to keep the first of each part, and again part by part, going back.
        let every = if right.len() * width <= self.most_words { right.len() } else { right.len().isqrt() };
        let every = every.max(1);
        let mut pace = Pace::new(control);
        let mut rows = std::mem::take(&mut self.rows);
        let mut kept = vec![u64::MAX; width];
        rows.clone_from(&kept);
        for part in right.chunks(every).take((right.len().max(1) - 1) / every) {
            for &number in part {
                pace.glance(width * 8)?;
                self.step(number, &mut rows);
            }
            kept.extend_from_slice(&rows);
        }
        let mut column = self.left;
        'parts: for (part, first) in right.chunks(every).zip(kept.chunks(width)).rev() {
            rows.clear();
            rows.extend_from_slice(first);
            for &number in part {
                pace.glance(width * 8)?;
                rows.extend_from_within(rows.len() - width..);
                let last = rows.len() - width;
                self.step(number, &mut rows[last..]);
            }
            for (&number, row) in part.iter().zip(rows[width..].chunks(width)).rev() {
                let Some(left) = self.back(number, row, column) else { break 'parts };
                column = left;
            }
        }
        self.rows = rows;
        Ok(())
    }

    /// From a column of a row to that of the row above: the nearest to the left at which the tokens are equal, which is taken, or the table
    /// grows, which is left by its row.
    fn back(&mut self, number: u32, row: &[u64], column: usize) -> Option<usize> {
        let mut block = column / 64;
        let mut below = (1 << (column % 64)) - 1;
        loop {
            if block < self.blocks {
                let mask = self.mask(number, block);
                let stops = (mask | !row[block]) & below;
                if let Some(bit) = stops.checked_ilog2() {
                    let is_equal = mask >> bit & 1;
                    self.hits[block] |= is_equal << bit;
                    return Some(block * 64 + bit as usize + usize::from(is_equal == 0));
                }
            }
            block = block.checked_sub(1)?;
            below = u64::MAX;
        }
    }

    /// The positions in the left side that any subsequence had, in order.
    pub(super) fn traced(&self) -> impl Iterator<Item = usize> {
        self.hits.iter().enumerate().flat_map(|(block, &hits)| {
            let rest = std::iter::successors(Some(hits), |rest| Some(rest & rest.wrapping_sub(1)));
            rest.take_while(|&rest| rest != 0).map(move |rest| block * 64 + rest.trailing_zeros() as usize)
        })
    }
}

/// Of positions the bits of the first ones, which lie in `block`, and how many those are.
fn bits(positions: &[u32], block: usize) -> (u64, usize) {
    let here = positions.iter().take_while(|&&position| position as usize / 64 == block);
    here.fold((0, 0), |(mask, count), &position| (mask | 1 << (position % 64), count + 1))
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
        fn lengths_and_positions_are_those_of_the_table((left, right) in sides(), (before, _) in sides(), large in any::<bool>()) {
            let mut lcs = Lcs::default();
            lcs.prepare(&before, 14);
            if large {
                lcs.most_words = 0;
            }
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
