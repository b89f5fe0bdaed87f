//! Which items of a question a row may have, found by the first words of their choices and answers: a hundred thousand items that ask the
//! same ("Which of the following is true?") are not tried one by one in every row that asks it too.

use std::ops::Range;

use super::index::{Entry, Index, Level};
use super::sequence::FOREIGN;
use crate::hash::{Map, Set};
use crate::{Control, Result};

/// A choice or an answer is looked up by its first words, at most so many.
const WORDS: usize = 3;

/// Those words; behind a shorter part `FOREIGN`, which no item has.
type Start = [u32; WORDS];

/// Items by the beginning of a part that a row has to have.
#[derive(Debug, Default)]
pub(super) struct Nominees {
    /// Question, beginning and place of an item, sorted.
    keys: Vec<(u32, Start, u32)>,
}

impl Nominees {
    /// Adds the items of a question that need more than it.
    pub(super) fn add(&mut self, index: &Index, question: u32, min_coverage: f64) {
        let members = index.members(question, Level::Choices);
        let start_of = |part: &Range<usize>| start(&index.words[part.clone()], WORDS);
        let mut items: Map<Start, u32> = Map::default();
        for &place in members.iter().filter(|_| members.len() > 1) {
            for part in parts(index, &index.items[place as usize]) {
                *items.entry(start_of(part)).or_default() += 1;
            }
        }
        let mut keys = Vec::new();
        for &place in members {
            let parts = parts(index, &index.items[place as usize]).iter().filter(|part| !part.is_empty());
            keys.clear();
            keys.extend(parts.map(|part| {
                let start = start_of(part);
                (items.get(&start).copied().unwrap_or(0), start, part.len())
            }));
            keys.sort_unstable();
            // A row that has none of the rarer choices has too few words of all to matter: the commonest need no key.
            let all: usize = keys.iter().map(|&(_, _, words)| words).sum();
            let mut left = all;
            for &(_, start, words) in &keys {
                if (left as f64 / all as f64) < min_coverage {
                    break;
                }
                self.keys.push((question, start, place));
                left -= words;
            }
        }
    }

    /// To be called when all are added.
    pub(super) fn finish(&mut self) {
        self.keys.sort_unstable();
        self.keys.dedup();
    }

    /// The items of a question that the row with these words may have, ascending.
    pub(super) fn of(&self, question: u32, row: &[u32], control: &Control) -> Result<Vec<u32>> {
        let from = self.keys.partition_point(|&(other, _, _)| other < question);
        let keys = &self.keys[from..];
        let keys = &keys[..keys.partition_point(|&(other, _, _)| other == question)];
        let (mut places, mut met) = (Vec::new(), Set::default());
        if keys.is_empty() {
            return Ok(places);
        }
        for (at, &word) in row.iter().enumerate() {
            if at % (1 << 16) == 0 {
                control.advance(0)?;
            }
            let keys = &keys[keys.partition_point(|(_, start, _)| start[0] < word)..];
            if word == FOREIGN || keys.first().is_none_or(|(_, start, _)| start[0] != word) {
                continue;
            }
            for words in 1..=WORDS.min(row.len() - at) {
                let wanted = start(&row[at..], words);
                let keys = &keys[keys.partition_point(|(_, start, _)| *start < wanted)..];
                if keys.first().is_some_and(|(_, start, _)| *start == wanted) && met.insert(wanted) {
                    places.extend(keys.iter().take_while(|key| key.1 == wanted).map(|&(_, _, place)| place));
                }
            }
        }
        places.sort_unstable();
        places.dedup();
        Ok(places)
    }
}

fn start(words: &[u32], most: usize) -> Start {
    let mut start = [FOREIGN; WORDS];
    let words = &words[..words.len().min(most)];
    start[..words.len()].copy_from_slice(words);
    start
}

/// The parts of an item of which a row has to have enough: its choices, or its answer where there are none.
fn parts<'a>(index: &'a Index, entry: &'a Entry) -> &'a [Range<usize>] {
    match index.level(entry) {
        Level::Plain => std::slice::from_ref(&entry.answer),
        Level::Few => &[],
        Level::Choices => &index.choices[entry.choices.clone()],
    }
}
