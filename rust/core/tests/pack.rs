//! Laws of packing.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use chaffinch_core::pack::{Packed, Packing, Strategy, pack};
use chaffinch_core::{Control, Error};
use proptest::collection::vec;
use proptest::prelude::*;

fn packed(lengths: &[u32], capacity: u32, strategy: Strategy, ranks: u32) -> Packed {
    pack(lengths, &Packing { capacity, strategy, seed: 7, ranks }, &Control::default()).unwrap()
}

/// The documents of every pack, with their offsets.
fn by_pack(packed: &Packed) -> Vec<Vec<(u32, u32)>> {
    let mut packs = vec![Vec::new(); packed.packs as usize];
    for ((&pack, &row), &offset) in packed.pack.iter().zip(&packed.row).zip(&packed.offset) {
        packs[pack as usize].push((row, offset));
    }
    packs
}

/// Best or first fit by looking at every open pack: documents of each, by position in the falling order.
fn brute(lengths: &[u32], capacity: u32, best: bool) -> Vec<Vec<u32>> {
    let mut rows: Vec<u32> = (0..).take(lengths.len()).collect();
    rows.sort_by_key(|&row| std::cmp::Reverse(lengths[row as usize]));
    let mut packs: Vec<(u32, Vec<u32>)> = Vec::new();
    for row in rows {
        let length = lengths[row as usize];
        let mut fits = packs.iter().enumerate().filter(|(_, (free, _))| *free >= length);
        let chosen = if best { fits.min_by_key(|(_, (free, _))| *free) } else { fits.next() };
        match chosen.map(|(at, _)| at) {
            Some(at) => {
                packs[at].0 -= length;
                packs[at].1.push(length);
            }
            None => packs.push((capacity - length, vec![length])),
        }
    }
    let mut contents: Vec<Vec<u32>> = packs.into_iter().map(|(_, lengths)| lengths).collect();
    contents.sort();
    contents
}

fn contents(lengths: &[u32], packed: &Packed) -> Vec<Vec<u32>> {
    let mut contents: Vec<Vec<u32>> = by_pack(packed)
        .iter()
        .map(|documents| documents.iter().map(|&(row, _)| lengths[row as usize]).collect())
        .collect();
    contents.sort();
    contents
}

proptest! {
    #[test]
    fn every_document_once_and_whole(
        lengths in vec(1_u32..=40, 0..120),
        capacity in 40_u32..200,
        strategy in prop::sample::select(vec![Strategy::BestFit, Strategy::FirstFit, Strategy::Sequential]),
        ranks in 1_u32..5,
    ) {
        let spec = Packing { capacity, strategy, seed: 7, ranks };
        let found = match pack(&lengths, &spec, &Control::default()) {
            Err(Error::Data { .. }) if ranks > 1 => return Ok(()),
            found => found.unwrap(),
        };
        let mut rows = found.row.clone();
        rows.sort_unstable();
        prop_assert_eq!(rows, (0..).take(lengths.len()).collect::<Vec<u32>>());
        prop_assert_eq!(found.packs % ranks, 0);
        for documents in by_pack(&found) {
            prop_assert!(!documents.is_empty());
            let mut used = 0;
            for (row, offset) in documents {
                prop_assert_eq!(offset, used);
                used += lengths[row as usize];
            }
            prop_assert!(used <= capacity);
        }
    }

    #[test]
    fn best_fit_is_best_fit(lengths in vec(1_u32..=300, 0..150), capacity in 300_u32..900) {
        let found = packed(&lengths, capacity, Strategy::BestFit, 1);
        // Which of two equally full packs a document goes to does not change how full the packs become.
        let full = |packs: Vec<Vec<u32>>| {
            let mut sums: Vec<u32> = packs.iter().map(|lengths| lengths.iter().sum()).collect();
            sums.sort_unstable();
            sums
        };
        prop_assert_eq!(full(contents(&lengths, &found)), full(brute(&lengths, capacity, true)));
    }

    #[test]
    fn first_fit_is_first_fit(lengths in vec(1_u32..=300, 0..150), capacity in 300_u32..900) {
        let found = packed(&lengths, capacity, Strategy::FirstFit, 1);
        prop_assert_eq!(contents(&lengths, &found), brute(&lengths, capacity, false));
    }

    #[test]
    fn sequential_keeps_the_order(lengths in vec(1_u32..=40, 1..120), capacity in 40_u32..200) {
        let found = packed(&lengths, capacity, Strategy::Sequential, 1);
        prop_assert!(found.row.is_sorted());
        for (one, next) in by_pack(&found).iter().zip(by_pack(&found).iter().skip(1)) {
            let used: u32 = one.iter().map(|&(row, _)| lengths[row as usize]).sum();
            prop_assert!(used + lengths[next[0].0 as usize] > capacity);
        }
    }

    #[test]
    fn ranks_share_the_attention(lengths in vec(1_u32..=500, 400..600), ranks in 2_u32..9) {
        let found = packed(&lengths, 1000, Strategy::BestFit, ranks);
        let mut totals = vec![0_u64; ranks as usize];
        let mut highest = 0;
        for (number, documents) in by_pack(&found).iter().enumerate() {
            let cost = documents.iter().map(|&(row, _)| u64::from(lengths[row as usize]).pow(2)).sum::<u64>();
            totals[number % ranks as usize] += cost;
            highest = highest.max(cost);
        }
        prop_assert!(totals.iter().max().unwrap() - totals.iter().min().unwrap() <= highest);
    }
}

#[test]
fn another_seed_is_another_order_of_the_same_packs() {
    let lengths: Vec<u32> = (1..400).map(|at| at % 90 + 1).collect();
    let of = |seed| {
        let spec = Packing { capacity: 256, strategy: Strategy::BestFit, seed, ranks: 1 };
        pack(&lengths, &spec, &Control::default()).unwrap()
    };
    assert_ne!(of(1).row, of(2).row);
    let sorted = |packed: &Packed| {
        let mut packs = by_pack(packed);
        packs.sort();
        packs
    };
    assert_eq!(sorted(&of(1)), sorted(&of(2)));
}

#[test]
fn what_cannot_be_packed_is_refused() {
    let refuse = |lengths: &[u32], capacity, ranks| {
        let spec = Packing { capacity, strategy: Strategy::BestFit, seed: 0, ranks };
        pack(lengths, &spec, &Control::default()).unwrap_err().to_string()
    };
    assert_eq!(refuse(&[3, 0], 5, 1), "row 1 has no tokens");
    assert_eq!(refuse(&[3, 6], 5, 1), "row 1 has 6 tokens, a pack holds 5");
    assert_eq!(refuse(&[3], 0, 1), "capacity is 0, expected at least 1");
    assert_eq!(refuse(&[3], 5, 2), "1 documents cannot be shared among 2 ranks");
    assert_eq!(refuse(&[4, 4, 4], 5, 2), "3 documents cannot be shared evenly among 2 ranks");
    let control = Control::default();
    control.cancel();
    let spec = Packing { capacity: 5, strategy: Strategy::BestFit, seed: 0, ranks: 1 };
    assert_eq!(pack(&[1], &spec, &control), Err(Error::Interrupted));
}

#[test]
fn a_huge_capacity_costs_no_memory() {
    assert_eq!(packed(&[1, 2, 3], u32::MAX, Strategy::BestFit, 1).packs, 1);
    assert_eq!(packed(&[u32::MAX, u32::MAX], u32::MAX, Strategy::FirstFit, 1).packs, 2);
}

#[test]
fn the_largest_capacity_takes_no_memory_to_speak_of() {
    let lengths = [u32::MAX - 5, 3, u32::MAX, 2, 4];
    for strategy in [Strategy::BestFit, Strategy::FirstFit, Strategy::Sequential] {
        let found = packed(&lengths, u32::MAX, strategy, 1);
        assert_eq!(found.packs, 3, "{strategy:?}");
    }
}
