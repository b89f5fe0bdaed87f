//! Which rows have items of evaluation sets in them.
//!
//! *Words* are [`crate::words`] parted by punctuation. *What counts*: of a question of at least `ngram` words, those of its words that lie in
//! n-grams which the row has too, wherever they stand; a shorter question has to be there whole, one word after the other.
//! *Common* n-grams, which more than `common` rows or items have, tell nothing: coverage is the share of the words that lie in the others.
//! A question with nothing but common n-grams is matched when the row has all of it. So a source is not flagged for its
//! instruction, and a whole item is found however often it is there.
//!
//! *Choices* have to match too (each whole, in any order) where the question does not tell one item from others: when it is
//! short and has under 7 words, is common or is another item's question as well, or is long and has only common n-grams; coverage is then
//! the smaller of the question's and the choices'. A short question of under 5 words without choices has to be the
//! row's whole text, or the answer has to be there as well. What has to be there together has at least 8 words, else
//! the question has to be the row's whole text. An answer alone is never a match.
//!
//! *Method*: rows are scanned twice, in parallel. The first pass counts how many rows have each of the items' n-grams; of 13-grams, one
//! run of 8 words in six is looked up in a Bloom filter, where most end at one cache line. The second looks only at rows that
//! have any, finds the questions by their telling n-grams and measures each, however many items ask it; items that need their choices or their
//! answer are nominated by the first words of these. Hashes only nominate: n-grams are compared word by word, and words by their normal forms.
//!
//! *Cost*: the index (see [`Index`]), 4 bytes for each of its n-grams, one bit a row, 48 bytes a match, and for each thread about
//! 24 bytes a word of the row in work.

mod filter;
mod index;
mod judge;
mod nominees;
mod scan;
mod sequence;

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use rayon::prelude::*;

pub use index::{Builder, Index};

use crate::text::Texts;
use crate::{Control, Error, Result};
use judge::{Finding, Has, Judge, Row, Who};
use scan::Scanner;

/// Where to look, and what counts.
pub struct Search<'a> {
    /// The rows' texts.
    pub texts: &'a dyn Texts,
    /// The rows to look at; all when `None`.
    pub rows: Option<&'a [u32]>,
    /// The least coverage of a match, above 0 and at most 1.
    pub min_coverage: f64,
    /// An n-gram that more rows or more items have tells nothing.
    pub common: u32,
    /// By item the set it is of: then only the best match of each row and set is given, which has the largest coverage, then the most
    /// matched words, then the first item.
    pub sets: Option<&'a [u32]>,
    /// By row number the group whose items are told apart in [`Found::items`], counted from 0; one group when `None`.
    pub groups: Option<&'a [u32]>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// By row and item.
    pub matches: Vec<Match>,
    /// Whatever matches were left out for better ones, the items that some row has; equal ones one by one.
    pub items: Vec<HeldItem>,
}

/// An item that some row of a group has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldItem {
    /// The group.
    pub group: u32,
    /// The item.
    pub item: u32,
    /// The first of the items that are the same word by word.
    pub first: u32,
}

/// A row that has an item.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Match {
    /// The row.
    pub row: u32,
    /// The item, of equal ones the first, or the first of the set.
    pub item: u32,
    /// How many items are the same word by word, this one included.
    pub equal_items: u32,
    /// Words of the item that the row has: of its question, and of its choices where they had to match too.
    pub matched_words: u32,
    /// The share of the item's telling words that the row has.
    pub coverage: f64,
    /// Where the longest matching stretch of the row begins, in characters.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
}

/// Rows that one unit of work has: as many as a word has bits.
const BLOCK: usize = 64;

/// More matches are refused rather than kept: 5 GB of them say nothing that fewer do not.
const MOST_MATCHES: usize = if cfg!(test) { 1000 } else { 100_000_000 };

/// All matches of items that differ.
pub fn contamination(index: &Index, search: &Search<'_>, control: &Control) -> Result<Found> {
    search.check(index)?;
    let held = Held::new(index, search);
    let firsts = search.sets.map(|sets| FirstOfSets::new(index, sets));
    let total = AtomicUsize::new(0);
    let rows = search.rows.map_or(search.texts.len(), <[u32]>::len);
    let counts: Vec<AtomicU32> = (0..index.runs.len()).map(|_| AtomicU32::new(0)).collect();
    let mut touched = vec![0u64; rows.div_ceil(BLOCK)];
    touched.par_iter_mut().enumerate().try_for_each_init(
        || Scanner::new(index),
        |scanner, (block, touched)| {
            let block = block * BLOCK..rows.min((block + 1) * BLOCK);
            for (bit, position) in block.clone().enumerate() {
                if scanner.scan(&search.texts.get(search.row(position) as usize), control)? {
                    *touched |= 1 << bit;
                    for &(id, _) in &scanner.hits {
                        counts[id as usize].fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
            control.advance(block.len() as u64)
        },
    )?;
    let counts: Vec<u32> = counts.into_iter().map(AtomicU32::into_inner).collect();
    let judge = Judge::new(index, &counts, search.common, search.min_coverage, control)?;
    drop(counts);
    let found = touched
        .par_iter()
        .enumerate()
        .filter(|(_, touched)| **touched != 0)
        .map_init(
            || (Scanner::new(index), Vec::new()),
            |(scanner, suspects), (block, &touched)| {
                let mut found = Vec::new();
                for bit in (0..BLOCK).filter(|bit| touched >> bit & 1 == 1) {
                    let row = search.row(block * BLOCK + bit);
                    let findings = search.look(row, &judge, scanner, suspects, &held, control)?;
                    let before = found.len();
                    search.tell(row, &findings, index, firsts.as_ref(), scanner, &mut found);
                    let more = found.len() - before;
                    if total.fetch_add(more, Ordering::Relaxed) + more > MOST_MATCHES {
                        return Err(Error::Data {
                            problem: format!("more than {MOST_MATCHES} matches of items in rows"),
                            hint: "many items have one question, which many rows have: leave out their answers, or look at fewer rows",
                        });
                    }
                }
                Ok(found)
            },
        )
        .collect::<Result<Vec<_>>>()?;
    let mut matches = found.concat();
    matches.sort_unstable_by_key(|found| (found.row, found.item));
    Ok(Found { matches, items: held.items(index) })
}

/// Which items were met in which group of rows: a bit for each item, and for each question and level.
struct Held {
    groups: usize,
    bits: Vec<AtomicU64>,
    words: usize,
}

impl Held {
    fn new(index: &Index, search: &Search<'_>) -> Self {
        let most = search.groups.map_or(Some(0), |groups| groups.iter().copied().max());
        let groups = most.map_or(0, |most| most as usize + 1);
        let words = index.whos().div_ceil(64);
        Self { groups, bits: (0..groups * words).map(|_| AtomicU64::new(0)).collect(), words }
    }

    fn add(&self, group: u32, who: usize) {
        let bit = 1 << (who % 64);
        let word = &self.bits[group as usize * self.words + who / 64];
        // Most are there already, and to write costs other cores their cache.
        if word.load(Ordering::Relaxed) & bit == 0 {
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }

    fn items(&self, index: &Index) -> Vec<HeldItem> {
        let has = |group: usize, who: usize| {
            let word = self.bits[group * self.words + who / 64].load(Ordering::Relaxed);
            word >> (who % 64) & 1 == 1
        };
        // The index counts its items in `u32`, and groups are such numbers.
        (0u32..)
            .zip(0..self.groups)
            .flat_map(|(number, group)| {
                let has = move |place| index.whos_of(place).any(|who| has(group, who));
                let of_group = (0u32..).zip(&index.item_of).filter(move |&(_, &place)| has(place));
                of_group.map(move |(item, &place)| HeldItem {
                    group: number,
                    item,
                    first: index.items[place as usize].first,
                })
            })
            .collect()
    }
}

/// By set the first of the items that a finding may be of: sorted.
struct FirstOfSets(Vec<(usize, u32, u32)>);

impl FirstOfSets {
    fn new(index: &Index, sets: &[u32]) -> Self {
        let items = index.item_of.iter().zip(sets).zip(0..);
        let mut firsts: Vec<(usize, u32, u32)> = items
            .flat_map(|((&place, &set), item)| index.whos_of(place).map(move |who| (who, set, item)))
            .collect();
        firsts.sort_unstable();
        firsts.dedup_by_key(|&mut (who, set, _)| (who, set));
        Self(firsts)
    }

    fn of(&self, who: usize) -> &[(usize, u32, u32)] {
        let from = self.0.partition_point(|&(other, _, _)| other < who);
        let to = self.0.partition_point(|&(other, _, _)| other <= who);
        &self.0[from..to]
    }
}

impl Search<'_> {
    fn check(&self, index: &Index) -> Result<()> {
        if !(self.min_coverage > 0.0 && self.min_coverage <= 1.0) {
            return Err(Error::OutOfRange {
                name: "min_coverage",
                value: self.min_coverage.to_string(),
                expected: "above 0 and at most 1",
            });
        }
        if u32::try_from(self.texts.len()).is_err() {
            return Err(Error::TooManyRows { rows: self.texts.len() as u64 });
        }
        let mismatch = |left, left_rows, right, right_rows| {
            Err(Error::LengthMismatch { left, left_rows, right, right_rows })
        };
        match (self.sets, self.groups) {
            (Some(sets), _) if sets.len() != index.len() => {
                mismatch("items", index.len(), "sets", sets.len())
            }
            (_, Some(groups)) if groups.len() != self.texts.len() => {
                mismatch("texts", self.texts.len(), "groups", groups.len())
            }
            _ => Ok(()),
        }
    }

    fn row(&self, position: usize) -> u32 {
        // Positions are below a length that `check` found to fit.
        self.rows.map_or_else(|| u32::try_from(position).unwrap_or(u32::MAX), |rows| rows[position])
    }

    /// What the row has of items that differ.
    fn look(
        &self,
        row: u32,
        judge: &Judge<'_>,
        scanner: &mut Scanner<'_>,
        suspects: &mut Vec<u32>,
        held: &Held,
        control: &Control,
    ) -> Result<Vec<Finding>> {
        scanner.scan(&self.texts.get(row as usize), control)?;
        judge.suspects(&scanner.hits, suspects);
        let mut found: Vec<Finding> = Vec::new();
        if suspects.is_empty() {
            return Ok(found);
        }
        let in_row = Row::new(&scanner.ids, &scanner.hits);
        for (number, &question) in suspects.iter().enumerate() {
            if number % BLOCK == 0 {
                control.advance(0)?;
            }
            judge.find(question, &in_row, &mut found, control)?;
        }
        let group = self.groups.map_or(0, |groups| groups[row as usize]);
        for finding in &found {
            held.add(group, judge.index.who(finding.who));
        }
        Ok(found)
    }

    /// Adds the matches of the row that was scanned last.
    fn tell(
        &self,
        row: u32,
        found: &[Finding],
        index: &Index,
        firsts: Option<&FirstOfSets>,
        scanner: &mut Scanner<'_>,
        matches: &mut Vec<Match>,
    ) {
        if found.is_empty() {
            return;
        }
        let spans = scanner.spans(&self.texts.get(row as usize));
        let mut tell = |has: &Has, item: u32| {
            matches.push(Match {
                row,
                item,
                equal_items: index.items[index.item_of[item as usize] as usize].equal,
                matched_words: u32::try_from(has.matched_words).unwrap_or(u32::MAX),
                coverage: has.coverage,
                start: spans[has.span.start].start,
                end: spans[has.span.end - 1].end,
            });
        };
        if let Some(firsts) = firsts {
            for (has, item) in best_of_sets(found, index, firsts) {
                tell(has, item);
            }
            return;
        }
        for finding in found {
            let places = match &finding.who {
                Who::Item(place) => std::slice::from_ref(place),
                Who::All(question, level) => index.members(*question, *level),
            };
            for &place in places {
                tell(&finding.has, index.items[place as usize].first);
            }
        }
    }
}

/// Of each set the best finding, and its item there.
fn best_of_sets<'a>(
    found: &'a [Finding],
    index: &Index,
    firsts: &FirstOfSets,
) -> impl Iterator<Item = (&'a Has, u32)> {
    let mut all: Vec<(u32, &Has, u32)> = found
        .iter()
        .flat_map(|finding| {
            let of_sets = firsts.of(index.who(finding.who)).iter();
            of_sets.map(move |&(_, set, item)| (set, &finding.has, item))
        })
        .collect();
    all.sort_by(|(set, left, item), (other_set, right, other_item)| {
        set.cmp(other_set)
            .then(right.coverage.total_cmp(&left.coverage))
            .then(right.matched_words.cmp(&left.matched_words))
            .then(item.cmp(other_item))
    });
    all.dedup_by_key(|&mut (set, _, _)| set);
    all.into_iter().map(|(_, has, item)| (has, item))
}

#[cfg(test)]
mod tests;
