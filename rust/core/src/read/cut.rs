//! Cuts lines and arrays into records.

use memchr::memchr;

use super::scan::{skip_space, value_end};

/// Where a record lies in its block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Line number (from 1) or index (from 0) in the file.
    pub position: u64,
    /// First byte.
    pub start: usize,
    /// Behind the last byte.
    pub end: usize,
    /// Whether the file ends here without a newline: such a record may have been cut off.
    pub at_end: bool,
}

/// Cuts the lines that are complete in `data` (all of them when `last`), leaves out blank ones, and returns the bytes used.
///
/// `line` is the number of the next line, counted on.
pub fn lines(data: &[u8], line: &mut u64, last: bool, records: &mut Vec<Record>) -> usize {
    let mut start = 0;
    loop {
        let (end, next) = match memchr(b'\n', &data[start..]) {
            Some(length) => (start + length, start + length + 1),
            None if last && start < data.len() => (data.len(), data.len()),
            None => return start,
        };
        let first = skip_space(&data[..end], start);
        if first < end {
            records.push(Record { position: *line, start: first, end, at_end: next == end });
        }
        *line += 1;
        start = next;
    }
}

/// How far [`ArrayCutter::cut`] came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The block is full; more follow.
    More,
    /// The array is closed; the index behind its bracket.
    Closed(usize),
    /// What lies from here on cannot be told apart.
    Broken {
        /// Index of the element that would have come.
        position: u64,
        /// First byte of what is lost.
        start: usize,
        /// What is wrong.
        reason: &'static str,
    },
}

/// The reason given when the data ends inside an array.
pub const TRUNCATED: &str = "truncated: the file ends inside a value";

/// Walks through the elements of one array.
#[derive(Debug, Clone, Copy)]
pub struct ArrayCutter {
    at: usize,
    position: u64,
}

impl ArrayCutter {
    /// For the array whose bracket is at `bracket`.
    pub fn new(bracket: usize) -> Self {
        Self { at: bracket + 1, position: 0 }
    }

    /// Appends the records of the next elements until they span `block_bytes`.
    ///
    /// Where `data` is not `whole`, an element counts only once what follows it is known, and [`Progress::More`] is the answer to
    /// every end that more data may put off.
    pub fn cut(
        &mut self,
        data: &[u8],
        block_bytes: usize,
        whole: bool,
        records: &mut Vec<Record>,
    ) -> Progress {
        let block_end = self.at.saturating_add(block_bytes);
        loop {
            let before = (*self, records.len());
            let progress = self.element(data, records);
            match progress {
                Progress::Broken { reason: TRUNCATED, .. } if !whole => {
                    (*self, _) = before;
                    records.truncate(before.1);
                    return Progress::More;
                }
                Progress::More if self.at < block_end => {}
                _ => return progress,
            }
        }
    }

    /// Forgets the first bytes of the data, up to the next element, and says how many they are.
    pub fn forget(&mut self) -> usize {
        std::mem::take(&mut self.at)
    }

    /// The next element and what follows it.
    fn element(&mut self, data: &[u8], records: &mut Vec<Record>) -> Progress {
        let start = skip_space(data, self.at);
        let broken = |reason| Progress::Broken { position: self.position, start, reason };
        match data.get(start) {
            Some(b']') if self.position == 0 => return Progress::Closed(start + 1),
            Some(b']') => return broken("invalid JSON: trailing comma"),
            Some(b',' | b'}' | b':') => return broken("invalid JSON: expected a value"),
            _ => {}
        }
        let Some(end) = value_end(data, start) else { return broken(TRUNCATED) };
        records.push(Record { position: self.position, start, end, at_end: false });
        self.position += 1;
        let start = skip_space(data, end);
        let broken = |reason| Progress::Broken { position: self.position, start, reason };
        match data.get(start) {
            Some(b',') => self.at = start + 1,
            Some(b']') => return Progress::Closed(start + 1),
            Some(_) => return broken("invalid JSON: expected `,` or `]`"),
            None => return broken(TRUNCATED),
        }
        Progress::More
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut_all(text: &str, block: usize) -> (Vec<String>, Progress) {
        let mut cutter = ArrayCutter::new(0);
        let mut records = Vec::new();
        loop {
            let progress = cutter.cut(text.as_bytes(), block, true, &mut records);
            if progress != Progress::More {
                let texts = records.iter().map(|record| text[record.start..record.end].to_owned()).collect();
                return (texts, progress);
            }
        }
    }

    #[test]
    fn blocks_do_not_change_the_elements() {
        let text = r#"[ {"a": [1, 2]} , "b,]", 3,null ]x"#;
        for block in [1, 5, 1000] {
            let (texts, progress) = cut_all(text, block);
            assert_eq!(texts, [r#"{"a": [1, 2]}"#, r#""b,]""#, "3", "null"]);
            assert_eq!(progress, Progress::Closed(text.len() - 1));
        }
    }

    #[test]
    fn pieces_do_not_change_the_elements() {
        for text in
            [r#"[ {"a": [1, 2]} , "b,]", 3.25,null ]x"#, "[]", "[1, 2", "[1 2]", "[1, , 2]", r#"["a\"#]
        {
            for (first, step) in [(1, 1), (2, 3), (7, 5)] {
                let (mut cutter, mut forgotten, mut end) = (ArrayCutter::new(0), 0, first);
                let (mut found, mut kept) = (Progress::More, Vec::new());
                while found == Progress::More {
                    let end_here = end.min(text.len());
                    let data = &text.as_bytes()[forgotten..end_here];
                    let mut records = Vec::new();
                    found = cutter.cut(data, 4, end_here == text.len(), &mut records);
                    kept.extend(
                        records
                            .iter()
                            .map(|record| text[forgotten + record.start..forgotten + record.end].to_owned()),
                    );
                    if found == Progress::More {
                        forgotten += cutter.forget();
                        end += step;
                    }
                }
                let found = match found {
                    Progress::Closed(end) => Progress::Closed(end + forgotten),
                    Progress::Broken { position, start, reason } => {
                        Progress::Broken { position, start: start + forgotten, reason }
                    }
                    Progress::More => unreachable!("the loop ended"),
                };
                assert_eq!((kept, found), cut_all(text, 1000), "{text} in pieces of {step}");
            }
        }
    }

    #[test]
    fn damage_is_named_and_what_came_before_is_kept() {
        for (text, kept, damage) in [
            ("[]", 0, None),
            ("[1, 2", 1, Some(TRUNCATED)),
            ("[1, [2]", 2, Some(TRUNCATED)),
            ("[1, ]", 1, Some("invalid JSON: trailing comma")),
            ("[1, , 2]", 1, Some("invalid JSON: expected a value")),
            ("[1 2]", 1, Some("invalid JSON: expected `,` or `]`")),
            ("[", 0, Some(TRUNCATED)),
        ] {
            let (texts, progress) = cut_all(text, 1000);
            assert_eq!(texts.len(), kept, "{text}");
            match progress {
                Progress::Broken { reason, .. } => assert_eq!(Some(reason), damage, "{text}"),
                Progress::Closed(_) => assert_eq!(damage, None, "{text}"),
                Progress::More => unreachable!("the block is larger than the text"),
            }
        }
    }

    #[test]
    fn blank_lines_count_and_are_left_out() {
        let text = b"{1}\r\n \t\r\n\n{2}\n{3";
        let (mut records, mut line) = (Vec::new(), 1);
        assert_eq!(lines(text, &mut line, false, &mut records), text.len() - 2);
        assert_eq!(records.iter().map(|record| record.position).collect::<Vec<_>>(), [1, 4]);
        assert_eq!(lines(&text[text.len() - 2..], &mut line, true, &mut records), 2);
        assert_eq!(records[2], Record { position: 5, start: 0, end: 2, at_end: true });
    }
}
