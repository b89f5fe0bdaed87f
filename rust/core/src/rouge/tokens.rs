//! Tokens of the packages that are reproduced, as keys of 128 bits: equal tokens, equal keys, and no others.
//!
//! A key is the token itself: up to 15 bytes and their number in the highest byte. Longer tokens are rare; they are numbered by their bytes, and the
//! number is the key.

use std::borrow::Cow;

use super::porter;
use crate::hash::Map;
use crate::text::is_python_space;

const LONGEST: usize = 15;
/// In the highest byte of a key, where no length is as large.
const LONG: u128 = 0xff << 120;
/// The empty word, which is no token but where white space alone makes a sentence.
pub(super) const EMPTY: u128 = 0xfe << 120;
const LOWER: u128 = u128::from_ne_bytes([0x20; 16]);
const STEMS: usize = 1 << 14;

/// What parts a text into tokens; keeps its buffers.
#[derive(Default)]
pub(super) struct Tokens<'a> {
    long: LongTokens<'a>,
    /// Stems of words met before: the place of a key is the only one where it can be.
    stems: Vec<(u128, u128)>,
    misses: usize,
    word: Vec<u8>,
}

/// Numbers of tokens longer than [`LONGEST`], those of another text before them.
#[derive(Default)]
struct LongTokens<'a> {
    before: Option<&'a Map<Box<[u8]>, u32>>,
    own: Map<Box<[u8]>, u32>,
}

impl LongTokens<'_> {
    #[expect(clippy::cast_possible_truncation, reason = "tokens are counted in u32")]
    fn number(&mut self, token: &[u8]) -> u32 {
        let before = self.before.map_or(0, Map::len);
        if let Some(&number) =
            self.before.and_then(|before| before.get(token)).or_else(|| self.own.get(token))
        {
            return number;
        }
        let number = (before + self.own.len()) as u32;
        self.own.insert(token.into(), number);
        number
    }
}

impl<'a> Tokens<'a> {
    /// With the keys of `other`, for tokens that it knows.
    pub(super) fn after(other: &'a Tokens<'_>) -> Self {
        let long = LongTokens { before: Some(&other.long.own), own: Map::default() };
        Self { long, ..Self::default() }
    }

    /// Forgets its own tokens: keys of texts before are none for texts after.
    pub(super) fn forget(&mut self) {
        if !self.long.own.is_empty() {
            self.long.own.clear();
        }
    }

    /// `rouge_score.tokenize` 0.1.2: Python's lower case, runs of ASCII letters and digits, stemmed when longer than three.
    pub(super) fn rouge_score(&mut self, text: &str, is_stemmed: bool, keys: &mut Vec<u128>) {
        let text = lower_in_ascii(text);
        let text = text.as_bytes();
        runs(text, is_letter_or_digit, |start, end| {
            let length = end - start;
            let key = if length > LONGEST {
                self.word.clear();
                self.word.extend(text[start..end].iter().map(|byte| byte | 0x20));
                if is_stemmed {
                    porter::stem(&mut self.word);
                }
                key_of(&self.word, &mut self.long)
            } else {
                let key = short(text, start, end, LOWER);
                if is_stemmed && length > 3 { self.stem(key) } else { key }
            };
            // A stem may be nothing at all.
            if key != 0 {
                keys.push(key);
            }
        });
    }

    /// A sentence of `rouge` 1.0.1 in words between white space; white space alone is one empty word.
    fn words(&mut self, sentence: &str, keys: &mut Vec<u128>) {
        let before = keys.len();
        let text = sentence.as_bytes();
        runs(text, is_no_space, |start, end| {
            keys.push(if end - start <= LONGEST {
                short(text, start, end, 0)
            } else {
                LONG | u128::from(self.long.number(&text[start..end]))
            });
        });
        if keys.len() == before {
            keys.push(EMPTY);
        }
    }

    /// The sentences of `rouge` 1.0.1: what lies between full stops, however little it is. `ends` takes where each ends in `keys`.
    pub(super) fn rouge(&mut self, text: &str, keys: &mut Vec<u128>, ends: &mut Vec<usize>) {
        let text = spaces_in_ascii(text);
        for sentence in text.split('.').filter(|sentence| !sentence.is_empty()) {
            self.words(sentence, keys);
            ends.push(keys.len());
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "a few bits choose the place")]
    fn stem(&mut self, key: u128) -> u128 {
        // Few words need few places, and many as many as the processor has near.
        if self.misses >= self.stems.len() && self.stems.len() < STEMS {
            self.misses = 0;
            self.stems = vec![(0, 0); (self.stems.len() * 8).clamp(256, STEMS)];
        }
        let folded = (key as u64 ^ (key >> 64) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let place = (folded >> (64 - self.stems.len().trailing_zeros())) as usize;
        let (known, stem) = self.stems[place];
        if known == key {
            return stem;
        }
        self.misses += 1;
        self.word.clear();
        self.word.extend_from_slice(&key.to_le_bytes()[..(key >> 120) as usize]);
        porter::stem(&mut self.word);
        let stem = key_of(&self.word, &mut self.long);
        self.stems[place] = (key, stem);
        stem
    }
}

fn key_of(token: &[u8], long: &mut LongTokens<'_>) -> u128 {
    if token.len() <= LONGEST {
        short(token, 0, token.len(), 0)
    } else {
        LONG | u128::from(long.number(token))
    }
}

/// The key of the token from `start` to `end`, at most [`LONGEST`] bytes on, with the bits of `set` set in all of its bytes.
#[inline]
fn short(text: &[u8], start: usize, end: usize, set: u128) -> u128 {
    let length = end - start;
    // Sixteen bytes at once, whatever follows the token, cost less than as many as it has.
    let bytes = if let Some(bytes) = text[start..].first_chunk() {
        u128::from_le_bytes(*bytes)
    } else if let Some(bytes) = text.last_chunk::<16>() {
        u128::from_le_bytes(*bytes) >> ((start + 16 - text.len()) * 8)
    } else {
        let mut bytes = [0; 16];
        bytes[..length].copy_from_slice(&text[start..end]);
        u128::from_le_bytes(bytes)
    };
    let (bits, count) = BITS_AND_LENGTH[length];
    ((bytes | set) & bits) | count
}

/// Of tokens of 0 to [`LONGEST`] bytes the bits that are theirs, and their length in the highest byte: read faster than made by shifts of 128 bits.
const BITS_AND_LENGTH: [(u128, u128); LONGEST + 1] = {
    let mut table = [(0, 0); LONGEST + 1];
    let mut length = 0;
    while length <= LONGEST {
        table[length] = ((1 << (length * 8)) - 1, (length as u128) << 120);
        length += 1;
    }
    table
};

#[inline]
fn is_letter_or_digit(byte: u8) -> bool {
    ((byte | 0x20).wrapping_sub(b'a') < 26) | (byte.wrapping_sub(b'0') < 10)
}

/// Of [`is_python_space`], those in ASCII.
#[inline]
fn is_no_space(byte: u8) -> bool {
    !((byte.wrapping_sub(0x1c) < 5) | (byte.wrapping_sub(b'\t') < 5))
}

/// Where each run of bytes that `belongs` begins and ends.
#[inline]
fn runs(text: &[u8], belongs: impl Fn(u8) -> bool, mut run: impl FnMut(usize, usize)) {
    // Whether the block before ended within a run, and where that began.
    let (mut within, mut start) = (0, 0);
    for at in (0..=text.len()).step_by(64) {
        let rest = &text[at..];
        let bits = if let Some(block) = rest.first_chunk() {
            bits(block, &belongs)
        } else if rest.is_empty() {
            0
        } else if let Some(block) = text.last_chunk() {
            bits(block, &belongs) >> (64 - rest.len())
        } else {
            let mut block = [0; 64];
            block[..rest.len()].copy_from_slice(rest);
            // A bit beyond the text is none of its, and ends what is still open.
            bits(&block, &belongs) & ((1 << rest.len()) - 1)
        };
        let before = bits << 1 | within;
        let (mut starts, mut ends) = (bits & !before, !bits & before);
        let next = |starts: &mut u64| {
            let start = at + starts.trailing_zeros() as usize;
            *starts &= starts.wrapping_sub(1);
            start
        };
        if within == 0 {
            start = next(&mut starts);
        }
        while ends != 0 {
            run(start, next(&mut ends));
            // Where there is none, neither is there an end.
            start = next(&mut starts);
        }
        within = bits >> 63;
    }
}

/// A bit for each byte that `belongs`.
#[inline]
fn bits(bytes: &[u8; 64], belongs: impl Fn(u8) -> bool) -> u64 {
    let flags = bytes.map(|byte| u8::from(belongs(byte)));
    // Eight flags of one bit each into eight bits: each is moved to its own place in the highest byte, and no two meet.
    flags.as_chunks().0.iter().rev().fold(0, |bits, eight| {
        bits << 8 | u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56
    })
}

/// A text in which ASCII alone can be part of a token. Two characters beyond it have ASCII in their lower case: the Kelvin sign is k, and the dotted
/// capital I is i and a mark.
fn lower_in_ascii(text: &str) -> Cow<'_, str> {
    if text.is_ascii() || !text.contains(['\u{212a}', '\u{130}']) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace('\u{212a}', "k").replace('\u{130}', "i "))
}

/// A text in which all white space is of ASCII.
fn spaces_in_ascii(text: &str) -> Cow<'_, str> {
    let is_space = |one: char| !one.is_ascii() && is_python_space(one);
    if text.is_ascii() || !text.contains(is_space) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace(is_space, " "))
}
