//! Runs of words: their rolling hashes, and tables of the words and the runs that items have.

use hashbrown::HashTable;

use crate::words::normal_form;

const BASE: u64 = 0x9e37_79b9_7f4a_7c15;

/// The hash of any run of a text's words in two multiplications: `sums[i]` is the polynomial of the first `i` words, modulo 2^64.
#[derive(Debug, Default)]
pub(super) struct Rolling {
    sums: Vec<u64>,
}

impl Rolling {
    pub(super) fn clear(&mut self) {
        self.sums.clear();
        self.sums.push(0);
    }

    pub(super) fn push(&mut self, word: u64) {
        let last = self.sums.last().copied().unwrap_or_default();
        self.sums.push(last.wrapping_mul(BASE).wrapping_add(word));
    }

    /// Number of words.
    pub(super) fn len(&self) -> usize {
        self.sums.len() - 1
    }

    /// The hashes of the runs of `length` words that begin at every `step`th word, in order.
    pub(super) fn runs(&self, length: usize, step: usize) -> impl Iterator<Item = u64> {
        let power = power(length);
        self.sums
            .iter()
            .step_by(step)
            .zip(self.sums.get(length..).unwrap_or_default().iter().step_by(step))
            .map(move |(before, to)| mix(to.wrapping_sub(before.wrapping_mul(power))))
    }

    /// The hash of the run of `length` words from `start` on.
    pub(super) fn run(&self, start: usize, length: usize) -> u64 {
        mix(self.sums[start + length].wrapping_sub(self.sums[start].wrapping_mul(power(length))))
    }
}

fn power(length: usize) -> u64 {
    let mut power = 1u64;
    let mut factor = BASE;
    let mut left = length;
    while left > 0 {
        if left & 1 == 1 {
            power = power.wrapping_mul(factor);
        }
        factor = factor.wrapping_mul(factor);
        left >>= 1;
    }
    power
}

/// The low bits of a polynomial modulo 2^64 know little of it.
fn mix(sum: u64) -> u64 {
    let mixed = (sum ^ (sum >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    let mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    mixed ^ (mixed >> 32)
}

/// A word that no item has.
pub(super) const FOREIGN: u32 = u32::MAX;

/// The items' words, each in its normal form and once.
#[derive(Debug, Default)]
pub(super) struct Vocabulary {
    table: HashTable<u32>,
    hashes: Vec<u64>,
    forms: String,
    ends: Vec<usize>,
    form: String,
}

impl Vocabulary {
    fn form_of(&self, id: u32) -> &str {
        let id = id as usize;
        let start = if id == 0 { 0 } else { self.ends[id - 1] };
        &self.forms[start..self.ends[id]]
    }

    /// The number of a word, which is given one when it is new.
    pub(super) fn insert(&mut self, word: &str, hash: u64) -> u32 {
        let mut form = std::mem::take(&mut self.form);
        normal_form(word, &mut form);
        let known = self.find(&form, hash);
        let id = known.unwrap_or_else(|| {
            // Fewer words than bytes of them, which the index holds below `u32::MAX`.
            let id = u32::try_from(self.ends.len()).unwrap_or(FOREIGN);
            self.forms.push_str(&form);
            self.ends.push(self.forms.len());
            self.hashes.push(hash);
            self.table.insert_unique(hash, id, |&id| self.hashes[id as usize]);
            id
        });
        self.form = form;
        id
    }

    /// The number of a word, or [`FOREIGN`]; `form` is room for its normal form.
    pub(super) fn id(&self, word: &str, hash: u64, form: &mut String) -> u32 {
        if self.table.find(hash, |&id| self.hashes[id as usize] == hash).is_none() {
            return FOREIGN;
        }
        normal_form(word, form);
        self.find(form, hash).unwrap_or(FOREIGN)
    }

    fn find(&self, form: &str, hash: u64) -> Option<u32> {
        self.table.find(hash, |&id| self.hashes[id as usize] == hash && self.form_of(id) == form).copied()
    }
}

/// Runs of item words, each once: found by hash, told apart by their words.
#[derive(Debug, Default)]
pub(super) struct Runs {
    table: HashTable<u32>,
    hashes: Vec<u64>,
    starts: Vec<u32>,
    lengths: Vec<u32>,
}

impl Runs {
    /// Number of runs.
    pub(super) fn len(&self) -> usize {
        self.hashes.len()
    }

    /// The number of the run of `length` words from `start` on in `words`, which is given one when it is new.
    pub(super) fn insert(&mut self, hash: u64, words: &[u32], start: u32, length: u32) -> u32 {
        let run = &words[start as usize..(start + length) as usize];
        self.find(hash, words, run).unwrap_or_else(|| {
            // At most one run begins at each word.
            let id = u32::try_from(self.hashes.len()).unwrap_or(u32::MAX);
            self.hashes.push(hash);
            self.starts.push(start);
            self.lengths.push(length);
            self.table.insert_unique(hash, id, |&id| self.hashes[id as usize]);
            id
        })
    }

    /// Whether any run has this hash.
    pub(super) fn has(&self, hash: u64) -> bool {
        self.table.find(hash, |&id| self.hashes[id as usize] == hash).is_some()
    }

    /// The number of `run`; `words` are the items' words.
    pub(super) fn find(&self, hash: u64, words: &[u32], run: &[u32]) -> Option<u32> {
        self.table
            .find(hash, |&id| {
                let (start, length) = (self.starts[id as usize] as usize, self.length(id));
                self.hashes[id as usize] == hash && words[start..start + length] == *run
            })
            .copied()
    }

    /// Words of a run.
    pub(super) fn length(&self, id: u32) -> usize {
        self.lengths[id as usize] as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runs_hash_is_its_words_wherever_it_lies() {
        let mut rolling = Rolling::default();
        rolling.clear();
        for word in [5, 7, 11, 5, 7, 11, 7, 5] {
            rolling.push(word);
        }
        let threes: Vec<u64> = rolling.runs(3, 1).collect();
        assert_eq!(threes.len(), 6);
        assert_eq!(threes[0], threes[3]);
        assert_ne!(threes[0], threes[5], "order counts");
        assert_eq!(threes[4], rolling.run(4, 3));
        assert_eq!(rolling.runs(3, 2).collect::<Vec<_>>(), [threes[0], threes[2], threes[4]]);
        assert_eq!(rolling.runs(9, 1).count(), 0);
    }

    #[test]
    fn words_of_one_hash_are_told_apart() {
        let mut vocabulary = Vocabulary::default();
        let ids = [vocabulary.insert("A", 1), vocabulary.insert("b", 1), vocabulary.insert("a", 1)];
        assert_eq!(ids, [0, 1, 0]);
        let mut form = String::new();
        assert_eq!(vocabulary.id("B", 1, &mut form), 1);
        assert_eq!(vocabulary.id("c", 1, &mut form), FOREIGN);
        assert_eq!(vocabulary.id("b", 2, &mut form), FOREIGN);
    }

    #[test]
    fn runs_of_one_hash_are_told_apart() {
        let words = [0, 1, 2, 0, 1];
        let mut runs = Runs::default();
        assert_eq!(
            [runs.insert(9, &words, 0, 2), runs.insert(9, &words, 1, 2), runs.insert(9, &words, 3, 2)],
            [0, 1, 0]
        );
        assert_eq!(runs.find(9, &words, &[1, 2]), Some(1));
        assert_eq!(runs.find(9, &words, &[2, 0]), None);
    }
}
