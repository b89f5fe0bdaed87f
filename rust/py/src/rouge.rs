//! Border of `chaffinch_core::rouge`.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, ListArray, UInt64Array};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field};
use chaffinch_core::Control;
use chaffinch_core::rouge::{Measure, Pool, Reduce, References, Score, Scorer, rouge as score};
use chaffinch_core::text::Texts;
use pyo3::prelude::*;
use pyo3_arrow::PyTable;

use crate::chunks::Chunks;
use crate::columns::TextColumn;
use crate::door::Threads;
use crate::error::{BorderError, Result};
use crate::lists::{StrList, TextArgument};
use crate::{answer, door};

/// References of rows: one text, or a list of them. A null is no reference.
pub(crate) enum ReferenceColumn {
    List(Py<StrList>),
    One(TextColumn),
    Many(Chunks<ListArray>),
}

impl ReferenceColumn {
    pub(crate) fn new(chunks: Vec<ArrayRef>) -> Result<Self> {
        let is_list = |chunk: &ArrayRef| {
            matches!(
                chunk.data_type(),
                DataType::List(_)
                    | DataType::LargeList(_)
                    | DataType::FixedSizeList(_, _)
                    | DataType::ListView(_)
            )
        };
        if !chunks.iter().any(is_list) {
            return Ok(Self::One(TextColumn::new(chunks)?));
        }
        let kind = DataType::List(Field::new("item", DataType::Utf8View, true).into());
        let lists =
            chunks.iter().map(|chunk| without_nulls(arrow_cast::cast(chunk, &kind)?.as_list::<i32>()));
        Ok(Self::Many(Chunks::new(lists.collect::<Result<_>>()?)))
    }
}

/// The same lists without the nulls in them.
fn without_nulls(lists: &ListArray) -> Result<ListArray> {
    let Some(nulls) = lists.values().nulls().filter(|nulls| nulls.null_count() > 0) else {
        return Ok(lists.clone());
    };
    let there = BooleanArray::new(nulls.inner().clone(), None);
    let values = arrow_select::filter::filter(lists.values(), &there)?;
    let before: Vec<i32> = std::iter::once(0)
        .chain(nulls.iter().scan(0, |count, is_valid| {
            *count += i32::from(is_valid);
            Some(*count)
        }))
        .collect();
    let offsets =
        lists.value_offsets().iter().map(|&offset| before[offset.unsigned_abs() as usize]).collect();
    let item = Field::new("item", DataType::Utf8View, true).into();
    Ok(ListArray::try_new(item, OffsetBuffer::new(offsets), values, lists.nulls().cloned())?)
}

impl References for ReferenceColumn {
    fn len(&self) -> usize {
        match self {
            Self::List(list) => References::len(list.get()),
            Self::One(texts) => texts.len(),
            Self::Many(lists) => lists.len(),
        }
    }

    fn count(&self, row: usize) -> usize {
        match self {
            Self::List(list) => list.get().count(row),
            Self::One(texts) => usize::from(texts.text(row).is_some()),
            Self::Many(lists) => {
                let (lists, index) = lists.locate(row);
                if lists.is_null(index) { 0 } else { lists.value_length(index).unsigned_abs() as usize }
            }
        }
    }

    fn get(&self, row: usize, reference: usize) -> &str {
        match self {
            Self::List(list) => References::get(list.get(), row, reference),
            Self::One(texts) => texts.text(row).unwrap_or_default(),
            Self::Many(lists) => {
                let (lists, index) = lists.locate(row);
                let values = lists.values().as_string_view();
                values.value(lists.value_offsets()[index].unsigned_abs() as usize + reference)
            }
        }
    }
}

/// ROUGE of one prediction, where the way through columns and threads would cost more than the score: `(precision, recall, f1)`.
#[pyfunction]
#[pyo3(signature = (prediction, references, *, metric, compat, stemmer=false))]
#[expect(clippy::needless_pass_by_value, reason = "a list from Python comes as a Vec")]
pub(crate) fn rouge_pair(
    prediction: &str,
    references: Vec<String>,
    metric: &str,
    compat: &str,
    stemmer: bool,
) -> PyResult<Option<(f64, f64, f64)>> {
    let measure = Measure::parse(metric, compat, stemmer).map_err(BorderError::from)?;
    let references = references.iter().map(String::as_str);
    let found = Scorer::new(measure)
        .score(prediction, references, Reduce::Max, &Control::default())
        .map_err(BorderError::from)?;
    Ok(found.map(|score| (score.precision, score.recall, score.f1)))
}

/// ROUGE of every prediction: `(precision, recall, f1)`, null where there is nothing to compare with.
#[pyfunction]
#[pyo3(signature = (predictions, references, *, metric, compat, stemmer=false, reduce="max", threads=None, progress=None))]
#[expect(clippy::too_many_arguments, reason = "they are Python keywords")]
pub(crate) fn rouge(
    py: Python<'_>,
    predictions: TextArgument,
    references: TextArgument,
    metric: &str,
    compat: &str,
    stemmer: bool,
    reduce: &str,
    threads: Option<Threads>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<PyTable> {
    let measure = Measure::parse(metric, compat, stemmer).map_err(BorderError::from)?;
    let reduce = Reduce::parse(reduce).map_err(BorderError::from)?;
    let scores = door::enter(py, threads, progress, |control| {
        let predictions = predictions.read()?;
        let references = match references {
            TextArgument::List(list) => ReferenceColumn::List(list),
            TextArgument::Column(column) => ReferenceColumn::new(column.into_inner().0)?,
        };
        Ok(score(&predictions, &references, measure, reduce, control)?)
    })?;
    let column = |part: fn(&Score) -> f64| {
        answer::array(scores.iter().map(|score| score.as_ref().map(part)).collect::<Float64Array>())
    };
    answer::table([
        ("precision", column(|score| score.precision)),
        ("recall", column(|score| score.recall)),
        ("f1", column(|score| score.f1)),
    ])
}

/// Texts to compare others with.
#[pyclass(module = "chaffinch._core")]
pub(crate) struct RougePool(Pool);

#[pymethods]
impl RougePool {
    #[new]
    #[pyo3(signature = (*, stemmer=false))]
    fn new(stemmer: bool) -> Self {
        Self(Pool::new(stemmer))
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    #[pyo3(signature = (texts, *, progress=None))]
    fn add(
        &mut self,
        py: Python<'_>,
        texts: TextArgument,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        door::enter(py, Some(Threads::ONE), progress, |control| Ok(self.0.add(&texts.read()?, control)?))
    }

    /// `(row, f1)` for each text, null where the pool is empty.
    #[pyo3(signature = (texts, *, threads=None, progress=None))]
    fn most_similar(
        &self,
        py: Python<'_>,
        texts: TextArgument,
        threads: Option<Threads>,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<PyTable> {
        let found = door::enter(py, threads, progress, |control| {
            Ok(self.0.most_similar(&texts.read()?, control)?)
        })?;
        let row = found.iter().map(|one| one.map(|(row, _)| row as u64));
        let f1 = found.iter().map(|one| one.map(|(_, f1)| f1));
        answer::table([
            ("row", answer::array(row.collect::<UInt64Array>())),
            ("f1", answer::array(f1.collect::<Float64Array>())),
        ])
    }
}
