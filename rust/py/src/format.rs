//! Border of `chaffinch_core::format`.

use arrow_array::types::UInt32Type;
use arrow_array::{LargeStringArray, RecordBatch};
use arrow_buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field as ArrowField, Schema};
use chaffinch_core::format::{self as core, Column, Pattern, Segment, Template};
use chaffinch_core::text::Texts;
use pyo3::prelude::*;
use pyo3_arrow::{PyArray, PyTable};
use std::sync::Arc;

use crate::columns::{Field, RowTexts, check_rows, numbers};
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

/// The prompts and responses of `rows`: `(prompt, response)`, both `large_string`.
#[pyfunction]
#[pyo3(signature = (table, rows, template, *, threads=None, progress=None))]
#[expect(clippy::needless_pass_by_value, reason = "pyo3 makes them for this call")]
pub(crate) fn render(
    py: Python<'_>,
    table: PyTable,
    rows: PyArray,
    template: TemplateSpec,
    threads: Option<usize>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<PyTable> {
    let rows = numbers::<UInt32Type>("rows", rows)?;
    let template = template.parse()?;
    let schema = Arc::new(Schema::new(
        ["prompt", "response"].map(|name| ArrowField::new(name, DataType::LargeUtf8, false)).to_vec(),
    ));
    let batches = door::enter(py, threads, progress, |control| {
        let texts = RowTexts::from_python(table)?;
        check_rows(rows.values(), texts.len())?;
        with_rows(&texts, |source| {
            core::render(&template, &source, rows.values(), BLOCK, control)?
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
