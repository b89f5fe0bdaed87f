//! Copies of one row, numbered: the `.2`, `.3` ... of a row id.

use rayon::prelude::*;

use super::partition::Partitions;
use crate::hash::Hashes;
use crate::{Control, Result};

/// A row that is not the first of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Occurrence {
    /// The row.
    pub row: u32,
    /// 2 for the second copy, 3 for the third ...
    pub occurrence: u32,
}

/// The second and later copies among all rows, by row number.
///
/// Copies are rows whose hashes share the first 8 bytes, for these are what a row id shows: so an id is never given twice, whatever the
/// hashes. 4 bytes a row.
pub fn occurrences(hashes: &dyn Hashes, control: &Control) -> Result<Vec<Occurrence>> {
    let shown = |row: usize| (u128::from_be_bytes(hashes.get(row)) >> 64) as u64;
    let partitions = Partitions::new(hashes.len(), shown)?;
    let mut found = partitions
        .parts()
        .map(|rows| {
            let mut entries: Vec<(u64, u32)> = rows.map(|row| (shown(row as usize), row)).collect();
            entries.sort_unstable();
            control.advance(entries.len() as u64)?;
            Ok(entries
                .chunk_by(|left, right| left.0 == right.0)
                .flat_map(|copies| {
                    (2..).zip(&copies[1..]).map(|(occurrence, &(_, row))| Occurrence { row, occurrence })
                })
                .collect::<Vec<_>>())
        })
        .collect::<Result<Vec<_>>>()?
        .concat();
    found.par_sort_unstable();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash;

    #[test]
    fn copies_are_counted_by_row_number() {
        let hashes: Vec<_> = ["a", "b", "a", "a", "b", "c"].map(hash::text).to_vec();
        let found = occurrences(&hashes, &Control::default()).unwrap();
        let expected = [(2, 2), (3, 3), (4, 2)].map(|(row, occurrence)| Occurrence { row, occurrence });
        assert_eq!(found, expected);
    }
}
