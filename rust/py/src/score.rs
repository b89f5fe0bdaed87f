//! Border of `chaffinch_core::score`.

use arrow_array::Float64Array;
use arrow_array::types::UInt8Type;
use chaffinch_core::Error;
use chaffinch_core::rouge::Measure;
use chaffinch_core::score::{Answers, Form, Label, score as measured};
use pyo3::prelude::*;
use pyo3_arrow::{PyArray, PyChunkedArray};

use crate::columns::{TextColumn, numbers};
use crate::door::Threads;
use crate::error::{BorderError, Result};
use crate::rouge::ReferenceColumn;
use crate::{answer, door};

/// The score of each answer, null where there is none. `measures`: 0 nothing, 1 exact match, 2 generation.
#[pyfunction]
#[pyo3(signature = (answers, references, measures, *, normal_form, metric, compat, threads=None, progress=None))]
#[expect(clippy::too_many_arguments, reason = "they are Python keywords")]
#[expect(clippy::needless_pass_by_value, reason = "a list from Python comes as a Vec")]
pub(crate) fn score(
    py: Python<'_>,
    answers: PyChunkedArray,
    references: PyChunkedArray,
    measures: PyArray,
    normal_form: Vec<String>,
    metric: &str,
    compat: &str,
    threads: Option<Threads>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<PyArray> {
    let measure = Measure::parse(metric, compat, false).map_err(BorderError::from)?;
    let form = form(&normal_form)?;
    let measures = numbers::<UInt8Type>("measures", measures)?;
    let scores = door::enter(py, threads, progress, |control| {
        let labels: Vec<Label> = measures
            .values()
            .iter()
            .map(|code| match code {
                1 => Label::ExactMatch,
                2 => Label::Generation,
                _ => Label::Nothing,
            })
            .collect();
        let spec = Answers {
            answers: &TextColumn::from_python(answers)?,
            references: &ReferenceColumn::new(references.into_inner().0)?,
            labels: &labels,
            form,
            measure,
        };
        Ok(measured(&spec, control)?)
    })?;
    Ok(PyArray::from_array_ref(answer::array(Float64Array::from(scores))))
}

fn form(names: &[String]) -> Result<Form> {
    let mut form = Form::default();
    for name in names {
        match name.as_str() {
            "strip" => form.is_stripped = true,
            "lowercase" => form.is_lowercase = true,
            "no-full-stops" => form.is_without_full_stops = true,
            _ => {
                return Err(Error::OutOfRange {
                    name: "normal_form",
                    value: name.clone(),
                    expected: "`strip`, `lowercase` and `no-full-stops`",
                }
                .into());
            }
        }
    }
    Ok(form)
}
