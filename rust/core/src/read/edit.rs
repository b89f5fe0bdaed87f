//! Named changes of the text itself, made while reading.

use super::entries::Entries;
use super::{Row, Span};
use crate::hash;
use crate::text::is_python_space;

/// The field an edit changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The instruction.
    Instruction,
    /// The input.
    Input,
    /// Every reference.
    Output,
}

/// What an edit does to a text.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Takes the first of these suffixes that the text has off its end, once.
    StripSuffix(Vec<String>),
    /// A text equal to one of these becomes empty.
    Blank(Vec<String>),
    /// The text of this share of the rows in lower case.
    Lowercase(f64),
    /// Takes everything from the last `####` on out of the reasoning before the first `The answer is:`, and puts exactly one line
    /// break between the two; white space at the ends goes (Birbal's `prepare_math_reasoning_dataset.py`, `format_response`).
    MathinstructReasoning,
}

/// A named change of one field.
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    /// What it does.
    pub action: Action,
    /// To which field.
    pub target: Target,
}

/// Keys the choice of the rows that [`Action::Lowercase`] takes; fixed, as the recipe's seed is for sampling.
const LOWERCASE_SEED: u64 = 0x6368_6166_6669_6e63;

const ANSWER: &str = "The answer is:";

impl Action {
    /// Whether rows with this content are its business.
    pub(crate) fn takes(&self, row: &Row<'_>) -> bool {
        match self {
            // 2^64 as a float; the share of all places below the threshold is the fraction.
            Self::Lowercase(fraction) => {
                (hash::place(&row.content_hash(hash::text(row.instruction)), LOWERCASE_SEED) as f64)
                    < fraction * 18_446_744_073_709_551_616.0
            }
            _ => true,
        }
    }

    /// The text after the edit, `None` when it stays as it is.
    pub(crate) fn apply(&self, entries: &mut Entries, span: Span) -> Option<Span> {
        let text = span.of(&entries.text);
        match self {
            Self::StripSuffix(suffixes) => {
                let suffix =
                    suffixes.iter().find(|suffix| !suffix.is_empty() && text.ends_with(suffix.as_str()))?;
                Some(Span::new(span.start as usize, span.end as usize - suffix.len()))
            }
            Self::Blank(values) => {
                (!text.is_empty() && values.iter().any(|value| value == text)).then(|| Span::new(0, 0))
            }
            Self::Lowercase(_) => {
                let lower = text.to_lowercase();
                (lower != text).then(|| entries.keep(&lower))
            }
            Self::MathinstructReasoning => {
                let edited = match text.split_once(ANSWER) {
                    Some((reasoning, answer)) => {
                        let reasoning = reasoning.rsplit_once("####").map_or(reasoning, |(before, _)| before);
                        let joined = [reasoning.trim_matches(is_python_space), "\n", ANSWER, answer].concat();
                        joined.trim_matches(is_python_space).to_owned()
                    }
                    None => text.trim_matches(is_python_space).to_owned(),
                };
                (edited != text).then(|| entries.keep(&edited))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(action: &Action, text: &str) -> Option<String> {
        let mut entries = Entries::default();
        let span = entries.keep(text);
        action.apply(&mut entries, span).map(|span| span.of(&entries.text).to_owned())
    }

    #[test]
    fn each_edit_changes_what_it_names_and_nothing_else() {
        let strip = Action::StripSuffix(vec!["<|endoftext|>".to_owned()]);
        assert_eq!(edited(&strip, "a<|endoftext|><|endoftext|>").as_deref(), Some("a<|endoftext|>"));
        assert_eq!(edited(&strip, "<|endoftext|> a"), None);
        let blank = Action::Blank(vec!["No input".to_owned()]);
        assert_eq!(edited(&blank, "No input").as_deref(), Some(""));
        assert_eq!(edited(&blank, "No input."), None);
        assert_eq!(edited(&Action::Lowercase(1.0), "Ärger 3").as_deref(), Some("ärger 3"));
        let math = Action::MathinstructReasoning;
        assert_eq!(
            edited(&math, "a #### b\n#### 7\nThe answer is: 7").as_deref(),
            Some("a #### b\nThe answer is: 7")
        );
        assert_eq!(
            edited(&math, "so 3 + 4  The answer is: 7 The answer is: 8\u{1f}").as_deref(),
            Some("so 3 + 4\nThe answer is: 7 The answer is: 8")
        );
        assert_eq!(edited(&math, "The answer is: #### 7"), None);
        assert_eq!(edited(&math, "#### 7"), None);
        assert_eq!(edited(&math, "7\nThe answer is: 7"), None);
    }
}
