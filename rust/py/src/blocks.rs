//! A file as blocks of records, in order.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::Write as _;
use std::ops::Deref;
use std::path::Path;

use chaffinch_core::read::cut::{self, ArrayCutter, Progress, Record, TRUNCATED};
use chaffinch_core::read::rows::OVERSIZE;
use chaffinch_core::read::{MAX_RECORD_BYTES, scan};
use memmap2::Mmap;

use crate::decompress::{Stream, at};
use crate::error::Result;
use crate::shard_file::temporary_beside;

/// About this much text is parsed at a time by one thread: it stays in the cache from being read to being written.
const BLOCK_BYTES: usize = 2 << 20;
/// This much of a file is looked at first: lines need no more, and all threads wait for it.
pub(crate) const FIRST_BYTES: usize = 1 << 20;
/// This much of a file is looked at to see what it is; what is no larger is read at once.
pub(crate) const HEAD_BYTES: usize = 16 << 20;

/// Records, and the bytes in which they lie.
pub(crate) struct Block<'d> {
    pub(crate) bytes: Cow<'d, [u8]>,
    pub(crate) records: Vec<Record>,
    /// What cannot be told apart into records behind these: position, bytes, reason.
    pub(crate) lost: Option<(u64, Vec<u8>, &'static str)>,
}

/// A document of at most so many bytes is read into memory.
const MOST_IN_MEMORY: usize = 256 << 20;

/// How much of what is lost is kept to be shown.
const SHOWN: usize = 4096;

fn shown(bytes: &[u8]) -> Vec<u8> {
    bytes[..bytes.len().min(SHOWN)].to_vec()
}

/// A stream of which a part was read and is in no block yet.
struct Carried<'c> {
    stream: Stream<'c>,
    /// That part lies behind `start`.
    bytes: Vec<u8>,
    start: usize,
}

impl<'c> Carried<'c> {
    fn new(stream: Stream<'c>, head: Vec<u8>) -> Self {
        Self { stream, bytes: head, start: 0 }
    }

    /// Appends to `buffer` until it has `length` bytes or the stream ends.
    fn fill(&mut self, buffer: &mut Vec<u8>, length: usize) -> Result<()> {
        let rest = &self.bytes[self.start..];
        let taken = rest.len().min(length.saturating_sub(buffer.len()));
        buffer.extend_from_slice(&rest[..taken]);
        self.start += taken;
        self.stream.fill(buffer, length)
    }

    /// Takes what follows the first `used` bytes of `buffer` back.
    fn put_back(&mut self, buffer: &mut Vec<u8>, used: usize) {
        let rest = &buffer[used..];
        if self.start < self.bytes.len() {
            self.start -= rest.len();
        } else {
            self.bytes.clear();
            self.bytes.extend_from_slice(rest);
            self.start = 0;
        }
        buffer.truncate(used);
    }

    fn ended(&self) -> bool {
        self.stream.ended && self.start == self.bytes.len()
    }
}

/// The memory of a block that is done with.
fn emptied(spent: Option<Block<'static>>) -> (Vec<u8>, Vec<Record>) {
    let (mut buffer, mut records) =
        spent.map_or_else(Default::default, |block| (block.bytes.into_owned(), block.records));
    buffer.clear();
    records.clear();
    (buffer, records)
}

/// The lines of a stream.
pub(crate) struct LineBlocks<'c> {
    input: Carried<'c>,
    line: u64,
    finished: bool,
}

impl<'c> LineBlocks<'c> {
    /// `head` is what was read of the stream already.
    pub(crate) fn new(stream: Stream<'c>, head: Vec<u8>) -> Self {
        Self { input: Carried::new(stream, head), line: 1, finished: false }
    }

    /// The next block, `None` at the end; in the memory of `spent`, if that is given.
    pub(crate) fn next(&mut self, spent: Option<Block<'static>>) -> Result<Option<Block<'static>>> {
        if self.finished {
            return Ok(None);
        }
        let (mut buffer, mut records) = emptied(spent);
        let mut wanted = BLOCK_BYTES;
        loop {
            self.input.fill(&mut buffer, wanted)?;
            let (ended, broken) = (self.input.ended(), self.input.stream.broken);
            let used = cut::lines(&buffer, &mut self.line, ended && !broken, &mut records);
            if ended {
                self.finished = true;
                let lost = broken.then(|| (self.line, shown(&buffer[used..]), TRUNCATED));
                return Ok(Some(Block { bytes: Cow::Owned(buffer), records, lost }));
            }
            if used > 0 {
                self.input.put_back(&mut buffer, used);
                return Ok(Some(Block { bytes: Cow::Owned(buffer), records, lost: None }));
            }
            if buffer.len() > MAX_RECORD_BYTES {
                let lost = Some((self.line, shown(&buffer), OVERSIZE));
                self.skip_line()?;
                return Ok(Some(Block { bytes: Cow::Owned(Vec::new()), records, lost }));
            }
            wanted = buffer.len() * 2;
        }
    }

    /// Drops everything up to and with the next newline.
    fn skip_line(&mut self) -> Result<()> {
        self.line += 1;
        let mut piece = Vec::new();
        while !self.input.stream.ended {
            piece.clear();
            self.input.stream.fill(&mut piece, 1 << 20)?;
            if let Some(newline) = piece.iter().position(|&byte| byte == b'\n') {
                self.input.bytes = piece[newline + 1..].to_vec();
                self.input.start = 0;
                return Ok(());
            }
        }
        Ok(())
    }
}

/// The elements of the one array of a stream.
pub(crate) struct ArrayBlocks<'c> {
    input: Carried<'c>,
    cutter: ArrayCutter,
    finished: bool,
}

/// What follows an element of more than [`MOST_IN_MEMORY`] is not looked for.
const ENDLESS: &str = "an element of more than 256 MiB, and the rest of the file is unread";

impl<'c> ArrayBlocks<'c> {
    /// `head` is what was read of the stream already, up to the array's bracket at least.
    pub(crate) fn new(stream: Stream<'c>, head: Vec<u8>) -> Self {
        let cutter = ArrayCutter::new(scan::skip_space(&head, 0));
        Self { input: Carried::new(stream, head), cutter, finished: false }
    }

    /// The next block, `None` at the end; in the memory of `spent`, if that is given.
    pub(crate) fn next(&mut self, spent: Option<Block<'static>>) -> Result<Option<Block<'static>>> {
        if self.finished {
            return Ok(None);
        }
        let (mut buffer, mut records) = emptied(spent);
        let mut wanted = BLOCK_BYTES;
        loop {
            self.input.fill(&mut buffer, wanted)?;
            let ended = self.input.ended();
            let lost = match self.cutter.cut(&buffer, BLOCK_BYTES, ended, &mut records) {
                Progress::More if records.is_empty() && buffer.len() <= MOST_IN_MEMORY => {
                    wanted = buffer.len() * 2;
                    continue;
                }
                Progress::More if records.is_empty() => {
                    let lost = Some((u64::MAX, shown(&buffer), ENDLESS));
                    // To its end, which may be that of a bomb.
                    while !self.input.stream.ended {
                        buffer.clear();
                        self.input.stream.fill(&mut buffer, BLOCK_BYTES)?;
                    }
                    lost
                }
                Progress::More => {
                    self.input.put_back(&mut buffer, self.cutter.forget());
                    return Ok(Some(Block { bytes: Cow::Owned(buffer), records, lost: None }));
                }
                Progress::Broken { position, start, reason } => {
                    Some((position, shown(&buffer[start..]), reason))
                }
                Progress::Closed(end) => self.behind(&buffer[end..])?,
            };
            self.finished = true;
            return Ok(Some(Block { bytes: Cow::Owned(buffer), records, lost }));
        }
    }

    /// What is wrong with what follows the array, whose beginning is `rest`.
    fn behind(&mut self, rest: &[u8]) -> Result<Option<(u64, Vec<u8>, &'static str)>> {
        let mut rest = rest.to_vec();
        loop {
            let text = scan::skip_space(&rest, 0);
            if text < rest.len() {
                return Ok(Some((u64::MAX, shown(&rest[text..]), "invalid JSON: more than one value")));
            }
            if self.input.ended() {
                return Ok(self.input.stream.broken.then(|| (u64::MAX, Vec::new(), TRUNCATED)));
            }
            rest.clear();
            self.input.fill(&mut rest, BLOCK_BYTES)?;
        }
    }
}

/// A whole file's content, in memory or in a mapped file of our own: someone may shorten the input while it is read.
pub(crate) struct Document {
    bytes: Bytes,
    start: usize,
    /// Whether the packed file is damaged, so that its content ends too early.
    broken: bool,
}

enum Bytes {
    Owned(Vec<u8>),
    Mapped(Mmap),
}

impl Deref for Document {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Owned(bytes) => &bytes[self.start..],
            Bytes::Mapped(map) => &map[self.start..],
        }
    }
}

impl Document {
    /// Whether the document is read at once, and its packing was not damaged.
    pub(crate) fn is_one_sound_block(&self) -> bool {
        !self.broken && self.len() <= HEAD_BYTES
    }

    /// The rest of `stream` behind `head`, without the `mark` bytes of its byte order mark; `output` names the folder to put it in where it is large.
    pub(crate) fn new(mut stream: Stream<'_>, mut head: Vec<u8>, mark: usize, output: &Path) -> Result<Self> {
        if !stream.ended {
            stream.fill(&mut head, MOST_IN_MEMORY)?;
        }
        if stream.ended {
            return Ok(Self { bytes: Bytes::Owned(head), start: mark, broken: stream.broken });
        }
        let (temporary, mut file) = temporary_beside(output)?;
        // Without a name it is nobody else's, and gone with this process whatever ends it.
        fs::remove_file(&temporary).map_err(at(&temporary))?;
        loop {
            file.write_all(&head).map_err(at(&temporary))?;
            if stream.ended {
                break;
            }
            head.clear();
            stream.fill(&mut head, BLOCK_BYTES)?;
        }
        Ok(Self { bytes: Bytes::Mapped(map(&file, &temporary)?), start: mark, broken: stream.broken })
    }
}

#[expect(unsafe_code, reason = "a file can only be mapped by promising that nobody shortens it meanwhile")]
fn map(file: &File, path: &Path) -> Result<Mmap> {
    // SAFETY: the map is read only, and the file has no name by which anyone could open and shorten it.
    unsafe { Mmap::map(file) }.map_err(at(path))
}

/// Records that were found in a document before, and what is lost behind them.
pub(crate) struct ElementBlocks<'d> {
    document: &'d Document,
    records: std::iter::Peekable<std::vec::IntoIter<Record>>,
    lost: Option<(u64, usize, &'static str)>,
    /// Whether the end of a damaged file has yet to be told.
    cut_short: bool,
}

impl<'d> ElementBlocks<'d> {
    pub(crate) fn new(
        document: &'d Document,
        records: Vec<Record>,
        lost: Option<(u64, usize, &'static str)>,
    ) -> Self {
        Self { document, records: records.into_iter().peekable(), lost, cut_short: document.broken }
    }

    /// The next block, `None` at the end.
    pub(crate) fn next(&mut self) -> Option<Block<'d>> {
        let data: &'d [u8] = self.document;
        let mut records = Vec::new();
        let start = self.records.peek().map_or(0, |record| record.start);
        while let Some(record) = self.records.next_if(|record| record.start < start + BLOCK_BYTES) {
            records.push(record);
        }
        let lost = if self.records.peek().is_none() { self.lost.take() } else { None };
        if lost.is_some() {
            self.cut_short = false;
        } else if records.is_empty() && std::mem::take(&mut self.cut_short) {
            return Some(Block {
                bytes: Cow::Borrowed(&[]),
                records,
                lost: Some((u64::MAX, shown(data), TRUNCATED)),
            });
        } else if records.is_empty() {
            return None;
        }
        let end = records.last().map_or(start, |record| record.end);
        for record in &mut records {
            record.start -= start;
            record.end -= start;
        }
        let lost = lost.map(|(position, at, reason)| (position, shown(&data[at..]), reason));
        Some(Block { bytes: Cow::Borrowed(&data[start..end]), records, lost })
    }
}
