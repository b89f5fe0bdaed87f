//! Which runs of the items a row has.

use std::ops::Range;

use super::index::Index;
use super::sequence::{FOREIGN, Rolling};
use crate::words::{Between, Splitter, is_unspaced};
use crate::{Control, Result};

/// A row of 50 MB is taken apart in pieces of this many bytes: between them Ctrl-C is answered.
const PIECE: usize = 1 << 20;

/// Scans one row after the other; keeps its buffers.
#[derive(Debug)]
pub(super) struct Scanner<'a> {
    index: &'a Index,
    splitter: Splitter,
    rolling: Rolling,
    form: String,
    /// The row's words as item words; filled by a scan that found something.
    pub(super) ids: Vec<u32>,
    /// Runs that the row has and where each begins for the first time, by number of the run.
    pub(super) hits: Vec<(u32, usize)>,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(index: &'a Index) -> Self {
        Self {
            index,
            splitter: Splitter::new(Between::Punctuation, 0),
            rolling: Rolling::default(),
            form: String::new(),
            ids: Vec::new(),
            hits: Vec::new(),
        }
    }

    /// Finds what runs of the items `text` has; true when it has any.
    pub(super) fn scan(&mut self, text: &str, control: &Control) -> Result<bool> {
        self.hits.clear();
        self.rolling.clear();
        let mask = self.index.mask();
        for piece in pieces(text, PIECE) {
            self.splitter.each_word(&text[piece], |_, hash| self.rolling.push(hash & mask));
            control.advance(0)?;
        }
        let index = self.index;
        let mut any = false;
        self.nominate(|_, _, _| {
            any = true;
            false
        });
        if !any {
            return Ok(false);
        }
        self.ids.clear();
        for piece in pieces(text, PIECE) {
            let piece = &text[piece];
            self.splitter.each_word(piece, |range, hash| {
                self.ids.push(self.index.vocabulary.id(&piece[range], hash & mask, &mut self.form));
            });
            control.advance(0)?;
        }
        let mut hits = std::mem::take(&mut self.hits);
        self.nominate(|hash, start, length| {
            let run = &self.ids[start..start + length];
            // Most foreign runs of a known hash would be told by their first word.
            let id = if run[0] == FOREIGN { None } else { index.runs.find(hash, &index.words, run) };
            // A text that says a few words over and over has the same runs at every word.
            hits.extend(
                id.filter(|id| hits.iter().rev().take(8).all(|(hit, _)| hit != id)).map(|id| (id, start)),
            );
            true
        });
        self.hits = hits;
        self.hits.sort_unstable();
        self.hits.dedup_by_key(|(id, _)| *id);
        Ok(!self.hits.is_empty())
    }

    /// Calls `each` with the hash, start and length of every run of the row whose hash some item's run has too, until it says false.
    fn nominate(&self, mut each: impl FnMut(u64, usize, usize) -> bool) {
        let (index, rolling) = (self.index, &self.rolling);
        let reach = index.ngram - index.gate;
        let step = reach + 1;
        for (number, hash) in rolling.runs(index.gate, step).enumerate() {
            let at = number * step;
            if !index.gates.may_contain(hash & index.mask()) {
                continue;
            }
            let last = rolling.len().saturating_sub(index.ngram).min(at);
            for start in at.saturating_sub(reach)..=last {
                if start + index.ngram > rolling.len() {
                    break;
                }
                let hash = rolling.run(start, index.ngram) & index.mask();
                if index.runs.has(hash) && !each(hash, start, index.ngram) {
                    return;
                }
            }
        }
        for &seed in &index.seed_lengths {
            for (start, hash) in rolling.runs(seed, 1).enumerate() {
                let hash = hash & index.mask();
                if !index.seed_filter.may_contain(hash) {
                    continue;
                }
                let lengths = index.seeds.get(&hash).into_iter().flatten();
                for &length in lengths.take_while(|&&length| start + length <= rolling.len()) {
                    let hash = rolling.run(start, length) & index.mask();
                    if index.runs.has(hash) && !each(hash, start, length) {
                        return;
                    }
                }
            }
        }
    }

    /// The spans of the row's words in characters.
    pub(super) fn spans(&mut self, text: &str) -> Vec<Range<u64>> {
        let mut spans = Vec::with_capacity(self.ids.len());
        let (mut bytes, mut characters) = (0, 0u64);
        for piece in pieces(text, PIECE) {
            let offset = piece.start;
            self.splitter.each_word(&text[piece], |range, _| {
                let (from, to) = (offset + range.start, offset + range.end);
                let start = characters + text[bytes..from].chars().count() as u64;
                let end = start + text[from..to].chars().count() as u64;
                spans.push(start..end);
                (bytes, characters) = (to, end);
            });
        }
        spans
    }
}

/// `text` in pieces of about `size` bytes that have its words: each begins with a character that no word goes on with.
fn pieces(text: &str, size: usize) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    let mut ended = false;
    std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let from = start;
        let cut = (from + size < text.len())
            .then(|| {
                let behind =
                    (from + size..=text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len());
                text[behind..]
                    .char_indices()
                    .find(|&(_, character)| character.is_whitespace() || is_unspaced(character))
                    .map(|(at, _)| behind + at)
            })
            .flatten();
        ended = cut.is_none();
        start = cut.unwrap_or(text.len());
        Some(from..start)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_have_the_words_of_the_whole() {
        for unit in ["word ", "日本", "e\u{301}é.", "ไทย "] {
            let text = unit.repeat(40);
            let words = |text: &str| {
                let mut hashes = Vec::new();
                Splitter::new(Between::Punctuation, 0).each_word(text, |_, hash| hashes.push(hash));
                hashes
            };
            let cut: Vec<Range<usize>> = pieces(&text, 16).collect();
            assert!(cut.len() > 1 || unit.starts_with('e'), "{unit:?} is cut");
            assert_eq!(cut.iter().map(Range::len).sum::<usize>(), text.len());
            let together: Vec<u64> = cut.iter().flat_map(|piece| words(&text[piece.clone()])).collect();
            assert_eq!(together, words(&text));
        }
        assert_eq!(pieces("", 16).map(|piece| piece.len()).collect::<Vec<_>>(), [0]);
    }
}
