//! Which of a source's own names fills which column.

/// A column that a source's field can fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// What is asked.
    Instruction,
    /// What it is asked of.
    Input,
    /// The accepted answers.
    Output,
    /// The turns of a conversation.
    Messages,
    /// Several inputs with their outputs for one instruction.
    Instances,
    /// Task within the source.
    Task,
    /// Category.
    Category,
    /// Language.
    Language,
    /// Licence.
    Licence,
}

impl Column {
    /// All columns, in the order of their discriminants.
    pub const ALL: [Self; 9] = [
        Self::Instruction,
        Self::Input,
        Self::Output,
        Self::Messages,
        Self::Instances,
        Self::Task,
        Self::Category,
        Self::Language,
        Self::Licence,
    ];

    /// The reason for rejecting a row whose field cannot fill this column.
    pub(crate) fn not_text(self) -> &'static str {
        match self {
            Self::Instruction => "instruction is not text",
            Self::Input => "input is not text",
            Self::Output => "output is neither text nor a list of texts",
            Self::Messages => "messages are not a list of turns",
            Self::Instances => "instances are not a list of objects",
            Self::Task => "task is not text",
            Self::Category => "category is not text",
            Self::Language => "language is not text",
            Self::Licence => "licence is not text",
        }
    }
}

/// What the rows are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Instruction, input and output, or `instances` of the latter two.
    Instruction,
    /// Turns.
    Conversation,
}

/// The source's names, by column and in order of preference.
#[derive(Debug, Clone)]
pub struct Fields {
    /// What the rows are made of.
    pub layout: Layout,
    /// A name's number is its index. They are few and keys are short: looking through them beats hashing.
    names: Vec<String>,
    by_column: [Vec<u16>; 9],
}

impl Fields {
    /// From each column's names, best first. Columns the layout has no use for are left out.
    pub fn new(layout: Layout, names: impl IntoIterator<Item = (Column, Vec<String>)>) -> Self {
        let mut fields = Self { layout, names: Vec::new(), by_column: Default::default() };
        for (column, names) in names {
            let used = match column {
                Column::Instruction | Column::Input | Column::Output | Column::Instances => {
                    layout == Layout::Instruction
                }
                Column::Messages => layout == Layout::Conversation,
                _ => true,
            };
            if used {
                for name in names {
                    let number = fields.number(&name).unwrap_or_else(|| {
                        fields.names.push(name);
                        u16::try_from(fields.names.len() - 1).unwrap_or(u16::MAX)
                    });
                    fields.by_column[column as usize].push(number);
                }
            }
        }
        fields
    }

    /// How many different names there are.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// The number of `name`, if some column wants it.
    pub(crate) fn number(&self, name: &str) -> Option<u16> {
        let index = self.names.iter().position(|known| known == name)?;
        u16::try_from(index).ok()
    }

    /// The numbers of the names that fill `column`, best first.
    pub(crate) fn candidates(&self, column: Column) -> &[u16] {
        &self.by_column[column as usize]
    }

    /// Whether `number` names the turns of a conversation.
    pub(crate) fn is_messages(&self, number: u16) -> bool {
        self.candidates(Column::Messages).contains(&number)
    }

    /// Whether `number` names a list of instances.
    pub(crate) fn is_instances(&self, number: u16) -> bool {
        self.candidates(Column::Instances).contains(&number)
    }
}
