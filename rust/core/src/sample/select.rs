//! Which rows of a stratum: those whose content comes first in an order that only the seed decides.
//!
//! *What it decides*: within a stratum, the `quota` rows with the smallest place, a hash of the row's content keyed by the seed. Whether a
//! row is drawn depends on its own content and on its stratum's rows, never on another stratum's, on file order or on threads; a smaller
//! quota draws a prefix of a larger one's rows.
//!
//! *Method*: places are spread evenly, so the rows below a limit a little above quota / rows nearly always hold the quota: one pass in the
//! order of rows keeps only these. Sorted by place, they are gone through once, and a stratum takes its rows until it has enough. A
//! stratum whose rows are not spread evenly, such as one of many equal rows, may find too few; it is gone through again without a limit.
//! The limit saves time and decides nothing.
//!
//! *Cost*: 32 bytes for each row below the limit, of which there are about as many as are drawn.

use std::cmp::Ordering;
use std::ops::Range;

use rayon::prelude::*;

use crate::hash::{self, ContentHash, Hashes};
use crate::{Control, Error, Result};

/// Rows gone through at once: what is noted of them stays in a core's nearest cache.
const BLOCK: usize = 1 << 9;

/// Places are dealt out by so many of their bits, and again by so many more: one or two are left to sort.
const DEAL_BITS: u32 = 11;
const DEALS: usize = 1 << DEAL_BITS;
const FINE_BITS: u32 = 8;
const FINE: usize = 1 << FINE_BITS;

/// The limit below which every place lies: limits are compared to half a place, so that there is one.
const ALL: u64 = 1 << 63;

/// What to draw from.
pub struct Draw<'a> {
    /// The stratum of each candidate, an index into `quotas`.
    pub strata: &'a [u32],
    /// How many rows to draw from each stratum.
    pub quotas: &'a [u64],
    /// How many candidates each stratum has, if that is known. It saves a pass and decides nothing.
    pub available: Option<&'a [u64]>,
    /// The row number of each candidate; their positions when `None`.
    pub rows: Option<&'a [u32]>,
    /// Content by row number: what the place is a hash of.
    pub content: &'a dyn Hashes,
    /// Breaks ties between rows of equal content, by row number; the row number itself comes last.
    pub identity: Option<&'a dyn Hashes>,
    /// The order's key.
    pub seed: u64,
}

/// A drawn row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pick {
    /// Its place in the order.
    pub place: u64,
    /// Its row number.
    pub row: u32,
    /// Its stratum.
    pub stratum: u32,
}

impl Pick {
    const NONE: Self = Self { place: 0, row: 0, stratum: 0 };
}

/// Exactly `quotas` rows, in the order of their places: a shuffle across strata that the seed decides. Rows of equal content stand in the
/// order of their strata.
pub fn select(draw: &Draw<'_>, control: &Control) -> Result<Vec<Pick>> {
    draw.check()?;
    let counted = if draw.available.is_none() { draw.count()? } else { Vec::new() };
    let available = draw.available.unwrap_or(&counted);
    let limits: Vec<u64> =
        draw.quotas.iter().zip(available).map(|(&quota, &rows)| likely_limit(quota, rows)).collect();
    let (mut picks, missing) = draw.first_of_each(draw.quotas, &limits, control)?;
    let lacks: Vec<bool> = missing.iter().map(|&rows| rows > 0).collect();
    if lacks.contains(&true) {
        let quotas: Vec<u64> =
            draw.quotas.iter().zip(&lacks).map(|(&quota, &lacks)| if lacks { quota } else { 0 }).collect();
        let limits: Vec<u64> = lacks.iter().map(|&lacks| if lacks { ALL } else { 0 }).collect();
        picks.retain(|pick| !lacks[pick.stratum as usize]);
        let (mut others, missing) = draw.first_of_each(&quotas, &limits, control)?;
        if let Some((stratum, missing)) = (0..).zip(missing).find(|&(_, missing)| missing > 0) {
            let asked = quotas[stratum];
            let stratum = stratum.to_string();
            return Err(Error::Shortfall { stratum, asked, available: asked - missing });
        }
        picks.append(&mut others);
        picks.par_sort_unstable_by(|left, right| draw.order(left, right));
    }
    Ok(picks)
}

/// Half a place below which `quota` of `rows` rows lie all but surely: five standard deviations above the share.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share in [0, 1) of 2^63")]
fn likely_limit(quota: u64, rows: u64) -> u64 {
    if quota == 0 {
        return 0;
    }
    let share = (quota as f64 + 5.0 * libm::sqrt(quota as f64) + 16.0) / rows as f64;
    if share < 1.0 { (share * ALL as f64) as u64 } else { ALL }
}

fn unknown(stratum: u32) -> Error {
    Error::OutOfRange { name: "strata", value: stratum.to_string(), expected: "indices into the quotas" }
}

impl Draw<'_> {
    fn row(&self, position: usize) -> u32 {
        // `check` has seen that positions fit.
        self.rows.map_or_else(|| u32::try_from(position).unwrap_or(u32::MAX), |rows| rows[position])
    }

    /// Whether the columns fit together.
    fn check(&self) -> Result<()> {
        let candidates = self.strata.len();
        if u32::try_from(candidates.max(self.quotas.len())).is_err() {
            return Err(Error::TooManyRows { rows: candidates as u64 });
        }
        if let Some(rows) = self.rows.filter(|rows| rows.len() != candidates) {
            let (left_rows, right_rows) = (rows.len(), candidates);
            return Err(Error::LengthMismatch { left: "rows", left_rows, right: "strata", right_rows });
        }
        let highest = match self.rows {
            Some(rows) => rows.par_iter().max().map_or(0, |&row| row as usize + 1),
            None => candidates,
        };
        if highest > self.content.len()
            || self.identity.is_some_and(|identity| identity.len() != self.content.len())
        {
            let (left_rows, right_rows) = (highest, self.content.len());
            return Err(Error::LengthMismatch { left: "rows", left_rows, right: "keys", right_rows });
        }
        if let Some(available) = self.available.filter(|available| available.len() != self.quotas.len()) {
            let (left_rows, right_rows) = (available.len(), self.quotas.len());
            return Err(Error::LengthMismatch { left: "available", left_rows, right: "quotas", right_rows });
        }
        Ok(())
    }

    /// The candidates of each stratum.
    fn count(&self) -> Result<Vec<u64>> {
        let counts = self
            .strata
            .par_chunks(self.strata.len().div_ceil(rayon::current_num_threads()).max(1))
            .map(|strata| {
                let mut counts = vec![0u64; self.quotas.len()];
                for &stratum in strata {
                    *counts.get_mut(stratum as usize).ok_or_else(|| unknown(stratum))? += 1;
                }
                Ok(counts)
            })
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .reduce(|all, part| all.iter().zip(part).map(|(all, part)| all + part).collect());
        Ok(counts.unwrap_or_else(|| vec![0; self.quotas.len()]))
    }

    /// The first rows of each stratum, in the order of their places, and how many it is short of its quota.
    fn first_of_each(
        &self,
        quotas: &[u64],
        limits: &[u64],
        control: &Control,
    ) -> Result<(Vec<Pick>, Vec<u64>)> {
        let mut missing = quotas.to_vec();
        let mut picks = self.candidates(limits, control)?;
        picks.retain(|pick| {
            let missing = &mut missing[pick.stratum as usize];
            let takes = *missing > 0;
            *missing -= u64::from(takes);
            takes
        });
        Ok((picks, missing))
    }

    /// The candidates below their stratum's limit, in the order of their places.
    fn candidates(&self, limits: &[u64], control: &Control) -> Result<Vec<Pick>> {
        let highest = limits.iter().max().map_or(0, |limit| limit.saturating_sub(1));
        // The first bits in which the places of candidates differ.
        let shift = (64 - (highest << 1 | 1).leading_zeros()).saturating_sub(DEAL_BITS);
        let segment = self.strata.len().div_ceil(4 * rayon::current_num_threads()).next_multiple_of(BLOCK);
        let hands = (0..self.strata.len().div_ceil(segment.max(1)))
            .into_par_iter()
            .map(|number| {
                let start = number * segment;
                let end = self.strata.len().min(start + segment);
                Ok(Hand::new(&self.below(limits, start..end, control)?, shift))
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(self.in_order(&hands, shift))
    }

    /// The candidates at `positions` below their stratum's limit, in the order of positions.
    fn below(&self, limits: &[u64], positions: Range<usize>, control: &Control) -> Result<Vec<Pick>> {
        let mut picks = Vec::new();
        let mut hashes = [ContentHash::default(); BLOCK];
        let mut places = [0; BLOCK];
        let mut below = [0u16; BLOCK];
        for start in positions.clone().step_by(BLOCK) {
            let strata = &self.strata[start..positions.end.min(start + BLOCK)];
            let hashes = &mut hashes[..strata.len()];
            match self.rows {
                None => self.content.read(start, hashes),
                Some(rows) => {
                    for (hash, &row) in hashes.iter_mut().zip(&rows[start..]) {
                        *hash = self.content.get(row as usize);
                    }
                }
            }
            // Every row is noted and the next one over it if it is not below: no branch that cannot be foretold.
            let mut count = 0;
            for (offset, (hash, &stratum)) in (0..).zip(hashes.iter().zip(strata)) {
                let place = hash::place(hash, self.seed);
                let limit = limits.get(stratum as usize).ok_or_else(|| unknown(stratum))?;
                (places[count], below[count]) = (place, offset);
                count += usize::from(place >> 1 < *limit);
            }
            picks.extend(places.iter().zip(&below).take(count).map(|(&place, &offset)| {
                let offset = usize::from(offset);
                Pick { place, row: self.row(start + offset), stratum: strata[offset] }
            }));
            control.advance(strata.len() as u64)?;
        }
        Ok(picks)
    }

    /// All picks, sorted: one deal of all hands after the other, each sorted while it lies in a core's cache.
    fn in_order(&self, hands: &[Hand], shift: u32) -> Vec<Pick> {
        let mut picks = vec![Pick::NONE; hands.iter().map(|hand| hand.picks.len()).sum()];
        let mut deals: Vec<(usize, &mut [Pick])> = Vec::with_capacity(DEALS);
        let mut rest = picks.as_mut_slice();
        for deal in 0..DEALS {
            let (slots, after) = rest.split_at_mut(hands.iter().map(|hand| hand.deal(deal).len()).sum());
            deals.push((deal, slots));
            rest = after;
        }
        let fine_shift = shift.saturating_sub(FINE_BITS);
        deals.into_par_iter().with_min_len(4).for_each(|(deal, slots)| {
            let mut bounds = [0; FINE + 1];
            deal_out(hands.iter().map(|hand| hand.deal(deal)), fine_shift, &mut bounds, slots);
            for alike in bounds.windows(2) {
                let slots = &mut slots[alike[0]..alike[1]];
                slots.sort_unstable_by_key(|pick| pick.place);
                for alike in slots.chunk_by_mut(|left, right| left.place == right.place) {
                    if alike.len() > 1 {
                        alike.sort_unstable_by(|left, right| self.order(left, right));
                    }
                }
            }
        });
        picks
    }

    fn order(&self, left: &Pick, right: &Pick) -> Ordering {
        let rank = |pick: &Pick| {
            let row = pick.row as usize;
            (self.content.get(row), self.identity.map(|identity| identity.get(row)), pick.stratum, row)
        };
        left.place.cmp(&right.place).then_with(|| rank(left).cmp(&rank(right)))
    }
}

/// Some of the picks, dealt out by the first bits of their places.
struct Hand {
    picks: Vec<Pick>,
    bounds: Vec<usize>,
}

impl Hand {
    fn new(unordered: &[Pick], shift: u32) -> Self {
        let mut bounds = vec![0usize; DEALS + 1];
        let mut picks = vec![Pick::NONE; unordered.len()];
        deal_out(std::iter::once(unordered), shift, &mut bounds, &mut picks);
        Self { picks, bounds }
    }

    fn deal(&self, deal: usize) -> &[Pick] {
        &self.picks[self.bounds[deal]..self.bounds[deal + 1]]
    }
}

/// Copies the picks of all `parts` into `slots`, by the bits of their places from `shift` on; `bounds` get the first slot of each value of
/// those bits, of which there is one less than `bounds`, a power of two.
#[expect(clippy::cast_possible_truncation, reason = "few bits are left")]
fn deal_out<'p>(
    parts: impl Iterator<Item = &'p [Pick]> + Clone,
    shift: u32,
    bounds: &mut [usize],
    slots: &mut [Pick],
) {
    let deals = bounds.len() - 1;
    let deal = |pick: &Pick| (pick.place >> shift) as usize & (deals - 1);
    for pick in parts.clone().flatten() {
        bounds[deal(pick) + 1] += 1;
    }
    for deal in 1..=deals {
        bounds[deal] += bounds[deal - 1];
    }
    let mut next = bounds.to_vec();
    for pick in parts.flatten() {
        let slot = &mut next[deal(pick)];
        slots[*slot] = *pick;
        *slot += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_drawn_is_refused() {
        let content: Vec<_> = ["a", "b"].map(hash::text).to_vec();
        let draw = |strata, quotas, rows| {
            select(
                &Draw { strata, quotas, available: None, rows, content: &content, identity: None, seed: 0 },
                &Control::default(),
            )
        };
        assert!(matches!(draw(&[0, 1], &[1, 2], None), Err(Error::Shortfall { asked: 2, available: 1, .. })));
        assert!(matches!(draw(&[0, 7], &[1, 1], None), Err(Error::OutOfRange { name: "strata", .. })));
        assert!(matches!(draw(&[0, 0, 0], &[1], None), Err(Error::LengthMismatch { right: "keys", .. })));
        assert!(matches!(draw(&[0], &[1], Some(&[0, 1])), Err(Error::LengthMismatch { left: "rows", .. })));
        assert_eq!(draw(&[], &[], None), Ok(vec![]));
    }
}
