//! Border of `chaffinch_core::sample`.

use arrow_array::UInt32Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt32Type, UInt64Type};
use arrow_schema::DataType;
use chaffinch_core::hash::{self, ContentHash, Hashes};
use chaffinch_core::sample::{self as core, Request, Shortfall, Weights};
use chaffinch_core::text::Texts;
use chaffinch_core::{Control, Error};
use pyo3::prelude::*;
use pyo3_arrow::{PyArray, PyChunkedArray, PyTable};
use rayon::prelude::*;

use crate::columns::{HashColumn, TextColumn, numbers};
use crate::door::Threads;
use crate::error::{BorderError, Result};
use crate::{answer, door};

/// Draws exactly `quotas[stratum]` rows of each stratum: `(row, stratum)` in the order of their places.
#[pyfunction]
#[pyo3(signature = (strata, quotas, *, seed, available=None, rows=None, keys=None, identity=None, threads=None, progress=None))]
#[expect(clippy::too_many_arguments, reason = "they are Python keywords")]
pub(crate) fn select(
    py: Python<'_>,
    strata: PyArray,
    quotas: PyArray,
    seed: u64,
    available: Option<PyArray>,
    rows: Option<PyArray>,
    keys: Option<PyChunkedArray>,
    identity: Option<PyChunkedArray>,
    threads: Option<Threads>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<PyTable> {
    let strata = numbers::<UInt32Type>("strata", strata)?;
    let quotas = numbers::<UInt64Type>("quotas", quotas)?;
    let available = available.map(|array| numbers::<UInt64Type>("available", array)).transpose()?;
    let rows = rows.map(|array| numbers::<UInt32Type>("rows", array)).transpose()?;
    let identity = identity.map(|column| HashColumn::new(column.into_inner().0)).transpose()?;
    let picks = door::enter(py, threads, progress, |control| {
        let content = keys.map_or_else(
            || Ok(Box::new(RowNumbers(strata.len())) as Box<dyn Hashes>),
            |keys| content_of(keys, control),
        )?;
        let draw = core::Draw {
            strata: strata.values(),
            quotas: quotas.values(),
            available: available.as_ref().map(|counts| &**counts.values()),
            rows: rows.as_ref().map(|rows| &**rows.values()),
            content: content.as_ref(),
            identity: identity.as_ref().map(|hashes| hashes as &dyn Hashes),
            seed,
        };
        Ok(core::select(&draw, control)?)
    })?;
    answer::table([
        ("row", answer::array(UInt32Array::from_iter_values(picks.iter().map(|pick| pick.row)))),
        ("stratum", answer::array(UInt32Array::from_iter_values(picks.iter().map(|pick| pick.stratum)))),
    ])
}

/// Rows that are told apart by their numbers alone.
struct RowNumbers(usize);

impl Hashes for RowNumbers {
    fn len(&self) -> usize {
        self.0
    }
    fn get(&self, row: usize) -> ContentHash {
        (row as u128).to_le_bytes()
    }
}

/// Content hashes as they are; texts hashed; whole numbers widened.
fn content_of(keys: PyChunkedArray, control: &Control) -> Result<Box<dyn Hashes>> {
    if matches!(keys.data_type(), DataType::FixedSizeBinary(_)) {
        return Ok(Box::new(HashColumn::new(keys.into_inner().0)?));
    }
    if !keys.data_type().is_integer() {
        let texts = TextColumn::from_python(keys)?;
        let mut hashes = vec![ContentHash::default(); texts.len()];
        hashes.par_chunks_mut(4096).enumerate().try_for_each(|(block, hashes)| {
            for (offset, hash) in hashes.iter_mut().enumerate() {
                *hash = hash::text(&texts.get(block * 4096 + offset));
            }
            control.advance(0)
        })?;
        return Ok(Box::new(hashes));
    }
    let mut numbers: Vec<ContentHash> = Vec::new();
    for chunk in keys.chunks() {
        if let Some(unsigned) = chunk.as_primitive_opt::<UInt64Type>() {
            numbers.extend(unsigned.values().iter().map(|&number| i128::from(number).to_le_bytes()));
        } else {
            let signed = arrow_cast::cast(chunk, &DataType::Int64)?;
            let signed = signed.as_primitive::<Int64Type>();
            numbers.extend(signed.values().iter().map(|&number| i128::from(number).to_le_bytes()));
        }
    }
    Ok(Box::new(numbers))
}

/// Quotas for named strata: `(asked, taken)`. Exactly one of `counts`, `fractions` and `rows` is given, `method` with the last.
#[pyfunction]
#[pyo3(signature = (
    names, available, *, shortfall, counts=None, fractions=None, rows=None, method="proportional", weights=None, cap=None,
    temperature=None
))]
#[expect(clippy::too_many_arguments, reason = "they are Python keywords")]
#[expect(clippy::needless_pass_by_value, reason = "pyo3 makes them for this call")]
pub(crate) fn allocate(
    names: Vec<String>,
    available: Vec<u64>,
    shortfall: &str,
    counts: Option<Vec<u64>>,
    fractions: Option<Vec<f64>>,
    rows: Option<u64>,
    method: &str,
    weights: Option<Vec<f64>>,
    cap: Option<u64>,
    temperature: Option<f64>,
) -> PyResult<(Vec<u64>, Vec<u64>)> {
    let unknown = |name, value: &str, expected| {
        BorderError::from(Error::OutOfRange { name, value: value.to_owned(), expected })
    };
    let shortfall = match shortfall {
        "error" => Shortfall::Error,
        "redistribute" => Shortfall::Redistribute,
        "accept" => Shortfall::Accept,
        other => return Err(unknown("shortfall", other, "`error`, `redistribute` or `accept`").into()),
    };
    let request = match (counts, fractions, rows) {
        (Some(counts), None, None) => Request::Counts(counts),
        (None, Some(fractions), None) => Request::Fractions(fractions),
        (None, None, Some(rows)) => {
            let weights = match (method, weights, temperature) {
                ("proportional", None, None) => Weights::Proportional { cap },
                ("temperature", None, Some(temperature)) => Weights::Temperature { temperature, cap },
                ("equal", None, None) => Weights::Equal,
                ("weights", Some(weights), None) => Weights::Given(weights),
                (other, ..) => {
                    let expected = "`proportional`, `equal`, `temperature` with a temperature, or `weights` with weights";
                    return Err(unknown("method", other, expected).into());
                }
            };
            Request::Total { rows, weights }
        }
        _ => {
            return Err(
                unknown("request", "several or none", "exactly one of counts, fractions and rows").into()
            );
        }
    };
    let allotments = core::allocate(&names, &available, &request, shortfall).map_err(BorderError::from)?;
    Ok(allotments.into_iter().map(|allotment| (allotment.asked, allotment.taken)).unzip())
}
