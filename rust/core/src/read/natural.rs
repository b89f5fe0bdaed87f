//! Natural Instructions: one object, whose `Instances` share everything else in it.
//!
//! The keys come in any order, so the file is cut first, `Instances` included, and its rows are parsed when the rest is known.

use jiter::Jiter;

use super::Facts;
use super::cut::{ArrayCutter, Progress, Record, TRUNCATED};
use super::entries::{Entries, Value};
use super::fields::{Column, Fields, Layout};
use super::scan::{skip_space, string_end, value_end};

/// What a file is, before its instances are parsed.
#[derive(Debug, Default)]
pub struct Document {
    /// What it says of all its rows.
    pub facts: Facts,
    /// Its instances.
    pub instances: Vec<Record>,
    /// Why none of its instances can be a row.
    pub problem: Option<&'static str>,
    /// Where it stops making sense: the index of the instance that would have come, the first byte that is lost, and why.
    pub broken: Option<(u64, usize, &'static str)>,
}

#[derive(Debug, Default)]
struct Header {
    definition: Vec<String>,
    categories: Vec<String>,
    input_language: Vec<String>,
    output_language: Vec<String>,
    licence: Vec<String>,
}

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
    document.broken = walk(data, &mut document, &mut header, &mut has_instances).err();
    if !has_instances && document.broken.is_none() {
        document.broken = Some((0, 0, "no Instances: not a Natural Instructions file"));
    }
    let joined = |texts: &[String], between: &str| (!texts.is_empty()).then(|| texts.join(between));
    document.facts = Facts {
        instruction: joined(&header.definition, "\n"),
        category: joined(&header.categories, "; "),
        language: language(&header.input_language, &header.output_language),
        licence: joined(&header.licence, "; "),
    };
    document
}

fn walk(
    data: &[u8],
    document: &mut Document,
    header: &mut Header,
    has_instances: &mut bool,
) -> Result<(), (u64, usize, &'static str)> {
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
            *has_instances = true;
            document.instances.clear();
            match ArrayCutter::new(start).cut(data, usize::MAX, &mut document.instances) {
                Progress::Broken { position, start, reason } => return Err((position, start, reason)),
                Progress::Closed(end) => end,
                Progress::More => start,
            }
        } else {
            let Some(end) = value_end(data, start) else { return lost(document, at, TRUNCATED) };
            if key == "Instances" {
                return lost(document, at, "Instances is not a list");
            }
            if let Err(problem) = header.take(key, &data[start..end]) {
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
