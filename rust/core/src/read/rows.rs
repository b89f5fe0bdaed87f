//! From a record's entries to a row.

use super::cut::{Record, TRUNCATED};
use super::edit::{Edit, Target};
use super::entries::{Entries, UNFINISHED, Value, objects_of};
use super::fields::{Column, Fields, Layout};
use super::meta::write_meta;
use super::{Facts, MAX_RECORD_BYTES, Note, Reject, Row, Sink, Span, TaskInfo};
use crate::hash::Map;

/// What a recipe says about reading a source.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Which names fill which columns.
    pub fields: Fields,
    /// What holds where neither row, file nor task table says it.
    pub constants: Facts,
    /// Category and language by task.
    pub tasks: Map<String, TaskInfo>,
    /// Changes of the text, in order.
    pub edits: Vec<Edit>,
    /// Whether an `id` begins with the number of its task, as in Natural Instructions.
    pub ids_name_tasks: bool,
}

/// Reads records of one file; keeps its memory from one record to the next.
#[derive(Debug)]
pub struct RowReader<'p> {
    plan: &'p Plan,
    file: &'p Facts,
    task: &'p str,
    pub(crate) entries: Entries,
    references: Vec<Span>,
    meta: String,
    number_as_text: bool,
}

/// The texts of a row on the way, within [`Entries::text`].
#[derive(Debug, Clone, Copy)]
struct Draft {
    position: u64,
    instruction: Option<Span>,
    input: Span,
    turns: (usize, usize),
    task: Option<Span>,
    category: Option<Span>,
    language: Option<Span>,
    licence: Option<Span>,
}

type Outcome<T> = Result<T, &'static str>;

impl<'p> RowReader<'p> {
    /// For a file whose rows belong to `task` unless they say otherwise.
    pub fn new(plan: &'p Plan, file: &'p Facts, task: &'p str) -> Self {
        Self {
            plan,
            file,
            task,
            entries: Entries::default(),
            references: Vec::new(),
            meta: String::new(),
            number_as_text: false,
        }
    }

    /// Reads one JSON record of `data`.
    pub fn read(&mut self, data: &[u8], record: Record, sink: &mut impl Sink) {
        let Record { position, start, end, at_end } = record;
        let raw = &data[start..end];
        let outcome = if raw.len() > MAX_RECORD_BYTES {
            Err(OVERSIZE)
        } else {
            self.entries.clear(self.plan.fields.len());
            self.entries
                .read_object(data, start, end, &self.plan.fields)
                .and_then(|()| self.finish_record(data, position, sink))
        };
        match outcome {
            Ok(()) => {}
            Err(UNFINISHED) if at_end => {
                sink.note(Note::TruncatedFile);
                sink.reject(&Reject { position, instance: None, reason: TRUNCATED, raw });
            }
            Err(reason) => sink.reject(&Reject { position, instance: None, reason, raw }),
        }
    }

    /// Reads the JSON object that begins at `start`; the index behind it, or `None` when there is no whole one. `text` is all of `data`,
    /// where it is text.
    pub(crate) fn read_at(
        &mut self,
        data: &[u8],
        text: Option<&str>,
        start: usize,
        position: u64,
        sink: &mut impl Sink,
    ) -> Option<usize> {
        self.entries.clear(self.plan.fields.len());
        let end = self.entries.read_object_at(data, text, start, &self.plan.fields).ok()?;
        if let Err(reason) = self.finish_record(data, position, sink) {
            sink.reject(&Reject { position, instance: None, reason, raw: &data[start..end] });
        }
        Some(end)
    }

    /// Makes the row or the rows of the record that lies in `entries`.
    fn finish_record(&mut self, data: &[u8], position: u64, sink: &mut impl Sink) -> Outcome<()> {
        match self.instances(data)? {
            None => self.finish_row(data, position, sink),
            Some(instances) => {
                if instances.is_empty() {
                    return Err("no instances");
                }
                self.finish_instances(data, position, &instances, sink);
                Ok(())
            }
        }
    }

    /// The places of the record's instances, if it is one that has several.
    fn instances(&mut self, data: &[u8]) -> Outcome<Option<Vec<(usize, usize)>>> {
        for &name in self.plan.fields.candidates(Column::Instances) {
            let found = self.entries.found[usize::from(name)];
            let Some(entry) = found.checked_sub(1).map(|at| &mut self.entries.list[at]) else { continue };
            match (entry.value, entry.raw) {
                (Value::Missing, _) => entry.used = true,
                (Value::Instances, Some((start, end))) => {
                    entry.used = true;
                    return objects_of(data, start, end).map(Some).ok_or(Column::Instances.not_text());
                }
                _ => return Err(Column::Instances.not_text()),
            }
        }
        Ok(None)
    }

    fn finish_instances(
        &mut self,
        data: &[u8],
        position: u64,
        instances: &[(usize, usize)],
        sink: &mut impl Sink,
    ) {
        let found = self.entries.found.clone();
        let (entries, text, texts) =
            (self.entries.list.len(), self.entries.text.len(), self.entries.texts.len());
        for (instance, &(start, end)) in (0..).zip(instances) {
            let outcome = self
                .entries
                .read_object(data, start, end, &self.plan.fields)
                .and_then(|()| self.finish_row(data, position, sink));
            if let Err(reason) = outcome {
                sink.reject(&Reject { position, instance: Some(instance), reason, raw: &data[start..end] });
            }
            self.entries.list.truncate(entries);
            self.entries.text.truncate(text);
            self.entries.texts.truncate(texts);
            self.entries.found.clone_from(&found);
        }
    }

    /// Makes one row of what lies in `entries`.
    pub(crate) fn finish_row(&mut self, data: &[u8], position: u64, sink: &mut impl Sink) -> Outcome<()> {
        self.references.clear();
        self.number_as_text = false;
        let mut draft = Draft {
            position,
            instruction: None,
            input: Span::default(),
            turns: (0, 0),
            task: self.text(Column::Task)?,
            category: self.text(Column::Category)?,
            language: self.text(Column::Language)?,
            licence: self.text(Column::Licence)?,
        };
        match self.plan.fields.layout {
            Layout::Instruction => self.fill_instruction(&mut draft)?,
            Layout::Conversation => draft.turns = self.turns()?,
        }
        self.edit(&mut draft, sink);
        self.drop_repeated_references(sink);
        write_meta(&self.entries, data, &mut self.meta);
        let row = self.row(&draft, data);
        if self.plan.ids_name_tasks && row.id.is_some_and(|id| names_other_task(id, self.task)) {
            sink.note(Note::IdOfOtherTask);
        }
        if self.number_as_text {
            sink.note(Note::NumberAsText);
        }
        if self.entries.turn_keys_ignored {
            sink.note(Note::TurnKeyIgnored);
        }
        sink.row(&row);
        Ok(())
    }

    fn fill_instruction(&mut self, draft: &mut Draft) -> Outcome<()> {
        draft.instruction = self.text(Column::Instruction)?;
        let input = self.text(Column::Input)?;
        if draft.instruction.is_none() && input.is_none() && self.file.instruction.is_none() {
            return Err("no instruction and no input");
        }
        draft.input = input.unwrap_or_default();
        match self.take(Column::Output) {
            Some(Value::Text(span)) => self.references.push(span),
            Some(Value::Number(span)) => {
                self.number_as_text = true;
                self.references.push(span);
            }
            Some(Value::Texts(first, behind)) => {
                if self.entries.numbers_in_lists {
                    self.number_as_text = true;
                }
                self.references.extend_from_slice(&self.entries.texts[first..behind]);
            }
            Some(_) => return Err(Column::Output.not_text()),
            None => {}
        }
        if self.references.is_empty() { Err("no reference") } else { Ok(()) }
    }

    fn turns(&mut self) -> Outcome<(usize, usize)> {
        match self.take(Column::Messages) {
            Some(Value::Turns(first, behind)) if first == behind => Err("empty conversation"),
            Some(Value::Turns(first, behind)) => Ok((first, behind)),
            Some(Value::Unfit(Some(reason))) => Err(reason),
            Some(_) => Err(Column::Messages.not_text()),
            None => Err("no messages"),
        }
    }

    /// The value for `column`: of the first of its names that the record has and that is not null.
    fn take(&mut self, column: Column) -> Option<Value> {
        for &name in self.plan.fields.candidates(column) {
            let found = self.entries.found[usize::from(name)];
            let Some(entry) = found.checked_sub(1).map(|at| &mut self.entries.list[at]) else { continue };
            entry.used = true;
            if entry.value != Value::Missing {
                return Some(entry.value);
            }
        }
        None
    }

    /// The text for `column`; of a list its texts joined, where the column is no text to train on.
    fn text(&mut self, column: Column) -> Outcome<Option<Span>> {
        match self.take(column) {
            None => Ok(None),
            Some(Value::Text(span)) => Ok(Some(span)),
            Some(Value::Number(span)) => {
                self.number_as_text = true;
                Ok(Some(span))
            }
            Some(Value::Texts(first, behind)) if !matches!(column, Column::Instruction | Column::Input) => {
                let texts = &self.entries.texts[first..behind];
                let joined: Vec<&str> = texts.iter().map(|span| span.of(&self.entries.text)).collect();
                let joined = joined.join("; ");
                Ok(Some(self.entries.keep(&joined)))
            }
            Some(_) => Err(column.not_text()),
        }
    }

    fn edit(&mut self, draft: &mut Draft, sink: &mut impl Sink) {
        for (number, Edit { action, target }) in self.plan.edits.iter().enumerate() {
            if !action.takes(&self.row(draft, &[])) {
                continue;
            }
            let mut changed = false;
            match target {
                Target::Instruction => {
                    if let Some(edited) =
                        draft.instruction.and_then(|span| action.apply(&mut self.entries, span))
                    {
                        (draft.instruction, changed) = (Some(edited), true);
                    }
                }
                Target::Input => {
                    if let Some(edited) = action.apply(&mut self.entries, draft.input) {
                        (draft.input, changed) = (edited, true);
                    }
                }
                Target::Output => {
                    for reference in &mut self.references {
                        if let Some(edited) = action.apply(&mut self.entries, *reference) {
                            (*reference, changed) = (edited, true);
                        }
                    }
                }
            }
            if changed {
                sink.note(Note::Edited(number));
            }
        }
    }

    fn drop_repeated_references(&mut self, sink: &mut impl Sink) {
        if self.references.len() < 2 {
            return;
        }
        let before = self.references.len();
        let text = &self.entries.text;
        let mut seen: Map<&str, ()> = Map::default();
        self.references.retain(|span| seen.insert(span.of(text), ()).is_none());
        if self.references.len() < before {
            sink.note(Note::RepeatedReference);
        }
    }

    fn row<'a>(&'a self, draft: &Draft, data: &'a [u8]) -> Row<'a> {
        let text = self.entries.text.as_str();
        let of = |span: Option<Span>| span.map(|span| span.of(text));
        let task = of(draft.task).filter(|task| !task.is_empty()).unwrap_or(self.task);
        let constants = &self.plan.constants;
        let known = || self.plan.tasks.get(task);
        let instruction = of(draft.instruction).or(self.file.instruction.as_deref()).unwrap_or_default();
        let is_conversation = self.plan.fields.layout == Layout::Conversation;
        let instruction = match &constants.instruction {
            Some(constant) if instruction.is_empty() && !is_conversation => constant,
            _ => instruction,
        };
        Row {
            position: draft.position,
            task,
            category: of(draft.category)
                .or(self.file.category.as_deref())
                .or_else(|| known()?.category.as_deref())
                .or(constants.category.as_deref()),
            language: of(draft.language)
                .or(self.file.language.as_deref())
                .or_else(|| known()?.language.as_deref())
                .or(constants.language.as_deref()),
            licence: of(draft.licence).or(self.file.licence.as_deref()).or(constants.licence.as_deref()),
            instruction,
            input: draft.input.of(text),
            meta: (!self.meta.is_empty()).then_some(self.meta.as_str()),
            id: self.id(data),
            text,
            references: &self.references,
            turns: &self.entries.turns[draft.turns.0..draft.turns.1],
        }
    }

    fn id<'a>(&'a self, data: &'a [u8]) -> Option<&'a str> {
        let text = self.entries.text.as_str();
        let entry = self.entries.list.iter().rev().find(|entry| entry.key.of(text) == "id")?;
        match (entry.raw, entry.value) {
            (Some((start, end)), _) => std::str::from_utf8(data.get(start..end)?).ok(),
            (None, Value::Text(span)) => Some(span.of(text)),
            (None, _) => None,
        }
    }
}

/// The reason for a record that is too large to be a row.
pub const OVERSIZE: &str = "larger than 256 MiB";

/// Whether `id`, the JSON of a text such as `"task195-..."`, names another task than `task` (`task1687_...`).
fn names_other_task(id: &str, task: &str) -> bool {
    fn number(name: &str) -> Option<&str> {
        let rest = name.strip_prefix("task")?;
        let digits = rest.split(|character: char| !character.is_ascii_digit()).next()?;
        (!digits.is_empty()).then(|| digits.trim_start_matches('0'))
    }
    match (number(id.trim_start_matches('"')), number(task)) {
        (Some(of_id), Some(of_file)) => of_id != of_file,
        _ => false,
    }
}
