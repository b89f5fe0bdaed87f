//! The algorithms of Chaffinch, a stage a room: slices and plain structs in, plain structs out.
//!
//! No Python, no Arrow, no files and no clock come in here; `rust/py` is the border that brings them.
#![forbid(unsafe_code)]

pub mod bucket;
pub mod clean;
pub mod contamination;
pub mod control;
pub mod dedup;
pub mod error;
pub mod factorize;
pub mod format;
pub mod hash;
pub mod nearest;
pub mod pack;
pub mod read;
pub mod rouge;
pub mod sample;
pub mod score;
pub mod text;
pub mod tokenize;
pub mod traces;
pub mod words;

pub use control::Control;
pub use error::{Error, Result};
