//! Border of `chaffinch_core::dedup::near`.

use arrow_array::cast::AsArray;
use arrow_array::types::{UInt32Type, UInt64Type};
use arrow_array::{Array, BooleanArray, Float64Array, LargeListArray, UInt32Array, UInt64Array};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{ArrowError, DataType, Field as ArrowField};
use chaffinch_core::dedup::near::{
    Field as NearField, Near, Sets, Shingles, Unit, Witness, near_duplicates as find,
    shingle_sets as find_sets,
};
use chaffinch_core::hash::{self, ContentHash, Hashes};
use chaffinch_core::text::Texts;
use chaffinch_core::{Control, Error};
use pyo3::prelude::*;
use pyo3_arrow::{PyArray, PyChunkedArray, PyTable};
use rayon::prelude::*;

use crate::chunks::Chunks;
use crate::columns::{HashColumn, TextColumn, check_rows, numbers, with_texts};
use crate::door::Threads;
use crate::error::{BorderError, Result};
use crate::{answer, door};

/// A column of sets: `large_list<uint64>` without nulls.
struct SetColumn(Chunks<LargeListArray>);

impl SetColumn {
    fn new(column: PyChunkedArray) -> Result<Self> {
        let arrays = column.into_inner().0.into_iter().map(|chunk| match chunk.as_list_opt::<i64>() {
            Some(lists)
                if lists.null_count() == 0
                    && lists.value_type() == DataType::UInt64
                    && lists.values().null_count() == 0 =>
            {
                Ok(lists.clone())
            }
            _ => Err(ArrowError::SchemaError(format!(
                "a column of sets is {} with {} nulls, not large_list<uint64> without nulls",
                chunk.data_type(),
                chunk.null_count()
            ))
            .into()),
        });
        Ok(Self(Chunks::new(arrays.collect::<Result<_>>()?)))
    }
}

impl Sets for SetColumn {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn get(&self, row: usize) -> &[u64] {
        let (lists, index) = self.0.locate(row);
        let offsets = lists.value_offsets();
        // Arrow's offsets are never negative and lie within the values.
        let at = |offset: i64| usize::try_from(offset).unwrap_or_default();
        &lists.values().as_primitive::<UInt64Type>().values()[at(offsets[index])..at(offsets[index + 1])]
    }
}

/// Rows whose texts are alike, field by field: `(row, witness, similarity, of_against)`. With `fields` the table is the store's and they name what to
/// compare; without, every column of it is a text to compare.
#[pyfunction]
#[pyo3(signature = (
    table, *, min_similarity, ngram, unit, seed=0, fields=None, rows=None, groups=None, priority=None, content=None, identity=None,
    against=None, threads=None, progress=None
))]
#[expect(clippy::too_many_arguments, reason = "they are Python keywords")]
pub(crate) fn near_duplicates(
    py: Python<'_>,
    table: PyTable,
    min_similarity: Vec<f64>,
    ngram: usize,
    unit: &str,
    seed: u64,
    fields: Option<Vec<String>>,
    rows: Option<PyArray>,
    groups: Option<PyArray>,
    priority: Option<PyArray>,
    content: Option<PyChunkedArray>,
    identity: Option<PyChunkedArray>,
    against: Option<Vec<PyChunkedArray>>,
    threads: Option<Threads>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<PyTable> {
    let shingles = Shingles { unit: Unit::parse(unit).map_err(BorderError::from)?, size: ngram, seed };
    let rows = rows.map(|array| numbers::<UInt32Type>("rows", array)).transpose()?;
    let groups = groups.map(|array| numbers::<UInt32Type>("groups", array)).transpose()?;
    let priority = priority.map(|array| numbers::<UInt64Type>("priority", array)).transpose()?;
    let content = content.map(|column| HashColumn::new(column.into_inner().0)).transpose()?;
    let identity = identity.map(|column| HashColumn::new(column.into_inner().0)).transpose()?;
    let against = against
        .map(|columns| columns.into_iter().map(SetColumn::new).collect::<Result<Vec<_>>>())
        .transpose()?;
    let found = door::enter(py, threads, progress, |control| {
        let against: Option<Vec<&dyn Sets>> =
            against.as_ref().map(|columns| columns.iter().map(|column| column as &dyn Sets).collect());
        with_texts(table, fields, |columns| {
            if columns.len() != min_similarity.len() {
                return Err(Error::OutOfRange {
                    name: "min_similarity",
                    value: format!("{} numbers for {} columns", min_similarity.len(), columns.len()),
                    expected: "one for each column",
                }
                .into());
            }
            let fields: Vec<NearField<'_>> = columns
                .iter()
                .zip(min_similarity)
                .map(|(texts, min_similarity)| NearField { texts: *texts, min_similarity })
                .collect();
            // Without hashes of the caller's the texts themselves decide, so that the order of rows never does.
            let own = if content.is_none() { Some(content_hashes(columns, control)?) } else { None };
            let near = Near {
                fields: &fields,
                shingles,
                rows: rows.as_ref().map(|rows| &**rows.values()),
                groups: groups.as_ref().map(|groups| &**groups.values()),
                priority: priority.as_ref().map(|priority| &**priority.values()),
                content: content
                    .as_ref()
                    .map(|hashes| hashes as &dyn Hashes)
                    .or(own.as_ref().map(|hashes| hashes as &dyn Hashes)),
                identity: identity.as_ref().map(|hashes| hashes as &dyn Hashes),
                against: against.as_deref(),
            };
            Ok(find(&near, control)?)
        })
    })?;
    let witness = |witness| match witness {
        Witness::Row(row) | Witness::Against(row) => row,
    };
    let of_against = found.iter().map(|one| Some(matches!(one.witness, Witness::Against(_))));
    answer::table([
        ("row", answer::array(UInt32Array::from_iter_values(found.iter().map(|one| one.row)))),
        (
            "witness",
            answer::array(UInt32Array::from_iter_values(found.iter().map(|one| witness(one.witness)))),
        ),
        ("similarity", answer::array(Float64Array::from_iter_values(found.iter().map(|one| one.similarity)))),
        ("of_against", answer::array(of_against.collect::<BooleanArray>())),
    ])
}

fn content_hashes(columns: &[&dyn Texts], control: &Control) -> Result<Vec<ContentHash>> {
    let rows = columns.first().map_or(0, |column| column.len());
    let of_row = |row| {
        if row % 1024 == 0 {
            control.advance(0)?;
        }
        let parts: Vec<_> = columns.iter().map(|column| hash::text(&column.get(row))).collect();
        Ok(hash::combine(&parts))
    };
    (0..rows).into_par_iter().map(of_row).collect()
}

/// The distinct shingles of some rows of a table of text columns: a `large_list<uint64>` array for each column.
#[pyfunction]
#[pyo3(signature = (table, *, rows, ngram, unit, seed=0, fields=None, threads=None, progress=None))]
#[expect(clippy::too_many_arguments, reason = "they are Python keywords")]
pub(crate) fn shingle_sets(
    py: Python<'_>,
    table: PyTable,
    rows: PyArray,
    ngram: usize,
    unit: &str,
    seed: u64,
    fields: Option<Vec<String>>,
    threads: Option<Threads>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<Vec<PyArray>> {
    let shingles = Shingles { unit: Unit::parse(unit).map_err(BorderError::from)?, size: ngram, seed };
    let rows = numbers::<UInt32Type>("rows", rows)?;
    let sets = door::enter(py, threads, progress, |control| {
        with_texts(table, fields, |columns| {
            let columns = columns.iter().enumerate();
            columns
                .map(|(field, texts)| {
                    check_rows(rows.values(), texts.len())?;
                    let sets = find_sets(*texts, field, rows.values(), shingles, control)?;
                    let offsets = OffsetBuffer::from_lengths(sets.iter().map(Vec::len));
                    let values = UInt64Array::from_iter_values(sets.into_iter().flatten());
                    let item = ArrowField::new("item", DataType::UInt64, false);
                    Ok(LargeListArray::try_new(item.into(), offsets, answer::array(values), None)?)
                })
                .collect::<Result<Vec<_>>>()
        })
    })?;
    Ok(sets.into_iter().map(|lists| PyArray::from_array_ref(answer::array(lists))).collect())
}

/// A hash of what an index holds, in hexadecimal digits: of `made`, its parameters, and of the ids and sets row by row.
#[pyfunction]
#[pyo3(signature = (made, ids, sets, *, threads=None))]
pub(crate) fn index_hash(
    py: Python<'_>,
    made: &str,
    ids: PyChunkedArray,
    sets: Vec<PyChunkedArray>,
    threads: Option<Threads>,
) -> PyResult<String> {
    let sets = sets.into_iter().map(SetColumn::new).collect::<Result<Vec<_>>>()?;
    let hash = door::enter(py, threads, None, |control| {
        let ids = TextColumn::from_python(ids)?;
        let rows = ids.len();
        if let Some(column) = sets.iter().find(|column| column.len() != rows) {
            let (left, right) = ("ids", "a column of sets");
            return Err(
                Error::LengthMismatch { left, left_rows: rows, right, right_rows: column.len() }.into()
            );
        }
        let of_row = |row| {
            if row % 1024 == 0 {
                control.advance(0)?;
            }
            let id = ids.text(row).map(hash::text).unwrap_or_default();
            let parts: Vec<_> =
                std::iter::once(id).chain(sets.iter().map(|column| hash::numbers(column.get(row)))).collect();
            Ok(hash::combine(&parts))
        };
        let of_rows = (0..rows).into_par_iter().map(of_row).collect::<Result<Vec<_>>>()?;
        Ok(hash::combine(&[hash::text(made), hash::combine(&of_rows)]))
    })?;
    Ok(format!("{:032x}", u128::from_le_bytes(hash)))
}
