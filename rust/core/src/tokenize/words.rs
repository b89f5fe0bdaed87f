//! Byte-level BPE word by word: words repeat, so most are looked up.
//!
//! Such tokenizers cut a text into words by a regular expression that ends in `\s+(?!\S)|\s+`, write each word's bytes as characters
//! and merge within it. Without the look-ahead the expression runs on an automaton; white space before a word then gives its last
//! character back, which is what the look-ahead says.

use aho_corasick::AhoCorasick;
use regex::Regex;
use tokenizers::{Model, ModelWrapper};

use super::Token;
use crate::hash::Map;

const TAIL: &str = r"|\s+(?!\S)|\s+";

/// Words remembered by one thread; about 60 bytes each.
const REMEMBERED: usize = 1 << 18;
const LONGEST: usize = 64;

/// Words met before: their tokens as id, begin and end in bytes of the word.
#[derive(Default)]
pub struct Cache {
    words: Map<Box<str>, (u32, u32)>,
    tokens: Vec<[u32; 3]>,
    mapped: String,
}

/// How a text is cut into words.
pub(super) struct Words {
    any: Regex,
    /// The expression without its tail, at the beginning of a text.
    head: Regex,
    added: Option<AhoCorasick>,
    characters: Vec<char>,
}

impl Words {
    /// `None` where the expression needs more than an automaton.
    pub(super) fn new(pattern: &str, added: &[String]) -> Option<Self> {
        let head = pattern.strip_suffix(TAIL)?;
        let plain = head.replace("[^", "[");
        // What looks around would see another text in a slice.
        if plain.contains(['^', '$'])
            || [r"\b", r"\B", r"\A", r"\z", r"\G"].iter().any(|one| plain.contains(one))
        {
            return None;
        }
        Some(Self {
            any: Regex::new(&format!(r"{head}|\s+")).ok()?,
            head: Regex::new(&format!(r"\A(?:{head})")).ok()?,
            added: if added.is_empty() { None } else { Some(AhoCorasick::new(added).ok()?) },
            characters: byte_characters(),
        })
    }

    /// Whether `text` can be encoded word by word.
    pub(super) fn hold(&self, text: &str) -> bool {
        self.added.as_ref().is_none_or(|added| !added.is_match(text))
    }

    /// Appends the tokens of `text`, which lies at `offset` of its document.
    pub(super) fn encode(
        &self,
        text: &str,
        offset: usize,
        model: &ModelWrapper,
        cache: &mut Cache,
        into: &mut Vec<Token>,
    ) -> tokenizers::Result<()> {
        let mut done = 0;
        while done < text.len() {
            let Some(found) = self.any.find_at(text, done) else { break };
            if found.start() > done {
                self.word(&text[done..found.start()], offset + done, model, cache, into)?;
            }
            let end = found.start() + self.given_back(found.as_str(), &text[found.start()..]);
            self.word(&text[found.start()..end], offset + found.start(), model, cache, into)?;
            done = end;
        }
        if done < text.len() {
            self.word(&text[done..], offset + done, model, cache, into)?;
        }
        Ok(())
    }

    /// The length of the word `found` at the beginning of `text`, as the look-ahead has it.
    fn given_back(&self, found: &str, text: &str) -> usize {
        let Some(last) = found.chars().next_back() else { return 0 };
        let shorter = found.len() - last.len_utf8();
        let white = last.is_whitespace() && found.chars().all(char::is_whitespace);
        if !white || shorter == 0 || found.len() == text.len() || self.head.is_match(text) {
            return found.len();
        }
        shorter
    }

    fn word(
        &self,
        word: &str,
        offset: usize,
        model: &ModelWrapper,
        cache: &mut Cache,
        into: &mut Vec<Token>,
    ) -> tokenizers::Result<()> {
        let mut push = |tokens: &[[u32; 3]]| {
            into.extend(tokens.iter().map(|&[id, start, end]| Token {
                id,
                start: offset + start as usize,
                end: offset + end as usize,
            }));
        };
        if let Some(&(from, count)) = cache.words.get(word) {
            push(&cache.tokens[from as usize..][..count as usize]);
            return Ok(());
        }
        cache.mapped.clear();
        cache.mapped.extend(word.bytes().map(|byte| self.characters[usize::from(byte)]));
        // Every byte is one character of the mapped word.
        let (mut tokens, mut done) = (Vec::new(), (0, 0));
        for token in model.tokenize(&cache.mapped)? {
            let between = |from: usize, to: usize| {
                u32::try_from(cache.mapped[from..to].chars().count()).unwrap_or(u32::MAX)
            };
            let start = done.1 + between(done.0, token.offsets.0);
            let end = start + between(token.offsets.0, token.offsets.1);
            tokens.push([token.id, start, end]);
            done = (token.offsets.1, end);
        }
        push(&tokens);
        if word.len() <= LONGEST && cache.words.len() < REMEMBERED {
            let from = u32::try_from(cache.tokens.len()).unwrap_or(u32::MAX);
            cache.words.insert(word.into(), (from, u32::try_from(tokens.len()).unwrap_or(u32::MAX)));
            cache.tokens.extend(tokens);
        }
        Ok(())
    }
}

/// GPT-2's characters for bytes: printable ones stand for themselves, the others for U+0100 and on, in order.
fn byte_characters() -> Vec<char> {
    let mut next = 0x100u32;
    (0..=255u8)
        .map(|byte| match byte {
            b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff => char::from(byte),
            _ => {
                next += 1;
                char::from_u32(next - 1).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
        })
        .collect()
}
