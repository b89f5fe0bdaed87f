//! What Python says about a source, as the core takes it.

use std::collections::BTreeMap;

use chaffinch_core::Error;
use chaffinch_core::hash::Map;
use chaffinch_core::read::delimited::Dialect;
use chaffinch_core::read::detect::{self, Container};
use chaffinch_core::read::edit::{Action, Edit, Target};
use chaffinch_core::read::fields::{Column, Fields, Layout};
use chaffinch_core::read::rows::Plan;
use chaffinch_core::read::{Facts, TaskInfo, natural};
use pyo3::FromPyObject;

use crate::error::Result;

/// The parts of `Source` that reading depends on.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct SourcePlan {
    source: String,
    format: String,
    /// By column, the source's names, best first.
    fields: BTreeMap<String, Vec<String>>,
    /// instruction, category, language, licence.
    constants: [Option<String>; 4],
    tasks: Vec<TaskSpec>,
    edits: Vec<EditSpec>,
    delimiter: String,
    quoting: bool,
    columns: Option<Vec<String>>,
}

/// Task, category, languages of input and output.
#[derive(FromPyObject)]
struct TaskSpec(String, Option<String>, Vec<String>, Vec<String>);

/// Name, field, values, fraction.
#[derive(FromPyObject)]
struct EditSpec(String, String, Vec<String>, f64);

impl SourcePlan {
    /// The name under which the changes of the edit are counted.
    pub(crate) fn edit_note(&self, number: usize) -> String {
        format!("edit_{}", self.edits[number].0.replace('-', "_"))
    }
}

/// What a file holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Instruction,
    Conversation,
    NaturalInstructions,
}

/// The plans for each kind of file a source may have.
pub(crate) struct Plans<'a> {
    source: &'a str,
    format: Option<Kind>,
    instruction: Plan,
    conversation: Plan,
    natural: Plan,
    messages: Vec<String>,
    dialect: Dialect,
}

fn out_of_range(name: &'static str, value: &str, expected: &'static str) -> Error {
    Error::OutOfRange { name, value: value.to_owned(), expected }
}

impl<'a> Plans<'a> {
    pub(crate) fn new(plan: &'a SourcePlan) -> Result<Self> {
        let format = match plan.format.as_str() {
            "auto" => None,
            "instruction" => Some(Kind::Instruction),
            "conversation" => Some(Kind::Conversation),
            "natural-instructions" => Some(Kind::NaturalInstructions),
            other => return Err(out_of_range("format", other, "a format that the core reads").into()),
        };
        let [delimiter @ 0..=127] = plan.delimiter.as_bytes() else {
            return Err(out_of_range("delimiter", &plan.delimiter, "one ASCII character").into());
        };
        let [instruction, category, language, licence] = plan.constants.clone();
        let constants = Facts { instruction, category, language, licence };
        let tasks: Map<String, TaskInfo> = plan
            .tasks
            .iter()
            .map(|TaskSpec(task, category, input, output)| {
                let info =
                    TaskInfo { category: category.clone(), language: natural::language(input, output) };
                (task.clone(), info)
            })
            .collect();
        let edits = plan.edits.iter().map(edit).collect::<Result<Vec<_>>>()?;
        let names = |column: Column| plan.fields.get(column_name(column)).cloned().unwrap_or_default();
        let plan_of = |fields: Fields, ids_name_tasks: bool| Plan {
            fields,
            constants: constants.clone(),
            tasks: tasks.clone(),
            edits: edits.clone(),
            ids_name_tasks,
        };
        let by_name = |layout| Fields::new(layout, Column::ALL.map(|column| (column, names(column))));
        Ok(Self {
            source: &plan.source,
            format,
            instruction: plan_of(by_name(Layout::Instruction), false),
            conversation: plan_of(by_name(Layout::Conversation), false),
            natural: plan_of(natural::fields(), true),
            messages: names(Column::Messages),
            dialect: Dialect { delimiter: *delimiter, quoting: plan.quoting, columns: plan.columns.clone() },
        })
    }

    pub(crate) fn source(&self) -> &str {
        self.source
    }

    pub(crate) fn dialect(&self) -> &Dialect {
        &self.dialect
    }

    pub(crate) fn of(&self, kind: Kind) -> &Plan {
        match kind {
            Kind::Instruction => &self.instruction,
            Kind::Conversation => &self.conversation,
            Kind::NaturalInstructions => &self.natural,
        }
    }

    /// What the recipe says the file holds, else what the keys of its first object say.
    pub(crate) fn kind(&self, head: &[u8], container: Container) -> Kind {
        self.format.unwrap_or_else(|| {
            let keys = detect::keys(head);
            if container == Container::Document && keys.iter().any(|key| key == "Instances") {
                Kind::NaturalInstructions
            } else if keys.iter().any(|key| self.messages.contains(key)) {
                Kind::Conversation
            } else {
                Kind::Instruction
            }
        })
    }
}

fn column_name(column: Column) -> &'static str {
    match column {
        Column::Instruction => "instruction",
        Column::Input => "input",
        Column::Output => "output",
        Column::Messages => "messages",
        Column::Instances => "instances",
        Column::Task => "task",
        Column::Category => "category",
        Column::Language => "language",
        Column::Licence => "licence",
    }
}

fn edit(EditSpec(name, field, values, fraction): &EditSpec) -> Result<Edit> {
    let target = match field.as_str() {
        "instruction" => Target::Instruction,
        "input" => Target::Input,
        "output" => Target::Output,
        other => return Err(out_of_range("edit field", other, "instruction, input or output").into()),
    };
    let action = match name.as_str() {
        "strip-suffix" => Action::StripSuffix(values.clone()),
        "blank" => Action::Blank(values.clone()),
        "lowercase-input" => Action::Lowercase(*fraction),
        "mathinstruct-reasoning" => Action::MathinstructReasoning,
        other => return Err(out_of_range("edit", other, "an edit that the core makes").into()),
    };
    Ok(Edit { action, target })
}
