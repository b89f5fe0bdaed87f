//! Tokens of the packages that are reproduced, as small numbers: equal tokens, equal numbers, and no others.

use xxhash_rust::xxh3::xxh3_64;

use super::porter;
use crate::text::is_python_space;

/// Gives every distinct token of a few texts a number, in the order of appearance.
#[derive(Default)]
pub(super) struct Interner {
    slots: Vec<Slot>,
    /// Slots of an earlier generation are empty, so that starting again costs nothing.
    generation: u32,
    spans: Vec<(usize, usize)>,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    hash: u64,
    generation: u32,
    token: u32,
}

impl Interner {
    pub(super) fn clear(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        if self.generation == 0 {
            self.slots.clear();
            self.generation = 1;
        }
        self.spans.clear();
        self.bytes.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    /// Hashes only nominate: tokens are the same when their bytes are.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the low bits choose the slot; tokens are counted in u32"
    )]
    pub(super) fn number(&mut self, token: &[u8]) -> u32 {
        if self.spans.len() * 2 >= self.slots.len() {
            self.grow();
        }
        let hash = xxh3_64(token);
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot.generation != self.generation {
                break;
            }
            let (start, end) = self.spans[slot.token as usize];
            if slot.hash == hash && &self.bytes[start..end] == token {
                return slot.token;
            }
            at = (at + 1) & mask;
        }
        let number = self.spans.len() as u32;
        self.slots[at] = Slot { hash, generation: self.generation, token: number };
        self.spans.push((self.bytes.len(), self.bytes.len() + token.len()));
        self.bytes.extend_from_slice(token);
        number
    }

    #[expect(clippy::cast_possible_truncation, reason = "the low bits choose the slot")]
    fn grow(&mut self) {
        let old = std::mem::take(&mut self.slots);
        let generation = self.generation.max(1);
        self.slots = vec![Slot::default(); (old.len() * 2).max(256)];
        let mask = self.slots.len() - 1;
        for slot in old.into_iter().filter(|slot| slot.generation == self.generation && self.generation > 0) {
            let mut at = slot.hash as usize & mask;
            while self.slots[at].generation == generation {
                at = (at + 1) & mask;
            }
            self.slots[at] = slot;
        }
        self.generation = generation;
    }
}

/// `rouge_score.tokenize` 0.1.2: Python's lower case, runs of ASCII letters and digits, stemmed when longer than three.
pub(super) fn rouge_score(
    text: &str,
    is_stemmed: bool,
    interner: &mut Interner,
    word: &mut Vec<u8>,
    tokens: &mut Vec<u32>,
) {
    let mut pass = |word: &mut Vec<u8>, tokens: &mut Vec<u32>| {
        if word.is_empty() {
            return;
        }
        if is_stemmed && word.len() > 3 {
            porter::stem(word);
        }
        if !word.is_empty() {
            tokens.push(interner.number(word));
        }
        word.clear();
    };
    word.clear();
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        match byte {
            b'a'..=b'z' | b'0'..=b'9' => word.push(*byte),
            b'A'..=b'Z' => word.push(byte | 0x20),
            // Two characters beyond ASCII have ASCII in their lower case: the Kelvin sign is k, and the dotted capital I is i and a mark.
            0xe2 if rest.starts_with(&[0x84, 0xaa]) => {
                word.push(b'k');
                rest = &rest[2..];
            }
            0xc4 if rest.starts_with(&[0xb0]) => {
                word.push(b'i');
                pass(word, tokens);
                rest = &rest[1..];
            }
            _ => pass(word, tokens),
        }
    }
    pass(word, tokens);
}

/// The sentences of `rouge` 1.0.1: what lies between full stops, in words between white space; white space alone is one empty word.
pub(super) fn rouge_sentences(text: &str, interner: &mut Interner, sentences: &mut Vec<Vec<u32>>) {
    for sentence in text.split('.').filter(|sentence| !sentence.is_empty()) {
        let words = sentence.split(is_python_space).filter(|word| !word.is_empty());
        let mut tokens: Vec<u32> = words.map(|word| interner.number(word.as_bytes())).collect();
        if tokens.is_empty() {
            tokens.push(interner.number(b""));
        }
        sentences.push(tokens);
    }
}
