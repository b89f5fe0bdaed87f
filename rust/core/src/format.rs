//! Templates: rows to the prompt and the response a model is trained on.
//!
//! A template is data. Its literals and fields are told apart once, when it is parsed; a row's text is only ever copied, so braces in it
//! mean nothing.

use rayon::prelude::*;

use crate::control::Pace;
use crate::text::{Conversations, Texts, is_blank};
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
    /// Parses `text`, in which `{name}` stands for one of `fields` and `{{`, `}}` for braces.
    pub fn parse(text: &str, fields: &[&str]) -> Result<Self> {
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
            let field = fields
                .iter()
                .position(|field| *field == name)
                .ok_or_else(|| refused(format!("no field {name:?}; there are {}", fields.join(", "))))?;
            if !literal.is_empty() {
                pieces.push(Piece::Literal(std::mem::take(&mut literal)));
            }
            pieces.push(Piece::Field(field));
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Ok(Self(pieces))
    }

    fn write(&self, into: &mut String, field: impl Fn(usize, &mut String)) {
        for piece in &self.0 {
            match piece {
                Piece::Literal(text) => into.push_str(text),
                Piece::Field(index) => field(*index, into),
            }
        }
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

/// How rows and conversations become prompts. Fields are columns by index.
#[derive(Debug)]
pub struct Template {
    /// The prompt of a row, in order.
    pub prompt: Vec<Segment>,
    /// How a turn before the last answer is written, by role; its only field is the turn's content.
    pub turns: Vec<(String, Pattern)>,
    /// What stands between those turns and the answer.
    pub cue: String,
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
    source: &Rows<'_>,
    rows: &[u32],
    block: usize,
    control: &Control,
) -> Result<Vec<(Column, Column)>> {
    rows.par_chunks(block)
        .map(|rows| {
            let (mut prompts, mut responses) = (Column::new(rows.len()), Column::new(rows.len()));
            let mut pace = Pace::new(control);
            for &row in rows {
                let before = prompts.text.len();
                template.prompt(source, row as usize, &mut prompts.text)?;
                responses.text.push_str(&source.response.get(row as usize));
                prompts.offsets.push(prompts.text.len());
                responses.offsets.push(responses.text.len());
                pace.step(prompts.text.len() - before)?;
            }
            pace.flush()?;
            Ok((prompts, responses))
        })
        .collect()
}

impl Template {
    fn prompt(&self, source: &Rows<'_>, row: usize, into: &mut String) -> Result<()> {
        let turns = source.conversations.turns(row);
        if turns.is_empty() {
            let blank = |field: usize| is_blank(&source.fields[field].get(row));
            for segment in &self.prompt {
                if segment.when.is_none_or(|field| !blank(field)) && segment.unless.is_none_or(blank) {
                    segment.pattern.write(into, |field, into| into.push_str(&source.fields[field].get(row)));
                }
            }
            return Ok(());
        }
        let answer = turns.iter().rposition(|(role, _)| role == "assistant").unwrap_or(turns.len());
        for (role, content) in &turns[..answer] {
            let (_, pattern) =
                self.turns.iter().find(|(name, _)| name == role).ok_or_else(|| Error::Data {
                    problem: format!(
                        "row {row} has a turn of {role:?}, for which the template has no pattern"
                    ),
                    hint: "add the role under `turns:` of the template, or leave such conversations out",
                })?;
            pattern.write(into, |_, into| into.push_str(content));
        }
        into.push_str(&self.cue);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_are_fields_once() {
        let pattern = Pattern::parse("{{a}} {b}: {a}", &["a", "b"]).unwrap();
        let mut text = String::new();
        pattern.write(&mut text, |field, into| into.push_str(["{b}", "{{"][field]));
        assert_eq!(text, "{a} {{: {b}");
    }

    #[test]
    fn unclosed_and_unknown_fields_are_refused() {
        for (text, problem) in
            [("{a", "opening"), ("a}", "closing"), ("{c}", "no field \"c\""), ("{}", "no field")]
        {
            let error = Pattern::parse(text, &["a", "b"]).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }
}
