//! Arrow columns of labels as the core codes them: in the layout they come in, a dictionary's labels once.

use arrow_array::cast::AsArray;
use arrow_array::types::ArrowDictionaryKeyType;
use arrow_array::{Array, ArrayRef, DictionaryArray, StringArrayType, downcast_dictionary_array};
use arrow_buffer::ArrowNativeType;
use arrow_schema::DataType;
use chaffinch_core::factorize::{Encoder, Labels};

use crate::columns::Chunks;
use crate::error::Result;

/// A column of labels.
pub(crate) struct LabelColumn(Chunks<ArrayRef>);

impl LabelColumn {
    /// Takes any Arrow text column (string, large, view or dictionary of these) as it lies in memory; others are cast to text.
    pub(crate) fn new(chunks: Vec<ArrayRef>) -> Result<Self> {
        let chunks = chunks.into_iter().map(|chunk| {
            let is_text = match chunk.data_type() {
                DataType::Dictionary(_, values) => is_text(values),
                other => is_text(other),
            };
            if is_text { Ok(chunk) } else { Ok(arrow_cast::cast(&chunk, &DataType::Utf8View)?) }
        });
        Ok(Self(Chunks::new(chunks.collect::<Result<Vec<_>>>()?)))
    }
}

fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

impl Labels for LabelColumn {
    fn rows(&self) -> usize {
        self.0.len()
    }

    fn code<'a>(&'a self, start: usize, codes: &mut [u32], encoder: &mut Encoder<Option<&'a str>>) {
        let mut row = start;
        let mut rest = codes;
        while !rest.is_empty() {
            let (array, index) = self.0.locate(row);
            let (codes, after) = rest.split_at_mut(rest.len().min(array.len() - index));
            row += codes.len();
            rest = after;
            downcast_dictionary_array!(
                array => code_dictionary(array, index, codes, encoder),
                DataType::Utf8 => code_texts(&array.as_string::<i32>(), index, codes, encoder),
                DataType::LargeUtf8 => code_texts(&array.as_string::<i64>(), index, codes, encoder),
                _ => code_texts(&array.as_string_view(), index, codes, encoder),
            );
        }
    }
}

fn code_texts<'a>(
    texts: &impl StringArrayType<'a>,
    start: usize,
    codes: &mut [u32],
    encoder: &mut Encoder<Option<&'a str>>,
) {
    for (index, code) in (start..).zip(codes) {
        *code = encoder.code(texts.is_valid(index).then(|| texts.value(index)));
    }
}

/// No code of a [`Encoder`], which has fewer than there are rows.
const UNKNOWN: u32 = u32::MAX;

fn code_dictionary<'a, K: ArrowDictionaryKeyType>(
    array: &'a DictionaryArray<K>,
    start: usize,
    codes: &mut [u32],
    encoder: &mut Encoder<Option<&'a str>>,
) {
    let (keys, values) = (array.keys(), array.values());
    if keys.null_count() == 0 {
        code_keys(keys.values()[start..].iter().map(|key| Some(key.as_usize())), values, codes, encoder);
    } else {
        let key = |index| keys.is_valid(index).then(|| keys.value(index).as_usize());
        code_keys((start..start + codes.len()).map(key), values, codes, encoder);
    }
}

fn code_keys<'a>(
    keys: impl Iterator<Item = Option<usize>>,
    values: &'a ArrayRef,
    codes: &mut [u32],
    encoder: &mut Encoder<Option<&'a str>>,
) {
    let label = |key: usize| values.is_valid(key).then(|| text(values, key));
    if values.len() > codes.len() {
        // Not worth a list of them all: a slice of a few rows comes with the whole dictionary.
        for (key, code) in keys.zip(codes) {
            *code = encoder.code(key.and_then(label));
        }
        return;
    }
    let mut known = vec![UNKNOWN; values.len()];
    for (key, code) in keys.zip(codes) {
        *code = match key {
            None => encoder.code(None),
            Some(key) => {
                let known = &mut known[key];
                if *known == UNKNOWN {
                    *known = encoder.code(label(key));
                }
                *known
            }
        };
    }
}

fn text(values: &ArrayRef, index: usize) -> &str {
    match values.data_type() {
        DataType::Utf8 => values.as_string::<i32>().value(index),
        DataType::LargeUtf8 => values.as_string::<i64>().value(index),
        _ => values.as_string_view().value(index),
    }
}
