//! Where a JSON value ends, by quotes and brackets alone.
//!
//! It costs one pass, needs no stack however deep the nesting, and still finds the end of a value that the parser refuses.

use memchr::memchr2;

/// The bytes outside strings that decide where a value ends.
const MATTERS: [bool; 256] = {
    let mut matters = [false; 256];
    matters[b'"' as usize] = true;
    matters[b'{' as usize] = true;
    matters[b'}' as usize] = true;
    matters[b'[' as usize] = true;
    matters[b']' as usize] = true;
    matters
};

/// Index of the first byte at or behind `at` that is not JSON white space.
pub fn skip_space(data: &[u8], mut at: usize) -> usize {
    while matches!(data.get(at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
        at += 1;
    }
    at
}

/// Index behind the string whose opening quote is at `quote`; `None` when the data ends first.
pub fn string_end(data: &[u8], quote: usize) -> Option<usize> {
    let mut at = quote + 1;
    loop {
        at += memchr2(b'"', b'\\', data.get(at..)?)?;
        if data[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// Index behind the value that starts at `start`; `None` when the data ends before the value surely does.
pub fn value_end(data: &[u8], start: usize) -> Option<usize> {
    match data.get(start)? {
        b'"' => string_end(data, start),
        b'{' | b'[' => {
            let mut depth = 0_usize;
            let mut at = start;
            loop {
                // Indentation is much of what lies between the strings.
                while data[at..].starts_with(&[b' '; 8]) {
                    at += 8;
                }
                at += data[at..].iter().position(|&byte| MATTERS[byte as usize])?;
                match data[at] {
                    b'"' => at = string_end(data, at)?,
                    b'{' | b'[' => {
                        depth += 1;
                        at += 1;
                    }
                    _ => {
                        depth -= 1;
                        at += 1;
                        if depth == 0 {
                            return Some(at);
                        }
                    }
                }
            }
        }
        _ => {
            let behind = |byte: &u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\r' | b'\n');
            data[start..].iter().position(behind).map(|length| start + length)
        }
    }
}

/// The first `characters` characters of `raw`, with replacement characters where it is not UTF-8.
pub fn excerpt(raw: &[u8], characters: usize) -> String {
    let bytes = &raw[..raw.len().min(characters * 4)];
    String::from_utf8_lossy(bytes).chars().take(characters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_found_without_understanding_the_value() {
        for (text, end) in [
            (r#"{"a": "}\"", "b": [1, {}]} ,"#, Some(26)),
            (r#""\\" x"#, Some(4)),
            ("12.5]", Some(4)),
            ("tru, ", Some(3)),
            (r#"{"a": [1"#, None),
            (r#""a\"#, None),
            ("12", None),
            ("", None),
        ] {
            assert_eq!(value_end(text.as_bytes(), 0), end, "{text}");
        }
    }

    #[test]
    fn nesting_needs_no_stack() {
        let bomb = vec![b'['; 10_000_000];
        assert_eq!(value_end(&bomb, 0), None);
    }

    #[test]
    fn an_excerpt_counts_characters() {
        assert_eq!(excerpt("häß".as_bytes(), 2), "hä");
        assert_eq!(excerpt(b"a\xffb", 10), "a\u{fffd}b");
    }
}
