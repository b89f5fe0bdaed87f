//! The candidates most like a text: Okapi BM25 as `rank-bm25` 0.2.2 computes it (`BM25Okapi`: k1 1.5, b 0.75, epsilon 0.25).
//!
//! The score of a candidate is the sum, over the words of the text, of idf * tf (k1 + 1) / (tf + k1 (1 - b + b length / mean length)),
//! where tf is how often the candidate has the word. With N candidates of which n have it, idf is ln(N - n + 0.5) less ln(n + 0.5);
//! where that is negative it is epsilon times the mean idf of all words (Robertson and Zaragoza 2009, section 3; the floor is the
//! package's). Words are those of [`Between::Punctuation`].
//!
//! *Memory*: 24 bytes for each distinct word of each candidate of the groups at work, and 12 bytes a candidate for each thread.

use rayon::prelude::*;

use crate::control::Pace;
use crate::hash::{self, Map};
use crate::text::Texts;
use crate::words::{Between, Splitter};
use crate::{Control, Error, Result};

const K1: f64 = 1.5;
const B: f64 = 0.75;
const EPSILON: f64 = 0.25;
const QUERIES_PER_BLOCK: usize = 256;

/// What to look for, and where.
pub struct Nearest<'a> {
    /// The texts to find something for.
    pub queries: &'a dyn Texts,
    /// The texts to find.
    pub candidates: &'a dyn Texts,
    /// Groups of the queries and of the candidates: a query sees the candidates of its own group alone, and their words alone count.
    pub groups: Option<(&'a [u32], &'a [u32])>,
    /// For each query the candidate that it must not find, [`u32::MAX`] for none: itself.
    pub except: Option<&'a [u32]>,
    /// How many to find for each query.
    pub count: usize,
}

/// One candidate found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// The query.
    pub query: u32,
    /// The candidate.
    pub candidate: u32,
    /// Their BM25 score; 0 when they share no word.
    pub score: f64,
}

/// The hits of every query, best first; fewer than asked for where a group has fewer candidates. Equal scores go by the candidates' texts' hashes, then by
/// their numbers, so that the order of candidates decides only between equal texts.
pub fn nearest(nearest: &Nearest<'_>, control: &Control) -> Result<Vec<Hit>> {
    let (queries, candidates) = (nearest.queries.len(), nearest.candidates.len());
    let same = |left: &'static str, left_rows: usize, right: &'static str, right_rows: Option<usize>| {
        match right_rows {
            Some(right_rows) if right_rows != left_rows => {
                Err(Error::LengthMismatch { left, left_rows, right, right_rows })
            }
            _ => Ok(()),
        }
    };
    same("queries", queries, "their groups", nearest.groups.map(|groups| groups.0.len()))?;
    same("candidates", candidates, "their groups", nearest.groups.map(|groups| groups.1.len()))?;
    same("queries", queries, "except", nearest.except.map(<[u32]>::len))?;
    for rows in [queries, candidates] {
        if u32::try_from(rows).is_err() {
            return Err(Error::TooManyRows { rows: rows as u64 });
        }
    }
    let groups = nearest.groups.unzip();
    let (asked, there) = (by_group(queries, groups.0), by_group(candidates, groups.1));
    let none = Vec::new();
    let hits = asked
        .par_iter()
        .enumerate()
        .filter(|(_, queries)| !queries.is_empty())
        .map(|(group, queries)| {
            let index = Index::new(nearest.candidates, there.get(group).unwrap_or(&none), control)?;
            let blocks = queries.par_chunks(QUERIES_PER_BLOCK).map(|queries| {
                let mut search = Search::new(&index);
                let mut pace = Pace::new(control);
                let mut hits = Vec::new();
                for &query in queries {
                    let text = nearest.queries.get(query as usize);
                    let except = nearest.except.map_or(u32::MAX, |except| except[query as usize]);
                    search.find(query, &text, except, nearest.count, &mut pace, &mut hits)?;
                    pace.step(text.len())?;
                }
                pace.flush()?;
                Ok(hits)
            });
            Ok(blocks.collect::<Result<Vec<_>>>()?.concat())
        })
        .collect::<Result<Vec<_>>>()?;
    let mut hits = hits.concat();
    hits.par_sort_by_key(|hit| hit.query);
    Ok(hits)
}

fn by_group(rows: usize, groups: Option<&[u32]>) -> Vec<Vec<u32>> {
    let mut found: Vec<Vec<u32>> = Vec::new();
    for (row, at) in (0u32..).zip(0..rows) {
        let group = groups.map_or(0, |groups| groups[at] as usize);
        if found.len() <= group {
            found.resize(group + 1, Vec::new());
        }
        found[group].push(row);
    }
    found
}

struct Index {
    candidates: Vec<u32>,
    /// Decides between equal scores.
    rank: Vec<u32>,
    words: Map<u64, u32>,
    starts: Vec<usize>,
    /// Candidates by place in `candidates`, with what a word adds to their score.
    postings: Vec<(u32, f64)>,
}

impl Index {
    fn new(texts: &dyn Texts, candidates: &[u32], control: &Control) -> Result<Self> {
        let mut splitter = Splitter::new(Between::Punctuation, 0);
        let mut pace = Pace::new(control);
        let mut words: Map<u64, u32> = Map::default();
        let mut counts: Vec<Vec<(u32, u32)>> = Vec::new();
        let mut lengths = Vec::with_capacity(candidates.len());
        let mut ranked = Vec::with_capacity(candidates.len());
        let mut of_text: Vec<u32> = Vec::new();
        for (place, &candidate) in (0u32..).zip(candidates) {
            let text = texts.get(candidate as usize);
            ranked.push((hash::text(&text), candidate, place));
            of_text.clear();
            splitter.each_word(&text, |_, word| {
                let next = u32::try_from(words.len()).unwrap_or(u32::MAX);
                of_text.push(*words.entry(word).or_insert(next));
            });
            lengths.push(of_text.len() as f64);
            counts.resize(words.len(), Vec::new());
            of_text.sort_unstable();
            for alike in of_text.chunk_by(|left, right| left == right) {
                counts[alike[0] as usize].push((place, u32::try_from(alike.len()).unwrap_or(u32::MAX)));
            }
            pace.glance(text.len())?;
        }
        pace.flush()?;
        ranked.sort_unstable();
        let mut rank = vec![0; candidates.len()];
        for (at, (_, _, place)) in (0u32..).zip(ranked) {
            rank[place as usize] = at;
        }
        let mean_length = lengths.iter().sum::<f64>() / lengths.len() as f64;
        let number = candidates.len() as f64;
        let idf = |postings: &Vec<(u32, u32)>| {
            let with = postings.len() as f64;
            (number - with + 0.5).ln() - (with + 0.5).ln()
        };
        let mean_idf = counts.iter().map(idf).sum::<f64>() / counts.len() as f64;
        let mut starts = vec![0];
        let mut postings = Vec::new();
        for of_word in &counts {
            let weight = Some(idf(of_word)).filter(|idf| *idf >= 0.0).unwrap_or(EPSILON * mean_idf);
            postings.extend(of_word.iter().map(|&(place, count)| {
                let count = f64::from(count);
                let length = lengths[place as usize] / mean_length;
                (place, weight * (count * (K1 + 1.0) / (count + K1 * (1.0 - B + B * length))))
            }));
            starts.push(postings.len());
        }
        Ok(Self { candidates: candidates.to_vec(), rank, words, starts, postings })
    }
}

/// One thread's sums.
struct Search<'a> {
    index: &'a Index,
    splitter: Splitter,
    scores: Vec<f64>,
    words: Vec<u32>,
    order: Vec<u32>,
}

impl<'a> Search<'a> {
    fn new(index: &'a Index) -> Self {
        let rows = index.candidates.len();
        Self {
            index,
            splitter: Splitter::new(Between::Punctuation, 0),
            scores: vec![0.0; rows],
            words: Vec::new(),
            order: Vec::new(),
        }
    }

    fn find(
        &mut self,
        query: u32,
        text: &str,
        except: u32,
        count: usize,
        pace: &mut Pace<'_>,
        hits: &mut Vec<Hit>,
    ) -> Result<()> {
        let (index, words) = (self.index, &mut self.words);
        words.clear();
        self.splitter.each_word(text, |_, word| words.extend(index.words.get(&word)));
        self.scores.fill(0.0);
        for &word in &self.words {
            let word = word as usize;
            let postings = &index.postings[index.starts[word]..index.starts[word + 1]];
            // Reading the query is the lesser part: every candidate with a word of it is looked at.
            pace.glance(16 * postings.len())?;
            for &(place, weight) in postings {
                self.scores[place as usize] += weight;
            }
        }
        pace.glance(16 * index.candidates.len())?;
        let scores = &self.scores;
        let better = |left: &u32, right: &u32| {
            let (left, right) = (*left as usize, *right as usize);
            scores[right].total_cmp(&scores[left]).then(index.rank[left].cmp(&index.rank[right]))
        };
        let places = (0u32..).zip(&index.candidates).filter(|(_, candidate)| **candidate != except);
        let places = places.map(|(place, _)| place);
        self.order.clear();
        if count == 1 {
            self.order.extend(places.min_by(better));
        } else {
            self.order.extend(places);
            if count < self.order.len() {
                self.order.select_nth_unstable_by(count, better);
                self.order.truncate(count);
            }
            self.order.sort_unstable_by(better);
        }
        hits.extend(self.order.iter().map(|&place| Hit {
            query,
            candidate: index.candidates[place as usize],
            score: scores[place as usize],
        }));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(queries: &[&str], candidates: &[&str], except: Option<&[u32]>, count: usize) -> Vec<(u32, u32)> {
        let (queries, candidates) = (queries.to_vec(), candidates.to_vec());
        let spec = Nearest { queries: &queries, candidates: &candidates, groups: None, except, count };
        let hits = nearest(&spec, &Control::default()).unwrap_or_default();
        hits.iter().map(|hit| (hit.query, hit.candidate)).collect()
    }

    const TEXTS: [&str; 4] = ["the cat sat", "a dog ran far", "birds fly", "the dog sat down"];

    #[test]
    fn the_most_alike_is_found_and_never_itself() {
        assert_eq!(find(&["Birds!", "a far dog"], &TEXTS, None, 1), [(0, 2), (1, 1)]);
        let itself: Vec<u32> = (0..4).collect();
        let found = find(&TEXTS, &TEXTS, Some(&itself), 4);
        assert_eq!(found.len(), 12);
        assert!(found.iter().all(|(query, candidate)| query != candidate));
    }

    #[test]
    fn groups_do_not_see_each_other() {
        let texts = TEXTS.to_vec();
        let groups = [0, 1, 0, 1];
        let spec = Nearest {
            queries: &texts,
            candidates: &texts,
            groups: Some((&groups, &groups)),
            except: None,
            count: 9,
        };
        let hits = nearest(&spec, &Control::default()).unwrap_or_default();
        assert_eq!(hits.len(), 8);
        assert!(hits.iter().all(|hit| hit.query % 2 == hit.candidate % 2));
    }

    #[test]
    fn nothing_to_find_is_no_error() {
        assert!(find(&["a"], &[], None, 3).is_empty());
        assert!(find(&[], &TEXTS, None, 3).is_empty());
        assert_eq!(find(&["", "?"], &TEXTS[..1], None, 1), [(0, 0), (1, 0)]);
    }
}
