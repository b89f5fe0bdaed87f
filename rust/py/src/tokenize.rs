//! Border of `chaffinch_core::tokenize`.

use std::sync::Arc;

use arrow_array::types::{UInt8Type, UInt32Type, UInt64Type};
use arrow_array::{
    ArrayRef, BooleanArray, Int32Array, LargeStringArray, ListArray, RecordBatch, StringArray, UInt32Array,
};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field as ArrowField, Schema};
use chaffinch_core::Error;
use chaffinch_core::format::{Document, Refused};
use chaffinch_core::text::Texts;
use chaffinch_core::tokenize::{
    self as core, Batch, Control, Documents, Parts, Reason, Rules, Templated, TooLong,
};
use pyo3::prelude::*;
use pyo3_arrow::{PyArray, PyChunkedArray, PyTable};

use crate::columns::{RowTexts, TextColumn, check_rows, numbers};
use crate::door::Threads;
use crate::error::{BorderError, Result};
use crate::format::{MarksSpec, TemplateSpec, with_rows};
use crate::{answer, door};

/// Rows of an answer's batch.
const BLOCK: usize = 512;

/// A tokenizer, read once.
#[pyclass(frozen, module = "chaffinch._core")]
pub(crate) struct Encoder(core::Encoder);

#[pymethods]
impl Encoder {
    /// From `tokenizers` files as `tokenizer_files.py` prepares them; a control is `(text, id, left, right)`.
    #[new]
    #[pyo3(signature = (first, *, later, controls, unknown, words, added))]
    fn new(
        py: Python<'_>,
        first: &[u8],
        later: Option<&[u8]>,
        controls: Vec<(String, u32, bool, bool)>,
        unknown: Option<u32>,
        words: Option<&str>,
        added: Vec<String>,
    ) -> PyResult<Self> {
        let controls =
            controls.into_iter().map(|(text, id, left, right)| Control { text, id, left, right }).collect();
        let encoder = door::enter(py, Some(Threads::ONE), None, |_| {
            Ok(core::Encoder::new(Parts { first, later, controls, unknown, words, added })?)
        })?;
        Ok(Self(encoder))
    }
}

/// How documents become ids, as `stages/tokenize.py` writes it.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct RulesSpec {
    max_length: usize,
    too_long: String,
    everything: bool,
    begin: Option<u32>,
}

/// The documents of `rows`, those that give none with the reason, and the rows that hold a mark or were cut:
/// `((row, part, input_ids, labels), (row, reason), marked, cut)`.
#[pyfunction]
#[pyo3(signature = (table, rows, template, marks, encoder, rules, *, threads=None, progress=None))]
#[expect(clippy::needless_pass_by_value, reason = "pyo3 makes them for this call")]
#[expect(clippy::too_many_arguments, reason = "the names are Python's")]
pub(crate) fn tokenize(
    py: Python<'_>,
    table: PyTable,
    rows: PyArray,
    template: TemplateSpec,
    marks: MarksSpec,
    encoder: &Bound<'_, Encoder>,
    rules: RulesSpec,
    threads: Option<Threads>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<(PyTable, PyTable, u64, u64)> {
    let rows = numbers::<UInt32Type>("rows", rows)?;
    let (template, marks, rules) = (template.parse()?, marks.parse()?, rules.parse()?);
    let encoder = &encoder.get().0;
    let batches = door::enter(py, threads, progress, |control| {
        let texts = RowTexts::from_python(table)?;
        check_rows(rows.values(), texts.len())?;
        with_rows(&texts, |source| {
            let documents = Templated { template: &template, marks: &marks, source };
            Ok(core::tokenize(&documents, rows.values(), encoder, &rules, BLOCK, control)?)
        })
    })?;
    tables(batches)
}

/// The same for texts that were rendered elsewhere. `starts` has where each text's parts begin in `ends` and `flags`, with one entry
/// more than there are texts; a part's flag is 1 for the row's own text plus 2 for what is learned. The answer's rows are the texts'.
#[pyfunction]
#[pyo3(signature = (texts, starts, ends, flags, encoder, rules, *, threads=None, progress=None))]
#[expect(clippy::needless_pass_by_value, reason = "pyo3 makes them for this call")]
#[expect(clippy::too_many_arguments, reason = "the names are Python's")]
pub(crate) fn tokenize_rendered(
    py: Python<'_>,
    texts: PyChunkedArray,
    starts: PyArray,
    ends: PyArray,
    flags: PyArray,
    encoder: &Bound<'_, Encoder>,
    rules: RulesSpec,
    threads: Option<Threads>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<(PyTable, PyTable, u64, u64)> {
    let starts = numbers::<UInt64Type>("starts", starts)?;
    let ends = numbers::<UInt64Type>("ends", ends)?;
    let flags = numbers::<UInt8Type>("flags", flags)?;
    let rules = rules.parse()?;
    let encoder = &encoder.get().0;
    let batches = door::enter(py, threads, progress, |control| {
        let texts = TextColumn::from_python(texts)?;
        let rendered =
            Rendered { texts: &texts, starts: starts.values(), ends: ends.values(), flags: flags.values() };
        if starts.len() != texts.len() + 1 || ends.len() != flags.len() {
            return Err(Error::LengthMismatch {
                left: "texts",
                left_rows: texts.len(),
                right: "parts",
                right_rows: starts.len(),
            }
            .into());
        }
        let rows: Vec<u32> = (0..u32::try_from(texts.len()).unwrap_or(u32::MAX)).collect();
        Ok(core::tokenize(&rendered, &rows, encoder, &rules, BLOCK, control)?)
    })?;
    tables(batches)
}

/// Texts with their marks escaped, and whether each had one: `(text: large_string, marked: bool)`.
#[pyfunction]
#[pyo3(signature = (texts, marks))]
#[expect(clippy::needless_pass_by_value, reason = "pyo3 makes them for this call")]
pub(crate) fn escape_marks(texts: PyChunkedArray, marks: MarksSpec) -> PyResult<PyTable> {
    let (texts, marks) = (TextColumn::from_python(texts)?, marks.parse()?);
    let rows: Vec<_> = (0..texts.len()).map(|row| texts.get(row)).collect();
    let escaped: Vec<_> = rows.iter().map(|text| marks.escape(text)).collect();
    let marked: BooleanArray = escaped.iter().map(|(_, marked)| Some(*marked)).collect();
    answer::table([
        ("text", answer::array(LargeStringArray::from_iter_values(escaped.iter().map(|(text, _)| text)))),
        ("marked", answer::array(marked)),
    ])
}

/// Texts and their parts.
struct Rendered<'a> {
    texts: &'a TextColumn,
    starts: &'a [u64],
    ends: &'a [u64],
    flags: &'a [u8],
}

impl Documents for Rendered<'_> {
    fn write(&self, row: usize, into: &mut Document) -> std::result::Result<(), Refused> {
        let at = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let text = self.texts.get(row);
        let mut done = 0;
        for part in at(self.starts[row])..at(self.starts[row + 1]) {
            let end = at(self.ends[part]);
            // A part that ends within a character is a mistake of the caller's, and then nothing is learned.
            let Some(piece) = text.get(done..end) else { return Err(Refused::Order) };
            into.push(piece, self.flags[part] & 1 != 0, self.flags[part] & 2 != 0);
            done = end;
        }
        into.push(text.get(done..).unwrap_or_default(), false, false);
        Ok(())
    }
}

impl RulesSpec {
    fn parse(&self) -> Result<Rules> {
        let too_long = match self.too_long.as_str() {
            "drop" => TooLong::Drop,
            "truncate" => TooLong::Truncate,
            "split" => TooLong::Split,
            _ => return Err(out_of_range("too_long", &self.too_long, "`drop`, `truncate` or `split`")),
        };
        if self.max_length < 2 {
            return Err(out_of_range("max_length", &self.max_length.to_string(), "at least 2 tokens"));
        }
        Ok(Rules { max_length: self.max_length, too_long, everything: self.everything, begin: self.begin })
    }
}

fn out_of_range(name: &'static str, value: &str, expected: &'static str) -> BorderError {
    Error::OutOfRange { name, value: value.to_owned(), expected }.into()
}

fn tables(batches: Vec<Batch>) -> PyResult<(PyTable, PyTable, u64, u64)> {
    let (marked, cut) =
        batches.iter().fold((0, 0), |(marked, cut), batch| (marked + batch.marked, cut + batch.cut));
    let dropped: Vec<(u32, Reason)> =
        batches.iter().flat_map(|batch| batch.dropped.iter().copied()).collect();
    let name = |reason: Reason| Reason::ALL.iter().find(|(one, _)| *one == reason).map(|(_, name)| *name);
    let reasons: StringArray = dropped.iter().map(|(_, reason)| name(*reason)).collect();
    let gone = answer::table([
        ("row", answer::array(UInt32Array::from_iter_values(dropped.iter().map(|(row, _)| *row)))),
        ("reason", answer::array(reasons)),
    ])?;
    let item = Arc::new(ArrowField::new("item", DataType::Int32, false));
    let lists = DataType::List(item.clone());
    let schema = Arc::new(Schema::new(vec![
        ArrowField::new("row", DataType::UInt32, false),
        ArrowField::new("part", DataType::UInt32, false),
        ArrowField::new("input_ids", lists.clone(), false),
        ArrowField::new("labels", lists, false),
    ]));
    let list = |ends: &[usize], values: Vec<i32>| -> Result<ArrayRef> {
        let offsets: ScalarBuffer<i32> = std::iter::once(0)
            .chain(ends.iter().map(|end| i32::try_from(*end).unwrap_or(i32::MAX)))
            .collect();
        let values = answer::array(Int32Array::from(values));
        Ok(answer::array(ListArray::try_new(item.clone(), OffsetBuffer::new(offsets), values, None)?))
    };
    let kept = batches
        .into_iter()
        .filter(|batch| !batch.row.is_empty())
        .map(|batch| {
            let (ids, labels) = (list(&batch.ends, batch.ids)?, list(&batch.ends, batch.labels)?);
            let columns = vec![
                answer::array(UInt32Array::from(batch.row)),
                answer::array(UInt32Array::from(batch.part)),
                ids,
                labels,
            ];
            Ok(RecordBatch::try_new(schema.clone(), columns)?)
        })
        .collect::<Result<Vec<_>>>()?;
    Ok((PyTable::try_new(kept, schema)?, gone, marked, cut))
}
