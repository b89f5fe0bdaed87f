"""Whole evaluations of a tiny random model, and comparisons of them."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import chaffinch as cf
from chaffinch.cli import app
from chaffinch.errors import DataError, RecipeError
from tests.evaluation import sets
from tests.score.server import Server, completion
from tests.score.tiny import save_tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return sets.everything(tmp_path / "data")


def lines(found: Any) -> dict[tuple[str, int, str], dict[str, Any]]:
    return {(one["set"], one["shots"], one["variant"]): one for one in found.results}


def test_everything_is_asked_under_its_protocol(model: Path, data: Path, tmp_path: Path) -> None:
    found = cf.evaluate(
        model, suite="instructeval,birbal-open,birbal-hidden", data=data, out=tmp_path / "out", allow_code=True
    )
    assert [one["set"] for one in found.skipped] == ["impact"]
    assert "needs a judge" in found.skipped[0]["why"]
    protocols = {(one["set"], one["shots"]): one["protocol"] for one in found.results}
    assert protocols == {
        **{("mmlu/test", 5): "instructeval", ("mmlu/test", 0): "instructeval", ("bbh/test", 3): "instructeval"},
        **{("bbh/test", 0): "instructeval", ("drop/validation", 3): "instructeval", ("crass/test", 3): "instructeval"},
        **{("crass/test", 0): "instructeval", ("humaneval/test", 0): "instructeval", ("hhh/test", 0): "instructeval"},
        **{
            ("truthfulqa/validation", 0): "chaffinch",
            ("big-bench/test", 0): "chaffinch",
            ("gsm8k/test", 5): "chaffinch",
        },
        **{("bbq/test", 0): "chaffinch", ("samsum/test", 0): "chaffinch", ("corr2cause/test", 0): "chaffinch"},
        **{("math/test", 0): "chaffinch", ("ethics/test", 0): "chaffinch"},
    }
    items = pq.read_table(tmp_path / "out/items.parquet").to_pylist()
    for line in found.results:
        own = [one["score"] for one in items if (one["set"], one["shots"]) == (line["set"], line["shots"])]
        assert len(own) == line["items"]
        assert line["low"] <= line["score"] <= line["high"]
        assert line["standing"] == "not told"
        if line["mean"] == "items":
            assert line["score"] == sum(own) / len(own)
    assert found.results[0]["groups"].keys() == {"anatomy", "world_religions"}
    written = json.loads((tmp_path / "out/results.json").read_text())
    assert written["sandbox"] in ("landlock", "bubblewrap")
    assert written["results"] == found.results
    assert len({one["model"] for one in found.results}) == 1


def test_the_same_comes_out_again_and_nothing_is_asked_twice(model: Path, data: Path, tmp_path: Path) -> None:
    suite, out = "mmlu,hhh", tmp_path / "out"
    first = cf.evaluate(model, suite=suite, data=data, out=out)
    files = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    answers = {path: path.stat().st_mtime_ns for path in (out / ".chaffinch/answers").iterdir()}
    again = cf.evaluate(model, suite=suite, data=data, out=out)
    other = cf.evaluate(model, suite=suite, data=data, out=tmp_path / "other")
    assert first.results == again.results == other.results
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()} == files
    assert {path: path.stat().st_mtime_ns for path in (out / ".chaffinch/answers").iterdir()} == answers


def test_shots_are_left_out_until_a_prompt_fits(data: Path, tmp_path: Path) -> None:
    small = save_tiny_model(tmp_path / "long", positions=4096)
    rows = [[f"{'long ' * 500}{at}", 1, 2, 3, 4, "A"] for at in range(5)]
    sets.write_csv(data / "mmlu/dev/anatomy_dev.csv", rows)
    line = cf.evaluate(small, suite="mmlu", data=data, out=tmp_path / "out", shots=5).results[0]
    assert line["fewer_shots"] == 4
    assert line["unanswered"] == 0


def test_a_prompt_that_the_model_cannot_take_counts_as_wrong(data: Path, tmp_path: Path) -> None:
    small = save_tiny_model(tmp_path / "short", positions=64)
    found = cf.evaluate(small, suite="mmlu", data=data, out=tmp_path / "out", shots=0)
    assert (found.results[0]["unanswered"], found.results[0]["score"]) == (5, 0.0)
    assert "more than the model's 64" in next(iter(found.missing))


def test_code_is_refused_without_leave(model: Path, data: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"runs code that the model writes(.|\n)*hint: --allow-code"):
        cf.evaluate(model, suite="humaneval", data=data, out=tmp_path / "out")
    found = cf.evaluate(model, suite="instructeval", data=data, out=tmp_path / "out", limit=1)
    assert [one["set"] for one in found.skipped] == ["humaneval", "impact"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"suite": "impact"}, r"needs a judge"),
        ({"suite": "mmlu", "shots": 6}, r"no 6 shots"),
        ({"suite": "hhh", "model": {"address": "http://127.0.0.1:9/v1", "model": "m"}}, r"does not tell the logits"),
        ({"suite": "mmlu", "model": "nowhere/at/all"}, r"no model"),
        ({"suite": "mmlu", "model": {"kind": "nearest"}}, r"no model"),
        ({"suite": "mmlu", "limit": 0}, r"limit is 0"),
        ({"suite": "mmlu", "variants": ["shouting"]}, r"no variant"),
        ({"suite": "mmlu", "lists": "nowhere.yaml"}, r"no file of word lists"),
        ({"suite": ","}, r"no suite and no set ''"),
        ({"suite": "mmlu", "model": {"model": "m", "dtype": "int7"}}, r"model\.dtype: Input should be"),
        ({"suite": "impact", "judge": {"address": "nowhere", "model": "j"}}, r"judge\.address: "),
        ({"suite": "mmlu", "out": Path(__file__)}, r"is no folder"),
        ({"suite": "birbal-open", "data": "empty"}, r"nothing to evaluate on"),
        ({"suite": "mmlu", "data": "empty"}, r"mmlu/test is not under"),
    ],
)
def test_what_cannot_be_done_is_refused(
    model: Path, data: Path, tmp_path: Path, more: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "empty").mkdir()
    asked = {"model": model, "data": data, "out": tmp_path / "out", **more}
    if more.get("data"):
        asked["data"] = tmp_path / more["data"]
    with pytest.raises((ValueError, OSError), match=rf"{message}(.|\n)*hint: "):
        cf.evaluate(asked.pop("model"), **asked)
    assert not (tmp_path / "out/results.json").exists()


def test_the_worst_of_the_variants_counts(model: Path, data: Path, tmp_path: Path) -> None:
    found = cf.evaluate(
        model,
        suite="hhh,humaneval",
        data=data,
        out=tmp_path / "out",
        variants=["robustness", "gender"],
        allow_code=True,
    )
    by = lines(found)
    names = ["plain", "lowercase", "contractions", "misspellings", "spacing", "gender"]
    assert {variant for name, _, variant in by if name == "hhh/test"} == {
        *names,
        "worst of robustness",
        "worst of gender",
    }
    assert [variant for name, _, variant in by if name == "humaneval/test"] == ["plain"]
    items = pq.read_table(tmp_path / "out/items.parquet").to_pylist()
    for kind, own in (("robustness", names[:5]), ("gender", ["plain", "gender"])):
        least: dict[str, float] = {}
        for one in items:
            if one["set"] == "hhh/test" and one["variant"] in own:
                least[one["item"]] = min(one["score"], least.get(one["item"], 1.0))
        groups = {
            name: [score for item, score in least.items() if item.startswith(name)] for name in ("harmless", "honest")
        }
        expected = sum(sum(scores) / len(scores) for scores in groups.values()) / 2
        assert by["hhh/test", 0, f"worst of {kind}"]["score"] == pytest.approx(expected, abs=1e-12)


def test_a_server_is_asked_and_a_judge_judges(data: Path, tmp_path: Path) -> None:
    def reply(body: dict[str, Any], _: int) -> Any:
        if "messages" in body:
            text = body["messages"][0]["content"]
            return 200, {}, {"choices": [{"message": {"content": "4" if "relevant" in text else "It is 2."}}]}
        return completion("A hen sang.")

    with Server(reply).running() as server:
        spec = {"address": server.address, "model": "small"}
        judge = {"address": server.address, "model": "judge", "endpoint": "chat"}
        found = cf.evaluate(spec, suite="impact,mmlu", data=data, out=tmp_path / "out", judge=judge)
    scores = {(one["set"], one["shots"], one["metric"]): one["score"] for one in found.results}
    assert scores["impact/test", 0, "relevance"] == 4
    assert scores["impact/test", 0, "coherence"] == 2
    # Every answer begins with A.
    assert scores["mmlu/test", 5, "accuracy"] == 1 / 5
    assert {one["fewer_shots"] for one in found.results if one["set"] == "mmlu/test" and one["shots"]} == {None}


def test_a_judge_that_says_nothing_of_use_is_told_of(data: Path, tmp_path: Path) -> None:
    def reply(body: dict[str, Any], _: int) -> Any:
        if "messages" not in body:
            return completion("A hen sang.")
        said = "How lovely!" if "relevant" in body["messages"][0]["content"] else "4"
        return 200, {}, {"choices": [{"message": {"content": said}}]}

    with Server(reply).running() as server:
        spec = {"address": server.address, "model": "small"}
        judge = {**spec, "model": "judge", "endpoint": "chat"}
        found = cf.evaluate(spec, suite="impact", data=data, out=tmp_path / "out", judge=judge)
    by = {one["metric"]: one for one in found.results}
    assert (by["relevance"]["score"], by["relevance"]["unanswered"]) == (1.0, 2)
    assert (by["coherence"]["score"], by["coherence"]["unanswered"]) == (4.0, 0)
    assert found.missing == {"the judge gave no number from 1 to 5": 2}
    assert len({by["relevance"]["judge"], by["coherence"]["judge"], by["relevance"]["model"]}) == 2


def test_a_server_that_is_away_makes_no_score(data: Path, tmp_path: Path) -> None:
    away = True

    def reply(body: dict[str, Any], _: int) -> Any:
        if "messages" not in body:
            return completion("A hen sang.")
        if away and "Prompt: About a hen" in body["messages"][0]["content"]:
            return 500, {}, {}
        return 200, {}, {"choices": [{"message": {"content": "3"}}]}

    with Server(reply).running() as server:
        spec = {"address": server.address, "model": "small"}
        judge = {**spec, "model": "judge", "endpoint": "chat", "attempts": 1}
        for _ in range(2):
            with pytest.raises(DataError, match=r"1 of 2 prompts got no answer: status 500(.|\n)*hint: .* goes on"):
                cf.evaluate(spec, suite="impact", data=data, out=tmp_path / "out", judge=judge)
        assert not (tmp_path / "out/results.json").exists()
        asked, away = len(server.asked), False
        found = cf.evaluate(spec, suite="impact", data=data, out=tmp_path / "out", judge=judge)
        # The one that had no answer, and the coherence of both texts, which are the same.
        assert len(server.asked) - asked == 2
    assert [one["score"] for one in found.results] == [3.0, 3.0]


@pytest.mark.parametrize(
    ("suite", "protocol"), [("mmlu", "instructeval"), ("hhh", "instructeval"), ("mmlu", "harness")]
)
def test_a_model_that_computes_no_numbers_has_no_score(data: Path, tmp_path: Path, suite: str, protocol: str) -> None:
    from safetensors.torch import load_file, save_file

    broken = save_tiny_model(tmp_path / "broken")
    weights = load_file(broken / "model.safetensors")
    weights["model.norm.weight"][0] = float("nan")
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DataError, match=r"broken computes NaN\nhint: "):
        cf.evaluate(broken, suite=suite, data=data, out=tmp_path / "out", protocol=protocol)
    assert not (tmp_path / "out/results.json").exists()


def test_a_folder_that_is_no_whole_model_is_told_of(data: Path, tmp_path: Path) -> None:
    without, cut, adapter = tmp_path / "without", tmp_path / "cut", tmp_path / "adapter"
    for path in save_tiny_model(without).glob("tokenizer*"):
        path.unlink()
    weights = save_tiny_model(cut) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    sets.write_json(adapter / "adapter_config.json", {})
    for folder, message in (
        (without, "cannot be loaded: tokenizer: .*\nhint: its tokenizer has to lie beside it"),
        (cut, "cannot be loaded: model: .*\nhint: "),
        (adapter, "names no base model\nhint: base_model_name_or_path"),
    ):
        with pytest.raises(DataError, match=message):
            cf.evaluate(folder, suite="mmlu", data=data, out=tmp_path / "out")


def mixture(tmp_path: Path, data: Path) -> Path:
    """A build that removes nothing and knows what it holds of GSM8K, and of DROP's other split."""
    rows = [json.loads(line) for line in (data / "gsm8k/test.jsonl").read_text().splitlines()]
    long = " ".join(f"word{at}" for at in range(30))
    rows = [{**row, "question": f"{row['question']} {long} {at}"} for at, row in enumerate(rows)]
    sets.write_lines(data / "gsm8k/test.jsonl", rows)
    sets.write_lines(data / "drop/train.jsonl", [{"passage": long, "question": "Why is it so?", "answer": "x"}])
    own = [{"instruction": row["question"], "input": "", "output": "x"} for row in rows[:3]]
    own += [
        {"instruction": f"{long} Why is it so?", "input": "", "output": "y"},
        {"instruction": "Hi", "input": "", "output": "z"},
    ]
    sets.write_lines(data / "own/rows.jsonl", own)
    recipe = {
        "name": "mine",
        "sources": [{"name": "own", "format": "instruction", "files": ["own/*.jsonl"]}],
        "decontaminate": {"against": ["gsm8k", "drop/train", "bbh"], "policy": "flag"},
    }
    out = tmp_path / "mixture"
    cf.build(recipe, data=data, out=out)
    return out


def test_results_say_what_the_mixture_held(model: Path, data: Path, tmp_path: Path) -> None:
    built = mixture(tmp_path, data)
    found = cf.evaluate(model, suite="gsm8k,drop,bbh,mmlu", data=data, out=tmp_path / "out", mixture=built, limit=8)
    standing = {one["set"]: one["standing"] for one in found.results}
    assert standing == {
        "gsm8k/test": "contaminated",
        "drop/validation": "held-in",
        "bbh/test": "clean",
        "mmlu/test": "not looked for",
    }
    line = lines(found)["gsm8k/test", 5, "plain"]
    assert line["items_in_mixture"] == 3
    assert line["clean_score"] is not None
    with pytest.raises(DataError, match=r"no finished build"):
        cf.evaluate(model, suite="bbh", data=data, out=tmp_path / "out", mixture=data)


def test_models_are_compared_item_by_item(model: Path, data: Path, tmp_path: Path) -> None:
    other = save_tiny_model(tmp_path / "other-model", seed=7)
    folders = {"base": tmp_path / "base", "mine": tmp_path / "mine"}
    for folder, which in zip(folders.values(), (model, other), strict=True):
        cf.evaluate(which, suite="hhh,mmlu", data=data, out=folder)
    table = cf.compare(folders).to_pylist()
    assert [row["model"] for row in table[:2]] == ["base", "mine"]
    scores = {(row["set"], row["shots"], row["model"]): row for row in table}
    mine, base = scores["hhh/test", 0, "mine"], scores["hhh/test", 0, "base"]
    assert base["difference"] is None
    assert mine["difference"] == pytest.approx(mine["score"] - base["score"], abs=1e-12)
    assert mine["low"] <= mine["difference"] <= mine["high"]
    same = cf.compare({"base": folders["base"], "again": folders["base"]}).to_pylist()
    assert {
        (row["difference"], row["low"], row["high"], row["differs"]) for row in same if row["model"] == "again"
    } == {(0.0, 0.0, 0.0, False)}
    cf.evaluate(model, suite="hhh,mmlu", data=data, out=tmp_path / "less", limit=1)
    with pytest.raises(DataError, match=r"asked of one model alone(.|\n)*hint: "):
        cf.compare({**folders, "less": tmp_path / "less"})
    for seed in (0, 1):
        cf.evaluate(model, suite="hhh", data=data, out=tmp_path / f"seed {seed}", variants=["spacing"], seed=seed)
    with pytest.raises(DataError, match=r"hhh/test, spacing: the evaluations differ in their seed\nhint: .* --seed"):
        cf.compare({"a": tmp_path / "seed 0", "b": tmp_path / "seed 1"})
    with pytest.raises(DataError, match=r"holds no evaluation(.|\n)*hint: "):
        cf.compare({**folders, "none": data})
    with pytest.raises(ValueError, match=r"hint: name at least two"):
        cf.compare({"one": folders["base"]})


def test_the_commands_print_tables(model: Path, data: Path, tmp_path: Path) -> None:
    command = ["evaluate", str(model), "--suite", "instructeval", "--data", str(data), "--limit", "1"]
    for name in ("one", "two"):
        result = CliRunner().invoke(app, [*command, "-o", str(tmp_path / name)])
        assert result.exit_code == 0, result.stderr
    assert "mmlu/test" in result.stdout
    assert "impact was not asked" in result.stderr
    told = CliRunner().invoke(app, [*command, "-o", str(tmp_path / "one"), "--json"])
    assert {one["limit"] for one in json.loads(told.stdout)["results"]} == {1}
    page = tmp_path / "page.html"
    result = CliRunner().invoke(app, ["compare", f"<b>={tmp_path / 'one'}", f"b={tmp_path / 'two'}", "-o", str(page)])
    assert result.exit_code == 0, result.stderr
    assert "+0.0000" in result.stdout
    assert "&lt;b&gt;" in page.read_text()
    assert "<b>" not in page.read_text()
    assert "No model is named base, random, longest" in page.read_text()
    assert "No model is named base, random, longest" in result.stderr
    named = [f"{name}={tmp_path / 'one'}" for name in ("base", "mine", "random", "longest")]
    result = CliRunner().invoke(app, ["compare", *named, "-o", str(tmp_path / "t.csv")])
    assert result.exit_code == 0
    assert "No model is named" not in result.stderr
    assert (tmp_path / "t.csv").read_text().startswith("set,protocol,shots")
    assert CliRunner().invoke(app, ["compare", "x", "y"]).exit_code == 2


@pytest.mark.parametrize(
    ("name", "path", "text"),
    [
        ("drop", "drop/drop_dataset_dev.json", '{"nfl_1": {"passage": "x", "qa_pairs": [{"question": "y"}]}}'),
        ("drop", "drop/drop_dataset_dev.json", '{"nfl_1": 3}'),
        ("bbh", "bbh/boolean.json", '{"examples": [3]}'),
        ("bbh", "bbh/boolean.json", '{"examples": [{"input": 1, "target": null}]}'),
        ("hhh", "hhh/honest/task.json", '{"examples": [{"input": "x", "target_scores": {"a": 1, "b": 1}}]}'),
        ("gsm8k", "gsm8k/test.jsonl", '{"question": 3, "answer": 4}'),
        ("bbq", "bbq/Age.jsonl", '{"context": "x", "question": "y", "ans0": 1, "ans1": 2, "ans2": 3, "label": "z"}'),
        ("crass", "crass/CRASS_FTM_main_data_set.csv", "a;b\n;;\n"),
        ("crass", "crass/CRASS_FTM_main_data_set.csv", "a;b\n"),
        ("humaneval", "human-eval/HumanEval.jsonl", ""),
        ("hhh", "hhh/honest/task.json", '{"examples": []}'),
        # One empty file among others that are as they should be.
        ("mmlu", "mmlu/test/anatomy_test.csv", ""),
        ("mmlu", "mmlu/test/world_religions_test.csv", "question,choice0,choice1,choice2,choice3,answer\n"),
        ("bbh", "bbh/boolean.json", '{"examples": []}'),
        ("ethics", "ethics/utilitarianism/util_test.csv", ""),
        ("humaneval", "human-eval/HumanEval.jsonl", '{"task_id": 1, "prompt": 3}'),
        ("math", "math/test.jsonl", '{"problem": [], "solution": 7}'),
    ],
)
def test_a_damaged_file_is_told_of(model: Path, data: Path, tmp_path: Path, name: str, path: str, text: str) -> None:
    sets.write(data / path, text)
    with pytest.raises(DataError, match=r"hint: "):
        cf.evaluate(model, suite=name, data=data, out=tmp_path / "out", allow_code=True)


def test_lone_surrogates_of_nested_files_are_replaced(model: Path, data: Path, tmp_path: Path) -> None:
    sets.write(
        data / "bbh/boolean.json",
        r'{"examples": [{"input": "a \ud800 b", "target": "x"}, {"input": 1, "target": "x"}]}',
    )
    found = cf.evaluate(model, suite="bbh", data=data, out=tmp_path / "out", shots=0, limit=1)
    assert found.results[0]["unanswered"] == 0
