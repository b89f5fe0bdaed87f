//! What border functions give back.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use pyo3::prelude::*;
use pyo3_arrow::PyTable;

use crate::error::BorderError;

/// A table of one batch.
pub(crate) fn table<'a>(columns: impl IntoIterator<Item = (&'a str, ArrayRef)>) -> PyResult<PyTable> {
    let batch = RecordBatch::try_from_iter(columns).map_err(BorderError::from)?;
    PyTable::try_new(vec![batch.clone()], batch.schema())
}

/// An array behind the pointer that Arrow wants.
pub(crate) fn array<A: arrow_array::Array + 'static>(array: A) -> ArrayRef {
    Arc::new(array)
}
