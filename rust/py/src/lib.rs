//! The border between the core, Arrow and Python: one small file per stage, and no algorithm.

mod blocks;
mod columns;
mod decompress;
mod door;
mod error;
mod read;
mod read_plan;
mod shard;
mod shard_file;

use pyo3::prelude::*;

/// The private extension module `chaffinch._core`.
#[pymodule]
mod _core {
    #[pymodule_export]
    use crate::build_info;
    #[pymodule_export]
    use crate::read::{hash_file, hash_files, meta_field, read_batches, read_files};
}

/// How this extension was built: version, profile and target, for benchmarks and manifests.
#[pyfunction]
fn build_info() -> (&'static str, &'static str, &'static str) {
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    (env!("CARGO_PKG_VERSION"), profile, std::env::consts::ARCH)
}
