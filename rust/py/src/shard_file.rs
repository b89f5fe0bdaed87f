//! The files that rows and rejected records go to.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::RecordBatch;
use arrow_ipc::writer::FileWriter;
use arrow_schema::{ArrowError, Schema};
use chaffinch_core::read::{Example, Note};

use crate::decompress::at;
use crate::error::{BorderError, Result};
use crate::shard::{EXAMPLES, Parsed, QUARANTINE, ROWS, examples};

static TEMPORARY: AtomicU64 = AtomicU64::new(0);

/// A new file in the folder of `path` that no other thread or process writes and that nobody takes for finished.
pub(crate) fn temporary_beside(path: &Path) -> Result<(PathBuf, File)> {
    loop {
        let number = TEMPORARY.fetch_add(1, Ordering::Relaxed);
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(format!(".{}-{number}.tmp", std::process::id()));
        let temporary = path.with_file_name(name);
        match OpenOptions::new().read(true).write(true).create_new(true).open(&temporary) {
            // Processes in containers that share a cache can have the same number.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            created => return created.map(|file| (temporary.clone(), file)).map_err(at(&temporary)),
        }
    }
}

/// Arrow's error in writing `path`, which does not name it.
fn writing(path: &Path) -> impl Fn(ArrowError) -> BorderError {
    move |error| match error {
        ArrowError::IoError(_, source) => at(path)(source),
        other => other.into(),
    }
}

/// An Arrow file that appears under its name only when it is complete.
struct ArrowFile {
    path: PathBuf,
    temporary: PathBuf,
    writer: Option<FileWriter<BufWriter<File>>>,
}

impl ArrowFile {
    fn create(path: &Path, schema: &Schema) -> Result<Self> {
        let (temporary, file) = temporary_beside(path)?;
        let writer = FileWriter::try_new_buffered(file, schema).map_err(writing(&temporary))?;
        Ok(Self { path: path.to_owned(), temporary, writer: Some(writer) })
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        match &mut self.writer {
            Some(writer) => writer.write(batch).map_err(writing(&self.temporary)),
            None => Ok(()),
        }
    }

    fn finish(mut self) -> Result<()> {
        if let Some(writer) = self.writer.take() {
            let buffered = writer.into_inner().map_err(writing(&self.temporary))?;
            buffered.into_inner().map_err(|error| at(&self.temporary)(error.into_error()))?;
            fs::rename(&self.temporary, &self.path).map_err(at(&self.path))?;
        }
        Ok(())
    }
}

impl Drop for ArrowFile {
    fn drop(&mut self) {
        if self.writer.take().is_some() {
            // Given up on the way out of another error, which says more than this one could.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Writes the blocks of one file, in order.
pub(crate) struct ShardWriter {
    rows: ArrowFile,
    quarantine: Option<ArrowFile>,
    quarantine_path: PathBuf,
    examples_path: PathBuf,
    ids: Vec<u64>,
    pub(crate) summary: Summary,
}

/// What became of one file.
#[derive(Default)]
pub(crate) struct Summary {
    pub(crate) rows: u64,
    pub(crate) rejected: u64,
    pub(crate) examples: u64,
    pub(crate) duplicate_ids: u64,
    pub(crate) notes: BTreeMap<Note, u64>,
}

impl ShardWriter {
    pub(crate) fn create(output: &Path, quarantine: &Path) -> Result<Self> {
        Ok(Self {
            rows: ArrowFile::create(output, &ROWS)?,
            quarantine: None,
            quarantine_path: quarantine.to_owned(),
            examples_path: output.with_extension("examples.arrow"),
            ids: Vec::new(),
            summary: Summary::default(),
        })
    }

    pub(crate) fn write(&mut self, parsed: Parsed) -> Result<()> {
        for batch in &parsed.batches {
            self.rows.write(batch)?;
            self.summary.rows += batch.num_rows() as u64;
        }
        if let Some(batch) = &parsed.rejects {
            if self.quarantine.is_none() {
                self.quarantine = Some(ArrowFile::create(&self.quarantine_path, &QUARANTINE)?);
            }
            if let Some(file) = &mut self.quarantine {
                file.write(batch)?;
            }
            self.summary.rejected += batch.num_rows() as u64;
        }
        self.ids.extend(parsed.ids);
        for (note, count) in parsed.notes {
            *self.summary.notes.entry(note).or_default() += count;
        }
        Ok(())
    }

    /// Writes the solved cases that the file gives for `task` beside its rows; at most once.
    pub(crate) fn write_examples(&mut self, task: &str, found: &[Example]) -> Result<()> {
        if found.is_empty() {
            return Ok(());
        }
        self.summary.examples = found.len() as u64;
        let mut file = ArrowFile::create(&self.examples_path, &EXAMPLES)?;
        file.write(&examples(task, found))?;
        file.finish()
    }

    /// Makes the files appear, the quarantine first: whoever sees the rows sees it too.
    pub(crate) fn finish(mut self) -> Result<Summary> {
        let ids = self.ids.len();
        self.ids.sort_unstable();
        self.ids.dedup();
        self.summary.duplicate_ids = (ids - self.ids.len()) as u64;
        if let Some(quarantine) = self.quarantine {
            quarantine.finish()?;
        }
        self.rows.finish()?;
        Ok(self.summary)
    }
}
