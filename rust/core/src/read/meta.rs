//! What a record had besides its columns, as one JSON object.

use std::fmt::Write as _;

use jiter::{Jiter, Peek};

use super::entries::{Entries, Value};

/// Writes `text` as a JSON string.
fn write_string(out: &mut String, text: &str) {
    out.push('"');
    if !text.bytes().any(|byte| byte < b' ' || matches!(byte, b'"' | b'\\')) {
        out.push_str(text);
        out.push('"');
        return;
    }
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control < ' ' => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

/// Writes the unused entries into `out`; whether there were any. The values stay as they are in the record.
pub(crate) fn write_meta(entries: &Entries, data: &[u8], out: &mut String) -> bool {
    out.clear();
    for entry in entries.list.iter().filter(|entry| !entry.used) {
        out.push(if out.is_empty() { '{' } else { ',' });
        write_string(out, entry.key.of(&entries.text));
        out.push(':');
        match (entry.raw, entry.value) {
            // `read_object` has checked that it is UTF-8.
            (Some((start, end)), _) => out.push_str(std::str::from_utf8(&data[start..end]).unwrap_or("null")),
            (None, Value::Text(span)) => write_string(out, span.of(&entries.text)),
            (None, _) => out.push_str("null"),
        }
    }
    if !out.is_empty() {
        out.push('}');
    }
    !out.is_empty()
}

/// The text of one key of a `meta` object: a string's own text, the JSON of anything else, `None` for `null` or when absent.
///
/// Of repeated keys the last counts. Text that is no JSON object has no keys.
pub fn meta_field(meta: &str, name: &str) -> Option<String> {
    let mut jiter = Jiter::new(meta.as_bytes()).with_allow_inf_nan();
    let mut found = None;
    let mut key = jiter.next_object().ok()?;
    while let Some(text) = key {
        let is_it = text == name;
        let peek = jiter.peek().ok()?;
        let start = jiter.current_index();
        if is_it && peek == Peek::String {
            found = Some(jiter.known_str().ok()?.to_owned());
        } else {
            jiter.known_skip(peek).ok()?;
            if is_it {
                found = (peek != Peek::Null).then(|| meta[start..jiter.current_index()].to_owned());
            }
        }
        key = jiter.next_key().ok()?;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_text_or_the_json_it_is() {
        let meta = r#"{"a":"x\ny","b":1.50,"c":null,"d":[1, 2],"a\u0062":true,"e":1,"e":2}"#;
        for (name, value) in [
            ("a", Some("x\ny")),
            ("b", Some("1.50")),
            ("c", None),
            ("d", Some("[1, 2]")),
            ("ab", Some("true")),
            ("e", Some("2")),
            ("z", None),
        ] {
            assert_eq!(meta_field(meta, name).as_deref(), value, "{name}");
        }
        assert_eq!(meta_field("no json", "a"), None);
    }

    #[test]
    fn strings_are_escaped() {
        let mut out = String::new();
        write_string(&mut out, "\"\\\n\r\t\0é");
        assert_eq!(out, r#""\"\\\n\r\t\u0000é""#);
    }
}
