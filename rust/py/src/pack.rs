//! Border of `chaffinch_core::pack`.

use arrow_array::UInt32Array;
use arrow_array::types::UInt32Type;
use chaffinch_core::Error;
use chaffinch_core::pack::{self as core, Packing, Strategy};
use pyo3::prelude::*;
use pyo3_arrow::{PyArray, PyTable};

use crate::columns::numbers;
use crate::door::Threads;
use crate::error::BorderError;
use crate::{answer, door};

/// Puts documents of so many tokens into packs: `(pack, row, offset)` by pack and offset.
#[pyfunction]
#[pyo3(signature = (lengths, *, capacity, strategy, seed, ranks))]
pub(crate) fn pack(
    py: Python<'_>,
    lengths: PyArray,
    capacity: u32,
    strategy: &str,
    seed: u64,
    ranks: u32,
) -> PyResult<PyTable> {
    let lengths = numbers::<UInt32Type>("lengths", lengths)?;
    let strategy = match strategy {
        "best-fit" => Strategy::BestFit,
        "first-fit" => Strategy::FirstFit,
        "sequential" => Strategy::Sequential,
        _ => {
            let expected = "`best-fit`, `first-fit` or `sequential`";
            let refused = Error::OutOfRange { name: "strategy", value: strategy.to_owned(), expected };
            return Err(BorderError::from(refused).into());
        }
    };
    let packed = door::enter(py, Some(Threads::ONE), None, |control| {
        Ok(core::pack(lengths.values(), &Packing { capacity, strategy, seed, ranks }, control)?)
    })?;
    answer::table([
        ("pack", answer::array(UInt32Array::from(packed.pack))),
        ("row", answer::array(UInt32Array::from(packed.row))),
        ("offset", answer::array(UInt32Array::from(packed.offset))),
    ])
}
