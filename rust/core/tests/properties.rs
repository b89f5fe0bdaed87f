//! The laws of the kernels, against brute force: what each decides must not depend on threads, on the order of rows, or on luck.

#![expect(clippy::unwrap_used, reason = "a failure is the test's")]

use std::borrow::Cow;
use std::collections::BTreeMap;

use chaffinch_core::dedup::{
    Duplicate, Exact, NormalForm, exact_duplicates, exact_duplicates_by, occurrences,
};
use chaffinch_core::factorize::factorize;
use chaffinch_core::hash::{self, ContentHash, Hashes};
use chaffinch_core::sample::{Draw, Pick, Request, Shortfall, Weights, allocate, select};
use chaffinch_core::text::Texts;
use chaffinch_core::{Control, Error};
use proptest::collection::vec;
use proptest::prelude::*;

fn with_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

fn hashes(texts: &[String]) -> Vec<ContentHash> {
    texts.iter().map(|text| hash::text(text)).collect()
}

/// A key within a group.
type Grouped<'a> = (u32, Cow<'a, str>);

/// Texts that often meet: a few letters and much white space.
fn texts() -> impl Strategy<Value = Vec<String>> {
    vec("[aAbé\u{fb01} \t\u{a0}]{0,4}", 0..60)
}

fn normal_forms() -> impl Strategy<Value = NormalForm> {
    prop_oneof![Just(NormalForm::None), Just(NormalForm::Whitespace), Just(NormalForm::Case)]
}

fn duplicates(
    texts: &[String],
    normal_form: NormalForm,
    hash: impl Fn(&str) -> ContentHash + Sync,
) -> Vec<Duplicate> {
    let texts = texts.to_vec();
    let columns: [&dyn Texts; 1] = [&texts];
    let content = hashes(&texts);
    let exact = Exact {
        columns: &columns,
        normal_form,
        rows: None,
        groups: None,
        priority: None,
        content: Some(&content),
        identity: None,
        match_empty: false,
    };
    exact_duplicates_by(&exact, hash, &Control::default()).unwrap()
}

/// Every row but the one of smallest (content hash, row) of each key.
fn brute_force(texts: &[String], normal_form: NormalForm) -> Vec<Duplicate> {
    let mut by_key: BTreeMap<Cow<'_, str>, Vec<(ContentHash, u32)>> = BTreeMap::new();
    for (row, text) in (0..).zip(texts) {
        by_key.entry(normal_form.apply(text)).or_default().push((hash::text(text), row));
    }
    by_key.retain(|key, _| !key.is_empty());
    let mut found = Vec::new();
    for rows in by_key.values_mut() {
        rows.sort_unstable();
        found.extend(rows[1..].iter().map(|&(_, row)| Duplicate { row, witness: rows[0].1 }));
    }
    found.sort_unstable();
    found
}

/// A long list in which equal texts are far apart and parts are many.
fn long_texts() -> Vec<String> {
    (0..30_000u64).map(|row| format!("text {}", row * 7919 % 10_007)).collect()
}

proptest! {
    #[test]
    fn normal_forms_are_idempotent_and_ordered(text in "\\PC{0,20}|[a-zA-Z\\s]{0,20}|.{0,20}", other in ".{0,20}") {
        for form in [NormalForm::None, NormalForm::Whitespace, NormalForm::Case] {
            let once = form.apply(&text).into_owned();
            prop_assert_eq!(form.apply(&once), Cow::Borrowed(once.as_str()));
        }
        if NormalForm::Whitespace.apply(&text) == NormalForm::Whitespace.apply(&other) {
            prop_assert_eq!(NormalForm::Case.apply(&text), NormalForm::Case.apply(&other));
        }
    }

    #[test]
    fn duplicates_are_those_of_brute_force(texts in texts(), form in normal_forms()) {
        prop_assert_eq!(duplicates(&texts, form, hash::text), brute_force(&texts, form));
    }

    #[test]
    fn colliding_hashes_remove_nothing_else(texts in texts(), form in normal_forms()) {
        prop_assert_eq!(duplicates(&texts, form, |_| [7; 16]), brute_force(&texts, form));
        let weak = |text: &str| [u8::from(text.len().is_multiple_of(2)); 16];
        prop_assert_eq!(duplicates(&texts, form, weak), brute_force(&texts, form));
    }

    #[test]
    fn shuffled_rows_keep_the_same_texts(texts in texts(), seed in any::<u64>()) {
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by_key(|&row| hash::place(&(row as u128).to_le_bytes(), seed));
        let shuffled: Vec<String> = order.iter().map(|&row| texts[row].clone()).collect();
        let kept = |texts: &Vec<String>| {
            let found = duplicates(texts, NormalForm::Case, hash::text);
            let mut kept: Vec<String> = (0..).zip(texts)
                .filter(|(row, _)| !found.iter().any(|duplicate| duplicate.row == *row))
                .map(|(_, text)| text.clone())
                .collect();
            kept.sort();
            kept
        };
        prop_assert_eq!(kept(&texts), kept(&shuffled));
    }

    #[test]
    fn rows_groups_and_priority_are_respected(texts in texts(), seed in any::<u64>()) {
        let draw = |row: usize, salt: u64| hash::place(&(row as u128).to_le_bytes(), seed ^ salt);
        let rows: Vec<u32> = (0u32..).take(texts.len()).filter(|&row| draw(row as usize, 1) % 3 > 0).collect();
        let groups: Vec<u32> = (0..texts.len()).map(|row| u32::from(draw(row, 2) % 2 == 0)).collect();
        let priority: Vec<u64> = (0..texts.len()).map(|row| draw(row, 3) % 4).collect();
        let columns: [&dyn Texts; 1] = [&texts];
        let exact = Exact {
            columns: &columns, normal_form: NormalForm::Whitespace, rows: Some(&rows), groups: Some(&groups),
            priority: Some(&priority), content: None, identity: None, match_empty: true,
        };
        let found = exact_duplicates(&exact, &Control::default()).unwrap();
        let mut by_key: BTreeMap<Grouped<'_>, Vec<(u64, u32)>> = BTreeMap::new();
        for &row in &rows {
            let key = (groups[row as usize], NormalForm::Whitespace.apply(&texts[row as usize]));
            by_key.entry(key).or_default().push((priority[row as usize], row));
        }
        let mut expected = Vec::new();
        for alike in by_key.values_mut() {
            alike.sort_unstable();
            expected.extend(alike[1..].iter().map(|&(_, row)| Duplicate { row, witness: alike[0].1 }));
        }
        expected.sort_unstable();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn codes_are_ranks_of_distinct_tuples(
        rows in vec((proptest::option::of("[ab]{0,2}"), proptest::option::of("[xy]{0,1}")), 0..80)
    ) {
        let (left, right): (Vec<_>, Vec<_>) = rows.iter().cloned().unzip();
        let factors = factorize(&[&left, &right], &Control::default()).unwrap();
        let mut distinct = rows.clone();
        distinct.sort();
        distinct.dedup();
        let expected: Vec<usize> = rows.iter().map(|row| distinct.binary_search(row).unwrap()).collect();
        prop_assert_eq!(factors.codes.iter().map(|&code| code as usize).collect::<Vec<_>>(), expected);
        let tuples: Vec<_> = factors.values[0].iter().cloned().zip(factors.values[1].iter().cloned()).collect();
        prop_assert_eq!(&tuples, &distinct);
        for (code, tuple) in tuples.iter().enumerate() {
            prop_assert_eq!(factors.rows[code], rows.iter().map(|row| u64::from(row == tuple)).sum::<u64>());
            prop_assert_eq!(Some(factors.first[code] as usize), rows.iter().position(|row| row == tuple));
        }
    }

    #[test]
    fn occurrences_number_the_copies(copies in vec(0u32..5, 0..60)) {
        let hashes: Vec<ContentHash> = copies.iter().map(|&copy| hash::text(&copy.to_string())).collect();
        let found = occurrences(&hashes, &Control::default()).unwrap();
        let expected: Vec<(usize, usize)> = (0..copies.len())
            .map(|row| (row, copies[..=row].iter().filter(|&&copy| copy == copies[row]).count()))
            .filter(|&(_, occurrence)| occurrence > 1)
            .collect();
        let found: Vec<_> = found.iter().map(|one| (one.row as usize, one.occurrence as usize)).collect();
        prop_assert_eq!(found, expected);
    }
}

fn draw(strata: &[u32], quotas: &[u64], content: &Vec<ContentHash>, seed: u64) -> Vec<Pick> {
    let draw = Draw { strata, quotas, available: None, rows: None, content, identity: None, seed };
    select(&draw, &Control::default()).unwrap()
}

/// All rows sorted by their places, gone through until the quotas are met.
fn drawn_by_hand(strata: &[u32], quotas: &[u64], content: &[ContentHash], seed: u64) -> Vec<Pick> {
    let mut all: Vec<(u64, ContentHash, u32, u32)> = (0..)
        .zip(content)
        .zip(strata)
        .map(|((row, &hash), &one)| (hash::place(&hash, seed), hash, one, row))
        .collect();
    all.sort_unstable();
    let mut left = quotas.to_vec();
    all.retain(|&(_, _, stratum, _)| {
        let left = &mut left[stratum as usize];
        let takes = *left > 0;
        *left -= u64::from(takes);
        takes
    });
    all.into_iter().map(|(place, _, stratum, row)| Pick { place, row, stratum }).collect()
}

/// Rows in a few strata, with contents that repeat, and quotas that can be met.
fn strata() -> impl Strategy<Value = (Vec<u32>, Vec<u64>, Vec<ContentHash>, u64)> {
    (vec((0u32..4, 0u8..40), 0..120), vec(0.0..=1.0f64, 4), any::<u64>()).prop_map(|(rows, shares, seed)| {
        let strata: Vec<u32> = rows.iter().map(|&(stratum, _)| stratum).collect();
        let content = rows.iter().map(|&(_, text)| hash::text(&text.to_string())).collect();
        let quotas = (0u32..).zip(shares).map(|(stratum, share)| {
            let rows = strata.iter().filter(|&&other| other == stratum).count();
            (0..=rows as u64).rfind(|&quota| quota as f64 <= share * rows as f64).unwrap_or(0)
        });
        let quotas = quotas.collect();
        (strata, quotas, content, seed)
    })
}

proptest! {
    #[test]
    fn picks_are_those_of_brute_force((strata, quotas, content, seed) in strata()) {
        let picks = draw(&strata, &quotas, &content, seed);
        prop_assert_eq!(picks, drawn_by_hand(&strata, &quotas, &content, seed));
    }

    #[test]
    fn another_stratum_changes_nothing((mut strata, mut quotas, mut content, seed) in strata(), more in vec(any::<u8>(), 1..50)) {
        let before = draw(&strata, &quotas, &content, seed);
        quotas.push(more.len() as u64 / 2);
        strata.extend(more.iter().map(|_| 4));
        content.extend(more.iter().map(|text| hash::text(&text.to_string())));
        let mut after = draw(&strata, &quotas, &content, seed);
        after.retain(|pick| pick.stratum < 4);
        prop_assert_eq!(before, after);
    }

    #[test]
    fn a_smaller_quota_draws_a_part_of_a_larger_ones((strata, quotas, content, seed) in strata()) {
        let larger = draw(&strata, &quotas, &content, seed);
        let smaller = draw(&strata, &quotas.iter().map(|quota| quota / 2).collect::<Vec<_>>(), &content, seed);
        for stratum in 0..4 {
            let of = |picks: &[Pick]| picks.iter().filter(|pick| pick.stratum == stratum).copied().collect::<Vec<_>>();
            prop_assert!(of(&larger).starts_with(&of(&smaller)));
        }
    }

    #[test]
    fn shuffled_rows_draw_the_same_contents((strata, quotas, content, seed) in strata()) {
        let reversed_strata: Vec<u32> = strata.iter().rev().copied().collect();
        let reversed: Vec<ContentHash> = content.iter().rev().copied().collect();
        let contents = |picks: Vec<Pick>, content: &Vec<ContentHash>| {
            let mut drawn: Vec<_> = picks.iter().map(|pick| (pick.stratum, content.get(pick.row as usize))).collect();
            drawn.sort_unstable();
            drawn
        };
        let forwards = contents(draw(&strata, &quotas, &content, seed), &content);
        prop_assert_eq!(forwards, contents(draw(&reversed_strata, &quotas, &reversed, seed), &reversed));
    }

    #[test]
    fn a_total_is_met_exactly(
        strata in vec((0u64..50, 0.0..9.0f64), 1..8), total in 0u64..120, method in 0..4, redistribute in any::<bool>()
    ) {
        let (available, given): (Vec<u64>, Vec<f64>) = strata.into_iter().unzip();
        let names: Vec<String> = (0..available.len()).map(|at| at.to_string()).collect();
        let weights = match method {
            0 => Weights::Proportional { cap: Some(20) },
            1 => Weights::Temperature { temperature: 3.0, cap: None },
            2 => Weights::Equal,
            _ => Weights::Given(given),
        };
        let shortfall = if redistribute { Shortfall::Redistribute } else { Shortfall::Accept };
        let request = Request::Total { rows: total, weights };
        if let Ok(allotments) = allocate(&names, &available, &request, shortfall) {
            prop_assert_eq!(allotments.iter().map(|one| one.asked).sum::<u64>(), total);
            let taken: u64 = allotments.iter().map(|one| one.taken).sum();
            prop_assert!(taken == total || (!redistribute && taken < total));
            prop_assert!(allotments.iter().zip(&available).all(|(one, available)| one.taken <= *available));
        } else {
            let all: u64 = available.iter().sum();
            prop_assert!(total > 0 && (total > all || method != 2 || available.iter().all(|&rows| rows == 0)));
        }
    }
}

/// Shares of few and of nearly all rows, strata of one row and of equal rows: with and without a limit that suffices.
#[test]
fn a_draw_from_many_rows_is_brute_forces() {
    let stratum = |row: u32| if row < 9 { row + 3 } else { row % 3 };
    let strata: Vec<u32> = (0..70_001).map(stratum).collect();
    let content: Vec<ContentHash> = (0..70_001)
        .map(|row: u32| hash::text(&if row % 3 == 2 { row % 5 } else { row }.to_string()))
        .collect();
    let quotas: Vec<u64> =
        (0..12).map(|stratum| if stratum < 3 { [300, 23_000, 2_000][stratum] } else { 1 }).collect();
    let expected = drawn_by_hand(&strata, &quotas, &content, 3);
    assert_eq!(draw(&strata, &quotas, &content, 3), expected);
    // Counts save time and decide nothing, so wrong ones change nothing.
    for available in [[0; 12], [9; 12], [u64::MAX; 12]] {
        let counted = Draw {
            strata: &strata,
            quotas: &quotas,
            available: Some(&available),
            rows: None,
            content: &content,
            identity: None,
            seed: 3,
        };
        assert_eq!(select(&counted, &Control::default()).unwrap(), expected);
        let short = select(&Draw { quotas: &[30_000; 12], ..counted }, &Control::default());
        assert!(matches!(short, Err(Error::Shortfall { asked: 30_000, available: 23_331, .. })), "{short:?}");
    }
    // The same rows in between others, by their numbers.
    let spread: Vec<ContentHash> = content.iter().flat_map(|&hash| [ContentHash::default(), hash]).collect();
    let rows: Vec<u32> = (0..70_001).map(|row| 2 * row + 1).collect();
    let draw = Draw {
        strata: &strata,
        quotas: &quotas,
        available: None,
        rows: Some(&rows),
        content: &spread,
        identity: None,
        seed: 3,
    };
    let picks = select(&draw, &Control::default()).unwrap();
    assert!(picks.iter().map(|pick| (pick.row - 1) / 2).eq(expected.iter().map(|pick| pick.row)));
}

#[test]
fn threads_change_nothing() {
    let texts = long_texts();
    let content = hashes(&texts);
    let strata: Vec<u32> = (0..texts.len()).map(|row| u32::try_from(row % 7).unwrap()).collect();
    let labels: Vec<Option<&str>> = texts.iter().map(|text| Some(text.as_str())).collect();
    let all = |threads| {
        with_threads(threads, || {
            (
                duplicates(&texts, NormalForm::Case, hash::text),
                draw(&strata, &[100; 7], &content, 5),
                factorize(&[&labels, &labels], &Control::default()).unwrap(),
                occurrences(&content, &Control::default()).unwrap(),
            )
        })
    };
    let one = all(1);
    assert_eq!(one.0, brute_force(&texts, NormalForm::Case));
    assert_eq!(one.0.len(), texts.len() - 10_007);
    for threads in [2, 8] {
        assert_eq!(one, all(threads), "{threads} threads");
    }
}

#[test]
fn a_cancelled_kernel_stops() {
    let control = Control::default();
    control.cancel();
    let texts = long_texts();
    let columns: [&dyn Texts; 1] = [&texts];
    let exact = Exact {
        columns: &columns,
        normal_form: NormalForm::None,
        rows: None,
        groups: None,
        priority: None,
        content: None,
        identity: None,
        match_empty: false,
    };
    assert_eq!(exact_duplicates(&exact, &control), Err(chaffinch_core::Error::Interrupted));
}
