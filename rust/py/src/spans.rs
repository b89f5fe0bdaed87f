//! Border of `chaffinch_core::dedup::spans`.

use arrow_array::types::UInt32Type;
use arrow_array::{LargeStringArray, UInt32Array};
use chaffinch_core::dedup::spans::{Repeated, Span, repeated_spans as find};
use chaffinch_core::text::{Chosen, Texts};
use pyo3::prelude::*;
use pyo3_arrow::{PyArray, PyTable};

use crate::columns::{check_rows, numbers, with_texts};
use crate::door::Threads;
use crate::{answer, door};

/// The longest passages that many rows share: `(text, words, rows)`. With `field` the table is the store's; without, its first column is the text.
#[pyfunction]
#[pyo3(signature = (table, *, min_words, min_rows, top, field=None, rows=None, threads=None))]
#[expect(clippy::too_many_arguments, reason = "they are Python keywords")]
pub(crate) fn repeated_spans(
    py: Python<'_>,
    table: PyTable,
    min_words: usize,
    min_rows: usize,
    top: usize,
    field: Option<String>,
    rows: Option<PyArray>,
    threads: Option<Threads>,
) -> PyResult<PyTable> {
    let rows = rows.map(|array| numbers::<UInt32Type>("rows", array)).transpose()?;
    let (texts, found) = door::enter(py, threads, None, |control| {
        with_texts(table, field.map(|field| vec![field]), |columns| {
            let some = rows.as_ref().map(|rows| Chosen { texts: columns[0], rows: rows.values() });
            if let Some(some) = &some {
                check_rows(some.rows, columns[0].len())?;
            }
            let texts = some.as_ref().map_or(columns[0], |some| some as &dyn Texts);
            let found = find(texts, Repeated { min_words, min_rows, top }, control)?;
            let text = |span: &Span| texts.get(span.row as usize)[span.bytes.clone()].to_owned();
            Ok((found.iter().map(text).collect::<Vec<String>>(), found))
        })
    })?;
    answer::table([
        ("text", answer::array(LargeStringArray::from_iter_values(texts))),
        ("words", answer::array(UInt32Array::from_iter_values(found.iter().map(|span| span.words)))),
        ("rows", answer::array(UInt32Array::from_iter_values(found.iter().map(|span| span.rows)))),
    ])
}
