"""What the synthetic corpus promises, checked by a reader of plain Python and pyarrow."""

import csv
import gzip
import hashlib
import json
import math
from collections import Counter, defaultdict
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import chaffinch as cf
from chaffinch.synth import PLANTED, TRUTH, synthesise, words
from chaffinch.synth.profiles import apportion

ROWS = 20_000
SORTS = {"exact-duplicate", "prompt-duplicate", "near-duplicate", "duplicate-id"}
SORTS |= {"evaluation-item", "model-generated", "nan", "repeated-references", "too-short", "too-long"}
WAYS = {"truncated", "wrong-type", "missing-field", "empty-references", "invalid-role", "lone-surrogate"}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    out = tmp_path_factory.mktemp("synth") / "demo"
    return out, synthesise(out, ROWS)


@pytest.fixture(scope="module")
def planted(corpus):
    return [json.loads(line) for line in (corpus[0] / PLANTED).read_text().splitlines()]


@pytest.fixture(scope="module")
def read(corpus):
    """Every record of the corpus: (file, position) -> its row, or its text where that is not JSON."""
    out, truth = corpus
    found = {}
    for file in truth["files"]:
        for position, row in records(out / file["path"], file["format"]):
            found[file["path"], position] = row
    return found


def records(path, form):
    if form == "parquet":
        return list(enumerate(pq.read_table(path).to_pylist()))
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")
    if form == "jsonl":
        return [(number, parsed(line)) for number, line in enumerate(text.splitlines(), 1)]
    if form == "array":
        return list(enumerate(json.loads(text)))
    if form == "tasks":
        return list(enumerate(json.loads(text)["Instances"]))
    if form == "tsv":
        return [
            (number, dict(zip(["question", "answer", "rationale"], line.split("\t"), strict=False)))
            for number, line in enumerate(text.splitlines(), 1)
        ]
    return [(number, row) for number, row in enumerate(csv.DictReader(text.splitlines()), 2)]


def parsed(line):
    try:
        return json.loads(line)
    except ValueError:
        return line


def prompt(row):
    if "conversations" in row:
        return json.dumps([turn for turn in row["conversations"] if turn["from"] == "human"])
    keys = ("instruction", "input", "prompt", "question")
    return json.dumps([row[key] for key in keys if key in row])


def response(row):
    if "conversations" in row:
        return json.dumps([turn for turn in row["conversations"] if turn["from"] != "human"])
    return json.dumps([row[key] for key in ("output", "completion", "answer", "rationale") if key in row])


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_same_arguments_give_the_same_bytes(corpus, tmp_path):
    synthesise(tmp_path / "again", ROWS, workers=2)
    assert digests(tmp_path / "again") == digests(corpus[0])


def test_another_seed_gives_other_texts_of_the_same_shape(corpus, tmp_path):
    truth = synthesise(tmp_path / "other", ROWS, seed=1)
    ours, theirs = digests(corpus[0]), digests(tmp_path / "other")
    assert ours.keys() == theirs.keys()
    assert not {path for path in ours if ours[path] == theirs[path]}
    assert truth["total"]["rows"] == ROWS


def test_counts_add_up(corpus, planted, read):
    out, truth = corpus
    assert truth["total"]["rows"] == ROWS == sum(file["rows"] for file in truth["files"]) == len(read)
    assert Counter(path for path, _ in read) == {file["path"]: file["rows"] for file in truth["files"]}
    assert Counter(line["planted"] for line in planted) == truth["total"]["planted"]
    assert truth["total"]["broken"] == sum(line["planted"].startswith("broken:") for line in planted)
    assert 0 < truth["total"]["broken"] < ROWS / 100
    assert json.loads((out / TRUTH).read_text()) == json.loads(json.dumps(truth))
    for file in truth["files"]:
        for field, counts in file.get("fields", {}).items():
            rows = [row for (path, _), row in read.items() if path == file["path"]]
            assert Counter(row[field] for row in rows) == counts


def test_every_sort_is_planted(corpus):
    sorts = {sort.split(":")[0] for sort in corpus[1]["total"]["planted"]}
    assert sorts == {"broken", *SORTS}
    ways = {sort.split(":")[1] for sort in corpus[1]["total"]["planted"] if ":" in sort}
    assert ways == WAYS


def test_planted_rows_are_where_the_truth_says(planted, read):
    for line in planted:
        row = read[line["file"], line["position"]]
        if isinstance(row, dict) and not line["file"].endswith((".csv", ".tsv", ".parquet")):
            assert row["planted"] == line["planted"]
            assert row.get("planted_of") == line.get("of")


def test_duplicates_repeat_their_originals(planted, read):
    for line in planted:
        if "of" not in line:
            continue
        path, position = line["of"].rsplit("#", 1)
        copy, original = read[line["file"], line["position"]], read[path, int(position)]
        assert "planted" not in original
        same_prompt, same_response = prompt(copy) == prompt(original), response(copy) == response(original)
        match line["planted"]:
            case "exact-duplicate":
                assert same_prompt
                assert same_response
            case "prompt-duplicate":
                assert same_prompt
                assert not same_response
            case "near-duplicate":
                assert not same_prompt
                assert same_response
                theirs = prompt(original).split()
                assert sum(a != b for a, b in zip(prompt(copy).split(), theirs, strict=True)) == line["edits"]
                assert line["edits"] <= 1 + len(theirs) / 60
            case "duplicate-id":
                assert copy["id"] == original["id"]
                assert not same_prompt
            case sort:
                pytest.fail(f"{sort} has an original")


def test_nothing_is_repeated_that_was_not_planted(planted, read):
    planned = {"exact-duplicate", "prompt-duplicate", "evaluation-item"}
    left_out = {
        (line["file"], line["position"])
        for line in planted
        if line["planted"] in planned or line["planted"].startswith("broken:")
    }
    seen = defaultdict(list)
    for place, row in read.items():
        if place not in left_out:
            seen[place[0].rsplit("/", 1)[0], prompt(row)].append(place)
    assert not [places for places in seen.values() if len(places) > 1]


def test_copies_cross_files(planted):
    assert any(line["of"].split("#")[0] != line["file"] for line in planted if "of" in line)


def test_evaluation_items_are_in_the_prompts(corpus, planted, read):
    items = {
        item["id"]: item
        for item in map(json.loads, (corpus[0] / corpus[1]["evaluation"]["path"]).read_text().splitlines())
    }
    assert len(items) == corpus[1]["evaluation"]["items"]
    assert {len(item["question"].split()) < 13 for item in items.values()} == {True, False}
    hidden = [line for line in planted if line["planted"] == "evaluation-item"]
    assert {line["how"] for line in hidden} == {"verbatim", "lowercase", "embedded"}
    for line in hidden:
        row, question = read[line["file"], line["position"]], items[line["item"]]["question"]
        text = " ".join(str(row.get(key, "")) for key in ("instruction", "input", "prompt", "question"))
        if line["how"] == "lowercase":
            question = "".join(mark for mark in question.lower() if mark.isalnum() or mark == " ")
        assert question in text
        assert (text.strip() == question) == (line["how"] != "embedded")


def test_broken_rows_are_broken_as_said(planted, read):
    for line in planted:
        row = read[line["file"], line["position"]]
        answers = {"output", "completion", "answer", "conversations"}
        match line["planted"].removeprefix("broken:"):
            case "truncated":
                assert isinstance(row, str)
            case "wrong-type":
                assert any(isinstance(row[key], dict) for key in answers & row.keys())
            case "missing-field":
                assert not answers & row.keys()
            case "empty-references":
                assert row["output"] == []
            case "invalid-role":
                assert row["conversations"][0]["from"] == "narrator"
            case "lone-surrogate":
                with pytest.raises(UnicodeEncodeError):
                    row["remark"].encode()
            case "nan":
                assert math.isnan(row["score"])
            case "repeated-references":
                assert len(row["output"]) == 2
                assert len(set(row["output"])) == 1
            case "too-short" | "too-long":
                words = len(" ".join(row[key] for key in ("instruction", "input")).split())
                assert words == line["words"]
                assert words < 3 if line["planted"] == "too-short" else words > 800
            case "model-generated":
                assert row["generator"] == line["generator"]
                text = response(row)
                assert "AI language model" in text or "as an AI" in text or "Certainly!" in text


def test_the_forms_of_real_data_are_there(corpus):
    out, truth = corpus
    files = {file["path"]: file for file in truth["files"]}
    traits = {trait for file in files.values() for trait in file["traits"]}
    assert traits == {"2021", "bom", "crlf", "foreign-ids", "gzip", "nan", "string-output"}
    assert {file["format"] for file in files.values()} == {"array", "csv", "jsonl", "parquet", "tasks", "tsv"}
    assert (out / "code/code.json").read_bytes().startswith(b"\xef\xbb\xbf{")
    assert (out / "alpaca/more_alpaca.jsonl").read_bytes().endswith(b"}\r\n")
    for path, file in files.items():
        if file["format"] != "tasks":
            continue
        raw = (out / path).read_bytes()
        task = json.loads(gzip.decompress(raw) if path.endswith(".gz") else raw)
        early, drifted = "2021" in file["traits"], "string-output" in file["traits"]
        assert isinstance(task["Definition"], str) == early
        assert all(("id" in row) != early for row in task["Instances"])
        whole = [row for row in task["Instances"] if "output" in row and not isinstance(row["output"], dict)]
        assert {type(row["output"]) for row in whole} == {str if drifted else list}
        if drifted:
            number = path.rsplit("/", 1)[1][:8]
            assert not [row for row in task["Instances"] if row["id"].startswith(number)]
        assert file["category"] in task["Categories"]


def test_birbal_has_every_source_and_its_list_of_tasks(tmp_path):
    truth = synthesise(tmp_path / "birbal", 5_000, profile="birbal")
    folders = Counter()
    for file in truth["files"]:
        folders[file["path"].split("/")[0]] += file["rows"]
    assert sum(folders.values()) == 5_000
    assert folders.keys() == {"natural-instructions", "lima", "mathinstruct", "open-platypus"} | {
        "openbookqa",
        "quac",
        "cnn_dailymail",
    }
    chosen = (tmp_path / "birbal/birbal/selected_NI_tasks.txt").read_text().split()
    present = {file["task"] for file in truth["files"] if "task" in file}
    assert present - set(chosen)
    assert set(chosen) & present
    assert len(list((tmp_path / "birbal/cnn_dailymail").rglob("*.story"))) == folders["cnn_dailymail"]
    quac = json.loads((tmp_path / "birbal/quac/train_v0.2.json").read_text())
    questions = [(p, q) for one in quac["data"] for p in one["paragraphs"] for q in p["qas"]]
    assert len(questions) == folders["quac"]
    for paragraph, question in questions:
        answer = question["answers"][0]
        assert paragraph["context"][answer["answer_start"] :].startswith(answer["text"])


def test_flat_rows_have_about_500_bytes(tmp_path):
    truth = synthesise(tmp_path / "flat", 10_000, profile="flat")
    size = sum((tmp_path / "flat" / file["path"]).stat().st_size for file in truth["files"])
    assert 450 < size / 10_000 < 700
    assert truth["total"]["broken"] == 0


@pytest.mark.parametrize("rows", [1, 7, 99, 1_001])
@pytest.mark.parametrize("profile", ["demo", "flat", "birbal"])
def test_any_number_of_rows(tmp_path, rows, profile):
    truth = synthesise(tmp_path / "small", rows, profile=profile)
    assert truth["total"]["rows"] == rows


def test_a_finished_corpus_is_left_alone_and_another_folder_refused(tmp_path):
    synthesise(tmp_path / "one", 50)
    before = (tmp_path / "one" / TRUTH).stat().st_mtime_ns
    assert synthesise(tmp_path / "one", 50)["rows"] == 50
    assert (tmp_path / "one" / TRUTH).stat().st_mtime_ns == before
    with pytest.raises(FileExistsError, match="hint: name a folder"):
        synthesise(tmp_path / "one", 51)
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_progress_counts_rows(tmp_path):
    calls = []
    synthesise(tmp_path / "one", 2_000, progress=lambda done, total: calls.append((done, total)))
    assert calls == sorted(calls)
    assert calls[-1] == (2_000, 2_000)


def test_wrong_arguments_are_refused(tmp_path):
    with pytest.raises(ValueError, match="rows is 0"):
        synthesise(tmp_path / "one", 0)
    with pytest.raises(ValueError, match="the profiles are demo, flat, birbal"):
        synthesise(Path(tmp_path / "one"), 10, profile="demos")


def test_word_lists_fill_six_bits():
    lists = (words.ADJECTIVES, words.NOUNS, words.VERBS, words.PLACES, words.TIMES, words.NAMES)
    assert [(len(one), len(set(one))) for one in lists] == [(64, 64)] * 6


def test_apportion_gives_every_row_to_someone():
    assert apportion(10, [1, 1, 1]) == [4, 3, 3]
    assert apportion(7, [5, 1, 1]) == [5, 1, 1]
    assert sum(apportion(1_234_567, [0.3, 1.7, 12])) == 1_234_567


def test_the_demo_recipe_removes_exactly_what_is_too_short_or_too_long(corpus, tmp_path):
    summary = cf.build("demo", data=corpus[0], out=tmp_path / "out").summary
    [clean] = [stage for stage in summary["stages"] if stage["stage"] == "clean"]
    planted = corpus[1]["total"]["planted"]
    assert clean["removed"] == {
        "prompt under 3 words": planted["too-short"],
        "prompt over 800 words": planted["too-long"],
    }
