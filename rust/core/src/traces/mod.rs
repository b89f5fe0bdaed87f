//! Traces of a model in the text: phrases that only a model says of itself, and what its tooling left behind.
//!
//! One automaton holds the phrases of all rules that read a part of a row; it goes over the text once, whatever the number of rules, and
//! what it finds is a trace if the rule's own conditions hold there.

mod finder;

use std::borrow::Cow;

use rayon::prelude::*;

use crate::control::Pace;
use crate::text::{Conversations, Texts};
use crate::{Control, Result};

pub use finder::{Finder, Span};

/// A part of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// What was asked: instruction and input, each a text of its own, or the turns of user and system.
    Prompt,
    /// What was answered: the response, or the turns of the assistant.
    Response,
}

/// Where in a text a phrase counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Everywhere.
    Anywhere,
    /// With no letter or digit before it.
    Start,
    /// With no letter or digit before or behind it.
    Whole,
}

/// What is looked for, and what it must stand in to count.
///
/// ASCII letters match in either case. A phrase that begins or ends with a letter, a digit or `_` begins or ends a word there; scripts
/// without spaces have no such ends.
#[derive(Debug)]
pub struct Rule {
    /// The parts of a row that it reads.
    pub parts: Vec<Part>,
    /// Where in them.
    pub place: Place,
    /// Whether it counts within quotation marks, too; see [`Finder::find`].
    pub quoted: bool,
    /// The phrases; one of them is enough.
    pub phrases: Vec<String>,
    /// How a phrase must go on, if there are any: the longest that does belongs to what matched.
    pub then: Vec<String>,
    /// Does not count directly behind one of these.
    pub not_after: Vec<String>,
    /// Does not count directly before one of these.
    pub not_before: Vec<String>,
}

/// A trace: the first place in a part of a row that a rule matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// The row.
    pub row: u32,
    /// The part of it.
    pub part: Part,
    /// The rule's index.
    pub rule: u32,
    /// The bytes in the text, of all the texts of the part the first that has it.
    pub span: Span,
    /// The words that matched.
    pub words: String,
}

/// The rows to look at.
pub struct Rows<'a> {
    /// The texts of the prompt, for rows that are no conversations.
    pub prompt: &'a [&'a dyn Texts],
    /// The texts of the response, for rows that are no conversations.
    pub response: &'a [&'a dyn Texts],
    /// The conversations, where there are any.
    pub conversations: Option<&'a dyn Conversations>,
}

/// The traces of `rules` in `numbers`, by row (in the order given), part and rule.
pub fn traces(rows: &Rows<'_>, numbers: &[u32], rules: &[Rule], control: &Control) -> Result<Vec<Trace>> {
    let finders = [Finder::new(rules, Part::Prompt)?, Finder::new(rules, Part::Response)?];
    let found = numbers
        .par_chunks(4096)
        .map(|numbers| {
            let mut found = Vec::new();
            let mut pace = Pace::new(control);
            let mut reader = Reader { finders: &finders, spans: Vec::new(), clean: None };
            for &row in numbers {
                let bytes = reader.row(rows, row, &mut found);
                pace.step(bytes)?;
            }
            pace.flush()?;
            Ok(found)
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(found.into_iter().flatten().collect())
}

/// Reads rows one by one.
struct Reader<'a> {
    finders: &'a [Finder; 2],
    spans: Vec<Option<Span>>,
    /// Where the last instruction without a trace lies: the rows of a task share one.
    clean: Option<(*const u8, usize)>,
}

impl Reader<'_> {
    /// Appends the traces of `row`, and says how many bytes were read for it.
    fn row(&mut self, rows: &Rows<'_>, row: u32, found: &mut Vec<Trace>) -> usize {
        let number = row as usize;
        let turns = rows.conversations.map(|conversations| conversations.turns(number)).unwrap_or_default();
        let (mut bytes, first) = (0, found.len());
        if turns.is_empty() {
            for (part, columns) in [(Part::Prompt, rows.prompt), (Part::Response, rows.response)] {
                for (at, column) in columns.iter().enumerate() {
                    let text = column.get(number);
                    let may_repeat = part == Part::Prompt && at == 0 && matches!(text, Cow::Borrowed(_));
                    let place = Some((text.as_ptr(), text.len()));
                    if may_repeat && self.clean == place {
                        continue;
                    }
                    self.text(&text, row, part, first, found);
                    if may_repeat && found.len() == first {
                        self.clean = place;
                    }
                    bytes += text.len();
                }
            }
        }
        for part in [Part::Prompt, Part::Response] {
            for (role, text) in &turns {
                let of = match role.as_ref() {
                    "assistant" => Part::Response,
                    "user" | "system" => Part::Prompt,
                    _ => continue,
                };
                if of == part {
                    self.text(text, row, part, first, found);
                    bytes += text.len();
                }
            }
        }
        found[first..].sort_by_key(|trace| (trace.part, trace.rule));
        bytes
    }

    /// Appends what `text` has and no earlier text of the same part had; the row's traces begin at `first`.
    fn text(&mut self, text: &str, row: u32, part: Part, first: usize, found: &mut Vec<Trace>) {
        self.finders[part as usize].find(text, &mut self.spans);
        for (rule, span) in self.spans.iter().enumerate() {
            let Some(span) = span else { continue };
            let rule = u32::try_from(rule).unwrap_or(u32::MAX);
            if !found[first..].iter().any(|trace| trace.part == part && trace.rule == rule) {
                let words = text[span.start..span.end].to_owned();
                found.push(Trace { row, part, rule, span: *span, words });
            }
        }
    }
}
