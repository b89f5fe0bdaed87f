import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

import chaffinch as cf
from chaffinch.decisions import Decisions
from chaffinch.recipe.dedup import Dedup
from chaffinch.stages import dedup
from tests.rows import everyone, row, store

SENTENCE = "the quick brown fox jumps over the lazy dog and then sleeps for the rest of the day"
CHANGED = SENTENCE.replace("day", "week")


def found(texts, **options):
    return [tuple(one.values()) for one in cf.near_duplicates(texts, **options).to_pylist()]


def decide(rows, **rule):
    table = store(rows)
    decisions = dedup.run(table, everyone(table), Dedup(near=rule))
    decisions.check(everyone(table))
    return decisions


def test_a_row_with_another_last_word_goes():
    (one,) = found([SENTENCE, CHANGED])
    # 14 shingles each, of which 13 are shared.
    assert one[2] == 13 / 15
    assert found([SENTENCE, CHANGED], min_similarity=13 / 15) != []
    assert found([SENTENCE, CHANGED], min_similarity=np.nextafter(13 / 15, 1)) == []


def test_short_texts_are_compared_whole():
    assert found(["yes", "no", "Yes ", "yes sir"], priority=[0, 1, 2, 3]) == [(2, 0, 1.0)]


def test_nothing_is_like_nothing():
    assert found([]) == found(["", None, " \n"]) == found([None, None]) == []
    assert found({"a": ["", None], "b": ["x", "x"]}, priority=[0, 1]) == [(1, 0, 1.0)]


def test_digits_count():
    assert found(["add 1 and 2", "add 1 and 3"]) == []


def test_chains_do_not_drag_rows_along():
    words = [f"w{at}" for at in range(40)]
    texts = [" ".join(words[at : at + 30]) for at in (0, 2, 4)]
    # Each is like the next, the first and the last are not alike: the one in the middle goes or stands for both.
    assert found(texts, min_similarity=0.8, priority=[0, 1, 2]) == [(1, 0, 24 / 28)]
    assert found(texts, min_similarity=0.8, priority=[1, 0, 2]) == [(0, 1, 24 / 28), (2, 1, 24 / 28)]


def test_priority_decides_who_stays():
    assert found([SENTENCE, CHANGED], priority=[0.5, -1.0])[0][:2] == (0, 1)
    assert found([SENTENCE, CHANGED], priority=[None, 3])[0][:2] == (0, 1)
    assert found([SENTENCE, CHANGED], priority=pa.array([None, True]))[0][:2] == (0, 1)
    assert found([SENTENCE, CHANGED], priority=[[1, 1], [1, 0]])[0][:2] == (0, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_similarity": 0}, "min_similarity is 0"),
        ({"min_similarity": -0.5}, "min_similarity is -0.5"),
        ({"min_similarity": float("nan")}, "min_similarity is NaN"),
        ({"min_similarity": 1.01}, "min_similarity is 1.01"),
        ({"min_similarity": [0.5, 0.5]}, "min_similarity is 2 numbers for 1"),
        ({"min_similarity": {"x": 0.5}}, "no column 'x'"),
        ({"min_similarity": "a"}, "min_similarity is 'a'\nhint:"),
        ({"min_similarity": None}, "min_similarity is None\nhint:"),
        ({"against": "kept.index"}, "against is str\nhint: NearIndex.load"),
        ({"ngram": 0}, "ngram is 0"),
        ({"ngram": -1}, "ngram is -1"),
        ({"ngram": 10**12}, "ngram is 1000000000000"),
        ({"unit": "token"}, "unit is 'token'"),
        ({"seed": -1}, "seed is -1"),
        ({"priority": [1]}, "priority has 1"),
        ({"priority": pa.array(["a", "b"])}, "hint: give numbers"),
        ({"threads": 0}, "threads is 0"),
        ({"threads": 100_000}, "threads is 100000, expected 1 to 1024"),
    ],
)
def test_wrong_arguments_say_what_is_wrong(options, message):
    with pytest.raises(ValueError, match=message):
        cf.near_duplicates(["a", "b"], **options)


def test_a_lone_surrogate_is_named():
    with pytest.raises(ValueError, match=r"row 1 holds a lone surrogate[\s\S]*hint:"):
        cf.near_duplicates(["a", "b\ud800"])


def test_five_columns_are_too_many():
    with pytest.raises(ValueError, match="1 to 4"):
        cf.near_duplicates({str(at): ["a"] for at in range(5)})


def test_prompt_and_response_have_to_be_alike():
    passage = "a long passage that many rows share and that makes most of what their prompts say " * 3
    rows = [
        row("blue", instruction="Answer.", input=f"{passage}What is the colour of the sky?"),
        row("green", instruction="Answer.", input=f"{passage}What is the colour of the grass?"),
        row("blue", instruction="Answer.", input=f"{passage}What is the colour of the skies?"),
    ]
    decisions = decide(rows, min_similarity=0.8)
    assert sorted([*decisions.row.tolist(), *decisions.witness.tolist()]) == [0, 2]
    assert decisions.reasons == ["near duplicate of prompt+response"]
    assert 0.8 <= decisions.score[0] < 1
    assert len(decide(rows, on="prompt").row) == 2


def test_a_shared_definition_makes_no_rows_alike():
    definition = (
        "In this task you are given a sentence and have to tell whether it is about animals or about plants. " * 3
    )
    rows = [row("plants", instruction=definition, input=f"short input {at}") for at in range(3)]
    assert len(decide(rows).row) == 0
    assert len(decide(rows, on="instruction").row) == 2


def test_a_flagged_row_stays_and_is_counted():
    decisions = decide([row(SENTENCE, instruction="say"), row(CHANGED, instruction="say")], action="flag")
    assert len(decisions.row) == 0
    assert decisions.notes["flagged as near duplicates of prompt+response"] == 1


def test_rows_with_short_responses_can_be_left_alone():
    rows = [row("Yes.", instruction=SENTENCE), row("Yes.", instruction=CHANGED)]
    assert len(decide(rows).row) == 1
    assert len(decide(rows, min_response=4).row) == 1
    assert len(decide(rows, min_response=5).row) == 0


def test_a_giant_group_is_an_alarm():
    assert dedup.warnings({"largest group of near duplicates of prompt": 1001}, 5000) == [
        "one row stands for 1,001 of 5,000 rows that are alike in prompt: look whether a template makes them so"
    ]
    assert dedup.warnings({"largest group of near duplicates of prompt": 1001}, 200_000) == []
    assert dedup.warnings({"largest group of near duplicates of prompt": 1000}, 1000) == []
    rows = [row(f"{SENTENCE} {at}", instruction="say") for at in range(1200)]
    decisions = decide(rows, min_similarity=0.5)
    assert decisions.notes["largest group of near duplicates of prompt+response"] == 1200
    assert len(dedup.warnings(decisions.notes, 1200)) == 1


def test_a_score_goes_with_the_witness_it_is_of():
    first = Decisions(
        np.array([1], np.uint32), np.zeros(1, np.uint16), ["a"], np.array([0], np.uint32), np.array([0.9])
    )
    second = Decisions(
        np.array([0], np.uint32), np.zeros(1, np.uint16), ["b"], np.array([2], np.uint32), np.array([0.8])
    )
    joined = Decisions.join([first, second])
    assert joined.witness.tolist() == [2, 2]
    assert joined.score[0] == 0.8
    assert np.isnan(joined.score[1])


@pytest.mark.parametrize(
    "rule",
    [
        {"on": []},
        {"on": "output"},
        {"min_similarity": 0},
        {"min_similarity": float("nan")},
        {"min_similarity": {"prompt": 0.5}},
        {"ngram": 0},
        {"unit": "token"},
        {"action": "keep"},
    ],
)
def test_rules_that_mean_nothing_are_refused(rule):
    with pytest.raises(ValidationError):
        Dedup(near=[rule])


def build_index(texts, ids=None, **options):
    return cf.NearIndex.build(texts, ids or [f"old-{at}" for at in range(len(texts))], **options)


def test_an_index_gives_the_old_rows_id(tmp_path):
    index = build_index([SENTENCE, "something else altogether"])
    index.save(tmp_path / "kept.index")
    again = cf.NearIndex.load(tmp_path / "kept.index")
    assert len(again) == 2
    table = cf.near_duplicates([CHANGED, "new", CHANGED], against=again)
    assert table.to_pylist() == [
        {"row": 0, "witness": None, "similarity": 13 / 15, "against": "old-0"},
        {"row": 2, "witness": None, "similarity": 13 / 15, "against": "old-0"},
    ]


def test_indexes_merge_and_one_column_may_have_any_name():
    index = build_index({"a": [SENTENCE]}).merge(build_index({"b": ["another text"]}))
    assert len(index) == 2
    assert cf.near_duplicates({"c": ["Another  text"]}, against=index)["against"].to_pylist() == ["old-0"]


@pytest.mark.parametrize(
    ("made", "asked", "message"),
    [
        ({"ngram": 4}, {}, "made with ngram=4, not 5"),
        ({"unit": "char"}, {}, "made with unit='char'"),
        ({"seed": 1}, {}, "made with seed=1"),
        ({}, {"ngram": 3}, "made with ngram=5, not 3"),
    ],
)
def test_an_index_with_other_parameters_is_refused(made, asked, message):
    index = build_index([SENTENCE], **made)
    with pytest.raises(ValueError, match=message):
        cf.near_duplicates([CHANGED], against=index, **asked)
    with pytest.raises(ValueError, match="hint:"):
        build_index([SENTENCE], **asked).merge(index)


def test_an_index_of_other_columns_or_ids_is_refused():
    two = build_index({"a": ["x"], "b": ["y"]}, ids=["one"])
    with pytest.raises(ValueError, match="columns="):
        cf.near_duplicates({"a": ["x"], "c": ["y"]}, against=two)
    with pytest.raises(ValueError, match="different types"):
        build_index(["x"]).merge(build_index(["x"], ids=[1]))
    with pytest.raises(ValueError, match="1 ids for 2 rows"):
        build_index(["x", "y"], ids=["one"])
    with pytest.raises(ValueError, match="ngram is 0"):
        build_index(["x"], ngram=0)


def test_a_file_cut_short_at_any_length_is_refused(tmp_path):
    path = tmp_path / "kept.index"
    build_index([SENTENCE, CHANGED]).save(path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(cf.DataError, match="hint:"):
            cf.NearIndex.load(path)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "kept.index"
    index = build_index([SENTENCE])

    def written(table):
        with pa.ipc.new_file(str(path), table.schema) as writer:
            writer.write_table(table)
        with pytest.raises(cf.DataError, match="hint:") as caught:
            cf.NearIndex.load(path)
        return str(caught.value)

    made = json.loads(index.table.schema.metadata[b"chaffinch"])
    assert "of version 1, this is 2" in written(
        index.table.replace_schema_metadata({"chaffinch": json.dumps(made | {"version": 1})})
    )
    assert "without some" in written(index.table.select(["id"]))
    del made["seed"]
    assert "without some" in written(index.table.replace_schema_metadata({"chaffinch": json.dumps(made)}))
    assert "not a near index" in written(index.table.replace_schema_metadata({"chaffinch": "[]"}))
    assert "not a near index" in written(pa.table({"a": [1]}))
    path.write_text("id,shingles\n")
    with pytest.raises(cf.DataError, match="not a near index"):
        cf.NearIndex.load(path)
    with pytest.raises(FileNotFoundError):
        cf.NearIndex.load(tmp_path / "missing")


def test_offsets_that_lead_outside_are_refused(tmp_path):
    path = tmp_path / "kept.index"
    build_index([SENTENCE, "a b c d e f g"]).save(path)
    offsets = np.array([0, 14, 17], np.int64).tobytes()
    assert path.read_bytes().count(offsets) == 1
    path.write_bytes(path.read_bytes().replace(offsets, np.array([0, 14, 10**9], np.int64).tobytes()))
    with pytest.raises(cf.DataError, match="hint:"):
        cf.NearIndex.load(path)


def loaded(path):
    try:
        return cf.NearIndex.load(path)
    except cf.DataError as error:
        return error


def test_a_flipped_bit_anywhere_is_refused_or_changes_nothing(tmp_path):
    path = tmp_path / "kept.index"
    index = build_index([SENTENCE, CHANGED, "short"], ids=["a", None, "c"])
    index.save(path)
    whole = path.read_bytes()
    refused = 0
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
        again = loaded(path)
        if isinstance(again, cf.DataError):
            assert "\nhint: " in str(again)
            refused += 1
        else:
            # Padding, or a copy of the schema that nobody reads.
            assert again.table.equals(index.table)
            assert again.parameters == index.parameters
    assert refused > len(whole) // 4
    sets = index.sets()[0].chunk(0).values.to_numpy().tobytes()
    start = whole.index(sets)
    path.write_bytes(whole[: start + 40] + bytes([whole[start + 40] ^ 16]) + whole[start + 41 :])
    with pytest.raises(cf.DataError, match="damaged, it does not hold what was saved\nhint: make it again"):
        cf.NearIndex.load(path)


@pytest.mark.parametrize(
    "ids", [pa.array(["a", "b"]).dictionary_encode(), pa.array(["a", "b"], pa.string_view()), ["a", "b"]]
)
def test_ids_of_any_text_type_merge(tmp_path, ids):
    build_index([SENTENCE, "x"], ids=ids).save(tmp_path / "one.index")
    merged = cf.NearIndex.load(tmp_path / "one.index").merge(build_index(["y"], ids=pa.array(["c"])))
    merged.save(tmp_path / "both.index")
    assert cf.NearIndex.load(tmp_path / "both.index").table["id"].to_pylist() == ["a", "b", "c"]


@pytest.mark.parametrize("ids", [[[1]], [{"a": 1}], [b"a"]])
def test_ids_that_are_neither_text_nor_numbers_are_refused(ids):
    with pytest.raises(ValueError, match="hint: give text or numbers"):
        build_index(["x"], ids=ids)


def test_rows_of_the_old_side_are_taken_as_they_were(tmp_path):
    # Two old rows are alike: neither goes, and the texts are not needed any more, only the sets.
    build_index([SENTENCE, CHANGED, "another text"]).save(tmp_path / "kept.index")
    found = cf.near_duplicates(["Another  text", CHANGED, "new"], against=cf.NearIndex.load(tmp_path / "kept.index"))
    told = [(one["row"], one["witness"], one["against"]) for one in found.to_pylist()]
    assert told == [(0, None, "old-2"), (1, None, "old-0")]


def test_passages_that_rows_share():
    template = "please read what follows and answer in one short sentence"
    texts = [f"{at} {template} about number {at}" for at in range(50)] + ["nothing of it", None]
    assert cf.repeated_spans(texts, min_words=5).to_pylist() == [
        {"text": f"{template} about number", "words": 12, "rows": 50}
    ]
    assert cf.repeated_spans(texts, min_words=13).num_rows == 0
    assert cf.repeated_spans([], min_words=5).num_rows == 0


@pytest.mark.parametrize("options", [{"min_words": 0}, {"min_words": -1}, {"min_rows": 1}, {"top": -1}, {"threads": 0}])
def test_spans_refuse_what_means_nothing(options):
    with pytest.raises(ValueError, match=r"hint:|expected"):
        cf.repeated_spans(["a b c"], **options)


@pytest.mark.parametrize(
    "rows", [[2], [-1], np.array([-1]), [2**32], [2**70], [0.5], [True, False], ["a"], [None], [[0]], 0]
)
def test_rows_of_an_index_that_are_none_are_refused(rows: Any) -> None:
    with pytest.raises(ValueError, match="\nhint: "):
        cf.NearIndex.build(["a b", "c"], ["x", "y"], rows=rows)
    assert len(cf.NearIndex.build(["a b", "c"], ["x", "y"], rows=[])) == 0
