//! Labels to small numbers: the distinct tuples of one or more text columns, and every row's code among them.
//!
//! *Order*: codes are ranks. Code 0 is the smallest tuple, compared column by column, byte by byte, a null before every text. So codes
//! depend on the set of tuples alone, not on the order of rows, chunks or threads.
//!
//! *Method*: rows are cut into a few long segments, each coded in the order in which its labels come; then the segments' distinct labels
//! are sorted together and the codes replaced by ranks. Of a column that has codes for few labels, such as one of Arrow's dictionaries,
//! the codes are counted, the labels sorted, and the ranks written: each label is looked at once.
//!
//! *Cost*: a hash look-up per row and column; 4 bytes a row, which are the answer, and some 50 a distinct label and segment.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use rayon::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

use crate::{Control, Error, Result};

/// A column of labels read by row number.
pub trait Labels: Sync {
    /// Number of rows.
    fn rows(&self) -> usize;
    /// Codes the rows from `start` on, as many as there are `codes`, by asking `encoder` about their labels: `None` for a null. A label may
    /// be asked about once and its code reused; a label that no row has must not be asked about.
    fn code<'a>(&'a self, start: usize, codes: &mut [u32], encoder: &mut Encoder<Option<&'a str>>);
    /// The labels that rows can have, if the column knows them beforehand and they are few: then [`Labels::keys`] answers.
    fn known(&self) -> Option<Vec<Option<&str>>> {
        None
    }
    /// The index in [`Labels::known`] of the label of each row from `start` on, as many as there are `keys`.
    fn keys(&self, _start: usize, keys: &mut [u32]) {
        keys.fill(0);
    }
}

impl<T: AsRef<str> + Sync> Labels for Vec<Option<T>> {
    fn rows(&self) -> usize {
        self.len()
    }
    fn code<'a>(&'a self, start: usize, codes: &mut [u32], encoder: &mut Encoder<Option<&'a str>>) {
        for (label, code) in self[start..].iter().zip(codes) {
            *code = encoder.code(label.as_ref().map(AsRef::as_ref));
        }
    }
}

/// What a [`Encoder`] tells apart.
pub trait Value: Copy + Ord + Send + Sync {
    /// Equal values have equal hashes.
    fn hash(self) -> u64;
}

impl Value for Option<&str> {
    fn hash(self) -> u64 {
        self.map_or(0, |text| xxh3_64(text.as_bytes()))
    }
}

impl Value for u64 {
    fn hash(self) -> u64 {
        xxh3_64(&self.to_le_bytes())
    }
}

/// Numbers values in the order in which it is asked about them.
pub struct Encoder<T> {
    // With the hashes beside them, the values are not gone back to when the table grows.
    seen: HashTable<(u64, u32)>,
    values: Vec<T>,
}

impl<T: Value> Encoder<T> {
    fn new() -> Self {
        Self { seen: HashTable::new(), values: Vec::new() }
    }

    /// The number of `value`.
    pub fn code(&mut self, value: T) -> u32 {
        let hash = value.hash();
        let is_value = |&(other, at): &(u64, u32)| other == hash && self.values[at as usize] == value;
        match self.seen.entry(hash, is_value, |&(hash, _)| hash) {
            Entry::Occupied(found) => found.get().1,
            Entry::Vacant(free) => {
                let at = rank(self.values.len() as u64);
                free.insert((hash, at));
                self.values.push(value);
                at
            }
        }
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
/// Keys that are counted or replaced at once: they stay in a core's nearest cache.
const KEYS: usize = 1 << 11;

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
    let mut tuples = Ranks::<u64>::default();
    // ranks[column][code] is a rank among that column's own labels.
    let mut ranks: Vec<Vec<u32>> = Vec::new();
    let mut labels: Vec<Vec<Option<&str>>> = Vec::new();
    for &column in columns {
        let own = match column.known() {
            Some(known) => Ranks::of_known(length, &known, |start, keys| column.keys(start, keys), control)?,
            None => Ranks::new(length, |start, codes, encoder| column.code(start, codes, encoder), control)?,
        };
        if ranks.is_empty() {
            ranks.push((0..own.distinct.len() as u64).map(rank).collect());
            tuples = Ranks { codes: own.codes, distinct: Vec::new(), seen: own.seen };
        } else {
            // Ranks on the left, ranks on the right: the order of the pairs is the order of the tuples.
            let pair = |row: usize| u64::from(tuples.codes[row]) << 32 | u64::from(own.codes[row]);
            let code = |start: usize, codes: &mut [u32], encoder: &mut Encoder<u64>| {
                for (row, code) in (start..).zip(codes) {
                    *code = encoder.code(pair(row));
                }
            };
            tuples = Ranks::new(length, code, control)?;
            for earlier in &mut ranks {
                *earlier = tuples.distinct.iter().map(|pair| earlier[rank(pair >> 32) as usize]).collect();
            }
            ranks.push(tuples.distinct.iter().map(|pair| rank(pair & u64::from(u32::MAX))).collect());
        }
        labels.push(own.distinct);
    }
    let values = labels
        .iter()
        .zip(&ranks)
        .map(|(labels, column)| column.iter().map(|&rank| labels[rank as usize].map(str::to_owned)).collect())
        .collect();
    let (rows, first) = tuples.seen.iter().map(|seen| (u64::from(seen.rows), seen.first)).unzip();
    Ok(Factors { codes: tuples.codes, values, rows, first })
}

/// There are at most as many distinct values as rows, and those fit (checked on entry).
fn rank(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The rows that have a value.
#[derive(Clone, Copy)]
struct Seen {
    rows: u32,
    first: u32,
}

impl Seen {
    const NEVER: Self = Self { rows: 0, first: u32::MAX };

    fn and(self, other: Self) -> Self {
        Self { rows: self.rows + other.rows, first: self.first.min(other.first) }
    }
}

/// The rank of every row's value among the distinct values, these in order, and where each was seen.
struct Ranks<T> {
    codes: Vec<u32>,
    distinct: Vec<T>,
    seen: Vec<Seen>,
}

impl<T> Default for Ranks<T> {
    fn default() -> Self {
        Self { codes: Vec::new(), distinct: Vec::new(), seen: Vec::new() }
    }
}

impl<T: Value> Ranks<T> {
    /// `code` fills in the codes of the rows from its first argument on.
    fn new(
        length: usize,
        code: impl Fn(usize, &mut [u32], &mut Encoder<T>) + Sync,
        control: &Control,
    ) -> Result<Self> {
        let segment = segment(length);
        let mut codes = vec![0u32; length];
        let segments = codes
            .par_chunks_mut(segment)
            .enumerate()
            .map(|(number, codes)| {
                let mut encoder = Encoder::new();
                let mut seen: Vec<Seen> = Vec::new();
                for (block, codes) in (0..).zip(codes.chunks_mut(BLOCK)) {
                    let start = number * segment + block * BLOCK;
                    code(start, codes, &mut encoder);
                    // New labels are numbered in the order of the rows that they come with.
                    let mut new = seen.len();
                    seen.resize(encoder.values.len(), Seen::NEVER);
                    for (row, &code) in (start as u64..).zip(codes.iter()) {
                        if new == seen.len() {
                            break;
                        }
                        if code as usize == new {
                            seen[new].first = rank(row);
                            new += 1;
                        }
                    }
                    for &code in codes.iter() {
                        seen[code as usize].rows += 1;
                    }
                    control.advance(codes.len() as u64)?;
                }
                Ok((encoder.values, seen))
            })
            .collect::<Result<Vec<_>>>()?;
        let (ranks, distinct, seen) = Self::merged(&segments);
        codes.par_chunks_mut(segment).zip(&ranks).for_each(|(codes, ranks)| {
            for code in codes {
                *code = ranks[*code as usize];
            }
        });
        Ok(Self { codes, distinct, seen })
    }

    /// The same where the values are `known` and `keys` fills in their indices: these are counted before any code is written.
    fn of_known(
        length: usize,
        known: &[T],
        keys: impl Fn(usize, &mut [u32]) + Sync,
        control: &Control,
    ) -> Result<Self> {
        let segment = segment(length);
        let segments = (0..length.div_ceil(segment))
            .into_par_iter()
            .map(|number| {
                let mut seen = vec![Seen::NEVER; 2 * known.len()];
                let mut block = [0; KEYS];
                let end = length.min((number + 1) * segment);
                for start in (number * segment..end).step_by(KEYS) {
                    let block = &mut block[..KEYS.min(end - start)];
                    keys(start, block);
                    for (row, &key) in (start..).zip(block.iter()) {
                        // Neighbours often have one key: counted apart, neither waits for the other.
                        let seen = &mut seen[2 * key as usize + row % 2];
                        if seen.rows == 0 {
                            seen.first = rank(row as u64);
                        }
                        seen.rows += 1;
                    }
                    control.advance(block.len() as u64)?;
                }
                Ok(seen.chunks_exact(2).map(|two| two[0].and(two[1])).collect())
            })
            .collect::<Result<Vec<Vec<Seen>>>>()?;
        let all = segments
            .into_iter()
            .reduce(|all, part| all.iter().zip(part).map(|(all, part)| all.and(part)).collect());
        // A value that no row has gets no rank.
        let (indices, present): (Vec<u32>, Vec<(T, Seen)>) = (0..)
            .zip(known.iter().copied().zip(all.unwrap_or_default()))
            .filter(|(_, (_, seen))| seen.rows > 0)
            .unzip();
        let (ranks, distinct, seen) = Self::merged(&[present.into_iter().unzip()]);
        let mut rank_of = vec![0; known.len()];
        for (index, &rank) in indices.into_iter().zip(ranks.iter().flatten()) {
            rank_of[index as usize] = rank;
        }
        let mut codes = vec![0; length];
        codes.par_chunks_mut(segment).enumerate().for_each(|(number, codes)| {
            for (start, codes) in (number * segment..).step_by(KEYS).zip(codes.chunks_mut(KEYS)) {
                keys(start, codes);
                for code in codes {
                    *code = rank_of[*code as usize];
                }
            }
        });
        Ok(Self { codes, distinct, seen })
    }

    /// The ranks of each part's values, the distinct values in order, and where each was seen in all parts.
    fn merged(parts: &[(Vec<T>, Vec<Seen>)]) -> (Vec<Vec<u32>>, Vec<T>, Vec<Seen>) {
        let mut order: Vec<(T, usize, usize)> = (0..)
            .zip(parts)
            .flat_map(|(part, (values, _))| (0..).zip(values).map(move |(code, &value)| (value, part, code)))
            .collect();
        order.par_sort_unstable();
        let mut distinct: Vec<T> = Vec::new();
        let mut seen: Vec<Seen> = Vec::new();
        let mut ranks: Vec<Vec<u32>> = parts.iter().map(|(values, _)| vec![0; values.len()]).collect();
        for (value, part, code) in order {
            if distinct.last() != Some(&value) {
                distinct.push(value);
                seen.push(Seen::NEVER);
            }
            if let Some(all) = seen.last_mut() {
                *all = all.and(parts[part].1[code]);
            }
            ranks[part][code] = rank(distinct.len() as u64 - 1);
        }
        (ranks, distinct, seen)
    }
}

/// Rows of a segment. Few segments, so that a label is met as new only a few times; several to a thread, so that none waits long for the
/// last one.
fn segment(length: usize) -> usize {
    length.div_ceil(4 * rayon::current_num_threads()).next_multiple_of(BLOCK).max(BLOCK)
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

    struct Dictionary(Vec<Option<&'static str>>, Vec<u32>);

    impl Labels for Dictionary {
        fn rows(&self) -> usize {
            self.1.len()
        }
        fn code<'a>(&'a self, _: usize, _: &mut [u32], _: &mut Encoder<Option<&'a str>>) {
            unreachable!("the labels are known");
        }
        fn known(&self) -> Option<Vec<Option<&str>>> {
            Some(self.0.clone())
        }
        fn keys(&self, start: usize, keys: &mut [u32]) {
            keys.copy_from_slice(&self.1[start..start + keys.len()]);
        }
    }

    #[test]
    fn known_labels_give_what_looking_at_each_row_gives() {
        // One label stands twice, one is null, two are in no row.
        let labels = vec![Some("b"), None, Some("a"), Some("b"), Some("0"), Some("")];
        let keys: Vec<u32> = (0..200_000).map(|row: u32| row.wrapping_mul(2_654_435_761) >> 30).collect();
        let texts: Vec<Option<&str>> = keys.iter().map(|&key| labels[key as usize]).collect();
        let known = Dictionary(labels, keys);
        let control = Control::default();
        assert_eq!(factorize(&[&known], &control), factorize(&[&texts], &control));
        assert_eq!(factorize(&[&known, &texts], &control), factorize(&[&texts, &texts], &control));
        let none = Dictionary(vec![Some("a")], Vec::new());
        assert_eq!(factorize(&[&none], &control).unwrap().rows, Vec::<u64>::new());
    }

    #[test]
    fn unequal_columns_are_refused() {
        let outcome = factorize(&[&vec![Some("a")], &Vec::<Option<&str>>::new()], &Control::default());
        assert!(matches!(outcome, Err(Error::LengthMismatch { left_rows: 1, right_rows: 0, .. })));
    }
}
