//! All phrases of the rules that read one part, in one automaton.

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use super::{Part, Place, Rule};
use crate::words::is_unspaced;
use crate::{Error, Result};

/// So many bytes before a phrase are looked at for the quotation mark that it may stand in.
const QUOTATION: usize = 160;

/// Bytes of a text, from `start` up to `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its first byte.
    pub start: usize,
    /// One behind its last.
    pub end: usize,
}

/// Finds the rules that read a part in a text.
#[derive(Debug)]
pub struct Finder {
    /// None where no rule reads the part.
    automaton: Option<AhoCorasick>,
    /// The rule of each phrase.
    rule_of: Vec<u32>,
    rules: Vec<Conditions>,
}

#[derive(Debug)]
struct Conditions {
    place: Place,
    quoted: bool,
    then: Vec<String>,
    not_after: Vec<String>,
    not_before: Vec<String>,
}

impl Finder {
    /// The automaton of the rules that read `part`.
    pub fn new(rules: &[Rule], part: Part) -> Result<Self> {
        let refused =
            |value: String, expected| Error::OutOfRange { name: "a rule's phrase", value, expected };
        let mut phrases = Vec::new();
        let mut rule_of = Vec::new();
        for (rule, number) in rules.iter().zip(0u32..) {
            if rule.phrases.iter().any(String::is_empty) {
                return Err(refused("empty".to_owned(), "a text"));
            }
            if rule.parts.contains(&part) {
                phrases.extend(&rule.phrases);
                rule_of.resize(phrases.len(), number);
            }
        }
        let automaton = (!phrases.is_empty())
            .then(|| {
                AhoCorasick::builder()
                    .ascii_case_insensitive(true)
                    .match_kind(MatchKind::Standard)
                    .kind(Some(AhoCorasickKind::DFA))
                    .build(&phrases)
            })
            .transpose()
            .map_err(|error| refused(error.to_string(), "phrases that fit into one automaton"))?;
        let rules = rules
            .iter()
            .map(|rule| Conditions {
                place: rule.place,
                quoted: rule.quoted,
                then: rule.then.clone(),
                not_after: rule.not_after.clone(),
                not_before: rule.not_before.clone(),
            })
            .collect();
        Ok(Self { automaton, rule_of, rules })
    }

    /// For each rule the first place in `text` where it counts: the one that begins first, and of those the longest.
    ///
    /// A rule that does not count in quotations is not met where, going back at most 160 bytes within the line, the next quotation mark
    /// opens: one of `“`, `‘`, `«`, `「`, `『`, or one of `"`, `'` and the back-tick with white space, an opening bracket, `=`, `:`, `,` or
    /// nothing before it. A mark with no letter or digit before it in the whole text is no quotation: it is the answer that is in quotes.
    pub fn find(&self, text: &str, spans: &mut Vec<Option<Span>>) {
        spans.clear();
        spans.resize(self.rules.len(), None);
        let Some(automaton) = &self.automaton else { return };
        let mut bounds = None;
        for found in automaton.find_overlapping_iter(text) {
            let rule = self.rule_of[found.pattern().as_usize()] as usize;
            let Some(end) = self.rules[rule].end(text, found.end()) else { continue };
            let span = Span { start: found.start(), end };
            let better = spans[rule].is_none_or(|best| {
                (span.start, std::cmp::Reverse(span.end)) < (best.start, std::cmp::Reverse(best.end))
            });
            if better && self.rules[rule].hold(text, span, *bounds.get_or_insert_with(|| letters(text))) {
                spans[rule] = Some(span);
            }
        }
    }
}

/// From the first letter or digit of a text to behind its last; where there is none, from its end to its start.
fn letters(text: &str) -> Span {
    let start = text.find(char::is_alphanumeric).unwrap_or(text.len());
    let end = text.char_indices().rev().find(|(_, character)| character.is_alphanumeric());
    Span { start, end: end.map_or(0, |(at, character)| at + character.len_utf8()) }
}

impl Conditions {
    /// Where a match ends whose phrase ends at `end`; none where the text does not go on as it must.
    fn end(&self, text: &str, end: usize) -> Option<usize> {
        if self.then.is_empty() {
            return Some(end);
        }
        let behind = &text[end..];
        self.then.iter().filter(|then| begins_with(behind, then)).map(|then| end + then.len()).max()
    }

    fn hold(&self, text: &str, span: Span, letters: Span) -> bool {
        let (before, behind) = (&text[..span.start], &text[span.end..]);
        let phrase = &text[span.start..span.end];
        !is_cut(phrase.chars().next(), before.chars().next_back())
            && !is_cut(phrase.chars().next_back(), behind.chars().next())
            && (self.place == Place::Anywhere || span.start <= letters.start)
            && (self.place != Place::Whole || span.end >= letters.end)
            && !self.not_after.iter().any(|text| ends_with(before.as_bytes(), text.as_bytes()))
            && !self.not_before.iter().any(|text| starts_with(behind.as_bytes(), text.as_bytes()))
            && (self.quoted || !is_quoted(before, letters.start))
    }
}

/// Whether `text` begins with the words of `beginning`.
fn begins_with(text: &str, beginning: &str) -> bool {
    starts_with(text.as_bytes(), beginning.as_bytes())
        && !is_cut(beginning.chars().next_back(), text[beginning.len()..].chars().next())
}

/// Whether there is a word of which one part ends with `one` and the other begins with `other`.
fn is_cut(one: Option<char>, other: Option<char>) -> bool {
    one.is_some_and(is_word) && other.is_some_and(is_word)
}

/// Whether a word may go on with `character`.
fn is_word(character: char) -> bool {
    (character.is_alphanumeric() || character == '_') && !is_unspaced(character)
}

fn starts_with(text: &[u8], beginning: &[u8]) -> bool {
    text.get(..beginning.len()).is_some_and(|part| part.eq_ignore_ascii_case(beginning))
}

fn ends_with(text: &[u8], ending: &[u8]) -> bool {
    text.len().checked_sub(ending.len()).is_some_and(|at| text[at..].eq_ignore_ascii_case(ending))
}

/// Whether what follows `before` stands in a quotation: see [`Finder::find`].
fn is_quoted(before: &str, first_letter: usize) -> bool {
    let mut characters = before.char_indices().rev().peekable();
    while let Some((at, character)) = characters.next() {
        if character == '\n' || before.len() - at > QUOTATION {
            return false;
        }
        let outer = characters.peek().map(|&(_, outer)| outer);
        let is_open = match character {
            '“' | '‘' | '«' | '「' | '『' => true,
            '"' | '\'' | '`' => outer.is_none_or(|outer| outer.is_whitespace() || "([{=:,".contains(outer)),
            '”' | '»' | '」' | '』' => return false,
            _ => continue,
        };
        // An apostrophe within a word closes nothing.
        if !is_open && character == '\'' && outer.is_some_and(is_word) {
            continue;
        }
        return is_open && at > first_letter;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(phrases: &[&str]) -> Rule {
        Rule {
            parts: vec![Part::Response],
            place: Place::Anywhere,
            quoted: false,
            phrases: phrases.iter().map(ToString::to_string).collect(),
            then: Vec::new(),
            not_after: Vec::new(),
            not_before: Vec::new(),
        }
    }

    fn found(rule: Rule, text: &str) -> Option<String> {
        let mut spans = Vec::new();
        Finder::new(&[rule], Part::Response).unwrap().find(text, &mut spans);
        spans[0].map(|span| text[span.start..span.end].to_owned())
    }

    #[test]
    fn words_are_whole_and_case_is_not_minded() {
        assert_eq!(found(rule(&["i am an ai"]), "Well, I AM an aI."), Some("I AM an aI".to_owned()));
        for text in ["hi am an ai", "i am an air", "éi am an ai", "i am an ai_", "i am an ai2"] {
            assert_eq!(found(rule(&["i am an ai"]), text), None, "{text}");
        }
        assert_eq!(found(rule(&["我是ai"]), "那么我是AI模型"), Some("我是AI".to_owned()));
        assert_eq!(found(rule(&["<noinput>"]), "a<noinput>b"), Some("<noinput>".to_owned()));
    }

    #[test]
    fn the_first_place_counts_and_of_those_the_longest() {
        let text = "ab. a b c, a b c d";
        assert_eq!(found(rule(&["a b", "a b c", "b c", "a b c d e"]), text), Some("a b c".to_owned()));
        let mut spans = Vec::new();
        Finder::new(&[rule(&["b c d", "c"])], Part::Response).unwrap().find(text, &mut spans);
        assert_eq!(spans[0], Some(Span { start: 8, end: 9 }));
    }

    #[test]
    fn places() {
        let at = |place, text: &str| found(Rule { place, ..rule(&["sorry", "..."]) }, text).is_some();
        assert!(at(Place::Start, " \n\"Sorry, no"));
        assert!(!at(Place::Start, "No, sorry"));
        assert!(at(Place::Start, "...and"));
        assert!(!at(Place::Start, "and..."));
        assert!(at(Place::Whole, "<Sorry>."));
        assert!(!at(Place::Whole, "Sorry, no"));
        assert!(!at(Place::Whole, "So sorry"));
        assert!(at(Place::Whole, " ... "));
    }

    #[test]
    fn neighbours_forbid() {
        let near = Rule {
            not_after: vec!["such ".to_owned()],
            not_before: vec![" show".to_owned()],
            ..rule(&["sorry"])
        };
        let text = "sUch sorry, sorry SHOW";
        assert_eq!(found(near, text), None);
    }

    #[test]
    fn the_text_must_go_on() {
        let sorry = |text: &str| {
            let then = [" go", " go on", "!"].map(str::to_owned).to_vec();
            found(Rule { then, ..rule(&["sorry, i"]) }, text)
        };
        assert_eq!(sorry("So sorry, I GO on, go"), Some("sorry, I GO on".to_owned()));
        assert_eq!(sorry("Sorry, I going. Sorry, I"), None);
        assert_eq!(sorry("Sorry, I!x"), Some("Sorry, I!".to_owned()));
    }

    #[test]
    fn quotations() {
        let is = |text: &str| found(rule(&["as an ai"]), text).is_some();
        assert!(is("\"As an AI\", is how I begin"));
        assert!(is("I'd say, as an AI"));
        assert!(is("It said \"no\" and, as an AI, it"));
        assert!(is("“No”, as an AI"));
        assert!(is("It's the students' turn as an AI"));
        assert!(is(&format!("x \"{} as an AI", "y ".repeat(200))), "too far away");
        assert!(is("x \"\nas an AI"), "another line");
        for text in [
            "It said \"As an AI",
            "x = 'Hi, as an AI",
            "he: “well, as an AI",
            "print(`as an AI`)",
            "說「as an AI",
        ] {
            assert!(!is(text), "{text}");
        }
        assert!(found(Rule { quoted: true, ..rule(&["as an ai"]) }, "It said \"As an AI").is_some());
    }

    #[test]
    fn hostile_texts_take_no_longer() {
        let quotes = "\"".repeat(1 << 20) + &"as an ai ".repeat(1 << 17);
        assert!(found(Rule { place: Place::Start, ..rule(&["as an ai", "\""]) }, &quotes).is_some());
        assert!(found(Rule { place: Place::Whole, ..rule(&["as an ai"]) }, &quotes).is_none());
        assert_eq!(found(rule(&["as an ai"]), ""), None);
        assert!(Finder::new(&[rule(&[""])], Part::Response).is_err());
    }
}
