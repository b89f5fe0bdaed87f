//! ROUGE as two Python packages compute it, to the last bit.
//!
//! `rouge-score` 0.1.2: tokens are runs of ASCII letters and digits of the lower-cased text; F1 is 2pr / (p + r).
//! `rouge` 1.0.1: words between white space of what lies between full stops; counts are of *distinct* words and n-grams, the longest common
//! subsequence is the one that its table reads out, and F1 is 2 (pr / (p + r + 1e-8)), so that a true 0.2 is 0.199999995.

mod lcs;
mod porter;
mod tokens;

use std::collections::BTreeSet;

use rayon::prelude::*;

use crate::control::Pace;
use crate::hash::Map;
use crate::text::Texts;
use crate::{Control, Error, Result};
use lcs::{Lengths, Tie, positions};
use tokens::{Interner, rouge_score, rouge_sentences};

/// The package whose answer is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compat {
    /// `rouge-score` 0.1.2.
    RougeScore,
    /// `rouge` 1.0.1, with its default of distinct n-grams.
    Rouge,
}

impl Compat {
    /// From package and version, as in a requirements file.
    pub fn parse(name: &str) -> Result<Self> {
        match name {
            "rouge-score==0.1.2" => Ok(Self::RougeScore),
            "rouge==1.0.1" => Ok(Self::Rouge),
            _ => Err(Error::OutOfRange {
                name: "compat",
                value: name.to_owned(),
                expected: "`rouge-score==0.1.2` or `rouge==1.0.1`",
            }),
        }
    }
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// N-grams of this many tokens.
    N(usize),
    /// The longest common subsequence.
    L,
    /// The union of longest common subsequences of lines.
    Lsum,
}

impl Metric {
    /// `rouge1` to `rouge9`, `rougeL` or `rougeLsum`; of `rouge` 1.0.1 `rouge1` to `rouge5` and `rougeL`.
    pub fn parse(name: &str, compat: Compat) -> Result<Self> {
        let metric = match name.strip_prefix("rouge") {
            Some("L") => Some(Self::L),
            Some("Lsum") if compat == Compat::RougeScore => Some(Self::Lsum),
            Some(digit) => {
                let most = if compat == Compat::RougeScore { 9 } else { 5 };
                let size = (digit.len() == 1).then(|| digit.parse::<usize>().ok()).flatten();
                size.filter(|size| (1..=most).contains(size)).map(Self::N)
            }
            None => None,
        };
        metric.ok_or_else(|| Error::OutOfRange {
            name: "metric",
            value: name.to_owned(),
            expected: match compat {
                Compat::RougeScore => "`rouge1` to `rouge9`, `rougeL` or `rougeLsum`",
                Compat::Rouge => "`rouge1` to `rouge5` or `rougeL`",
            },
        })
    }
}

/// Precision, recall and their F1.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Score {
    /// Of the prediction's tokens, the share that is matched.
    pub precision: f64,
    /// Of the reference's tokens.
    pub recall: f64,
    /// Their mean, as the package computes it.
    pub f1: f64,
}

/// Scores pairs; keeps its buffers from one to the next.
pub struct Scorer {
    compat: Compat,
    metric: Metric,
    is_stemmed: bool,
    interner: Interner,
    word: Vec<u8>,
    target: Vec<u32>,
    prediction: Vec<u32>,
    lengths: Lengths,
}

impl Scorer {
    /// For one thread. `is_stemmed` is for `rouge-score` alone; the other package has no stemmer.
    pub fn new(compat: Compat, metric: Metric, is_stemmed: bool) -> Result<Self> {
        if is_stemmed && compat == Compat::Rouge {
            return Err(Error::OutOfRange {
                name: "stemmer",
                value: "true".to_owned(),
                expected: "false: rouge==1.0.1 has no stemmer",
            });
        }
        Ok(Self {
            compat,
            metric,
            is_stemmed,
            interner: Interner::default(),
            word: Vec::new(),
            target: Vec::new(),
            prediction: Vec::new(),
            lengths: Lengths::default(),
        })
    }

    /// `None` where the package refuses the pair: `rouge` 1.0.1 raises when a text has nothing but full stops.
    pub fn score(&mut self, prediction: &str, reference: &str) -> Option<Score> {
        self.interner.clear();
        if self.compat == Compat::Rouge {
            return self.rouge(prediction, reference);
        }
        if self.metric == Metric::Lsum {
            return Some(self.summary(prediction, reference));
        }
        self.target.clear();
        self.prediction.clear();
        rouge_score(reference, self.is_stemmed, &mut self.interner, &mut self.word, &mut self.target);
        let known = self.interner.len();
        rouge_score(prediction, self.is_stemmed, &mut self.interner, &mut self.word, &mut self.prediction);
        Some(match self.metric {
            Metric::N(size) => {
                let (target, prediction) = (ngrams(&self.target, size), ngrams(&self.prediction, size));
                let shared: usize = target
                    .iter()
                    .map(|(ngram, &count)| count.min(prediction.get(ngram).copied().unwrap_or(0)))
                    .sum();
                let total = |tokens: &[u32]| (tokens.len() + 1).saturating_sub(size).max(1);
                plain(shared, total(&self.prediction), total(&self.target))
            }
            Metric::L | Metric::Lsum if self.target.is_empty() || self.prediction.is_empty() => {
                Score::default()
            }
            Metric::L | Metric::Lsum => {
                self.lengths.prepare(&self.target, known);
                plain(self.lengths.with(&self.prediction), self.prediction.len(), self.target.len())
            }
        })
    }

    fn lines(&mut self, text: &str) -> Vec<Vec<u32>> {
        let lines = text.split('\n').filter(|line| !line.is_empty());
        lines
            .map(|line| {
                let mut tokens = Vec::new();
                rouge_score(line, self.is_stemmed, &mut self.interner, &mut self.word, &mut tokens);
                tokens
            })
            .collect()
    }

    /// `_summary_level_lcs` of `rouge-score`: a token counts at most as often as both sides have it.
    fn summary(&mut self, prediction: &str, reference: &str) -> Score {
        let (target, prediction) = (self.lines(reference), self.lines(prediction));
        let total = |lines: &[Vec<u32>]| lines.iter().map(Vec::len).sum::<usize>();
        let (targets, predictions) = (total(&target), total(&prediction));
        if targets == 0 || predictions == 0 {
            return Score::default();
        }
        let count = |lines: &[Vec<u32>]| {
            let mut counts = vec![0usize; self.interner.len()];
            lines.iter().flatten().for_each(|&token| counts[token as usize] += 1);
            counts
        };
        let (mut left, mut right) = (count(&target), count(&prediction));
        let mut hits = 0;
        for line in &target {
            let union: BTreeSet<usize> =
                prediction.iter().flat_map(|other| positions(line, other, Tie::Left)).collect();
            for at in union {
                let token = line[at] as usize;
                if left[token] > 0 && right[token] > 0 {
                    hits += 1;
                    left[token] -= 1;
                    right[token] -= 1;
                }
            }
        }
        plain(hits, predictions, targets)
    }

    fn rouge(&mut self, prediction: &str, reference: &str) -> Option<Score> {
        let (mut predictions, mut references) = (Vec::new(), Vec::new());
        rouge_sentences(prediction, &mut self.interner, &mut predictions);
        rouge_sentences(reference, &mut self.interner, &mut references);
        if predictions.is_empty() || references.is_empty() {
            return None;
        }
        if let Metric::N(size) = self.metric {
            let (predictions, references) = (predictions.concat(), references.concat());
            let (target, prediction) = (ngrams(&references, size), ngrams(&predictions, size));
            let shared = target.keys().filter(|ngram| prediction.contains_key(*ngram)).count();
            return Some(smoothed(shared, prediction.len(), target.len()));
        }
        let distinct = |sentences: &[Vec<u32>]| {
            let mut seen = vec![false; self.interner.len()];
            sentences
                .iter()
                .flatten()
                .filter(|&&token| !std::mem::replace(&mut seen[token as usize], true))
                .count()
        };
        let mut seen = vec![false; self.interner.len()];
        let mut union = 0;
        for reference in &references {
            for prediction in &predictions {
                for at in positions(reference, prediction, Tie::Right) {
                    union += usize::from(!std::mem::replace(&mut seen[reference[at] as usize], true));
                }
            }
        }
        Some(smoothed(union, distinct(&predictions), distinct(&references)))
    }
}

fn ngrams(tokens: &[u32], size: usize) -> Map<&[u32], usize> {
    let mut counts = Map::default();
    for ngram in tokens.windows(size) {
        *counts.entry(ngram).or_insert(0) += 1;
    }
    counts
}

/// `rouge_score.scoring.fmeasure`, in its order of operations.
fn plain(shared: usize, prediction: usize, target: usize) -> Score {
    let (precision, recall) = (shared as f64 / prediction as f64, shared as f64 / target as f64);
    let f1 = if precision + recall > 0.0 { 2.0 * precision * recall / (precision + recall) } else { 0.0 };
    Score { precision, recall, f1 }
}

/// `rouge.rouge_score.f_r_p_rouge_n`, in its order of operations.
fn smoothed(shared: usize, prediction: usize, target: usize) -> Score {
    let share = |of: usize| if of == 0 { 0.0 } else { shared as f64 / of as f64 };
    let (precision, recall) = (share(prediction), share(target));
    Score { precision, recall, f1: 2.0 * ((precision * recall) / (precision + recall + 1e-8)) }
}

/// The references of each row.
pub trait References: Sync {
    /// Number of rows.
    fn len(&self) -> usize;
    /// How many references `row` has.
    fn count(&self, row: usize) -> usize;
    /// One of them.
    fn get(&self, row: usize, reference: usize) -> &str;
    /// Whether there are no rows.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The first score with the highest F1 of a prediction against several references.
pub fn best_of<'a>(
    pairs: &mut Scorer,
    prediction: &str,
    references: impl Iterator<Item = &'a str>,
) -> Option<Score> {
    references.filter_map(|reference| pairs.score(prediction, reference)).fold(None, |best, score| match best
    {
        Some(before) if before.f1 >= score.f1 => best,
        _ => Some(score),
    })
}

/// The score of every row's prediction: of several references the first with the highest F1. `None` where there is no reference, or none
/// that the package takes.
pub fn rouge(
    predictions: &dyn Texts,
    references: &dyn References,
    compat: Compat,
    metric: Metric,
    is_stemmed: bool,
    control: &Control,
) -> Result<Vec<Option<Score>>> {
    if predictions.len() != references.len() {
        return Err(Error::LengthMismatch {
            left: "predictions",
            left_rows: predictions.len(),
            right: "references",
            right_rows: references.len(),
        });
    }
    Scorer::new(compat, metric, is_stemmed)?;
    let mut scores = vec![None; predictions.len()];
    scores.par_chunks_mut(1024).enumerate().try_for_each(|(block, scores)| {
        let mut pairs = Scorer::new(compat, metric, is_stemmed)?;
        let mut pace = Pace::new(control);
        for (offset, slot) in scores.iter_mut().enumerate() {
            let row = block * 1024 + offset;
            let prediction = predictions.get(row);
            let of_row = (0..references.count(row)).map(|reference| references.get(row, reference));
            let bytes = of_row.clone().map(|reference| prediction.len() + reference.len()).sum();
            *slot = best_of(&mut pairs, &prediction, of_row);
            pace.step(bytes)?;
        }
        pace.flush()
    })?;
    Ok(scores)
}
