//! The law of the traces: what one automaton finds in one pass is what a search of every phrase at every place finds.

#![expect(clippy::unwrap_used, reason = "a failure is the test's")]

use chaffinch_core::Control;
use chaffinch_core::text::Texts;
use chaffinch_core::traces::{Part, Place, Rows, Rule, Trace, traces};
use proptest::collection::vec;
use proptest::prelude::*;

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let places = prop_oneof![Just(Place::Anywhere), Just(Place::Start), Just(Place::Whole)];
    let texts = |sizes| vec("[aB .\u{6211}]{1,3}", sizes);
    vec((places, texts(1..4), texts(0..3), texts(0..2), texts(0..2)), 1..4).prop_map(|made| {
        made.into_iter()
            .map(|(place, phrases, then, not_after, not_before)| {
                // Quotations are the twin's in tests/laws.
                let (parts, quoted) = (vec![Part::Response], true);
                Rule { parts, place, quoted, phrases, then, not_after, not_before }
            })
            .collect()
    })
}

fn found(texts: &[String], rules: &[Rule], threads: usize) -> Vec<Trace> {
    let column = texts.to_vec();
    let columns: [&dyn Texts; 1] = [&column];
    let rows = Rows { prompt: &[], response: &columns, conversations: None };
    let numbers: Vec<u32> = (0..).take(texts.len()).collect();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| traces(&rows, &numbers, rules, &Control::default())).unwrap()
}

fn is_word(character: Option<char>) -> bool {
    character.is_some_and(|character| character.is_ascii_alphanumeric() || character == 'é')
}

fn is_cut(text: &str, at: usize) -> bool {
    is_word(text[..at].chars().next_back()) && is_word(text[at..].chars().next())
}

/// The words that a rule matches first.
fn plain(text: &str, rule: &Rule) -> Option<String> {
    let low = text.to_ascii_lowercase();
    let lower = |texts: &[String]| texts.iter().map(|text| text.to_ascii_lowercase()).collect::<Vec<_>>();
    let letters: Vec<usize> =
        text.char_indices().filter(|(_, one)| one.is_alphanumeric()).map(|(at, _)| at).collect();
    let first = letters.first().copied().unwrap_or(text.len());
    for start in (0..text.len()).filter(|&at| text.is_char_boundary(at)) {
        let mut best = None;
        for phrase in lower(&rule.phrases).iter().filter(|phrase| low[start..].starts_with(*phrase)) {
            let mut end = start + phrase.len();
            if !rule.then.is_empty() {
                let goes_on = lower(&rule.then)
                    .iter()
                    .filter(|then| low[end..].starts_with(*then) && !is_cut(text, end + then.len()))
                    .map(String::len)
                    .max();
                let Some(more) = goes_on else { continue };
                end += more;
            }
            let holds = !is_cut(text, start)
                && !is_cut(text, end)
                && (rule.place == Place::Anywhere || start <= first)
                && (rule.place != Place::Whole || letters.last().is_none_or(|&last| last < end))
                && !lower(&rule.not_after).iter().any(|near| low[..start].ends_with(near))
                && !lower(&rule.not_before).iter().any(|near| low[end..].starts_with(near));
            if holds {
                best = best.max(Some(end));
            }
        }
        if let Some(end) = best {
            return Some(text[start..end].to_owned());
        }
    }
    None
}

proptest! {
    #[test]
    fn one_pass_finds_what_a_plain_search_finds(texts in vec("[aAbB .é\u{6211}]{0,12}", 0..20), rules in rules()) {
        let expected: Vec<(usize, usize, String)> = texts
            .iter()
            .enumerate()
            .flat_map(|(row, text)| {
                rules.iter().enumerate().filter_map(move |(rule, one)| Some((row, rule, plain(text, one)?)))
            })
            .collect();
        let traces = found(&texts, &rules, 1);
        let same: Vec<(usize, usize, String)> = traces
            .iter()
            .map(|trace| (trace.row as usize, trace.rule as usize, trace.words.clone()))
            .collect();
        prop_assert_eq!(same, expected);
        for trace in &traces {
            prop_assert_eq!(&texts[trace.row as usize][trace.span.start..trace.span.end], &trace.words);
        }
        let many: Vec<String> = texts.iter().cycle().take(texts.len() * 600).cloned().collect();
        prop_assert_eq!(found(&many, &rules, 1), found(&many, &rules, 8));
    }
}
