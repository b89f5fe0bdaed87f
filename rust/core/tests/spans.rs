//! Laws of repeated spans, against brute force over lists of words.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::{BTreeMap, BTreeSet};

use chaffinch_core::Control;
use chaffinch_core::dedup::spans::{Repeated, repeated_spans};
use proptest::collection::vec;
use proptest::prelude::*;

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_lowercase).collect()
}

/// The words before and behind a span at one of its places.
type Around = (Option<String>, Option<String>);

/// Every span by its definition: beginnings of what follows a run's first place in a row.
fn brute(texts: &[String], min_words: usize, min_rows: usize) -> Vec<(Vec<String>, u32)> {
    let mut rows_of: BTreeMap<Vec<String>, Vec<Around>> = BTreeMap::new();
    for text in texts {
        let words = words(text);
        let mut met = BTreeSet::new();
        for at in 0..(words.len() + 1).saturating_sub(min_words) {
            if met.insert(words[at..at + min_words].to_vec()) {
                for end in at + min_words..=words.len() {
                    let before = at.checked_sub(1).map(|before| words[before].clone());
                    let around = (before, words.get(end).cloned());
                    rows_of.entry(words[at..end].to_vec()).or_default().push(around);
                }
            }
        }
    }
    let longer =
        |sides: Vec<&Option<String>>| sides[0].is_some() && sides.iter().all(|side| *side == sides[0]);
    let mut found: Vec<(Vec<String>, u32)> = rows_of
        .into_iter()
        .filter(|(_, around)| {
            around.len() >= min_rows
                && !longer(around.iter().map(|(before, _)| before).collect())
                && !longer(around.iter().map(|(_, after)| after).collect())
        })
        .map(|(words, around)| (words, u32::try_from(around.len()).unwrap()))
        .collect();
    found.sort();
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn spans_are_brute_force(
        rows in vec(vec("[a-cA]", 0..12), 0..14), min_words in 1..4usize, min_rows in 2..4usize, threads in 1..4usize,
        order in any::<u64>(),
    ) {
        let mut texts: Vec<String> = rows.iter().map(|words| words.join(" ")).collect();
        let repeated = Repeated { min_words, min_rows, top: usize::MAX };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let mut run = |shuffle: bool| {
            if shuffle && !texts.is_empty() {
                let at = usize::try_from(order % texts.len() as u64).unwrap();
                texts.rotate_left(at);
            }
            let spans = pool.install(|| repeated_spans(&texts, repeated, &Control::default())).unwrap();
            spans.into_iter().map(|span| (texts[span.row as usize][span.bytes].to_owned(), span.words, span.rows)).collect::<Vec<_>>()
        };
        let spans = run(false);
        prop_assert_eq!(&run(true), &spans, "the order of rows changes nothing, nor what is shown");
        for pair in spans.windows(2) {
            prop_assert!((pair[0].1, pair[0].2) >= (pair[1].1, pair[1].2), "longest first");
        }
        let mut found: Vec<_> = spans.iter().map(|(text, _, rows)| (words(text), *rows)).collect();
        prop_assert!(spans.iter().all(|(text, count, _)| words(text).len() == *count as usize));
        found.sort();
        prop_assert_eq!(found, brute(&texts, min_words, min_rows));
    }
}

#[test]
fn numbers_out_of_range_are_refused() {
    let texts = vec!["a".to_owned()];
    for (min_words, min_rows) in [(0, 2), (2001, 2), (1, 1), (1, 0)] {
        assert!(
            repeated_spans(&texts, Repeated { min_words, min_rows, top: 1 }, &Control::default()).is_err()
        );
    }
}

#[test]
fn one_word_over_and_over_is_not_quadratic() {
    let texts = vec!["a ".repeat(2_000_000), "a ".repeat(1_000_000)];
    let repeated = Repeated { min_words: 20, min_rows: 2, top: 10 };
    let found = repeated_spans(&texts, repeated, &Control::default()).unwrap();
    assert_eq!(found.iter().map(|span| (span.words, span.rows)).collect::<Vec<_>>(), [(2000, 2)]);
}
