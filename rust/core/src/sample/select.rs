//! Which rows of a stratum: those whose content comes first in an order that only the seed decides.
//!
//! *What it decides*: within a stratum, the `quota` rows with the smallest place, a hash of the row's content keyed by the seed. Whether a
//! row is drawn depends on its own content and on its stratum's rows, never on another stratum's, on file order or on threads; a smaller
//! quota draws a prefix of a larger one's rows.
//!
//! *Method*: a counting sort by stratum, then a selection (not a sort) in each.
//!
//! *Cost*: 4 bytes a row, and 16 bytes for each row of the strata in work.

use std::cmp::Ordering;

use rayon::prelude::*;

use crate::hash::{self, Hashes};
use crate::{Control, Error, Result};

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
    let bounds = draw.bounds()?;
    let mut next: Vec<usize> = bounds[..draw.quotas.len()].to_vec();
    let mut rows = vec![0u32; draw.strata.len()];
    for (position, &stratum) in draw.strata.iter().enumerate() {
        let slot = &mut next[stratum as usize];
        rows[*slot] = draw.row(position);
        *slot += 1;
    }
    let mut picks = bounds
        .par_windows(2)
        .enumerate()
        .map(|(stratum, bounds)| {
            let candidates = &rows[bounds[0]..bounds[1]];
            // A quota above the rows there are was refused, so it fits, and so does the number of a stratum that has rows.
            let quota = usize::try_from(draw.quotas[stratum]).unwrap_or(candidates.len());
            draw.stratum(u32::try_from(stratum).unwrap_or(u32::MAX), candidates, quota, control)
        })
        .collect::<Result<Vec<_>>>()?
        .concat();
    picks.par_sort_unstable_by(|left, right| draw.order(left, right));
    Ok(picks)
}

impl Draw<'_> {
    fn row(&self, position: usize) -> u32 {
        // `bounds` has checked that positions fit.
        self.rows.map_or_else(|| u32::try_from(position).unwrap_or(u32::MAX), |rows| rows[position])
    }

    /// Where each stratum's candidates begin once sorted by stratum.
    fn bounds(&self) -> Result<Vec<usize>> {
        let candidates = self.strata.len();
        if u32::try_from(candidates).is_err() {
            return Err(Error::TooManyRows { rows: candidates as u64 });
        }
        if let Some(rows) = self.rows.filter(|rows| rows.len() != candidates) {
            let (left_rows, right_rows) = (rows.len(), candidates);
            return Err(Error::LengthMismatch { left: "rows", left_rows, right: "strata", right_rows });
        }
        let highest = (0..candidates).map(|position| self.row(position) as usize + 1).max().unwrap_or(0);
        if highest > self.content.len()
            || self.identity.is_some_and(|identity| identity.len() != self.content.len())
        {
            let (left_rows, right_rows) = (highest, self.content.len());
            return Err(Error::LengthMismatch { left: "rows", left_rows, right: "keys", right_rows });
        }
        let mut bounds = vec![0usize; self.quotas.len() + 1];
        for &stratum in self.strata {
            let Some(count) = bounds.get_mut(stratum as usize + 1) else {
                let value = stratum.to_string();
                return Err(Error::OutOfRange { name: "strata", value, expected: "indices into the quotas" });
            };
            *count += 1;
        }
        for (stratum, (&asked, &available)) in self.quotas.iter().zip(&bounds[1..]).enumerate() {
            if asked > available as u64 {
                return Err(Error::Shortfall {
                    stratum: stratum.to_string(),
                    asked,
                    available: available as u64,
                });
            }
        }
        for stratum in 1..bounds.len() {
            bounds[stratum] += bounds[stratum - 1];
        }
        Ok(bounds)
    }

    fn stratum(
        &self,
        stratum: u32,
        candidates: &[u32],
        quota: usize,
        control: &Control,
    ) -> Result<Vec<Pick>> {
        if quota == 0 {
            control.advance(candidates.len() as u64)?;
            return Ok(Vec::new());
        }
        let mut picks: Vec<Pick> = candidates
            .par_chunks(4096)
            .flat_map_iter(|rows| {
                rows.iter().map(|&row| Pick {
                    place: hash::place(&self.content.get(row as usize), self.seed),
                    row,
                    stratum,
                })
            })
            .collect();
        control.advance(candidates.len() as u64)?;
        if quota < picks.len() {
            picks.select_nth_unstable_by(quota - 1, |left, right| self.order(left, right));
            picks.truncate(quota);
        }
        Ok(picks)
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
