//! A file as blocks of records, in order.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::Write as _;
use std::ops::Deref;
use std::path::{Path, PathBuf};

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

/// How much of what is lost is kept to be shown.
const SHOWN: usize = 4096;

fn shown(bytes: &[u8]) -> Vec<u8> {
    bytes[..bytes.len().min(SHOWN)].to_vec()
}

/// The lines of a stream.
pub(crate) struct LineBlocks<'c> {
    stream: Stream<'c>,
    /// What was read and is in no block yet lies behind `carried`.
    carry: Vec<u8>,
    carried: usize,
    line: u64,
    finished: bool,
}

impl<'c> LineBlocks<'c> {
    /// `head` is what was read of the stream already.
    pub(crate) fn new(stream: Stream<'c>, head: Vec<u8>) -> Self {
        Self { stream, carry: head, carried: 0, line: 1, finished: false }
    }

    /// Appends to `buffer` until it has `length` bytes or the stream ends.
    fn fill(&mut self, buffer: &mut Vec<u8>, length: usize) -> Result<()> {
        let rest = &self.carry[self.carried..];
        let taken = rest.len().min(length.saturating_sub(buffer.len()));
        buffer.extend_from_slice(&rest[..taken]);
        self.carried += taken;
        self.stream.fill(buffer, length)
    }

    /// Takes what follows the first `used` bytes of `buffer` back.
    fn put_back(&mut self, buffer: &mut Vec<u8>, used: usize) {
        let rest = &buffer[used..];
        if self.carried < self.carry.len() {
            self.carried -= rest.len();
        } else {
            self.carry.clear();
            self.carry.extend_from_slice(rest);
            self.carried = 0;
        }
        buffer.truncate(used);
    }

    /// The next block, `None` at the end; in the memory of `spent`, if that is given.
    pub(crate) fn next(&mut self, spent: Option<Block<'static>>) -> Result<Option<Block<'static>>> {
        if self.finished {
            return Ok(None);
        }
        let (mut buffer, mut records) =
            spent.map_or_else(Default::default, |block| (block.bytes.into_owned(), block.records));
        buffer.clear();
        records.clear();
        let mut wanted = BLOCK_BYTES;
        loop {
            self.fill(&mut buffer, wanted)?;
            let ended = self.stream.ended && self.carried == self.carry.len();
            let whole = ended && !self.stream.broken;
            let used = cut::lines(&buffer, &mut self.line, whole, &mut records);
            if ended {
                self.finished = true;
                let lost = self.stream.broken.then(|| (self.line, shown(&buffer[used..]), TRUNCATED));
                return Ok(Some(Block { bytes: Cow::Owned(buffer), records, lost }));
            }
            if used > 0 {
                self.put_back(&mut buffer, used);
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
        while !self.stream.ended {
            piece.clear();
            self.stream.fill(&mut piece, 1 << 20)?;
            if let Some(newline) = piece.iter().position(|&byte| byte == b'\n') {
                self.carry = piece[newline + 1..].to_vec();
                self.carried = 0;
                return Ok(());
            }
        }
        Ok(())
    }
}

/// A whole file's content in memory or mapped.
pub(crate) struct Document {
    bytes: Bytes,
    start: usize,
    /// Bytes that were counted as progress already.
    pub(crate) reported: usize,
    /// Whether the packed file is damaged, so that its content ends too early.
    broken: bool,
}

enum Bytes {
    Owned(Vec<u8>),
    Mapped(
        Mmap,
        #[expect(dead_code, reason = "deletes the file when the map is done with")] Option<Unpacked>,
    ),
}

struct Unpacked(PathBuf);

impl Drop for Unpacked {
    fn drop(&mut self) {
        // Nothing can be done about a file that cannot be deleted, and its name says that it is temporary.
        let _ = fs::remove_file(&self.0);
    }
}

impl Deref for Document {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Owned(bytes) => &bytes[self.start..],
            Bytes::Mapped(map, _) => &map[self.start..],
        }
    }
}

impl Document {
    /// Whether the document is read at once, progress and all, and its packing was not damaged.
    pub(crate) fn is_one_sound_block(&self) -> bool {
        !self.broken && self.len() <= HEAD_BYTES && self.reported >= self.len()
    }

    /// The rest of `stream` behind `head`, without the `mark` bytes of its byte order mark; `output` names the folder to unpack in.
    pub(crate) fn new(
        mut stream: Stream<'_>,
        mut head: Vec<u8>,
        mark: usize,
        path: &Path,
        output: &Path,
    ) -> Result<Self> {
        if stream.ended {
            return Ok(Self {
                reported: head.len(),
                bytes: Bytes::Owned(head),
                start: mark,
                broken: stream.broken,
            });
        }
        if !stream.compressed {
            let map = map(path)?;
            let reported = head.len();
            return Ok(Self { bytes: Bytes::Mapped(map, None), start: mark, reported, broken: false });
        }
        let (temporary, mut file) = temporary_beside(output)?;
        let unpacked = Unpacked(temporary);
        loop {
            file.write_all(&head).map_err(at(&unpacked.0))?;
            if stream.ended {
                break;
            }
            head.clear();
            stream.fill(&mut head, BLOCK_BYTES)?;
        }
        drop(file);
        let map = map(&unpacked.0)?;
        let bytes = Bytes::Mapped(map, Some(unpacked));
        Ok(Self { bytes, start: mark, reported: usize::MAX, broken: stream.broken })
    }
}

#[expect(unsafe_code, reason = "a file can only be mapped by promising that nobody shortens it meanwhile")]
fn map(path: &Path) -> Result<Mmap> {
    let file = File::open(path).map_err(at(path))?;
    // SAFETY: the map is read only, and the caller compares size and time of change of the file before and after reading it.
    unsafe { Mmap::map(&file) }.map_err(at(path))
}

/// The elements of a document.
pub(crate) struct ElementBlocks<'d> {
    document: &'d Document,
    cuts: Cuts,
    /// Whether the end of a damaged file has yet to be told.
    cut_short: bool,
}

enum Cuts {
    /// The array is cut as it is read.
    Array(Option<ArrayCutter>),
    /// Everything is cut.
    Whole {
        records: std::iter::Peekable<std::vec::IntoIter<Record>>,
        lost: Option<(u64, usize, &'static str)>,
    },
}

impl<'d> ElementBlocks<'d> {
    /// The elements of the document's one array.
    pub(crate) fn of_array(document: &'d Document) -> Self {
        let cutter = ArrayCutter::new(scan::skip_space(document, 0));
        Self { document, cuts: Cuts::Array(Some(cutter)), cut_short: document.broken }
    }

    /// Records that were found before, and what is lost behind them.
    pub(crate) fn of_records(
        document: &'d Document,
        records: Vec<Record>,
        lost: Option<(u64, usize, &'static str)>,
    ) -> Self {
        let records = records.into_iter().peekable();
        Self { document, cuts: Cuts::Whole { records, lost }, cut_short: document.broken }
    }

    /// The next block, `None` at the end.
    pub(crate) fn next(&mut self) -> Option<Block<'d>> {
        let data: &'d [u8] = self.document;
        let mut records = Vec::new();
        let lost = match &mut self.cuts {
            Cuts::Array(None) => None,
            Cuts::Array(Some(cutter)) => {
                let progress = cutter.cut(data, BLOCK_BYTES, &mut records);
                if progress != Progress::More {
                    self.cuts = Cuts::Array(None);
                }
                match progress {
                    Progress::More => None,
                    Progress::Broken { position, start, reason } => Some((position, start, reason)),
                    Progress::Closed(end) => {
                        let rest = scan::skip_space(data, end);
                        (rest < data.len()).then_some((u64::MAX, rest, "invalid JSON: more than one value"))
                    }
                }
            }
            Cuts::Whole { records: all, lost } => {
                let start = all.peek().map_or(0, |record| record.start);
                while let Some(record) = all.next_if(|record| record.start < start + BLOCK_BYTES) {
                    records.push(record);
                }
                let done = all.peek().is_none();
                done.then(|| lost.take()).flatten()
            }
        };
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
        let start = records.first().map_or(0, |record| record.start);
        let end = records.last().map_or(start, |record| record.end);
        for record in &mut records {
            record.start -= start;
            record.end -= start;
        }
        let lost = lost.map(|(position, at, reason)| (position, shown(&data[at..]), reason));
        Some(Block { bytes: Cow::Borrowed(&data[start..end]), records, lost })
    }
}
