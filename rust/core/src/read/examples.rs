//! The solved cases that a Natural Instructions file gives beside its instances.

use super::entries::{Entries, Value, objects_of};
use super::fields::{Column, Fields};
use super::natural::fields;
use super::scan::skip_space;

/// The key of the list of cases, on its own or within [`OLD_KEY`].
pub(super) const KEY: &str = "Positive Examples";
/// The key of the object that holds the lists of cases in files of the first version.
pub(super) const OLD_KEY: &str = "Examples";

/// A case with its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// What is asked of.
    pub input: String,
    /// The answer; the first where there are several.
    pub output: String,
}

/// The cases in the value of `key`, in order. None where it has something else than cases, such as `"-"`; what is no whole case is passed
/// over, for the file's rows are none the worse for it.
pub(super) fn positive(key: &str, value: &[u8]) -> Vec<Example> {
    let mut entries = Entries::default();
    if key == KEY {
        return cases(value, &mut entries);
    }
    let fields = Fields::new(super::fields::Layout::Instruction, []);
    entries.clear(fields.len());
    if entries.read_object(value, 0, value.len(), &fields).is_err() {
        return Vec::new();
    }
    let list = entries.list.iter().find(|entry| entry.key.of(&entries.text) == KEY);
    match list.and_then(|entry| entry.raw) {
        Some((start, end)) => cases(&value[start..end], &mut entries),
        None => Vec::new(),
    }
}

fn cases(value: &[u8], entries: &mut Entries) -> Vec<Example> {
    let start = skip_space(value, 0);
    let objects = if value.get(start) == Some(&b'[') { objects_of(value, start, value.len()) } else { None };
    let fields = fields();
    objects.unwrap_or_default().into_iter().filter_map(|place| case(value, place, entries, &fields)).collect()
}

fn case(
    value: &[u8],
    (start, end): (usize, usize),
    entries: &mut Entries,
    fields: &Fields,
) -> Option<Example> {
    entries.clear(fields.len());
    entries.read_object(value, start, end, fields).ok()?;
    let text = |column| {
        let name = *fields.candidates(column).first()?;
        let at = entries.found[usize::from(name)].checked_sub(1)?;
        let span = match entries.list[at].value {
            Value::Text(span) | Value::Number(span) => span,
            Value::Texts(first, behind) if column == Column::Output => {
                *entries.texts[first..behind].first()?
            }
            _ => return None,
        };
        Some(span.of(&entries.text).to_owned())
    };
    Some(Example { input: text(Column::Input)?, output: text(Column::Output)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(key: &str, value: &str) -> Vec<(String, String)> {
        positive(key, value.as_bytes()).into_iter().map(|one| (one.input, one.output)).collect()
    }

    fn pair(input: &str, output: &str) -> (String, String) {
        (input.to_owned(), output.to_owned())
    }

    #[test]
    fn every_schema_gives_its_cases_in_order() {
        let list = r#" [{"input": "a\u00e9", "output": "b", "explanation": "c"}, {"output": ["d", "e"], "input": "f"}]"#;
        let cases = [pair("a\u{e9}", "b"), pair("f", "d")];
        assert_eq!(pairs(KEY, list), cases);
        let old = format!(
            r#"{{"Negative Examples": [{{"input": "x", "output": "y"}}], "Positive Examples":{list}}}"#
        );
        assert_eq!(pairs(OLD_KEY, &old), cases);
        assert_eq!(pairs(KEY, r#"[{"input": 5, "output": 2.50, "reason": NaN}]"#), [pair("5", "2.50")]);
    }

    #[test]
    fn what_is_no_case_is_passed_over() {
        for nothing in [
            r#""-""#,
            "[]",
            "null",
            r#"["-"]"#,
            r#"[{"input": "a"}]"#,
            r#"[{"input": "a", "output": []}]"#,
            r#"[{"input": ["a"], "output": "b"}]"#,
            r#"[{"input": "\ud800", "output": "b"}]"#,
            r#"[{"input" "a"}]"#,
        ] {
            assert_eq!(pairs(KEY, nothing), [], "{nothing}");
        }
        assert_eq!(pairs(KEY, r#"[{"input": "a"}, {"input": "b", "output": "c"}]"#), [pair("b", "c")]);
        for nothing in ["[]", r#""-""#, r#"{"Positive Examples": "-"}"#, "{}", "{"] {
            assert_eq!(pairs(OLD_KEY, nothing), [], "{nothing}");
        }
    }
}
