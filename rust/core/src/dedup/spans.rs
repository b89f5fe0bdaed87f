//! Passages that many rows share word by word: boilerplate.
//!
//! *What it finds*: a row is looked at from the first place of each of its runs of `min_words` words. A span is a beginning of what follows there, of
//! `min_words` to [`MAX_WORDS`] words, that stands so in `min_rows` rows and cannot be made longer, at either end, in all of them. (A
//! span's rows may be too few where a row has the same first words twice: the second place does not count.)
//!
//! *Method*: hashes of runs are counted in a table of bytes, those that may be frequent once more by row, exactly, with the word before them.
//! A span can begin only where that word differs between rows, so a template of a hundred words has one place a row and not a hundred. These places
//! are sorted by what follows; neighbours with so many words in common are the rows of a span.
//!
//! *Memory*: up to 4 bytes for each word (the table), 40 for each distinct frequent run, 32 for each place, and 8 for each word behind the first place
//! of a row that has one.

use std::cmp::Reverse;
use std::ops::Range;

use rayon::prelude::*;

use super::near::counts::{Counter, Counts};
use crate::control::Pace;
use crate::hash::{Map, Set};
use crate::text::Texts;
use crate::words::{Between, Splitter};
use crate::{Control, Error, Result};

/// Longer spans are told as long as this.
pub const MAX_WORDS: usize = 2000;
const ROWS_PER_BLOCK: usize = 4096;
const BASE: u64 = 0x9e37_79b9_7f4a_7c15;

/// What counts as shared.
#[derive(Debug, Clone, Copy)]
pub struct Repeated {
    /// Words that a span has at least.
    pub min_words: usize,
    /// Rows that have it at least.
    pub min_rows: usize,
    /// How many spans to tell, the longest ones.
    pub top: usize,
}

/// A shared passage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// A row that has it.
    pub row: u32,
    /// Its bytes there.
    pub bytes: Range<usize>,
    /// Its words.
    pub words: u32,
    /// Rows that have it.
    pub rows: u32,
}

/// How often a run of words begins anew, and what stands before it.
#[derive(Clone, Copy)]
struct Seen {
    rows: u32,
    before: u64,
    /// Whether different words, or none, stand before it.
    varies: bool,
}

/// Where a span may begin.
struct Place {
    run: u64,
    before: u64,
    row: u32,
    /// The place of its first word in the row's words.
    at: u32,
    held: u32,
}

/// The words of a row from its first place on.
struct Held {
    row: u32,
    /// Tells rows apart by content, so that their order does not decide which row a span is shown in.
    content: u64,
    words: Vec<u64>,
    start: u32,
}

/// The longest passages, then those of most rows, then by content.
pub fn repeated_spans(texts: &dyn Texts, repeated: Repeated, control: &Control) -> Result<Vec<Span>> {
    let out_of_range =
        |name, value: usize, expected| Err(Error::OutOfRange { name, value: value.to_string(), expected });
    if !(1..=MAX_WORDS).contains(&repeated.min_words) {
        return out_of_range("min_words", repeated.min_words, "1 to 2000");
    }
    if repeated.min_rows < 2 {
        return out_of_range("min_rows", repeated.min_rows, "at least 2");
    }
    let rows = u32::try_from(texts.len()).map_err(|_| Error::TooManyRows { rows: texts.len() as u64 })?;
    let counts = count(texts, repeated, rows, control)?;
    let seen = see(texts, repeated, rows, &counts, control)?;
    drop(counts);
    let (mut places, held) = places(texts, repeated, rows, &seen, control)?;
    drop(seen);
    places.par_sort_unstable_by_key(|place| place.run);
    let groups: Vec<&mut [Place]> = places.chunk_by_mut(|left, right| left.run == right.run).collect();
    let found: Vec<Vec<Found>> = groups
        .into_par_iter()
        .map(|group| {
            control.advance(0)?;
            Ok(spans_of(group, &held, repeated))
        })
        .collect::<Result<_>>()?;
    let mut found: Vec<Found> = found.into_iter().flatten().collect();
    let words = |one: &Found| &held[one.held as usize].words[one.at as usize..][..one.words as usize];
    found.par_sort_unstable_by(|left, right| {
        (Reverse(left.words), Reverse(left.rows))
            .cmp(&(Reverse(right.words), Reverse(right.rows)))
            .then_with(|| words(left).cmp(words(right)))
    });
    found.truncate(repeated.top);
    Ok(found.iter().map(|one| one.span(texts, &held)).collect())
}

/// A span by its place.
struct Found {
    held: u32,
    at: u32,
    words: u32,
    rows: u32,
}

impl Found {
    fn span(&self, texts: &dyn Texts, held: &[Held]) -> Span {
        let held = &held[self.held as usize];
        let text = texts.get(held.row as usize);
        let (first, mut number) = (held.start + self.at, 0u32);
        let mut bytes = 0..0;
        Splitter::new(Between::Space, 0).each_word(&text, |range, _| {
            if number == first {
                bytes.start = range.start;
            }
            if number == first + self.words - 1 {
                bytes.end = range.end;
            }
            number += 1;
        });
        Span { row: held.row, bytes, words: self.words, rows: self.rows }
    }
}

/// Calls `each` for every row with its words.
fn each_row(
    texts: &dyn Texts,
    rows: &[u32],
    control: &Control,
    mut each: impl FnMut(u32, &str, &[u64]),
) -> Result<()> {
    let mut splitter = Splitter::new(Between::Space, 0);
    let mut pace = Pace::new(control);
    let mut words = Vec::new();
    for &row in rows {
        let text = texts.get(row as usize);
        words.clear();
        splitter.each_word(&text, |_, hash| words.push(hash));
        each(row, &text, &words);
        pace.glance(text.len())?;
    }
    pace.flush()
}

/// Calls `each` with the place and hash of every run of `size` words, only the first of equal ones.
fn each_run(words: &[u64], size: usize, met: &mut Set<u64>, mut each: impl FnMut(usize, u64)) {
    // To clear a set takes as long as it once was large: after a huge row a new one is cheaper.
    if met.capacity() > 1 << 16 {
        *met = Set::default();
    }
    met.clear();
    let leaving = (0..size).fold(1u64, |power, _| power.wrapping_mul(BASE));
    let mut rolling = 0u64;
    for (at, &word) in words.iter().enumerate() {
        rolling = rolling.wrapping_mul(BASE).wrapping_add(word);
        if at >= size {
            rolling = rolling.wrapping_sub(words[at - size].wrapping_mul(leaving));
        }
        if at + 1 >= size && met.insert(rolling) {
            each(at + 1 - size, rolling);
        }
    }
}

fn blocks(rows: u32) -> Vec<Vec<u32>> {
    let rows: Vec<u32> = (0..rows).collect();
    rows.chunks(ROWS_PER_BLOCK).map(<[u32]>::to_vec).collect()
}

fn count(texts: &dyn Texts, repeated: Repeated, rows: u32, control: &Control) -> Result<Counts> {
    let bytes: u64 = (0..rows as usize).into_par_iter().map(|row| texts.get(row).len() as u64).sum();
    let counter = Counter::new(bytes / 6);
    blocks(rows).par_iter().try_for_each(|rows| {
        let mut tally = counter.tally();
        let mut met = Set::default();
        each_row(texts, rows, control, |_, _, words| {
            each_run(words, repeated.min_words, &mut met, |_, run| tally.add(run));
        })?;
        tally.flush();
        Ok(())
    })?;
    Ok(counter.finish())
}

fn see(
    texts: &dyn Texts,
    repeated: Repeated,
    rows: u32,
    counts: &Counts,
    control: &Control,
) -> Result<Map<u64, Seen>> {
    let least = u8::try_from(repeated.min_rows).unwrap_or(u8::MAX);
    let merge = |mut left: Map<u64, Seen>, right: Map<u64, Seen>| {
        for (run, one) in right {
            left.entry(run)
                .and_modify(|seen| {
                    seen.rows += one.rows;
                    seen.varies |= one.varies || seen.before != one.before;
                })
                .or_insert(one);
        }
        left
    };
    let parts = blocks(rows).into_par_iter().map(|rows| {
        let mut seen: Map<u64, Seen> = Map::default();
        let mut met = Set::default();
        each_row(texts, &rows, control, |_, _, words| {
            each_run(words, repeated.min_words, &mut met, |at, run| {
                if counts.get(run) >= least {
                    let before = if at == 0 { 0 } else { words[at - 1] };
                    let one = seen.entry(run).or_insert(Seen { rows: 0, before, varies: at == 0 });
                    one.rows += 1;
                    one.varies |= at == 0 || one.before != before;
                }
            });
        })?;
        Ok(seen)
    });
    let mut seen = parts.try_reduce(Map::default, |left, right| {
        Ok(if left.len() < right.len() { merge(right, left) } else { merge(left, right) })
    })?;
    seen.retain(|_, one| one.varies && one.rows as usize >= repeated.min_rows);
    Ok(seen)
}

fn places(
    texts: &dyn Texts,
    repeated: Repeated,
    rows: u32,
    seen: &Map<u64, Seen>,
    control: &Control,
) -> Result<(Vec<Place>, Vec<Held>)> {
    let parts: Vec<(Vec<Place>, Vec<Held>)> = blocks(rows)
        .into_par_iter()
        .map(|rows| {
            let (mut places, mut held): (Vec<Place>, Vec<Held>) = Default::default();
            let mut met = Set::default();
            each_row(texts, &rows, control, |row, text, words| {
                let before = places.len();
                each_run(words, repeated.min_words, &mut met, |at, run| {
                    if seen.contains_key(&run) {
                        let before = if at == 0 { 0 } else { words[at - 1] };
                        let at = u32::try_from(at).unwrap_or(u32::MAX);
                        places.push(Place { run, before, row, at, held: 0 });
                    }
                });
                if places.len() > before {
                    let start = places[before].at;
                    places[before..].iter_mut().for_each(|place| place.at -= start);
                    let content = xxhash_rust::xxh3::xxh3_64(text.as_bytes());
                    let words = words[start as usize..].to_vec();
                    held.push(Held { row, content, words, start });
                }
            })?;
            Ok((places, held))
        })
        .collect::<Result<_>>()?;
    let (mut places, mut held) = (Vec::new(), Vec::new());
    for (some, more) in parts {
        places.extend(some);
        held.extend(more);
    }
    // Both are by row.
    let mut at = 0;
    for place in &mut places {
        while held[at].row != place.row {
            at += 1;
        }
        place.held = u32::try_from(at).unwrap_or(u32::MAX);
    }
    Ok((places, held))
}

/// The spans that begin with one run: the inner nodes of the tree of what follows it.
fn spans_of(group: &mut [Place], held: &[Held], repeated: Repeated) -> Vec<Found> {
    let follows = |place: &Place| {
        let words = &held[place.held as usize].words[place.at as usize..];
        &words[..words.len().min(MAX_WORDS)]
    };
    group.sort_unstable_by(|left, right| follows(left).cmp(follows(right)));
    let shared = |left: &Place, right: &Place| {
        follows(left).iter().zip(follows(right)).take_while(|(one, two)| one == two).count()
    };
    // How many neighbours before each differ in the word before: equal numbers at both ends of a span mean one word before all of it.
    let mut turns = vec![0u32; group.len()];
    for at in 1..group.len() {
        turns[at] = turns[at - 1] + u32::from(group[at].before != group[at - 1].before);
    }
    let mut found = Vec::new();
    let mut open: Vec<(usize, usize)> = Vec::new();
    for end in 1..=group.len() {
        let common = if end < group.len() { shared(&group[end - 1], &group[end]) } else { 0 };
        let mut start = end - 1;
        while let Some(&(from, words)) = open.last().filter(|&&(_, words)| words > common) {
            open.pop();
            start = from;
            let extends = turns[from] == turns[end - 1] && group[from].before != 0;
            if end - from >= repeated.min_rows && words >= repeated.min_words && !extends {
                let first = group[from..end].iter().min_by_key(|place| {
                    let held = &held[place.held as usize];
                    (held.content, held.row)
                });
                found.extend(first.map(|place| Found {
                    held: place.held,
                    at: place.at,
                    words: u32::try_from(words).unwrap_or(u32::MAX),
                    rows: u32::try_from(end - from).unwrap_or(u32::MAX),
                }));
            }
        }
        if common >= repeated.min_words && open.last().is_none_or(|&(_, words)| words < common) {
            open.push((start, common));
        }
    }
    found
}
