//! One text against many: the longest common subsequence with each of a pool.

use rayon::prelude::*;

use super::lcs::Lcs;
use super::numbers::Numbers;
use super::scorer::plain;
use super::tokens::Tokens;
use crate::control::Pace;
use crate::text::Texts;
use crate::{Control, Result};

/// Texts to compare others with by ROUGE-L of `rouge-score` 0.1.2; each is parted into tokens once.
#[derive(Default)]
pub struct Pool {
    is_stemmed: bool,
    tokens: Tokens<'static>,
    numbers: Numbers,
    /// Of all texts, one after the other.
    of_texts: Vec<u32>,
    ends: Vec<usize>,
}

impl Pool {
    /// Without texts.
    pub fn new(is_stemmed: bool) -> Self {
        Self { is_stemmed, ..Self::default() }
    }

    /// Number of texts.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are no texts.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Takes more texts; none of them where it is cancelled.
    pub fn add(&mut self, texts: &dyn Texts, control: &Control) -> Result<()> {
        let before = (self.ends.len(), self.of_texts.len());
        let added = self.add_each(texts, control);
        if added.is_err() {
            self.ends.truncate(before.0);
            self.of_texts.truncate(before.1);
        }
        added
    }

    fn add_each(&mut self, texts: &dyn Texts, control: &Control) -> Result<()> {
        let mut pace = Pace::new(control);
        let mut keys = Vec::new();
        for row in 0..texts.len() {
            let text = texts.get(row);
            keys.clear();
            self.tokens.rouge_score(&text, self.is_stemmed, &mut keys);
            self.of_texts.extend(keys.iter().map(|&key| self.numbers.number(key)));
            self.ends.push(self.of_texts.len());
            pace.step(text.len())?;
        }
        pace.flush()
    }

    /// For each text the first of the pool with the highest F1, and that F1; `None` where the pool is empty.
    pub fn most_similar(&self, texts: &dyn Texts, control: &Control) -> Result<Vec<Option<(usize, f64)>>> {
        let reader = || (Tokens::after(&self.tokens), Vec::new(), Vec::new(), Lcs::default());
        let rows = (0..texts.len()).into_par_iter();
        rows.map_init(reader, |(tokens, keys, numbers, lcs), row| {
            keys.clear();
            tokens.forget();
            tokens.rouge_score(&texts.get(row), self.is_stemmed, keys);
            numbers.clear();
            numbers.extend(keys.iter().map(|&key| self.numbers.find(key)));
            lcs.prepare(numbers, self.numbers.len());
            let found = self.nearest(numbers.len(), lcs, control)?;
            control.advance(1)?;
            Ok(found)
        })
        .collect()
    }

    fn nearest(&self, length: usize, lcs: &mut Lcs, control: &Control) -> Result<Option<(usize, f64)>> {
        let mut best: Option<(usize, f64)> = None;
        let mut pace = Pace::new(control);
        let mut start = 0;
        for (at, &end) in self.ends.iter().enumerate() {
            let text = &self.of_texts[std::mem::replace(&mut start, end)..end];
            // As long as the shorter of the two, a common subsequence would give this; less by more than rounding is not looked for.
            let most = 2.0 * length.min(text.len()) as f64 / (length + text.len()) as f64;
            if best.is_some_and(|(_, f1)| most < f1 - 1e-9 || f1 >= 1.0) {
                continue;
            }
            let f1 = if length == 0 || text.is_empty() {
                0.0
            } else {
                plain(lcs.length(text.iter().copied(), control)?, length, text.len()).f1
            };
            if best.is_none_or(|(_, before)| f1 > before) {
                best = Some((at, f1));
            }
            pace.glance(text.len() * length / 64)?;
        }
        Ok(best)
    }
}
