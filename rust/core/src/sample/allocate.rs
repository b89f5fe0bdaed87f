//! How many rows of each stratum: whole numbers that meet the total exactly and never pass what there is.
//!
//! *Method*: shares in proportion to weights, rounded by largest remainder (ties go to the stratum that comes first); a stratum that cannot
//! give its share gives all it has, and the rest is shared again among the others in proportion to the same weights (water-filling).
//! Weights become integers once and all that follows is exact integer arithmetic, so every machine gives the same quotas.

use crate::{Error, Result};

/// What to do where a stratum has fewer rows than its share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortfall {
    /// Refuse.
    Error,
    /// Draw the missing rows from the others.
    Redistribute,
    /// Draw fewer.
    Accept,
}

/// What a total is shared out by.
#[derive(Debug, Clone, PartialEq)]
pub enum Weights {
    /// Rows available, counted up to `cap` (FLAN's examples-proportional mixing).
    Proportional {
        /// Rows beyond which a stratum weighs no more.
        cap: Option<u64>,
    },
    /// The same, to the power of 1 / `temperature`: 1 is proportional, larger is flatter.
    Temperature {
        /// At least 1.
        temperature: f64,
        /// Rows beyond which a stratum weighs no more.
        cap: Option<u64>,
    },
    /// The same for every stratum.
    Equal,
    /// As given, finite and not negative, one per stratum.
    Given(Vec<f64>),
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// So many rows of each stratum.
    Counts(Vec<u64>),
    /// A share of each stratum's rows, in [0, 1]; the sum of the shares is rounded to the nearest whole number, half up, and met exactly.
    Fractions(Vec<f64>),
    /// So many rows in all.
    Total {
        /// How many.
        rows: u64,
        /// Shared out by what.
        weights: Weights,
    },
}

/// The answer for one stratum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allotment {
    /// Its share before looking at what there is.
    pub asked: u64,
    /// Its quota.
    pub taken: u64,
}

/// Quotas for strata with `available` rows each. `names`, parallel to it and sorted, are for messages and for breaking ties.
pub fn allocate(
    names: &[String],
    available: &[u64],
    request: &Request,
    shortfall: Shortfall,
) -> Result<Vec<Allotment>> {
    same_length(names.len(), "available", available.len())?;
    // With this no sum of products below leaves 128 bits.
    if available.iter().try_fold(0u64, |sum, rows| sum.checked_add(*rows)).is_none_or(|sum| sum > MOST_ROWS) {
        let value = format!("{available:?}");
        return Err(Error::OutOfRange {
            name: "available",
            value,
            expected: "numbers of rows whose sum is below 2^60",
        });
    }
    let (asked, weights) = match request {
        Request::Counts(counts) => {
            same_length(names.len(), "counts", counts.len())?;
            (counts.clone(), counts.clone())
        }
        Request::Fractions(fractions) => {
            same_length(names.len(), "fractions", fractions.len())?;
            let counts = by_fraction(available, fractions)?;
            (counts.clone(), counts)
        }
        Request::Total { rows, weights } => {
            let weights = integer_weights(available, weights)?;
            let unlimited = vec![u64::MAX; available.len()];
            (
                fill(*rows, &weights, &unlimited).ok_or_else(|| impossible(*rows, &weights, available))?,
                weights,
            )
        }
    };
    let short = asked.iter().zip(available).position(|(asked, available)| asked > available);
    let taken = match (short, shortfall) {
        (None, _) => asked.clone(),
        (Some(first), Shortfall::Error) => {
            return Err(Error::Shortfall {
                stratum: names[first].clone(),
                asked: asked[first],
                available: available[first],
            });
        }
        (Some(_), Shortfall::Accept) => {
            asked.iter().zip(available).map(|(asked, available)| *asked.min(available)).collect()
        }
        (Some(_), Shortfall::Redistribute) => {
            let total = asked.iter().try_fold(0u64, |sum, rows| sum.checked_add(*rows)).unwrap_or(u64::MAX);
            fill(total, &weights, available).ok_or_else(|| impossible(total, &weights, available))?
        }
    };
    Ok(asked.into_iter().zip(taken).map(|(asked, taken)| Allotment { asked, taken }).collect())
}

fn impossible(asked: u64, weights: &[u64], available: &[u64]) -> Error {
    let available =
        weights.iter().zip(available).filter(|(weight, _)| **weight > 0).map(|(_, rows)| *rows).sum();
    Error::TooFewRows { asked, available }
}

fn same_length(left_rows: usize, right: &'static str, right_rows: usize) -> Result<()> {
    if left_rows == right_rows {
        Ok(())
    } else {
        Err(Error::LengthMismatch { left: "strata", left_rows, right, right_rows })
    }
}

/// `total` in proportion to `weights`, at most `limits`; `None` when there is not so much.
fn fill(total: u64, weights: &[u64], limits: &[u64]) -> Option<Vec<u64>> {
    let mut taken = vec![0u64; weights.len()];
    let mut open: Vec<usize> = (0..weights.len()).filter(|&at| weights[at] > 0).collect();
    let mut rest = u128::from(total);
    loop {
        let weight: u128 = open.iter().map(|&at| u128::from(weights[at])).sum();
        // rest < 2^64 and a weight < 2^64, so no product overflows.
        let share = |at: usize| rest * u128::from(weights[at]);
        let (full, wide): (Vec<usize>, Vec<usize>) =
            open.iter().partition(|&&at| share(at) > u128::from(limits[at]).saturating_mul(weight));
        if full.is_empty() {
            let numerators: Vec<u128> = open.iter().map(|&at| share(at)).collect();
            for (&at, rows) in open.iter().zip(largest_remainder(rest, &numerators, weight)) {
                taken[at] = rows;
            }
            return (rest == 0 || !open.is_empty()).then_some(taken);
        }
        for at in full {
            taken[at] = limits[at];
            rest -= u128::from(limits[at]);
        }
        open = wide;
    }
}

/// Rounds `numerators / denominator` to whole numbers that sum to `total`, the nearest whole number to their sum or that sum itself.
fn largest_remainder(total: u128, numerators: &[u128], denominator: u128) -> Vec<u64> {
    if denominator == 0 {
        return vec![0; numerators.len()];
    }
    let mut rows: Vec<u128> = numerators.iter().map(|numerator| numerator / denominator).collect();
    let missing = total.saturating_sub(rows.iter().sum());
    let mut order: Vec<usize> = (0..rows.len()).collect();
    // Stable: equal remainders keep the order of names.
    order.sort_by_key(|&at| std::cmp::Reverse(numerators[at] % denominator));
    for &at in order.iter().take(usize::try_from(missing).unwrap_or(usize::MAX)) {
        rows[at] += 1;
    }
    rows.into_iter().map(|rows| u64::try_from(rows).unwrap_or(u64::MAX)).collect()
}

const MOST_ROWS: u64 = 1 << 60;

/// 2^63 as the unit of fractions and weights: exact for every double that is not 2^10 times smaller than the largest.
const UNIT: u64 = 1 << 63;

fn by_fraction(available: &[u64], fractions: &[f64]) -> Result<Vec<u64>> {
    if let Some(fraction) = fractions.iter().find(|fraction| !(0.0..=1.0).contains(*fraction)) {
        return Err(Error::OutOfRange {
            name: "fraction",
            value: fraction.to_string(),
            expected: "between 0 and 1",
        });
    }
    let numerators: Vec<u128> = available
        .iter()
        .zip(fractions)
        .map(|(&rows, &fraction)| u128::from(rows) * u128::from(scaled(fraction, UNIT as f64)))
        .collect();
    let total = (numerators.iter().sum::<u128>() + u128::from(UNIT / 2)) / u128::from(UNIT);
    Ok(largest_remainder(total, &numerators, u128::from(UNIT)))
}

fn integer_weights(available: &[u64], weights: &Weights) -> Result<Vec<u64>> {
    let capped = |cap: Option<u64>| available.iter().map(move |&rows| rows.min(cap.unwrap_or(u64::MAX)));
    match weights {
        Weights::Proportional { cap } => Ok(capped(*cap).collect()),
        Weights::Temperature { temperature, cap } => {
            if !(temperature.is_finite() && *temperature >= 1.0) {
                let value = temperature.to_string();
                return Err(Error::OutOfRange {
                    name: "temperature",
                    value,
                    expected: "a finite number, at least 1",
                });
            }
            // libm's pow is the same code on every machine; the platform's is not.
            let powers: Vec<f64> = capped(*cap)
                .map(|rows| if rows == 0 { 0.0 } else { libm::pow(rows as f64, 1.0 / temperature) })
                .collect();
            Ok(to_integers(&powers))
        }
        Weights::Equal => Ok(vec![1; available.len()]),
        Weights::Given(weights) => {
            same_length(available.len(), "weights", weights.len())?;
            if let Some(weight) = weights.iter().find(|weight| !(weight.is_finite() && **weight >= 0.0)) {
                return Err(Error::OutOfRange {
                    name: "weights",
                    value: weight.to_string(),
                    expected: "finite numbers, at least 0",
                });
            }
            Ok(to_integers(weights))
        }
    }
}

/// The weights times one power of two, which loses nothing but what lies 2^63 below the largest.
fn to_integers(weights: &[f64]) -> Vec<u64> {
    let largest = weights.iter().copied().fold(0.0, f64::max);
    if largest == 0.0 {
        return vec![0; weights.len()];
    }
    let (_, exponent) = libm::frexp(largest);
    // In two steps, since 2^(63 - exponent) itself can be beyond a double.
    weights.iter().map(|&weight| scaled(libm::scalbn(weight, 1 - exponent), (UNIT / 2) as f64)).collect()
}

/// `value * unit`, at least 1 for what is not 0. Both are such that the product is at most 2^63.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 0 and 2^63 by its callers' checks"
)]
fn scaled(value: f64, unit: f64) -> u64 {
    if value == 0.0 { 0 } else { ((value * unit) as u64).max(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|at| format!("{at:02}")).collect()
    }

    fn taken(available: &[u64], request: &Request, shortfall: Shortfall) -> Result<Vec<u64>> {
        let allotments = allocate(&names(available.len()), available, request, shortfall)?;
        Ok(allotments.iter().map(|allotment| allotment.taken).collect())
    }

    fn total(rows: u64, weights: Weights) -> Request {
        Request::Total { rows, weights }
    }

    #[test]
    fn ties_go_to_the_first_name() {
        assert_eq!(taken(&[9, 9, 9], &total(10, Weights::Equal), Shortfall::Error), Ok(vec![4, 3, 3]));
        assert_eq!(taken(&[5, 5], &Request::Fractions(vec![0.5, 0.5]), Shortfall::Error), Ok(vec![3, 2]));
    }

    #[test]
    fn what_one_lacks_the_others_give() {
        let request = total(12, Weights::Given(vec![2.0, 1.0, 1.0]));
        assert_eq!(taken(&[2, 9, 9], &request, Shortfall::Redistribute), Ok(vec![2, 5, 5]));
        assert_eq!(taken(&[2, 9, 9], &request, Shortfall::Accept), Ok(vec![2, 3, 3]));
        let refused = Error::Shortfall { stratum: "00".into(), asked: 6, available: 2 };
        assert_eq!(taken(&[2, 9, 9], &request, Shortfall::Error), Err(refused));
        assert!(taken(&[2, 4, 5], &request, Shortfall::Redistribute).is_err(), "12 of 11 rows");
    }

    #[test]
    fn a_stratum_without_weight_never_helps_out() {
        let request = total(5, Weights::Given(vec![1.0, 0.0]));
        assert!(taken(&[4, 100], &request, Shortfall::Redistribute).is_err());
        assert_eq!(taken(&[4, 100], &request, Shortfall::Accept), Ok(vec![4, 0]));
        assert_eq!(taken(&[0, 0], &total(0, Weights::Given(vec![0.0; 2])), Shortfall::Error), Ok(vec![0, 0]));
    }

    #[test]
    fn temperature_flattens_and_a_cap_limits() {
        let flat = |temperature| total(110, Weights::Temperature { temperature, cap: None });
        assert_eq!(taken(&[10_000, 100], &flat(1.0), Shortfall::Error), Ok(vec![109, 1]));
        assert_eq!(taken(&[10_000, 100], &flat(2.0), Shortfall::Error), Ok(vec![100, 10]));
        let capped = total(40, Weights::Proportional { cap: Some(300) });
        assert_eq!(taken(&[10_000, 100], &capped, Shortfall::Error), Ok(vec![30, 10]));
    }

    #[test]
    fn extreme_weights_do_not_overflow() {
        let request = total(1000, Weights::Given(vec![f64::MAX, f64::MIN_POSITIVE, 5e-324, 0.0]));
        assert_eq!(taken(&[1000, 9, 9, 9], &request, Shortfall::Error), Ok(vec![1000, 0, 0, 0]));
        let request = total(7, Weights::Given(vec![5e-324, 5e-324]));
        assert_eq!(taken(&[9, 9], &request, Shortfall::Error), Ok(vec![4, 3]));
    }

    #[test]
    fn numbers_outside_their_domain_are_refused() {
        for request in [
            Request::Fractions(vec![1.5]),
            Request::Fractions(vec![f64::NAN]),
            total(1, Weights::Given(vec![-1.0])),
            total(1, Weights::Given(vec![f64::INFINITY])),
            total(1, Weights::Temperature { temperature: 0.5, cap: None }),
            total(1, Weights::Given(vec![])),
        ] {
            assert!(taken(&[9], &request, Shortfall::Accept).is_err(), "{request:?}");
        }
    }
}
