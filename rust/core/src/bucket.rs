//! Scores to strata: which half-open interval a score lies in.

use crate::{Error, Result};

/// Where scores lie among `edges`: bucket `i` is `[edges[i], edges[i + 1])`.
#[derive(Debug)]
pub struct Buckets {
    edges: Vec<f64>,
}

impl Buckets {
    /// At least two edges, finite and strictly increasing.
    pub fn new(edges: Vec<f64>) -> Result<Self> {
        let refused = |value: String, expected| Err(Error::OutOfRange { name: "edges", value, expected });
        if let Some(edge) = edges.iter().find(|edge| !edge.is_finite()) {
            return refused(edge.to_string(), "finite numbers");
        }
        if let Some(pair) = edges.windows(2).find(|pair| !pair.is_sorted_by(|low, high| low < high)) {
            return refused(format!("{pair:?}"), "numbers that increase");
        }
        if edges.len() < 2 || u32::try_from(edges.len()).is_err() {
            return refused(format!("{} of them", edges.len()), "at least two");
        }
        Ok(Self { edges })
    }

    /// Number of buckets.
    pub fn len(&self) -> usize {
        self.edges.len() - 1
    }

    /// There is always one.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The bucket of `score`, or `len()` when it is below the first edge, `len() + 1` when at or above the last, `len() + 2` when NaN and
    /// `len() + 3` when there is none.
    pub fn code(&self, score: Option<f64>) -> usize {
        match score {
            None => self.len() + 3,
            Some(score) if score.is_nan() => self.len() + 2,
            Some(score) => match self.edges.partition_point(|edge| *edge <= score) {
                0 => self.len(),
                above if above == self.edges.len() => self.len() + 1,
                above => above - 1,
            },
        }
    }

    /// A name for every code, in the order of codes: `[0.2, 0.3)` and so on, or the `names` given for the buckets; then the four others.
    pub fn labels(&self, names: Option<Vec<String>>) -> Result<Vec<String>> {
        let mut labels = match names {
            Some(names) if names.len() != self.len() => {
                return Err(Error::LengthMismatch {
                    left: "labels",
                    left_rows: names.len(),
                    right: "the buckets between the edges",
                    right_rows: self.len(),
                });
            }
            Some(names) => names,
            None => self.edges.windows(2).map(|pair| format!("[{}, {})", pair[0], pair[1])).collect(),
        };
        labels.extend(["below", "above", "nan", "null"].map(str::to_owned));
        if let Some(repeated) = labels.iter().enumerate().find(|(at, label)| labels[..*at].contains(label)) {
            return Err(Error::OutOfRange {
                name: "labels",
                value: format!("{:?} twice", repeated.1),
                expected: "names that differ from each other and from below, above, nan and null",
            });
        }
        Ok(labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_half_open() {
        let buckets = Buckets::new(vec![0.0, 0.2, 0.3]).unwrap();
        let codes =
            [0.0, 0.2 - f64::EPSILON, 0.2, 0.3, -0.1, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0]
                .map(|score| buckets.code(Some(score)));
        assert_eq!(codes, [0, 0, 1, 3, 2, 4, 3, 2, 0]);
        assert_eq!(buckets.code(None), 5);
        assert_eq!(
            buckets.labels(None).unwrap(),
            ["[0, 0.2)", "[0.2, 0.3)", "below", "above", "nan", "null"]
        );
    }

    #[test]
    fn edges_that_do_not_increase_are_refused() {
        for edges in [
            vec![],
            vec![1.0],
            vec![1.0, 1.0],
            vec![0.0, f64::NAN],
            vec![0.0, f64::INFINITY],
            vec![0.0, -0.0],
        ] {
            assert!(Buckets::new(edges).is_err());
        }
        let buckets = Buckets::new(vec![0.0, 1.0]).unwrap();
        assert!(buckets.labels(Some(vec!["nan".into()])).is_err());
        assert!(buckets.labels(Some(vec![])).is_err());
    }
}
