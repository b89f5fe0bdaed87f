//! The join: every kept row is found by the rarest of its shingles, and every pair found is verified.

use std::ops::Range;

use rayon::prelude::*;

use super::index::{Index, Probe, Spec};
use super::sets::Stored;
use super::{MAX_FIELDS, Near, NearDuplicate, Witness};
use crate::{Control, Result};

/// Rows decided at once. The answer does not depend on it; rows of one block may all have to be compared, so it is short.
const BLOCK: usize = 512;

/// Finds the duplicates among the entries, in the order of their rank.
pub(super) fn join(near: &Near<'_>, stored: &Stored, control: &Control) -> Result<Vec<NearDuplicate>> {
    let specs: Vec<Spec> = near.fields.iter().map(|field| Spec::new(field.min_similarity)).collect();
    let entries = stored.entries();
    let mut join = Join {
        specs: &specs,
        stored,
        index: Index::new(&specs, stored, control)?,
        removed: vec![false; entries.len()],
    };
    let mut found = Vec::new();
    let first_new = entries.partition_point(|entry| entry.against);
    for block in blocks(0..first_new) {
        control.advance(0)?;
        let probes = join.probes(block.clone());
        block.zip(&probes).for_each(|(at, probes)| join.index.insert(at, probes));
    }
    for block in blocks(first_new..entries.len()) {
        control.advance(0)?;
        let probes = join.probes(block.clone());
        let before: Vec<Option<(usize, f64)>> = block
            .clone()
            .into_par_iter()
            .zip(&probes)
            .map(|(at, probes)| join.first(at, probes, control))
            .collect::<Result<_>>()?;
        let left: Vec<usize> = (0..block.len()).filter(|&offset| before[offset].is_none()).collect();
        for &offset in &left {
            join.index.insert(block.start + offset, &probes[offset]);
        }
        let within = left
            .par_iter()
            .map(|&offset| join.within(block.start, block.start + offset, &probes[offset], control))
            .collect::<Result<Vec<_>>>()?;
        let mut within = within.into_iter();
        for (at, before) in block.clone().zip(before) {
            // A row of the block may have gone for a row before it in the meantime, so here the first that is left counts.
            let first = before.or_else(|| {
                within.next().and_then(|similar| similar.into_iter().find(|&(other, _)| !join.removed[other]))
            });
            if let Some((other, similarity)) = first {
                join.removed[at] = true;
                let row = entries[other].row;
                let witness = if entries[other].against { Witness::Against(row) } else { Witness::Row(row) };
                found.push(NearDuplicate { row: entries[at].row, witness, similarity });
            }
        }
        // A block of copies would otherwise be candidates for all rows to come.
        if left.iter().any(|&offset| join.removed[block.start + offset]) {
            for &offset in &left {
                join.index.take_back(&probes[offset]);
            }
            for &offset in left.iter().filter(|&&offset| !join.removed[block.start + offset]) {
                join.index.insert(block.start + offset, &probes[offset]);
            }
        }
    }
    Ok(found)
}

fn blocks(entries: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    entries.clone().step_by(BLOCK).map(move |start| start..(start + BLOCK).min(entries.end))
}

struct Join<'a> {
    specs: &'a [Spec],
    stored: &'a Stored,
    index: Index,
    removed: Vec<bool>,
}

impl Join<'_> {
    fn probes(&self, block: Range<usize>) -> Vec<Vec<Vec<Probe>>> {
        block.into_par_iter().map(|at| self.index.probes(self.specs, self.stored, at)).collect()
    }

    /// The first kept row of the blocks before that is similar.
    fn first(&self, at: usize, probes: &[Vec<Probe>], control: &Control) -> Result<Option<(usize, f64)>> {
        control.advance(0)?;
        for other in self.index.candidates(self.stored, at, probes, 0) {
            if !self.removed[other]
                && let Some(similarity) = self.similarity(at, other, control)?
            {
                return Ok(Some((other, similarity)));
            }
        }
        Ok(None)
    }

    /// All similar rows of the same block that rank before.
    fn within(
        &self,
        start: usize,
        at: usize,
        probes: &[Vec<Probe>],
        control: &Control,
    ) -> Result<Vec<(usize, f64)>> {
        control.advance(0)?;
        let mut similar = Vec::new();
        for other in self.index.candidates(self.stored, at, probes, start) {
            if let Some(similarity) = self.similarity(at, other, control)? {
                similar.push((other, similarity));
            }
        }
        Ok(similar)
    }

    /// The lowest similarity of all fields, if each is high enough.
    fn similarity(&self, left: usize, right: usize, control: &Control) -> Result<Option<f64>> {
        let entries = self.stored.entries();
        let (sizes, others) = (entries[left].sizes, entries[right].sizes);
        let mut most = [0u64; MAX_FIELDS];
        // Short fields first: they tell two rows apart for less.
        let mut order: [usize; MAX_FIELDS] = std::array::from_fn(|field| field);
        for (field, spec) in self.specs.iter().enumerate() {
            let (size, other) = (u64::from(sizes[field]), u64::from(others[field]));
            most[field] = size + other;
            if size.min(other) < spec.min_shared(size + other) {
                return Ok(None);
            }
        }
        order[..self.specs.len()].sort_unstable_by_key(|&field| most[field]);
        let mut lowest = 1.0f64;
        for &field in &order[..self.specs.len()] {
            let spec = &self.specs[field];
            if most[field] == 0 {
                continue;
            }
            let (one, two) = (self.stored.tokens(left, field), self.stored.tokens(right, field));
            if one.len() + two.len() > 1 << 16 {
                control.advance(0)?;
            }
            let least = spec.min_shared(most[field]);
            let Some(shared) = shared(one, two, usize::try_from(least).unwrap_or(usize::MAX)) else {
                return Ok(None);
            };
            let similarity = shared as f64 / (most[field] - shared as u64) as f64;
            if similarity < spec.min_similarity {
                return Ok(None);
            }
            lowest = lowest.min(similarity);
        }
        Ok(Some(lowest))
    }
}

/// How many tokens two increasing lists share; `None` as soon as they cannot share `least`.
fn shared(left: &[u64], right: &[u64], least: usize) -> Option<usize> {
    let (mut at, mut other, mut shared) = (0, 0, 0);
    while at < left.len() && other < right.len() {
        let (one, two) = (left[at], right[other]);
        shared += usize::from(one == two);
        at += usize::from(one <= two);
        other += usize::from(two <= one);
        if at.is_multiple_of(32) && shared + (left.len() - at).min(right.len() - other) < least {
            return None;
        }
    }
    (shared >= least).then_some(shared)
}

#[cfg(test)]
mod tests {
    use super::shared;

    #[test]
    fn shared_tokens_are_counted_or_given_up() {
        let left: Vec<u64> = (0..200).collect();
        let right: Vec<u64> = (100..300).collect();
        assert_eq!(shared(&left, &right, 0), Some(100));
        assert_eq!(shared(&left, &right, 100), Some(100));
        assert_eq!(shared(&left, &right, 101), None);
        assert_eq!(shared(&left, &[], 0), Some(0));
    }
}
