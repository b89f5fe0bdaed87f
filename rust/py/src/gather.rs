//! Rows out of the store by number: copied, named, written as JSON lines.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::sync::Arc;

use arrow_array::builder::LargeStringBuilder;
use arrow_array::types::UInt32Type;
use arrow_array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow_json::WriterBuilder;
use arrow_json::writer::LineDelimited;
use arrow_schema::SchemaRef;
use arrow_select::interleave::interleave;
use arrow_select::take::take as reorder;
use chaffinch_core::hash::Hashes;
use chaffinch_core::text::Texts;
use pyo3::prelude::*;
use pyo3_arrow::{PyArray, PyTable};
use rayon::prelude::*;

use crate::columns::{HashColumn, TextColumn, check_rows, numbers};
use crate::compact::compact;
use crate::door;
use crate::door::Threads;
use crate::error::{BorderError, Result};

/// Rows of an answer's batch; also of a block of JSON lines that is held in memory.
const BLOCK: usize = 1 << 13;

/// `rows` of the table in the order given, all columns, in memory of their own.
#[pyfunction]
#[pyo3(signature = (table, rows, *, threads=None, progress=None))]
pub(crate) fn gather(
    py: Python<'_>,
    table: PyTable,
    rows: PyArray,
    threads: Option<Threads>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<PyTable> {
    let rows = numbers::<UInt32Type>("rows", rows)?;
    let (batches, schema) = table.into_inner();
    let gathered = door::enter(py, threads, progress, |control| {
        let starts = starts(&batches);
        check_rows(rows.values(), *starts.last().unwrap_or(&0))?;
        rows.values()
            .par_chunks(BLOCK)
            .map(|rows| {
                control.advance(rows.len() as u64)?;
                take(&batches, &starts, &schema, rows)
            })
            .collect::<Result<Vec<_>>>()
    })?;
    PyTable::try_new(gathered, schema)
}

/// The first row of every batch, and the end of the last.
fn starts(batches: &[RecordBatch]) -> Vec<usize> {
    let mut rows = 0;
    let ends = batches.iter().map(|batch| {
        rows += batch.num_rows();
        rows
    });
    std::iter::once(0).chain(ends).collect()
}

fn take(batches: &[RecordBatch], starts: &[usize], schema: &SchemaRef, rows: &[u32]) -> Result<RecordBatch> {
    // Forwards through the store, and back into the order asked for once the rows lie together.
    let mut order: Vec<(u32, u32)> = rows.iter().copied().zip(0..).collect();
    order.sort_unstable();
    // Only the batches these rows lie in: a store has thousands, and every kernel looks at each array it is given.
    let mut used: Vec<usize> = Vec::new();
    let mut places: Vec<(usize, usize)> = Vec::with_capacity(rows.len());
    let mut back = vec![0u32; rows.len()];
    for (&(row, at), found) in order.iter().zip(0..) {
        let row = row as usize;
        if used.last().is_none_or(|&batch| row >= starts[batch + 1]) {
            used.push(starts.partition_point(|&start| start <= row) - 1);
        }
        let place = used.len() - 1;
        places.push((place, row - starts[used[place]]));
        back[at as usize] = found;
    }
    let back = UInt32Array::from(back);
    let columns = (0..schema.fields().len())
        .map(|index| {
            let arrays: Vec<&dyn Array> =
                used.iter().map(|&batch| batches[batch].column(index).as_ref()).collect();
            Ok(reorder(&compact(&interleave(&arrays, &places)?)?, &back, None)?)
        })
        .collect::<Result<Vec<ArrayRef>>>()?;
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// The ids of `rows`: `{source}/{task}/{16 hex digits}`, and `.2`, `.3` ... behind it by `occurrences`, the table of that function.
#[pyfunction]
#[pyo3(signature = (table, rows, occurrences))]
#[expect(clippy::needless_pass_by_value, reason = "pyo3 makes them for this call")]
pub(crate) fn row_ids(
    py: Python<'_>,
    table: PyTable,
    rows: PyArray,
    occurrences: PyTable,
) -> PyResult<PyArray> {
    let rows = numbers::<UInt32Type>("rows", rows)?;
    let ids = door::enter(py, Some(Threads::ONE), None, |control| {
        let (sources, tasks) =
            (TextColumn::new(column(&table, "source")?)?, TextColumn::new(column(&table, "task")?)?);
        let hashes = HashColumn::new(column(&table, "row_hash")?)?;
        check_rows(rows.values(), hashes.len())?;
        let copies = |name: &'static str| -> Result<Vec<u32>> {
            let chunks = column(&occurrences, name)?;
            let numbers =
                chunks.into_iter().map(|chunk| numbers::<UInt32Type>(name, PyArray::from_array_ref(chunk)));
            Ok(numbers
                .collect::<Result<Vec<_>>>()?
                .iter()
                .flat_map(|numbers| numbers.values().iter().copied())
                .collect())
        };
        let (repeated, numbers) = (copies("row")?, copies("occurrence")?);
        let mut ids = LargeStringBuilder::with_capacity(rows.len(), rows.len() * 40);
        let mut id = String::new();
        for block in rows.values().chunks(BLOCK) {
            for &row in block {
                let at = row as usize;
                let shown = (u128::from_be_bytes(hashes.get(at)) >> 64) as u64;
                let copy = repeated.binary_search(&row).ok().map(|found| numbers[found]);
                id.clear();
                for part in [&sources.get(at), "/", &tasks.get(at), "/"] {
                    id.push_str(part);
                }
                // By hand: a build writes millions of ids, and `write!` takes longer than all the rest.
                id.extend((0..16).rev().map(|digit| char::from(HEX[(shown >> (4 * digit)) as usize & 15])));
                if let Some(copy) = copy {
                    id.push('.');
                    id.push_str(&copy.to_string());
                }
                ids.append_value(&id);
            }
            control.advance(block.len() as u64)?;
        }
        Ok(ids.finish())
    })?;
    Ok(PyArray::from_array_ref(Arc::new(ids)))
}

fn column(table: &PyTable, name: &str) -> Result<Vec<ArrayRef>> {
    let batches = table.batches();
    let Some(first) = batches.first() else { return Ok(Vec::new()) };
    let index = first.schema().index_of(name)?;
    Ok(batches.iter().map(|batch| batch.column(index).clone()).collect())
}

/// Writes the table's rows to the end of the file at `path` (made where missing), one JSON object a line; gives the bytes written.
#[pyfunction]
#[pyo3(signature = (table, path, *, threads=None, progress=None))]
#[expect(clippy::needless_pass_by_value, reason = "pyo3 makes them for this call")]
pub(crate) fn write_jsonl(
    py: Python<'_>,
    table: PyTable,
    path: String,
    threads: Option<Threads>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<u64> {
    let blocks: Vec<RecordBatch> = table
        .batches()
        .iter()
        .flat_map(|batch| {
            let rows = batch.num_rows();
            (0..rows).step_by(BLOCK).map(move |start| batch.slice(start, BLOCK.min(rows - start)))
        })
        .collect();
    let written = door::enter(py, threads, progress, |control| {
        let failed = |source| BorderError::File { path: path.clone(), source };
        let mut file = OpenOptions::new().append(true).create(true).open(&path).map_err(failed)?;
        let mut written = 0;
        // As many blocks in memory as threads can work on, in the order of the rows.
        for wave in blocks.chunks(rayon::current_num_threads() * 4) {
            let lines = wave.par_iter().map(json_lines).collect::<Result<Vec<_>>>()?;
            for (lines, block) in lines.iter().zip(wave) {
                file.write_all(lines).map_err(failed)?;
                written += lines.len() as u64;
                control.advance(block.num_rows() as u64)?;
            }
        }
        Ok(written)
    })?;
    Ok(written)
}

fn json_lines(block: &RecordBatch) -> Result<Vec<u8>> {
    let mut lines = Vec::new();
    // A line without its null keys would hide columns from readers that take the first lines for the schema.
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(&mut lines);
    writer.write(block)?;
    writer.finish()?;
    Ok(lines)
}
