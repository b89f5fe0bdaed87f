//! Lists of Python's str, read where they lie.

use std::borrow::Cow;

use arrow_schema::ArrowError;
use chaffinch_core::rouge::References;
use chaffinch_core::text::Texts;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyList, PySequence, PyString, PyTuple};
use pyo3_arrow::PyChunkedArray;

use crate::columns::TextColumn;
use crate::error::Result;

/// A list of str and None, or of lists of them. It holds the texts themselves, so that what becomes of the list is no matter.
#[pyclass(frozen, module = "chaffinch._core")]
pub(crate) struct StrList {
    texts: Vec<Option<PyBackedStr>>,
    /// Of a list of lists, where each ends in `texts`.
    ends: Option<Vec<usize>>,
}

#[pymethods]
impl StrList {
    /// `None` where anything else is in it, or a str that is no Unicode text.
    #[staticmethod]
    fn read(values: &Bound<'_, PyList>) -> Option<Self> {
        let is_nested =
            |one: &Bound<'_, PyAny>| one.is_instance_of::<PyList>() || one.is_instance_of::<PyTuple>();
        let mut texts = Vec::with_capacity(values.len());
        if !values.iter().any(|one| is_nested(&one)) {
            for one in values {
                push(&mut texts, &one)?;
            }
            return Some(Self { texts, ends: None });
        }
        let mut ends = Vec::with_capacity(values.len());
        for of_row in values {
            if is_nested(&of_row) {
                for one in of_row.cast_into::<PySequence>().ok()?.try_iter().ok()? {
                    let one = one.ok()?;
                    // None is no reference.
                    if !one.is_none() {
                        push(&mut texts, &one)?;
                    }
                }
            } else if !of_row.is_none() {
                return None;
            }
            ends.push(texts.len());
        }
        Some(Self { texts, ends: Some(ends) })
    }
}

/// `None` where it is neither text nor Python's None.
fn push(texts: &mut Vec<Option<PyBackedStr>>, one: &Bound<'_, PyAny>) -> Option<()> {
    let text = if one.is_none() { None } else { Some(one.cast::<PyString>().ok()?.extract().ok()?) };
    texts.push(text);
    Some(())
}

impl Texts for StrList {
    fn len(&self) -> usize {
        self.texts.len()
    }
    fn get(&self, row: usize) -> Cow<'_, str> {
        Cow::Borrowed(self.texts[row].as_deref().unwrap_or_default())
    }
}

impl References for StrList {
    fn len(&self) -> usize {
        self.ends.as_ref().map_or(self.texts.len(), Vec::len)
    }
    fn count(&self, row: usize) -> usize {
        match &self.ends {
            None => usize::from(self.texts[row].is_some()),
            Some(ends) => ends[row] - start(ends, row),
        }
    }
    fn get(&self, row: usize, reference: usize) -> &str {
        let at = self.ends.as_ref().map_or(row, |ends| start(ends, row) + reference);
        self.texts[at].as_deref().unwrap_or_default()
    }
}

fn start(ends: &[usize], row: usize) -> usize {
    row.checked_sub(1).map_or(0, |before| ends[before])
}

/// A column of text as Python gives it.
#[derive(FromPyObject)]
pub(crate) enum TextArgument {
    List(Py<StrList>),
    Column(PyChunkedArray),
}

impl TextArgument {
    /// The column; it may be read without the GIL.
    pub(crate) fn read(self) -> Result<GivenTexts> {
        Ok(match self {
            Self::List(list) if list.get().ends.is_some() => {
                return Err(
                    ArrowError::SchemaError("lists of texts where one text a row is asked".into()).into()
                );
            }
            Self::List(list) => GivenTexts::List(list),
            Self::Column(column) => GivenTexts::Column(TextColumn::from_python(column)?),
        })
    }
}

/// A column of text from a list or from Arrow.
pub(crate) enum GivenTexts {
    List(Py<StrList>),
    Column(TextColumn),
}

impl Texts for GivenTexts {
    fn len(&self) -> usize {
        match self {
            Self::List(list) => Texts::len(list.get()),
            Self::Column(column) => column.len(),
        }
    }
    fn get(&self, row: usize) -> Cow<'_, str> {
        match self {
            Self::List(list) => Texts::get(list.get(), row),
            Self::Column(column) => column.get(row),
        }
    }
}
