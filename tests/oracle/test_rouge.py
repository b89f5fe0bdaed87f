"""ROUGE against the packages that it reproduces, bit by bit."""

import random
import re
import struct
from collections.abc import Iterator

import pyarrow as pa
import pytest
from rouge import Rouge
from rouge_score import rouge_scorer

import chaffinch as cf
from chaffinch.compat.rouge_score.rouge_scorer import RougeScorer
from chaffinch.stages.score import measure

TYPES = ["rouge1", "rouge2", "rouge3", "rouge9", "rougeL", "rougeLsum"]
WORDS = (
    "the a cat cats sat sitting relational conditional Running RUNS generously happy skies dying news 12 3.5 don't"
    " İstanbul \u212aelvin naïve 猫 ... . , — yyy succeed eed feed tied ties agreed plotted falling"
).split(" ")
PIECES = ["", " ", "\n", "\n\n", ".", "\t", "\u3000", "\x1c", "\u200b", "?!", "\x00"]


def texts(chance: random.Random, count: int) -> Iterator[str]:
    for _ in range(count):
        length = chance.choice([0, 1, 2, 5, 12, 40, 90])
        words = [chance.choice(WORDS) if chance.random() < 0.9 else word(chance) for _ in range(length)]
        yield "".join(one + (chance.choice(PIECES) if chance.random() < 0.2 else " ") for one in words)


def word(chance: random.Random) -> str:
    return "".join(chance.choice("aeiouylstdngmzbcxw") for _ in range(chance.randint(1, 12))) + chance.choice(
        [
            "",
            "s",
            "ed",
            "ing",
            "ational",
            "iveness",
            "fulli",
            "logi",
            "alli",
            "ement",
            "ion",
            "ies",
            "ied",
            "eed",
            "ll",
            "e",
        ]
    )


def bits(value: float) -> bytes:
    return struct.pack("<d", value)


@pytest.mark.parametrize("stemmer", [False, True])
def test_rouge_score_to_the_last_bit(stemmer: bool) -> None:
    chance = random.Random(11 + stemmer)
    targets, predictions = list(texts(chance, 3000)), list(texts(chance, 3000))
    theirs = rouge_scorer.RougeScorer(TYPES, use_stemmer=stemmer)
    expected = [theirs.score(target, prediction) for target, prediction in zip(targets, predictions, strict=True)]
    for kind in TYPES:
        found = cf.rouge(predictions, targets, metric=kind, stemmer=stemmer).to_pylist()
        for row, (ours, scores) in enumerate(zip(found, expected, strict=True)):
            theirs_bits = [bits(value) for value in scores[kind]]
            assert [bits(ours[name]) for name in ("precision", "recall", "f1")] == theirs_bits, (
                kind,
                targets[row],
                predictions[row],
            )


def test_stems_are_nltks() -> None:
    from nltk.stem.porter import PorterStemmer

    chance = random.Random(5)
    stemmer = PorterStemmer()
    words = sorted({word(chance) for _ in range(40_000)})
    # A word is matched by its stem alone when its stem is that of the other side.
    longer = [one for one in words if len(one) > 3]
    stems = [stemmer.stem(one) for one in longer]
    short = [(one, stem) for one, stem in zip(longer, stems, strict=True) if len(stem) <= 3]
    found = cf.rouge([one for one, _ in short], [stem for _, stem in short], metric="rouge1", stemmer=True)
    assert len(short) > 1000
    assert found["f1"].to_pylist() == [1.0] * len(short)
    theirs = rouge_scorer.RougeScorer(["rouge1"], use_stemmer=True)
    shuffled = longer[1:] + longer[:1]
    ours = cf.rouge(longer, shuffled, metric="rouge1", stemmer=True)["f1"].to_pylist()
    assert ours == [theirs.score(two, one)["rouge1"].fmeasure for one, two in zip(longer, shuffled, strict=True)]


def test_rouge_to_the_last_bit() -> None:
    chance = random.Random(3)
    pairs = [
        (prediction, reference)
        for prediction, reference in zip(texts(chance, 3000), texts(chance, 3000), strict=True)
        if prediction.strip(".") and reference.strip(".")
    ]
    theirs = Rouge(metrics=["rouge-1", "rouge-2", "rouge-5", "rouge-l"])
    expected = [theirs.get_scores(*pair)[0] for pair in pairs]
    for ours_name, name in [("rouge1", "rouge-1"), ("rouge2", "rouge-2"), ("rouge5", "rouge-5"), ("rougeL", "rouge-l")]:
        found = cf.rouge(*map(list, zip(*pairs, strict=True)), metric=ours_name, compat="rouge==1.0.1").to_pylist()
        for pair, ours, scores in zip(pairs, found, expected, strict=True):
            assert [bits(ours[part]) for part in ("precision", "recall", "f1")] == [
                bits(scores[name][part]) for part in "prf"
            ], (name, pair)


def test_what_rouge_refuses_has_no_score() -> None:
    for text in ("", "...", "."):
        with pytest.raises(ValueError, match=r"empty|at least 1"):
            Rouge(metrics=["rouge-l"]).get_scores(text, "a")
        assert cf.rouge([text], ["a"], compat="rouge==1.0.1").to_pylist()[0]["f1"] is None
        assert cf.rouge(["a"], [text], compat="rouge==1.0.1").to_pylist()[0]["f1"] is None


def test_of_several_references_the_first_best_counts() -> None:
    chance = random.Random(8)
    predictions = list(texts(chance, 400))
    targets = [list(texts(chance, chance.randint(1, 4))) for _ in predictions]
    theirs, ours = rouge_scorer.RougeScorer(TYPES), RougeScorer(TYPES)
    columns = {kind: cf.rouge(predictions, targets, metric=kind).to_pylist() for kind in TYPES}
    for row, (prediction, references) in enumerate(zip(predictions, targets, strict=True)):
        expected = theirs.score_multi(references, prediction)
        assert {kind: tuple(score) for kind, score in ours.score_multi(references, prediction).items()} == {
            kind: tuple(map(float, score)) for kind, score in expected.items()
        }
        for kind in TYPES:
            assert tuple(columns[kind][row].values()) == tuple(expected[kind])


def test_ten_thousand_tokens() -> None:
    chance = random.Random(2)
    long, other = (" ".join(chance.choice(WORDS) for _ in range(2500)) for _ in range(2))
    expected = rouge_scorer.RougeScorer(["rougeL"]).score(long, other)["rougeL"]
    assert cf.rouge([other], [long])["f1"][0].as_py() == expected.fmeasure
    huge = " ".join(str(at) for at in range(10_000))
    assert cf.rouge([huge], [huge], compat="rouge==1.0.1")["precision"][0].as_py() == 1.0
    assert cf.rouge([huge], [huge])["f1"][0].as_py() == 1.0


HOSTILE = [
    *(
        "",
        " ",
        ".",
        "...",
        "?!",
        "\n\n",
        "\x00",
        "a\x00",
        "a\x00\x00",
        "\x00a",
        "0",
        "1 2 3 1.5 2",
        "猫 猫。犬",
        "İ",
        "iİi",
        "\u212aelvin",
    ),
    *("K", "kelvin i", "\u01c5 \u017ft ß Å", "a\u0307", "\u200ba", "a\u00a0b", "a\u3000b\x1cc\x85d", "the\ufeffcat"),
    *("a" * length for length in (14, 15, 16, 17, 63, 64, 65, 200)),
    *("Ab" * length + " b" for length in (7, 8, 32)),
    *(" ".join(f"w{at % 70}" for at in range(length)) for length in (63, 64, 65, 127, 128, 129, 200)),
    *("x" * at + " " + "y" * at for at in (31, 32, 63, 64)),
]


def test_every_hostile_text_against_every_other() -> None:
    pairs = [(one, other) for one in HOSTILE for other in HOSTILE]
    predictions, targets = [one for one, _ in pairs], [other for _, other in pairs]
    for stemmer in (False, True):
        theirs = rouge_scorer.RougeScorer(TYPES, use_stemmer=stemmer)
        expected = [theirs.score(target, prediction) for prediction, target in pairs]
        for kind in TYPES:
            found = cf.rouge(predictions, targets, metric=kind, stemmer=stemmer).to_pylist()
            assert [tuple(one.values()) for one in found] == [tuple(map(float, one[kind])) for one in expected], kind
    package = Rouge(metrics=["rouge-1", "rouge-3", "rouge-l"])
    for kind, name in [("rouge1", "rouge-1"), ("rouge3", "rouge-3"), ("rougeL", "rouge-l")]:
        found = cf.rouge(predictions, targets, metric=kind, compat="rouge==1.0.1").to_pylist()
        for (prediction, target), ours in zip(pairs, found, strict=True):
            if not prediction.strip(".") or not target.strip("."):
                assert ours["f1"] is None
            else:
                scores = package.get_scores(prediction, target)[0][name]
                assert tuple(ours.values()) == tuple(scores[part] for part in "prf"), (kind, prediction, target)


def test_the_mean_over_references() -> None:
    found = cf.rouge(["a b", "a", "."], [["a b", "c"], [], ["."]], reduce="mean", metric="rouge1").to_pylist()
    assert found[0] == {"precision": 0.5, "recall": 0.5, "f1": 0.5}
    assert found[1]["f1"] is None
    assert cf.rouge(["a"], [["...", "a"]], reduce="mean", compat="rouge==1.0.1")["recall"].to_pylist() == [1.0]


@pytest.mark.parametrize("stemmer", [False, True])
def test_a_pool_finds_the_first_best_of_all(stemmer: bool) -> None:
    chance = random.Random(6)
    pool, asked = [*texts(chance, 150), "", "?"], [*texts(chance, 60), *HOSTILE]
    prepared = cf.RougePool(pool[:100], stemmer=stemmer)
    prepared.add(pool[100:])
    assert len(prepared) == len(pool)
    theirs = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=stemmer)
    for text, found in zip(asked, prepared.most_similar(asked).to_pylist(), strict=True):
        scores = [float(theirs.score(target, text)["rougeL"].fmeasure) for target in pool]
        assert found == {"row": scores.index(max(scores)), "f1": max(scores)}
        row = found["row"]
        assert prepared.most_similar([pool[row]])["f1"].to_pylist() == [
            1.0 if re.search("[A-Za-z0-9İ\u212a]", pool[row]) else 0.0
        ]


def test_an_empty_pool_finds_nothing() -> None:
    pool = cf.RougePool()
    assert pool.most_similar(["a", None]).to_pylist() == [{"row": None, "f1": None}] * 2
    assert len(pool.most_similar([])) == 0
    with pytest.raises(ValueError, match="texts is int64, not text"):
        pool.add([1])
    with pytest.raises(ValueError, match="lone surrogate"):
        pool.add(["a", "\ud800"])
    assert len(pool) == 0


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_threads_change_nothing(threads: int) -> None:
    chance = random.Random(4)
    predictions, references = list(texts(chance, 3000)), list(texts(chance, 3000))
    assert cf.rouge(predictions, references, threads=threads).equals(cf.rouge(predictions, references))


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((["a"], ["b", "c"]), {}, "predictions has 1 rows and references has 2"),
        (([1], ["b"]), {}, "predictions is int64, not text"),
        ((["a"], [[1]]), {}, "references"),
        ((["a"], ["b"]), {"metric": "rouge0"}, "metric is rouge0"),
        ((["a"], ["b"]), {"metric": "rougeLsum", "compat": "rouge==1.0.1"}, "metric is rougeLsum"),
        ((["a"], ["b"]), {"compat": "rouge"}, "compat is rouge"),
        ((["a"], ["b"]), {"compat": "rouge==1.0.1", "stemmer": True}, "no stemmer"),
        ((["\ud800"], ["b"]), {}, "lone surrogate"),
        ((["a"], ["b"]), {"reduce": "min"}, "reduce is min"),
        (([["a", "b"]], ["a"]), {}, "one text a row"),
    ],
)
def test_wrong_arguments_are_told(arguments, options, message) -> None:
    with pytest.raises(ValueError, match=message):
        cf.rouge(*arguments, **options)


def test_nothing_to_compare_with_has_no_score() -> None:
    references = [[], None, ["a"], [None], [None, "b", None, "a"]]
    nulls = pa.array(references, pa.list_(pa.string()))
    for column in (
        references,
        nulls,
        pa.chunked_array([nulls[:1], nulls[1:4], nulls[4:]]),
        nulls.cast(pa.large_list(pa.string())),
    ):
        found = cf.rouge(["a", "a", None, "a", "a"], column)["f1"].to_pylist()
        assert found == [None, None, 0.0, None, 1.0]
    dictionary = pa.DictionaryArray.from_arrays(pa.array([0, 1]), pa.array(["a", None]))
    assert cf.rouge(["a", "a"], dictionary)["f1"].to_pylist() == [1.0, None]
    assert measure(["x", ""], [[None, "x"], [None]], ["generation", "exact_match"]).to_pylist()[1] is None


class Words:
    """A tokenizer of one's own."""

    def tokenize(self, text: str) -> list[str]:
        return text.split()


@pytest.mark.parametrize("options", [{}, {"use_stemmer": True}, {"tokenizer": Words()}, {"split_summaries": True}])
def test_the_scorer_takes_what_the_package_takes(options: dict[str, object]) -> None:
    types = [kind for kind in TYPES if not (kind == "rougeLsum" and "split_summaries" in options)]
    theirs, ours = rouge_scorer.RougeScorer(types, **options), RougeScorer(types, **options)
    chance = random.Random(5)
    for _ in range(150):
        targets, prediction = [*texts(chance, 2), "the cat \ud800sat"], next(texts(chance, 1)) + "\udfffcats"
        expected, found = theirs.score_multi(targets, prediction), ours.score_multi(targets, prediction)
        assert {kind: tuple(one) for kind, one in found.items()} == {kind: tuple(one) for kind, one in expected.items()}
        assert all(one._fields == expected[kind]._fields for kind, one in found.items())


def test_sides_about_as_long_as_a_word_of_bits() -> None:
    chance = random.Random(4)
    theirs = rouge_scorer.RougeScorer(["rougeL"])
    for length in (*range(1, 5), *range(61, 68), 128, 129):
        for other in (3, 63, 64, 65, 200):
            left, right = ([f"w{chance.randrange(90)}" for _ in range(count)] for count in (length, other))
            one, two = "first " + " ".join(left) + " last", "start " + " ".join(right) + " end"
            for pair in ((one, two), (" ".join(left), " ".join(right))):
                expected = theirs.score(pair[1], pair[0])["rougeL"]
                assert tuple(cf.rouge([pair[0]], [pair[1]]).to_pylist()[0].values()) == tuple(expected), pair


def test_lists_are_scored_as_columns_are() -> None:
    chance = random.Random(6)
    predictions = [None if row % 11 == 3 else one for row, one in enumerate(texts(chance, 300))]
    single = [None if row % 7 == 2 else one for row, one in enumerate(texts(chance, 300))]
    several = [None if row % 9 == 0 else [one, None, ""][: row % 4] for row, one in enumerate(texts(chance, 300))]
    column = pa.array(predictions)
    for references, kind in ((single, pa.string()), (several, pa.list_(pa.string()))):
        for options in ({}, {"compat": "rouge==1.0.1"}, {"stemmer": True, "metric": "rougeLsum", "reduce": "mean"}):
            expected = cf.rouge(column, pa.array(references, kind), **options)
            assert cf.rouge(predictions, references, **options).equals(expected)
            assert cf.rouge(column, references, **options).equals(expected)
    tuples = [one and tuple(one) for one in several]
    assert cf.rouge(predictions, tuples).equals(cf.rouge(predictions, several))
    assert cf.RougePool(single).most_similar(predictions).equals(cf.RougePool(pa.array(single)).most_similar(column))
    with pytest.raises(ValueError, match="references: row 0 is str, not a list"):
        cf.rouge(["a", "b"], ["a", ["b"]])
    with pytest.raises(ValueError, match="references"):
        cf.rouge(["a"], [["\ud800"]])
