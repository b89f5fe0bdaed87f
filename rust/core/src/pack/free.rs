//! Packs by the tokens that are still free in them.

use std::collections::BTreeMap;

const NONE: u32 = u32::MAX;

/// With more sizes than this, those that are there are kept in a tree: a place for each would take gigabytes.
const MOST_SIZES: u32 = 1 << 24;

/// Open packs, found by the least room that is enough.
#[derive(Debug)]
pub(super) struct Fullest {
    capacity: u32,
    shortest: u32,
    heads: Heads,
    /// By pack, the one that had come there before.
    next: Vec<u32>,
}

/// By free tokens, the pack that came there last.
#[derive(Debug)]
enum Heads {
    Few { of: Vec<u32>, there: Bitmap },
    Many(BTreeMap<u32, u32>),
}

impl Heads {
    fn new(capacity: u32, most: u32) -> Self {
        if capacity >= most {
            return Self::Many(BTreeMap::new());
        }
        let sizes = capacity as usize + 1;
        Self::Few { of: vec![NONE; sizes], there: Bitmap::new(sizes) }
    }

    /// The pack with the least room of at least `length`, and that room.
    fn least(&self, length: u32) -> Option<(u32, u32)> {
        match self {
            Self::Few { of, there } => there.next(length).map(|free| (of[free as usize], free)),
            Self::Many(of) => of.range(length..).next().map(|(&free, &pack)| (pack, free)),
        }
    }

    /// Puts `pack` where there is so much room, and says which was there.
    fn put(&mut self, free: u32, pack: u32) -> u32 {
        match self {
            Self::Few { of, there } => {
                there.set(free);
                std::mem::replace(&mut of[free as usize], pack)
            }
            Self::Many(of) => of.insert(free, pack).unwrap_or(NONE),
        }
    }

    fn remove(&mut self, free: u32) {
        match self {
            Self::Few { of, there } => {
                of[free as usize] = NONE;
                there.clear(free);
            }
            Self::Many(of) => drop(of.remove(&free)),
        }
    }
}

impl Fullest {
    /// Packs of `capacity` tokens, for documents of at least `shortest`: with less room a pack is closed.
    pub(super) fn new(capacity: u32, shortest: u32) -> Self {
        Self { capacity, shortest, heads: Heads::new(capacity, MOST_SIZES), next: Vec::new() }
    }

    /// The pack that a document goes to; a new one, counted in `packs`, when none has room.
    pub(super) fn place(&mut self, length: u32, packs: &mut u32) -> u32 {
        let (pack, free) = if let Some((pack, free)) = self.heads.least(length) {
            match self.next[pack as usize] {
                NONE => self.heads.remove(free),
                before => drop(self.heads.put(free, before)),
            }
            (pack, free)
        } else {
            self.next.push(NONE);
            *packs += 1;
            (*packs - 1, self.capacity)
        };
        let rest = free - length;
        if rest >= self.shortest {
            self.next[pack as usize] = self.heads.put(rest, pack);
        }
        pack
    }
}

/// A set of numbers that knows its next member: bits, and above them a bit for each word that has any.
#[derive(Debug)]
struct Bitmap {
    levels: Vec<Vec<u64>>,
}

impl Bitmap {
    fn new(size: usize) -> Self {
        let mut levels = vec![vec![0; size.div_ceil(64).max(1)]];
        while levels[levels.len() - 1].len() > 1 {
            levels.push(vec![0; levels[levels.len() - 1].len().div_ceil(64)]);
        }
        Self { levels }
    }

    fn set(&mut self, number: u32) {
        let mut at = number as usize;
        for level in &mut self.levels {
            level[at / 64] |= 1 << (at % 64);
            at /= 64;
        }
    }

    fn clear(&mut self, number: u32) {
        let mut at = number as usize;
        for level in &mut self.levels {
            level[at / 64] &= !(1 << (at % 64));
            if level[at / 64] != 0 {
                break;
            }
            at /= 64;
        }
    }

    /// The smallest member of at least `number`.
    fn next(&self, number: u32) -> Option<u32> {
        let mut at = number as usize;
        for (depth, level) in self.levels.iter().enumerate() {
            let word = level.get(at / 64)? & (u64::MAX << (at % 64));
            if word != 0 {
                at = at / 64 * 64 + word.trailing_zeros() as usize;
                for below in self.levels[..depth].iter().rev() {
                    at = at * 64 + below[at].trailing_zeros() as usize;
                }
                return u32::try_from(at).ok();
            }
            at = at / 64 + 1;
        }
        None
    }
}

/// Packs in the order in which they were opened, found by the earliest with enough room: a tree of the most room below.
#[derive(Debug)]
pub(super) struct Leftmost {
    tree: Vec<u32>,
    leaves: usize,
}

impl Leftmost {
    /// Any two neighbours hold more than one pack's tokens together, which bounds how many packs there can be.
    pub(super) fn new(lengths: &[u32], capacity: u32) -> Self {
        let tokens: u64 = lengths.iter().map(|&length| u64::from(length)).sum();
        let most = usize::try_from(2 * tokens.div_ceil(u64::from(capacity)) + 1).unwrap_or(usize::MAX);
        let leaves = most.min(lengths.len()).max(1).next_power_of_two();
        Self { tree: vec![capacity; 2 * leaves], leaves }
    }

    /// The pack that a document goes to; `packs` counts those in use.
    pub(super) fn place(&mut self, length: u32, packs: &mut u32) -> u32 {
        let mut at = 1;
        while at < self.leaves {
            at = 2 * at + usize::from(self.tree[2 * at] < length);
        }
        self.tree[at] -= length;
        #[expect(clippy::cast_possible_truncation, reason = "there are at most as many packs as documents")]
        let pack = (at - self.leaves) as u32;
        while at > 1 {
            at /= 2;
            let most = self.tree[2 * at].max(self.tree[2 * at + 1]);
            if self.tree[at] == most {
                break;
            }
            self.tree[at] = most;
        }
        *packs = (*packs).max(pack + 1);
        pack
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_finds_what_a_place_for_each_size_finds() {
        let mut lengths: Vec<u32> = (0..5000).map(|n| n % 97 * (n % 13) % 97 + 3).collect();
        for sorted in [false, true] {
            let mut few = Fullest::new(211, 3);
            let mut many = Fullest { heads: Heads::new(211, 0), ..Fullest::new(211, 3) };
            let (mut first, mut second) = (0, 0);
            for &length in &lengths {
                assert_eq!(few.place(length, &mut first), many.place(length, &mut second));
            }
            assert_eq!(first, second);
            if !sorted {
                lengths.sort_unstable_by(|a, b| b.cmp(a));
            }
        }
    }
}
