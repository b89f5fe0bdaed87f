//! Labels to small numbers: the distinct tuples of one or more text columns, and every row's code among them.
//!
//! *Order*: codes are ranks. Code 0 is the smallest tuple, compared column by column, byte by byte, a null before every text. So codes
//! depend on the set of tuples alone, not on the order of rows, chunks or threads.
//!
//! *Cost*: a hash look-up per row and column, saved where a row repeats the one above it (rows come sorted by source and task); 8 bytes a
//! row while it runs, 4 of which are the answer.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use rayon::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

use crate::{Control, Error, Result};

/// A column of labels read by row number.
pub trait Labels: Sync {
    /// Number of rows.
    fn rows(&self) -> usize;
    /// The label of `row`, `None` where it is null.
    fn label(&self, row: usize) -> Option<&str>;
}

impl<T: AsRef<str> + Sync> Labels for Vec<Option<T>> {
    fn rows(&self) -> usize {
        self.len()
    }
    fn label(&self, row: usize) -> Option<&str> {
        self[row].as_ref().map(AsRef::as_ref)
    }
}

/// What [`factorize`] finds. The last three run parallel to each other, one entry per code.
#[derive(Debug, PartialEq, Eq)]
pub struct Factors {
    /// The code of every row.
    pub codes: Vec<u32>,
    /// The distinct tuples, column by column: `values[column][code]`.
    pub values: Vec<Vec<Option<String>>>,
    /// How many rows have the code.
    pub rows: Vec<u64>,
    /// The first row that has it.
    pub first: Vec<u32>,
}

const BLOCK: usize = 1 << 16;

/// Codes the rows of `columns`, all of one length; no column at all gives no rows.
pub fn factorize(columns: &[&dyn Labels], control: &Control) -> Result<Factors> {
    let length = columns.first().map_or(0, |column| column.rows());
    for column in columns {
        if column.rows() != length {
            return Err(Error::LengthMismatch {
                left: "the first column of labels",
                left_rows: length,
                right: "another",
                right_rows: column.rows(),
            });
        }
    }
    if u32::try_from(length).is_err() {
        return Err(Error::TooManyRows { rows: length as u64 });
    }
    let mut codes: Vec<u32> = Vec::new();
    // tuples[column][code] is a rank among that column's own labels.
    let mut tuples: Vec<Vec<u32>> = Vec::new();
    let mut labels: Vec<Vec<Option<&str>>> = Vec::new();
    for &column in columns {
        let (ranks, distinct) = ranks(
            length,
            |row| column.label(row),
            |label| label.map_or(0, |text| xxh3_64(text.as_bytes())),
            control,
        )?;
        if tuples.is_empty() {
            codes = ranks;
            tuples.push((0..distinct.len() as u64).map(rank).collect());
        } else {
            // Ranks on the left, ranks on the right: the order of the pairs is the order of the tuples.
            let (paired, pairs) = self::ranks(
                length,
                |row| u64::from(codes[row]) << 32 | u64::from(ranks[row]),
                |pair| xxh3_64(&pair.to_le_bytes()),
                control,
            )?;
            codes = paired;
            for earlier in &mut tuples {
                *earlier = pairs.iter().map(|pair| earlier[rank(pair >> 32) as usize]).collect();
            }
            tuples.push(pairs.iter().map(|pair| rank(pair & u64::from(u32::MAX))).collect());
        }
        labels.push(distinct);
    }
    let distinct = tuples.first().map_or(0, Vec::len);
    let (mut rows, mut first) = (vec![0u64; distinct], vec![0u32; distinct]);
    for (row, &code) in codes.iter().enumerate().rev() {
        rows[code as usize] += 1;
        first[code as usize] = rank(row as u64);
    }
    let values = labels
        .iter()
        .zip(&tuples)
        .map(|(labels, column)| column.iter().map(|&rank| labels[rank as usize].map(str::to_owned)).collect())
        .collect();
    Ok(Factors { codes, values, rows, first })
}

/// There are at most as many distinct values as rows, and those fit (checked on entry).
fn rank(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The rank of every row's value among the distinct values, and these in order.
fn ranks<T: Copy + Ord + Send + Sync>(
    length: usize,
    value: impl Fn(usize) -> T + Sync,
    hash: impl Fn(T) -> u64 + Sync,
    control: &Control,
) -> Result<(Vec<u32>, Vec<T>)> {
    let mut codes = vec![0u32; length];
    let blocks = codes
        .par_chunks_mut(BLOCK)
        .enumerate()
        .map(|(block, codes)| {
            let mut seen: HashTable<u32> = HashTable::new();
            let mut values: Vec<T> = Vec::new();
            let mut last: Option<(T, u32)> = None;
            for (offset, code) in codes.iter_mut().enumerate() {
                let this = value(block * BLOCK + offset);
                *code = match last {
                    Some((value, code)) if value == this => code,
                    _ => {
                        let is_this = |&at: &u32| values[at as usize] == this;
                        match seen.entry(hash(this), is_this, |&at| hash(values[at as usize])) {
                            Entry::Occupied(found) => *found.get(),
                            Entry::Vacant(free) => {
                                let at = rank(values.len() as u64);
                                free.insert(at);
                                values.push(this);
                                at
                            }
                        }
                    }
                };
                last = Some((this, *code));
            }
            control.advance(codes.len() as u64)?;
            Ok(values)
        })
        .collect::<Result<Vec<Vec<T>>>>()?;
    let mut distinct: Vec<T> = blocks.concat();
    distinct.par_sort_unstable();
    distinct.dedup();
    codes.par_chunks_mut(BLOCK).zip(&blocks).for_each(|(codes, values)| {
        let ranks: Vec<u32> =
            values.iter().map(|value| rank(distinct.partition_point(|other| other < value) as u64)).collect();
        for code in codes {
            *code = ranks[*code as usize];
        }
    });
    Ok((codes, distinct))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_ranks_and_null_comes_first() {
        let source = vec![Some("b"), Some("a"), None, Some("b")];
        let task = vec![Some("y"), Some("z"), Some(""), Some("x")];
        let factors = factorize(&[&source, &task], &Control::default()).unwrap();
        assert_eq!(factors.codes, [3, 1, 0, 2]);
        assert_eq!(factors.values[0], [None, Some("a".into()), Some("b".into()), Some("b".into())]);
        assert_eq!(
            factors.values[1],
            [Some(String::new()), Some("z".into()), Some("x".into()), Some("y".into())]
        );
        assert_eq!((factors.rows, factors.first), (vec![1; 4], vec![2, 1, 3, 0]));
    }

    #[test]
    fn unequal_columns_are_refused() {
        let outcome = factorize(&[&vec![Some("a")], &Vec::<Option<&str>>::new()], &Control::default());
        assert!(matches!(outcome, Err(Error::LengthMismatch { left_rows: 1, right_rows: 0, .. })));
    }
}
