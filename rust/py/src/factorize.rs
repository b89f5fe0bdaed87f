//! Border of `chaffinch_core::factorize`.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, StringViewArray, UInt32Array, UInt64Array};
use arrow_schema::{DataType, Field, Schema};
use chaffinch_core::factorize as core;
use pyo3::prelude::*;
use pyo3_arrow::{PyArray, PyTable};

use crate::door::Threads;
use crate::error::BorderError;
use crate::labels::LabelColumn;
use crate::{answer, door};

/// Codes rows by their tuples of labels: `(codes, tuples, counts)`.
#[pyfunction]
#[pyo3(signature = (columns, *, threads=None, progress=None))]
pub(crate) fn factorize(
    py: Python<'_>,
    columns: PyTable,
    threads: Option<Threads>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<(PyArray, PyTable, PyTable)> {
    let (batches, schema) = columns.into_inner();
    let factors = door::enter(py, threads, progress, |control| {
        let columns = (0..schema.fields().len())
            .map(|index| LabelColumn::new(batches.iter().map(|batch| batch.column(index).clone()).collect()))
            .collect::<Result<Vec<_>, _>>()?;
        let labels: Vec<&dyn core::Labels> =
            columns.iter().map(|column| column as &dyn core::Labels).collect();
        Ok(core::factorize(&labels, control)?)
    })?;
    let fields = schema.fields().iter().map(|field| Field::new(field.name(), DataType::Utf8View, true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let values = factors.values.into_iter().map(|column| answer::array(StringViewArray::from_iter(column)));
    let options = RecordBatchOptions::new().with_row_count(Some(factors.rows.len()));
    let tuples =
        RecordBatch::try_new_with_options(schema.clone(), values.collect::<Vec<ArrayRef>>(), &options)
            .map_err(BorderError::from)?;
    let counts = answer::table([
        ("rows", answer::array(UInt64Array::from(factors.rows))),
        ("first", answer::array(UInt32Array::from(factors.first))),
    ])?;
    let codes = PyArray::from_array_ref(answer::array(UInt32Array::from(factors.codes)));
    Ok((codes, PyTable::try_new(vec![tuples], schema)?, counts))
}
