//! Border of `chaffinch_core::contamination`.

use arrow_array::types::UInt32Type;
use arrow_array::{Float64Array, LargeStringArray, UInt32Array, UInt64Array};
use chaffinch_core::contamination::{self as core, Builder, Index};
use chaffinch_core::text::Texts;
use chaffinch_core::{Control, Error};
use pyo3::prelude::*;
use pyo3_arrow::{PyArray, PyChunkedArray, PyTable};

use crate::columns::{Field, RowTexts, TextColumn, check_rows, numbers};
use crate::door::Threads;
use crate::error::{BorderError, Result};
use crate::{answer, door};

/// Evaluation items in rows: `(row, item, equal_items, matched_words, coverage, start, end)`, and `(group, item, first)` for each item that a
/// row of a group has, with the first item that is equal to it. With `field` the table is the store's; without, its first column is the text. With `evidence` the first table has one more column, the
/// text from start to end, at most so many characters of it. `choices` are the choices of all items one after the other, `choice_counts` how many
/// each item has.
#[pyfunction]
#[pyo3(signature = (
    table, question, answer, choices, choice_counts, *, field, rows, ngram, min_coverage, common, sets=None, groups=None,
    evidence=None, threads=None, progress=None
))]
#[expect(clippy::too_many_arguments, reason = "they are Python keywords")]
pub(crate) fn contamination(
    py: Python<'_>,
    table: PyTable,
    question: PyChunkedArray,
    answer: PyChunkedArray,
    choices: PyChunkedArray,
    choice_counts: PyArray,
    field: Option<&str>,
    rows: Option<PyArray>,
    ngram: usize,
    min_coverage: f64,
    common: u32,
    sets: Option<PyArray>,
    groups: Option<PyArray>,
    evidence: Option<usize>,
    threads: Option<Threads>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<(PyTable, PyTable)> {
    let field = field.map(Field::parse).transpose()?;
    let rows = rows.map(|array| numbers::<UInt32Type>("rows", array)).transpose()?;
    let sets = sets.map(|array| numbers::<UInt32Type>("sets", array)).transpose()?;
    let groups = groups.map(|array| numbers::<UInt32Type>("groups", array)).transpose()?;
    let counts = numbers::<UInt32Type>("choice_counts", choice_counts)?;
    let (found, stretches) = door::enter(py, threads, progress, |control| {
        let items = Items {
            question: TextColumn::from_python(question)?,
            answer: TextColumn::from_python(answer)?,
            choices: TextColumn::from_python(choices)?,
            counts: counts.values(),
        };
        let index = items.index(ngram, control)?;
        let find = |texts: &dyn Texts| {
            let rows = rows.as_ref().map(|rows| &**rows.values());
            check_rows(rows.unwrap_or_default(), texts.len())?;
            let sets = sets.as_ref().map(|sets| &**sets.values());
            let groups = groups.as_ref().map(|groups| &**groups.values());
            let search = core::Search { texts, rows, min_coverage, common, sets, groups };
            let found = core::contamination(&index, &search, control)?;
            let stretches =
                evidence.map(|most| found.matches.iter().map(|one| stretch(texts, one, most)).collect());
            Ok((found, stretches))
        };
        if let Some(field) = field {
            find(&RowTexts::from_python(table)?.column(field))
        } else {
            let (batches, _) = table.into_inner();
            find(&TextColumn::new(batches.iter().map(|batch| batch.column(0).clone()).collect())?)
        }
    })?;
    let matches = &found.matches;
    let numbers = |value: fn(&core::Match) -> u32| {
        answer::array(UInt32Array::from_iter_values(matches.iter().map(value)))
    };
    let places = |value: fn(&core::Match) -> u64| {
        answer::array(UInt64Array::from_iter_values(matches.iter().map(value)))
    };
    let coverage = Float64Array::from_iter_values(matches.iter().map(|found| found.coverage));
    let mut columns = vec![
        ("row", numbers(|found| found.row)),
        ("item", numbers(|found| found.item)),
        ("equal_items", numbers(|found| found.equal_items)),
        ("matched_words", numbers(|found| found.matched_words)),
        ("coverage", answer::array(coverage)),
        ("start", places(|found| found.start)),
        ("end", places(|found| found.end)),
    ];
    let stretches: Option<Vec<String>> = stretches;
    columns.extend(stretches.map(|texts| ("text", answer::array(LargeStringArray::from_iter_values(texts)))));
    let held = |value: fn(&core::HeldItem) -> u32| {
        answer::array(UInt32Array::from_iter_values(found.items.iter().map(value)))
    };
    Ok((
        answer::table(columns)?,
        answer::table([
            ("group", held(|one| one.group)),
            ("item", held(|one| one.item)),
            ("first", held(|one| one.first)),
        ])?,
    ))
}

fn stretch(texts: &dyn Texts, found: &core::Match, most: usize) -> String {
    let skip = usize::try_from(found.start).unwrap_or(usize::MAX);
    let length = usize::try_from(found.end - found.start).unwrap_or(usize::MAX);
    texts.get(found.row as usize).chars().skip(skip).take(length.min(most)).collect()
}

struct Items<'a> {
    question: TextColumn,
    answer: TextColumn,
    choices: TextColumn,
    counts: &'a [u32],
}

impl Items<'_> {
    fn index(&self, ngram: usize, control: &Control) -> Result<Index> {
        let items = self.question.len();
        for (right, right_rows) in [("answer", self.answer.len()), ("choice_counts", self.counts.len())] {
            if right_rows != items {
                let left = "question";
                return Err(Error::LengthMismatch { left, left_rows: items, right, right_rows }.into());
            }
        }
        let choices: usize = self.counts.iter().map(|&count| count as usize).sum();
        if choices != self.choices.len() {
            return Err(BorderError::from(Error::LengthMismatch {
                left: "choices",
                left_rows: self.choices.len(),
                right: "the sum of choice_counts",
                right_rows: choices,
            }));
        }
        let mut builder = Builder::new(ngram)?;
        let mut first = 0;
        for (item, &count) in self.counts.iter().enumerate() {
            if item % 256 == 0 {
                control.advance(0)?;
            }
            let end = first + count as usize;
            let choices = (first..end).map(|choice| self.choices.text(choice).unwrap_or_default());
            builder.add(&self.question.get(item), &self.answer.get(item), choices)?;
            first = end;
        }
        Ok(builder.finish()?)
    }
}
