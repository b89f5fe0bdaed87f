//! ROUGE against the packages' own way, word by word and by the whole table. The packages themselves are asked in tests/oracle.

use std::collections::{BTreeMap, BTreeSet};

use chaffinch_core::rouge::{Measure, Pool, Reduce, References, Score, rouge};
use chaffinch_core::text::is_python_space;
use chaffinch_core::{Control, Error};
use proptest::prelude::*;

struct Lists(Vec<Vec<String>>);

impl References for Lists {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn count(&self, row: usize) -> usize {
        self.0[row].len()
    }
    fn get(&self, row: usize, reference: usize) -> &str {
        &self.0[row][reference]
    }
}

fn measured(metric: &str, compat: &str, reduce: &str, pairs: &[(String, Vec<String>)]) -> Vec<Option<Score>> {
    let (predictions, references): (Vec<String>, Vec<Vec<String>>) = pairs.iter().cloned().unzip();
    let measure = Measure::parse(metric, compat, false).expect("the names are known");
    let reduce = Reduce::parse(reduce).expect("the names are known");
    rouge(&predictions, &Lists(references), measure, reduce, &Control::default()).expect("as many of both")
}

fn letters_and_digits(text: &str) -> Vec<String> {
    let lower: String = text.chars().flat_map(char::to_lowercase).collect();
    let words = lower.split(|one: char| !one.is_ascii_alphanumeric());
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn sentences(text: &str) -> Vec<Vec<String>> {
    let sentences = text.split('.').filter(|sentence| !sentence.is_empty());
    let words = |sentence: &str| -> Vec<String> {
        let words = sentence.split(is_python_space).filter(|word| !word.is_empty());
        let words: Vec<String> = words.map(str::to_owned).collect();
        if words.is_empty() { vec![String::new()] } else { words }
    };
    sentences.map(words).collect()
}

/// The positions in `left` of the longest common subsequence that is read out of the whole table.
fn by_table(left: &[String], right: &[String], prefers_left: bool) -> Vec<usize> {
    let mut table = vec![vec![0usize; right.len() + 1]; left.len() + 1];
    for (i, one) in left.iter().enumerate() {
        for (j, other) in right.iter().enumerate() {
            table[i + 1][j + 1] =
                if one == other { table[i][j] + 1 } else { table[i][j + 1].max(table[i + 1][j]) };
        }
    }
    let (mut i, mut j, mut found) = (left.len(), right.len(), Vec::new());
    while i > 0 && j > 0 {
        let (up, back) = (table[i - 1][j], table[i][j - 1]);
        if left[i - 1] == right[j - 1] {
            (i, j) = (i - 1, j - 1);
            found.push(i);
        } else if up > back || (up == back && prefers_left) {
            i -= 1;
        } else {
            j -= 1;
        }
    }
    found
}

fn counts(tokens: &[String], size: usize) -> BTreeMap<&[String], usize> {
    let mut counts = BTreeMap::new();
    tokens.windows(size).for_each(|ngram| *counts.entry(ngram).or_insert(0) += 1);
    counts
}

fn plain(shared: usize, prediction: usize, target: usize) -> Score {
    let (precision, recall) = (shared as f64 / prediction as f64, shared as f64 / target as f64);
    let f1 = if precision + recall > 0.0 { 2.0 * precision * recall / (precision + recall) } else { 0.0 };
    Score { precision, recall, f1 }
}

fn of_rouge_score(metric: &str, prediction: &str, target: &str) -> Score {
    if metric == "rougeLsum" {
        return summary(prediction, target);
    }
    let (prediction, target) = (letters_and_digits(prediction), letters_and_digits(target));
    if metric == "rougeL" {
        if prediction.is_empty() || target.is_empty() {
            return Score::default();
        }
        return plain(by_table(&target, &prediction, true).len(), prediction.len(), target.len());
    }
    let size: usize = metric[5..].parse().expect("a digit");
    let (ours, theirs) = (counts(&prediction, size), counts(&target, size));
    let shared =
        ours.iter().map(|(ngram, count)| (*count).min(theirs.get(ngram).copied().unwrap_or(0))).sum();
    let total = |tokens: &[String]| tokens.windows(size).count().max(1);
    plain(shared, total(&prediction), total(&target))
}

fn summary(prediction: &str, target: &str) -> Score {
    let lines = |text: &str| text.split('\n').map(letters_and_digits).collect::<Vec<_>>();
    let (predictions, targets) = (lines(prediction), lines(target));
    let (prediction, target) = (predictions.concat(), targets.concat());
    if prediction.is_empty() || target.is_empty() {
        return Score::default();
    }
    let (mut ours, mut theirs) = (counts(&prediction, 1), counts(&target, 1));
    let mut hits = 0;
    for line in &targets {
        let union: BTreeSet<usize> =
            predictions.iter().flat_map(|other| by_table(line, other, true)).collect();
        for at in union {
            let (ours, theirs) = (ours.get_mut(&line[at..=at]), theirs.get_mut(&line[at..=at]));
            if let (Some(ours @ 1..), Some(theirs @ 1..)) = (ours, theirs) {
                (*ours, *theirs, hits) = (*ours - 1, *theirs - 1, hits + 1);
            }
        }
    }
    plain(hits, prediction.len(), target.len())
}

fn of_rouge(metric: &str, prediction: &str, target: &str) -> Option<Score> {
    let (predictions, targets) = (sentences(prediction), sentences(target));
    if predictions.is_empty() || targets.is_empty() {
        return None;
    }
    let (prediction, target) = (predictions.concat(), targets.concat());
    let (shared, ours, theirs) = if metric == "rougeL" {
        let mut union = BTreeSet::new();
        for target in &targets {
            for prediction in &predictions {
                union.extend(by_table(target, prediction, false).into_iter().map(|at| &target[at]));
            }
        }
        (union.len(), counts(&prediction, 1).len(), counts(&target, 1).len())
    } else {
        let size: usize = metric[5..].parse().expect("a digit");
        let (ours, theirs) = (counts(&prediction, size), counts(&target, size));
        (ours.keys().filter(|ngram| theirs.contains_key(*ngram)).count(), ours.len(), theirs.len())
    };
    let share = |of: usize| if of == 0 { 0.0 } else { shared as f64 / of as f64 };
    let (precision, recall) = (share(ours), share(theirs));
    Some(Score { precision, recall, f1: 2.0 * ((precision * recall) / (precision + recall + 1e-8)) })
}

/// Words that meet often, of all lengths about the 15 bytes of a key, and what parts them.
fn text() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        6 => "[a-c]",
        3 => "[A-Ca-c0-1]{1,3}",
        1 => "[aB]{14,18}",
        1 => "a{30,70}",
        1 => prop::sample::select(vec!["\u{212a}a", "a\u{130}b", "na\u{ef}ve", "\u{732b}", "a\0", "a\0\0", "\0", "\u{201c}a\u{201d}", "\u{1c5}"])
            .prop_map(str::to_owned),
    ];
    let gap = prop::sample::select(vec![
        " ", " ", " ", " ", "\n", ".", ". ", "..", ", ", "\t", "\u{a0}", "\u{3000}", "\u{85}", "\u{1c}",
        "\u{200b}", "",
    ]);
    let some = (word, gap).prop_map(|(word, gap)| word + gap);
    let length = prop_oneof![0..4usize, 4..40usize, 60..150usize];
    length
        .prop_flat_map(move |length| proptest::collection::vec(some.clone(), length))
        .prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn rouge_is_the_packages_own_way(pairs in proptest::collection::vec((text(), text()), 1..4), common in text()) {
        let mut pairs: Vec<(String, Vec<String>)> = pairs.into_iter().map(|(one, other)| (one, vec![other])).collect();
        // Pairs alike at both ends.
        let (one, other) = (pairs[0].0.clone(), pairs[0].1[0].clone());
        pairs.push((format!("{common} {one} {common}"), vec![format!("{common} {other} {common}")]));
        for metric in ["rouge1", "rouge2", "rouge3", "rouge4", "rouge5", "rouge9", "rougeL", "rougeLsum"] {
            let expected: Vec<_> = pairs.iter().map(|(one, other)| Some(of_rouge_score(metric, one, &other[0]))).collect();
            prop_assert_eq!(measured(metric, "rouge-score==0.1.2", "max", &pairs), expected, "{}", metric);
        }
        for metric in ["rouge1", "rouge2", "rouge4", "rouge5", "rougeL"] {
            let expected: Vec<_> = pairs.iter().map(|(one, other)| of_rouge(metric, one, &other[0])).collect();
            prop_assert_eq!(measured(metric, "rouge==1.0.1", "max", &pairs), expected, "{}", metric);
        }
    }

    #[test]
    fn of_several_references(prediction in text(), references in proptest::collection::vec(text(), 0..5)) {
        let scores: Vec<Score> = references.iter().filter_map(|one| of_rouge("rougeL", &prediction, one)).collect();
        let pairs = [(prediction, references)];
        let best = scores.iter().copied().reduce(|best, one| if one.f1 > best.f1 { one } else { best });
        prop_assert_eq!(measured("rougeL", "rouge==1.0.1", "max", &pairs)[0], best);
        let mean = |part: fn(&Score) -> f64| scores.iter().fold(0.0, |sum, score| sum + part(score)) / scores.len() as f64;
        let mean = (!scores.is_empty()).then(|| Score {
            precision: mean(|score| score.precision), recall: mean(|score| score.recall), f1: mean(|score| score.f1),
        });
        prop_assert_eq!(measured("rougeL", "rouge==1.0.1", "mean", &pairs)[0], mean);
    }

    #[test]
    fn a_pool_is_rouge_with_each(
        pool in proptest::collection::vec(text(), 0..12), more in proptest::collection::vec(text(), 0..4),
        texts in proptest::collection::vec(text(), 1..6),
    ) {
        let mut prepared = Pool::new(false);
        prepared.add(&pool, &Control::default())?;
        prepared.add(&more, &Control::default())?;
        let all = [pool, more].concat();
        prop_assert_eq!(prepared.len(), all.len());
        // Texts of the pool too.
        let texts = [texts, all.clone()].concat();
        let found = prepared.most_similar(&texts, &Control::default())?;
        for (text, found) in texts.iter().zip(found) {
            let mut best: Option<(usize, f64)> = None;
            for (row, target) in all.iter().enumerate() {
                let f1 = of_rouge_score("rougeL", text, target).f1;
                if best.is_none_or(|(_, before)| f1 > before) {
                    best = Some((row, f1));
                }
            }
            prop_assert_eq!(found, best);
        }
    }
}

#[test]
fn a_cancelled_call_leaves_the_pool_as_it_was() {
    let mut pool = Pool::new(false);
    pool.add(&vec!["a b", "c d"], &Control::default()).expect("nothing stops it");
    let cancelled = Control::default();
    cancelled.cancel();
    assert_eq!(pool.add(&vec!["e f"], &cancelled), Err(Error::Interrupted));
    assert_eq!(pool.most_similar(&vec!["e f"], &cancelled), Err(Error::Interrupted));
    assert_eq!(pool.len(), 2);
    assert_eq!(pool.most_similar(&vec!["c d"], &Control::default()), Ok(vec![Some((1, 1.0))]));
}
