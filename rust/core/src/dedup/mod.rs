//! Which rows say again what another row says.

mod exact;
pub mod near;
mod normal;
mod occurrences;
mod partition;
pub mod spans;

pub use exact::{Duplicate, Exact, exact_duplicates, exact_duplicates_by};
pub use normal::NormalForm;
pub use occurrences::{Occurrence, occurrences};
