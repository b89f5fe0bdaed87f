//! Everything that can go wrong in the core: fields, not sentences.

use thiserror::Error;

/// What the core refuses, with the values that made it refuse.
///
/// Not `non_exhaustive`: the one `match` in `rust/py/src/error.rs` has no wildcard arm, so a new variant does not compile until
/// someone has chosen its Python class.
#[derive(Debug, Error, PartialEq)]
pub enum Error {
    /// Two columns that must run in parallel do not.
    #[error("{left} has {left_rows} rows and {right} has {right_rows}")]
    LengthMismatch {
        /// Name of the first column.
        left: &'static str,
        /// Its rows.
        left_rows: usize,
        /// Name of the second column.
        right: &'static str,
        /// Its rows.
        right_rows: usize,
    },
    /// An argument outside its domain.
    #[error("{name} is {value}, expected {expected}")]
    OutOfRange {
        /// The argument's name.
        name: &'static str,
        /// The value as given.
        value: String,
        /// The domain, in words.
        expected: &'static str,
    },
    /// A stratum cannot give as many rows as were asked of it.
    #[error("stratum {stratum} has {available} rows, {asked} were asked for")]
    Shortfall {
        /// The stratum's number or name.
        stratum: String,
        /// Rows asked for.
        asked: u64,
        /// Rows there are.
        available: u64,
    },
    /// All strata together cannot give as many rows as were asked for.
    #[error("the strata that may give some have {available} rows, {asked} were asked for")]
    TooFewRows {
        /// Rows asked for.
        asked: u64,
        /// Rows there are.
        available: u64,
    },
    /// More rows than a row number holds.
    #[error("{rows} rows, at most {} fit in one build", u32::MAX)]
    TooManyRows {
        /// The number of rows met.
        rows: u64,
    },
    /// A template names a field that no row has, or is not closed.
    #[error("template {template:?}: {problem}")]
    Template {
        /// The template's text.
        template: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Input that is not what its format promises and cannot be read row by row.
    #[error("{problem}")]
    Data {
        /// What is wrong.
        problem: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// The caller asked to stop.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// What the reader of the message can do about it, where there is something.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Shortfall { .. } => {
                Some("lower the quota, add data, or set shortfall to `redistribute` or `accept`")
            }
            Self::TooFewRows { .. } => {
                Some("ask for no more than there are, add data, or give more strata a quota or a weight")
            }
            Self::TooManyRows { .. } => Some("build the mixture in several runs and join their outputs"),
            Self::Template { .. } => {
                Some("a field stands in braces, as in {instruction}; a literal brace is doubled")
            }
            Self::Data { hint, .. } => Some(hint),
            Self::LengthMismatch { .. } | Self::OutOfRange { .. } | Self::Interrupted => None,
        }
    }
}

/// The core's result.
pub type Result<T> = std::result::Result<T, Error>;
