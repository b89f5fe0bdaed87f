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
