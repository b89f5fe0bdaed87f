use super::*;

/// Every match, with only the bits of `mask` left of every hash.
fn find_masked(items: &[(&str, &str, &[&str])], texts: &[&str], ngram: usize, mask: u64) -> Vec<Match> {
    let mut builder = Builder::with_mask(ngram, mask).unwrap();
    for (question, answer, choices) in items {
        builder.add(question, answer, choices.iter().copied()).unwrap();
    }
    let texts = texts.to_vec();
    let search =
        Search { texts: &texts, rows: None, min_coverage: 0.5, common: 50, sets: None, groups: None };
    contamination(&builder.finish().unwrap(), &search, &Control::default()).unwrap().matches
}

fn find(items: &[(&str, &str, &[&str])], texts: &[&str], ngram: usize) -> Vec<Match> {
    let found = find_masked(items, texts, ngram, u64::MAX);
    // Were every hash equal, the answer would only take longer.
    for mask in [0, 1, 7] {
        assert_eq!(find_masked(items, texts, ngram, mask), found, "mask {mask}");
    }
    found
}

fn pairs(matches: &[Match]) -> Vec<(u32, u32)> {
    matches.iter().map(|found| (found.row, found.item)).collect()
}

#[test]
fn a_long_question_is_covered_by_its_ngrams() {
    let item = "one two three four five six seven eight";
    let texts = [
        "x One, two; THREE four\nfive six seven eight y",
        "one two three four nine ten seven eight",
        "one two three",
    ];
    let found = find(&[(item, "", &[])], &texts, 3);
    assert_eq!(pairs(&found), [(0, 0), (1, 0)]);
    assert_eq!((found[0].matched_words, found[0].coverage, found[0].start), (8, 1.0, 2));
    assert_eq!(found[0].end, texts[0].len() as u64 - 2);
    assert_eq!((found[1].matched_words, found[1].coverage), (4, 0.5));
}

#[test]
fn a_short_question_is_there_whole_or_not() {
    let items: [(&str, &str, &[&str]); 1] = [("a b c d e f", "", &[])];
    assert_eq!(
        pairs(&find(&items, &["x a b c d e f y", "a b c d e x f", "A. B. C. D. E. F."], 13)),
        [(0, 0), (2, 0)]
    );
}

#[test]
fn a_very_short_question_is_all_the_row_or_has_its_answer() {
    let items: [(&str, &str, &[&str]); 2] =
        [("Is it so?", "", &[]), ("Two plus two?", "It is four, not five", &[])];
    let texts = [
        "is it so",
        "Now: is it so?",
        "two plus two",
        "Well, two plus two? It is four, not five.",
        "well two plus two",
    ];
    assert_eq!(pairs(&find(&items, &texts, 13)), [(0, 0), (2, 1), (3, 1)]);
}

#[test]
fn a_question_that_tells_nothing_needs_its_choices() {
    let choices: &[&str] = &["the red ball", "the blue cube", "both", ""];
    let items = [("Which of the following is true?", "both", choices)];
    let texts = [
        "Which of the following is true? I do not know, both.",
        "Which of the following is true? (A) the blue cube (B) both (C) the red ball",
        "Which of the following is true? the red cube, the blue ball",
        "the red ball, the blue cube, both",
    ];
    let found = find(&items, &texts, 13);
    assert_eq!(pairs(&found), [(1, 0)]);
    assert_eq!((found[0].matched_words, found[0].coverage), (6 + 7, 1.0));
}

#[test]
fn a_telling_question_needs_no_choices_and_an_answer_is_no_match() {
    let items: [(&str, &str, &[&str]); 1] = [(
        "In which year did the first bridge open to traffic?",
        "in the year of the great flood",
        &["1900", "1910"],
    )];
    let texts = [
        "Tell me: in which year did the first bridge open to traffic?",
        "in the year of the great flood, 1900, 1910",
    ];
    assert_eq!(pairs(&find(&items, &texts, 13)), [(0, 0)]);
}

#[test]
fn common_ngrams_tell_nothing_but_a_whole_question_always_does() {
    let mut builder = Builder::new(3).unwrap();
    let template = "answer the next question in one word";
    builder.add(&format!("{template} which bird sings loudest at dawn"), "", []).unwrap();
    builder.add(template, "", []).unwrap();
    builder.add(&format!("{template} please"), "", ["yes", "no"]).unwrap();
    let index = builder.finish().unwrap();
    let mut texts = vec![format!("{template} where is it"); 5];
    texts.push(format!("{template} which bird sings loudest at noon"));
    texts.push(format!("{template} please yes"));
    let found = |common| {
        let search =
            Search { texts: &texts, rows: None, min_coverage: 0.5, common, sets: None, groups: None };
        contamination(&index, &search, &Control::default()).unwrap().matches
    };
    assert_eq!(pairs(&found(3)), [(0, 1), (1, 1), (2, 1), (3, 1), (4, 1), (5, 0), (5, 1), (6, 1), (6, 2)]);
    assert!(
        pairs(&found(50)).contains(&(0, 0)),
        "not discounted, the template alone is half of the first item"
    );
}

#[test]
fn of_a_set_only_the_best_match_stays() {
    let mut builder = Builder::new(3).unwrap();
    for item in ["a b c d", "a b c d e", "a b c d", "x y z"] {
        builder.add(item, "", []).unwrap();
    }
    let texts = vec!["a b c d x y z"];
    let sets = [0, 0, 1, 1];
    let search =
        Search { texts: &texts, rows: None, min_coverage: 0.5, common: 9, sets: Some(&sets), groups: None };
    let found = contamination(&builder.finish().unwrap(), &search, &Control::default()).unwrap().matches;
    assert_eq!(pairs(&found), [(0, 0), (0, 2)]);
}

#[test]
fn what_makes_no_sense_is_refused() {
    assert!(Builder::new(0).is_err());
    let index = Builder::new(1).unwrap().finish().unwrap();
    for min_coverage in [0.0, -1.0, 1.1, f64::NAN] {
        let texts = vec!["a"];
        let search = Search { texts: &texts, rows: None, min_coverage, common: 0, sets: None, groups: None };
        assert!(contamination(&index, &search, &Control::default()).is_err(), "{min_coverage}");
    }
}

#[test]
fn nothing_is_found_in_nothing() {
    assert_eq!(find(&[], &["a"], 1), []);
    assert_eq!(find(&[("", "a", &["a"]), ("?!", "", &[])], &["", "a", "?!"], 1), []);
    assert_eq!(find(&[("a b c", "", &[])], &[], usize::MAX), []);
    assert_eq!(pairs(&find(&[("a b c d e f", "", &[])], &["a b c d e f g"], usize::MAX)), [(0, 0)]);
}

#[test]
fn equal_items_are_one_and_told_by_the_first() {
    let items: [(&str, &str, &[&str]); 6] = [
        ("a b c d", "x", &["y", "z"]),
        ("a b c d", "x", &["z", "y"]),
        ("A, b (c) d", "X!", &["", "y", "Z"]),
        ("a b c d", "x y", &["z"]),
        ("a b c", "d x", &["y", "z"]),
        ("a b c d", "x", &["y", "z"]),
    ];
    let found = find(&items, &["a b c d x y z"], 3);
    let told: Vec<(u32, u32)> = found.iter().map(|one| (one.item, one.equal_items)).collect();
    assert_eq!(told, [(0, 3), (1, 1), (3, 1), (4, 1)]);
}

#[test]
fn copies_of_an_item_do_not_make_it_common() {
    let mut builder = Builder::new(13).unwrap();
    for _ in 0..100 {
        builder.add("which bird sings loudest at dawn here", "", ["a lark", "an owl"]).unwrap();
    }
    let texts = vec!["which bird sings loudest at dawn here"; 3];
    let search = Search { texts: &texts, rows: None, min_coverage: 0.5, common: 9, sets: None, groups: None };
    let found = contamination(&builder.finish().unwrap(), &search, &Control::default()).unwrap();
    assert_eq!(pairs(&found.matches), [(0, 0), (1, 0), (2, 0)]);
    assert_eq!(found.items.len(), 100, "whoever counts items counts all");
}

#[test]
fn every_set_tells_its_own_of_equal_items_and_every_group_its_items() {
    let mut builder = Builder::new(3).unwrap();
    for item in ["a b c", "x y z", "a b c", "a b c", "a b c d", "u v w"] {
        builder.add(item, "", []).unwrap();
    }
    let texts = vec!["a b c d", "x y z", "a b c", "nothing"];
    let sets = [0, 0, 0, 1, 1, 1];
    let groups = [0, 0, 1, 2];
    let search = Search {
        texts: &texts,
        rows: None,
        min_coverage: 0.5,
        common: 9,
        sets: Some(&sets),
        groups: Some(&groups),
    };
    let found = contamination(&builder.finish().unwrap(), &search, &Control::default()).unwrap();
    assert_eq!(pairs(&found.matches), [(0, 0), (0, 4), (1, 1), (2, 0), (2, 3)]);
    let held: Vec<[u32; 3]> = found.items.iter().map(|one| [one.group, one.item, one.first]).collect();
    let first = [[0, 0, 0], [0, 1, 1], [0, 2, 0], [0, 3, 0], [0, 4, 4]];
    assert_eq!(held, [&first[..], &[[1, 0, 0], [1, 2, 0], [1, 3, 0], [1, 4, 4]]].concat());
}

#[test]
fn too_many_matches_are_refused_with_a_hint() {
    let mut builder = Builder::new(3).unwrap();
    for answer in 0..50 {
        builder.add("a b c d", &answer.to_string(), []).unwrap();
    }
    let index = builder.finish().unwrap();
    let texts = vec!["a b c d"; 64];
    let search =
        Search { texts: &texts, rows: None, min_coverage: 0.5, common: 99, sets: None, groups: None };
    let error = contamination(&index, &search, &Control::default()).unwrap_err();
    assert!(error.hint().is_some_and(|hint| hint.contains("answers")), "{error}");
    let sets = [0; 50];
    let best = Search { sets: Some(&sets), ..search };
    assert_eq!(contamination(&index, &best, &Control::default()).unwrap().matches.len(), 64);
}
