//! The short way through an object of texts, lists of texts, numbers and truth values: what nearly every record is.
//!
//! It answers what `jiter` would, or not at all: what is nested, unusual or wrong is left to the general way, which also knows the reason.
//! A text is looked at eight bytes at a time and copied straight to where it belongs.

use super::Span;
use super::entries::{Entries, Entry, Value};
use super::fields::Fields;
use super::scan::skip_space;

impl Entries {
    /// Appends the entries of the plain object that begins at `start` of `text`; the index behind it. Where there is none, the entries are
    /// of no use. `base` is where `text` begins in the data.
    pub(super) fn read_plain(
        &mut self,
        text: &str,
        start: usize,
        base: usize,
        fields: &Fields,
    ) -> Option<usize> {
        let data = text.as_bytes();
        let first = self.list.len();
        let mut seen = None;
        let mut at = skip_space(data, behind(data, start, b'{')?);
        if data.get(at) == Some(&b'}') {
            return Some(at + 1);
        }
        loop {
            let key = behind(data, at, b'"')?;
            at = plain_end(data, key);
            let key = text.get(key..at)?;
            let (name, key) = (fields.number(key), self.keep(key));
            at = skip_space(data, behind(data, at, b'"')?);
            at = skip_space(data, behind(data, at, b':')?);
            let value_start = at;
            let value = match name {
                Some(name) if data.get(at) == Some(&b'[') => {
                    if fields.is_messages(name) || fields.is_instances(name) {
                        return None;
                    }
                    self.plain_texts(text, &mut at)?
                }
                Some(_) => self.plain_scalar(text, &mut at)?,
                None => {
                    skip_scalar(data, &mut at)?;
                    Value::Other
                }
            };
            let raw = Some((base + value_start, base + at));
            self.push(Entry { key, name, value, raw, used: false }, first, &mut seen);
            at = skip_space(data, at);
            match data.get(at)? {
                b',' => at = skip_space(data, at + 1),
                b'}' => return Some(at + 1),
                _ => return None,
            }
        }
    }

    fn plain_texts(&mut self, text: &str, at: &mut usize) -> Option<Value> {
        let data = text.as_bytes();
        let first = self.texts.len();
        *at = skip_space(data, *at + 1);
        if data.get(*at) == Some(&b']') {
            *at += 1;
            return Some(Value::Texts(first, first));
        }
        loop {
            match self.plain_scalar(text, at)? {
                Value::Text(span) => self.texts.push(span),
                Value::Number(span) => {
                    self.texts.push(span);
                    self.numbers_in_lists = true;
                }
                _ => return None,
            }
            *at = skip_space(data, *at);
            match data.get(*at)? {
                b',' => *at = skip_space(data, *at + 1),
                b']' => {
                    *at += 1;
                    return Some(Value::Texts(first, self.texts.len()));
                }
                _ => return None,
            }
        }
    }

    fn plain_scalar(&mut self, text: &str, at: &mut usize) -> Option<Value> {
        let start = *at;
        if text.as_bytes().get(start) == Some(&b'"') {
            return self.plain_text(text, at).map(Value::Text);
        }
        skip_scalar(text.as_bytes(), at)?;
        let word = text.get(start..*at)?;
        Some(if word == "null" { Value::Missing } else { Value::Number(self.keep(word)) })
    }

    fn plain_text(&mut self, text: &str, at: &mut usize) -> Option<Span> {
        let data = text.as_bytes();
        let start = self.text.len();
        let mut from = *at + 1;
        loop {
            let end = plain_end(data, from);
            self.text.push_str(text.get(from..end)?);
            if *data.get(end)? == b'"' {
                *at = end + 1;
                return Some(Span::new(start, self.text.len()));
            }
            let (character, behind) = escape(data, end)?;
            self.text.push(character);
            from = behind;
        }
    }
}

/// The index behind `byte`, if it is at `at`.
fn behind(data: &[u8], at: usize, byte: u8) -> Option<usize> {
    (data.get(at) == Some(&byte)).then_some(at + 1)
}

/// Index of the first quote, backslash or control character from `at` on, or of the end.
fn plain_end(data: &[u8], mut at: usize) -> usize {
    const ONES: u64 = u64::MAX / 255;
    // Marks the bytes of `word` that are below `limit`, which is at most 128. Above the lowest marked one others may be marked wrongly.
    let below = |word: u64, limit: u8| word.wrapping_sub(ONES * u64::from(limit)) & !word & (ONES << 7);
    while let Some(eight) = data[at..].first_chunk() {
        let word = u64::from_le_bytes(*eight);
        let equals = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
        let marked = equals(b'"') | equals(b'\\') | below(word, b' ');
        if marked != 0 {
            return at + marked.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = data[at..].iter().position(|&byte| matches!(byte, b'"' | b'\\' | 0..b' '));
    rest.map_or(data.len(), |length| at + length)
}

/// The character that the escape at `at` stands for, and the index behind it.
fn escape(data: &[u8], at: usize) -> Option<(char, usize)> {
    let behind = behind(data, at, b'\\')? + 1;
    let character = match data.get(behind - 1)? {
        quoted @ (b'"' | b'\\' | b'/') => char::from(*quoted),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let unit = hexadecimal(data, behind)?;
            if let Some(character) = char::from_u32(unit) {
                return Some((character, behind + 4));
            }
            let low = hexadecimal(data, data[behind + 4..].starts_with(b"\\u").then_some(behind + 6)?)?;
            let pair = (0xd800..0xdc00).contains(&unit) && (0xdc00..0xe000).contains(&low);
            let both = pair.then(|| 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00))?;
            return Some((char::from_u32(both)?, behind + 10));
        }
        _ => return None,
    };
    Some((character, behind))
}

fn hexadecimal(data: &[u8], at: usize) -> Option<u32> {
    let digits = data.get(at..at + 4)?;
    digits.iter().try_fold(0, |number, &digit| Some(number << 4 | char::from(digit).to_digit(16)?))
}

/// Moves behind a text, number, truth value or `null`.
fn skip_scalar(data: &[u8], at: &mut usize) -> Option<()> {
    let start = *at;
    let word = |word: &str| data[start..].starts_with(word.as_bytes()).then_some(start + word.len());
    *at = match data.get(start)? {
        b'"' => {
            let mut end = plain_end(data, start + 1);
            while *data.get(end)? != b'"' {
                end = plain_end(data, escape(data, end)?.1);
            }
            end + 1
        }
        b't' => word("true")?,
        b'f' => word("false")?,
        b'n' => word("null")?,
        _ => number_end(data, start)?,
    };
    Some(())
}

/// Index behind the number that begins at `at`.
fn number_end(data: &[u8], at: usize) -> Option<usize> {
    let digits = |from: usize| {
        let count = data[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        (count > 0).then_some(from + count)
    };
    let whole = at + usize::from(data.get(at) == Some(&b'-'));
    let mut end = digits(whole)?;
    if data[whole] == b'0' && end > whole + 1 {
        return None;
    }
    if data.get(end) == Some(&b'.') {
        end = digits(end + 1)?;
    }
    if matches!(data.get(end), Some(b'e' | b'E')) {
        end = digits(end + 1 + usize::from(matches!(data.get(end + 1), Some(b'+' | b'-'))))?;
    }
    Some(end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fields::{Column, Layout};
    use super::*;

    type Found = (usize, String, Vec<Span>, Vec<(String, Value, Option<(usize, usize)>)>, Vec<usize>, bool);

    /// What the short way and the general way find.
    fn both(data: &[u8]) -> (Option<Found>, Option<Found>) {
        let names = [(Column::Instruction, "a"), (Column::Output, "b"), (Column::Instances, "i")];
        let fields =
            Fields::new(Layout::Instruction, names.map(|(column, name)| (column, vec![name.to_owned()])));
        let found = |way: fn(&mut Entries, &[u8], &Fields) -> Option<usize>| {
            let mut entries = Entries::default();
            entries.clear(fields.len());
            let behind = way(&mut entries, data, &fields)?;
            let key = |entry: &Entry| (entry.key.of(&entries.text).to_owned(), entry.value, entry.raw);
            let list = entries.list.iter().map(key).collect();
            Some((behind, entries.text, entries.texts, list, entries.found, entries.numbers_in_lists))
        };
        (
            found(|entries, data, fields| entries.read_plain(std::str::from_utf8(data).ok()?, 0, 0, fields)),
            found(|entries, data, fields| entries.read_general(data, 0, fields).ok()),
        )
    }

    #[test]
    fn plain_objects_go_the_short_way() {
        for text in [
            "{}",
            r#" {"a": "x"}"#.trim_start(),
            r#"{"a":"0123456\n\"\\\/\b\f\r\t\u00e9\ud83d\ude00 é","c":"\u0041","a":"twice"} more"#,
            "{ \"b\" :\t[ \"x\" , 1, -0.5e+7 , true ] ,\r\n \"c\" : null, \"d\":1E5,\"e\":false,\"b\":[] }",
        ] {
            let (short, general) = both(text.as_bytes());
            assert!(short.is_some(), "{text}");
            assert_eq!(short, general, "{text}");
        }
    }

    #[test]
    fn all_else_is_left_to_the_general_way() {
        for text in [
            r#"{"a": {}}"#,
            r#"{"c": []}"#,
            r#"{"i": []}"#,
            r#"{"b": [null]}"#,
            r#"{"a": 01}"#,
            r#"{"a": NaN}"#,
            r#"{"a": 1.}"#,
            r#"{"a": "\ud800"}"#,
            r#"{"a": "\ud800\u0041"}"#,
            r#"{"a": "\x"}"#,
            "{\"a\": \"\n\"}",
            r#"{"a": "x",}"#,
            r#"{"a": "x"#,
            r#"{"a" "x"}"#,
            r#"{"a": tru}"#,
            "[]",
            "",
        ] {
            assert_eq!(both(text.as_bytes()).0, None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn both_ways_find_the_same(pieces in prop::collection::vec(prop_oneof![
            prop::sample::select(vec![
                "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u00e9", "\\ud83d\\ude00", "\\ud83d", "\\n", "\"a\":", "\"b\":[", "\"c\":",
                "{\"a\":\"", "\",\"b\":\"", "\"]}", "\"}", "1", "-", "0", ".5", "e9", "true", "null", "NaN", " ", "\n", "\u{1}",
            ]).prop_map(str::to_owned),
            "[ -~]{0,20}", ".{0,5}",
        ], 0..12), broken in any::<Option<(prop::sample::Index, u8)>>()) {
            let mut data = format!("{{\"a\":{}", pieces.concat()).into_bytes();
            if let Some((at, byte)) = broken {
                let at = at.index(data.len());
                data[at] = byte;
            }
            let (short, general) = both(&data);
            if short.is_some() {
                prop_assert_eq!(short, general);
            }
        }
    }
}
