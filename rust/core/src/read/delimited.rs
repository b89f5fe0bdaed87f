//! CSV and TSV, as lenient as Python's `csv` module: no quoting is an error, only an unclosed quote and a wrong number of columns are.

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use memchr::memchr_iter;

use super::cut::TRUNCATED;
use super::rows::{OVERSIZE, Plan, RowReader};
use super::{MAX_RECORD_BYTES, Note, Reject, Sink};

/// How the cells lie in the file.
#[derive(Debug, Clone)]
pub struct Dialect {
    /// Between two cells.
    pub delimiter: u8,
    /// Whether `"` at the start of a cell opens a quoted one.
    pub quoting: bool,
    /// The columns' names, when the file has no header.
    pub columns: Option<Vec<String>>,
}

/// Reads one file, fed piece by piece.
#[derive(Debug)]
pub struct DelimitedReader<'p> {
    plan: &'p Plan,
    rows: RowReader<'p>,
    csv: Reader,
    delimiter: u8,
    columns: Option<Vec<(String, Option<u16>)>>,
    cells: Vec<u8>,
    filled: usize,
    ends: Vec<usize>,
    ended: usize,
    blank_lines: u64,
    /// The line on which the record under way began.
    line: Option<u64>,
    /// Why the record under way is refused whatever follows.
    refused: Option<&'static str>,
}

/// How much of an oversized record is kept to be shown.
const SHOWN: usize = 4096;

/// Empty cells take no text, so the size of a record does not bound their number.
const MOST_COLUMNS: usize = 1 << 16;

impl<'p> DelimitedReader<'p> {
    /// For one file.
    pub fn new(plan: &'p Plan, dialect: &Dialect, rows: RowReader<'p>) -> Self {
        let mut reader = Self {
            plan,
            rows,
            csv: ReaderBuilder::new().delimiter(dialect.delimiter).quoting(dialect.quoting).build(),
            delimiter: dialect.delimiter,
            columns: None,
            cells: vec![0; SHOWN],
            filled: 0,
            ends: vec![0; 32],
            ended: 0,
            blank_lines: 0,
            line: None,
            refused: None,
        };
        if let Some(columns) = &dialect.columns {
            reader.name_columns(columns.clone());
        }
        reader
    }

    fn name_columns(&mut self, names: Vec<String>) {
        let fields = &self.plan.fields;
        self.columns = Some(names.into_iter().map(|name| (name.clone(), fields.number(&name))).collect());
    }

    /// Reads the next piece of the file.
    pub fn feed(&mut self, mut data: &[u8], sink: &mut impl Sink) {
        loop {
            if self.line.is_none() {
                let blank = data.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
                self.blank_lines += memchr_iter(b'\n', &data[..blank]).count() as u64;
                data = &data[blank..];
            }
            if data.is_empty() {
                return;
            }
            self.line.get_or_insert(self.csv.line() + self.blank_lines);
            data = &data[self.step(data, sink)..];
        }
    }

    /// Reads at most one record; the number of bytes used.
    fn step(&mut self, data: &[u8], sink: &mut impl Sink) -> usize {
        let (result, used, written, ended) =
            self.csv.read_record(data, &mut self.cells[self.filled..], &mut self.ends[self.ended..]);
        self.filled += written;
        self.ended += ended;
        match result {
            ReadRecordResult::InputEmpty | ReadRecordResult::End => {}
            ReadRecordResult::OutputFull if self.filled >= MAX_RECORD_BYTES => {
                self.refused = Some(OVERSIZE);
                self.filled = SHOWN;
            }
            ReadRecordResult::OutputEndsFull if self.ended >= MOST_COLUMNS => {
                self.refused = Some("more than 65,536 columns");
                self.ended = 0;
            }
            ReadRecordResult::OutputFull => self.cells.resize(self.cells.len() * 2, 0),
            ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
            ReadRecordResult::Record => self.finish_record(sink),
        }
        used
    }

    /// Ends the file.
    pub fn finish(&mut self, sink: &mut impl Sink) {
        if self.line.is_none() {
            return;
        }
        // A newline ends every record but one whose quote is still open.
        let mut rest: &[u8] = b"\n";
        while !rest.is_empty() {
            rest = &rest[self.step(rest, sink)..];
        }
        if self.line.is_some() {
            self.cut_off(sink);
        }
    }

    /// Ends a file that ends too early: the record under way is not one.
    pub fn cut_off(&mut self, sink: &mut impl Sink) {
        let position = self.line.take().unwrap_or(self.csv.line() + self.blank_lines);
        let raw = &self.cells[..self.filled];
        sink.note(Note::TruncatedFile);
        sink.reject(&Reject { position, instance: None, reason: TRUNCATED, raw });
    }

    fn finish_record(&mut self, sink: &mut impl Sink) {
        let position = self.line.take().unwrap_or_default();
        let (filled, ended) = (std::mem::take(&mut self.filled), std::mem::take(&mut self.ended));
        let refused = self.refused.take();
        if self.columns.is_none() && refused.is_none() {
            let cells = self.cells_of(filled, ended);
            self.name_columns(cells.iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect());
            return;
        }
        let outcome = match refused {
            Some(reason) => Err(reason),
            None => self.finish_row(filled, ended, position, sink),
        };
        if let Err(reason) = outcome {
            let raw = self.cells_of(filled, if refused.is_some() { 0 } else { ended }).join(&self.delimiter);
            sink.reject(&Reject { position, instance: None, reason, raw: &raw });
        }
    }

    fn finish_row(
        &mut self,
        filled: usize,
        ended: usize,
        position: u64,
        sink: &mut impl Sink,
    ) -> Result<(), &'static str> {
        let Some(columns) = &self.columns else { return Err("no columns") };
        if columns.len() != ended {
            return Err("wrong number of columns");
        }
        let text = std::str::from_utf8(&self.cells[..filled]).map_err(|_| "invalid UTF-8")?;
        self.rows.entries.clear(self.plan.fields.len());
        let mut start = 0;
        for ((column, name), &end) in columns.iter().zip(&self.ends[..ended]) {
            // The cells together may be UTF-8 where one alone is not.
            let cell = text.get(start..end).ok_or("invalid UTF-8")?;
            self.rows.entries.push_cell(column, *name, cell);
            start = end;
        }
        self.rows.finish_row(&[], position, sink)
    }

    fn cells_of(&self, filled: usize, ended: usize) -> Vec<&[u8]> {
        if ended == 0 {
            return vec![&self.cells[..filled]];
        }
        let starts = std::iter::once(&0).chain(&self.ends);
        starts.zip(&self.ends[..ended]).map(|(&start, &end)| &self.cells[start..end]).collect()
    }
}
