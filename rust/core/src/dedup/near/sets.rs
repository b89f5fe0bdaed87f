//! The rows that may be like another, and of their shingles those that may occur in another.

use rayon::prelude::*;

use super::counts::{Counter, Counts};
use super::shingles::{Shingler, salt};
use super::{MAX_FIELDS, Near, Shingles};
use crate::control::Pace;
use crate::text::Texts;
use crate::{Control, Result};

/// A token is a shingle as it is stored: how often it was counted (at most 255) above 56 bits of its hash. In the order of tokens rare shingles come first.
const HASH_BITS: u32 = 56;
const HASH: u64 = (1 << HASH_BITS) - 1;
const ROWS_PER_BLOCK: usize = 4096;
/// A row that may be like another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// The row, or its number in `against`.
    pub(super) row: u32,
    pub(super) against: bool,
    /// Distinct shingles of each field.
    pub(super) sizes: [u32; MAX_FIELDS],
    /// How many of them are stored.
    stored: [u32; MAX_FIELDS],
    start: usize,
}

/// Entries by rank, the old side first.
pub(super) struct Stored {
    entries: Vec<Entry>,
    /// Where each block's entries begin.
    blocks: Vec<Block>,
    block_of: Vec<u32>,
}

#[derive(Default)]
struct Block {
    entries: Vec<Entry>,
    tokens: Vec<u64>,
}

impl Stored {
    pub(super) fn new(near: &Near<'_>, order: &[u32], control: &Control) -> Result<Self> {
        let counts = count(near, order, control)?;
        let old: Vec<u32> = (0..u32::try_from(near.old()).unwrap_or(u32::MAX)).collect();
        let mut blocks = Vec::new();
        for (rows, against) in [(&old[..], true), (order, false)] {
            blocks.par_extend(
                rows.par_chunks(ROWS_PER_BLOCK)
                    .map(|rows| {
                        let mut maker = Maker::new(near, &counts);
                        let mut pace = Pace::new(control);
                        for &row in rows {
                            pace.step(maker.add(row, against))?;
                        }
                        pace.flush()?;
                        Ok(maker.block)
                    })
                    .collect::<Result<Vec<_>>>()?,
            );
        }
        let mut entries = Vec::new();
        let mut block_of = Vec::new();
        for (number, block) in blocks.iter_mut().enumerate() {
            block_of.resize(block_of.len() + block.entries.len(), u32::try_from(number).unwrap_or(u32::MAX));
            entries.append(&mut block.entries);
        }
        Ok(Self { entries, blocks, block_of })
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The stored tokens of one field, increasing.
    pub(super) fn tokens(&self, at: usize, field: usize) -> &[u64] {
        self.entries[at].tokens(field, &self.blocks[self.block_of[at] as usize].tokens)
    }
}

impl Entry {
    fn tokens<'a>(&self, field: usize, tokens: &'a [u64]) -> &'a [u64] {
        let before: usize = self.stored[..field].iter().map(|&stored| stored as usize).sum();
        let start = self.start + before;
        &tokens[start..start + self.stored[field] as usize]
    }

    /// Whether every field has as many shingles in common with others as it would need to.
    fn may_match(&self, near: &Near<'_>) -> bool {
        self.sizes.iter().any(|&size| size > 0)
            && near.fields.iter().enumerate().all(|(field, spec)| {
                self.stored[field] as usize >= min_overlap(spec.min_similarity, self.sizes[field] as usize)
            })
    }
}

/// The least number of shingles that a set of `size` shares with any set it is similar to. The subtracted part is wider than a float's
/// error and only ever lets a pair through to verification.
pub(super) fn min_overlap(min_similarity: f64, size: usize) -> usize {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and `size`")]
    let least = (min_similarity * size as f64 * (1.0 - 1e-9)).ceil() as usize;
    least
}

/// Counts every shingle of both sides.
fn count(near: &Near<'_>, order: &[u32], control: &Control) -> Result<Counts> {
    let bytes: u64 = order
        .par_chunks(ROWS_PER_BLOCK)
        .map(|rows| {
            let lengths = |&row: &u32| {
                near.fields.iter().map(|field| field.texts.get(row as usize).len() as u64).sum::<u64>()
            };
            rows.iter().map(lengths).sum::<u64>()
        })
        .sum();
    let old = near.against.unwrap_or_default();
    let hashes: u64 =
        old.iter().map(|sets| (0..sets.len()).map(|row| sets.get(row).len() as u64).sum::<u64>()).sum();
    let bytes_per_shingle = if near.shingles.unit == super::Unit::Word { 6 } else { 1 };
    let counter = Counter::new(bytes / bytes_per_shingle + hashes);
    for sets in old {
        (0..sets.len().div_ceil(ROWS_PER_BLOCK)).into_par_iter().try_for_each(|block| {
            let mut tally = counter.tally();
            for row in block * ROWS_PER_BLOCK..((block + 1) * ROWS_PER_BLOCK).min(sets.len()) {
                sets.get(row).iter().for_each(|&hash| tally.add(hash & HASH));
            }
            tally.flush();
            control.advance(0)
        })?;
    }
    // Blocks are long: each begins with empty buffers, one for each part of the table.
    order.par_chunks(4 * ROWS_PER_BLOCK).try_for_each(|rows| {
        let mut tally = counter.tally();
        let mut shingler = Shingler::new(near.shingles);
        let mut pace = Pace::new(control);
        for &row in rows {
            let mut bytes = 0;
            for (field, spec) in near.fields.iter().enumerate() {
                let text = spec.texts.get(row as usize);
                bytes += text.len();
                shingler.each(&text, near.salt(field, row), |hash| tally.add(hash & HASH));
            }
            pace.glance(bytes)?;
        }
        tally.flush();
        pace.flush()
    })?;
    Ok(counter.finish())
}

/// Makes the entries of one block.
struct Maker<'a> {
    near: &'a Near<'a>,
    counts: &'a Counts,
    shingler: Shingler,
    hashes: Vec<u64>,
    counted: Vec<u8>,
    shared: Vec<u64>,
    block: Block,
}

impl<'a> Maker<'a> {
    fn new(near: &'a Near<'_>, counts: &'a Counts) -> Self {
        Self {
            near,
            counts,
            shingler: Shingler::new(near.shingles),
            hashes: Vec::new(),
            counted: Vec::new(),
            shared: Vec::new(),
            block: Block::default(),
        }
    }

    /// Adds the row if it may be like another; gives the bytes read.
    fn add(&mut self, row: u32, against: bool) -> usize {
        let mut bytes = 0;
        let start = self.block.tokens.len();
        let mut entry = Entry { row, against, sizes: [0; MAX_FIELDS], stored: [0; MAX_FIELDS], start };
        for (field, spec) in self.near.fields.iter().enumerate() {
            self.hashes.clear();
            let hashes = &mut self.hashes;
            if let Some(sets) = self.near.against.filter(|_| against) {
                hashes.extend(sets[field].get(row as usize).iter().map(|&hash| hash & HASH));
            } else {
                let text = spec.texts.get(row as usize);
                bytes += text.len();
                self.shingler.each(&text, self.near.salt(field, row), |hash| hashes.push(hash & HASH));
            }
            self.counts.get_all(hashes, &mut self.counted);
            self.shared.clear();
            let seen = hashes.iter().zip(&self.counted).filter(|&(_, &count)| count > 1);
            self.shared.extend(seen.map(|(&hash, &count)| (u64::from(count) << HASH_BITS) | hash));
            let alone = u32::try_from(hashes.len() - self.shared.len()).unwrap_or(u32::MAX);
            // What was counted once is distinct; what is shared may still repeat, so this bound only lets rows through.
            let least = min_overlap(spec.min_similarity, alone as usize);
            if self.shared.len() < least || self.hashes.len() > u32::MAX as usize {
                self.block.tokens.truncate(start);
                return bytes;
            }
            self.shared.sort_unstable();
            self.shared.dedup();
            let stored = u32::try_from(self.shared.len()).unwrap_or(u32::MAX);
            entry.stored[field] = stored;
            entry.sizes[field] = alone + stored;
            self.block.tokens.extend_from_slice(&self.shared);
        }
        if entry.may_match(self.near) {
            self.block.entries.push(entry);
        } else {
            self.block.tokens.truncate(start);
        }
        bytes
    }
}

/// See [`super::shingle_sets`].
pub(super) fn full(
    texts: &dyn Texts,
    field: usize,
    rows: &[u32],
    shingles: Shingles,
    control: &Control,
) -> Result<Vec<Vec<u64>>> {
    let sets = rows.par_chunks(ROWS_PER_BLOCK).map(|rows| {
        let mut maker = Shingler::new(shingles);
        let mut pace = Pace::new(control);
        let sets = rows.iter().map(|&row| {
            let text = texts.get(row as usize);
            let mut set = Vec::new();
            maker.each(&text, salt(field, None), |hash| set.push(hash & HASH));
            set.sort_unstable();
            set.dedup();
            pace.step(text.len())?;
            Ok(set)
        });
        let sets = sets.collect::<Result<Vec<_>>>()?;
        pace.flush()?;
        Ok(sets)
    });
    Ok(sets.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}
