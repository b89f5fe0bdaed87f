//! Documents into packs of a fixed number of tokens, each document once and whole.
//!
//! Best-fit-decreasing over all documents at once: the longest first, each into the fullest pack that still has room. A pack's free
//! tokens are a whole number up to the capacity, so "the fullest with room" is the next set bit of a bitmap, and a document costs
//! a few nanoseconds however many packs are open.

mod free;
mod order;

use crate::{Control, Error, Result};
use free::{Fullest, Leftmost};

/// How documents choose their packs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// Longest documents first, each into the fullest pack with room.
    BestFit,
    /// Longest documents first, each into the earliest pack with room.
    FirstFit,
    /// In the given order, a new pack whenever a document does not fit; the packs keep that order.
    Sequential,
}

/// What [`pack`] needs to know besides the lengths.
#[derive(Debug, Clone, Copy)]
pub struct Packing {
    /// Tokens of a pack.
    pub capacity: u32,
    /// How documents choose their packs.
    pub strategy: Strategy,
    /// Shuffles the packs.
    pub seed: u64,
    /// Processes that share the packs in turn: pack `p` is step `p / ranks` of rank `p % ranks`. The number of packs is then a
    /// multiple of it, and packs of one step cost about the same attention.
    pub ranks: u32,
}

/// Documents by pack, and in each by offset: three columns of the same length.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// Number of the pack, from 0.
    pub pack: Vec<u32>,
    /// The document.
    pub row: Vec<u32>,
    /// Its first token's place in the pack.
    pub offset: Vec<u32>,
    /// How many packs there are.
    pub packs: u32,
}

/// Documents between two looks at the control.
const BLOCK: usize = 1 << 16;

/// Puts every document into a pack.
///
/// # Errors
/// [`Error::Data`] for a document without tokens or longer than a pack, and for fewer documents than ranks;
/// [`Error::OutOfRange`] for no capacity or no ranks; [`Error::Interrupted`].
pub fn pack(lengths: &[u32], spec: &Packing, control: &Control) -> Result<Packed> {
    check(lengths, spec)?;
    let order = match spec.strategy {
        Strategy::Sequential => None,
        Strategy::BestFit | Strategy::FirstFit => Some(order::longest_first(lengths)),
    };
    control.advance(0)?;
    let row_at = |at: usize| order.as_ref().map_or(at, |rows| rows[at] as usize);
    let mut packs = 0;
    let mut of = match spec.strategy {
        Strategy::BestFit => {
            let shortest = lengths.iter().copied().min().unwrap_or(0);
            let mut open = Fullest::new(longest_pack(lengths, spec.capacity), shortest);
            assign(lengths.len(), control, |at| open.place(lengths[row_at(at)], &mut packs))
        }
        Strategy::FirstFit => {
            let mut open = Leftmost::new(lengths, spec.capacity);
            assign(lengths.len(), control, |at| open.place(lengths[row_at(at)], &mut packs))
        }
        Strategy::Sequential => {
            let mut free = 0;
            assign(lengths.len(), control, |at| {
                if lengths[at] > free {
                    free = spec.capacity;
                    packs += 1;
                }
                free -= lengths[at];
                packs - 1
            })
        }
    }?;
    if spec.ranks > 1 {
        order::share_out(&mut of, &mut packs, spec.ranks)?;
    }
    let squares = |costs: &mut [u64]| {
        for (at, &pack) in of.iter().enumerate() {
            let length = u64::from(lengths[row_at(at)]);
            let cost = &mut costs[pack as usize];
            *cost = cost.saturating_add(length * length);
        }
    };
    let number = match spec.strategy {
        Strategy::Sequential => None,
        _ => Some(order::shuffled(packs, spec.ranks, spec.seed, squares)),
    };
    let number_of = |pack: u32| number.as_ref().map_or(pack, |numbers| numbers[pack as usize]);
    control.advance(0)?;
    let packed = lay_out(lengths, &of, packs, row_at, number_of, control)?;
    control.advance(lengths.len() as u64)?;
    Ok(packed)
}

fn check(lengths: &[u32], spec: &Packing) -> Result<()> {
    for (name, value) in [("capacity", spec.capacity), ("ranks", spec.ranks)] {
        if value == 0 {
            return Err(Error::OutOfRange { name, value: value.to_string(), expected: "at least 1" });
        }
    }
    if u32::try_from(lengths.len()).is_err() {
        return Err(Error::TooManyRows { rows: lengths.len() as u64 });
    }
    if let Some(row) = lengths.iter().position(|&length| length == 0) {
        return Err(Error::Data {
            problem: format!("row {row} has no tokens"),
            hint: "leave empty documents out: an attention kernel cannot keep them apart",
        });
    }
    if let Some(row) = lengths.iter().position(|&length| length > spec.capacity) {
        return Err(Error::Data {
            problem: format!("row {row} has {} tokens, a pack holds {}", lengths[row], spec.capacity),
            hint: "drop, truncate or split longer documents first, or raise the capacity",
        });
    }
    if spec.ranks > 1 && lengths.len() < spec.ranks as usize {
        return Err(Error::Data {
            problem: format!("{} documents cannot be shared among {} ranks", lengths.len(), spec.ranks),
            hint: "use fewer ranks, or more documents",
        });
    }
    Ok(())
}

/// No pack can hold more than all tokens, so a huge capacity costs no memory.
fn longest_pack(lengths: &[u32], capacity: u32) -> u32 {
    let tokens: u64 = lengths.iter().map(|&length| u64::from(length)).sum();
    u32::try_from(tokens).unwrap_or(u32::MAX).min(capacity)
}

fn assign(documents: usize, control: &Control, mut place: impl FnMut(usize) -> u32) -> Result<Vec<u32>> {
    let mut of = Vec::with_capacity(documents);
    for start in (0..documents).step_by(BLOCK) {
        of.extend((start..documents.min(start + BLOCK)).map(&mut place));
        control.advance(0)?;
    }
    Ok(of)
}

/// Documents to their places: `of[at]` is the pack of the document `row_at(at)`, `number_of` the final number of a pack.
fn lay_out(
    lengths: &[u32],
    of: &[u32],
    packs: u32,
    row_at: impl Fn(usize) -> usize,
    number_of: impl Fn(u32) -> u32,
    control: &Control,
) -> Result<Packed> {
    #[derive(Clone, Copy, Default)]
    struct Cursor {
        next: u32,
        used: u32,
    }
    let mut cursors = vec![Cursor::default(); packs as usize];
    for &pack in of {
        cursors[number_of(pack) as usize].next += 1;
    }
    let mut pack = Vec::with_capacity(of.len());
    let mut start = 0;
    for (number, cursor) in (0..packs).zip(&mut cursors) {
        let documents = std::mem::replace(&mut cursor.next, start);
        pack.extend(std::iter::repeat_n(number, documents as usize));
        start += documents;
    }
    let mut row = vec![0; of.len()];
    let mut offset = vec![0; of.len()];
    for (block, packs) in of.chunks(BLOCK).enumerate() {
        for (at, &one) in (block * BLOCK..).zip(packs) {
            let document = row_at(at);
            let cursor = &mut cursors[number_of(one) as usize];
            #[expect(clippy::cast_possible_truncation, reason = "`check` counted the rows")]
            {
                row[cursor.next as usize] = document as u32;
            }
            offset[cursor.next as usize] = cursor.used;
            cursor.next += 1;
            cursor.used += lengths[document];
        }
        control.advance(0)?;
    }
    Ok(Packed { pack, row, offset, packs })
}
