//! Rows to token ids and labels.
//!
//! What is learned is said by the template's own parts: a token is learned when it stands for a byte of a learned part. The first
//! token of a document has no label, because nothing stands before it to say it from.

mod encode;
mod words;

pub use encode::{Control, Encoder, Parts, Token};

use rayon::prelude::*;

use crate::control::Pace;
use crate::format::{Document, Marks, Part, Refused, Rows, Template};
use crate::{Control as Watch, Result};

/// The label of a token that is not learned.
pub const IGNORED: i32 = -100;

/// A batch is ended when it holds so many tokens, far below what 32 bits count.
const FULL: usize = 1 << 28;

/// What becomes of a document with too many tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooLong {
    /// It goes.
    Drop,
    /// Its end is cut off.
    Truncate,
    /// It is cut into documents; those without a label go.
    Split,
}

/// How documents become ids and labels.
#[derive(Debug)]
pub struct Rules {
    /// Tokens of a document, at most.
    pub max_length: usize,
    /// What becomes of longer ones.
    pub too_long: TooLong,
    /// Whether everything is learned, not only what the template says.
    pub everything: bool,
    /// The token that every document begins with, added where it is not there.
    pub begin: Option<u32>,
}

/// Why a row gives no document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A turn in a role that the template does not know.
    Role,
    /// Turns in an order that the template does not have.
    Order,
    /// No answer, or none that has a token.
    NoLabel,
    /// Its text holds a mark of the template.
    Mark,
    /// Its text would become a token that only the template may write.
    Control,
    /// More tokens than allowed.
    TooLong,
    /// No label within the tokens that are allowed.
    CutOff,
}

impl Reason {
    /// All of them, in the order of their numbers.
    pub const ALL: [(Self, &'static str); 7] = [
        (Self::Role, "unknown_role"),
        (Self::Order, "turn_order"),
        (Self::NoLabel, "no_label"),
        (Self::Mark, "template_mark"),
        (Self::Control, "control_token"),
        (Self::TooLong, "too_long"),
        (Self::CutOff, "no_label_left"),
    ];
}

impl From<Refused> for Reason {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Role(_) => Self::Role,
            Refused::Order => Self::Order,
            Refused::NoAnswer => Self::NoLabel,
            Refused::Mark => Self::Mark,
        }
    }
}

/// Rows as documents.
pub trait Documents: Sync {
    /// Writes `row` into an empty document.
    fn write(&self, row: usize, into: &mut Document) -> std::result::Result<(), Refused>;
}

/// Rows as a template writes them.
pub struct Templated<'a> {
    /// The template.
    pub template: &'a Template,
    /// Its marks and what becomes of text that holds one.
    pub marks: &'a Marks,
    /// The rows.
    pub source: Rows<'a>,
}

impl Documents for Templated<'_> {
    fn write(&self, row: usize, into: &mut Document) -> std::result::Result<(), Refused> {
        self.template.write(&self.source, row, self.marks, into)
    }
}

/// The documents of some rows, one after the other.
#[derive(Debug, Default)]
pub struct Batch {
    /// The row of each document.
    pub row: Vec<u32>,
    /// Which of its row's documents it is, from 0.
    pub part: Vec<u32>,
    /// Where each ends in `ids` and `labels`.
    pub ends: Vec<usize>,
    /// Token ids.
    pub ids: Vec<i32>,
    /// The id where it is learned, else [`IGNORED`].
    pub labels: Vec<i32>,
    /// Rows that give no document.
    pub dropped: Vec<(u32, Reason)>,
    /// Rows whose text holds a mark.
    pub marked: u64,
    /// Rows that were cut.
    pub cut: u64,
}

/// The documents of `rows`, in batches of at most `block` rows.
pub fn tokenize(
    documents: &dyn Documents,
    rows: &[u32],
    encoder: &Encoder,
    rules: &Rules,
    block: usize,
    control: &Watch,
) -> Result<Vec<Batch>> {
    let batches: Result<Vec<Vec<Batch>>> = rows
        .par_chunks(block)
        .map(|rows| {
            encoder.with_cache(|cache| {
                let mut batches = vec![Batch::default()];
                let (mut document, mut tokens, mut learned) = (Document::default(), Vec::new(), Vec::new());
                let mut pace = Pace::new(control);
                for &row in rows {
                    if batches.last().is_some_and(|batch| batch.ids.len() >= FULL) {
                        batches.push(Batch::default());
                    }
                    let last = batches.len() - 1;
                    let batch = &mut batches[last];
                    document.clear();
                    let written = documents.write(row as usize, &mut document);
                    batch.marked += u64::from(document.marked);
                    let outcome = match written {
                        Err(refused) => Err(refused.into()),
                        Ok(()) if !encoder.encode(&document, cache, &mut tokens)? => Err(Reason::Control),
                        Ok(()) => {
                            label(&document.parts, &tokens, rules.everything, &mut learned);
                            batch.add(row, &tokens, &learned, rules)
                        }
                    };
                    if let Err(reason) = outcome {
                        batch.dropped.push((row, reason));
                    }
                    pace.step(document.text.len())?;
                }
                pace.flush()?;
                Ok(batches)
            })
        })
        .collect();
    Ok(batches?.into_iter().flatten().collect())
}

/// Which of `tokens` stand for a byte of a learned part.
fn label(parts: &[Part], tokens: &[Token], everything: bool, learned: &mut Vec<bool>) {
    learned.clear();
    let mut first = 0;
    for token in tokens {
        while first < parts.len() && parts[first].end <= token.start {
            first += 1;
        }
        let mut begin = token.start;
        let overlaps = parts[first.min(parts.len())..].iter().take_while(|part| {
            let here = begin < token.end.max(token.start + 1);
            begin = part.end;
            here
        });
        learned.push(everything || overlaps.into_iter().any(|part| part.trained));
    }
}

impl Batch {
    fn add(
        &mut self,
        row: u32,
        tokens: &[Token],
        learned: &[bool],
        rules: &Rules,
    ) -> std::result::Result<(), Reason> {
        let begin = rules.begin.filter(|id| tokens.first().is_none_or(|token| token.id != *id));
        let length = tokens.len() + usize::from(begin.is_some());
        let has_label = |from: usize, to: usize, begin: Option<u32>| {
            learned[from + usize::from(begin.is_none() && from < to)..to].contains(&true)
        };
        if !has_label(0, tokens.len(), begin) {
            return Err(Reason::NoLabel);
        }
        if length <= rules.max_length {
            self.push(row, 0, begin, tokens, learned);
            return Ok(());
        }
        if rules.too_long == TooLong::Drop {
            return Err(Reason::TooLong);
        }
        // Every piece begins as the whole does.
        let start = rules.begin.or(begin);
        let (mut from, mut part, mut begin) = (0, 0, begin);
        while from < tokens.len() {
            let to = tokens.len().min(from + rules.max_length - usize::from(begin.is_some()));
            if has_label(from, to, begin) {
                self.push(row, part, begin, &tokens[from..to], &learned[from..to]);
                part += 1;
            }
            if rules.too_long == TooLong::Truncate {
                break;
            }
            (from, begin) = (to, start);
        }
        self.cut += u64::from(part > 0);
        if part == 0 { Err(Reason::CutOff) } else { Ok(()) }
    }

    fn push(&mut self, row: u32, part: u32, begin: Option<u32>, tokens: &[Token], learned: &[bool]) {
        let document = self.labels.len();
        let ids = begin.into_iter().chain(tokens.iter().map(|token| token.id));
        // A vocabulary has far fewer tokens than 32 bits count.
        self.ids.extend(ids.map(u32::cast_signed));
        self.labels.extend(begin.map(|_| IGNORED));
        let labels = tokens.iter().zip(learned);
        self.labels
            .extend(labels.map(|(token, learned)| if *learned { token.id.cast_signed() } else { IGNORED }));
        if let Some(first) = self.labels.get_mut(document) {
            *first = IGNORED;
        }
        self.row.push(row);
        self.part.push(part);
        self.ends.push(self.ids.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(start: usize, end: usize) -> Token {
        Token { id: 7, start, end }
    }

    #[test]
    fn a_token_is_learned_when_it_holds_a_learned_byte() {
        let part = |end, trained| Part { end, data: false, trained };
        let parts = [part(4, false), part(8, true), part(10, false)];
        let tokens =
            [token(0, 4), token(3, 5), token(4, 4), token(5, 8), token(7, 9), token(8, 10), token(10, 10)];
        let mut learned = Vec::new();
        label(&parts, &tokens, false, &mut learned);
        assert_eq!(learned, [false, true, true, true, true, false, false]);
    }

    #[test]
    fn pieces_keep_every_token_once_and_have_a_label() {
        let tokens: Vec<Token> = (0..10).map(|at| Token { id: at, start: 0, end: 0 }).collect();
        let learned: Vec<bool> = (0..10).map(|at| (4..=7).contains(&at)).collect();
        let rules = |too_long| Rules { max_length: 4, too_long, everything: false, begin: Some(99) };
        let mut batch = Batch::default();
        assert_eq!(batch.add(0, &tokens, &learned, &rules(TooLong::Drop)), Err(Reason::TooLong));
        assert_eq!(batch.add(0, &tokens, &learned, &rules(TooLong::Truncate)), Err(Reason::CutOff));
        assert_eq!(batch.add(5, &tokens, &learned, &rules(TooLong::Split)), Ok(()));
        assert_eq!(batch.ids, [99, 3, 4, 5, 99, 6, 7, 8]);
        assert_eq!(batch.labels, [-100, -100, 4, 5, -100, 6, 7, -100]);
        assert_eq!((batch.part, batch.ends, batch.cut), (vec![0, 1], vec![4, 8], 1));
    }
}
