//! A row as the text that a model reads, with what of it is the row's own and what is learned.

use std::borrow::Cow;
use std::fmt;

use super::{Handling, Marks, Pattern, Piece, Rows, Template};
use crate::text::{is_blank, is_python_space};

/// A piece of a document's text, from the end of the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Where it ends, in bytes.
    pub end: usize,
    /// Whether it is the row's own text rather than the template's.
    pub data: bool,
    /// Whether the model learns to write it.
    pub trained: bool,
}

/// A rendered row.
#[derive(Debug, Default)]
pub struct Document {
    /// The whole text.
    pub text: String,
    /// Its parts, in order, to its end.
    pub parts: Vec<Part>,
    /// Whether the row's own text holds a mark.
    pub marked: bool,
}

/// Why a row cannot be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// A turn in a role that the template does not know.
    Role(String),
    /// Turns in an order that the template does not have.
    Order,
    /// A conversation without an answer.
    NoAnswer,
    /// Text that holds a mark.
    Mark,
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role(role) => {
                write!(formatter, "has a turn of {role:?}, for which the template has no pattern")
            }
            Self::Order => formatter.write_str("has turns in an order that the template does not have"),
            Self::NoAnswer => formatter.write_str("has no answer"),
            Self::Mark => formatter.write_str("holds a mark of the template"),
        }
    }
}

impl Document {
    /// Forgets the row.
    pub fn clear(&mut self) {
        self.text.clear();
        self.parts.clear();
        self.marked = false;
    }

    /// Appends a part.
    pub fn push(&mut self, text: &str, data: bool, trained: bool) {
        self.text.push_str(text);
        match self.parts.last_mut() {
            Some(last) if (last.data, last.trained) == (data, trained) => last.end = self.text.len(),
            _ if text.is_empty() => {}
            _ => self.parts.push(Part { end: self.text.len(), data, trained }),
        }
    }

    fn data(&mut self, text: &str, marks: &Marks, trained: bool) -> Result<(), Refused> {
        if marks.handling == Handling::Escape {
            let (escaped, found) = marks.escape(text);
            self.marked |= found;
            self.push(&escaped, true, trained);
            return Ok(());
        }
        self.marked = self.marked || marks.find(text).next().is_some();
        if self.marked && marks.handling == Handling::Refuse {
            return Err(Refused::Mark);
        }
        self.push(text, true, trained);
        Ok(())
    }

    fn pattern<'a>(
        &mut self,
        pattern: &Pattern,
        marks: &Marks,
        trained: bool,
        field: impl Fn(usize) -> Cow<'a, str>,
    ) -> Result<(), Refused> {
        for piece in &pattern.0 {
            match piece {
                Piece::Literal(text) => self.push(text, false, trained),
                Piece::Field(index) => self.data(&field(*index), marks, trained)?,
            }
        }
        Ok(())
    }
}

impl Template {
    /// Writes everything before the last answer of `row`.
    pub fn write_prompt(
        &self,
        source: &Rows<'_>,
        row: usize,
        marks: &Marks,
        into: &mut Document,
    ) -> Result<(), Refused> {
        let turns = source.conversations.turns(row);
        if !turns.is_empty() {
            let answer = turns.iter().rposition(|(role, _)| role == "assistant").unwrap_or(turns.len());
            self.turns(
                turns[..answer].iter().map(|(role, content)| (role.as_ref(), content.as_ref())),
                marks,
                into,
            )?;
        } else if self.prompt.is_empty() {
            let texts =
                source.fields.iter().take(2).map(|field| field.get(row)).filter(|text| !is_blank(text));
            let said = texts.collect::<Vec<_>>().join("\n\n");
            self.turns(std::iter::once(("user", said.as_str())), marks, into)?;
        } else {
            let blank = |field: usize| is_blank(&source.fields[field].get(row));
            for segment in &self.prompt {
                if segment.when.is_none_or(|field| !blank(field)) && segment.unless.is_none_or(blank) {
                    into.pattern(&segment.pattern, marks, false, |field| source.fields[field].get(row))?;
                }
            }
            return Ok(());
        }
        into.push(&self.cue, false, false);
        Ok(())
    }

    /// Writes `row` up to its last answer, that included.
    pub fn write(
        &self,
        source: &Rows<'_>,
        row: usize,
        marks: &Marks,
        into: &mut Document,
    ) -> Result<(), Refused> {
        let turns = source.conversations.turns(row);
        if !turns.is_empty() && turns.iter().all(|(role, _)| role != "assistant") {
            return Err(Refused::NoAnswer);
        }
        self.write_prompt(source, row, marks, into)?;
        self.answer(&source.response.get(row), marks, into)
    }

    fn answer(&self, text: &str, marks: &Marks, into: &mut Document) -> Result<(), Refused> {
        into.pattern(&self.answer, marks, true, |_| Cow::Borrowed(self.said(text)))?;
        into.push(&self.after, false, false);
        Ok(())
    }

    /// What a turn says, as it is written.
    fn said<'a>(&self, text: &'a str) -> &'a str {
        if self.trim { text.trim_matches(is_python_space) } else { text }
    }

    /// Turns that others follow.
    fn turns<'a>(
        &self,
        turns: impl Iterator<Item = (&'a str, &'a str)> + Clone,
        marks: &Marks,
        into: &mut Document,
    ) -> Result<(), Refused> {
        let first = turns.clone().next();
        let mut system: Vec<&str> = Vec::new();
        if let (Some(text), true) = (&self.system, first.is_none_or(|(role, _)| role != "system")) {
            if self.system_in_user {
                system.push(text);
            } else {
                let none = Marks::default();
                into.pattern(self.by_role("system")?, &none, false, |_| Cow::Borrowed(text.as_str()))?;
            }
        }
        let mut before = "assistant";
        for (role, content) in turns {
            if role != "system" {
                if self.alternate && (role == before || (role == "assistant" && before != "user")) {
                    return Err(Refused::Order);
                }
                before = role;
            }
            match role {
                "assistant" => {
                    into.push(&self.cue, false, false);
                    self.answer(content, marks, into)?;
                    into.push(&self.between, false, false);
                }
                "system" if self.system_in_user => system.push(content),
                "user" if !system.is_empty() => {
                    for piece in &self.by_role("user")?.0 {
                        match piece {
                            Piece::Literal(text) => into.push(text, false, false),
                            Piece::Field(_) => {
                                for text in system.drain(..) {
                                    let pattern = self.by_role("system")?;
                                    into.pattern(pattern, marks, false, |_| Cow::Borrowed(self.said(text)))?;
                                }
                                into.data(self.said(content), marks, false)?;
                            }
                        }
                    }
                }
                _ => {
                    into.pattern(self.by_role(role)?, marks, false, |_| Cow::Borrowed(self.said(content)))?;
                }
            }
        }
        let answered = before == "assistant" && self.alternate;
        if answered || !system.is_empty() { Err(Refused::Order) } else { Ok(()) }
    }

    fn by_role(&self, role: &str) -> Result<&Pattern, Refused> {
        let found = self.turns.iter().find(|(name, _)| name == role);
        found.map(|(_, pattern)| pattern).ok_or_else(|| Refused::Role(role.to_owned()))
    }
}
