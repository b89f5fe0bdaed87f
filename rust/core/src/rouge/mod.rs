//! ROUGE as two Python packages compute it, to the last bit.
//!
//! `rouge-score` 0.1.2: tokens are runs of ASCII letters and digits of the lower-cased text; F1 is 2pr / (p + r).
//! `rouge` 1.0.1: words between white space of what lies between full stops; counts are of *distinct* words and n-grams, the longest common
//! subsequence is the one that its table reads out, and F1 is 2 (pr / (p + r + 1e-8)), so that a true 0.2 is 0.199999995.

mod lcs;
mod masks;
mod numbers;
mod pool;
mod porter;
mod scorer;
mod tokens;

use rayon::prelude::*;

use crate::control::Pace;
use crate::text::Texts;
use crate::{Control, Error, Result};
pub use pool::Pool;
pub use scorer::Scorer;

/// The package whose answer is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compat {
    /// `rouge-score` 0.1.2.
    RougeScore,
    /// `rouge` 1.0.1, with its default of distinct n-grams.
    Rouge,
}

impl Compat {
    /// From package and version, as in a requirements file.
    fn parse(name: &str) -> Result<Self> {
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
enum Metric {
    /// N-grams of this many tokens.
    N(usize),
    /// The longest common subsequence.
    L,
    /// The union of longest common subsequences of lines.
    Lsum,
}

impl Metric {
    /// `rouge1` to `rouge9`, `rougeL` or `rougeLsum`; of `rouge` 1.0.1 `rouge1` to `rouge5` and `rougeL`.
    fn parse(name: &str, compat: Compat) -> Result<Self> {
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

/// What is computed for a pair.
#[derive(Debug, Clone, Copy)]
pub struct Measure {
    compat: Compat,
    metric: Metric,
    is_stemmed: bool,
}

impl Measure {
    /// From the names of metric and package. `is_stemmed` is for `rouge-score` alone; the other package has no stemmer.
    pub fn parse(metric: &str, compat: &str, is_stemmed: bool) -> Result<Self> {
        let compat = Compat::parse(compat)?;
        if is_stemmed && compat == Compat::Rouge {
            return Err(Error::OutOfRange {
                name: "stemmer",
                value: "true".to_owned(),
                expected: "false: rouge==1.0.1 has no stemmer",
            });
        }
        Ok(Self { compat, metric: Metric::parse(metric, compat)?, is_stemmed })
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

/// What becomes of the scores against several references.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduce {
    /// The first with the highest F1.
    Max,
    /// The mean of each of the three.
    Mean,
}

impl Reduce {
    /// `max` or `mean`.
    pub fn parse(name: &str) -> Result<Self> {
        match name {
            "max" => Ok(Self::Max),
            "mean" => Ok(Self::Mean),
            _ => {
                Err(Error::OutOfRange { name: "reduce", value: name.to_owned(), expected: "`max` or `mean`" })
            }
        }
    }

    /// What is known of the references so far, with one more.
    fn join(self, before: Score, score: Score) -> Score {
        match self {
            Self::Max if before.f1 >= score.f1 => before,
            Self::Max => score,
            Self::Mean => Score {
                precision: before.precision + score.precision,
                recall: before.recall + score.recall,
                f1: before.f1 + score.f1,
            },
        }
    }

    fn end(self, joined: Score, count: u32) -> Score {
        match self {
            Self::Max => joined,
            Self::Mean => Score {
                precision: joined.precision / f64::from(count),
                recall: joined.recall / f64::from(count),
                f1: joined.f1 / f64::from(count),
            },
        }
    }
}

/// The score of every row's prediction. `None` where there is no reference, or none that the package takes.
pub fn rouge(
    predictions: &dyn Texts,
    references: &dyn References,
    measure: Measure,
    reduce: Reduce,
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
    let mut scores = vec![None; predictions.len()];
    let new = || Scorer::new(measure);
    scores.par_chunks_mut(1024).enumerate().try_for_each_init(new, |scorer, (block, scores)| {
        let mut pace = Pace::new(control);
        for (offset, slot) in scores.iter_mut().enumerate() {
            let row = block * 1024 + offset;
            let prediction = predictions.get(row);
            let of_row = (0..references.count(row)).map(|reference| references.get(row, reference));
            let bytes = of_row.clone().map(|reference| prediction.len() + reference.len()).sum();
            *slot = scorer.score(&prediction, of_row, reduce, control)?;
            pace.step(bytes)?;
        }
        pace.flush()
    })?;
    Ok(scores)
}
