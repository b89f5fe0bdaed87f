//! In which order documents are placed, and in which order their packs come out.

use std::cmp::Reverse;

use crate::hash;
use crate::{Error, Result};

/// The rows by falling length; equal ones in their own order.
pub(super) fn longest_first(lengths: &[u32]) -> Vec<u32> {
    let longest = lengths.iter().copied().max().unwrap_or(0) as usize;
    // Counting needs a place for every length up to the longest: worth it unless lengths are few and huge.
    if longest > lengths.len().max(1 << 16) {
        let mut rows: Vec<u32> = (0..).take(lengths.len()).collect();
        rows.sort_by_key(|&row| Reverse(lengths[row as usize]));
        return rows;
    }
    let mut starts = vec![0_u32; longest + 2];
    for &length in lengths {
        starts[longest - length as usize + 1] += 1;
    }
    for at in 1..starts.len() {
        starts[at] += starts[at - 1];
    }
    let mut rows = vec![0; lengths.len()];
    for (row, &length) in (0..).zip(lengths) {
        let start = &mut starts[longest - length as usize];
        rows[*start as usize] = row;
        *start += 1;
    }
    rows
}

/// Splits the packs of the most documents in two, round by round, until `ranks` divides the number of packs.
pub(super) fn share_out(of: &mut [u32], packs: &mut u32, ranks: u32) -> Result<()> {
    const NONE: u32 = u32::MAX;
    loop {
        let missing = (ranks - *packs % ranks) % ranks;
        if missing == 0 {
            return Ok(());
        }
        let mut documents = vec![0_u32; *packs as usize];
        for &pack in &*of {
            documents[pack as usize] += 1;
        }
        let mut largest: Vec<u32> = (0..*packs).filter(|&pack| documents[pack as usize] > 1).collect();
        largest.sort_by_key(|&pack| (Reverse(documents[pack as usize]), pack));
        largest.truncate(missing as usize);
        if largest.is_empty() {
            return Err(Error::Data {
                problem: format!("{} documents cannot be shared evenly among {ranks} ranks", of.len()),
                hint: "use a number of ranks that divides the number of documents, or more and shorter documents",
            });
        }
        // Every second document of a pack moves: they came by falling length, so each half gets about half of the tokens.
        let mut halves = vec![NONE; *packs as usize];
        for &pack in &largest {
            halves[pack as usize] = *packs;
            *packs += 1;
        }
        let mut stays = vec![true; halves.len()];
        for pack in of.iter_mut() {
            let from = *pack as usize;
            if halves[from] != NONE {
                if !stays[from] {
                    *pack = halves[from];
                }
                stays[from] = !stays[from];
            }
        }
    }
}

/// The final number of every pack: shuffled by `seed`; packs of about the same cost share a step of `ranks` packs, and over all steps
/// each rank gets about the same.
///
/// `costs` adds up what the attention over each pack costs; it is not asked when there is one rank.
pub(super) fn shuffled(packs: u32, ranks: u32, seed: u64, costs: impl FnOnce(&mut [u64])) -> Vec<u32> {
    let place = |number: u32| hash::place(&u128::from(number).to_le_bytes(), seed);
    let mut steps: Vec<u32> = (0..packs / ranks).collect();
    steps.sort_by_cached_key(|&step| (place(step), step));
    let mut number = vec![0; packs as usize];
    if ranks == 1 {
        for (at, &pack) in (0..).zip(&steps) {
            number[pack as usize] = at;
        }
        return number;
    }
    let mut cost = vec![0; packs as usize];
    costs(&mut cost);
    let mut by_cost: Vec<u32> = (0..packs).collect();
    by_cost.sort_by_key(|&pack| (Reverse(cost[pack as usize]), pack));
    let mut totals = vec![0_u128; ranks as usize];
    let mut least: Vec<u32> = (0..ranks).collect();
    let mut place_of_step = vec![0; steps.len()];
    for (at, &step) in (0..).zip(&steps) {
        place_of_step[step as usize] = at;
    }
    for (step, group) in by_cost.chunks_exact(ranks as usize).enumerate() {
        least.sort_by_key(|&rank| (totals[rank as usize], rank));
        for (&pack, &rank) in group.iter().zip(&least) {
            totals[rank as usize] += u128::from(cost[pack as usize]);
            number[pack as usize] = place_of_step[step] * ranks + rank;
        }
    }
    number
}
