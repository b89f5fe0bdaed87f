//! The border between the core, Arrow and Python: one small file per stage, and no algorithm.

mod answer;
mod blocks;
mod bucket;
mod chunks;
mod clean;
mod columns;
mod compact;
mod contamination;
mod decompress;
mod dedup;
mod door;
mod error;
mod factorize;
mod format;
mod gather;
mod in_order;
mod labels;
mod lists;
mod near;
mod nearest;
mod pack;
mod read;
mod read_plan;
mod rouge;
mod sample;
mod score;
mod shard;
mod shard_file;
mod spans;
mod tokenize;
mod traces;

use pyo3::prelude::*;

/// The private extension module `chaffinch._core`.
#[pymodule]
mod _core {
    #[pymodule_export]
    use crate::bucket::bucket;
    #[pymodule_export]
    use crate::build_info;
    #[pymodule_export]
    use crate::clean::clean;
    #[pymodule_export]
    use crate::contamination::contamination;
    #[pymodule_export]
    use crate::dedup::{exact_duplicates, lengths, occurrences};
    #[pymodule_export]
    use crate::factorize::factorize;
    #[pymodule_export]
    use crate::format::{examine, render};
    #[pymodule_export]
    use crate::gather::{gather, row_ids, write_jsonl};
    #[pymodule_export]
    use crate::lists::StrList;
    #[pymodule_export]
    use crate::near::{index_hash, near_duplicates, shingle_sets};
    #[pymodule_export]
    use crate::nearest::nearest;
    #[pymodule_export]
    use crate::pack::pack;
    #[pymodule_export]
    use crate::read::{hash_file, hash_files, meta_field, read_batches, read_files};
    #[pymodule_export]
    use crate::rouge::{RougePool, rouge, rouge_pair};
    #[pymodule_export]
    use crate::sample::{allocate, select};
    #[pymodule_export]
    use crate::score::score;
    #[pymodule_export]
    use crate::spans::repeated_spans;
    #[pymodule_export]
    use crate::tokenize::{Encoder, escape_marks, tokenize, tokenize_rendered};
    #[pymodule_export]
    use crate::traces::{row_traces, text_traces};
}

/// How this extension was built: version, profile and target, for benchmarks and manifests.
#[pyfunction]
fn build_info() -> (&'static str, &'static str, &'static str) {
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    (env!("CARGO_PKG_VERSION"), profile, std::env::consts::ARCH)
}
