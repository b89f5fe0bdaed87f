"""What tests of training share: a small build and a tiny model, made once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.train import made

torch = pytest.importorskip("torch")
pytest.importorskip("peft")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tensors of a few numbers are not worth a second one, which would wait for the first by turning in circles."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished build."""
    return made.build(tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a tiny random Mistral and its tokenizer."""
    return str(made.save_model(tmp_path_factory.mktemp("models") / "mistral"))
