//! Turns the bytes of instruction data into rows.
//!
//! Reading has two steps. *Cutting* ([`cut`], [`natural`]) finds where the records lie by quotes and brackets alone, one pass over the
//! bytes at the speed of `memchr`. *Parsing* ([`rows::RowReader`]) takes each record apart on its own, so blocks of records are parsed in
//! parallel and a broken record costs that record only. CSV cannot be cut without parsing it, so [`delimited`] does both at once.
//!
//! *Laws*: every record ends as one row (or one row per instance) or one [`Reject`]; text is what `json.loads` gives, byte for byte;
//! the outcome depends on the record alone, never on the block it lies in.
//!
//! *Limits*: a record over [`MAX_RECORD_BYTES`] is rejected; JSON nested deeper than about 200 is rejected; `\ud800` without its partner
//! is rejected, since no Unicode text holds it.

pub mod cut;
pub mod delimited;
pub mod detect;
pub mod edit;
mod entries;
mod examples;
pub mod fields;
mod meta;
pub mod natural;
mod plain;
pub mod rows;
pub mod scan;

pub use examples::Example;
pub use meta::meta_field;

use crate::hash::{self, ContentHash};

/// A larger record is rejected without being held in memory.
pub const MAX_RECORD_BYTES: usize = 256 << 20;

/// A piece of a row's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    start: u32,
    end: u32,
}

impl Span {
    fn new(start: usize, end: usize) -> Self {
        // A record and what edits make of it stay far below 4 GiB: see MAX_RECORD_BYTES.
        let narrow = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self { start: narrow(start), end: narrow(end) }
    }

    fn of(self, text: &str) -> &str {
        &text[self.start as usize..self.end as usize]
    }
}

/// Who speaks in a turn of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The frame set for the assistant.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
    /// The model calls a tool.
    ToolCall,
    /// The tool answers.
    Tool,
}

impl Role {
    /// From any of the names in use.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "human" | "user" | "prompter" => Self::User,
            "gpt" | "assistant" | "chatgpt" | "bard" | "model" => Self::Assistant,
            "system" => Self::System,
            "function_call" | "tool_call" => Self::ToolCall,
            "observation" | "tool" | "function" => Self::Tool,
            _ => return None,
        })
    }

    /// The name in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::ToolCall => "tool_call",
            Self::Tool => "tool",
        }
    }
}

/// One row, borrowed from the reader until the next one.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// Line number (from 1) or index (from 0) of the record.
    pub position: u64,
    /// Task within the source.
    pub task: &'a str,
    /// Category, as the row, the file, the recipe or the task table says.
    pub category: Option<&'a str>,
    /// Language, likewise.
    pub language: Option<&'a str>,
    /// Licence, likewise.
    pub licence: Option<&'a str>,
    /// Instruction; empty in conversations.
    pub instruction: &'a str,
    /// Input; empty in conversations.
    pub input: &'a str,
    /// What else the record had, as a JSON object.
    pub meta: Option<&'a str>,
    /// The record's own `id`, as JSON.
    pub id: Option<&'a str>,
    text: &'a str,
    references: &'a [Span],
    turns: &'a [(Role, Span)],
}

impl<'a> Row<'a> {
    /// The accepted answers; the first is the target.
    pub fn references(&self) -> impl ExactSizeIterator<Item = &'a str> + use<'a> {
        let text = self.text;
        self.references.iter().map(move |span| span.of(text))
    }

    /// The turns of a conversation; none for other rows.
    pub fn turns(&self) -> impl ExactSizeIterator<Item = (Role, &'a str)> + use<'a> {
        let text = self.text;
        self.turns.iter().map(move |(role, span)| (*role, span.of(text)))
    }

    /// Hash of what is trained on: `[instruction, input, [references], [role, content, ...]]`.
    ///
    /// The instruction's hash is the caller's to give: it is the same for many rows in a row.
    pub fn content_hash(&self, instruction: ContentHash) -> ContentHash {
        let references = match self.references {
            [one] => hash::combine(&[hash::text(one.of(self.text))]),
            _ => hash::combine(&self.references().map(hash::text).collect::<Vec<_>>()),
        };
        let turns = |(role, content): (Role, &str)| [hash::text(role.as_str()), hash::text(content)];
        let turns: Vec<ContentHash> = self.turns().flat_map(turns).collect();
        hash::combine(&[instruction, hash::text(self.input), references, hash::combine(&turns)])
    }

    /// Hash of the whole row: `[content, source, task, category, language, licence, meta]`.
    ///
    /// `file` holds the middle five, given because they repeat; what is missing hashes to zeroes: see [`optional_hash`].
    pub fn row_hash(&self, content: ContentHash, file: [ContentHash; 5]) -> ContentHash {
        let [source, task, category, language, licence] = file;
        hash::combine(&[content, source, task, category, language, licence, optional_hash(self.meta)])
    }
}

/// Hash of a text that may be missing.
pub fn optional_hash(text: Option<&str>) -> ContentHash {
    text.map_or([0; 16], hash::text)
}

/// A record that did not become a row.
#[derive(Debug, Clone, Copy)]
pub struct Reject<'a> {
    /// Line number (from 1) or index (from 0) of the record.
    pub position: u64,
    /// Index of the instance within the record, where a record holds several.
    pub instance: Option<u64>,
    /// Why; one of few texts, so that rejects can be counted by it.
    pub reason: &'a str,
    /// The record's bytes.
    pub raw: &'a [u8],
}

/// Something worth counting about rows that were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Note {
    /// An `id` of another task than the file's.
    IdOfOtherTask,
    /// A reference that the row had already.
    RepeatedReference,
    /// A number or a truth value where a text belongs; its JSON text was taken.
    NumberAsText,
    /// A turn had keys besides role and content.
    TurnKeyIgnored,
    /// The file ends in the middle of a record.
    TruncatedFile,
    /// Something in the file is such that what lies behind it cannot be told apart into records.
    RestUnread,
    /// The file begins with a byte order mark.
    ByteOrderMark,
    /// The file's first line ends in carriage return and newline.
    CarriageReturns,
    /// The file holds nothing but white space.
    EmptyFile,
    /// The edit of this index changed a row.
    Edited(usize),
}

/// Takes what a reader finds.
pub trait Sink {
    /// A good row.
    fn row(&mut self, row: &Row<'_>);
    /// A bad record.
    fn reject(&mut self, reject: &Reject<'_>);
    /// Counts something.
    fn note(&mut self, note: Note);
}

/// What a file or a recipe says of all rows that do not say it themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Instruction.
    pub instruction: Option<String>,
    /// Category.
    pub category: Option<String>,
    /// Language.
    pub language: Option<String>,
    /// Licence.
    pub licence: Option<String>,
}

/// Category and language by name of the task.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskInfo {
    /// Category.
    pub category: Option<String>,
    /// Language.
    pub language: Option<String>,
}
