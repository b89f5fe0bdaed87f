//! How many rows of each stratum, and which.

mod allocate;
mod select;

pub use allocate::{Allotment, Request, Shortfall, Weights, allocate};
pub use select::{Draw, Pick, select};
