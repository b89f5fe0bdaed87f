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

use rayon::prelude::*;

use crate::hash::{self, Hashes};
use crate::{Control, Error, Result};

const BLOCK: usize = 1 << 14;

/// Places are dealt out by so many of their bits before they are sorted.
const DEAL_BITS: u32 = 12;

/// What to draw from.
pub struct Draw<'a> {
    /// The stratum of each candidate, an index into `quotas`.
    pub strata: &'a [u32],
    /// How many rows to draw from each stratum.
    pub quotas: &'a [u64],
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

/// Exactly `quotas` rows, in the order of their places: a shuffle across strata that the seed decides. Rows of equal content stand in the
/// order of their strata.
pub fn select(draw: &Draw<'_>, control: &Control) -> Result<Vec<Pick>> {
    let available = draw.available()?;
    let limits: Vec<Option<u64>> =
        draw.quotas.iter().zip(&available).map(|(&quota, &rows)| likely_limit(quota, rows)).collect();
    let (mut picks, missing) = draw.first_of_each(draw.quotas, &limits, control)?;
    let lacks: Vec<bool> = missing.iter().map(|&rows| rows > 0).collect();
    if lacks.contains(&true) {
        let quotas: Vec<u64> =
            draw.quotas.iter().zip(&lacks).map(|(&quota, &lacks)| if lacks { quota } else { 0 }).collect();
        let limits: Vec<Option<u64>> = lacks.iter().map(|&lacks| lacks.then_some(u64::MAX)).collect();
        picks.retain(|pick| !lacks[pick.stratum as usize]);
        picks.append(&mut draw.first_of_each(&quotas, &limits, control)?.0);
        picks.par_sort_unstable_by(|left, right| draw.order(left, right));
    }
    Ok(picks)
}

/// A place below which `quota` of `rows` rows lie all but surely: five standard deviations above the share; `None` for no rows at all.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share in [0, 1) of 2^64")]
fn likely_limit(quota: u64, rows: u64) -> Option<u64> {
    if quota == 0 {
        return None;
    }
    let share = (quota as f64 + 5.0 * libm::sqrt(quota as f64) + 16.0) / rows as f64;
    Some(if share < 1.0 { (share * u64::MAX as f64) as u64 } else { u64::MAX })
}

impl Draw<'_> {
    fn row(&self, position: usize) -> u32 {
        // `available` has checked that positions fit.
        self.rows.map_or_else(|| u32::try_from(position).unwrap_or(u32::MAX), |rows| rows[position])
    }

    /// The candidates of each stratum, after a look at whether the columns fit together and the quotas can be met.
    fn available(&self) -> Result<Vec<u64>> {
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
        let available = self
            .strata
            .par_chunks(candidates.div_ceil(rayon::current_num_threads()).max(1))
            .map(|strata| {
                let mut available = vec![0u64; self.quotas.len()];
                for &stratum in strata {
                    let Some(count) = available.get_mut(stratum as usize) else {
                        let value = stratum.to_string();
                        return Err(Error::OutOfRange {
                            name: "strata",
                            value,
                            expected: "indices into the quotas",
                        });
                    };
                    *count += 1;
                }
                Ok(available)
            })
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .reduce(|all, part| all.iter().zip(part).map(|(all, part)| all + part).collect())
            .unwrap_or_else(|| vec![0; self.quotas.len()]);
        for (stratum, (&asked, &available)) in self.quotas.iter().zip(&available).enumerate() {
            if asked > available {
                return Err(Error::Shortfall { stratum: stratum.to_string(), asked, available });
            }
        }
        Ok(available)
    }

    /// The first rows of each stratum, in the order of their places, and how many it is short of its quota.
    fn first_of_each(
        &self,
        quotas: &[u64],
        limits: &[Option<u64>],
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

    /// The candidates at or below their stratum's limit, in the order of their places; none of a stratum without one.
    fn candidates(&self, limits: &[Option<u64>], control: &Control) -> Result<Vec<Pick>> {
        let blocks = self
            .strata
            .par_chunks(BLOCK)
            .enumerate()
            .map(|(block, strata)| {
                control.advance(strata.len() as u64)?;
                let start = block * BLOCK;
                let together =
                    if self.rows.is_none() { self.content.together(start, strata.len()) } else { None };
                let pick = |(offset, &stratum): (usize, &u32)| {
                    let limit = limits[stratum as usize]?;
                    let row = self.row(start + offset);
                    let content =
                        together.map_or_else(|| self.content.get(row as usize), |hashes| hashes[offset]);
                    let place = hash::place(&content, self.seed);
                    (place <= limit).then_some(Pick { place, row, stratum })
                };
                Ok(strata.iter().enumerate().filter_map(pick).collect())
            })
            .collect::<Result<Vec<Vec<Pick>>>>()?;
        Ok(self.in_order(&blocks))
    }

    /// All of `blocks`, sorted: dealt out by the first bits of their places, then each deal sorted while it lies in a core's cache.
    #[expect(clippy::cast_possible_truncation, reason = "at most 12 bits are left")]
    fn in_order(&self, blocks: &[Vec<Pick>]) -> Vec<Pick> {
        let highest = blocks.par_iter().flatten_iter().map(|pick| pick.place).max().unwrap_or(0);
        let shift = (64 - highest.leading_zeros()).saturating_sub(DEAL_BITS);
        let mut bounds = vec![0usize; (1 << DEAL_BITS) + 1];
        for pick in blocks.iter().flatten() {
            bounds[(pick.place >> shift) as usize + 1] += 1;
        }
        for deal in 1..bounds.len() {
            bounds[deal] += bounds[deal - 1];
        }
        let mut next = bounds.clone();
        let mut picks = vec![Pick { place: 0, row: 0, stratum: 0 }; blocks.iter().map(Vec::len).sum()];
        for pick in blocks.iter().flatten() {
            let slot = &mut next[(pick.place >> shift) as usize];
            picks[*slot] = *pick;
            *slot += 1;
        }
        let mut deals: Vec<&mut [Pick]> = Vec::with_capacity(bounds.len());
        let mut rest = picks.as_mut_slice();
        for bounds in bounds.windows(2) {
            let (deal, after) = rest.split_at_mut(bounds[1] - bounds[0]);
            deals.push(deal);
            rest = after;
        }
        deals.into_par_iter().with_min_len(16).for_each(|deal| {
            deal.sort_unstable_by_key(|pick| pick.place);
            for alike in deal.chunk_by_mut(|left, right| left.place == right.place) {
                if alike.len() > 1 {
                    alike.sort_unstable_by(|left, right| self.order(left, right));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_drawn_is_refused() {
        let content: Vec<_> = ["a", "b"].map(hash::text).to_vec();
        let draw = |strata, quotas, rows| {
            select(
                &Draw { strata, quotas, rows, content: &content, identity: None, seed: 0 },
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
