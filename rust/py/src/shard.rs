//! Rows as Arrow record batches.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use arrow_array::builder::{FixedSizeBinaryBuilder, StringBuilder, StringViewBuilder, UInt64Builder};
use arrow_array::{ArrayRef, ListArray, RecordBatch, StringArray, StructArray};
use arrow_buffer::{NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};
use chaffinch_core::hash::{self, ContentHash};
use chaffinch_core::read::scan::excerpt;
use chaffinch_core::read::{Example, Note, Reject, Row, Sink, optional_hash};

const BATCH_ROWS: usize = 65_536;
const BATCH_BYTES: usize = 64 << 20;
const RAW_CHARACTERS: usize = 500;
/// What an item of a list takes, be its text empty.
const VIEW_BYTES: usize = 16;

fn turn_fields() -> Fields {
    Fields::from(vec![
        Field::new("role", DataType::Utf8View, true),
        Field::new("content", DataType::Utf8View, true),
    ])
}

fn list_of(items: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("item", items, true)))
}

/// The store's schema: see ARCHITECTURE.md.
pub(crate) static ROWS: LazyLock<SchemaRef> = LazyLock::new(|| {
    let text = |name: &str, nullable| Field::new(name, DataType::Utf8View, nullable);
    let hash = |name: &str| Field::new(name, DataType::FixedSizeBinary(16), false);
    Arc::new(Schema::new(vec![
        text("source", false),
        text("task", false),
        text("category", true),
        text("language", true),
        text("licence", true),
        text("instruction", false),
        text("input", false),
        Field::new("references", list_of(DataType::Utf8View), false),
        Field::new("messages", list_of(DataType::Struct(turn_fields())), true),
        text("meta", true),
        hash("content_hash"),
        hash("row_hash"),
        Field::new("position", DataType::UInt64, false),
    ]))
});

/// The quarantine's schema.
pub(crate) static QUARANTINE: LazyLock<SchemaRef> = LazyLock::new(|| {
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    Arc::new(Schema::new(vec![
        text("file"),
        Field::new("position", DataType::UInt64, false),
        text("pointer"),
        text("reason"),
        text("raw"),
    ]))
});

/// The schema of the solved cases that a file gives beside its rows.
pub(crate) static EXAMPLES: LazyLock<SchemaRef> = LazyLock::new(|| {
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    Arc::new(Schema::new(vec![text("task"), text("input"), text("output")]))
});

/// The solved cases of a task as a batch.
pub(crate) fn examples(task: &str, examples: &[Example]) -> RecordBatch {
    let column = |text: fn(&Example) -> &str| -> ArrayRef {
        Arc::new(examples.iter().map(|one| Some(text(one))).collect::<StringArray>())
    };
    let tasks: ArrayRef = Arc::new(StringArray::from(vec![task; examples.len()]));
    let columns = vec![tasks, column(|one| &one.input), column(|one| &one.output)];
    RecordBatch::try_new(EXAMPLES.clone(), columns).expect("the columns were built side by side")
}

/// A text column that holds a text repeated by neighbouring rows once.
#[derive(Default)]
struct RunBuilder {
    builder: StringViewBuilder,
    /// The text of the run, unless it is null; its memory is used again for the next.
    text: String,
    is_null: bool,
    hash: ContentHash,
    rows: usize,
}

impl RunBuilder {
    fn push(&mut self, text: Option<&str>) {
        if self.rows > 0 && (!self.is_null).then_some(self.text.as_str()) != text {
            self.flush();
        }
        if self.rows == 0 {
            self.text.clear();
            self.text.push_str(text.unwrap_or_default());
            self.is_null = text.is_none();
            self.hash = optional_hash(text);
        }
        self.rows += 1;
    }

    fn flush(&mut self) {
        if self.is_null {
            (0..self.rows).for_each(|_| self.builder.append_null());
        } else if self.rows > 0 {
            self.builder.try_append_value_n(&self.text, self.rows).expect("a record is shorter than 4 GiB");
        }
        self.rows = 0;
    }

    fn finish(&mut self) -> ArrayRef {
        self.flush();
        Arc::new(self.builder.finish())
    }
}

/// Where a record's position points.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    /// A line of a text file.
    Line,
    /// An element of an array.
    Element,
    /// An instance of a Natural Instructions file.
    Instance,
}

/// Builds the batches of one block.
pub(crate) struct ShardBuilder<'a> {
    source: &'a str,
    file: &'a str,
    place: Place,
    /// source, task, category, language, licence, instruction.
    runs: [RunBuilder; 6],
    input: StringViewBuilder,
    references: StringViewBuilder,
    reference_offsets: Vec<i32>,
    roles: StringViewBuilder,
    contents: StringViewBuilder,
    turn_offsets: Vec<i32>,
    has_turns: NullBufferBuilder,
    meta: StringViewBuilder,
    content_hash: FixedSizeBinaryBuilder,
    row_hash: FixedSizeBinaryBuilder,
    position: UInt64Builder,
    bytes: usize,
    rows: usize,
    rejected: Rejected,
    parsed: Parsed,
}

#[derive(Default)]
struct Rejected {
    file: StringBuilder,
    position: UInt64Builder,
    pointer: StringBuilder,
    reason: StringBuilder,
    raw: StringBuilder,
}

/// What a block became.
#[derive(Default)]
pub(crate) struct Parsed {
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) rejects: Option<RecordBatch>,
    pub(crate) notes: BTreeMap<Note, u64>,
    pub(crate) ids: Vec<u64>,
}

impl<'a> ShardBuilder<'a> {
    pub(crate) fn new(source: &'a str, file: &'a str, place: Place) -> Self {
        Self {
            source,
            file,
            place,
            runs: Default::default(),
            input: StringViewBuilder::new(),
            references: StringViewBuilder::new(),
            reference_offsets: vec![0],
            roles: StringViewBuilder::new(),
            contents: StringViewBuilder::new(),
            turn_offsets: vec![0],
            has_turns: NullBufferBuilder::new(0),
            meta: StringViewBuilder::new(),
            content_hash: FixedSizeBinaryBuilder::new(16),
            row_hash: FixedSizeBinaryBuilder::new(16),
            position: UInt64Builder::new(),
            bytes: 0,
            rows: 0,
            rejected: Rejected::default(),
            parsed: Parsed::default(),
        }
    }

    fn flush(&mut self) {
        if self.rows == 0 {
            return;
        }
        let offsets = |offsets: &mut Vec<i32>| {
            OffsetBuffer::new(ScalarBuffer::from(std::mem::replace(offsets, vec![0])))
        };
        let mut columns: Vec<ArrayRef> = self.runs.iter_mut().map(RunBuilder::finish).collect();
        columns.push(Arc::new(self.input.finish()));
        let item = |data_type| Arc::new(Field::new("item", data_type, true));
        columns.push(Arc::new(ListArray::new(
            item(DataType::Utf8View),
            offsets(&mut self.reference_offsets),
            Arc::new(self.references.finish()),
            None,
        )));
        let turns: Vec<ArrayRef> = vec![Arc::new(self.roles.finish()), Arc::new(self.contents.finish())];
        columns.push(Arc::new(ListArray::new(
            item(DataType::Struct(turn_fields())),
            offsets(&mut self.turn_offsets),
            Arc::new(StructArray::new(turn_fields(), turns, None)),
            self.has_turns.finish(),
        )));
        columns.push(Arc::new(self.meta.finish()));
        columns.push(Arc::new(self.content_hash.finish()));
        columns.push(Arc::new(self.row_hash.finish()));
        columns.push(Arc::new(self.position.finish()));
        let batch = RecordBatch::try_new(ROWS.clone(), columns).expect("the columns were built side by side");
        self.parsed.batches.push(batch);
        (self.rows, self.bytes) = (0, 0);
    }

    /// Hands over what was read since the last time.
    pub(crate) fn finish(&mut self) -> Parsed {
        self.flush();
        let rejected = std::mem::take(&mut self.rejected);
        let Rejected { mut file, mut position, mut pointer, mut reason, mut raw } = rejected;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(file.finish()),
            Arc::new(position.finish()),
            Arc::new(pointer.finish()),
            Arc::new(reason.finish()),
            Arc::new(raw.finish()),
        ];
        if !columns[0].is_empty() {
            let batch = RecordBatch::try_new(QUARANTINE.clone(), columns);
            self.parsed.rejects = Some(batch.expect("the columns were built side by side"));
        }
        std::mem::take(&mut self.parsed)
    }
}

/// Offsets count within a batch of at most 64 MiB and one more record.
fn offset(items: usize) -> i32 {
    i32::try_from(items).expect("a batch has fewer than 2^31 items")
}

impl Sink for ShardBuilder<'_> {
    fn row(&mut self, row: &Row<'_>) {
        let constants = [
            Some(self.source),
            Some(row.task),
            row.category,
            row.language,
            row.licence,
            Some(row.instruction),
        ];
        for (run, text) in self.runs.iter_mut().zip(constants) {
            run.push(text);
        }
        self.input.append_value(row.input);
        self.bytes += row.input.len() + row.meta.map_or(0, str::len);
        for reference in row.references() {
            self.references.append_value(reference);
            self.bytes += reference.len() + VIEW_BYTES;
        }
        self.reference_offsets
            .push(self.reference_offsets.last().copied().unwrap_or(0) + offset(row.references().len()));
        for (role, content) in row.turns() {
            self.roles.append_value(role.as_str());
            self.contents.append_value(content);
            self.bytes += content.len() + VIEW_BYTES;
        }
        self.turn_offsets.push(self.turn_offsets.last().copied().unwrap_or(0) + offset(row.turns().len()));
        self.has_turns.append(row.turns().len() > 0);
        self.meta.append_option(row.meta);
        let [source, task, category, language, licence, instruction] =
            self.runs.each_ref().map(|run| run.hash);
        let content = row.content_hash(instruction);
        self.content_hash.append_value(content).expect("a hash has 16 bytes");
        self.row_hash
            .append_value(row.row_hash(content, [source, task, category, language, licence]))
            .expect("a hash has 16 bytes");
        self.position.append_value(row.position);
        if let Some(id) = row.id {
            self.parsed.ids.push(hash::place(&hash::text(id), 0));
        }
        self.rows += 1;
        // Instructions and labels are not counted: a run of equal ones lies there once, and a block bounds the others.
        if self.rows == BATCH_ROWS || self.bytes >= BATCH_BYTES {
            self.flush();
        }
    }

    fn reject(&mut self, reject: &Reject<'_>) {
        let position = if reject.position == u64::MAX { 0 } else { reject.position };
        let mut pointer = match self.place {
            _ if reject.position == u64::MAX => "end of the file".to_owned(),
            Place::Line => format!("line {position}"),
            Place::Element => format!("/{position}"),
            Place::Instance => format!("/Instances/{position}"),
        };
        if let Some(instance) = reject.instance {
            pointer = format!("{pointer}/instances/{instance}");
        }
        let raw = excerpt(reject.raw, RAW_CHARACTERS);
        self.rejected.file.append_value(self.file);
        self.rejected.position.append_value(position);
        self.rejected.pointer.append_value(pointer);
        self.rejected.reason.append_value(reject.reason);
        self.rejected.raw.append_value(raw);
    }

    fn note(&mut self, note: Note) {
        *self.parsed.notes.entry(note).or_default() += 1;
    }
}
