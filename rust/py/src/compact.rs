//! Arrays that share nothing with where they came from.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray, StringViewArray, StructArray};
use arrow_buffer::Buffer;
use arrow_schema::{ArrowError, DataType};

/// Views hold 32-bit signed offsets, so a buffer ends before they do.
const LARGEST_BUFFER: usize = 1 << 30;

/// The same array with texts in buffers of their own: views into mapped files would keep these open, and an Arrow file would take in
/// whole every buffer they point into. A text that many rows share still lies there once.
pub(crate) fn compact(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match array.data_type() {
        DataType::Utf8View => Ok(Arc::new(compact_views(array.as_string_view())?)),
        DataType::List(field) => {
            let list = array.as_list::<i32>();
            let values = compact(list.values())?;
            Ok(Arc::new(ListArray::try_new(
                field.clone(),
                list.offsets().clone(),
                values,
                list.nulls().cloned(),
            )?))
        }
        DataType::Struct(fields) => {
            let rows = array.as_struct();
            let columns = rows.columns().iter().map(compact).collect::<Result<Vec<_>, _>>()?;
            Ok(Arc::new(StructArray::try_new(fields.clone(), columns, rows.nulls().cloned())?))
        }
        _ => Ok(array.clone()),
    }
}

fn compact_views(array: &StringViewArray) -> Result<StringViewArray, ArrowError> {
    // A view: length in bits 0 to 31 and, where that is above 12, buffer in bits 64 to 95 and offset in bits 96 to 127.
    let length_of = |view: u128| view & u128::from(u32::MAX);
    let place_of = |view: u128| ((view >> 64) & u128::from(u32::MAX), view >> 96);
    let mut views: Vec<u128> = array.views().to_vec();
    // By place, so that equal views meet and the old buffers are read forwards.
    let mut far: Vec<u32> = (0..array.len())
        .filter(|&at| array.is_valid(at) && length_of(views[at]) > 12)
        .map(|at| {
            u32::try_from(at).map_err(|_| ArrowError::InvalidArgumentError("a batch of 2^32 rows".to_owned()))
        })
        .collect::<Result<_, _>>()?;
    far.sort_unstable_by_key(|&at| {
        let view = views[at as usize];
        (place_of(view), length_of(view))
    });
    let mut buffers: Vec<Buffer> = Vec::new();
    let mut current: Vec<u8> = Vec::new();
    let mut last: Option<(u128, u128)> = None;
    for at in far {
        let at = at as usize;
        let old = views[at];
        let new = match last {
            Some((before, new)) if before == old => new,
            _ => {
                let text = array.value(at).as_bytes();
                if current.len() + text.len() > LARGEST_BUFFER && !current.is_empty() {
                    buffers.push(std::mem::take(&mut current).into());
                }
                let place = (current.len() as u128) << 96 | (buffers.len() as u128) << 64;
                current.extend_from_slice(text);
                old & u128::from(u64::MAX) | place
            }
        };
        last = Some((old, new));
        views[at] = new;
    }
    if !current.is_empty() {
        buffers.push(current.into());
    }
    StringViewArray::try_new(views.into(), buffers, array.nulls().cloned())
}
