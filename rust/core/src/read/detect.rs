//! What a JSON file is, by its beginning.

use jiter::Jiter;
use memchr::memchr;

use super::scan::{skip_space, string_end, value_end};

/// How the records lie in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// Nothing but white space.
    Empty,
    /// One JSON value per line.
    Lines,
    /// One JSON array.
    Array,
    /// One object over several lines, or one with `Instances`.
    Document,
}

/// The names under which conversations lie, when the recipe names none.
pub const MESSAGES: [&str; 3] = ["conversations", "messages", "conversation"];

/// The container whose first bytes are `head`.
pub fn container(head: &[u8]) -> Container {
    let first = skip_space(head, 0);
    match head.get(first) {
        None => Container::Empty,
        Some(b'[') => Container::Array,
        Some(b'{') if keys(head).iter().any(|key| key == "Instances") => Container::Document,
        Some(b'{') => {
            let Some(newline) = memchr(b'\n', &head[first..]).map(|length| first + length) else {
                return Container::Lines;
            };
            let next = head.get(skip_space(head, newline));
            if value_end(&head[..newline], first).is_some() || matches!(next, None | Some(b'{')) {
                Container::Lines
            } else {
                Container::Document
            }
        }
        Some(_) => Container::Lines,
    }
}

/// Whether more of a file than its first bytes `head` would change nothing: the first line is one whole record.
pub fn is_clear(head: &[u8]) -> bool {
    let first = skip_space(head, 0);
    let newline = memchr(b'\n', &head[first..]).map(|length| first + length);
    let whole = |newline| head.get(first) == Some(&b'{') && value_end(&head[..newline], first).is_some();
    newline.is_some_and(whole) && container(head) == Container::Lines
}

/// The keys of the first object, as far as `head` goes.
pub fn keys(head: &[u8]) -> Vec<String> {
    let mut keys = Vec::new();
    let mut at = skip_space(head, 0);
    if head.get(at) == Some(&b'[') {
        at = skip_space(head, at + 1);
    }
    if head.get(at) != Some(&b'{') {
        return keys;
    }
    at = skip_space(head, at + 1);
    while head.get(at) == Some(&b'"') {
        let Some(end) = string_end(head, at) else { break };
        if let Ok(key) = Jiter::new(&head[at..end]).next_str() {
            keys.push(key.to_owned());
        }
        // Nothing behind it changes what the file is, and it is nearly all of it.
        if keys.last().is_some_and(|key| key == "Instances") {
            break;
        }
        let colon = skip_space(head, end);
        let Some(end) = value_end(head, skip_space(head, colon + 1)) else { break };
        let comma = skip_space(head, end);
        if head.get(comma) != Some(&b',') {
            break;
        }
        at = skip_space(head, comma + 1);
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_told_apart_by_content() {
        for (text, expected) in [
            (" \n", Container::Empty),
            ("\n[{}]", Container::Array),
            ("{\"a\": 1}\n{\"a\": 2}", Container::Lines),
            ("{\"a\": 1}", Container::Lines),
            ("{\"a\": 1}\ngarbage", Container::Lines),
            ("{\"a\": \n{\"a\": 2}", Container::Lines),
            ("{\n  \"a\": 1\n}", Container::Document),
            ("{\"Definition\": [], \"Instances\": [{\"in", Container::Document),
            ("{\"instances\": []}", Container::Lines),
            ("garbage", Container::Lines),
        ] {
            assert_eq!(container(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn only_lines_are_clear_and_only_when_the_first_is_whole() {
        for (text, clear) in [
            ("\n{\"a\": 1}\n", true),
            ("{\"a\": 1}\ngarbage", true),
            ("{\"a\": 1}", false),
            ("{\"a\": \n1}", false),
            ("{\"Instances\": []}\n", false),
            ("[{}]\n", false),
            ("a,b\n", false),
            ("", false),
        ] {
            assert_eq!(is_clear(text.as_bytes()), clear, "{text}");
        }
    }

    #[test]
    fn keys_of_the_first_object_are_seen_as_far_as_they_go() {
        assert_eq!(keys(br#"[{"a": [1, "}"], "b\u0063": {}, "d": "cut of"#), ["a", "bc", "d"]);
        assert!(keys(b"[1]").is_empty());
    }
}
