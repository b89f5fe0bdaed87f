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
//! have any, finds the items by their telling n-grams and measures each. Hashes only nominate: n-grams are compared word by word, and words by their normal forms.
//!
//! *Cost*: the index (see [`Index`]), 4 bytes for each of its n-grams, one bit a row, 48 bytes a match, and for each thread about
//! 24 bytes a word of the row in work.

mod filter;
mod index;
mod judge;
mod scan;
mod sequence;

use std::sync::atomic::{AtomicU32, Ordering};

use rayon::prelude::*;

pub use index::{Builder, Index};

use crate::text::Texts;
use crate::{Control, Error, Result};
use judge::{Finding, Judge, Row};
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
}

/// A row that has an item.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Match {
    /// The row.
    pub row: u32,
    /// The item.
    pub item: u32,
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

/// All matches, by row and item.
pub fn contamination(index: &Index, search: &Search<'_>, control: &Control) -> Result<Vec<Match>> {
    search.check(index)?;
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
    let judge = Judge::new(index, &counts, search.common);
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
                    search.look(row, &judge, scanner, suspects, &mut found, control)?;
                }
                Ok(found)
            },
        )
        .collect::<Result<Vec<_>>>()?;
    let mut matches = found.concat();
    matches.sort_unstable_by_key(|found| (found.row, found.item));
    Ok(matches)
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
        match self.sets {
            Some(sets) if sets.len() != index.len() => Err(Error::LengthMismatch {
                left: "items",
                left_rows: index.len(),
                right: "sets",
                right_rows: sets.len(),
            }),
            _ => Ok(()),
        }
    }

    fn row(&self, position: usize) -> u32 {
        // Positions are below a length that `check` found to fit.
        self.rows.map_or_else(|| u32::try_from(position).unwrap_or(u32::MAX), |rows| rows[position])
    }

    fn look(
        &self,
        row: u32,
        judge: &Judge<'_>,
        scanner: &mut Scanner<'_>,
        suspects: &mut Vec<u32>,
        matches: &mut Vec<Match>,
        control: &Control,
    ) -> Result<()> {
        let text = self.texts.get(row as usize);
        scanner.scan(&text, control)?;
        judge.suspects(&scanner.hits, suspects);
        if suspects.is_empty() {
            return Ok(());
        }
        let in_row = Row::new(&scanner.ids, &scanner.hits);
        let mut found: Vec<Finding> = Vec::new();
        for (number, &item) in suspects.iter().enumerate() {
            if number % BLOCK == 0 {
                control.advance(0)?;
            }
            found.extend(judge.find(item, &in_row, self.min_coverage));
        }
        if let Some(sets) = self.sets {
            best_of_sets(&mut found, sets);
        }
        if found.is_empty() {
            return Ok(());
        }
        let spans = scanner.spans(&text);
        matches.extend(found.into_iter().map(|found| Match {
            row,
            item: found.item,
            matched_words: u32::try_from(found.matched_words).unwrap_or(u32::MAX),
            coverage: found.coverage,
            start: spans[found.span.start].start,
            end: spans[found.span.end - 1].end,
        }));
        Ok(())
    }
}

fn best_of_sets(found: &mut Vec<Finding>, sets: &[u32]) {
    found.sort_by(|left, right| {
        let set = |finding: &Finding| sets[finding.item as usize];
        set(left)
            .cmp(&set(right))
            .then(right.coverage.total_cmp(&left.coverage))
            .then(right.matched_words.cmp(&left.matched_words))
            .then(left.item.cmp(&right.item))
    });
    found.dedup_by_key(|finding| sets[finding.item as usize]);
}

#[cfg(test)]
mod tests;
