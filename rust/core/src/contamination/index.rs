//! The items, ready to be looked for.

use std::ops::Range;

use hashbrown::HashTable;
use xxhash_rust::xxh3::Xxh3;

use super::filter::Filter;
use super::sequence::{Rolling, Runs, Vocabulary};
use crate::hash::Map;
use crate::words::{Between, Splitter};
use crate::{Error, Result};

/// A short question is looked up by its first words, at most so many.
const SEED: usize = 5;

/// Question and choices, or question and answer, of fewer words together ("4 + 3", "7", "1") are in too many texts: such an item
/// counts only as the whole text.
pub(super) const TOGETHER: usize = 8;

/// No n-gram begins here.
pub(super) const NONE: u32 = u32::MAX;

/// The items of evaluation sets, ready to be looked for: about 45 bytes a word of questions, 4 a word of answers and choices.
#[derive(Debug)]
pub struct Index {
    pub(super) ngram: usize,
    pub(super) vocabulary: Vocabulary,
    /// The words of all parts of all items, one part after the other.
    pub(super) words: Vec<u32>,
    /// By word, the run that begins with it: an n-gram of a question, or the whole of a short one.
    pub(super) begins: Vec<u32>,
    pub(super) runs: Runs,
    /// The questions that differ in some word.
    pub(super) questions: Vec<Question>,
    /// The items that differ in some word; items that do not are one.
    pub(super) items: Vec<Entry>,
    /// Places in `items`, question by question: its items without choices, those with few words of choices, the others.
    pub(super) members: Vec<u32>,
    /// By number of an item as it was added, its place in `items`.
    pub(super) item_of: Vec<u32>,
    /// The ranges of the choices' words.
    pub(super) choices: Vec<Range<usize>>,
    /// By run, where its questions end in `holders`.
    holder_ends: Vec<u32>,
    holders: Vec<u32>,
    /// Shorter runs of the long questions. Wherever an n-gram lies in a row, one run of `gate` words that begins at a multiple of
    /// `ngram - gate + 1` lies in it: only those are looked up, and the n-grams around one that is there.
    pub(super) gates: Filter,
    pub(super) gate: usize,
    /// Of short questions: hash of the first words -> lengths of the questions that begin so.
    pub(super) seeds: Map<u64, Vec<usize>>,
    pub(super) seed_filter: Filter,
    /// How many words seeds have, each number once.
    pub(super) seed_lengths: Vec<usize>,
    mask: u64,
}

/// What a row has of it is found out once, however many items ask it.
#[derive(Debug)]
pub(super) struct Question {
    /// Where it lies in `words`.
    pub(super) words: Range<usize>,
    /// Where its items begin in `members`, and by [`Level`] where those end that are of it or of a lower one.
    pub(super) start: usize,
    pub(super) ends: [usize; 3],
}

/// What an item has besides its question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// No choices.
    Plain,
    /// Choices of so few words that they are in too many texts.
    Few,
    /// Choices that tell something.
    Choices,
}

/// Where an item's parts lie in `words`; its choices are ranges of ranges.
#[derive(Debug)]
pub(super) struct Entry {
    /// The first of the equal items, as they were added.
    pub(super) first: u32,
    /// How many there are.
    pub(super) equal: u32,
    /// Number of its question.
    pub(super) question: u32,
    pub(super) answer: Range<usize>,
    pub(super) choices: Range<usize>,
}

/// Makes an [`Index`], item by item.
#[derive(Debug)]
pub struct Builder {
    index: Index,
    splitter: Splitter,
    rolling: Rolling,
    gates: Vec<u64>,
    /// Numbers of questions beside the hash of their words.
    asked: HashTable<(u64, u32)>,
    /// Places in `items` by the hash of all their words.
    known: HashTable<u32>,
}

impl Builder {
    /// For n-grams of `ngram` words.
    pub fn new(ngram: usize) -> Result<Self> {
        Self::with_mask(ngram, u64::MAX)
    }

    /// Only the bits of `mask` stay of every hash: so tests see what happens when hashes are equal and words are not.
    pub(super) fn with_mask(ngram: usize, mask: u64) -> Result<Self> {
        if ngram == 0 {
            return Err(Error::OutOfRange {
                name: "ngram",
                value: "0".to_owned(),
                expected: "at least 1 word",
            });
        }
        let index = Index {
            ngram,
            vocabulary: Vocabulary::default(),
            words: Vec::new(),
            begins: Vec::new(),
            runs: Runs::default(),
            questions: Vec::new(),
            items: Vec::new(),
            members: Vec::new(),
            item_of: Vec::new(),
            choices: Vec::new(),
            holder_ends: Vec::new(),
            holders: Vec::new(),
            gates: Filter::new(0),
            gate: (ngram.min(1 << 20) * 5 / 8).max(1),
            seeds: Map::default(),
            seed_filter: Filter::new(0),
            seed_lengths: Vec::new(),
            mask,
        };
        Ok(Self {
            index,
            splitter: Splitter::new(Between::Punctuation, 0),
            rolling: Rolling::default(),
            gates: Vec::new(),
            asked: HashTable::new(),
            known: HashTable::new(),
        })
    }

    /// Adds one item; one whose question has no word is counted and never found, one that is another word by word only counted.
    pub fn add<'a>(
        &mut self,
        question: &str,
        answer: &str,
        choices: impl IntoIterator<Item = &'a str>,
    ) -> Result<()> {
        let (words, first) = (self.index.words.len(), self.index.choices.len());
        let answer = self.add_part(answer);
        for choice in choices {
            let choice = self.add_part(choice);
            if !choice.is_empty() {
                self.index.choices.push(choice);
            }
        }
        let choices = first..self.index.choices.len();
        // Last, so that the hashes of its runs are at hand.
        let question = self.add_question(question)?;
        let number = narrow(self.index.item_of.len())?;
        let entry = Entry { first: number, equal: 1, question, answer, choices };
        let index = &mut self.index;
        let hash = index.hash_of(&entry) & index.mask;
        let same = |&other: &u32| index.parts(&index.items[other as usize]).eq(index.parts(&entry));
        if let Some(&known) = self.known.find(hash, same) {
            index.items[known as usize].equal += 1;
            index.item_of.push(known);
            index.words.truncate(words);
            index.begins.truncate(words);
            index.choices.truncate(first);
            return Ok(());
        }
        let place = narrow(index.items.len())?;
        index.item_of.push(place);
        index.items.push(entry);
        let index = &self.index;
        self.known
            .insert_unique(hash, place, |&other| index.hash_of(&index.items[other as usize]) & index.mask);
        Ok(())
    }

    /// The number of the question, whose words are kept once.
    fn add_question(&mut self, text: &str) -> Result<u32> {
        let words = self.add_part(text);
        let index = &mut self.index;
        let hash = self.rolling.run(0, words.len()) & index.mask;
        let asked = |words: &Range<usize>| &index.words[words.clone()];
        let same = |&(_, other): &(u64, u32)| asked(&index.questions[other as usize].words) == asked(&words);
        if let Some(&(_, known)) = self.asked.find(hash, same) {
            index.words.truncate(words.start);
            index.begins.truncate(words.start);
            return Ok(known);
        }
        let number = narrow(index.questions.len())?;
        self.asked.insert_unique(hash, (hash, number), |&(hash, _)| hash);
        index.questions.push(Question { words: words.clone(), start: 0, ends: [0; 3] });
        self.add_runs(words)?;
        Ok(number)
    }

    fn add_runs(&mut self, question: Range<usize>) -> Result<()> {
        let index = &mut self.index;
        let words = question.len();
        let length = words.min(index.ngram);
        if words > 0 {
            for (start, hash) in (question.start..).zip(self.rolling.runs(length, 1)) {
                let id = index.runs.insert(hash & index.mask, &index.words, narrow(start)?, narrow(length)?);
                index.begins[start] = id;
            }
        }
        if words >= index.ngram {
            self.gates.extend(self.rolling.runs(index.gate, 1).map(|hash| hash & index.mask));
        }
        if 0 < words && words < index.ngram {
            let seed = words.min(SEED);
            let lengths = index.seeds.entry(self.rolling.run(0, seed) & index.mask).or_default();
            if let Err(at) = lengths.binary_search(&words) {
                lengths.insert(at, words);
            }
            if let Err(at) = index.seed_lengths.binary_search(&seed) {
                index.seed_lengths.insert(at, seed);
            }
        }
        Ok(())
    }

    fn add_part(&mut self, text: &str) -> Range<usize> {
        let index = &mut self.index;
        let start = index.words.len();
        self.rolling.clear();
        self.splitter.each_word(text, |range, hash| {
            let hash = hash & index.mask;
            index.words.push(index.vocabulary.insert(&text[range], hash));
            self.rolling.push(hash);
        });
        index.begins.resize(index.words.len(), NONE);
        start..index.words.len()
    }

    /// The index of everything added.
    pub fn finish(self) -> Result<Index> {
        let mut index = self.index;
        narrow(index.words.len())?;
        narrow(index.items.len())?;
        index.gates = Filter::new(self.gates.len());
        for hash in self.gates {
            index.gates.insert(hash);
        }
        index.seed_filter = Filter::new(index.seeds.len());
        let mut seeds: Vec<u64> = index.seeds.keys().copied().collect();
        seeds.sort_unstable();
        for hash in seeds {
            index.seed_filter.insert(hash);
        }
        index.gather_members();
        let mut counts = vec![0u32; index.runs.len() + 1];
        index.each_holder(|id, _| counts[id as usize + 1] += 1);
        for id in 1..counts.len() {
            counts[id] += counts[id - 1];
        }
        let mut holders = vec![0u32; counts.last().map_or(0, |&all| all as usize)];
        let mut next = counts.clone();
        index.each_holder(|id, question| {
            let slot = &mut next[id as usize];
            holders[*slot as usize] = question;
            *slot += 1;
        });
        (index.holder_ends, index.holders) = (counts, holders);
        Ok(index)
    }
}

fn narrow(number: usize) -> Result<u32> {
    u32::try_from(number).map_err(|_| Error::OutOfRange {
        name: "items",
        value: format!("{number} words"),
        expected: "fewer than 2^32 words in all items together",
    })
}

impl Index {
    /// Number of items, equal ones each counted.
    pub fn len(&self) -> usize {
        self.item_of.len()
    }

    /// Whether there are no items.
    pub fn is_empty(&self) -> bool {
        self.item_of.is_empty()
    }

    /// The words of an item, part by part.
    fn parts<'a>(&'a self, entry: &'a Entry) -> impl Iterator<Item = &'a [u32]> {
        [&self.questions[entry.question as usize].words, &entry.answer]
            .into_iter()
            .chain(&self.choices[entry.choices.clone()])
            .map(|part| &self.words[part.clone()])
    }

    fn hash_of(&self, entry: &Entry) -> u64 {
        let mut hash = Xxh3::new();
        for part in self.parts(entry) {
            hash.update(&part.len().to_le_bytes());
            for word in part {
                hash.update(&word.to_le_bytes());
            }
        }
        hash.digest()
    }

    /// Puts the items of each question together, those without choices first.
    fn gather_members(&mut self) {
        let mut order: Vec<(u32, Level, u32)> =
            (0..).zip(&self.items).map(|(place, entry)| (entry.question, self.level(entry), place)).collect();
        order.sort_unstable();
        self.members = order.iter().map(|&(_, _, place)| place).collect();
        let mut start = 0;
        for (number, question) in (0..).zip(&mut self.questions) {
            let ends = [Level::Plain, Level::Few, Level::Choices]
                .map(|level| order.partition_point(|&(other, of, _)| (other, of) <= (number, level)));
            (question.start, question.ends) = (start, ends);
            start = ends[2];
        }
    }

    /// What an item has besides its question.
    pub(super) fn level(&self, entry: &Entry) -> Level {
        let words: usize = self.choices[entry.choices.clone()].iter().map(Range::len).sum();
        if words == 0 {
            Level::Plain
        } else if self.questions[entry.question as usize].words.len() + words < TOGETHER {
            Level::Few
        } else {
            Level::Choices
        }
    }

    /// The items of a question up to a level, as places.
    pub(super) fn members(&self, question: u32, level: Level) -> &[u32] {
        let question = &self.questions[question as usize];
        &self.members[question.start..question.ends[level as usize]]
    }

    /// Calls `each` with every run of every question, once for each question that has it.
    fn each_holder(&self, mut each: impl FnMut(u32, u32)) {
        let mut ids = Vec::new();
        for (number, question) in (0..).zip(&self.questions) {
            ids.clear();
            ids.extend(self.begins[question.words.clone()].iter().filter(|&&id| id != NONE));
            ids.sort_unstable();
            ids.dedup();
            for &id in &ids {
                each(id, number);
            }
        }
    }

    /// The questions that have a run, ascending.
    pub(super) fn holders(&self, id: u32) -> &[u32] {
        let id = id as usize;
        &self.holders[self.holder_ends[id] as usize..self.holder_ends[id + 1] as usize]
    }

    /// How many items have a run.
    pub(super) fn items_with(&self, id: u32) -> usize {
        self.holders(id).iter().map(|&question| self.members(question, Level::Choices).len()).sum()
    }

    /// Whether a question has fewer words than an n-gram.
    pub(super) fn is_short(&self, question: &Question) -> bool {
        question.words.len() < self.ngram
    }

    pub(super) fn mask(&self) -> u64 {
        self.mask
    }
}
