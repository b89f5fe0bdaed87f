//! Border of `chaffinch_core::traces`.

use arrow_array::types::UInt32Type;
use arrow_array::{BooleanArray, StringArray, UInt32Array};
use chaffinch_core::Error;
use chaffinch_core::text::Texts;
use chaffinch_core::traces::{self as core, Part, Place, Rows, Rule, Trace};
use pyo3::prelude::*;
use pyo3_arrow::{PyArray, PyChunkedArray, PyTable};

use crate::columns::{Field, RowTexts, TextColumn, check_rows, numbers};
use crate::door::Threads;
use crate::error::{BorderError, Result};
use crate::{answer, door};

/// A rule as `stages/traces.py` writes it.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct RuleSpec {
    /// `prompt`, `response` or `both`.
    part: String,
    /// `anywhere`, `start` or `whole`.
    place: String,
    quoted: bool,
    phrases: Vec<String>,
    then: Vec<String>,
    not_after: Vec<String>,
    not_before: Vec<String>,
}

/// The traces of `rules` in the `rows` of a store's table: `(row, rule, response, words)`, a line for each row, part and rule.
#[pyfunction]
#[pyo3(signature = (table, rows, rules, *, threads=None, progress=None))]
pub(crate) fn row_traces(
    py: Python<'_>,
    table: PyTable,
    rows: PyArray,
    rules: Vec<RuleSpec>,
    threads: Option<Threads>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<PyTable> {
    let rows = numbers::<UInt32Type>("rows", rows)?;
    let rules = rules.into_iter().map(RuleSpec::parse).collect::<Result<Vec<_>>>()?;
    let found = door::enter(py, threads, progress, |control| {
        let texts = RowTexts::from_python(table)?;
        check_rows(rows.values(), texts.len())?;
        let columns = [Field::Instruction, Field::Input, Field::Response].map(|field| texts.column(field));
        let [instruction, input, response] = &columns;
        let looked_at =
            Rows { prompt: &[instruction, input], response: &[response], conversations: Some(&texts) };
        Ok(core::traces(&looked_at, rows.values(), &rules, control)?)
    })?;
    answer::table([
        ("row", answer::array(UInt32Array::from_iter_values(found.iter().map(|trace| trace.row)))),
        ("rule", answer::array(UInt32Array::from_iter_values(found.iter().map(|trace| trace.rule)))),
        (
            "response",
            answer::array(
                found.iter().map(|trace| Some(trace.part == Part::Response)).collect::<BooleanArray>(),
            ),
        ),
        ("words", words(&found)),
    ])
}

/// The traces of `rules` in a column of texts that are all prompts or all responses: `(row, rule, start, end, match)`, in characters.
#[pyfunction]
#[pyo3(signature = (texts, rules, *, part, threads=None, progress=None))]
pub(crate) fn text_traces(
    py: Python<'_>,
    texts: PyChunkedArray,
    rules: Vec<RuleSpec>,
    part: &str,
    threads: Option<Threads>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<PyTable> {
    let parts = parse_part(part)?;
    let rules = rules.into_iter().map(RuleSpec::parse).collect::<Result<Vec<_>>>()?;
    let (found, starts) = door::enter(py, threads, progress, |control| {
        let texts = TextColumn::from_python(texts)?;
        let rows = u32::try_from(texts.len()).map_err(|_| Error::TooManyRows { rows: texts.len() as u64 })?;
        let column: [&dyn Texts; 1] = [&texts];
        let none: [&dyn Texts; 0] = [];
        let of = |part| if parts.contains(&part) { &column[..] } else { &none[..] };
        let looked_at = Rows { prompt: of(Part::Prompt), response: of(Part::Response), conversations: None };
        let found = core::traces(&looked_at, &(0..rows).collect::<Vec<_>>(), &rules, control)?;
        let starts: Vec<usize> = found
            .iter()
            .map(|trace| texts.get(trace.row as usize)[..trace.span.start].chars().count())
            .collect();
        Ok((found, starts))
    })?;
    // A text of an Arrow view has fewer than 2^31 bytes.
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let ends = found.iter().zip(&starts).map(|(trace, start)| number(start + trace.words.chars().count()));
    answer::table([
        ("row", answer::array(UInt32Array::from_iter_values(found.iter().map(|trace| trace.row)))),
        ("rule", answer::array(UInt32Array::from_iter_values(found.iter().map(|trace| trace.rule)))),
        ("start", answer::array(UInt32Array::from_iter_values(starts.iter().map(|&start| number(start))))),
        ("end", answer::array(UInt32Array::from_iter_values(ends))),
        ("match", words(&found)),
    ])
}

fn words(found: &[Trace]) -> arrow_array::ArrayRef {
    answer::array(StringArray::from_iter_values(found.iter().map(|trace| &trace.words)))
}

fn parse_part(part: &str) -> Result<Vec<Part>> {
    match part {
        "prompt" => Ok(vec![Part::Prompt]),
        "response" => Ok(vec![Part::Response]),
        "both" => Ok(vec![Part::Prompt, Part::Response]),
        other => Err(refused("part", other, "`prompt`, `response` or `both`")),
    }
}

fn refused(name: &'static str, value: &str, expected: &'static str) -> BorderError {
    Error::OutOfRange { name, value: value.to_owned(), expected }.into()
}

impl RuleSpec {
    fn parse(self) -> Result<Rule> {
        Ok(Rule {
            parts: parse_part(&self.part)?,
            place: match self.place.as_str() {
                "anywhere" => Place::Anywhere,
                "start" => Place::Start,
                "whole" => Place::Whole,
                other => return Err(refused("place", other, "`anywhere`, `start` or `whole`")),
            },
            quoted: self.quoted,
            phrases: self.phrases,
            then: self.then,
            not_after: self.not_after,
            not_before: self.not_before,
        })
    }
}
