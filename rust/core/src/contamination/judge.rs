//! How much of an item a row has, and whether that is contamination.

use std::ops::Range;

use super::index::{Entry, Index};

/// A short question of fewer words ("Is it true?") may be anywhere: it counts as the whole text, or beside its answer.
const SHORT: usize = 5;

/// A short question of fewer words ("Which of the following is true?") says nothing without its choices, where it has any.
const TELLING: usize = 7;

/// Question and choices, or question and answer, of fewer words together ("4 + 3", "7", "1") are in too many texts: such an item
/// counts only as the whole text.
const TOGETHER: usize = 8;

/// What is known of the items once the rows are counted.
#[derive(Debug)]
pub(super) struct Judge<'a> {
    index: &'a Index,
    /// By run: whether too many rows or items have it to tell anything.
    common: Vec<bool>,
    /// Items whose question has nothing but common n-grams, under the one that the fewest rows have.
    anchors: Vec<(u32, u32)>,
}

/// A row that was scanned.
#[derive(Debug)]
pub(super) struct Row<'a> {
    /// The row's words as item words.
    pub(super) ids: &'a [u32],
    /// The runs it has and where each begins for the first time, by number of the run.
    pub(super) hits: &'a [(u32, usize)],
    /// Its words, sorted, with their places.
    pub(super) places: Vec<(u32, usize)>,
}

/// What a row has of an item; the span is in words of the row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Finding {
    /// The item's place in the index.
    pub(super) place: u32,
    pub(super) matched_words: usize,
    pub(super) coverage: f64,
    pub(super) span: Range<usize>,
}

impl<'a> Judge<'a> {
    /// `rows_with` says by run how many rows have it; more than `common` of them, or of the items, make it common.
    pub(super) fn new(index: &'a Index, rows_with: &[u32], common: u32) -> Self {
        let common: Vec<bool> = (0..)
            .zip(rows_with)
            .map(|(id, &rows)| rows > common || index.holders(id).len() > common as usize)
            .collect();
        let mut anchors = Vec::new();
        for (item, entry) in (0..).zip(&index.items) {
            let ngrams = ngrams(index, entry);
            if !index.is_short(entry) && ngrams.iter().all(|&id| common[id as usize]) {
                anchors.extend(
                    ngrams.iter().min_by_key(|&&id| (rows_with[id as usize], id)).map(|&id| (id, item)),
                );
            }
        }
        anchors.sort_unstable();
        Self { index, common, anchors }
    }

    /// Puts the items that the row may be contaminated with into `items`, ascending.
    pub(super) fn suspects(&self, hits: &[(u32, usize)], items: &mut Vec<u32>) {
        items.clear();
        for &(id, _) in hits {
            if !self.common[id as usize] || self.index.runs.length(id) < self.index.ngram {
                items.extend(self.index.holders(id));
            }
            let from = self.anchors.partition_point(|&(anchor, _)| anchor < id);
            items.extend(
                self.anchors[from..].iter().take_while(|&&(anchor, _)| anchor == id).map(|&(_, item)| item),
            );
        }
        items.sort_unstable();
        items.dedup();
    }

    /// What the row has of `item`, when it is at least `min_coverage` of it.
    pub(super) fn find(&self, item: u32, row: &Row<'_>, min_coverage: f64) -> Option<Finding> {
        let entry = &self.index.items[item as usize];
        let (mut finding, is_telling) = if self.index.is_short(entry) {
            self.short(item, entry, row)?
        } else {
            self.long(item, entry, row)?
        };
        if !is_telling {
            finding = self.with_more(finding, entry, row)?;
        }
        (finding.coverage >= min_coverage).then_some(finding)
    }

    /// The finding of a question that needs more than itself, when that is there.
    fn with_more(&self, mut finding: Finding, entry: &Entry, row: &Row<'_>) -> Option<Finding> {
        let question = entry.question.len();
        let choices = &self.index.choices[entry.choices.clone()];
        let all: usize = choices.iter().map(Range::len).sum();
        if all > 0 && question + all >= TOGETHER {
            let there = choices.iter().filter(|choice| row.has(&self.index.words[(*choice).clone()]));
            let found: usize = there.map(Range::len).sum();
            finding.coverage = finding.coverage.min(found as f64 / all as f64);
            finding.matched_words += found;
            return (question + found >= TOGETHER).then_some(finding);
        }
        if all == 0 && question >= SHORT.min(self.index.ngram) {
            return Some(finding);
        }
        let answer = &self.index.words[entry.answer.clone()];
        let is_answered = all == 0 && question + answer.len() >= TOGETHER && row.has(answer);
        (row.ids.len() == question || is_answered).then_some(finding)
    }

    fn short(&self, item: u32, entry: &Entry, row: &Row<'_>) -> Option<(Finding, bool)> {
        let words = entry.question.len();
        let id = *self.index.begins.get(entry.question.start)?;
        let start = row.first(id)?;
        let is_telling = words >= TELLING && self.index.holders(id).len() == 1 && !self.common[id as usize];
        let finding =
            Finding { place: item, matched_words: words, coverage: 1.0, span: start..start + words };
        Some((finding, is_telling))
    }

    fn long(&self, item: u32, entry: &Entry, row: &Row<'_>) -> Option<(Finding, bool)> {
        let ngram = self.index.ngram;
        let (mut matched, mut telling, mut told) = (Union::default(), Union::default(), Union::default());
        let mut starts = Vec::new();
        for (start, &id) in ngrams(self.index, entry).iter().enumerate() {
            let first = row.first(id);
            let words = start..start + ngram;
            if let Some(first) = first {
                matched.add(&words);
                starts.push(first);
            }
            if !self.common[id as usize] {
                telling.add(&words);
                if first.is_some() {
                    told.add(&words);
                }
            }
        }
        let coverage = if telling.words > 0 {
            told.words as f64 / telling.words as f64
        } else {
            f64::from(u8::from(starts.len() == ngrams(self.index, entry).len()))
        };
        let span = longest(&mut starts, ngram)?;
        Some((Finding { place: item, matched_words: matched.words, coverage, span }, telling.words > 0))
    }
}

/// The n-grams of a long question, in order.
fn ngrams<'a>(index: &'a Index, entry: &Entry) -> &'a [u32] {
    let starts = (entry.question.len() + 1).saturating_sub(index.ngram);
    &index.begins[entry.question.start..entry.question.start + starts]
}

/// The longest stretch of words that runs of `length` words make which begin at `starts`; the first of several.
fn longest(starts: &mut Vec<usize>, length: usize) -> Option<Range<usize>> {
    starts.sort_unstable();
    starts.dedup();
    let stretches = starts.chunk_by(|left, right| left + 1 == *right);
    let longest = stretches.rev().max_by_key(|stretch| stretch.len())?;
    Some(longest[0]..longest[0] + longest.len() - 1 + length)
}

impl<'a> Row<'a> {
    pub(super) fn new(ids: &'a [u32], hits: &'a [(u32, usize)]) -> Self {
        let mut places: Vec<(u32, usize)> = ids.iter().zip(0..).map(|(&id, place)| (id, place)).collect();
        places.sort_unstable();
        Self { ids, hits, places }
    }

    /// Where a run begins for the first time.
    fn first(&self, id: u32) -> Option<usize> {
        self.hits.binary_search_by_key(&id, |&(id, _)| id).ok().map(|at| self.hits[at].1)
    }

    /// Whether the row has these words, one after the other.
    fn has(&self, words: &[u32]) -> bool {
        // By the word that it has least often: a choice of "the answer is 7" is not looked for at every "the".
        let places = |&word: &u32| {
            let from = self.places.partition_point(|&(id, _)| id < word);
            let to = self.places.partition_point(|&(id, _)| id <= word);
            &self.places[from..to]
        };
        words.iter().map(places).enumerate().min_by_key(|(_, places)| places.len()).is_some_and(
            |(offset, places)| {
                places.iter().any(|&(_, place)| {
                    place >= offset
                        && self.ids.get(place - offset..place - offset + words.len()) == Some(words)
                })
            },
        )
    }
}

/// How many words ranges cover together that come in the order of their starts.
#[derive(Debug, Default)]
struct Union {
    words: usize,
    end: usize,
}

impl Union {
    fn add(&mut self, range: &Range<usize>) {
        self.words += range.end - self.end.clamp(range.start, range.end);
        self.end = range.end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_count_each_word_once() {
        let mut union = Union::default();
        for range in [0..3, 1..4, 6..9] {
            union.add(&range);
        }
        assert_eq!(union.words, 7);
    }

    #[test]
    fn the_longest_stretch_is_the_first_of_several() {
        assert_eq!(longest(&mut vec![9, 1, 2, 8, 20], 4), Some(1..6));
        assert_eq!(longest(&mut vec![], 4), None);
    }

    #[test]
    fn words_are_found_one_after_the_other() {
        let row = Row::new(&[1, 2, 1, 3, 1], &[]);
        assert!(row.has(&[1, 3]) && row.has(&[2]) && row.has(&[1, 2, 1, 3, 1]));
        assert!(!row.has(&[3, 2]) && !row.has(&[3, 1, 1]) && !row.has(&[4]));
    }
}
