//! Documents to the ids of a tokenizer, each with the place in the text that it stands for.

use std::sync::Mutex;

use aho_corasick::{AhoCorasick, MatchKind};
use tokenizers::Tokenizer;

use super::words::{Cache, Words};
use crate::format::Document;
use crate::{Error, Result};

/// A token and the bytes of the text that it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// Its number in the vocabulary.
    pub id: u32,
    /// Where it begins.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
}

/// A token that only the template may write.
#[derive(Debug, Clone)]
pub struct Control {
    /// Its text.
    pub text: String,
    /// Its number.
    pub id: u32,
    /// Whether it swallows the white space before it.
    pub left: bool,
    /// Whether it swallows the white space behind it.
    pub right: bool,
}

/// What an [`Encoder`] is made of.
#[derive(Debug)]
pub struct Parts<'a> {
    /// A `tokenizers` file in which every control is a special token, and that neither cuts, pads nor adds anything.
    pub first: &'a [u8],
    /// The same for text that is not at the beginning of a document, where that is another.
    pub later: Option<&'a [u8]>,
    /// The tokens that only the template may write.
    pub controls: Vec<Control>,
    /// The tokenizer's token for what it does not know.
    pub unknown: Option<u32>,
    /// The pattern of words, where words are mapped byte by byte and each is encoded by itself.
    pub words: Option<&'a str>,
    /// Added tokens that are no controls: text that holds one is not encoded word by word.
    pub added: Vec<String>,
}

/// A tokenizer, read once and used by any number of threads.
pub struct Encoder {
    first: Tokenizer,
    later: Option<Tokenizer>,
    controls: Vec<Control>,
    finder: AhoCorasick,
    refused: Vec<u32>,
    words: Option<Words>,
    caches: Mutex<Vec<Cache>>,
}

fn failed(error: &dyn std::fmt::Display) -> Error {
    Error::Data {
        problem: format!("the tokenizer failed: {error}"),
        hint: "give a file that the `tokenizers` library reads, as tokenizer.json of a model",
    }
}

impl Encoder {
    /// Reads a tokenizer.
    pub fn new(parts: Parts<'_>) -> Result<Self> {
        let load = |json: &[u8]| -> Result<Tokenizer> {
            let mut tokenizer = Tokenizer::from_bytes(json).map_err(|error| failed(&error))?;
            tokenizer.set_encode_special_tokens(true);
            Ok(tokenizer)
        };
        let finder = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(parts.controls.iter().map(|control| control.text.as_str()))
            .map_err(|error| failed(&error))?;
        let mut refused: Vec<u32> = parts.controls.iter().map(|control| control.id).collect();
        refused.retain(|id| Some(*id) != parts.unknown);
        refused.sort_unstable();
        let words = parts.words.and_then(|pattern| Words::new(pattern, &parts.added));
        Ok(Self {
            first: load(parts.first)?,
            later: parts.later.map(load).transpose()?,
            controls: parts.controls,
            finder,
            refused,
            words,
            caches: Mutex::default(),
        })
    }

    /// Lends `work` a memory of words; what it holds changes no answer.
    pub fn with_cache<T>(&self, work: impl FnOnce(&mut Cache) -> T) -> T {
        let lent = |caches: &Mutex<Vec<Cache>>| caches.lock().map(|mut caches| caches.pop()).ok().flatten();
        let mut cache = lent(&self.caches).unwrap_or_default();
        let answer = work(&mut cache);
        if let Ok(mut caches) = self.caches.lock() {
            caches.push(cache);
        }
        answer
    }

    /// The tokens of `document`, in order; `false` when its own text became a control, which no text may.
    ///
    /// Controls are read in the template's text alone. What stands between two of them is encoded together, so that its ids are those
    /// of the whole text.
    pub fn encode(&self, document: &Document, cache: &mut Cache, into: &mut Vec<Token>) -> Result<bool> {
        into.clear();
        let text = document.text.as_str();
        let (mut done, mut start, mut sound) = (0, 0, true);
        let mut parts = document.parts.iter().peekable();
        while let Some(part) = parts.next() {
            let literal = start;
            start = part.end;
            if part.data {
                continue;
            }
            while let Some(next) = parts.next_if(|next| !next.data) {
                start = next.end;
            }
            for found in self.finder.find_iter(&text[literal..start]) {
                let control = &self.controls[found.pattern().as_usize()];
                let (mut from, mut to) = (literal + found.start(), literal + found.end());
                if control.left {
                    from = done + text[done..from].trim_end().len();
                }
                if control.right {
                    to = text.len() - text[to..].trim_start().len();
                }
                if from < done {
                    // White space before it was swallowed by the one before.
                    from = done;
                }
                sound &= self.run(text, done, from, cache, into)?;
                into.push(Token { id: control.id, start: from, end: to });
                done = to;
            }
        }
        sound &= self.run(text, done, text.len(), cache, into)?;
        Ok(sound)
    }

    fn run(
        &self,
        text: &str,
        from: usize,
        to: usize,
        cache: &mut Cache,
        into: &mut Vec<Token>,
    ) -> Result<bool> {
        if from >= to {
            return Ok(true);
        }
        let (run, before) = (&text[from..to], into.len());
        let tokenizer = if from == 0 { &self.first } else { self.later.as_ref().unwrap_or(&self.first) };
        let model = tokenizer.get_model();
        if !self.words.as_ref().is_some_and(|words| words.hold(run)) {
            let encoding = tokenizer.encode(run, false).map_err(|error| failed(&error))?;
            let pairs = encoding.get_ids().iter().zip(encoding.get_offsets());
            into.extend(pairs.map(|(&id, &(start, end))| Token { id, start: from + start, end: from + end }));
        } else if let Some(words) = &self.words {
            words.encode(run, from, model, cache, into).map_err(|error| failed(&error))?;
        }
        Ok(into[before..].iter().all(|token| self.refused.binary_search(&token.id).is_err()))
    }
}
