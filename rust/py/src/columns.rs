//! Arrow columns as the core reads them: by row number, in place, over any number of chunks.

use std::borrow::Cow;

use arrow_array::cast::AsArray;
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, FixedSizeBinaryArray, LargeStringArray, ListArray, PrimitiveArray,
    StringArray, StringViewArray, StructArray,
};
use arrow_schema::{ArrowError, DataType};
use chaffinch_core::Error;
use chaffinch_core::hash::{ContentHash, Hashes};
use chaffinch_core::text::{Conversations, Texts, Turn};
use pyo3_arrow::{PyArray, PyChunkedArray, PyTable};
use rayon::prelude::*;

use crate::chunks::{Chunks, Rows};
use crate::error::Result;

/// Text as it lies in any of Arrow's forms.
enum TextArray {
    Small(StringArray),
    Large(LargeStringArray),
    View(StringViewArray),
}

impl Rows for TextArray {
    fn rows(&self) -> usize {
        match self {
            Self::Small(array) => array.len(),
            Self::Large(array) => array.len(),
            Self::View(array) => array.len(),
        }
    }
}

impl TextArray {
    fn new(array: &ArrayRef) -> Result<Self> {
        Ok(match array.data_type() {
            DataType::Utf8 => Self::Small(array.as_string().clone()),
            DataType::LargeUtf8 => Self::Large(array.as_string().clone()),
            _ => {
                let views = arrow_cast::cast(array, &DataType::Utf8View)?;
                let views = views.as_string_view();
                // A null among the values of a dictionary is lost by the cast.
                let nulls = array.logical_nulls();
                let (parts, buffers) = (views.views().clone(), views.data_buffers().to_vec());
                Self::View(StringViewArray::try_new(parts, buffers, nulls)?)
            }
        })
    }

    fn get(&self, index: usize) -> Option<&str> {
        match self {
            Self::Small(array) => array.is_valid(index).then(|| array.value(index)),
            Self::Large(array) => array.is_valid(index).then(|| array.value(index)),
            Self::View(array) => array.is_valid(index).then(|| array.value(index)),
        }
    }
}

/// A column of text.
pub(crate) struct TextColumn(Chunks<TextArray>);

impl TextColumn {
    /// Takes any Arrow text column (string, large, view or dictionary); the text itself is not copied.
    pub(crate) fn new(chunks: Vec<ArrayRef>) -> Result<Self> {
        let arrays =
            chunks.into_par_iter().map(|array| TextArray::new(&array)).collect::<Result<Vec<_>>>()?;
        Ok(Self(Chunks::new(arrays)))
    }

    /// From an argument of a Python call.
    pub(crate) fn from_python(column: PyChunkedArray) -> Result<Self> {
        Self::new(column.into_inner().0)
    }

    /// The text of `row`, `None` where it is null.
    pub(crate) fn text(&self, row: usize) -> Option<&str> {
        let (array, index) = self.0.locate(row);
        array.get(index)
    }
}

impl Texts for TextColumn {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn get(&self, row: usize) -> Cow<'_, str> {
        Cow::Borrowed(self.text(row).unwrap_or_default())
    }
}

/// A column of content hashes: `fixed_size_binary[16]` without nulls.
pub(crate) struct HashColumn(Chunks<FixedSizeBinaryArray>);

impl HashColumn {
    pub(crate) fn new(chunks: Vec<ArrayRef>) -> Result<Self> {
        let hashes = chunks
            .into_iter()
            .map(|chunk| match chunk.as_fixed_size_binary_opt() {
                Some(array) if array.value_length() == 16 && array.null_count() == 0 => Ok(array.clone()),
                _ => Err(ArrowError::SchemaError(format!(
                    "a column of hashes is {} with {} nulls, not fixed_size_binary[16] without nulls",
                    chunk.data_type(),
                    chunk.null_count()
                ))
                .into()),
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self(Chunks::new(hashes)))
    }
}

impl Hashes for HashColumn {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn get(&self, row: usize) -> ContentHash {
        let (array, index) = self.0.locate(row);
        let mut hash = ContentHash::default();
        hash.copy_from_slice(array.value(index));
        hash
    }
    fn read(&self, start: usize, hashes: &mut [ContentHash]) {
        let (mut row, mut rest) = (start, hashes);
        while !rest.is_empty() {
            let (array, index) = self.0.locate(row);
            let (here, after) = rest.split_at_mut(rest.len().min(array.len() - index));
            let bytes = here.as_flattened_mut();
            bytes.copy_from_slice(&array.value_data()[index * 16..][..bytes.len()]);
            row += here.len();
            rest = after;
        }
    }
}

/// Numbers from an argument of a Python call: exactly the type asked for, and no nulls.
pub(crate) fn numbers<T: ArrowPrimitiveType>(
    name: &'static str,
    array: PyArray,
) -> Result<PrimitiveArray<T>> {
    let (array, _) = array.into_inner();
    match array.as_primitive_opt::<T>() {
        Some(numbers) if numbers.null_count() == 0 => Ok(numbers.clone()),
        _ => Err(ArrowError::SchemaError(format!(
            "{name} is {} with {} nulls, not {} without nulls",
            array.data_type(),
            array.null_count(),
            T::DATA_TYPE
        ))
        .into()),
    }
}

/// Refuses row numbers that a table of `length` rows does not have.
pub(crate) fn check_rows(rows: &[u32], length: usize) -> Result<()> {
    match rows.iter().find(|&&row| row as usize >= length) {
        None => Ok(()),
        Some(row) => Err(Error::OutOfRange {
            name: "rows",
            value: row.to_string(),
            expected: "row numbers below the length of the table",
        }
        .into()),
    }
}

/// The text fields of Chaffinch's rows, with the compound ones that stages compare: see [`Field`].
pub(crate) struct RowTexts {
    instruction: TextColumn,
    input: TextColumn,
    references: Chunks<ListArray>,
    messages: Chunks<ListArray>,
}

/// What of a row a stage looks at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    /// The instruction as read.
    Instruction,
    /// The input as read.
    Input,
    /// Instruction and input, or every turn before the last answer.
    Prompt,
    /// The first reference, or the last answer of a conversation.
    Response,
    /// All of it.
    Whole,
    /// Instruction, one space, input, even where one is empty: what Birbal's scripts count the words of.
    InstructionAndInput,
    /// What the row is asked beside its instruction: the input, or every turn of a conversation before the last answer.
    InputOrTurns,
}

impl Field {
    /// From its name in a recipe.
    pub(crate) fn parse(name: &str) -> Result<Self> {
        match name {
            "instruction" => Ok(Self::Instruction),
            "input" => Ok(Self::Input),
            "prompt" => Ok(Self::Prompt),
            "response" => Ok(Self::Response),
            "whole" => Ok(Self::Whole),
            "instruction+input" => Ok(Self::InstructionAndInput),
            "input-or-turns" => Ok(Self::InputOrTurns),
            _ => Err(Error::OutOfRange {
                name: "field",
                value: name.to_owned(),
                expected: "instruction, input, prompt, response, whole, instruction+input or input-or-turns",
            }
            .into()),
        }
    }
}

impl RowTexts {
    /// From a table with the store's schema.
    pub(crate) fn from_python(table: PyTable) -> Result<Self> {
        let (batches, schema) = table.into_inner();
        let column = |name: &str| -> Result<Vec<ArrayRef>> {
            let index = schema.index_of(name)?;
            Ok(batches.iter().map(|batch| batch.column(index).clone()).collect())
        };
        let lists = |name: &str| -> Result<Chunks<ListArray>> {
            let arrays = column(name)?
                .iter()
                .map(|array| {
                    array.as_list_opt::<i32>().cloned().ok_or_else(|| {
                        ArrowError::SchemaError(format!("column {name} is {}, not a list", array.data_type()))
                            .into()
                    })
                })
                .collect::<Result<Vec<_>>>()?;
            Ok(Chunks::new(arrays))
        };
        Ok(Self {
            instruction: TextColumn::new(column("instruction")?)?,
            input: TextColumn::new(column("input")?)?,
            references: lists("references")?,
            messages: lists("messages")?,
        })
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.instruction.len()
    }

    /// One field of all rows, as a column.
    pub(crate) fn column(&self, field: Field) -> FieldColumn<'_> {
        FieldColumn { rows: self, field }
    }

    fn response(&self, row: usize) -> Cow<'_, str> {
        let (array, index) = self.references.locate(row);
        let (from, to) = span(array, index);
        if from < to {
            return Cow::Borrowed(array.values().as_string_view().value(from));
        }
        let mut turns = self.turns(row);
        turns
            .iter()
            .rposition(|(role, _)| role == "assistant")
            .map_or(Cow::Borrowed(""), |at| turns.swap_remove(at).1)
    }

    /// The turns before the last answer; `None` when the row is no conversation.
    fn asked(&self, row: usize) -> Option<Cow<'_, str>> {
        let turns = self.turns(row);
        let end = turns.iter().rposition(|(role, _)| role == "assistant").unwrap_or(turns.len());
        (!turns.is_empty())
            .then(|| Cow::Owned(join(turns[..end].iter().map(|(_, content)| content.as_ref()))))
    }

    fn prompt(&self, row: usize) -> Cow<'_, str> {
        if let Some(asked) = self.asked(row) {
            return asked;
        }
        match (self.instruction.get(row), self.input.get(row)) {
            (instruction, input) if input.is_empty() => instruction,
            (instruction, input) if instruction.is_empty() => input,
            (instruction, input) => Cow::Owned(join([instruction.as_ref(), input.as_ref()].into_iter())),
        }
    }
}

impl Conversations for RowTexts {
    fn turns(&self, row: usize) -> Vec<Turn<'_>> {
        let (array, index) = self.messages.locate(row);
        if array.is_null(index) {
            return Vec::new();
        }
        let (from, to) = span(array, index);
        let turns: &StructArray = array.values().as_struct();
        let (roles, contents) = (turns.column(0).as_string_view(), turns.column(1).as_string_view());
        (from..to)
            .map(|turn| (Cow::Borrowed(roles.value(turn)), Cow::Borrowed(contents.value(turn))))
            .collect()
    }
}

fn span(array: &ListArray, index: usize) -> (usize, usize) {
    let offsets = array.value_offsets();
    // Arrow's offsets are i32 and never negative.
    (offsets[index].unsigned_abs() as usize, offsets[index + 1].unsigned_abs() as usize)
}

fn join<'a>(parts: impl Iterator<Item = &'a str>) -> String {
    parts.collect::<Vec<_>>().join("\n")
}

/// Calls `work` with text columns of `table`: the store's `fields`, or without them every column as it is.
pub(crate) fn with_texts<T>(
    table: PyTable,
    fields: Option<Vec<String>>,
    work: impl FnOnce(&[&dyn Texts]) -> Result<T>,
) -> Result<T> {
    if let Some(names) = fields {
        let rows = RowTexts::from_python(table)?;
        let columns =
            names.iter().map(|name| Ok(rows.column(Field::parse(name)?))).collect::<Result<Vec<_>>>()?;
        return work(&columns.iter().map(|column| column as &dyn Texts).collect::<Vec<_>>());
    }
    let (batches, schema) = table.into_inner();
    let column =
        |index: usize| TextColumn::new(batches.iter().map(|batch| batch.column(index).clone()).collect());
    let columns = (0..schema.fields().len()).map(column).collect::<Result<Vec<_>>>()?;
    work(&columns.iter().map(|column| column as &dyn Texts).collect::<Vec<_>>())
}

/// One [`Field`] of every row.
pub(crate) struct FieldColumn<'a> {
    rows: &'a RowTexts,
    field: Field,
}

impl Texts for FieldColumn<'_> {
    fn len(&self) -> usize {
        self.rows.len()
    }
    fn get(&self, row: usize) -> Cow<'_, str> {
        match self.field {
            Field::Instruction => self.rows.instruction.get(row),
            Field::Input => self.rows.input.get(row),
            Field::Prompt => self.rows.prompt(row),
            Field::Response => self.rows.response(row),
            Field::InstructionAndInput => {
                Cow::Owned([self.rows.instruction.get(row), self.rows.input.get(row)].join(" "))
            }
            Field::InputOrTurns => self.rows.asked(row).unwrap_or_else(|| self.rows.input.get(row)),
            Field::Whole => {
                let turns = self.rows.turns(row);
                if turns.is_empty() {
                    Cow::Owned(join(
                        [self.rows.prompt(row).as_ref(), self.rows.response(row).as_ref()].into_iter(),
                    ))
                } else {
                    Cow::Owned(join(turns.iter().map(|(_, content)| content.as_ref())))
                }
            }
        }
    }
}
