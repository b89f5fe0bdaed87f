//! The read stage: files to shards.
#![expect(clippy::needless_pass_by_value, reason = "pyo3 hands arguments over by value")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use arrow_array::RecordBatchReader;
use arrow_json::LineDelimitedWriter;
use chaffinch_core::Control;
use chaffinch_core::read::cut::{Record, TRUNCATED};
use chaffinch_core::read::delimited::DelimitedReader;
use chaffinch_core::read::detect::{self, Container};
use chaffinch_core::read::rows::{OVERSIZE, Plan, RowReader};
use chaffinch_core::read::{Facts, Note, Reject, Sink, natural};
use pyo3::prelude::*;
use pyo3_arrow::input::AnyArray;
use pyo3_arrow::{PyArray, PyRecordBatchReader};
use rayon::prelude::*;

use crate::blocks::{ArrayBlocks, Block, Document, ElementBlocks, FIRST_BYTES, HEAD_BYTES, LineBlocks};
use crate::columns::TextColumn;
use crate::decompress::{Stream, at};
use crate::door;
use crate::door::Threads;
use crate::error::Result;
use crate::in_order::in_order;
use crate::read_plan::{Kind, Plans, SourcePlan};
use crate::shard::{Parsed, Place, ShardBuilder};
use crate::shard_file::{ShardWriter, Summary};

/// One file to read, as Python names it.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Job {
    path: PathBuf,
    file: String,
    /// `None`: the stem for Natural Instructions, else the source's name.
    task: Option<String>,
    stem: String,
    output: PathBuf,
    quarantine: PathBuf,
    /// Whether lines are counted from 0 as elements, since no user sees them as lines.
    elements: bool,
    delimited: bool,
}

type Outcome = (u64, u64, u64, BTreeMap<String, u64>);

/// A file at least this large is read by all threads together, smaller ones by one thread each.
const LARGE_BYTES: u64 = 64 << 20;
/// Of a file, so many bytes are hashed at a time.
const HASHED_AT_A_TIME: u64 = 1 << 20;
/// Packed files are taken for eight times their size.
const UNPACKED: u64 = 8;

/// Reads files into shards and quarantines; `progress` counts the files' bytes.
///
/// Returns rows, rejected records, solved cases and notes of each file.
#[pyfunction]
#[pyo3(signature = (plan, jobs, *, threads=None, progress=None))]
pub(crate) fn read_files(
    py: Python<'_>,
    plan: SourcePlan,
    jobs: Vec<Job>,
    threads: Option<Threads>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<Vec<Outcome>> {
    door::enter(py, threads, progress, |control| {
        let plans = Plans::new(&plan)?;
        let is_large = |job: &Job| -> Result<bool> {
            let bytes = std::fs::metadata(&job.path).map_err(at(&job.path))?.len();
            let packed =
                job.path.extension().is_some_and(|extension| extension == "gz" || extension == "zst");
            Ok(bytes * if packed { UNPACKED } else { 1 } >= LARGE_BYTES)
        };
        let large = jobs.iter().map(is_large).collect::<Result<Vec<_>>>()?;
        let mut summaries = jobs
            .par_iter()
            .zip(&large)
            .map(|(job, &large)| if large { Ok(None) } else { read_file(&plans, job, 1, control).map(Some) })
            .collect::<Result<Vec<_>>>()?;
        for (job, summary) in jobs.iter().zip(&mut summaries) {
            if summary.is_none() {
                *summary = Some(read_file(&plans, job, rayon::current_num_threads(), control)?);
            }
        }
        Ok(summaries.into_iter().flatten().map(|summary| outcome(&plan, summary)).collect())
    })
}

/// Reads the batches of an Arrow stream (Parquet, Arrow files, hub data sets) into one shard.
#[pyfunction]
#[pyo3(signature = (plan, job, batches, *, threads=None, progress=None))]
pub(crate) fn read_batches(
    py: Python<'_>,
    plan: SourcePlan,
    job: Job,
    batches: PyRecordBatchReader,
    threads: Option<Threads>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<Outcome> {
    let batches = batches.into_reader()?;
    door::enter(py, threads, progress, |control| {
        let plans = Plans::new(&plan)?;
        let text = BatchText { batches, text: Vec::new(), read: 0 };
        let stream = Stream::of(Box::new(text), job.file.clone(), control);
        let summary = read_stream(&plans, &job, stream, rayon::current_num_threads(), control)?;
        Ok(outcome(&plan, summary))
    })
}

/// BLAKE3 of each file's bytes but for the last `leave`, in hexadecimal.
#[pyfunction]
#[pyo3(signature = (paths, *, leave=0, threads=None, progress=None))]
pub(crate) fn hash_files(
    py: Python<'_>,
    paths: Vec<PathBuf>,
    leave: u64,
    threads: Option<Threads>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<Vec<String>> {
    door::enter(py, threads, progress, |control| {
        let hash = |path: &PathBuf| -> Result<String> {
            let mut hasher = blake3::Hasher::new();
            let file = File::open(path).map_err(at(path))?;
            let all = if leave == 0 { u64::MAX } else { file.metadata().map_err(at(path))?.len() };
            let mut content = file.take(all.saturating_sub(leave));
            // Read, not mapped: a file that is shortened meanwhile would end the process. One piece is hashed while the next is read.
            let (mut piece, mut next) = (Vec::new(), Vec::new());
            loop {
                let (read, ()) = rayon::join(
                    || {
                        next.clear();
                        content.by_ref().take(HASHED_AT_A_TIME).read_to_end(&mut next)
                    },
                    || {
                        hasher.update_rayon(&piece);
                    },
                );
                if read.map_err(at(path))? == 0 {
                    return Ok(hasher.finalize().to_hex().to_string());
                }
                control.advance(next.len() as u64)?;
                std::mem::swap(&mut piece, &mut next);
            }
        };
        paths.par_iter().map(hash).collect()
    })
}

/// BLAKE3 of a file's bytes, in hexadecimal.
#[pyfunction]
pub(crate) fn hash_file(py: Python<'_>, path: PathBuf) -> PyResult<String> {
    Ok(hash_files(py, vec![path], 0, None, None)?.concat())
}

/// The text of one key of each row's `meta`.
#[pyfunction]
pub(crate) fn meta_field(py: Python<'_>, meta: AnyArray, name: &str) -> PyResult<PyArray> {
    let column = TextColumn::from_python(meta.into_chunked_array()?)?;
    door::enter(py, None, None, |control| {
        let mut values = arrow_array::builder::StringViewBuilder::new();
        for row in 0..chaffinch_core::text::Texts::len(&column) {
            if row % 4096 == 0 {
                control.advance(4096)?;
            }
            let meta = column.text(row);
            values.append_option(meta.and_then(|meta| chaffinch_core::read::meta_field(meta, name)));
        }
        Ok(PyArray::from_array_ref(std::sync::Arc::new(values.finish())))
    })
}

fn outcome(plan: &SourcePlan, summary: Summary) -> Outcome {
    let mut notes = BTreeMap::new();
    for (note, count) in summary.notes {
        let name = match note {
            Note::IdOfOtherTask => "id_of_other_task".to_owned(),
            Note::RepeatedReference => "repeated_reference".to_owned(),
            Note::NumberAsText => "number_as_text".to_owned(),
            Note::TurnKeyIgnored => "turn_key_ignored".to_owned(),
            Note::TruncatedFile => "truncated_file".to_owned(),
            Note::RestUnread => "rest_unread".to_owned(),
            Note::ByteOrderMark => "bom".to_owned(),
            Note::CarriageReturns => "crlf".to_owned(),
            Note::EmptyFile => "empty_file".to_owned(),
            Note::Edited(number) => plan.edit_note(number),
        };
        *notes.entry(name).or_default() += count;
    }
    if summary.duplicate_ids > 0 {
        notes.insert("duplicate_id".to_owned(), summary.duplicate_ids);
    }
    (summary.rows, summary.rejected, summary.examples, notes)
}

/// The batches of an Arrow stream, as lines of JSON.
struct BatchText {
    batches: Box<dyn RecordBatchReader + Send>,
    text: Vec<u8>,
    read: usize,
}

impl Read for BatchText {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.read == self.text.len() {
            let Some(batch) = self.batches.next() else { return Ok(0) };
            self.text.clear();
            self.read = 0;
            let mut writer = LineDelimitedWriter::new(&mut self.text);
            batch.and_then(|batch| writer.write(&batch)).map_err(io::Error::other)?;
            writer.finish().map_err(io::Error::other)?;
        }
        let length = buffer.len().min(self.text.len() - self.read);
        buffer[..length].copy_from_slice(&self.text[self.read..self.read + length]);
        self.read += length;
        Ok(length)
    }
}

fn read_file(plans: &Plans<'_>, job: &Job, width: usize, control: &Control) -> Result<Summary> {
    read_stream(plans, job, Stream::open(&job.path, control)?, width, control)
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

fn read_stream(
    plans: &Plans<'_>,
    job: &Job,
    mut stream: Stream<'_>,
    width: usize,
    control: &Control,
) -> Result<Summary> {
    let mut writer = ShardWriter::create(&job.output, &job.quarantine)?;
    let mut head = Vec::new();
    stream.fill(&mut head, FIRST_BYTES)?;
    if !detect::is_clear(head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&head)) {
        stream.fill(&mut head, HEAD_BYTES)?;
    }
    let mark = if head.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
    let text = &head[mark..];
    let mut count = |note: Note| *writer.summary.notes.entry(note).or_default() += 1;
    if mark > 0 {
        count(Note::ByteOrderMark);
    }
    let newline = text.iter().position(|&byte| byte == b'\n');
    if newline.is_some_and(|newline| newline > 0 && text[newline - 1] == b'\r') {
        count(Note::CarriageReturns);
    }
    let container = detect::container(text);
    let is_empty = container == Container::Empty && stream.ended;
    if is_empty {
        count(Note::EmptyFile);
    }
    let kind = plans.kind(text, container);
    let task = match &job.task {
        Some(task) => task,
        None if kind == Kind::NaturalInstructions => &job.stem,
        None => plans.source(),
    };
    let reader = FileReader { plans, job, task, width, control };
    if is_empty && !stream.broken {
        return writer.finish();
    }
    if job.delimited {
        head.drain(..mark);
        reader.delimited(kind, stream, head, &mut writer)?;
    } else if kind != Kind::NaturalInstructions && matches!(container, Container::Lines | Container::Empty) {
        head.drain(..mark);
        let place = if job.elements { Place::Element } else { Place::Line };
        let mut lines = LineBlocks::new(stream, head);
        reader.blocks(kind, &Facts::default(), place, None, |used| lines.next(used), &mut writer)?;
    } else if kind != Kind::NaturalInstructions && container == Container::Array {
        head.drain(..mark);
        let mut array = ArrayBlocks::new(stream, head);
        reader.blocks(kind, &Facts::default(), Place::Element, None, |used| array.next(used), &mut writer)?;
    } else {
        let document = Document::new(stream, head, mark, &job.output)?;
        reader.document(kind, &document, &mut writer)?;
    }
    writer.finish()
}

struct FileReader<'a> {
    plans: &'a Plans<'a>,
    job: &'a Job,
    task: &'a str,
    width: usize,
    control: &'a Control,
}

impl FileReader<'_> {
    fn document(&self, kind: Kind, document: &Document, writer: &mut ShardWriter) -> Result<()> {
        if kind == Kind::NaturalInstructions && document.is_one_sound_block() {
            let mut builder = ShardBuilder::new(self.plans.source(), &self.job.file, Place::Instance);
            let plan = self.plans.of(kind);
            if let Some(examples) = natural::read_in_one_pass(document, plan, self.task, &mut builder) {
                writer.write_examples(self.task, &examples)?;
                return writer.write(builder.finish());
            }
        }
        let mut place = Place::Element;
        let (mut facts, mut problem) = (Facts::default(), None);
        let mut blocks = if kind == Kind::NaturalInstructions {
            let natural::Document { facts: header, instances, examples, problem: unfit, broken } =
                natural::document(document);
            writer.write_examples(self.task, &examples)?;
            (place, facts, problem) = (Place::Instance, header, unfit);
            ElementBlocks::new(document, instances, broken)
        } else {
            let whole = Record { position: 0, start: 0, end: document.len(), at_end: true };
            ElementBlocks::new(document, vec![whole], None)
        };
        let next = |_| -> Result<Option<Block<'_>>> {
            self.control.advance(0)?;
            Ok(blocks.next())
        };
        self.blocks(kind, &facts, place, problem, next, writer)
    }

    /// Parses blocks on `width` threads, and writes them in order.
    fn blocks<'d>(
        &self,
        kind: Kind,
        facts: &Facts,
        place: Place,
        problem: Option<&'static str>,
        next: impl FnMut(Option<Block<'d>>) -> Result<Option<Block<'d>>> + Send,
        writer: &mut ShardWriter,
    ) -> Result<()> {
        let plan = self.plans.of(kind);
        let parse = |block: &Block<'_>| self.parse(plan, facts, place, problem, block);
        in_order(self.width, next, parse, |parsed| writer.write(parsed))
    }

    fn parse(
        &self,
        plan: &Plan,
        facts: &Facts,
        place: Place,
        problem: Option<&'static str>,
        block: &Block<'_>,
    ) -> Parsed {
        let mut builder = ShardBuilder::new(self.plans.source(), &self.job.file, place);
        let mut rows = RowReader::new(plan, facts, self.task);
        // Lines of elements are counted from 0; what Python could not unfold may be no lines, and is counted from 0 already.
        let from_0 = u64::from(self.job.elements);
        let number =
            |position: u64| if position == u64::MAX { position } else { position.saturating_sub(from_0) };
        for &record in &block.records {
            let record = Record { position: number(record.position), ..record };
            match problem {
                Some(reason) => {
                    let raw = &block.bytes[record.start..record.end];
                    builder.reject(&Reject { position: record.position, instance: None, reason, raw });
                }
                None => rows.read(&block.bytes, record, &mut builder),
            }
        }
        if let Some((position, raw, reason)) = &block.lost {
            if *reason != OVERSIZE {
                builder.note(if *reason == TRUNCATED { Note::TruncatedFile } else { Note::RestUnread });
            }
            let position = number(*position);
            builder.reject(&Reject { position, instance: None, reason, raw });
        }
        builder.finish()
    }

    fn delimited(
        &self,
        kind: Kind,
        mut stream: Stream<'_>,
        mut head: Vec<u8>,
        writer: &mut ShardWriter,
    ) -> Result<()> {
        let plan = self.plans.of(kind);
        let facts = Facts::default();
        let mut builder = ShardBuilder::new(self.plans.source(), &self.job.file, Place::Line);
        let rows = RowReader::new(plan, &facts, self.task);
        let mut reader = DelimitedReader::new(plan, self.plans.dialect(), rows);
        loop {
            reader.feed(&head, &mut builder);
            if stream.ended {
                break;
            }
            writer.write(builder.finish())?;
            head.clear();
            stream.fill(&mut head, HEAD_BYTES)?;
        }
        if stream.broken {
            reader.cut_off(&mut builder);
        } else {
            reader.finish(&mut builder);
        }
        writer.write(builder.finish())
    }
}
