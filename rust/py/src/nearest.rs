//! Border of `chaffinch_core::nearest`.

use arrow_array::types::UInt32Type;
use arrow_array::{Float64Array, UInt32Array};
use chaffinch_core::nearest::{Nearest, nearest as find};
use pyo3::prelude::*;
use pyo3_arrow::{PyArray, PyChunkedArray, PyTable};

use crate::columns::{TextColumn, numbers};
use crate::door::Threads;
use crate::{answer, door};

/// The candidates most like each query: `(query, candidate, score)`, best first.
#[pyfunction]
#[pyo3(signature = (queries, candidates, *, count, groups=None, except_=None, threads=None, progress=None))]
#[expect(clippy::too_many_arguments, reason = "they are Python keywords")]
pub(crate) fn nearest(
    py: Python<'_>,
    queries: PyChunkedArray,
    candidates: PyChunkedArray,
    count: usize,
    groups: Option<(PyArray, PyArray)>,
    except_: Option<PyArray>,
    threads: Option<Threads>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<PyTable> {
    let groups = groups
        .map(|(asked, there)| {
            let asked = numbers::<UInt32Type>("groups of the queries", asked)?;
            crate::error::Result::Ok((asked, numbers::<UInt32Type>("groups of the candidates", there)?))
        })
        .transpose()?;
    let except = except_.map(|array| numbers::<UInt32Type>("except_", array)).transpose()?;
    let hits = door::enter(py, threads, progress, |control| {
        let (queries, candidates) = (TextColumn::from_python(queries)?, TextColumn::from_python(candidates)?);
        let spec = Nearest {
            queries: &queries,
            candidates: &candidates,
            groups: groups.as_ref().map(|(asked, there)| (&**asked.values(), &**there.values())),
            except: except.as_ref().map(|except| &**except.values()),
            count,
        };
        Ok(find(&spec, control)?)
    })?;
    answer::table([
        ("query", answer::array(UInt32Array::from_iter_values(hits.iter().map(|hit| hit.query)))),
        ("candidate", answer::array(UInt32Array::from_iter_values(hits.iter().map(|hit| hit.candidate)))),
        ("score", answer::array(Float64Array::from_iter_values(hits.iter().map(|hit| hit.score)))),
    ])
}
