//! Shingles: what a text's set is made of.

use crate::dedup::NormalForm;
use crate::words::{Between, Splitter};
use crate::{Error, Result};

/// What a shingle is a run of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Words between white space, as [`Between::Space`] has them.
    Word,
    /// Characters of the text under [`NormalForm::Case`].
    Char,
}

impl Unit {
    /// From its name in a recipe.
    pub fn parse(name: &str) -> Result<Self> {
        match name {
            "word" => Ok(Self::Word),
            "char" => Ok(Self::Char),
            _ => {
                Err(Error::OutOfRange { name: "unit", value: name.to_owned(), expected: "`word` or `char`" })
            }
        }
    }
}

/// The shingles of a text: every run of `size` units. A text with fewer units has one shingle, all of it; one without units has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shingles {
    /// What is counted.
    pub unit: Unit,
    /// How many make a shingle.
    pub size: usize,
    /// Keys the hashes, so that nobody can make texts that collide; the answer does not depend on it.
    pub seed: u64,
}

/// Units that a shingle may have.
const MAX_SIZE: usize = 1000;

impl Shingles {
    pub(super) fn check(self) -> Result<()> {
        if (1..=MAX_SIZE).contains(&self.size) {
            return Ok(());
        }
        Err(Error::OutOfRange { name: "ngram", value: self.size.to_string(), expected: "1 to 1000" })
    }
}

/// The base of the rolling hash: odd, so that its powers never vanish.
const BASE: u64 = 0x9e37_79b9_7f4a_7c15;

/// Makes shingles; keeps its buffers from one text to the next.
#[derive(Debug)]
pub struct Shingler {
    shingles: Shingles,
    splitter: Splitter,
    units: Vec<u64>,
    /// BASE to the power of the size: what the unit leaving the window has grown to.
    leaving: u64,
}

impl Shingler {
    /// For one thread.
    pub fn new(shingles: Shingles) -> Self {
        let power = (0..shingles.size).fold(1u64, |power, _| power.wrapping_mul(BASE));
        Self {
            shingles,
            splitter: Splitter::new(Between::Space, shingles.seed),
            units: Vec::new(),
            leaving: power,
        }
    }

    /// Calls `each` with the 64-bit hash of every shingle of `text`, in order and with repetitions. Hashes of different `salt`s do not meet.
    pub fn each(&mut self, text: &str, salt: u64, mut each: impl FnMut(u64)) {
        self.units.clear();
        let units = &mut self.units;
        match self.shingles.unit {
            Unit::Word => self.splitter.each_word(text, |_, hash| units.push(hash)),
            Unit::Char => {
                let seed = self.shingles.seed;
                let key = NormalForm::Case.apply(text);
                units.extend(key.chars().map(|character| mix(u64::from(character) ^ mix(seed ^ BASE))));
            }
        }
        let size = self.shingles.size;
        let mut rolling = 0u64;
        for (at, &unit) in self.units.iter().enumerate() {
            rolling = rolling.wrapping_mul(BASE).wrapping_add(unit);
            if at >= size {
                rolling = rolling.wrapping_sub(self.units[at - size].wrapping_mul(self.leaving));
            }
            if at + 1 >= size {
                each(mix(rolling ^ salt));
            }
        }
        if !self.units.is_empty() && self.units.len() < size {
            each(mix(rolling ^ salt));
        }
    }
}

/// The salt of a field within a group.
pub(super) fn salt(field: usize, group: Option<u32>) -> u64 {
    let group = group.map_or(0, |group| u64::from(group) + 1);
    mix(((field as u64) << 40) ^ group)
}

/// The finaliser of splitmix64 (Steele et al. 2014): one-to-one, every bit of the input moves every bit of the output.
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shingles(unit: Unit, size: usize, text: &str) -> Vec<u64> {
        let mut found = Vec::new();
        Shingler::new(Shingles { unit, size, seed: 7 }).each(text, 0, |hash| found.push(hash));
        found
    }

    #[test]
    fn a_shingle_is_a_run_of_units() {
        let long = shingles(Unit::Word, 2, "a b c a b");
        assert_eq!(long.len(), 4);
        assert_eq!(long[0], long[3], "the same words are the same shingle wherever they stand");
        assert_ne!(long[0], shingles(Unit::Word, 2, "b a")[0], "order counts");
        assert_eq!(shingles(Unit::Char, 3, "abcd")[1], shingles(Unit::Char, 3, "BCD")[0]);
    }

    #[test]
    fn a_short_text_is_one_shingle() {
        assert_eq!(shingles(Unit::Word, 5, " one  Two\n").len(), 1);
        assert_eq!(shingles(Unit::Word, 5, "one two"), shingles(Unit::Word, 5, "One\ttwo "));
        assert_eq!(shingles(Unit::Word, 5, "one two"), shingles(Unit::Word, 2, "one two"));
        assert!(shingles(Unit::Word, 5, " \n").is_empty());
    }

    #[test]
    fn fields_and_groups_are_apart() {
        let salts = [salt(0, None), salt(1, None), salt(0, Some(0)), salt(0, Some(1)), salt(1, Some(0))];
        for (at, one) in salts.iter().enumerate() {
            assert!(!salts[..at].contains(one));
        }
    }
}
