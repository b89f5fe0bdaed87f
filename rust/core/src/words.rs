//! Words: what shingles and n-grams are made of, as hashes. A text that is written never goes through here.
//!
//! A word is seen in NFKC, lower case, NFKC again (as [`crate::dedup::NormalForm::Case`] does, word by word); digits and accents count. Scripts
//! that are written without spaces (Han, kana, Thai, Lao, Khmer, Burmese, Tibetan) have no words to split at: each of their
//! characters is one.

use std::ops::Range;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// What lies between words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Between {
    /// White space alone: `f(x)+1,` is one word, and `3 + 4` is not `3 * 4`.
    Space,
    /// Everything that is neither letter, digit nor a mark upon one: punctuation and symbols make no difference.
    Punctuation,
}

const SPACE: u8 = 1;
const OTHER: u8 = 2;

/// What each ASCII byte is: 0 part of a word under both rules, [`OTHER`] only where white space alone parts words.
const ASCII: [u8; 128] = {
    let mut classes = [OTHER; 128];
    let mut byte = 0u8;
    while byte < 128 {
        if byte.is_ascii_alphanumeric() {
            classes[byte as usize] = 0;
        } else if matches!(byte, 0x09..=0x0d | 0x20) {
            classes[byte as usize] = SPACE;
        }
        byte += 1;
    }
    classes
};

/// Splits texts; keeps its buffers from one to the next.
#[derive(Debug)]
pub struct Splitter {
    between: Between,
    seed: u64,
    lower: String,
}

impl Splitter {
    /// Splits at `between`; `seed` keys the hashes.
    pub fn new(between: Between, seed: u64) -> Self {
        Self { between, seed, lower: String::new() }
    }

    /// Calls `each` with the byte range in `text` and the hash of every word, in order.
    pub fn each_word(&mut self, text: &str, mut each: impl FnMut(Range<usize>, u64)) {
        if text.is_ascii() {
            self.lower.clear();
            self.lower.push_str(text);
            self.lower.make_ascii_lowercase();
            let apart = if self.between == Between::Space { SPACE } else { SPACE | OTHER };
            let bytes = self.lower.as_bytes();
            let is_apart = |byte: u8| ASCII[usize::from(byte & 0x7f)] & apart != 0;
            let mut at = 0;
            while at < bytes.len() {
                if is_apart(bytes[at]) {
                    at += 1;
                    continue;
                }
                let start = at;
                while at < bytes.len() && !is_apart(bytes[at]) {
                    at += 1;
                }
                each(start..at, xxh3_64_with_seed(&bytes[start..at], self.seed));
            }
            return;
        }
        let mut start = None;
        let mut characters = text.char_indices().peekable();
        while let Some((at, character)) = characters.next() {
            let alone = is_unspaced(character);
            if alone || !self.is_part(character) {
                if let Some(start) = start.take() {
                    each(start..at, self.hash(&text[start..at]));
                }
                if alone {
                    let mut range = at..at + character.len_utf8();
                    while let Some((_, mark)) = characters.next_if(|&(_, mark)| is_kana_mark(mark)) {
                        range.end += mark.len_utf8();
                    }
                    each(range.clone(), self.hash(&text[range]));
                }
            } else if start.is_none() {
                start = Some(at);
            }
        }
        if let Some(start) = start {
            each(start..text.len(), self.hash(&text[start..]));
        }
    }

    fn is_part(&self, character: char) -> bool {
        match self.between {
            Between::Space => !character.is_whitespace(),
            Between::Punctuation => character.is_alphanumeric() || is_combining_mark(character),
        }
    }

    fn hash(&mut self, word: &str) -> u64 {
        normal_form(word, &mut self.lower);
        xxh3_64_with_seed(self.lower.as_bytes(), self.seed)
    }
}

/// Puts the form of a word that its hash is of into `lower`: words are the same where their forms are.
pub fn normal_form(word: &str, lower: &mut String) {
    lower.clear();
    if word.is_ascii() {
        lower.push_str(word);
        lower.make_ascii_lowercase();
    } else {
        let folded = word.nfkc().collect::<String>().to_lowercase();
        lower.extend(folded.nfkc());
    }
}

/// Whether the character makes another kana of the one before it, in forms that NFKC has not composed.
fn is_kana_mark(character: char) -> bool {
    matches!(u32::from(character), 0x3099 | 0x309a | 0xff9e | 0xff9f)
}

/// Whether words of the character's script are not set apart by spaces.
pub fn is_unspaced(character: char) -> bool {
    matches!(u32::from(character),
        0x0e00..=0x0eff // Thai, Lao
        | 0x0f00..=0x0fff // Tibetan
        | 0x1000..=0x109f // Burmese
        | 0x1780..=0x17ff // Khmer
        | 0x2e80..=0x2fdf // radicals
        | 0x3005..=0x3007 | 0x3021..=0x3029 | 0x3038..=0x303b // Han's iteration marks and numerals
        | 0x3040..=0x30ff | 0x31f0..=0x31ff | 0xff66..=0xff9f // kana
        | 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xf900..=0xfaff | 0x20000..=0x3ffff // Han
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(between: Between, text: &str) -> Vec<&str> {
        let mut found = Vec::new();
        Splitter::new(between, 0).each_word(text, |range, _| found.push(&text[range]));
        found
    }

    fn hashes(between: Between, text: &str) -> Vec<u64> {
        let mut found = Vec::new();
        Splitter::new(between, 0).each_word(text, |_, hash| found.push(hash));
        found
    }

    #[test]
    fn white_space_parts_words() {
        assert_eq!(words(Between::Space, " A\tb-c,\n3+4 "), ["A", "b-c,", "3+4"]);
        assert_eq!(words(Between::Space, "\u{3000}ä\u{a0}b\u{85}"), ["ä", "b"]);
        assert!(words(Between::Space, "").is_empty());
    }

    #[test]
    fn punctuation_parts_words() {
        assert_eq!(words(Between::Punctuation, "Don't (stop)! 3.14"), ["Don", "t", "stop", "3", "14"]);
        assert_eq!(words(Between::Punctuation, "naïve—e\u{301}té…"), ["naïve", "e\u{301}té"]);
        assert!(words(Between::Punctuation, "?!…").is_empty());
    }

    #[test]
    fn unspaced_scripts_have_a_word_a_character() {
        assert_eq!(words(Between::Space, "我们ab去"), ["我", "们", "ab", "去"]);
        assert_eq!(words(Between::Punctuation, "カタ。ไทย"), ["カ", "タ", "ไ", "ท", "ย"]);
    }

    #[test]
    fn case_and_form_make_no_difference() {
        assert_eq!(
            hashes(Between::Space, "The CAFÉ Ｆｕｌｌ"),
            hashes(Between::Space, "the cafe\u{301} full")
        );
        assert_eq!(
            hashes(Between::Space, "a b"),
            hashes(Between::Space, "A\u{a0}B"),
            "ASCII and not hash alike"
        );
        assert_eq!(hashes(Between::Space, "ガギ"), hashes(Between::Space, "ｶﾞキ\u{3099}"));
        assert_ne!(hashes(Between::Space, "1"), hashes(Between::Space, "2"));
    }
}
