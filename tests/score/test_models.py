"""Models run here and behind a real server: batches change no answer, and both give the same."""

import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chaffinch.errors import DataError, RecipeError
from chaffinch.recipe.score import Score
from chaffinch.score.local import LocalModel, model_identity
from chaffinch.score.served import ServedModel
from tests.score.corpus import decided, recipe, write_task
from tests.score.server import collected, transformers_serve
from tests.score.tiny import save_tiny_model

WORDS = ["yes", "no", "the", "of", "one", "two", "three", "### Input:\n", "é", "数"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def address(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with transformers_serve(tiny, tmp_path_factory.mktemp("serve") / "log") as address:
        yield address


def questions(n: int, longest: int = 60) -> list[str]:
    chance = random.Random(3)
    return [" ".join(chance.choices(WORDS, k=chance.randint(1, longest))) + "\n\n### Response:\n" for _ in range(n)]


def spec(model: Path, **more: Any) -> Score:
    score = {name: more.pop(name) for name in ("max_new_tokens", "ends_at") if name in more}
    answerer = {"model": str(model), "dtype": "float32", **more}
    return Score.model_validate({"sources": ["s"], "answerer": answerer, "max_new_tokens": 12, **score})


def local(score: Score) -> LocalModel:
    return LocalModel(score.answerer, score, None)


def test_batches_change_no_answer(tiny: Path) -> None:
    asked = questions(9)
    alone = collected(local(spec(tiny, batch_tokens=1)).complete(asked))
    some = collected(local(spec(tiny, batch_tokens=400)).complete(asked))
    together = collected(local(spec(tiny, batch_tokens=10**6)).complete(asked))
    backwards = collected(local(spec(tiny, batch_tokens=10**6)).complete(asked[::-1]))
    assert alone[0] == some[0] == together[0]
    assert {8 - at: text for at, text in backwards[0].items()} == alone[0]
    assert alone[0].keys() == {*range(9)}
    assert (alone[3], together[3]) == (9, 1)
    assert 1 < some[3] < 9
    assert len({*alone[0].values()}) > 5


def test_an_answer_ends_at_its_mark_and_the_batch_with_it(tiny: Path) -> None:
    asked = questions(6)
    whole = collected(local(spec(tiny, max_new_tokens=40)).complete(asked))[0]
    long = {at: text for at, text in whole.items() if len(text) > 20}
    # A byte that is half a letter is written as U+FFFD until the other half comes.
    marks = {text[5:7] for text in long.values() if "\ufffd" not in text[5:7]}
    assert len(marks) > 1
    for mark in sorted(marks):
        model = local(spec(tiny, max_new_tokens=40, ends_at=mark))
        batches = list(model.complete(asked))
        assert {at: text for batch in batches for at, text in batch.answers.items()} == {
            at: text.split(mark, 1)[0] for at, text in whole.items()
        }
    # Where all have ended, nobody goes on to the last token.
    at, text = next((at, text) for at, text in long.items() if "\ufffd" not in text[5:7])
    model = local(spec(tiny, max_new_tokens=40, ends_at=text[5:7]))
    prompt = len(model._tokenizer(asked[at])["input_ids"])
    assert sum(batch.tokens for batch in model.complete([asked[at]])) < prompt + 20


def test_what_does_not_fit_into_memory_is_asked_in_halves(tiny: Path) -> None:
    import torch

    class Small(LocalModel):
        def _generate(self, prompts: Any, some: list[int]) -> Any:
            if len(some) > 2 or "too much" in [prompts[at] for at in some]:
                raise torch.OutOfMemoryError
            return super()._generate(prompts, some)

    asked = [*questions(6), "too much"]
    score = spec(tiny)
    answers, refused, failed, n = collected(Small(score.answerer, score, None).complete(asked))
    assert answers == collected(local(score).complete(asked[:6]))[0]
    assert (refused, failed) == ({}, {6: "it does not fit into the device's memory"})
    assert n > 3


def test_a_whole_run_asks_the_model_and_the_next_one_does_not(tiny: Path, tmp_path: Path) -> None:
    write_task(tmp_path / "data", "t", [(f"one {at}", ["two"]) for at in range(6)], [("three", "two")])
    answerer = {"model": str(tiny), "dtype": "float32"}
    first = decided(tmp_path / "data", tmp_path, recipe(answerer=answerer, max_new_tokens=8))
    assert first.rows.table["answer"].null_count == 0
    assert first.steps[-1].decisions.notes["tokens"] > 6 * 50
    values = recipe(answerer=answerer, max_new_tokens=8, generation={"metric": "rouge1"})
    again = decided(tmp_path / "data", tmp_path, values)
    assert again.rows.table["answer"].equals(first.rows.table["answer"])
    notes = again.steps[-1].decisions.notes
    assert (notes["known"], notes["tokens"]) == (6, 0)


def test_a_prompt_longer_than_the_model_takes_is_refused(tmp_path: Path) -> None:
    model = local(spec(save_tiny_model(tmp_path / "short", positions=128)))
    answers, refused, failed, _ = collected(model.complete(["yes", "no " * 300]))
    assert answers.keys() == {0}
    assert "more than the model's 128" in refused[1]
    assert failed == {}


def test_nothing_asked_is_nothing_done(tiny: Path) -> None:
    assert list(local(spec(tiny)).complete([])) == []


def test_the_identity_is_of_the_files_and_the_settings(tiny: Path, tmp_path: Path) -> None:
    def of(model: Path, **more: Any) -> dict[str, Any]:
        score = spec(model, **more)
        return model_identity(score.answerer, score, tmp_path / "cache")

    same = save_tiny_model(tmp_path / "elsewhere")
    assert of(tiny) == of(same) == of(tiny, batch_tokens=7, device="cpu")
    assert of(save_tiny_model(tmp_path / "other", seed=1)) != of(tiny)
    assert (
        len({str(of(tiny, **more)) for more in ({}, {"max_new_tokens": 3}, {"ends_at": "x"}, {"load_in_4bit": True})})
        == 4
    )


def test_a_model_in_four_bits_answers(tiny: Path) -> None:
    pytest.importorskip("bitsandbytes")
    answers = collected(local(spec(tiny, load_in_4bit=True)).complete(questions(3)))[0]
    assert answers.keys() == {0, 1, 2}


def test_what_is_no_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no config.json\nhint: "):
        model_identity(spec(tmp_path).answerer, spec(tmp_path), tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "llama", "auto_map": {"AutoModelForCausalLM": "evil.Evil"}}')
    (tmp_path / "evil.py").write_text("raise SystemExit('it ran')")
    with pytest.raises(DataError, match=r"cannot be loaded: .*\nhint: "):
        local(spec(tmp_path))


def test_what_is_not_installed_is_told(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served = Score.model_validate({"sources": ["s"], "answerer": {"address": "http://x/v1", "model": "m"}})
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setitem(sys.modules, "httpx2", None)
    with pytest.raises(RecipeError, match=r"needs torch\nhint: pip install 'chaffinch\[train\]'"):
        local(spec(tiny))
    with pytest.raises(RecipeError, match=r"needs httpx2\nhint: pip install 'chaffinch\[serve\]'"):
        ServedModel(served.answerer, served)


def test_a_server_gives_the_answers_of_the_model_itself(tiny: Path, address: str) -> None:
    asked = questions(8, 20)
    here = collected(local(spec(tiny)).complete(asked))[0]
    score = Score.model_validate(
        {"sources": ["s"], "answerer": {"address": address, "model": str(tiny), "concurrency": 3}, "max_new_tokens": 12}
    )
    there = collected(ServedModel(score.answerer, score).complete(asked))
    assert there[:3] == (here, {}, {})


def test_a_server_chats(tiny: Path, address: str) -> None:
    answerer = {"address": address, "model": str(tiny), "endpoint": "chat"}
    score = Score.model_validate({"sources": ["s"], "answerer": answerer, "max_new_tokens": 12})
    answers, refused, failed, _ = collected(ServedModel(score.answerer, score).complete(questions(3, 8)))
    assert (answers.keys(), refused, failed) == ({0, 1, 2}, {}, {})
    assert any(answers.values())
