"""Every example of the documents runs, and what they name is there."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from chaffinch.recipe.bucket import Bucket, ExactMatchBuckets, GenerationBuckets
from chaffinch.recipe.clean import Clean, Forbid, Length, Limits
from chaffinch.recipe.decontaminate import Against, Decontaminate
from chaffinch.recipe.dedup import Exact, Near
from chaffinch.recipe.format import Demonstrations, Format, PoolUse
from chaffinch.recipe.label import Label
from chaffinch.recipe.model import Recipe, Write
from chaffinch.recipe.pack import Pack
from chaffinch.recipe.provenance import Provenance
from chaffinch.recipe.sample import Sample
from chaffinch.recipe.score import ExactMatch, Generation, Nearest, Prompt, Score, Served, Transformers
from chaffinch.recipe.select import SelectStep
from chaffinch.recipe.source import Edit, Fields, RowOrigin, Source
from chaffinch.recipe.tokenize import Tokenize
from chaffinch.synth import synthesise

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MODELS = [
    *(Recipe, Source, Fields, RowOrigin, Edit, SelectStep, Provenance, Clean),
    *(Length, Limits, Forbid, Exact, Near, Against, Decontaminate, Sample, Format, Tokenize, Pack, Write),
    *(PoolUse, Demonstrations),
    *(Label, Bucket, ExactMatchBuckets, GenerationBuckets),
    *(Score, Nearest, Transformers, Served, Prompt, ExactMatch, Generation),
]


def blocks(language: str) -> list[pytest.param]:
    found = []
    for page in PAGES:
        for number, text in enumerate(re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)):
            found.append(pytest.param(text, id=f"{page.name}-{number}"))
    return found


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with the demo's corpus in it, as `make demo` lays it out."""
    synthesise(tmp_path / "demo" / "data", 3000)
    return tmp_path


def environment() -> dict[str, str]:
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


@pytest.mark.parametrize("text", blocks("python"))
def test_python_examples_run(text: str, place: Path) -> None:
    strict = ["-W", "error"]
    if '"model"' in text:
        pytest.importorskip("trl")
        from tests.packed import save_model

        save_model(place / "model")
        strict = []  # trainers warn of what the next version will have
    home = {**os.environ, "HF_HOME": str(place / "cache"), "HF_HUB_OFFLINE": "1"}
    subprocess.run([sys.executable, *strict, "-c", text], cwd=place, check=True, env=home)


@pytest.mark.parametrize("text", blocks("console"))
def test_commands_run(text: str, tmp_path: Path) -> None:
    for line in text.splitlines():
        assert line.startswith("$ chaffinch ")
        subprocess.run(shlex.split(line[2:]), cwd=tmp_path, env=environment(), check=True, capture_output=True)


@pytest.mark.parametrize("text", blocks("yaml"))
def test_recipes_load(text: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    command = ["chaffinch", "recipes", "mine.yaml"]
    subprocess.run(command, cwd=tmp_path, env=environment(), check=True, capture_output=True)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_key_is_documented(model: type) -> None:
    page = (ROOT / "docs" / "recipes.md").read_text()
    missing = [
        field.alias or name
        for name, field in model.model_fields.items()
        if not re.search(rf"\b{re.escape(field.alias or name)}\b", page)
    ]
    assert not missing


def test_links_lead_somewhere() -> None:
    for page in [*PAGES, ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md"]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_named_files_exist() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text() + (ROOT / "CONTRIBUTING.md").read_text()
    for name in re.findall(r"`((?:rust|python|tests|benches|docs)/[\w./-]+)`", text):
        assert (ROOT / name).exists(), name
