//! Normal forms: what counts as the same text. They are keys for comparison; no text that is written ever went through one.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

use crate::{Error, Result};

/// How a text is seen before it is compared. Each form is coarser than the one above it, and applying one twice changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormalForm {
    /// The bytes as they are.
    None,
    /// Every run of characters with Unicode's `White_Space` property is one space; none at the ends.
    Whitespace,
    /// Unicode NFKC, lower case (Unicode's full, locale-free mapping), NFKC again since lower-casing can undo it, then
    /// [`NormalForm::Whitespace`]. Digits, punctuation and accents count.
    Case,
}

impl NormalForm {
    /// From its name in a recipe.
    pub fn parse(name: &str) -> Result<Self> {
        match name {
            "none" => Ok(Self::None),
            "whitespace" => Ok(Self::Whitespace),
            "case" => Ok(Self::Case),
            _ => Err(Error::OutOfRange {
                name: "normal_form",
                value: name.to_owned(),
                expected: "`none`, `whitespace` or `case`",
            }),
        }
    }

    /// The normal form of `text`; borrowed where it already has it.
    pub fn apply(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::None => Cow::Borrowed(text),
            Self::Whitespace => collapse(text),
            Self::Case if text.is_ascii() => {
                let mut collapsed = collapse(text);
                if collapsed.bytes().any(|byte| byte.is_ascii_uppercase()) {
                    collapsed.to_mut().make_ascii_lowercase();
                }
                collapsed
            }
            Self::Case => {
                let lower = text.nfkc().collect::<String>().to_lowercase();
                let composed: String = lower.nfkc().collect();
                Cow::Owned(collapse(&composed).into_owned())
            }
        }
    }
}

fn collapse(text: &str) -> Cow<'_, str> {
    if is_collapsed(text) {
        return Cow::Borrowed(text);
    }
    let mut collapsed = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !collapsed.is_empty() {
            collapsed.push(' ');
        }
        collapsed.push_str(word);
    }
    Cow::Owned(collapsed)
}

fn is_collapsed(text: &str) -> bool {
    let mut after_space = true;
    for character in text.chars() {
        if character.is_whitespace() && (after_space || character != ' ') {
            return false;
        }
        after_space = character == ' ';
    }
    text.is_empty() || !after_space
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_are_what_they_say() {
        let text = "\u{a0}Ｆｕｌｌ\u{3000}\tWIDTH ﬁ 1.5\n";
        assert_eq!(NormalForm::None.apply(text), text);
        assert_eq!(NormalForm::Whitespace.apply(text), "Ｆｕｌｌ WIDTH ﬁ 1.5");
        assert_eq!(NormalForm::Case.apply(text), "full width fi 1.5");
        assert_eq!(NormalForm::Case.apply("ΟΔΟΣ e\u{301}"), NormalForm::Case.apply("οδος \u{c9}"));
    }

    #[test]
    fn a_normal_text_is_not_copied() {
        assert!(matches!(NormalForm::Whitespace.apply("a b c"), Cow::Borrowed(_)));
        assert!(matches!(NormalForm::Case.apply("a b c."), Cow::Borrowed(_)));
        assert!(matches!(NormalForm::Case.apply(""), Cow::Borrowed(_)));
    }

    #[test]
    fn other_names_are_refused() {
        assert!(NormalForm::parse("nfc").is_err());
    }
}
