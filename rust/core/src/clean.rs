//! Rows that are broken, too short, too long or say what must not be said: one pass over the text, first broken rule wins.

use std::borrow::Cow;

use memchr::memmem::Finder;
use rayon::prelude::*;

use crate::control::Pace;
use crate::text::{Conversations, Texts, is_blank, is_python_space};
use crate::{Control, Result};

/// What a length is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Unicode code points: Python's `len(text)`.
    Characters,
    /// Python's `len(text.split(" "))`: the number of spaces plus one, so an empty text has one "word".
    SpaceWords,
    /// Python's `len(text.split())`: maximal runs without white space, by Python's own set of it.
    WhitespaceWords,
}

impl Unit {
    /// The length of `text`.
    pub fn count(self, text: &str) -> u64 {
        let count = match self {
            Self::Characters => text.chars().count(),
            Self::SpaceWords => memchr::memchr_iter(b' ', text.as_bytes()).count() + 1,
            Self::WhitespaceWords => text.split(is_python_space).filter(|word| !word.is_empty()).count(),
        };
        count as u64
    }
}

/// What a rule looks for.
pub enum Test<'a> {
    /// A conversation in which the assistant says nothing at all.
    NoAssistantTurn,
    /// A conversation with an assistant's turn of nothing but white space.
    EmptyAssistantTurn,
    /// A conversation with a turn of user or assistant of nothing but white space.
    EmptyTurn,
    /// The column is empty or nothing but white space.
    Blank {
        /// Which column.
        column: usize,
    },
    /// The column is shorter than `min` or longer than `max`.
    Length {
        /// Which column.
        column: usize,
        /// Counted in what.
        unit: Unit,
        /// Shortest length allowed.
        min: u64,
        /// Longest length allowed.
        max: u64,
    },
    /// The column contains one of the texts, byte for byte.
    Contains {
        /// Which column.
        column: usize,
        /// The texts.
        texts: Vec<Finder<'a>>,
    },
}

/// A rule, perhaps only for some rows.
pub struct Rule<'a> {
    /// What it looks for.
    pub test: Test<'a>,
    /// Whether it holds for rows of the source with this code; for all when `None`.
    pub sources: Option<Vec<bool>>,
}

/// The rows and what is known of them.
pub struct Cleaning<'a> {
    /// The columns that rules name.
    pub columns: &'a [&'a dyn Texts],
    /// The conversations of the same rows.
    pub conversations: &'a dyn Conversations,
    /// The source of every row, as a code.
    pub sources: &'a [u32],
    /// The rules, in order.
    pub rules: &'a [Rule<'a>],
}

/// For each of `rows` the first rule it breaks, counted from 1; 0 for a clean row.
pub fn clean(cleaning: &Cleaning<'_>, rows: &[u32], control: &Control) -> Result<Vec<u16>> {
    let mut broken = vec![0u16; rows.len()];
    broken.par_chunks_mut(4096).zip(rows.par_chunks(4096)).try_for_each(|(broken, rows)| {
        let mut pace = Pace::new(control);
        for (slot, &row) in broken.iter_mut().zip(rows) {
            let mut texts: Vec<Option<Cow<'_, str>>> = vec![None; cleaning.columns.len()];
            let first =
                cleaning.rules.iter().position(|rule| cleaning.breaks(rule, row as usize, &mut texts));
            // Rules come from a recipe; one with 65,535 of them is refused at the border.
            *slot = first.map_or(0, |rule| u16::try_from(rule + 1).unwrap_or(u16::MAX));
            pace.step(texts.iter().flatten().map(|text| text.len()).sum())?;
        }
        pace.flush()
    })?;
    Ok(broken)
}

impl<'a> Cleaning<'a> {
    /// A column's text, fetched once a row however many rules look at it.
    fn text<'t>(&self, column: usize, row: usize, texts: &'t mut [Option<Cow<'a, str>>]) -> &'t str {
        texts[column].get_or_insert_with(|| self.columns[column].get(row))
    }

    fn breaks(&self, rule: &Rule<'_>, row: usize, texts: &mut [Option<Cow<'a, str>>]) -> bool {
        if rule.sources.as_ref().is_some_and(|holds| !holds[self.sources[row] as usize]) {
            return false;
        }
        match &rule.test {
            Test::NoAssistantTurn => {
                let turns = self.conversations.turns(row);
                !turns.is_empty() && !turns.iter().any(|(role, _)| role == "assistant")
            }
            Test::EmptyAssistantTurn => self
                .conversations
                .turns(row)
                .iter()
                .any(|(role, content)| role == "assistant" && is_blank(content)),
            Test::EmptyTurn => {
                let speaks = |role: &str| role == "user" || role == "assistant";
                self.conversations.turns(row).iter().any(|(role, content)| speaks(role) && is_blank(content))
            }
            Test::Blank { column } => is_blank(self.text(*column, row, texts)),
            Test::Length { column, unit, min, max } => {
                !(*min..=*max).contains(&unit.count(self.text(*column, row, texts)))
            }
            Test::Contains { column, texts: forbidden } => {
                let text = self.text(*column, row, texts).as_bytes();
                forbidden.iter().any(|finder| finder.find(text).is_some())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_pythons() {
        assert_eq!(Unit::SpaceWords.count(""), 1);
        assert_eq!(Unit::SpaceWords.count("a  b\nc "), 4);
        assert_eq!(Unit::WhitespaceWords.count("\u{1c}a\u{1f}b\u{85}c\u{200b}d "), 3);
        assert_eq!(Unit::WhitespaceWords.count(" \n"), 0);
        assert_eq!(Unit::Characters.count("é😀"), 2);
    }
}
