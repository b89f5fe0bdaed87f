//! Arrow columns of labels as the core codes them: in the layout they come in, a dictionary's labels once.

use arrow_array::cast::AsArray;
use arrow_array::types::ArrowDictionaryKeyType;
use arrow_array::{
    Array, ArrayRef, DictionaryArray, PrimitiveArray, StringArrayType, downcast_dictionary_array,
};
use arrow_buffer::ArrowNativeType;
use arrow_schema::DataType;
use chaffinch_core::factorize::{Encoder, Labels};

use crate::chunks::Chunks;
use crate::error::Result;

/// A column of labels.
pub(crate) struct LabelColumn {
    chunks: Chunks<ArrayRef>,
    /// The one dictionary of all chunks, if it is small.
    labels: Option<ArrayRef>,
}

/// A dictionary of more labels is no shorter to count than to look up.
const MOST_LABELS: usize = 1 << 12;

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
        let chunks = chunks.collect::<Result<Vec<ArrayRef>>>()?;
        let mut dictionaries = chunks.iter().map(|chunk| Some(chunk.as_any_dictionary_opt()?.values()));
        let labels = dictionaries.next().flatten().filter(|labels| labels.len() <= MOST_LABELS).cloned();
        let is_one = |other: Option<&ArrayRef>| {
            other
                .zip(labels.as_ref())
                .is_some_and(|(other, labels)| other.to_data().ptr_eq(&labels.to_data()))
        };
        let labels = dictionaries.all(is_one).then_some(labels.clone()).flatten();
        Ok(Self { chunks: Chunks::new(chunks), labels })
    }
}

fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

impl Labels for LabelColumn {
    fn rows(&self) -> usize {
        self.chunks.len()
    }

    fn code<'a>(&'a self, start: usize, codes: &mut [u32], encoder: &mut Encoder<Option<&'a str>>) {
        let mut row = start;
        let mut rest = codes;
        while !rest.is_empty() {
            let (array, index) = self.chunks.locate(row);
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

    fn known(&self) -> Option<Vec<Option<&str>>> {
        let labels = self.labels.as_ref()?;
        let texts = (0..labels.len()).map(|index| labels.is_valid(index).then(|| text(labels, index)));
        // A row that has no label itself comes behind those whose label is null.
        Some(texts.chain([None]).collect())
    }

    fn keys(&self, start: usize, keys: &mut [u32]) {
        let (mut row, mut rest) = (start, keys);
        while !rest.is_empty() {
            let (array, index) = self.chunks.locate(row);
            let (here, after) = rest.split_at_mut(rest.len().min(array.len() - index));
            row += here.len();
            rest = after;
            downcast_dictionary_array!(
                array => widen(array.keys(), index, array.values().len(), here),
                _ => {}
            );
        }
    }
}

/// The keys from `start` on; `null` for those that are null.
#[expect(clippy::cast_possible_truncation, reason = "there are at most as many labels as `known` allows")]
fn widen<K: ArrowDictionaryKeyType>(keys: &PrimitiveArray<K>, start: usize, null: usize, wide: &mut [u32]) {
    for (key, wide) in keys.values()[start..].iter().zip(wide.iter_mut()) {
        *wide = key.as_usize() as u32;
    }
    if keys.null_count() > 0 {
        for (index, wide) in (start..).zip(wide) {
            if keys.is_null(index) {
                *wide = null as u32;
            }
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
