//! Border of `chaffinch_core::dedup::spans`.

use arrow_array::{LargeStringArray, UInt32Array};
use chaffinch_core::dedup::spans::{Repeated, repeated_spans as find};
use pyo3::prelude::*;
use pyo3_arrow::PyTable;

use crate::columns::with_texts;
use crate::{answer, door};

/// The longest passages that many rows of a table's one column share: `(text, words, rows)`.
#[pyfunction]
#[pyo3(signature = (table, *, min_words, min_rows, top, threads=None))]
pub(crate) fn repeated_spans(
    py: Python<'_>,
    table: PyTable,
    min_words: usize,
    min_rows: usize,
    top: usize,
    threads: Option<usize>,
) -> PyResult<PyTable> {
    let (texts, found) = door::enter(py, threads, None, |control| {
        with_texts(table, None, |columns| {
            let found = find(columns[0], Repeated { min_words, min_rows, top }, control)?;
            let text = |span: &chaffinch_core::dedup::spans::Span| {
                columns[0].get(span.row as usize)[span.bytes.clone()].to_owned()
            };
            Ok((found.iter().map(text).collect::<Vec<String>>(), found))
        })
    })?;
    answer::table([
        ("text", answer::array(LargeStringArray::from_iter_values(texts))),
        ("words", answer::array(UInt32Array::from_iter_values(found.iter().map(|span| span.words)))),
        ("rows", answer::array(UInt32Array::from_iter_values(found.iter().map(|span| span.rows)))),
    ])
}
