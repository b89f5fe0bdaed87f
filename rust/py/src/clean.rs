//! Border of `chaffinch_core::clean`.

use arrow_array::UInt16Array;
use arrow_array::types::UInt32Type;
use chaffinch_core::Error;
use chaffinch_core::clean::{self as core, Cleaning, Rule, Test, Unit};
use chaffinch_core::text::Texts;
use memchr::memmem::Finder;
use pyo3::prelude::*;
use pyo3_arrow::{PyArray, PyTable};

use crate::columns::{Field, RowTexts, check_rows, numbers};
use crate::door::Threads;
use crate::error::{BorderError, Result};
use crate::{answer, door};

/// A rule as `stages/clean.py` writes it.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct RuleSpec {
    /// `no assistant turn`, `empty assistant turn`, `empty turn`, `blank`, `length` or `contains`.
    test: String,
    field: Option<String>,
    unit: Option<String>,
    min: Option<u64>,
    max: Option<u64>,
    texts: Vec<String>,
    /// By source code: whether the rule holds there.
    sources: Option<Vec<bool>>,
}

/// For each of `rows` the first rule it breaks, counted from 1, or 0. `sources` is the source's code of every row of the table.
#[pyfunction]
#[pyo3(signature = (table, rows, sources, rules, *, threads=None, progress=None))]
#[expect(clippy::needless_pass_by_value, reason = "pyo3 makes them for this call")]
pub(crate) fn clean(
    py: Python<'_>,
    table: PyTable,
    rows: PyArray,
    sources: PyArray,
    rules: Vec<RuleSpec>,
    threads: Option<Threads>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<PyArray> {
    let rows = numbers::<UInt32Type>("rows", rows)?;
    let sources = numbers::<UInt32Type>("sources", sources)?;
    let mut fields: Vec<Field> = Vec::new();
    let rules = rules.iter().map(|rule| rule.parse(&mut fields)).collect::<Result<Vec<_>>>()?;
    if rules.len() >= usize::from(u16::MAX) {
        let value = rules.len().to_string();
        return Err(BorderError::from(Error::OutOfRange {
            name: "rules",
            value,
            expected: "fewer than 65,535",
        })
        .into());
    }
    let broken = door::enter(py, threads, progress, |control| {
        let texts = RowTexts::from_python(table)?;
        check_rows(rows.values(), texts.len())?;
        if sources.values().len() != texts.len() {
            let (left_rows, right_rows) = (sources.values().len(), texts.len());
            return Err(
                Error::LengthMismatch { left: "sources", left_rows, right: "the table", right_rows }.into()
            );
        }
        let columns: Vec<_> = fields.iter().map(|field| texts.column(*field)).collect();
        let columns: Vec<&dyn Texts> = columns.iter().map(|column| column as &dyn Texts).collect();
        let cleaning =
            Cleaning { columns: &columns, conversations: &texts, sources: sources.values(), rules: &rules };
        Ok(core::clean(&cleaning, rows.values(), control)?)
    })?;
    Ok(PyArray::from_array_ref(answer::array(UInt16Array::from(broken))))
}

impl RuleSpec {
    fn parse(&self, fields: &mut Vec<Field>) -> Result<Rule<'_>> {
        let mut column = || -> Result<usize> {
            let field = Field::parse(self.field.as_deref().unwrap_or_default())?;
            Ok(fields.iter().position(|known| *known == field).unwrap_or_else(|| {
                fields.push(field);
                fields.len() - 1
            }))
        };
        let refused =
            |name, value: &str, expected| Error::OutOfRange { name, value: value.to_owned(), expected };
        let test = match self.test.as_str() {
            "no assistant turn" => Test::NoAssistantTurn,
            "empty assistant turn" => Test::EmptyAssistantTurn,
            "empty turn" => Test::EmptyTurn,
            "blank" => Test::Blank { column: column()? },
            "length" => Test::Length {
                column: column()?,
                unit: match self.unit.as_deref().unwrap_or_default() {
                    "characters" => Unit::Characters,
                    "space" => Unit::SpaceWords,
                    "whitespace" => Unit::WhitespaceWords,
                    other => {
                        return Err(refused("unit", other, "`characters`, `space` or `whitespace`").into());
                    }
                },
                min: self.min.unwrap_or(0),
                max: self.max.unwrap_or(u64::MAX),
            },
            "contains" => Test::Contains {
                column: column()?,
                texts: self.texts.iter().map(|text| Finder::new(text.as_bytes())).collect(),
            },
            other => return Err(refused("test", other, "a test of the core").into()),
        };
        Ok(Rule { test, sources: self.sources.clone() })
    }
}
