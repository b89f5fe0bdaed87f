//! Near duplicates: rows whose shingle sets overlap, by true Jaccard similarity. Nothing is sketched.
//!
//! *What it decides*: rows are taken in the order of their rank. A row is removed when, in every field, its set of shingles has at least the
//! field's similarity with the set of a row kept before it; its witness is the first such row. So no row is removed for a row that is itself
//! removed, every group keeps its best row, and the answer depends on neither threads nor the order of rows.
//!
//! *Method*: an exact set-similarity join. A shingle that occurs once can match nothing: one pass counts the shingles in a table of bytes, a second
//! keeps of each row the shingles that may occur elsewhere, and drops the rows that have too few of them to be like any other. What
//! remains is joined over an inverted index of prefixes, rare shingles first (prefix and length filters: Chaudhuri et al. 2006, Bayardo et
//! al. 2007; positional filter: Xiao et al. 2008). Only kept rows are indexed, so a million copies of a template cost a million
//! comparisons. Every candidate is verified.
//!
//! *Exactness*: sets are sets of 56-bit hashes (XXH3 of words, combined). Two different shingles of one pair of rows of 100 words meet with a
//! chance below 1e-12; nothing else is approximate.
//!
//! *Memory*: up to 4 bytes for each shingle met (the table of counts), 8 for each shingle of the rows that may be duplicates, about 60 a row.

pub(super) mod counts;
mod index;
mod join;
mod rank;
mod sets;
mod shingles;

pub use shingles::{Shingler, Shingles, Unit};

use crate::hash::Hashes;
use crate::text::Texts;
use crate::{Control, Error, Result};

/// Fields that can be compared at once.
pub const MAX_FIELDS: usize = 4;

/// A part of the row that has to be alike.
pub struct Field<'a> {
    /// Its text.
    pub texts: &'a dyn Texts,
    /// Jaccard similarity from which two of them are alike, above 0 and at most 1.
    pub min_similarity: f64,
}

/// What to compare. All columns run parallel and are indexed by row number.
pub struct Near<'a> {
    /// What has to be alike; all of them, each by its own threshold. Two empty texts are alike, but rows that are empty in all fields are not.
    pub fields: &'a [Field<'a>],
    /// What the sets are made of.
    pub shingles: Shingles,
    /// The rows to look at; all when `None`.
    pub rows: Option<&'a [u32]>,
    /// Rows of different groups are never duplicates of each other.
    pub groups: Option<&'a [u32]>,
    /// Lower survives.
    pub priority: Option<&'a [u64]>,
    /// Breaks ties of priority.
    pub content: Option<&'a dyn Hashes>,
    /// Breaks ties of content; the row number decides last.
    pub identity: Option<&'a dyn Hashes>,
    /// Sets of rows that were kept before: they rank before all others and are not compared with each other. One a field.
    pub against: Option<&'a [&'a dyn Sets]>,
}

/// Sets of shingles read by row number.
pub trait Sets: Sync {
    /// Number of rows.
    fn len(&self) -> usize;
    /// The distinct hashes of `row`, as [`shingle_sets`] gave them.
    fn get(&self, row: usize) -> &[u64];
    /// Whether there are no rows.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Who stays in place of a removed row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Witness {
    /// A row of this call.
    Row(u32),
    /// A row of [`Near::against`].
    Against(u32),
}

/// A row to remove.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NearDuplicate {
    /// The row to remove.
    pub row: u32,
    /// The row that stays.
    pub witness: Witness,
    /// Their Jaccard similarity; of several fields the lowest.
    pub similarity: f64,
}

/// The near duplicates, by row number.
pub fn near_duplicates(near: &Near<'_>, control: &Control) -> Result<Vec<NearDuplicate>> {
    near.check()?;
    let order = near.order(control)?;
    let sets = sets::Stored::new(near, &order, control)?;
    let mut found = join::join(near, &sets, control)?;
    found.sort_unstable_by_key(|duplicate| duplicate.row);
    Ok(found)
}

/// The distinct shingles of each of `rows`, sorted: what [`Near::against`] takes. Hashes of field `field` of rows without groups.
pub fn shingle_sets(
    texts: &dyn Texts,
    field: usize,
    rows: &[u32],
    shingles: Shingles,
    control: &Control,
) -> Result<Vec<Vec<u64>>> {
    shingles.check()?;
    sets::full(texts, field, rows, shingles, control)
}

impl Near<'_> {
    fn check(&self) -> Result<()> {
        let out_of_range = |name, value: String, expected| Err(Error::OutOfRange { name, value, expected });
        if self.fields.is_empty() || self.fields.len() > MAX_FIELDS {
            return out_of_range("fields", self.fields.len().to_string(), "1 to 4 columns of text");
        }
        self.shingles.check()?;
        for field in self.fields {
            if !(field.min_similarity > 0.0 && field.min_similarity <= 1.0) {
                return out_of_range(
                    "min_similarity",
                    field.min_similarity.to_string(),
                    "a number above 0 and at most 1",
                );
            }
        }
        let rows = self.fields[0].texts.len();
        let same = |right: &'static str, right_rows: Option<usize>| match right_rows {
            Some(right_rows) if right_rows != rows => Err(Error::LengthMismatch {
                left: "the first text column",
                left_rows: rows,
                right,
                right_rows,
            }),
            _ => Ok(()),
        };
        for field in self.fields {
            same("another text column", Some(field.texts.len()))?;
        }
        same("groups", self.groups.map(<[u32]>::len))?;
        same("priority", self.priority.map(<[u64]>::len))?;
        same("content", self.content.map(Hashes::len))?;
        same("identity", self.identity.map(Hashes::len))?;
        if let Some(row) = self.rows.and_then(|numbers| numbers.iter().find(|&&row| row as usize >= rows)) {
            return out_of_range("rows", row.to_string(), "row numbers below the length of the columns");
        }
        if let Some(against) = self.against {
            if self.groups.is_some() {
                return out_of_range(
                    "against",
                    "given with groups".to_owned(),
                    "one of them: saved sets have no groups",
                );
            }
            if against.len() != self.fields.len() {
                return out_of_range(
                    "against",
                    against.len().to_string(),
                    "one column of sets for each field",
                );
            }
            for sets in against {
                if sets.len() != against[0].len() {
                    return Err(Error::LengthMismatch {
                        left: "the first column of sets",
                        left_rows: against[0].len(),
                        right: "another column of sets",
                        right_rows: sets.len(),
                    });
                }
            }
        }
        let total = rows + self.old();
        if u32::try_from(total).is_err() {
            return Err(Error::TooManyRows { rows: total as u64 });
        }
        Ok(())
    }

    fn salt(&self, field: usize, row: u32) -> u64 {
        shingles::salt(field, self.groups.map(|groups| groups[row as usize]))
    }

    fn old(&self) -> usize {
        self.against.map_or(0, |against| against[0].len())
    }

    /// The rows to look at, by rank.
    fn order(&self, control: &Control) -> Result<Vec<u32>> {
        let key = |row: u32| {
            let at = row as usize;
            (
                self.priority.map(|priority| priority[at]),
                self.content.map(|content| content.get(at)),
                self.identity.map(|identity| identity.get(at)),
                row,
            )
        };
        // `check` made sure that they fit.
        let all = || (0..u32::try_from(self.fields[0].texts.len()).unwrap_or(u32::MAX)).collect::<Vec<_>>();
        match self.rows {
            Some(rows) => rank::sorted(rows, key, control),
            None => rank::sorted(&all(), key, control),
        }
    }
}
