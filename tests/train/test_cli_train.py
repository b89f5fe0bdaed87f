"""`chaffinch train`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import chaffinch as cf
from tests.train.made import TINY, train
from tests.unit.test_cli import CHAFFINCH

SETTINGS = [text for name, value in TINY.items() for text in ("--set", f"{name}={json.dumps(value)}")]


def run(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [*CHAFFINCH, "train", *map(str, arguments)]
    alone = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=alone)


@pytest.mark.slow
def test_says_what_it_does_before_and_what_became_of_it(built: Path, model: str, tmp_path: Path) -> None:
    asked = [built, "--preset", "birbal", "--model", model, "--out", tmp_path / "run", *SETTINGS, "--tokens", "7k"]
    done = run(*asked)
    assert done.returncode == 0, done.stderr
    for text in (
        "lora_rank",
        "learning_rate",
        "0.01",
        "paper",
        "108 documents",
        "an epoch has 12 of 4 rows",
        "8,192 of",
    ):
        assert text in done.stdout, text
    for text in ("ended         tokens: 17 steps", "time          ", "validation loss", "training.html"):
        assert text in done.stdout, text
    assert "train:       17 steps" in done.stderr
    page = (tmp_path / "run" / "training.html").read_text()
    assert "validation loss" in page.lower()
    assert "base_model" in (tmp_path / "run" / "adapter" / "README.md").read_text()
    again = run(*asked, "--json", "--merge")
    assert again.returncode == 0, again.stderr
    values = json.loads(again.stdout)
    assert (values["reason"], values["steps"]) == ("tokens", 17), "it is not done again"
    assert (Path(values["merged"]) / "config.json").is_file()


def test_a_plan_does_nothing(built: Path, tmp_path: Path) -> None:
    done = run(built, "--preset", "flacuna", "--set", "mode=code", "--out", tmp_path / "run", "--plan", "--json")
    assert json.loads(done.stdout)["warmup_ratio"] == 0.0001
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--preset", "birbel"], 2, "error: no preset 'birbel'\nhint: did you mean birbal?"),
        (["--preset", "birbal", "--set", "lora_rnk=1"], 2, "hint: did you mean `lora_rank`?"),
        (["--preset", "birbal", "--tokens", "many"], 2, "error: tokens: 'many' is no number of tokens; "),
        (["--preset", "birbal", "--set", "lora_targets=q_proj"], 2, 'hint: birbal has lora_targets=["q_proj", '),
        (["--preset", "birbal"], 1, "holds no finished build\nhint: "),
    ],
)
def test_errors_have_hints(arguments: list[str], code: int, said: str, tmp_path: Path) -> None:
    done = run(tmp_path, *arguments)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_that_cannot_be_is_told(built: Path, model: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    done = run(built, "--preset", "birbal", "--model", model, "--out", tmp_path / "file" / "run", *SETTINGS)
    assert done.returncode == 1
    assert "\nhint: see that the path is right" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("missing", ["torch", "peft"])
def test_what_is_not_installed_is_told(missing: str, built: Path, tmp_path: Path) -> None:
    text = f"import sys; sys.modules[{missing!r}] = None\nimport chaffinch as cf\ncf.train({str(built)!r}, 'birbal')"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert f"training needs {missing}, which is not installed\nhint: pip install 'chaffinch[train]'" in done.stderr


def test_what_the_device_cannot_do_is_told(
    built: Path, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(cf.RecipeError, match="report_to: transformers finds no wandbb\nhint: "):
        train(built, tmp_path / "run", model, report_to=["wandbb"])
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    for options in ({"load_in_4bit": True}, {"optimizer": "paged_adamw_32bit"}):
        with pytest.raises(cf.RecipeError, match=f"{next(iter(options))}.* needs bitsandbytes, which is not installed"):
            train(built, tmp_path / "run", model, **options)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(cf.RecipeError, match="flash_attention_2 needs a GPU\nhint: "):
        train(built, tmp_path / "run", model, attention="flash_attention_2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(cf.RecipeError, match="varlen_attn computes in bfloat16\nhint: "):
        train(built, tmp_path / "run", model)
