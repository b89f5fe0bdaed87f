//! Scores of pairs.

use super::lcs::Lcs;
use super::masks::{MOST, Masks};
use super::numbers::Numbers;
use super::tokens::Tokens;
use super::{Compat, Measure, Metric, Reduce, Score};
use crate::control::Pace;
use crate::{Control, Result};

/// Scores pairs; keeps its buffers from one to the next.
pub struct Scorer {
    measure: Measure,
    tokens: Tokens<'static>,
    numbers: Numbers,
    lcs: Lcs,
    masks: Masks,
    prediction: Side,
    target: Side,
    /// By number: how often a token or an n-gram is still to be matched, or whether it was seen.
    counts: Vec<u32>,
}

/// The tokens of one text.
#[derive(Default)]
struct Side {
    keys: Vec<u128>,
    numbers: Vec<u32>,
    /// Where its lines or sentences end in them.
    ends: Vec<usize>,
}

impl Side {
    fn read(&mut self, text: &str, measure: Measure, tokens: &mut Tokens<'_>) {
        self.keys.clear();
        self.ends.clear();
        match (measure.compat, measure.metric) {
            (Compat::Rouge, _) => tokens.rouge(text, &mut self.keys, &mut self.ends),
            (Compat::RougeScore, Metric::Lsum) => {
                for line in text.split('\n') {
                    tokens.rouge_score(line, measure.is_stemmed, &mut self.keys);
                    self.ends.push(self.keys.len());
                }
            }
            (Compat::RougeScore, _) => tokens.rouge_score(text, measure.is_stemmed, &mut self.keys),
        }
    }

    fn parts(&self) -> impl Iterator<Item = &[u32]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| &self.numbers[std::mem::replace(&mut start, end)..end])
    }
}

impl Scorer {
    /// For one thread.
    pub fn new(measure: Measure) -> Self {
        Self {
            measure,
            tokens: Tokens::default(),
            numbers: Numbers::default(),
            lcs: Lcs::default(),
            masks: Masks::default(),
            prediction: Side::default(),
            target: Side::default(),
            counts: Vec::new(),
        }
    }

    /// One score of a prediction against several references: see [`Reduce`]. `None` where there is none, or none that the package takes:
    /// `rouge` 1.0.1 refuses a text that has nothing but full stops.
    pub fn score<'a>(
        &mut self,
        prediction: &str,
        references: impl Iterator<Item = &'a str>,
        reduce: Reduce,
        control: &Control,
    ) -> Result<Option<Score>> {
        let mut joined = None;
        let mut count = 0;
        for (number, reference) in references.enumerate() {
            if number == 0 {
                self.tokens.forget();
                self.prediction.read(prediction, self.measure, &mut self.tokens);
            }
            self.target.read(reference, self.measure, &mut self.tokens);
            if let Some(score) = self.pair(control)? {
                joined = Some(joined.map_or(score, |before| reduce.join(before, score)));
                count += 1;
            }
        }
        Ok(joined.map(|joined| reduce.end(joined, count)))
    }

    /// Prediction and target as they lie there.
    fn pair(&mut self, control: &Control) -> Result<Option<Score>> {
        Ok(Some(match (self.measure.compat, self.measure.metric) {
            (Compat::RougeScore, Metric::N(size)) => self.ngrams(size),
            (Compat::RougeScore, Metric::L) => self.longest(control)?,
            (Compat::RougeScore, Metric::Lsum) => self.summary(control)?,
            (Compat::Rouge, _) if self.prediction.keys.is_empty() || self.target.keys.is_empty() => {
                return Ok(None);
            }
            (Compat::Rouge, Metric::N(size)) => self.distinct_ngrams(size),
            (Compat::Rouge, Metric::L | Metric::Lsum) => self.union(control)?,
        }))
    }

    /// Numbers both sides, and says how many distinct tokens the target has.
    fn number_both(&mut self) -> usize {
        self.numbers.clear(self.target.keys.len() + self.prediction.keys.len());
        let [targets, _] = [&mut self.target, &mut self.prediction].map(|side| {
            side.numbers.clear();
            side.numbers.extend(side.keys.iter().map(|&key| self.numbers.number(key)));
            self.numbers.len()
        });
        targets
    }

    fn longest(&mut self, control: &Control) -> Result<Score> {
        let (target, prediction) = (&self.target.keys, &self.prediction.keys);
        if target.is_empty() || prediction.is_empty() {
            return Ok(Score::default());
        }
        // What both begin and end with is part of a longest common subsequence.
        let same = |pair: &(&u128, &u128)| pair.0 == pair.1;
        let start = target.iter().zip(prediction).take_while(same).count();
        let (left, right) = (&target[start..], &prediction[start..]);
        let end = left.iter().rev().zip(right.iter().rev()).take_while(same).count();
        let (left, right) = (&left[..left.len() - end], &right[..right.len() - end]);
        let (left, right) = if left.len() <= right.len() { (left, right) } else { (right, left) };
        let mut common = start + end;
        if left.len() <= MOST {
            common += self.masks.length(left, right);
        } else {
            self.numbers.clear(left.len());
            self.target.numbers.clear();
            self.target.numbers.extend(left.iter().map(|&key| self.numbers.number(key)));
            self.lcs.prepare(&self.target.numbers, self.numbers.len());
            common += self.lcs.length(right.iter().map(|&key| self.numbers.find(key)), control)?;
        }
        Ok(plain(common, prediction.len(), target.len()))
    }

    fn ngrams(&mut self, size: usize) -> Score {
        let totals =
            [&self.prediction, &self.target].map(|side| (side.keys.len() + 1).saturating_sub(size).max(1));
        self.number_ngrams(size);
        self.counts.clear();
        self.counts.resize(self.numbers.len() + 1, 0);
        self.target.numbers.iter().for_each(|&ngram| self.counts[ngram as usize] += 1);
        let mut shared = 0;
        for &ngram in &self.prediction.numbers {
            let left = &mut self.counts[ngram as usize];
            shared += usize::from(*left > 0);
            *left = left.saturating_sub(1);
        }
        plain(shared, totals[0], totals[1])
    }

    /// Numbers the runs of `size` tokens of both sides. A run is known by its first tokens, its last and two between them, where they overlap
    /// or touch: four numbers of shorter runs are the key of a longer one.
    fn number_ngrams(&mut self, size: usize) {
        self.number_both();
        let mut known = 1;
        while known < size {
            let longer = size.min(known * 4);
            let places = [0, 1, 2, 3].map(|part| (part * known).min(longer - known));
            self.numbers.clear(self.target.numbers.len() + self.prediction.numbers.len());
            for side in [&mut self.target, &mut self.prediction] {
                let count = (side.numbers.len() + known).saturating_sub(longer);
                for at in 0..count {
                    let key =
                        places.iter().fold(0, |key, place| key << 32 | u128::from(side.numbers[at + place]));
                    side.numbers[at] = self.numbers.number(key);
                }
                side.numbers.truncate(count);
            }
            known = longer;
        }
    }

    /// `_summary_level_lcs` of `rouge-score`: a token counts at most as often as both sides have it.
    fn summary(&mut self, control: &Control) -> Result<Score> {
        let (targets, predictions) = (self.target.keys.len(), self.prediction.keys.len());
        if targets == 0 || predictions == 0 {
            return Ok(Score::default());
        }
        self.number_both();
        let known = self.numbers.len();
        let mut left = vec![0u32; known + 1];
        self.target.numbers.iter().for_each(|&token| left[token as usize] += 1);
        let mut right = vec![0u32; known + 1];
        self.prediction.numbers.iter().for_each(|&token| right[token as usize] += 1);
        let mut hits = 0;
        let mut pace = Pace::new(control);
        for line in self.target.parts() {
            self.lcs.prepare(line, known);
            for other in self.prediction.parts() {
                pace.glance(other.len())?;
                self.lcs.trace(other, control)?;
            }
            for at in self.lcs.traced() {
                let token = line[at] as usize;
                if left[token] > 0 && right[token] > 0 {
                    hits += 1;
                    left[token] -= 1;
                    right[token] -= 1;
                }
            }
        }
        Ok(plain(hits, predictions, targets))
    }

    fn distinct_ngrams(&mut self, size: usize) -> Score {
        self.number_ngrams(size);
        let both = self.numbers.len();
        self.counts.clear();
        self.counts.resize(both + 1, 0);
        let mut distinct = |side: &Side, bit: u32| {
            let new = |&&ngram: &&u32| std::mem::replace(&mut self.counts[ngram as usize], bit) != bit;
            side.numbers.iter().filter(new).count()
        };
        let (target, prediction) = (distinct(&self.target, 1), distinct(&self.prediction, 2));
        // Every n-gram is of one side or of both.
        smoothed(target + prediction - both, prediction, target)
    }

    /// The distinct words of the longest common subsequences of all pairs of sentences.
    fn union(&mut self, control: &Control) -> Result<Score> {
        let targets = self.number_both();
        let known = self.numbers.len();
        self.counts.clear();
        self.counts.resize(known + 1, 0);
        let mut predictions = 0;
        for &token in &self.prediction.numbers {
            predictions += usize::from(std::mem::replace(&mut self.counts[token as usize], 1) == 0);
        }
        let mut union = 0;
        let mut pace = Pace::new(control);
        for sentence in self.prediction.parts() {
            self.lcs.prepare(sentence, known);
            for other in self.target.parts() {
                pace.glance(other.len())?;
                self.lcs.trace(other, control)?;
            }
            for at in self.lcs.traced() {
                union += usize::from(std::mem::replace(&mut self.counts[sentence[at] as usize], 2) == 1);
            }
        }
        Ok(smoothed(union, predictions, targets))
    }
}

/// `rouge_score.scoring.fmeasure`, in its order of operations.
pub(super) fn plain(shared: usize, prediction: usize, target: usize) -> Score {
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
