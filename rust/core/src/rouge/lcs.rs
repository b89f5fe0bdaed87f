//! Longest common subsequences of tokens.

/// Finds lengths, 64 cells at a time (Hyyrö 2004, "Bit-parallel LCS-length computation revisited"); keeps its buffers.
#[derive(Default)]
pub(super) struct Lengths {
    /// For each token of the left side the bits of its positions.
    masks: Vec<u64>,
    row: Vec<u64>,
    blocks: usize,
    left: usize,
    known: usize,
}

impl Lengths {
    /// Takes the left side, whose tokens are all below `tokens`.
    pub(super) fn prepare(&mut self, left: &[u32], tokens: usize) {
        self.left = left.len();
        self.blocks = left.len().div_ceil(64);
        self.known = tokens;
        self.masks.clear();
        self.masks.resize(tokens * self.blocks, 0);
        for (at, &token) in left.iter().enumerate() {
            self.masks[token as usize * self.blocks + at / 64] |= 1 << (at % 64);
        }
    }

    /// The length of the longest common subsequence of the left side and `right`.
    pub(super) fn with(&mut self, right: &[u32]) -> usize {
        if self.blocks == 1 {
            let mut row = u64::MAX;
            for &token in right.iter().filter(|&&token| (token as usize) < self.known) {
                let both = row & self.masks[token as usize];
                row = row.wrapping_add(both) | (row - both);
            }
            let unused = u64::MAX.checked_shl(u32::try_from(self.left).unwrap_or(64)).unwrap_or(0);
            return (!(row | unused)).count_ones() as usize;
        }
        self.row.clear();
        self.row.resize(self.blocks, u64::MAX);
        for &token in right.iter().filter(|&&token| (token as usize) < self.known) {
            let start = token as usize * self.blocks;
            let mut carry = false;
            for (row, mask) in self.row.iter_mut().zip(&self.masks[start..start + self.blocks]) {
                let both = *row & mask;
                let (sum, over) = row.overflowing_add(both);
                let (sum, over_too) = sum.overflowing_add(u64::from(carry));
                carry = over | over_too;
                *row = sum | (*row - both);
            }
        }
        let used = |block: usize| {
            if block + 1 < self.blocks || self.left.is_multiple_of(64) {
                u64::MAX
            } else {
                (1 << (self.left % 64)) - 1
            }
        };
        self.row.iter().enumerate().map(|(block, row)| (!row & used(block)).count_ones() as usize).sum()
    }
}

/// Where to go back from a cell when the tokens differ and both neighbours are as long; the packages differ in it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tie {
    /// To the token before on the left side.
    Left,
    /// To the token before on the right side.
    Right,
}

#[derive(Clone, Copy)]
enum Step {
    Both,
    Left,
    Right,
}

/// The positions in `left` of one longest common subsequence, last first: the one that the packages read out of their table.
pub(super) fn positions(left: &[u32], right: &[u32], tie: Tie) -> Vec<usize> {
    let width = right.len();
    let mut steps = vec![Step::Both; left.len() * width];
    let mut before = vec![0u32; width + 1];
    let mut row = vec![0u32; width + 1];
    for (at, token) in left.iter().enumerate() {
        for (other, candidate) in right.iter().enumerate() {
            let (up, back) = (before[other + 1], row[other]);
            let step = if token == candidate {
                Step::Both
            } else if up > back || (up == back && tie == Tie::Left) {
                Step::Left
            } else {
                Step::Right
            };
            steps[at * width + other] = step;
            row[other + 1] = if token == candidate { before[other] + 1 } else { up.max(back) };
        }
        std::mem::swap(&mut before, &mut row);
    }
    let (mut at, mut other, mut found) = (left.len(), width, Vec::new());
    while at > 0 && other > 0 {
        match steps[(at - 1) * width + other - 1] {
            Step::Both => {
                found.push(at - 1);
                at -= 1;
                other -= 1;
            }
            Step::Left => at -= 1,
            Step::Right => other -= 1,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_those_of_the_table() {
        let mut state = 1u64;
        let mut next = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % below
        };
        let mut lengths = Lengths::default();
        for _ in 0..2000 {
            let tokens = 1 + next(12);
            let mut text = |longest: u64| {
                let length = next(longest);
                (0..length).map(|_| u32::try_from(next(tokens)).unwrap_or(0)).collect::<Vec<u32>>()
            };
            let (left, right) = (text(200), text(200));
            lengths.prepare(&left, 12);
            assert_eq!(lengths.with(&right), positions(&left, &right, Tie::Left).len());
            assert_eq!(lengths.with(&right), positions(&left, &right, Tie::Right).len());
        }
    }
}
