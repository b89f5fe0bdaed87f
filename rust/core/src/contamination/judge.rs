//! How much of an item a row has, and whether that is contamination.

use std::ops::Range;

use super::index::{Entry, Index, Level, NONE, Question, TOGETHER};
use super::nominees::Nominees;
use crate::{Control, Result};

/// A short question of fewer words ("Is it true?") may be anywhere: it counts as the whole text, or beside its answer.
const SHORT: usize = 5;

/// A short question of fewer words ("Which of the following is true?") says nothing without its choices, where it has any.
const TELLING: usize = 7;

/// What is known of the items once the rows are counted.
#[derive(Debug)]
pub(super) struct Judge<'a> {
    pub(super) index: &'a Index,
    /// By run: whether too many rows or items have it to tell anything.
    common: Vec<bool>,
    /// Questions of nothing but common n-grams, under the one that the fewest rows have.
    anchors: Vec<(u32, u32)>,
    /// The items that have to be in the row with more than their question.
    nominees: Nominees,
    min_coverage: f64,
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

/// What a row has of one item or more.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Finding {
    pub(super) who: Who,
    pub(super) has: Has,
}

/// How much that is; the span is in words of the row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Has {
    pub(super) matched_words: usize,
    pub(super) coverage: f64,
    pub(super) span: Range<usize>,
}

/// Of which items a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    /// The item at this place.
    Item(u32),
    /// All items of a question up to a level.
    All(u32, Level),
}

impl<'a> Judge<'a> {
    /// `rows_with` says by run how many rows have it; more than `common` of them, or of the items, make it common.
    pub(super) fn new(
        index: &'a Index,
        rows_with: &[u32],
        common: u32,
        min_coverage: f64,
        control: &Control,
    ) -> Result<Self> {
        let common: Vec<bool> = (0..)
            .zip(rows_with)
            .map(|(id, &rows)| rows > common || index.items_with(id) > common as usize)
            .collect();
        let mut judge =
            Self { index, common, anchors: Vec::new(), nominees: Nominees::default(), min_coverage };
        for (number, question) in (0..).zip(&index.questions) {
            let ngrams = ngrams(index, question);
            if !index.is_short(question) && ngrams.iter().all(|&id| judge.common[id as usize]) {
                let rarest = ngrams.iter().min_by_key(|&&id| (rows_with[id as usize], id));
                judge.anchors.extend(rarest.map(|&id| (id, number)));
            }
            if number % 256 == 0 {
                control.advance(0)?;
            }
            if !judge.is_telling(question) {
                judge.nominees.add(index, number, min_coverage);
            }
        }
        judge.anchors.sort_unstable();
        judge.nominees.finish();
        Ok(judge)
    }

    /// Puts the questions that the row may have into `questions`, ascending.
    pub(super) fn suspects(&self, hits: &[(u32, usize)], questions: &mut Vec<u32>) {
        questions.clear();
        for &(id, _) in hits {
            if !self.common[id as usize] || self.index.runs.length(id) < self.index.ngram {
                questions.extend(self.index.holders(id));
            }
            let from = self.anchors.partition_point(|&(anchor, _)| anchor < id);
            questions.extend(
                self.anchors[from..].iter().take_while(|&&(anchor, _)| anchor == id).map(|&(_, item)| item),
            );
        }
        questions.sort_unstable();
        questions.dedup();
    }

    /// Adds what the row has of the items of a question, where it is at least the least coverage of them.
    pub(super) fn find(
        &self,
        number: u32,
        row: &Row<'_>,
        found: &mut Vec<Finding>,
        control: &Control,
    ) -> Result<()> {
        let question = &self.index.questions[number as usize];
        let has =
            if self.index.is_short(question) { self.short(question, row) } else { self.long(question, row) };
        let Some(has) = has.filter(|has| has.coverage >= self.min_coverage) else { return Ok(()) };
        let level = if self.is_telling(question) {
            Some(Level::Choices)
        } else if row.ids.len() == question.words.len() {
            Some(Level::Few)
        } else {
            (question.words.len() >= SHORT.min(self.index.ngram)).then_some(Level::Plain)
        };
        if let Some(level) = level.filter(|&level| !self.index.members(number, level).is_empty()) {
            found.push(Finding { who: Who::All(number, level), has: has.clone() });
        }
        if level == Some(Level::Choices) {
            return Ok(());
        }
        for (count, place) in (1..).zip(self.nominees.of(number, row.ids, control)?) {
            let entry = &self.index.items[place as usize];
            if level.is_none_or(|level| self.index.level(entry) > level) {
                let more = self.with_more(has.clone(), entry, row);
                found.extend(more.map(|has| Finding { who: Who::Item(place), has }));
            }
            if count % 256 == 0 {
                control.advance(0)?;
            }
        }
        Ok(())
    }

    /// Whether a question tells its items from others, so that nothing but it has to be in the row.
    fn is_telling(&self, question: &Question) -> bool {
        if self.index.is_short(question) {
            let id = self.index.begins.get(question.words.start).copied().unwrap_or(NONE);
            question.words.len() >= TELLING
                && id != NONE
                && self.index.items_with(id) == 1
                && !self.common[id as usize]
        } else {
            ngrams(self.index, question).iter().any(|&id| !self.common[id as usize])
        }
    }

    /// What the row has of an item that needs more than its question, `has`, when that is there.
    fn with_more(&self, mut has: Has, entry: &Entry, row: &Row<'_>) -> Option<Has> {
        let question = self.index.questions[entry.question as usize].words.len();
        if self.index.level(entry) == Level::Plain {
            let answer = &self.index.words[entry.answer.clone()];
            return (question + answer.len() >= TOGETHER && row.has(answer)).then_some(has);
        }
        let choices = &self.index.choices[entry.choices.clone()];
        let all: usize = choices.iter().map(Range::len).sum();
        let there = choices.iter().filter(|choice| row.has(&self.index.words[(*choice).clone()]));
        let found: usize = there.map(Range::len).sum();
        has.coverage = has.coverage.min(found as f64 / all as f64);
        has.matched_words += found;
        (question + found >= TOGETHER && has.coverage >= self.min_coverage).then_some(has)
    }

    fn short(&self, question: &Question, row: &Row<'_>) -> Option<Has> {
        let words = question.words.len();
        let id = *self.index.begins.get(question.words.start)?;
        let start = row.first(id)?;
        Some(Has { matched_words: words, coverage: 1.0, span: start..start + words })
    }

    fn long(&self, question: &Question, row: &Row<'_>) -> Option<Has> {
        let ngram = self.index.ngram;
        let (mut matched, mut telling, mut told) = (Union::default(), Union::default(), Union::default());
        let mut starts = Vec::new();
        for (start, &id) in ngrams(self.index, question).iter().enumerate() {
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
            f64::from(u8::from(starts.len() == ngrams(self.index, question).len()))
        };
        let span = longest(&mut starts, ngram)?;
        Some(Has { matched_words: matched.words, coverage, span })
    }
}

impl Index {
    /// A number for a finding of an item or of a question's items up to a level.
    pub(super) fn who(&self, who: Who) -> usize {
        match who {
            Who::Item(place) => place as usize,
            Who::All(question, level) => self.items.len() + 3 * question as usize + level as usize,
        }
    }

    /// How many such numbers there are.
    pub(super) fn whos(&self) -> usize {
        self.items.len() + 3 * self.questions.len()
    }

    /// The numbers of the findings that an item is of.
    pub(super) fn whos_of(&self, place: u32) -> impl Iterator<Item = usize> {
        let entry = &self.items[place as usize];
        let first = self.who(Who::All(entry.question, self.level(entry)));
        let behind = self.who(Who::All(entry.question, Level::Choices)) + 1;
        std::iter::once(place as usize).chain(first..behind)
    }
}

/// The n-grams of a long question, in order.
fn ngrams<'a>(index: &'a Index, question: &Question) -> &'a [u32] {
    let starts = (question.words.len() + 1).saturating_sub(index.ngram);
    &index.begins[question.words.start..question.words.start + starts]
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
