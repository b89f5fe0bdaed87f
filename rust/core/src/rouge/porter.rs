//! Porter's stemmer with NLTK's extensions (`nltk.stem.porter`, mode `NLTK_EXTENSIONS`, as of NLTK 3.10.4), for words of ASCII lower-case
//! letters and digits.
//!
//! Not Snowball's: that one stems several hundred English words otherwise, and scores computed with it are not comparable.

const IRREGULAR: [(&[u8], &[u8]); 14] = [
    (b"sky", b"sky"),
    (b"skies", b"sky"),
    (b"dying", b"die"),
    (b"lying", b"lie"),
    (b"tying", b"tie"),
    (b"news", b"news"),
    (b"innings", b"inning"),
    (b"inning", b"inning"),
    (b"outings", b"outing"),
    (b"outing", b"outing"),
    (b"cannings", b"canning"),
    (b"canning", b"canning"),
    (b"howe", b"howe"),
    (b"proceed", b"proceed"),
];
const UNCHANGED: [&[u8]; 2] = [b"exceed", b"succeed"];

const STEP2: [(&[u8], &[u8]); 21] = [
    (b"ational", b"ate"),
    (b"tional", b"tion"),
    (b"enci", b"ence"),
    (b"anci", b"ance"),
    (b"izer", b"ize"),
    (b"bli", b"ble"),
    (b"alli", b"al"),
    (b"entli", b"ent"),
    (b"eli", b"e"),
    (b"ousli", b"ous"),
    (b"ization", b"ize"),
    (b"ation", b"ate"),
    (b"ator", b"ate"),
    (b"alism", b"al"),
    (b"iveness", b"ive"),
    (b"fulness", b"ful"),
    (b"ousness", b"ous"),
    (b"aliti", b"al"),
    (b"iviti", b"ive"),
    (b"biliti", b"ble"),
    (b"fulli", b"ful"),
];

const STEP3: [(&[u8], &[u8]); 7] = [
    (b"icate", b"ic"),
    (b"ative", b""),
    (b"alize", b"al"),
    (b"iciti", b"ic"),
    (b"ical", b"ic"),
    (b"ful", b""),
    (b"ness", b""),
];

const STEP4: [&[u8]; 19] = [
    b"al", b"ance", b"ence", b"er", b"ic", b"able", b"ible", b"ant", b"ement", b"ment", b"ent", b"ion",
    b"ou", b"ism", b"ate", b"iti", b"ous", b"ive", b"ize",
];

/// Stems `word` in place.
pub(super) fn stem(word: &mut Vec<u8>) {
    if let Some((_, stem)) = IRREGULAR.iter().find(|(form, _)| form == word) {
        replace(word, 0, stem);
        return;
    }
    if UNCHANGED.contains(&word.as_slice()) || word.len() <= 2 {
        return;
    }
    step1a(word);
    step1b(word);
    if word.ends_with(b"y") && word.len() > 2 && is_consonant(word, word.len() - 2) {
        replace(word, word.len() - 1, b"i");
    }
    step2(word);
    first_rule(word, &STEP3, 0);
    step4(word);
    step5(word);
}

fn step1a(word: &mut Vec<u8>) {
    if word.ends_with(b"ies") && word.len() == 4 {
        word.pop();
    } else if word.ends_with(b"sses") || word.ends_with(b"ies") {
        word.truncate(word.len() - 2);
    } else if word.ends_with(b"s") && !word.ends_with(b"ss") {
        word.pop();
    }
}

fn step1b(word: &mut Vec<u8>) {
    let length = word.len();
    if word.ends_with(b"ied") {
        word.truncate(if length == 4 { length - 1 } else { length - 2 });
        return;
    }
    if word.ends_with(b"eed") {
        if measure(&word[..length - 3]) > 0 {
            word.pop();
        }
        return;
    }
    let suffix = if word.ends_with(b"ed") {
        2
    } else if word.ends_with(b"ing") {
        3
    } else {
        return;
    };
    if !contains_vowel(&word[..length - suffix]) {
        return;
    }
    word.truncate(length - suffix);
    if word.ends_with(b"at") || word.ends_with(b"bl") || word.ends_with(b"iz") {
        word.push(b'e');
    } else if ends_double_consonant(word) {
        if !matches!(word.last(), Some(b'l' | b's' | b'z')) {
            word.pop();
        }
    } else if measure(word) == 1 && ends_cvc(word) {
        word.push(b'e');
    }
}

fn step2(word: &mut Vec<u8>) {
    while word.ends_with(b"alli") && measure(&word[..word.len() - 4]) > 0 {
        word.truncate(word.len() - 2);
    }
    if STEP2.iter().any(|(suffix, _)| word.ends_with(suffix)) {
        first_rule(word, &STEP2, 0);
    } else if word.ends_with(b"logi") && measure(&word[..word.len() - 3]) > 0 {
        word.pop();
    }
}

/// The first rule whose suffix the word has applies if what is left has more than `least` vowel-consonant sequences; no later one does.
fn first_rule(word: &mut Vec<u8>, rules: &[(&[u8], &[u8])], least: usize) {
    if let Some((suffix, replacement)) = rules.iter().find(|(suffix, _)| word.ends_with(suffix)) {
        let stem = word.len() - suffix.len();
        if measure(&word[..stem]) > least {
            replace(word, stem, replacement);
        }
    }
}

fn step4(word: &mut Vec<u8>) {
    if let Some(suffix) = STEP4.iter().find(|suffix| word.ends_with(suffix)) {
        let stem = word.len() - suffix.len();
        let after_s_or_t = *suffix != b"ion" || matches!(word[..stem].last(), Some(b's' | b't'));
        if measure(&word[..stem]) > 1 && after_s_or_t {
            word.truncate(stem);
        }
    }
}

fn step5(word: &mut Vec<u8>) {
    if let Some(stem) = word.strip_suffix(b"e") {
        let measure = measure(stem);
        if measure > 1 || (measure == 1 && !ends_cvc(stem)) {
            word.pop();
        }
    }
    if word.ends_with(b"ll") && measure(&word[..word.len() - 1]) > 1 {
        word.pop();
    }
}

fn replace(word: &mut Vec<u8>, from: usize, with: &[u8]) {
    word.truncate(from);
    word.extend_from_slice(with);
}

/// Whether each letter is a consonant: neither a vowel nor a y after a consonant.
fn consonants(word: &[u8]) -> impl Iterator<Item = bool> + '_ {
    let mut before = false;
    word.iter().map(move |&letter| {
        before = match letter {
            b'a' | b'e' | b'i' | b'o' | b'u' => false,
            b'y' => !before,
            _ => true,
        };
        before
    })
}

fn is_consonant(word: &[u8], at: usize) -> bool {
    consonants(&word[..=at]).last().unwrap_or(true)
}

/// How often a consonant follows a vowel: Porter's m.
fn measure(stem: &[u8]) -> usize {
    let mut after_vowel = false;
    let mut measure = 0;
    for consonant in consonants(stem) {
        measure += usize::from(consonant && after_vowel);
        after_vowel = !consonant;
    }
    measure
}

fn contains_vowel(stem: &[u8]) -> bool {
    consonants(stem).any(|consonant| !consonant)
}

fn ends_double_consonant(word: &[u8]) -> bool {
    matches!(word, [.., one, two] if one == two) && is_consonant(word, word.len() - 1)
}

/// Consonant, vowel, consonant other than w, x, y at the end; or a word of a vowel and a consonant.
fn ends_cvc(word: &[u8]) -> bool {
    let kinds: Vec<bool> = consonants(word).collect();
    match kinds.as_slice() {
        [false, true] => true,
        [.., true, false, true] => !matches!(word.last(), Some(b'w' | b'x' | b'y')),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_paper_and_of_the_extensions() {
        let words = [
            ("caresses", "caress"),
            ("ponies", "poni"),
            ("ties", "tie"),
            ("cats", "cat"),
            ("feed", "feed"),
            ("agreed", "agre"),
            ("plastered", "plaster"),
            ("bled", "bled"),
            ("motoring", "motor"),
            ("sing", "sing"),
            ("conflated", "conflat"),
            ("troubled", "troubl"),
            ("sized", "size"),
            ("hopping", "hop"),
            ("falling", "fall"),
            ("hissing", "hiss"),
            ("filing", "file"),
            ("happy", "happi"),
            ("enjoy", "enjoy"),
            ("spied", "spi"),
            ("relational", "relat"),
            ("vietnamization", "vietnam"),
            ("formaliti", "formal"),
            ("radically", "radic"),
            ("hopefulness", "hope"),
            ("adoption", "adopt"),
            ("controll", "control"),
            ("rate", "rate"),
            ("dying", "die"),
            ("news", "news"),
            ("succeed", "succeed"),
            ("geologically", "geolog"),
            ("eed", "eed"),
        ];
        for (word, expected) in words {
            let mut bytes = word.as_bytes().to_vec();
            stem(&mut bytes);
            assert_eq!(String::from_utf8_lossy(&bytes), expected, "{word}");
        }
    }
}
