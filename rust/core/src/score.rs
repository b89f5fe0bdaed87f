//! How good answers are: right or wrong, or ROUGE against the best reference.

use std::borrow::Cow;

use rayon::prelude::*;

use crate::control::Pace;
use crate::rouge::{self, Reduce, References, Scorer};
use crate::text::{Texts, is_python_space};
use crate::{Control, Error, Result};

/// How an answer is measured: the label of its task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// Not at all: there is no answer, or nobody says how.
    Nothing,
    /// 1 where any reference equals the answer, byte for byte, else 0.
    ExactMatch,
    /// The highest F1 of ROUGE over the references.
    Generation,
}

/// What generated texts look like to ROUGE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Form {
    /// The answer without white space around it, by Python's set of it.
    pub is_stripped: bool,
    /// Both sides in lower case.
    pub is_lowercase: bool,
    /// Both sides without full stops.
    pub is_without_full_stops: bool,
}

impl Form {
    fn of<'a>(self, text: &'a str) -> Cow<'a, str> {
        let text: Cow<'a, str> = if self.is_without_full_stops && text.contains('.') {
            Cow::Owned(text.replace('.', ""))
        } else {
            Cow::Borrowed(text)
        };
        if !self.is_lowercase {
            return text;
        }
        if text.is_ascii() {
            if !text.bytes().any(|byte| byte.is_ascii_uppercase()) {
                return text;
            }
            let mut text = text.into_owned();
            text.make_ascii_lowercase();
            return Cow::Owned(text);
        }
        Cow::Owned(text.to_lowercase())
    }

    fn of_answer(self, answer: &str) -> Cow<'_, str> {
        self.of(if self.is_stripped { answer.trim_matches(is_python_space) } else { answer })
    }
}

/// Answers and what they are measured against.
pub struct Answers<'a> {
    /// The answers.
    pub answers: &'a dyn Texts,
    /// The references of each.
    pub references: &'a dyn References,
    /// How each is measured.
    pub labels: &'a [Label],
    /// Of generated texts.
    pub form: Form,
    /// What of ROUGE, and whose.
    pub measure: rouge::Measure,
}

/// The score of each answer; `None` where it is not measured or has no reference.
///
/// Of a generated answer and a reference, an empty side is replaced by the other, so that they are equal; an answer that was replaced
/// stays so for the references behind, as in Birbal's script.
pub fn score(answers: &Answers<'_>, control: &Control) -> Result<Vec<Option<f64>>> {
    let n = answers.answers.len();
    for (right, rows) in [("references", answers.references.len()), ("labels", answers.labels.len())] {
        if rows != n {
            return Err(Error::LengthMismatch { left: "answers", left_rows: n, right, right_rows: rows });
        }
    }
    let mut scores = vec![None; n];
    scores.par_chunks_mut(1024).enumerate().try_for_each(|(block, scores)| {
        let mut pairs = Scorer::new(answers.measure);
        let mut pace = Pace::new(control);
        for (offset, slot) in scores.iter_mut().enumerate() {
            pace.step(answers.one(block * 1024 + offset, slot, &mut pairs, control)?)?;
        }
        pace.flush()
    })?;
    Ok(scores)
}

impl Answers<'_> {
    /// Fills `slot` with the score of one answer; how many bytes that took.
    fn one(
        &self,
        row: usize,
        slot: &mut Option<f64>,
        pairs: &mut Scorer,
        control: &Control,
    ) -> Result<usize> {
        let count = self.references.count(row);
        if self.labels[row] == Label::Nothing || count == 0 {
            return Ok(0);
        }
        let answer = self.answers.get(row);
        let references = (0..count).map(|number| self.references.get(row, number));
        let bytes = references.clone().map(|reference| answer.len() + reference.len()).sum();
        if self.labels[row] == Label::ExactMatch {
            let is_right = references.into_iter().any(|reference| reference == answer);
            *slot = Some(f64::from(u8::from(is_right)));
            return Ok(bytes);
        }
        let mut prediction = self.form.of_answer(&answer);
        for reference in references {
            let reference = self.form.of(reference);
            let (left, right) = match (prediction.is_empty(), reference.is_empty()) {
                (false, false) => (&*prediction, &*reference),
                (false, true) => (&*prediction, &*prediction),
                (true, false) => {
                    prediction = Cow::Owned(reference.into_owned());
                    (&*prediction, &*prediction)
                }
                (true, true) => {
                    prediction = Cow::Borrowed(BOTH_EMPTY);
                    (&*prediction, &*prediction)
                }
            };
            let found = pairs.score(left, std::iter::once(right), Reduce::Max, control)?;
            let f1 = found.map(|score| score.f1);
            *slot = match (*slot, f1) {
                (Some(best), Some(f1)) => Some(best.max(f1)),
                (best, f1) => best.or(f1),
            };
        }
        Ok(bytes)
    }
}

/// What stands for two empty texts: any word, since only its equality to itself counts.
const BOTH_EMPTY: &str = "dummy";

#[cfg(test)]
mod tests {
    use super::*;

    struct Lists(Vec<Vec<&'static str>>);

    impl References for Lists {
        fn len(&self) -> usize {
            self.0.len()
        }
        fn count(&self, row: usize) -> usize {
            self.0[row].len()
        }
        fn get(&self, row: usize, reference: usize) -> &str {
            self.0[row][reference]
        }
    }

    const BIRBAL: Form = Form { is_stripped: true, is_lowercase: true, is_without_full_stops: true };

    fn scores(cases: &[(&'static str, &[&'static str])], label: Label) -> Vec<Option<f64>> {
        let answers: Vec<&str> = cases.iter().map(|case| case.0).collect();
        let lists = Lists(cases.iter().map(|case| case.1.to_vec()).collect());
        let spec = Answers {
            answers: &answers,
            references: &lists,
            labels: &vec![label; cases.len()],
            form: BIRBAL,
            measure: rouge::Measure::parse("rougeL", "rouge==1.0.1", false).unwrap(),
        };
        score(&spec, &Control::default()).unwrap()
    }

    #[test]
    fn exact_match_folds_and_strips_nothing() {
        let cases: [(&str, &[&str]); 5] =
            [("Yes", &["No", "Yes"]), ("yes", &["Yes"]), ("Yes ", &["Yes"]), ("", &[""]), ("x", &[])];
        assert_eq!(scores(&cases, Label::ExactMatch), [Some(1.0), Some(0.0), Some(0.0), Some(1.0), None]);
        assert_eq!(scores(&cases, Label::Nothing), [None; 5]);
    }

    #[test]
    fn an_empty_side_is_replaced_by_the_other() {
        let equal = Some(2.0 / (2.0 + 1e-8));
        let cases: [(&str, &[&str]); 6] = [
            (" \u{1c}", &["a b"]),
            (" . ", &["."]),
            ("a b", &["..."]),
            ("The CAT.", &["the cat"]),
            ("x", &["y", "x"]),
            ("x", &["y"]),
        ];
        assert_eq!(scores(&cases, Label::Generation), [equal, equal, equal, equal, equal, Some(0.0)]);
    }

    #[test]
    fn lengths_are_checked() {
        let answers = vec!["a"];
        for (references, labels) in
            [(vec![], vec![Label::ExactMatch]), (vec![vec!["a"]], vec![]), (vec![vec!["a"]; 2], vec![])]
        {
            let spec = Answers {
                answers: &answers,
                references: &Lists(references),
                labels: &labels,
                form: BIRBAL,
                measure: rouge::Measure::parse("rougeL", "rouge==1.0.1", false).unwrap(),
            };
            assert!(score(&spec, &Control::default()).is_err());
        }
    }
}
