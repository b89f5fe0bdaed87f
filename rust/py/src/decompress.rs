//! The bytes of a file, whatever it is packed in.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chaffinch_core::{Control, Error};

use crate::error::{BorderError, Result};

/// A file that unpacks to more than this and to more than [`BOMB_RATIO`] times its size is refused.
const BOMB_BYTES: u64 = 1 << 30;
const BOMB_RATIO: u64 = 200;
const BOMB_HINT: &str = "unpack it yourself if you trust it, and name the unpacked file";

/// An error of the operating system at `path`.
pub(crate) fn at(path: &Path) -> impl Fn(io::Error) -> BorderError {
    let path = path.display().to_string();
    move |source| BorderError::File { path: path.clone(), source }
}

struct Counted<R> {
    inner: R,
    bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// A file's content from front to back; counts the file's own bytes as progress.
pub(crate) struct Stream<'c> {
    reader: Box<dyn Read + Send + 'c>,
    name: String,
    control: &'c Control,
    /// Bytes taken from a packed file.
    taken: Arc<AtomicU64>,
    reported: u64,
    produced: u64,
    /// Size of the file, which is that of the content too unless it is packed.
    plain_bytes: usize,
    /// Whether the content is packed.
    pub(crate) compressed: bool,
    /// Whether the end was reached.
    pub(crate) ended: bool,
    /// Whether that end is a damaged or missing piece of a packed file.
    pub(crate) broken: bool,
}

impl<'c> Stream<'c> {
    /// Opens `path`; what it is packed in is told by its first bytes, not by its name.
    pub(crate) fn open(path: &Path, control: &'c Control) -> Result<Self> {
        let mut file = File::open(path).map_err(at(path))?;
        let plain_bytes = usize::try_from(file.metadata().map_err(at(path))?.len()).unwrap_or(usize::MAX);
        let mut magic = Vec::new();
        file.by_ref().take(4).read_to_end(&mut magic).map_err(at(path))?;
        file.seek(SeekFrom::Start(0)).map_err(at(path))?;
        let taken = Arc::new(AtomicU64::new(0));
        let counted = Counted { inner: file, bytes: taken.clone() };
        let (reader, compressed): (Box<dyn Read + Send>, bool) = match magic.as_slice() {
            [0x1f, 0x8b, ..] => {
                let buffered = BufReader::with_capacity(1 << 16, counted);
                (Box::new(flate2::bufread::MultiGzDecoder::new(buffered)), true)
            }
            [0x28, 0xb5, 0x2f, 0xfd] => {
                (Box::new(zstd::stream::read::Decoder::new(counted).map_err(at(path))?), true)
            }
            // A plain file is read as it is: behind a wrapper the buffer would be zeroed for every read.
            _ => (Box::new(counted.inner), false),
        };
        Ok(Self { plain_bytes, compressed, ..Self::new(reader, path.display().to_string(), taken, control) })
    }

    /// Content that does not come from a file.
    pub(crate) fn of(reader: Box<dyn Read + Send + 'c>, name: String, control: &'c Control) -> Self {
        Self::new(reader, name, Arc::default(), control)
    }

    fn new(
        reader: Box<dyn Read + Send + 'c>,
        name: String,
        taken: Arc<AtomicU64>,
        control: &'c Control,
    ) -> Self {
        Self {
            reader,
            name,
            control,
            taken,
            reported: 0,
            produced: 0,
            plain_bytes: 0,
            compressed: false,
            ended: false,
            broken: false,
        }
    }

    /// Appends content until `buffer` has `length` bytes or the content ends.
    pub(crate) fn fill(&mut self, buffer: &mut Vec<u8>, length: usize) -> Result<()> {
        if !self.compressed {
            let unread =
                self.plain_bytes.saturating_sub(usize::try_from(self.produced).unwrap_or(usize::MAX));
            buffer.reserve(unread.min(length.saturating_sub(buffer.len())));
        }
        while !self.ended && buffer.len() < length {
            let before = buffer.len();
            let piece = (length - before).min(1 << 20) as u64;
            match self.reader.by_ref().take(piece).read_to_end(buffer) {
                Ok(_) => self.ended = ((buffer.len() - before) as u64) < piece,
                // The decoders' own errors have no number of the operating system's.
                Err(error) if self.compressed && error.raw_os_error().is_none() => {
                    (self.ended, self.broken) = (true, true);
                }
                Err(error) if error.raw_os_error().is_none() => {
                    let problem = format!("{}: {error}", self.name);
                    return Err(Error::Data {
                        problem,
                        hint: "the file is damaged or not what its name says",
                    }
                    .into());
                }
                Err(source) => return Err(BorderError::File { path: self.name.clone(), source }),
            }
            self.produced += (buffer.len() - before) as u64;
            let taken = if self.compressed { self.taken.load(Ordering::Relaxed) } else { self.produced };
            if self.compressed && self.produced > BOMB_BYTES && self.produced / BOMB_RATIO > taken {
                let problem = format!("{}: {} bytes unpack to more than {}", self.name, taken, self.produced);
                return Err(Error::Data { problem, hint: BOMB_HINT }.into());
            }
            self.control.advance(taken - self.reported)?;
            self.reported = taken;
        }
        Ok(())
    }
}
