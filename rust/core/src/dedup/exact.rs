//! Exact duplicates: rows whose keys are equal under a normal form.
//!
//! *What it decides*: of every set of rows with equal keys one is kept, and every other names it as its witness.
//!
//! *Method*: 128 bits of hash per row, a counting sort of row positions by hash prefix, and within a part a sort by hash. Equal hashes only
//! nominate: a row is removed when its normalised texts equal its witness's. XXH3 is not a cryptographic hash and anyone can make two
//! texts collide; colliding rows that differ are compared in an ordered map, so a collision costs time and never a row.
//!
//! *Survivor*: the lowest priority, then the smallest content hash, then the smallest row hash, then the first row. With both hashes
//! given, the row number decides only between rows that are alike in everything, so shuffled rows give the same survivors.
//!
//! *Cost*: 20 bytes a row (16 of hash, 4 of position) and 8 bytes a duplicate, beside the columns, which are read in place; a part in
//! work holds 24 bytes a row of its own. One pass over the texts, and a second one over those with equal hashes.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::NormalForm;
use super::partition::Partitions;
use crate::control::Pace;
use crate::hash::{self, ContentHash, Hashes};
use crate::text::Texts;
use crate::{Control, Error, Result};

/// What to compare. All columns run parallel and are indexed by row number.
pub struct Exact<'a> {
    /// The texts that make up the key; rows are alike when all of them are.
    pub columns: &'a [&'a dyn Texts],
    /// How they are seen.
    pub normal_form: NormalForm,
    /// The rows to look at; all when `None`.
    pub rows: Option<&'a [u32]>,
    /// Rows of different groups are never duplicates of each other.
    pub groups: Option<&'a [u32]>,
    /// Lower survives.
    pub priority: Option<&'a [u64]>,
    /// Breaks ties of priority.
    pub content: Option<&'a dyn Hashes>,
    /// Breaks ties of content.
    pub identity: Option<&'a dyn Hashes>,
    /// Whether rows whose texts are all empty (under the normal form) are duplicates of each other.
    pub match_empty: bool,
}

/// A row to remove, and the kept row that says the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duplicate {
    /// The row to remove.
    pub row: u32,
    /// The row that stays.
    pub witness: u32,
}

/// The duplicates, by row number.
pub fn exact_duplicates(exact: &Exact<'_>, control: &Control) -> Result<Vec<Duplicate>> {
    exact_duplicates_by(exact, hash::text, control)
}

/// [`exact_duplicates`] by any hash of a text: a bad one, even a constant one, gives the same answer later.
pub fn exact_duplicates_by(
    exact: &Exact<'_>,
    hash: impl Fn(&str) -> ContentHash + Sync,
    control: &Control,
) -> Result<Vec<Duplicate>> {
    exact.check()?;
    let length =
        exact.rows.map_or_else(|| exact.columns.first().map_or(0, |column| column.len()), <[u32]>::len);
    let mut hashes = vec![ContentHash::default(); length];
    hashes.par_chunks_mut(4096).enumerate().try_for_each(|(block, hashes)| {
        let mut pace = Pace::new(control);
        for (offset, slot) in hashes.iter_mut().enumerate() {
            let (key, bytes) = exact.hash(exact.row(block * 4096 + offset), &hash);
            *slot = key;
            pace.step(bytes)?;
        }
        pace.flush()
    })?;
    let partitions = Partitions::new(length, |position| prefix(&hashes[position]))?;
    let mut duplicates = partitions
        .parts()
        .map(|positions| {
            let mut entries: Vec<(u128, u32)> = positions
                .map(|at| (u128::from_le_bytes(hashes[at as usize]), exact.row(at as usize)))
                .collect();
            entries.sort_unstable();
            let mut found = Vec::new();
            for alike in entries.chunk_by(|left, right| left.0 == right.0).filter(|alike| alike.len() > 1) {
                let rows: Vec<u32> = alike.iter().map(|&(_, row)| row).collect();
                exact.resolve(&rows, &mut found, control)?;
            }
            Ok(found)
        })
        .collect::<Result<Vec<_>>>()?
        .concat();
    duplicates.par_sort_unstable();
    Ok(duplicates)
}

fn prefix(hash: &ContentHash) -> u64 {
    (u128::from_le_bytes(*hash) >> 64) as u64
}

impl Exact<'_> {
    fn check(&self) -> Result<()> {
        let rows = self.columns.first().map_or(0, |column| column.len());
        let same = |right: &'static str, right_rows: Option<usize>| match right_rows {
            Some(right_rows) if right_rows != rows => Err(Error::LengthMismatch {
                left: "the first text column",
                left_rows: rows,
                right,
                right_rows,
            }),
            _ => Ok(()),
        };
        for column in self.columns {
            same("another text column", Some(column.len()))?;
        }
        same("groups", self.groups.map(<[u32]>::len))?;
        same("priority", self.priority.map(<[u64]>::len))?;
        same("content", self.content.map(Hashes::len))?;
        same("identity", self.identity.map(Hashes::len))?;
        match self.rows.and_then(|numbers| numbers.iter().find(|&&row| row as usize >= rows)) {
            Some(row) => Err(Error::OutOfRange {
                name: "rows",
                value: row.to_string(),
                expected: "row numbers below the length of the columns",
            }),
            None => Ok(()),
        }
    }

    fn row(&self, position: usize) -> u32 {
        // Positions are below a length that `Partitions::new` checks to fit.
        self.rows.map_or_else(|| u32::try_from(position).unwrap_or(u32::MAX), |rows| rows[position])
    }

    fn hash(&self, row: u32, hash: &impl Fn(&str) -> ContentHash) -> (ContentHash, usize) {
        let mut bytes = 0;
        let mut part = |column: &dyn Texts| {
            let text = column.get(row as usize);
            bytes += text.len();
            hash(&self.normal_form.apply(&text))
        };
        let key = match self.columns {
            [column] => part(*column),
            columns => hash::combine(&columns.iter().map(|column| part(*column)).collect::<Vec<_>>()),
        };
        let key = match self.groups {
            Some(groups) => hash::combine(&[key, u128::from(groups[row as usize]).to_le_bytes()]),
            None => key,
        };
        (key, bytes)
    }

    /// Splits rows of one hash into rows of one key and reports all but the survivor of each.
    fn resolve(&self, rows: &[u32], found: &mut Vec<Duplicate>, control: &Control) -> Result<()> {
        let mut pace = Pace::new(control);
        let Some(first) = self.survivor(rows) else { return Ok(()) };
        let mut others: BTreeMap<(u32, Vec<String>), Vec<u32>> = BTreeMap::new();
        let removable = self.match_empty || !self.is_empty(first);
        for &row in rows.iter().filter(|&&row| row != first) {
            let (alike, bytes) = self.alike(first, row);
            pace.step(bytes)?;
            if !alike {
                others.entry(self.key(row)).or_default().push(row);
            } else if removable {
                found.push(Duplicate { row, witness: first });
            }
        }
        for alike in others.values() {
            if let Some(witness) = self.survivor(alike).filter(|&row| self.match_empty || !self.is_empty(row))
            {
                found.extend(
                    alike.iter().filter(|&&row| row != witness).map(|&row| Duplicate { row, witness }),
                );
            }
        }
        Ok(())
    }

    fn survivor(&self, rows: &[u32]) -> Option<u32> {
        let rank = |row: u32| {
            let row = row as usize;
            (
                self.priority.map(|priority| priority[row]),
                self.content.map(|content| content.get(row)),
                self.identity.map(|identity| identity.get(row)),
                row,
            )
        };
        rows.iter().copied().min_by_key(|&row| rank(row))
    }

    fn group(&self, row: u32) -> u32 {
        self.groups.map_or(0, |groups| groups[row as usize])
    }

    fn key(&self, row: u32) -> (u32, Vec<String>) {
        let texts =
            self.columns.iter().map(|column| self.normal_form.apply(&column.get(row as usize)).into_owned());
        (self.group(row), texts.collect())
    }

    /// Whether the two rows have equal keys, and how many bytes it took to see.
    fn alike(&self, left: u32, right: u32) -> (bool, usize) {
        let mut bytes = 0;
        let alike = self.group(left) == self.group(right)
            && self.columns.iter().all(|column| {
                let (left, right) = (column.get(left as usize), column.get(right as usize));
                bytes += left.len() + right.len();
                left == right || self.normal_form.apply(&left) == self.normal_form.apply(&right)
            });
        (alike, bytes)
    }

    fn is_empty(&self, row: u32) -> bool {
        self.columns.iter().all(|column| self.normal_form.apply(&column.get(row as usize)).is_empty())
    }
}
