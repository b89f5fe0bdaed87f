//! A template's own marks in the text of rows.

use std::borrow::Cow;

/// What happens to a text that holds a mark.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Handling {
    /// It stays as it is.
    #[default]
    Keep,
    /// Its row goes.
    Refuse,
    /// The filler is put behind the first character of every mark, and one more where there are some already; so taking one
    /// out of each brings the text back.
    Escape,
}

/// The texts that mean something to whoever reads a rendered row.
#[derive(Debug, Default)]
pub struct Marks {
    first: Vec<char>,
    rest: Vec<(char, String)>,
    filler: char,
    /// What happens to a text that holds one.
    pub handling: Handling,
}

impl Marks {
    /// Marks of at least two characters; shorter ones could not be escaped, and are no marks.
    pub fn new(texts: &[String], handling: Handling, filler: char) -> Self {
        let mut rest: Vec<(char, String)> = texts
            .iter()
            .filter_map(|text| {
                let mut characters = text.chars();
                let first = characters.next()?;
                let rest = characters.as_str();
                (!rest.is_empty()).then(|| (first, rest.to_owned()))
            })
            .collect();
        rest.sort();
        rest.dedup();
        let mut first: Vec<char> = rest.iter().map(|(first, _)| *first).collect();
        first.dedup();
        Self { first, rest, filler, handling }
    }

    /// Whether a mark begins where `text` does.
    fn begins(&self, text: &str) -> bool {
        let mut characters = text.chars();
        let Some(first) = characters.next().filter(|first| self.first.contains(first)) else { return false };
        let behind = characters.as_str().trim_start_matches(self.filler);
        self.rest.iter().any(|(character, rest)| *character == first && behind.starts_with(rest.as_str()))
    }

    /// Where marks begin in `text`.
    pub fn find<'a>(&'a self, text: &'a str) -> impl Iterator<Item = usize> + 'a {
        text.match_indices(self.first.as_slice()).map(|(at, _)| at).filter(|at| self.begins(&text[*at..]))
    }

    /// The text with its marks escaped, and whether there was one.
    pub fn escape<'a>(&self, text: &'a str) -> (Cow<'a, str>, bool) {
        let mut escaped = String::new();
        let mut done = 0;
        for at in self.find(text) {
            let next = at + text[at..].chars().next().map_or(0, char::len_utf8);
            escaped.push_str(&text[done..next]);
            escaped.push(self.filler);
            done = next;
        }
        if done == 0 {
            return (Cow::Borrowed(text), false);
        }
        escaped.push_str(&text[done..]);
        (Cow::Owned(escaped), true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The marks' texts taken out again, from the end: what stands behind a mark is then as it was.
    fn unescape(marks: &Marks, text: &str) -> String {
        let mut back = String::new();
        let mut characters: Vec<char> = text.chars().collect();
        while let Some(character) = characters.pop() {
            let candidate = format!("{character}{back}");
            back = match back.strip_prefix(marks.filler) {
                Some(less) if marks.begins(&candidate) => format!("{character}{less}"),
                _ => candidate,
            };
        }
        back
    }

    proptest::proptest! {
        #[test]
        fn escaped_text_holds_no_mark_and_comes_back(text in "[<|a>\u{200b}]{0,24}") {
            let texts = ["<|a|>".to_owned(), "<<".to_owned(), "aa|".to_owned(), "a".to_owned()];
            let marks = Marks::new(&texts, Handling::Escape, '\u{200b}');
            let (escaped, found) = marks.escape(&text);
            for mark in &texts[..3] {
                proptest::prop_assert!(!escaped.contains(mark.as_str()));
            }
            proptest::prop_assert_eq!(found, escaped != text);
            proptest::prop_assert_eq!(unescape(&marks, &escaped), text);
        }
    }
}
