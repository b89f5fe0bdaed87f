//! Rows by their rank, ten million of them without leaving Ctrl-C unanswered.

use rayon::prelude::*;

use crate::{Control, Result};

/// About so many rows are sorted in one go.
const PART: usize = if cfg!(test) { 64 } else { 1 << 16 };
/// Rows looked at for each part, to find where it ends.
const SAMPLE: usize = 16;

/// `rows` by `key`.
pub(super) fn sorted<K: Ord + Send + Sync>(
    rows: &[u32],
    key: impl Fn(u32) -> K + Sync,
    control: &Control,
) -> Result<Vec<u32>> {
    let parts = rows.len().div_ceil(PART);
    let step = (rows.len() / (parts * SAMPLE).max(1)).max(1);
    let mut sample: Vec<K> = rows.iter().step_by(step).map(|&row| key(row)).collect();
    sample.sort_unstable();
    // The first part ends before the first of these.
    let ends: Vec<K> = sample.into_iter().step_by(SAMPLE).collect();
    let mut split: Vec<Vec<u32>> = vec![Vec::new(); ends.len() + 1];
    for some in rows.chunks(16 * PART) {
        control.advance(0)?;
        let part_of: Vec<usize> = some
            .par_iter()
            .map(|&row| {
                let own = key(row);
                ends.partition_point(|end| *end <= own)
            })
            .collect();
        some.iter().zip(part_of).for_each(|(&row, part)| split[part].push(row));
    }
    let sorted = split.into_par_iter().map(|mut rows| {
        control.advance(0)?;
        rows.sort_by_cached_key(|&row| key(row));
        Ok(rows)
    });
    Ok(sorted.collect::<Result<Vec<_>>>()?.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_by_their_keys() {
        for rows in [0u32, 1, 63, 64, 65, 1000, 5000] {
            for modulus in [1u32, 2, 7, 997, u32::MAX] {
                let key = |row: u32| (row.wrapping_mul(2_654_435_761) % modulus, row);
                let given: Vec<u32> = (0..rows).rev().collect();
                let mut expected = given.clone();
                expected.sort_by_key(|&row| key(row));
                assert_eq!(sorted(&given, key, &Control::default()).unwrap(), expected, "{rows} {modulus}");
            }
        }
    }

    #[test]
    fn a_cancelled_sort_ends() {
        let control = Control::default();
        control.cancel();
        assert!(sorted(&(0..1000).collect::<Vec<_>>(), |row| row, &control).is_err());
    }
}
