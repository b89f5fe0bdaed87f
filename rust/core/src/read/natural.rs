//! Natural Instructions: one object, whose `Instances` share everything else in it.
//!
//! The keys come in any order, so the file is cut first, `Instances` included, and its rows are parsed when the rest is known.

use jiter::Jiter;
use memchr::memmem;

use super::cut::{ArrayCutter, Progress, Record, TRUNCATED};
use super::entries::{Entries, Value};
use super::examples::{self, Example};
use super::fields::{Column, Fields, Layout};
use super::rows::{Plan, RowReader};
use super::scan::{skip_space, string_end, value_end};
use super::{Facts, Sink};

/// What a file is, before its instances are parsed.
#[derive(Debug, Default)]
pub struct Document {
    /// What it says of all its rows.
    pub facts: Facts,
    /// Its instances.
    pub instances: Vec<Record>,
    /// The solved cases that it gives beside them.
    pub examples: Vec<Example>,
    /// Why none of its instances can be a row.
    pub problem: Option<&'static str>,
    /// Where it stops making sense: the index of the instance that would have come, the first byte that is lost, and why.
    pub broken: Option<Lost>,
}

#[derive(Debug, Clone, Default)]
struct Header {
    definition: Vec<String>,
    categories: Vec<String>,
    input_language: Vec<String>,
    output_language: Vec<String>,
    licence: Vec<String>,
}

/// Where a licence behind the instances is looked for.
const NEAR_END: usize = 4096;

/// The columns of an instance; what else it has goes to `meta`.
pub fn fields() -> Fields {
    let named = |name: &str| vec![name.to_owned()];
    Fields::new(Layout::Instruction, [(Column::Input, named("input")), (Column::Output, named("output"))])
}

/// Finds the parts of a file. Values of keys that no row needs are passed over without a look, `NaN` and all.
pub fn document(data: &[u8]) -> Document {
    let mut document = Document::default();
    let mut header = Header::default();
    let mut has_instances = false;
    let cut = |instances: &mut Vec<Record>, _: &Header, bracket: usize| {
        has_instances = true;
        instances.clear();
        match ArrayCutter::new(bracket).cut(data, usize::MAX, true, instances) {
            Progress::Broken { position, start, reason } => Err((position, start, reason)),
            Progress::Closed(end) => Ok(end),
            Progress::More => Ok(bracket),
        }
    };
    document.broken = walk(data, &mut document, &mut header, cut).err();
    if !has_instances && document.broken.is_none() {
        document.broken = Some((0, 0, "no Instances: not a Natural Instructions file"));
    }
    document.facts = header.facts();
    document
}

/// Reads a file in one pass instead of cutting it first, at about half the cost, and gives its solved cases, where that was possible.
///
/// Only what follows `Instances` can change the rows afterwards, and in practice that is the licence, close to the end of the file:
/// it is looked for there, and compared with what the whole file turns out to say. When it is something else, or anything is wrong
/// with the file, the answer is `None`: what `sink` was given is void, and [`document`] tells the whole story.
pub fn read_in_one_pass(data: &[u8], plan: &Plan, task: &str, sink: &mut impl Sink) -> Option<Vec<Example>> {
    let mut document = Document::default();
    let mut header = Header::default();
    let mut assumed = None;
    let unclear = (0, 0, TRUNCATED);
    let read = |_: &mut Vec<Record>, header: &Header, bracket: usize| {
        if assumed.is_some() {
            return Err(unclear);
        }
        let facts = header.clone().with_licence_near_end(data).facts();
        let end = read_instances(data, bracket, plan, &facts, task, sink).ok_or(unclear)?;
        assumed = Some(facts);
        Ok(end)
    };
    let walked = walk(data, &mut document, &mut header, read);
    let sound = walked.is_ok() && document.problem.is_none() && assumed == Some(header.facts());
    sound.then_some(document.examples)
}

/// The index behind the array, or `None` when an element is no whole object.
fn read_instances(
    data: &[u8],
    bracket: usize,
    plan: &Plan,
    facts: &Facts,
    task: &str,
    sink: &mut impl Sink,
) -> Option<usize> {
    let mut rows = RowReader::new(plan, facts, task);
    let text = std::str::from_utf8(data).ok();
    let mut at = skip_space(data, bracket + 1);
    for position in 0.. {
        if position == 0 && data.get(at) == Some(&b']') {
            break;
        }
        at = skip_space(data, rows.read_at(data, text, at, position, sink)?);
        match data.get(at)? {
            b',' => at = skip_space(data, at + 1),
            b']' => break,
            _ => return None,
        }
    }
    Some(at + 1)
}

type Lost = (u64, usize, &'static str);

/// Walks over the keys of the file; `instances` takes the array whose bracket it is given and returns the index behind it.
fn walk(
    data: &[u8],
    document: &mut Document,
    header: &mut Header,
    mut instances: impl FnMut(&mut Vec<Record>, &Header, usize) -> Result<usize, Lost>,
) -> Result<(), Lost> {
    let lost = |document: &Document, at: usize, reason| Err((document.instances.len() as u64, at, reason));
    let mut at = skip_space(data, 0);
    if data.get(at) != Some(&b'{') {
        return lost(document, at, "not an object");
    }
    at = skip_space(data, at + 1);
    while data.get(at) != Some(&b'}') {
        if data.get(at).is_some_and(|&byte| byte != b'"') {
            return lost(document, at, "invalid JSON: a key is not a string");
        }
        let Some(key_end) = string_end(data, at) else { return lost(document, at, TRUNCATED) };
        let colon = skip_space(data, key_end);
        match data.get(colon) {
            Some(b':') => {}
            Some(_) => return lost(document, at, "invalid JSON: expected `:`"),
            None => return lost(document, at, TRUNCATED),
        }
        let start = skip_space(data, colon + 1);
        let mut key = Jiter::new(&data[at..key_end]);
        let key = key.next_str().unwrap_or_default();
        let end = if key == "Instances" && data.get(start) == Some(&b'[') {
            instances(&mut document.instances, header, start)?
        } else {
            let Some(end) = value_end(data, start) else { return lost(document, at, TRUNCATED) };
            if key == "Instances" {
                return lost(document, at, "Instances is not a list");
            }
            if matches!(key, examples::KEY | examples::OLD_KEY) {
                document.examples = examples::positive(key, &data[start..end]);
            } else if let Err(problem) = header.take(key, &data[start..end]) {
                document.problem = document.problem.or(Some(problem));
            }
            end
        };
        at = skip_space(data, end);
        match data.get(at) {
            Some(b',') => {
                at = skip_space(data, at + 1);
                if data.get(at) == Some(&b'}') {
                    return lost(document, at, "invalid JSON: trailing comma");
                }
            }
            Some(b'}') => {}
            Some(_) => return lost(document, at, "invalid JSON: expected `,` or `}`"),
            None => return lost(document, at, TRUNCATED),
        }
    }
    let rest = skip_space(data, at + 1);
    if rest < data.len() { lost(document, rest, "invalid JSON: more than one value") } else { Ok(()) }
}

impl Header {
    fn facts(&self) -> Facts {
        let joined = |texts: &[String], between: &str| (!texts.is_empty()).then(|| texts.join(between));
        Facts {
            instruction: joined(&self.definition, "\n"),
            category: joined(&self.categories, "; "),
            language: language(&self.input_language, &self.output_language),
            licence: joined(&self.licence, "; "),
        }
    }

    /// With the licence that the end of the file seems to give.
    fn with_licence_near_end(mut self, data: &[u8]) -> Self {
        let key = b"\"Instance License\"";
        let tail = &data[data.len().saturating_sub(NEAR_END)..];
        let value = memmem::rfind(tail, key).map(|at| skip_space(tail, at + key.len()));
        if let Some(colon) = value.filter(|&at| tail.get(at) == Some(&b':')) {
            let start = skip_space(tail, colon + 1);
            if let Some(licence) = value_end(tail, start).and_then(|end| texts(&tail[start..end])) {
                self.licence = licence;
            }
        }
        self
    }

    fn take(&mut self, key: &str, value: &[u8]) -> Result<(), &'static str> {
        let (place, problem) = match key {
            "Definition" => (&mut self.definition, "Definition is not text"),
            "Categories" => (&mut self.categories, "Categories is not text"),
            "Input_language" => (&mut self.input_language, "Input_language is not text"),
            "Output_language" => (&mut self.output_language, "Output_language is not text"),
            "Instance License" => (&mut self.licence, "Instance License is not text"),
            _ => return Ok(()),
        };
        *place = texts(value).ok_or(problem)?;
        Ok(())
    }
}

/// The texts of a JSON text or list of texts; none for null.
fn texts(value: &[u8]) -> Option<Vec<String>> {
    // An object of one wanted key goes the way of every other value.
    let object = [b"{\"output\":", value, b"}"].concat();
    let fields = fields();
    let mut entries = Entries::default();
    entries.clear(fields.len());
    entries.read_object(&object, 0, object.len(), &fields).ok()?;
    let owned = |span: &super::Span| span.of(&entries.text).to_owned();
    match entries.list.first()?.value {
        Value::Missing => Some(Vec::new()),
        Value::Text(span) | Value::Number(span) => Some(vec![owned(&span)]),
        Value::Texts(first, behind) => Some(entries.texts[first..behind].iter().map(owned).collect()),
        _ => None,
    }
}

/// One name when input and output have the same single language, else `in>out` with several joined by `; `.
pub fn language(input: &[String], output: &[String]) -> Option<String> {
    match (input, output) {
        ([], []) => None,
        (one, []) | ([], one) => Some(one.join("; ")),
        ([input], [output]) if input == output => Some(input.clone()),
        _ => Some(format!("{}>{}", input.join("; "), output.join("; "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_in_any_order_and_nan_is_passed_over() {
        let text = r#"{"Instances": [{"input": "a"}, 3], "URL": [NaN], "Definition": ["x", "y"],
            "Input_language": ["English"], "Output_language": "English", "Instance License": ["A", "B"]}"#;
        let document = document(text.as_bytes());
        assert_eq!(document.instances.len(), 2);
        assert_eq!((document.problem, document.broken), (None, None));
        assert_eq!(document.facts.instruction.as_deref(), Some("x\ny"));
        assert_eq!(document.facts.language.as_deref(), Some("English"));
        assert_eq!(document.facts.licence.as_deref(), Some("A; B"));
        assert_eq!(document.facts.category, None);
    }

    #[derive(Default)]
    struct Collected(Vec<String>);

    impl Sink for Collected {
        fn row(&mut self, row: &super::super::Row<'_>) {
            self.0.push(format!("{row:?}"));
        }
        fn reject(&mut self, reject: &super::super::Reject<'_>) {
            self.0.push(format!("{reject:?}"));
        }
        fn note(&mut self, note: super::super::Note) {
            self.0.push(format!("{note:?}"));
        }
    }

    fn plan() -> Plan {
        Plan {
            fields: fields(),
            constants: Facts::default(),
            tasks: crate::hash::Map::default(),
            edits: Vec::new(),
            ids_name_tasks: true,
        }
    }

    #[test]
    fn one_pass_gives_what_two_give_or_declines() {
        let instances =
            r#""Instances": [{"input": "a", "output": "b", "id": "task2-1"}, {"input": "c"}, {"output": 1}]"#;
        for (before, behind, possible) in [
            (r#""Definition": "d""#, r#""Instance License": ["x"]"#, true),
            (r#""Definition": "d""#, r#""Other": "\"Instance License\": [\"y\"]""#, true),
            (r#""Instance License": "z""#, r#""Other": "a \"Instance License\" b""#, true),
            (r#""Definition": "d", "Instance License": "z""#, r#""Other": {"Instance License": "y"}"#, false),
            (r#""Instance License": "z""#, r#""Definition": "late""#, false),
            (r#""Definition": {}"#, r#""Other": 1"#, false),
            (r#""Definition": "d""#, r#""Instances": []"#, false),
            (r#""Definition": "d""#, "broken", false),
        ] {
            let text = format!("{{{before}, {instances}, {behind}}}");
            let (data, plan, mut once, mut twice) =
                (text.as_bytes(), plan(), Collected::default(), Collected::default());
            let examples = read_in_one_pass(data, &plan, "task1", &mut once);
            assert_eq!(examples.is_some(), possible, "{text}");
            if possible {
                let document = document(data);
                let mut rows = RowReader::new(&plan, &document.facts, "task1");
                for &record in &document.instances {
                    rows.read(data, record, &mut twice);
                }
                assert_eq!(once.0, twice.0, "{text}");
                assert_eq!(examples, Some(document.examples), "{text}");
                assert!(once.0.len() >= 4, "{text}");
            }
        }
    }

    #[test]
    fn languages_are_named_once_when_they_are_the_same() {
        let languages = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        for (input, output, name) in [
            (&[][..], &[][..], None),
            (&["English"], &["English"], Some("English")),
            (&["English"], &["Spanish"], Some("English>Spanish")),
            (&["English", "French"], &["French"], Some("English; French>French")),
            (&["English"], &[], Some("English")),
        ] {
            assert_eq!(language(&languages(input), &languages(output)).as_deref(), name);
        }
    }

    #[test]
    fn damage_keeps_the_instances_before_it() {
        for (text, instances, reason) in [
            (r#"{"Definition": "d", "Instances": [{"input": "a"}, {"inp"#, 1, TRUNCATED),
            (r#"{"Instances": [{}], "Definition": "d"#, 1, TRUNCATED),
            (r#"{"Instances": [{}]} x"#, 1, "invalid JSON: more than one value"),
            (r#"{"Instances": {}}"#, 0, "Instances is not a list"),
            (r#"{"Definition": "d"}"#, 0, "no Instances: not a Natural Instructions file"),
            ("[1]", 0, "not an object"),
            ("{", 0, TRUNCATED),
            (r#"{"Instances": [{}],}"#, 1, "invalid JSON: trailing comma"),
        ] {
            let document = document(text.as_bytes());
            assert_eq!(document.instances.len(), instances, "{text}");
            assert_eq!(document.broken.map(|(_, _, reason)| reason), Some(reason), "{text}");
        }
        assert_eq!(
            document(br#"{"Definition": {}, "Instances": [{}]}"#).problem,
            Some("Definition is not text")
        );
    }
}
