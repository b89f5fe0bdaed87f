//! Border of `chaffinch_core::dedup`.

use arrow_array::UInt32Array;
use arrow_array::UInt64Array;
use arrow_array::types::{UInt32Type, UInt64Type};
use chaffinch_core::clean::Unit;
use chaffinch_core::control::Pace;
use chaffinch_core::dedup::{self as core, NormalForm};
use chaffinch_core::hash::Hashes;
use chaffinch_core::text::Texts;
use pyo3::prelude::*;
use pyo3_arrow::{PyArray, PyChunkedArray, PyTable};
use rayon::prelude::*;

use crate::columns::{Field, HashColumn, RowTexts, numbers, with_texts};
use crate::door::Threads;
use crate::error::BorderError;
use crate::{answer, door};

/// Rows whose texts are equal under a normal form: `(row, witness)`. With `fields` the table is the store's and they name what to compare;
/// without, every column of it is a text to compare.
#[pyfunction]
#[pyo3(signature = (
    table, *, normal_form, fields=None, rows=None, groups=None, priority=None, content=None, identity=None, match_empty=false,
    threads=None, progress=None
))]
#[expect(clippy::too_many_arguments, reason = "they are Python keywords")]
pub(crate) fn exact_duplicates(
    py: Python<'_>,
    table: PyTable,
    normal_form: &str,
    fields: Option<Vec<String>>,
    rows: Option<PyArray>,
    groups: Option<PyArray>,
    priority: Option<PyArray>,
    content: Option<PyChunkedArray>,
    identity: Option<PyChunkedArray>,
    match_empty: bool,
    threads: Option<Threads>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<PyTable> {
    let normal_form = NormalForm::parse(normal_form).map_err(BorderError::from)?;
    let rows = rows.map(|array| numbers::<UInt32Type>("rows", array)).transpose()?;
    let groups = groups.map(|array| numbers::<UInt32Type>("groups", array)).transpose()?;
    let priority = priority.map(|array| numbers::<UInt64Type>("priority", array)).transpose()?;
    let content = content.map(|column| HashColumn::new(column.into_inner().0)).transpose()?;
    let identity = identity.map(|column| HashColumn::new(column.into_inner().0)).transpose()?;
    let duplicates = door::enter(py, threads, progress, |control| {
        with_texts(table, fields, |columns| {
            let exact = core::Exact {
                columns,
                normal_form,
                rows: rows.as_ref().map(|rows| &**rows.values()),
                groups: groups.as_ref().map(|groups| &**groups.values()),
                priority: priority.as_ref().map(|priority| &**priority.values()),
                content: content.as_ref().map(|hashes| hashes as &dyn Hashes),
                identity: identity.as_ref().map(|hashes| hashes as &dyn Hashes),
                match_empty,
            };
            Ok(core::exact_duplicates(&exact, control)?)
        })
    })?;
    answer::table([
        ("row", answer::array(UInt32Array::from_iter_values(duplicates.iter().map(|found| found.row)))),
        (
            "witness",
            answer::array(UInt32Array::from_iter_values(duplicates.iter().map(|found| found.witness))),
        ),
    ])
}

/// The length in characters of one field of every row of the store's table.
#[pyfunction]
#[pyo3(signature = (table, field, *, threads=None, progress=None))]
pub(crate) fn lengths(
    py: Python<'_>,
    table: PyTable,
    field: &str,
    threads: Option<Threads>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<PyArray> {
    let field = Field::parse(field)?;
    let lengths = door::enter(py, threads, progress, |control| {
        let texts = RowTexts::from_python(table)?;
        let column = texts.column(field);
        let mut lengths = vec![0u64; texts.len()];
        lengths.par_chunks_mut(4096).enumerate().try_for_each(|(block, lengths)| {
            let mut pace = Pace::new(control);
            for (offset, length) in lengths.iter_mut().enumerate() {
                let text = column.get(block * 4096 + offset);
                *length = Unit::Characters.count(&text);
                pace.step(text.len())?;
            }
            pace.flush()
        })?;
        Ok(lengths)
    })?;
    Ok(PyArray::from_array_ref(answer::array(UInt64Array::from(lengths))))
}

/// The second and later copies of rows: `(row, occurrence)`.
#[pyfunction]
#[pyo3(signature = (row_hash, *, threads=None, progress=None))]
pub(crate) fn occurrences(
    py: Python<'_>,
    row_hash: PyChunkedArray,
    threads: Option<Threads>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<PyTable> {
    let hashes = HashColumn::new(row_hash.into_inner().0)?;
    let found = door::enter(py, threads, progress, |control| Ok(core::occurrences(&hashes, control)?))?;
    answer::table([
        ("row", answer::array(UInt32Array::from_iter_values(found.iter().map(|found| found.row)))),
        (
            "occurrence",
            answer::array(UInt32Array::from_iter_values(found.iter().map(|found| found.occurrence))),
        ),
    ])
}
