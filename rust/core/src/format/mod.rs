//! Templates: rows to the prompt and the response a model is trained on.
//!
//! A template is data. Its literals and fields are told apart once, when it is parsed; a row's text is only ever copied, so braces in it
//! mean nothing.

mod document;
mod marks;

pub use document::{Document, Part, Refused};
pub use marks::{Handling, Marks};

use rayon::prelude::*;

use crate::control::Pace;
use crate::text::{Conversations, Texts};
use crate::{Control, Error, Result};

/// A piece of a template's text.
#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Field(usize),
}

/// Text with fields in braces, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub struct Pattern(Vec<Piece>);

impl Pattern {
    /// Parses `text`, in which `{name}` stands for one of `fields` or `constants` and `{{`, `}}` for braces.
    pub fn parse(text: &str, fields: &[&str], constants: &[(&str, &str)]) -> Result<Self> {
        let refused = |problem: String| Error::Template { template: text.to_owned(), problem };
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            let (brace, after) = rest[at..].split_at(1);
            if after.starts_with(brace) {
                literal.push_str(brace);
                rest = &after[1..];
                continue;
            }
            if brace == "}" {
                return Err(refused("a closing brace without an opening one".to_owned()));
            }
            let (name, after) = after
                .split_once('}')
                .ok_or_else(|| refused("an opening brace without a closing one".to_owned()))?;
            rest = after;
            if let Some((_, value)) = constants.iter().find(|(constant, _)| *constant == name) {
                literal.push_str(value);
                continue;
            }
            let field = fields
                .iter()
                .position(|field| *field == name)
                .ok_or_else(|| refused(format!("no field {name:?}; there are {}", fields.join(", "))))?;
            if !literal.is_empty() {
                pieces.push(Piece::Literal(std::mem::take(&mut literal)));
            }
            pieces.push(Piece::Field(field));
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Ok(Self(pieces))
    }
}

/// A pattern that may be left out.
#[derive(Debug)]
pub struct Segment {
    /// What it says.
    pub pattern: Pattern,
    /// Left out where this field is empty or nothing but white space.
    pub when: Option<usize>,
    /// Left out where this field is *not* so.
    pub unless: Option<usize>,
}

/// How rows and conversations are written. Fields of `prompt` are columns by index; elsewhere the only field is what the turn says.
#[derive(Debug)]
pub struct Template {
    /// The prompt of a row that is no conversation, in order; where there is none, such a row is written as a user's turn.
    pub prompt: Vec<Segment>,
    /// What the system says where a conversation has no such turn first.
    pub system: Option<String>,
    /// How a turn that is no answer is written, by role.
    pub turns: Vec<(String, Pattern)>,
    /// What stands before an answer; nothing of it is learned.
    pub cue: String,
    /// An answer, of which everything is learned.
    pub answer: Pattern,
    /// What stands behind every answer.
    pub after: String,
    /// What stands between an answer and the next turn.
    pub between: String,
    /// Whether the system's turn is written within the user's turn behind it, before what the user says.
    pub system_in_user: bool,
    /// Whether white space around what a turn says is left out.
    pub trim: bool,
    /// Whether user and assistant must take turns, the user first.
    pub alternate: bool,
}

/// Texts one after the other, as Arrow lays them out: `offsets` has one entry more than there are texts.
#[derive(Debug)]
pub struct Column {
    /// The texts.
    pub text: String,
    /// Where each begins, and the end of the last.
    pub offsets: Vec<usize>,
}

impl Column {
    fn new(rows: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Self { text: String::new(), offsets }
    }
}

/// What [`render`] reads.
pub struct Rows<'a> {
    /// The columns that the template's fields name.
    pub fields: &'a [&'a dyn Texts],
    /// The answers.
    pub response: &'a dyn Texts,
    /// The conversations of the same rows.
    pub conversations: &'a dyn Conversations,
}

/// The prompts and responses of `rows`, in blocks of at most `block` rows.
///
/// A conversation's prompt is every turn before the last of the assistant's, then the cue; a turn in a role that the template does not
/// know is refused.
pub fn render(
    template: &Template,
    marks: &Marks,
    source: &Rows<'_>,
    rows: &[u32],
    block: usize,
    control: &Control,
) -> Result<Vec<(Column, Column)>> {
    rows.par_chunks(block)
        .map(|rows| {
            let (mut prompts, mut responses) = (Column::new(rows.len()), Column::new(rows.len()));
            let mut document = Document::default();
            let mut pace = Pace::new(control);
            for &row in rows {
                document.clear();
                template.write_prompt(source, row as usize, marks, &mut document).map_err(|refused| {
                    Error::Data {
                        problem: format!("row {row} {refused}"),
                        hint: "let the template know the role and the order, or leave such conversations out",
                    }
                })?;
                prompts.text.push_str(&document.text);
                let response = source.response.get(row as usize);
                match marks.handling {
                    Handling::Escape => responses.text.push_str(&marks.escape(&response).0),
                    Handling::Keep | Handling::Refuse => responses.text.push_str(&response),
                }
                prompts.offsets.push(prompts.text.len());
                responses.offsets.push(responses.text.len());
                pace.step(document.text.len())?;
            }
            pace.flush()?;
            Ok((prompts, responses))
        })
        .collect()
}

/// For each of `rows` why it cannot be written whole ([`Refused`]), marks included whatever becomes of them; `None` where it can.
pub fn examine(
    template: &Template,
    marks: &Marks,
    source: &Rows<'_>,
    rows: &[u32],
    control: &Control,
) -> Result<Vec<Option<Refused>>> {
    let mut found = vec![None; rows.len()];
    found.par_chunks_mut(4096).zip(rows.par_chunks(4096)).try_for_each(|(found, rows)| {
        let mut document = Document::default();
        let mut pace = Pace::new(control);
        for (slot, &row) in found.iter_mut().zip(rows) {
            document.clear();
            let refused = template.write(source, row as usize, marks, &mut document).err();
            *slot = refused.or_else(|| document.marked.then_some(Refused::Mark));
            pace.step(document.text.len())?;
        }
        pace.flush()
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_are_fields_once() {
        let pattern = Pattern::parse("{{a}} {b}: {a}{eos}", &["a", "b"], &[("eos", "{a}")]).unwrap();
        let literal = |text: &str| Piece::Literal(text.to_owned());
        let pieces = [literal("{a} "), Piece::Field(1), literal(": "), Piece::Field(0), literal("{a}")];
        assert_eq!(pattern.0, pieces);
    }

    #[test]
    fn unclosed_and_unknown_fields_are_refused() {
        for (text, problem) in
            [("{a", "opening"), ("a}", "closing"), ("{c}", "no field \"c\""), ("{}", "no field")]
        {
            let error = Pattern::parse(text, &["a", "b"], &[]).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }
}
