//! Columns of text, wherever they lie.

use std::borrow::Cow;

/// A column of text read by row number. A null reads as the empty text.
pub trait Texts: Sync {
    /// Number of rows.
    fn len(&self) -> usize;
    /// The text of `row`; borrowed where the memory allows.
    fn get(&self, row: usize) -> Cow<'_, str>;
    /// Whether there are no rows.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T: AsRef<str> + Sync> Texts for [T] {
    fn len(&self) -> usize {
        <[T]>::len(self)
    }
    fn get(&self, row: usize) -> Cow<'_, str> {
        Cow::Borrowed(self[row].as_ref())
    }
}

impl<T: AsRef<str> + Sync> Texts for Vec<T> {
    fn len(&self) -> usize {
        Self::len(self)
    }
    fn get(&self, row: usize) -> Cow<'_, str> {
        Cow::Borrowed(self[row].as_ref())
    }
}

/// Some rows of a column, counted anew.
pub struct Chosen<'a> {
    /// The column.
    pub texts: &'a dyn Texts,
    /// Its rows.
    pub rows: &'a [u32],
}

impl Texts for Chosen<'_> {
    fn len(&self) -> usize {
        self.rows.len()
    }
    fn get(&self, row: usize) -> Cow<'_, str> {
        self.texts.get(self.rows[row] as usize)
    }
}

/// One turn of a conversation: who speaks, and what.
pub type Turn<'a> = (Cow<'a, str>, Cow<'a, str>);

/// The conversations of rows, read by row number.
pub trait Conversations: Sync {
    /// The turns of `row`; none when the row is not a conversation.
    fn turns(&self, row: usize) -> Vec<Turn<'_>>;
}

/// Python's `str.isspace`: Unicode's `White_Space` and the four separators U+001C to U+001F, which Rust leaves out.
pub fn is_python_space(character: char) -> bool {
    character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
}

/// Whether `text` is empty or nothing but white space: Python's `not text.strip()`.
pub fn is_blank(text: &str) -> bool {
    text.chars().all(is_python_space)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pythons_separators_are_white_space() {
        assert!(is_blank("\u{1c}\u{1f}\u{2028}\u{85}\t "));
        assert!(!is_blank("\u{200b}"), "a zero-width space is no white space, in Python either");
    }
}
