//! Takes one JSON object apart: the wanted values decoded, of the others the place.

use jiter::{Jiter, JiterError, JiterErrorType, JsonErrorType, Peek};

use super::fields::Fields;
use super::scan::skip_space;
use super::{Role, Span};
use crate::hash::Map;

/// A decoded value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value {
    /// `null`, which means that the field is missing.
    Missing,
    /// Text.
    Text(Span),
    /// The JSON text of a number or a truth value.
    Number(Span),
    /// A list of texts: its first and behind its last in [`Entries::texts`].
    Texts(usize, usize),
    /// Turns: their first and behind their last in [`Entries::turns`].
    Turns(usize, usize),
    /// A list of objects, not decoded.
    Instances,
    /// Something that no column takes.
    Unfit(Option<&'static str>),
    /// Not wanted by any column.
    Other,
}

/// One key of the object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) key: Span,
    pub(crate) name: Option<u16>,
    pub(crate) value: Value,
    /// Where the value's JSON lies in the record; `None` when it is a CSV cell, whose text `value` holds.
    pub(crate) raw: Option<(usize, usize)>,
    /// Whether a column took it, so that `meta` does not.
    pub(crate) used: bool,
}

/// The entries of one record, in order; the memory is used again for the next.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    pub(crate) text: String,
    pub(crate) texts: Vec<Span>,
    pub(crate) turns: Vec<(Role, Span)>,
    pub(crate) list: Vec<Entry>,
    /// By number of the name: 1 + index in `list` of the entry that has it, or 0.
    pub(crate) found: Vec<usize>,
    pub(crate) turn_keys_ignored: bool,
    pub(crate) numbers_in_lists: bool,
    tape: Vec<u8>,
}

/// Above this many keys a map finds the repeated ones; below, looking is faster.
const FEW_KEYS: usize = 24;

impl Entries {
    /// Forgets the last record.
    pub(crate) fn clear(&mut self, names: usize) {
        self.text.clear();
        self.texts.clear();
        self.turns.clear();
        self.list.clear();
        self.found.clear();
        self.found.resize(names, 0);
        self.turn_keys_ignored = false;
        self.numbers_in_lists = false;
    }

    /// Appends `text` to the record's own text.
    pub(crate) fn keep(&mut self, text: &str) -> Span {
        let start = self.text.len();
        self.text.push_str(text);
        Span::new(start, self.text.len())
    }

    /// Appends an entry; of two with the same key the last wins, in the place of the first, as in `json.loads`.
    pub(super) fn push(&mut self, entry: Entry, first: usize, seen: &mut Option<Map<String, usize>>) {
        let key = entry.key.of(&self.text);
        if self.list.len() - first == FEW_KEYS && seen.is_none() {
            let keys = self.list[first..].iter().enumerate();
            *seen = Some(keys.map(|(at, old)| (old.key.of(&self.text).to_owned(), first + at)).collect());
        }
        let place = match seen {
            None => {
                self.list[first..].iter().position(|old| old.key.of(&self.text) == key).map(|at| first + at)
            }
            Some(seen) => {
                let next = self.list.len();
                let at = *seen.entry(key.to_owned()).or_insert(next);
                (at < next).then_some(at)
            }
        };
        match place {
            Some(at) => self.list[at] = entry,
            None => self.list.push(entry),
        }
        if let Some(name) = entry.name {
            self.found[usize::from(name)] = 1 + place.unwrap_or(self.list.len() - 1);
        }
    }

    /// Appends a CSV cell.
    pub(crate) fn push_cell(&mut self, column: &str, name: Option<u16>, cell: &str) {
        let key = self.keep(column);
        let value = Value::Text(self.keep(cell));
        self.list.push(Entry { key, name, value, raw: None, used: false });
        if let Some(name) = name {
            self.found[usize::from(name)] = self.list.len();
        }
    }

    /// Appends the entries of the object that is all of `data[start..end]`; the reason when it is not one.
    pub(crate) fn read_object(
        &mut self,
        data: &[u8],
        start: usize,
        end: usize,
        fields: &Fields,
    ) -> Result<(), &'static str> {
        let data = &data[..end];
        let text = if self.list.is_empty() { std::str::from_utf8(&data[start..]).ok() } else { None };
        let behind = self.read_either_way(data, text, start, start, fields)?;
        if skip_space(data, behind) < end { Err("invalid JSON: more than one value") } else { Ok(()) }
    }

    /// Appends the entries of the object that begins at `start`; the index behind it, or the reason when it is not one. `text` is all of
    /// `data`, where it is text.
    pub(crate) fn read_object_at(
        &mut self,
        data: &[u8],
        text: Option<&str>,
        start: usize,
        fields: &Fields,
    ) -> Result<usize, &'static str> {
        self.read_either_way(data, text, start, 0, fields)
    }

    /// `text` is `data` from `base` on, and `None` behind other entries, which the short way could not leave as they are.
    fn read_either_way(
        &mut self,
        data: &[u8],
        text: Option<&str>,
        start: usize,
        base: usize,
        fields: &Fields,
    ) -> Result<usize, &'static str> {
        if let Some(text) = text {
            if let Some(behind) = self.read_plain(text, start - base, base, fields) {
                return Ok(base + behind);
            }
            self.clear(fields.len());
        }
        self.read_general(data, start, fields)
    }

    pub(super) fn read_general(
        &mut self,
        data: &[u8],
        start: usize,
        fields: &Fields,
    ) -> Result<usize, &'static str> {
        let tape = std::mem::take(&mut self.tape);
        let mut jiter = Jiter::with_tape(&data[start..], tape).with_allow_inf_nan();
        let outcome = self.walk(&mut jiter, &data[start..], start, fields);
        let behind = start + jiter.current_index();
        self.tape = jiter.into_tape();
        outcome.map(|()| behind)
    }

    fn walk(
        &mut self,
        jiter: &mut Jiter<'_>,
        record: &[u8],
        base: usize,
        fields: &Fields,
    ) -> Result<(), &'static str> {
        let first = self.list.len();
        let mut seen = None;
        let peek = jiter.peek().map_err(reason)?;
        if peek != Peek::Object {
            jiter.known_skip(peek).map_err(reason)?;
            jiter.finish().map_err(reason)?;
            return Err("not an object");
        }
        let mut key = jiter.known_object().map_err(reason)?;
        while let Some(text) = key {
            let name = fields.number(text);
            let key_span = self.keep(text);
            let peek = jiter.peek().map_err(reason)?;
            let start = jiter.current_index();
            let value = if let Some(number) = name {
                self.wanted(jiter, peek, number, fields)?
            } else {
                jiter.known_skip(peek).map_err(reason)?;
                Value::Other
            };
            let end = jiter.current_index();
            // What is only skipped was not looked at as text yet, and may end in `meta`.
            if !matches!(value, Value::Text(_) | Value::Texts(..) | Value::Number(_) | Value::Missing)
                && std::str::from_utf8(&record[start..end]).is_err()
            {
                return Err(INVALID_UTF8);
            }
            let raw = Some((base + start, base + end));
            self.push(Entry { key: key_span, name, value, raw, used: false }, first, &mut seen);
            key = jiter.next_key().map_err(reason)?;
        }
        Ok(())
    }

    fn wanted(
        &mut self,
        jiter: &mut Jiter<'_>,
        peek: Peek,
        name: u16,
        fields: &Fields,
    ) -> Result<Value, &'static str> {
        match peek {
            Peek::Array if fields.is_messages(name) => self.read_turns(jiter),
            Peek::Array if fields.is_instances(name) => {
                jiter.known_skip(peek).map_err(reason)?;
                Ok(Value::Instances)
            }
            Peek::Array => self.read_texts(jiter),
            _ => self.scalar(jiter, peek),
        }
    }

    fn scalar(&mut self, jiter: &mut Jiter<'_>, peek: Peek) -> Result<Value, &'static str> {
        Ok(match peek {
            Peek::String => {
                let text = jiter.known_str().map_err(reason)?;
                let start = self.text.len();
                self.text.push_str(text);
                Value::Text(Span::new(start, self.text.len()))
            }
            Peek::Null => {
                jiter.known_null().map_err(reason)?;
                Value::Missing
            }
            Peek::True | Peek::False => {
                let truth = jiter.known_bool(peek).map_err(reason)?;
                Value::Number(self.keep(if truth { "true" } else { "false" }))
            }
            _ if peek.is_num() => {
                let bytes = jiter.known_number_bytes(peek).map_err(reason)?;
                match std::str::from_utf8(bytes) {
                    Ok(number) if !number.ends_with(['N', 'y']) => Value::Number(self.keep(number)),
                    _ => Value::Unfit(None),
                }
            }
            _ => {
                jiter.known_skip(peek).map_err(reason)?;
                Value::Unfit(None)
            }
        })
    }

    fn read_texts(&mut self, jiter: &mut Jiter<'_>) -> Result<Value, &'static str> {
        let first = self.texts.len();
        let mut fit = true;
        let mut next = jiter.known_array().map_err(reason)?;
        while let Some(peek) = next {
            match self.scalar(jiter, peek)? {
                Value::Text(span) => self.texts.push(span),
                Value::Number(span) => {
                    self.texts.push(span);
                    self.numbers_in_lists = true;
                }
                _ => fit = false,
            }
            next = jiter.array_step().map_err(reason)?;
        }
        Ok(if fit { Value::Texts(first, self.texts.len()) } else { Value::Unfit(None) })
    }

    fn read_turns(&mut self, jiter: &mut Jiter<'_>) -> Result<Value, &'static str> {
        let first = self.turns.len();
        let mut unfit = None;
        let mut next = jiter.known_array().map_err(reason)?;
        while let Some(peek) = next {
            if peek == Peek::Object {
                match self.read_turn(jiter)? {
                    Ok(turn) => self.turns.push(turn),
                    Err(reason) => unfit = unfit.or(Some(reason)),
                }
            } else {
                jiter.known_skip(peek).map_err(reason)?;
                unfit = unfit.or(Some("a turn is not an object"));
            }
            next = jiter.array_step().map_err(reason)?;
        }
        Ok(match unfit {
            Some(reason) => Value::Unfit(Some(reason)),
            None => Value::Turns(first, self.turns.len()),
        })
    }

    /// The outer error is of the JSON and ends the record; the inner one is of the turn alone.
    fn read_turn(
        &mut self,
        jiter: &mut Jiter<'_>,
    ) -> Result<Result<(Role, Span), &'static str>, &'static str> {
        let (mut role, mut content) = (None, Value::Missing);
        let mut key = jiter.known_object().map_err(reason)?;
        while let Some(name) = key {
            let (is_role, is_content) =
                (matches!(name, "from" | "role"), matches!(name, "value" | "content"));
            let peek = jiter.peek().map_err(reason)?;
            if is_role && peek == Peek::String {
                role = Role::named(jiter.known_str().map_err(reason)?);
            } else if is_role {
                role = None;
                jiter.known_skip(peek).map_err(reason)?;
            } else if is_content {
                content = self.scalar(jiter, peek)?;
            } else {
                self.turn_keys_ignored = true;
                jiter.known_skip(peek).map_err(reason)?;
            }
            key = jiter.next_key().map_err(reason)?;
        }
        Ok(match (role, content) {
            (None, _) => Err("invalid role"),
            (Some(role), Value::Text(span)) => Ok((role, span)),
            (Some(_), _) => Err("a turn's content is not text"),
        })
    }
}

const INVALID_UTF8: &str = "invalid UTF-8";

/// Few and short: rejects are counted by reason, and their place is told apart from it.
fn reason(error: JiterError) -> &'static str {
    let JiterErrorType::JsonError(error) = error.error_type else { return "invalid JSON" };
    match error {
        JsonErrorType::EofWhileParsingList
        | JsonErrorType::EofWhileParsingObject
        | JsonErrorType::EofWhileParsingString
        | JsonErrorType::EofWhileParsingValue => UNFINISHED,
        JsonErrorType::InvalidUnicodeCodePoint => INVALID_UTF8,
        JsonErrorType::LoneLeadingSurrogateInHexEscape | JsonErrorType::UnexpectedEndOfHexEscape => {
            "lone surrogate: no Unicode text holds it"
        }
        JsonErrorType::RecursionLimitExceeded => "nested too deeply",
        JsonErrorType::TrailingComma => "invalid JSON: trailing comma",
        JsonErrorType::TrailingCharacters => "invalid JSON: more than one value",
        JsonErrorType::ControlCharacterWhileParsingString => "invalid JSON: control character in a string",
        JsonErrorType::InvalidEscape => "invalid JSON: invalid escape",
        JsonErrorType::InvalidNumber | JsonErrorType::NumberOutOfRange => "invalid JSON: invalid number",
        JsonErrorType::KeyMustBeAString => "invalid JSON: a key is not a string",
        JsonErrorType::ExpectedColon => "invalid JSON: expected `:`",
        JsonErrorType::ExpectedListCommaOrEnd => "invalid JSON: expected `,` or `]`",
        JsonErrorType::ExpectedObjectCommaOrEnd => "invalid JSON: expected `,` or `}`",
        _ => "invalid JSON: expected a value",
    }
}

/// The reason for a record that ends too early.
pub(crate) const UNFINISHED: &str = "invalid JSON: it ends too early";

/// The places of the objects in the JSON array `data[start..end]`; `None` when something else is among them.
pub(crate) fn objects_of(data: &[u8], start: usize, end: usize) -> Option<Vec<(usize, usize)>> {
    let mut records = Vec::new();
    super::cut::ArrayCutter::new(start).cut(&data[..end], usize::MAX, true, &mut records);
    let is_object = |at: usize| data.get(skip_space(data, at)) == Some(&b'{');
    records
        .iter()
        .all(|record| is_object(record.start))
        .then(|| records.iter().map(|record| (record.start, record.end)).collect())
}
