//! Border of `chaffinch_core::bucket`.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type};
use arrow_array::{Array, DictionaryArray, Int32Array, StringArray};
use arrow_schema::DataType;
use chaffinch_core::bucket::Buckets;
use pyo3::prelude::*;
use pyo3_arrow::{PyArray, PyChunkedArray};

use crate::door::Threads;
use crate::error::BorderError;
use crate::{answer, door};

/// The bucket of every score, as a dictionary of labels.
#[pyfunction]
#[pyo3(signature = (scores, edges, *, labels=None))]
pub(crate) fn bucket(
    py: Python<'_>,
    scores: PyChunkedArray,
    edges: Vec<f64>,
    labels: Option<Vec<String>>,
) -> PyResult<PyArray> {
    let buckets = Buckets::new(edges).map_err(BorderError::from)?;
    let labels = buckets.labels(labels).map_err(BorderError::from)?;
    let dictionary = door::enter(py, Some(Threads::ONE), None, |control| {
        let mut codes: Vec<i32> = Vec::new();
        for chunk in scores.into_inner().0 {
            let floats = arrow_cast::cast(&chunk, &DataType::Float64)?;
            let floats = floats.as_primitive::<Float64Type>();
            // A recipe's edges are far fewer than 2^31.
            codes.extend(floats.iter().map(|score| i32::try_from(buckets.code(score)).unwrap_or(i32::MAX)));
            control.advance(chunk.len() as u64)?;
        }
        let values = answer::array(StringArray::from_iter_values(labels));
        Ok(DictionaryArray::<Int32Type>::try_new(Int32Array::from(codes), values)?)
    })?;
    Ok(PyArray::from_array_ref(answer::array(dictionary)))
}
