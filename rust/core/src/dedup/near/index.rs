//! The inverted index: which kept rows have a shingle in their prefix.

use std::hash::{BuildHasherDefault, Hasher};

use rayon::prelude::*;

use super::sets::{Stored, min_overlap};
use crate::{Control, Error, Result};

/// Tokens are sorted in parts, at least so many, of about so many each.
const PARTS: usize = 4;
const PART: usize = 1 << 24;

/// Tokens are hashes already: what is left to do is to bring their low bits, in which they differ, to the top.
#[derive(Default)]
struct Mixed(u64);

impl Hasher for Mixed {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }
    fn write_u64(&mut self, token: u64) {
        self.0 = (self.0 ^ token).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    fn finish(&self) -> u64 {
        // The map takes its place from the low bits and its tag from the high ones.
        self.0.rotate_left(32)
    }
}

/// A field's threshold, and the bounds that follow from it. Bounds are wider than a float's error: they only ever let a pair through.
pub(super) struct Spec {
    pub(super) min_similarity: f64,
    /// The share of the two sizes' sum that must be shared.
    share: f64,
}

impl Spec {
    pub(super) fn new(min_similarity: f64) -> Self {
        Self { min_similarity, share: min_similarity / (1.0 + min_similarity) * (1.0 - 1e-9) }
    }

    /// The least overlap of two similar sets whose sizes sum to `sizes`.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and `sizes`")]
    pub(super) fn min_shared(&self, sizes: u64) -> u64 {
        (self.share * sizes as f64).ceil() as u64
    }

    /// The largest set that a set of `size` may be similar to when the first shingle they share is its `position`th.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what fits")]
    fn reach(&self, size: u32, position: u32) -> u32 {
        (f64::from(size - position) / self.share - f64::from(size) + 1e-6).clamp(0.0, f64::from(u32::MAX))
            as u32
    }
}

/// A shingle of a row's prefix that another prefix has too.
#[derive(Clone, Copy)]
pub(super) struct Probe {
    slot: u32,
    reach: u32,
    /// Whether the shingle stands so early in the set that a larger set may be similar. Of two similar rows one is rich in the first
    /// shingle they share: were both poor, each would have to be smaller than the other.
    rich: bool,
}

#[derive(Clone, Copy, Default)]
struct Posting {
    entry: u32,
    reach: u32,
}

pub(super) struct Index {
    slots: hashbrown::HashMap<u64, u32, BuildHasherDefault<Mixed>>,
    /// Where a slot's postings begin, one more at the end: rich ones fill it from the front, poor ones from the back.
    starts: Vec<u32>,
    rich: Vec<u32>,
    poor: Vec<u32>,
    postings: Vec<Posting>,
}

impl Index {
    /// Room for the prefixes of all entries; none is in it yet.
    pub(super) fn new(specs: &[Spec], stored: &Stored, control: &Control) -> Result<Self> {
        let mut slots = hashbrown::HashMap::default();
        let mut starts = vec![0u32];
        let mut end = 0usize;
        // Part by part: a quarter of the memory, and a sort of all would leave Ctrl-C without an answer.
        let entries = 0..stored.entries().len();
        let lengths = entries.clone().into_par_iter().with_min_len(4096).map(|at| {
            (0..specs.len()).map(|field| prefix(&specs[field], stored, at, field).len()).sum::<usize>()
        });
        let parts = (lengths.sum::<usize>() / PART).max(PARTS) as u64;
        for part in 0..parts {
            let prefixes = entries.clone().into_par_iter().with_min_len(4096).flat_map_iter(|at| {
                let of_field = move |field| prefix(&specs[field], stored, at, field).iter().copied();
                (0..specs.len()).flat_map(of_field).filter(move |token| token % parts == part)
            });
            let mut tokens: Vec<u64> = prefixes.collect();
            control.advance(0)?;
            tokens.par_sort_unstable();
            for alike in tokens.chunk_by(|left, right| left == right).filter(|alike| alike.len() > 1) {
                slots.insert(alike[0], u32::try_from(starts.len() - 1).unwrap_or(u32::MAX));
                end += alike.len();
                starts.push(u32::try_from(end).map_err(|_| Error::TooManyRows { rows: end as u64 })?);
            }
            control.advance(0)?;
        }
        let filled = vec![0; starts.len() - 1];
        Ok(Self {
            slots,
            starts,
            rich: filled.clone(),
            poor: filled,
            postings: vec![Posting::default(); end],
        })
    }

    /// The probes of an entry, a list a field.
    pub(super) fn probes(&self, specs: &[Spec], stored: &Stored, at: usize) -> Vec<Vec<Probe>> {
        let fields = specs.iter().enumerate().map(|(field, spec)| {
            let size = stored.entries()[at].sizes[field];
            let tokens = stored.tokens(at, field).len();
            // The shingles that nobody else has come first in the order of tokens, though they are not stored.
            let alone = size - u32::try_from(tokens).unwrap_or(size);
            let probe = |(position, token): (u32, &u64)| {
                let reach = spec.reach(size, position);
                Some(Probe { slot: *self.slots.get(token)?, reach, rich: reach >= size })
            };
            (alone..).zip(prefix(spec, stored, at, field)).filter_map(probe).collect()
        });
        fields.collect()
    }

    /// Adds a kept row.
    pub(super) fn insert(&mut self, at: usize, probes: &[Vec<Probe>]) {
        for probe in probes.iter().flatten() {
            let slot = probe.slot as usize;
            let place = if probe.rich {
                self.rich[slot] += 1;
                self.starts[slot] + self.rich[slot] - 1
            } else {
                self.poor[slot] += 1;
                self.starts[slot + 1] - self.poor[slot]
            };
            // Entries are counted in `u32`: `Near::check` made sure that they fit.
            let entry = u32::try_from(at).unwrap_or(u32::MAX);
            self.postings[place as usize] = Posting { entry, reach: probe.reach };
        }
    }

    /// Takes back a row that was added; those added after it must be taken back too before another is added.
    pub(super) fn take_back(&mut self, probes: &[Vec<Probe>]) {
        for probe in probes.iter().flatten() {
            let filled = if probe.rich { &mut self.rich } else { &mut self.poor };
            filled[probe.slot as usize] -= 1;
        }
    }

    /// The rows from `start` to before `at` that may be similar to `at`, increasing. They are found by the field whose shingles have
    /// the fewest of them: similar rows are similar in every field.
    pub(super) fn candidates(
        &self,
        stored: &Stored,
        at: usize,
        probes: &[Vec<Probe>],
        start: usize,
    ) -> impl Iterator<Item = usize> + use<> {
        let entries = stored.entries();
        let field = (0..probes.len())
            .filter(|&field| entries[at].sizes[field] > 0)
            .min_by_key(|&field| probes[field].iter().map(|probe| self.cost(probe)).sum::<u64>());
        let mut found: Vec<u32> = Vec::new();
        if let Some(field) = field {
            let size = entries[at].sizes[field];
            for probe in &probes[field] {
                let slot = probe.slot as usize;
                let (from, to) = (self.starts[slot] as usize, self.starts[slot + 1] as usize);
                let rich = self.postings[from..from + self.rich[slot] as usize].iter().rev();
                let poor = self.postings[to - self.poor[slot] as usize..to].iter();
                let poor = poor.take(if probe.rich { usize::MAX } else { 0 });
                let fits = |posting: &&Posting| {
                    posting.reach >= size && entries[posting.entry as usize].sizes[field] <= probe.reach
                };
                let recent = |posting: &&Posting| posting.entry as usize >= start;
                found.extend(rich.take_while(recent).filter(fits).map(|posting| posting.entry));
                found.extend(poor.take_while(recent).filter(fits).map(|posting| posting.entry));
            }
        }
        found.sort_unstable();
        found.dedup();
        found.into_iter().map(|entry| entry as usize).take_while(move |&entry| entry < at)
    }

    fn cost(&self, probe: &Probe) -> u64 {
        let slot = probe.slot as usize;
        u64::from(self.rich[slot]) + if probe.rich { u64::from(self.poor[slot]) } else { 0 }
    }
}

/// The tokens one of which every similar set shares.
fn prefix<'a>(spec: &Spec, stored: &'a Stored, at: usize, field: usize) -> &'a [u64] {
    let tokens = stored.tokens(at, field);
    let least = min_overlap(spec.min_similarity, stored.entries()[at].sizes[field] as usize);
    &tokens[..(tokens.len() + 1).saturating_sub(least.max(1)).min(tokens.len())]
}
