//! Laws of near duplicates, against brute force over sets of strings.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::BTreeSet;

use chaffinch_core::Control;
use chaffinch_core::dedup::near::{
    Field, Near, NearDuplicate, Sets, Shingles, Unit, Witness, near_duplicates, shingle_sets,
};
use chaffinch_core::hash::{self, ContentHash};
use proptest::collection::vec;
use proptest::prelude::*;

fn with_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

type Set = BTreeSet<Vec<String>>;

fn set(text: &str, shingles: Shingles) -> Set {
    let units: Vec<String> = match shingles.unit {
        Unit::Word => text.split_whitespace().map(str::to_lowercase).collect(),
        Unit::Char => {
            let words: Vec<&str> = text.split_whitespace().collect();
            words.join(" ").to_lowercase().chars().map(String::from).collect()
        }
    };
    if units.is_empty() {
        return Set::new();
    }
    units.windows(shingles.size.min(units.len())).map(<[String]>::to_vec).collect()
}

/// Rows by rank, each against all that were kept before it.
fn brute(columns: &[(Vec<String>, f64)], shingles: Shingles, order: &[u32]) -> Vec<NearDuplicate> {
    let sets: Vec<Vec<Set>> =
        columns.iter().map(|(texts, _)| texts.iter().map(|text| set(text, shingles)).collect()).collect();
    let similarity = |one: usize, two: usize| {
        let mut lowest = 1.0f64;
        if sets.iter().all(|sets| sets[one].is_empty()) {
            return None;
        }
        for (sets, (_, min)) in sets.iter().zip(columns) {
            let shared = sets[one].intersection(&sets[two]).count();
            let all = sets[one].union(&sets[two]).count();
            let value = if all == 0 { 1.0 } else { shared as f64 / all as f64 };
            if value < *min {
                return None;
            }
            lowest = lowest.min(value);
        }
        Some(lowest)
    };
    let mut kept: Vec<u32> = Vec::new();
    let mut found = Vec::new();
    for &row in order {
        let witness = kept.iter().find_map(|&other| Some((other, similarity(row as usize, other as usize)?)));
        match witness {
            Some((other, similarity)) => {
                found.push(NearDuplicate { row, witness: Witness::Row(other), similarity });
            }
            None => kept.push(row),
        }
    }
    found.sort_by_key(|one| one.row);
    found
}

fn run(columns: &[(Vec<String>, f64)], shingles: Shingles, priority: Option<&[u64]>) -> Vec<NearDuplicate> {
    let fields: Vec<Field<'_>> =
        columns.iter().map(|(texts, min)| Field { texts, min_similarity: *min }).collect();
    let near = Near {
        fields: &fields,
        shingles,
        rows: None,
        groups: None,
        priority,
        content: None,
        identity: None,
        against: None,
    };
    near_duplicates(&near, &Control::default()).unwrap()
}

/// Texts that are often alike: few words, in runs that are copied and edited.
fn texts(rows: usize) -> impl Strategy<Value = Vec<String>> {
    let words = vec(prop_oneof![8 => "[a-d]", 1 => "[A-D]", 1 => "é[0-9]?"], 0..14);
    vec((words, any::<prop::sample::Index>(), 0..4u8), 1..rows).prop_map(|rows| {
        let mut texts: Vec<Vec<String>> = Vec::new();
        for (words, from, edits) in rows {
            let mut text = if edits > 0 && !texts.is_empty() {
                texts[from.index(texts.len())].clone()
            } else {
                words.clone()
            };
            for edit in 1..edits {
                if !text.is_empty() {
                    let at = from.index(text.len() + usize::from(edit)) % text.len();
                    text[at] = words.first().cloned().unwrap_or_default();
                }
            }
            texts.push(text);
        }
        texts.into_iter().map(|words| words.join(" ")).collect()
    })
}

fn thresholds() -> impl Strategy<Value = f64> {
    prop_oneof![Just(1.0), Just(0.8), Just(0.5), Just(0.75), Just(1.0 / 3.0), 0.05..1.0f64]
}

fn shapes() -> impl Strategy<Value = Shingles> {
    (prop_oneof![Just(Unit::Word), Just(Unit::Char)], 1..6usize, any::<u64>())
        .prop_map(|(unit, size, seed)| Shingles { unit, size, seed })
}

struct Lists(Vec<Vec<u64>>);

impl Sets for Lists {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn get(&self, row: usize) -> &[u64] {
        &self.0[row]
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn one_field_is_brute_force(texts in texts(60), min in thresholds(), shingles in shapes(), threads in 1..4usize) {
        let order: Vec<u32> = (0..u32::try_from(texts.len()).unwrap()).collect();
        let columns = [(texts, min)];
        let found = with_threads(threads, || run(&columns, shingles, None));
        prop_assert_eq!(found, brute(&columns, shingles, &order));
    }

    #[test]
    fn several_fields_are_all_alike(
        rows in texts(80), mins in [thresholds(), thresholds(), thresholds()], shingles in shapes(),
    ) {
        let order: Vec<u32> = (0..u32::try_from(rows.len()).unwrap()).collect();
        let part = |text: &String, from: usize| {
            let words: Vec<&str> = text.split(' ').skip(from).step_by(2).collect();
            words.join(" ")
        };
        let half = |from: usize| rows.iter().map(|text| part(text, from)).collect::<Vec<String>>();
        let columns = [(rows.clone(), mins[0]), (half(0), mins[1]), (half(1), mins[2])];
        prop_assert_eq!(run(&columns, shingles, None), brute(&columns, shingles, &order));
    }

    #[test]
    fn rank_decides_and_not_the_order_of_rows(texts in texts(40), min in thresholds(), shingles in shapes(), seed in any::<u64>()) {
        let mut shuffled: Vec<usize> = (0..texts.len()).collect();
        shuffled.sort_by_key(|&row| hash::place(&hash::text(&row.to_string()), seed));
        let answer = |rows: &[usize]| {
            let texts: Vec<String> = rows.iter().map(|&row| texts[row].clone()).collect();
            let content: Vec<ContentHash> = texts.iter().map(|text| hash::text(text)).collect();
            let identity: Vec<ContentHash> = rows.iter().map(|row| hash::text(&row.to_string())).collect();
            let fields = [Field { texts: &texts, min_similarity: min }];
            let near = Near {
                fields: &fields, shingles, rows: None, groups: None, priority: None,
                content: Some(&content), identity: Some(&identity), against: None,
            };
            let found = near_duplicates(&near, &Control::default()).unwrap();
            let mut found: Vec<_> = found.into_iter().map(|one| {
                let Witness::Row(witness) = one.witness else { panic!("nothing to be against") };
                (rows[one.row as usize], rows[witness as usize], one.similarity.to_bits())
            }).collect();
            found.sort_unstable();
            found
        };
        prop_assert_eq!(answer(&(0..texts.len()).collect::<Vec<_>>()), answer(&shuffled));
    }

    #[test]
    fn new_against_old_is_old_then_new(rows in texts(60), at in any::<prop::sample::Index>(), min in thresholds(), shingles in shapes()) {
        let old = at.index(rows.len());
        let all: Vec<u32> = (0..u32::try_from(rows.len()).unwrap()).collect();
        // The old side is a run's survivors: what an index holds.
        let gone: BTreeSet<u32> = {
            let columns = [(rows[..old].to_vec(), min)];
            run(&columns, shingles, None).iter().map(|one| one.row).collect()
        };
        let kept: Vec<u32> = all[..old].iter().copied().filter(|row| !gone.contains(row)).collect();
        let lists = Lists(shingle_sets(&rows, 0, &kept, shingles, &Control::default()).unwrap());
        let new = rows[old..].to_vec();
        let fields = [Field { texts: &new, min_similarity: min }];
        let against: [&dyn Sets; 1] = [&lists];
        let near = Near {
            fields: &fields, shingles, rows: None, groups: None, priority: None,
            content: None, identity: None, against: Some(&against),
        };
        let found = near_duplicates(&near, &Control::default()).unwrap();
        let found: Vec<_> = found.into_iter().map(|one| {
            let witness = match one.witness {
                Witness::Against(at) => kept[at as usize],
                Witness::Row(row) => row + u32::try_from(old).unwrap(),
            };
            (one.row + u32::try_from(old).unwrap(), witness, one.similarity)
        }).collect();
        let columns = [(rows.clone(), min)];
        let together: Vec<_> = run(&columns, shingles, None).into_iter()
            .filter(|one| one.row as usize >= old)
            .map(|one| { let Witness::Row(witness) = one.witness else { panic!() }; (one.row, witness, one.similarity) })
            .collect();
        prop_assert_eq!(found, together);
    }

    #[test]
    fn groups_are_apart(rows in texts(40), groups in vec(0..3u32, 40), min in thresholds(), shingles in shapes()) {
        let groups = &groups[..rows.len()];
        let fields = [Field { texts: &rows, min_similarity: min }];
        let near = |rows: Option<&[u32]>, groups: Option<&[u32]>| {
            let near = Near { fields: &fields, shingles, rows, groups, priority: None, content: None, identity: None, against: None };
            near_duplicates(&near, &Control::default()).unwrap()
        };
        let together = near(None, Some(groups));
        let mut apart: Vec<_> = (0..3).flat_map(|group| {
            let rows: Vec<u32> = (0..u32::try_from(rows.len()).unwrap()).filter(|&row| groups[row as usize] == group).collect();
            near(Some(&rows), None)
        }).collect();
        apart.sort_by_key(|one| one.row);
        prop_assert_eq!(together, apart);
    }
}

#[test]
fn a_template_does_not_go_quadratic() {
    // Pairs share most of the frequent shingles and stay below the threshold: prefixes reach into the template.
    let slots = |row: usize, slot: usize| format!("v{} ", (row * 7919 + slot * 104_729) % 4000);
    let texts: Vec<String> = (0..60_000)
        .map(|row| {
            let template = "please write a long and careful story for children about the following five things in order ";
            let slots: String = (0..5).map(|slot| slots(row, slot)).collect();
            format!("{template}{slots}and end it with a moral that every child of eight will understand at once")
        })
        .collect();
    let shingles = Shingles { unit: Unit::Word, size: 5, seed: 0 };
    let columns = [(texts, 0.8)];
    let found = run(&columns, shingles, None);
    assert!(found.len() > 50_000, "rows repeat after 4,000: {}", found.len());
}

#[test]
fn bad_thresholds_are_refused() {
    let texts = vec!["a".to_owned()];
    for min in [0.0, -0.5, 1.5, f64::NAN, f64::INFINITY] {
        let fields = [Field { texts: &texts, min_similarity: min }];
        let shingles = Shingles { unit: Unit::Word, size: 5, seed: 0 };
        let near = Near {
            fields: &fields,
            shingles,
            rows: None,
            groups: None,
            priority: None,
            content: None,
            identity: None,
            against: None,
        };
        assert!(near_duplicates(&near, &Control::default()).is_err(), "{min}");
    }
}

#[test]
fn a_cancelled_call_stops() {
    let texts = vec!["a b c d e f".to_owned(); 10_000];
    let fields = [Field { texts: &texts, min_similarity: 0.8 }];
    let shingles = Shingles { unit: Unit::Word, size: 5, seed: 0 };
    let near = Near {
        fields: &fields,
        shingles,
        rows: None,
        groups: None,
        priority: None,
        content: None,
        identity: None,
        against: None,
    };
    let control = Control::default();
    control.cancel();
    assert!(near_duplicates(&near, &control).is_err());
}
