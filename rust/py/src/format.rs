//! Border of `chaffinch_core::format`.

use arrow_array::types::UInt32Type;
use arrow_array::{LargeStringArray, RecordBatch, UInt8Array};
use arrow_buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field as ArrowField, Schema};
use chaffinch_core::format::{self as core, Column, Handling, Marks, Pattern, Refused, Segment, Template};
use chaffinch_core::text::Texts;
use pyo3::prelude::*;
use pyo3_arrow::{PyArray, PyTable};
use std::sync::Arc;

use crate::columns::{Field, RowTexts, check_rows, numbers};
use crate::door::Threads;
use crate::error::{BorderError, Result};
use crate::{answer, door};

const FIELDS: [(&str, Field); 3] =
    [("instruction", Field::Instruction), ("input", Field::Input), ("response", Field::Response)];

/// Rows of an answer's batch.
const BLOCK: usize = 1 << 14;

/// A segment as `stages/format.py` writes it.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct SegmentSpec {
    text: String,
    when: Option<String>,
    unless: Option<String>,
}

/// A template as `stages/format.py` writes it.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct TemplateSpec {
    prompt: Vec<SegmentSpec>,
    system: Option<String>,
    turns: Vec<(String, String)>,
    cue: String,
    answer: String,
    after: String,
    between: String,
    system_in_user: bool,
    trim: bool,
    alternate: bool,
    bos: String,
    eos: String,
}

/// Marks and what becomes of text that holds one.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct MarksSpec {
    texts: Vec<String>,
    handling: String,
    filler: char,
}

/// The prompts and responses of `rows`: `(prompt, response)`, both `large_string`. Marks are escaped where `marks` says so.
#[pyfunction]
#[pyo3(signature = (table, rows, template, marks, *, threads=None, progress=None))]
#[expect(clippy::needless_pass_by_value, reason = "pyo3 makes them for this call")]
pub(crate) fn render(
    py: Python<'_>,
    table: PyTable,
    rows: PyArray,
    template: TemplateSpec,
    marks: MarksSpec,
    threads: Option<Threads>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<PyTable> {
    let rows = numbers::<UInt32Type>("rows", rows)?;
    let (template, marks) = (template.parse()?, marks.parse()?);
    let schema = Arc::new(Schema::new(
        ["prompt", "response"].map(|name| ArrowField::new(name, DataType::LargeUtf8, false)).to_vec(),
    ));
    let batches = door::enter(py, threads, progress, |control| {
        let texts = RowTexts::from_python(table)?;
        check_rows(rows.values(), texts.len())?;
        with_rows(&texts, |source| {
            core::render(&template, &marks, &source, rows.values(), BLOCK, control)?
                .into_iter()
                .map(|(prompt, response)| {
                    let columns = [prompt, response].map(|column| column_of(column).map(answer::array));
                    let [prompt, response] = columns;
                    Ok(RecordBatch::try_new(schema.clone(), vec![prompt?, response?])?)
                })
                .collect::<Result<Vec<_>>>()
        })
    })?;
    PyTable::try_new(batches, schema)
}

/// For each of `rows` what keeps the template from writing it: 0 nothing, 1 a role, 2 the order of turns, 3 no answer, 4 a mark in its text.
#[pyfunction]
#[pyo3(signature = (table, rows, template, marks, *, threads=None, progress=None))]
#[expect(clippy::needless_pass_by_value, reason = "pyo3 makes them for this call")]
pub(crate) fn examine(
    py: Python<'_>,
    table: PyTable,
    rows: PyArray,
    template: TemplateSpec,
    marks: MarksSpec,
    threads: Option<Threads>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<PyArray> {
    let rows = numbers::<UInt32Type>("rows", rows)?;
    let (template, marks) = (template.parse()?, marks.parse()?);
    let found = door::enter(py, threads, progress, |control| {
        let texts = RowTexts::from_python(table)?;
        check_rows(rows.values(), texts.len())?;
        with_rows(&texts, |source| Ok(core::examine(&template, &marks, &source, rows.values(), control)?))
    })?;
    let codes = found.into_iter().map(|refused| match refused {
        None => 0,
        Some(Refused::Role(_)) => 1,
        Some(Refused::Order) => 2,
        Some(Refused::NoAnswer) => 3,
        Some(Refused::Mark) => 4,
    });
    Ok(PyArray::from_array_ref(answer::array(UInt8Array::from_iter_values(codes))))
}

/// Calls `work` with the columns that templates write.
pub(crate) fn with_rows<T>(texts: &RowTexts, work: impl FnOnce(core::Rows<'_>) -> Result<T>) -> Result<T> {
    let fields = FIELDS.map(|(_, field)| texts.column(field));
    let fields: Vec<&dyn Texts> = fields.iter().map(|column| column as &dyn Texts).collect();
    work(core::Rows { fields: &fields, response: &texts.column(Field::Response), conversations: texts })
}

/// The core's bytes become Arrow's without a copy.
fn column_of(column: Column) -> Result<LargeStringArray> {
    // No text is longer than isize::MAX, so its offsets fit.
    let offsets: ScalarBuffer<i64> =
        column.offsets.into_iter().map(|offset| i64::try_from(offset).unwrap_or(i64::MAX)).collect();
    Ok(LargeStringArray::try_new(
        OffsetBuffer::new(offsets),
        Buffer::from_vec(column.text.into_bytes()),
        None,
    )?)
}

impl TemplateSpec {
    pub(crate) fn parse(&self) -> Result<Template> {
        let marks = [("bos", self.bos.as_str()), ("eos", self.eos.as_str())];
        let names = FIELDS.map(|(name, _)| name);
        let field = |name: &Option<String>| -> Result<Option<usize>> {
            let Some(name) = name else { return Ok(None) };
            names.iter().position(|known| known == name).map(Some).ok_or_else(|| {
                BorderError::from(chaffinch_core::Error::Template {
                    template: name.clone(),
                    problem: format!("a condition names no field; there are {}", names.join(", ")),
                })
            })
        };
        let prompt = self.prompt.iter().map(|segment| {
            Ok(Segment {
                pattern: Pattern::parse(&segment.text, &names, &marks)?,
                when: field(&segment.when)?,
                unless: field(&segment.unless)?,
            })
        });
        let said = |text: &String| Pattern::parse(text, &["content"], &marks);
        let turns = self.turns.iter().map(|(role, text)| Ok((role.clone(), said(text)?)));
        Ok(Template {
            prompt: prompt.collect::<Result<_>>()?,
            system: self.system.clone(),
            turns: turns.collect::<Result<_>>()?,
            cue: self.cue.clone(),
            answer: said(&self.answer)?,
            after: self.after.clone(),
            between: self.between.clone(),
            system_in_user: self.system_in_user,
            trim: self.trim,
            alternate: self.alternate,
        })
    }
}

impl MarksSpec {
    pub(crate) fn parse(&self) -> Result<Marks> {
        let handling = match self.handling.as_str() {
            "keep" => Handling::Keep,
            "refuse" => Handling::Refuse,
            "escape" => Handling::Escape,
            other => {
                let (value, expected) = (other.to_owned(), "`keep`, `refuse` or `escape`");
                return Err(chaffinch_core::Error::OutOfRange { name: "marks", value, expected }.into());
            }
        };
        Ok(Marks::new(&self.texts, handling, self.filler))
    }
}
