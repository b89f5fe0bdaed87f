"""Picks the rows worth training on out of millions of instruction rows, and says why each of the others went.

>>> import chaffinch as cf
>>> cf.bucket([0.1, 0.2, 0.95], [0.0, 0.2, 0.8]).to_pylist()
['[0, 0.2)', '[0.2, 0.8)', 'above']
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chaffinch import train
    from chaffinch.building import build
    from chaffinch.controlling import controls
    from chaffinch.difference import diff
    from chaffinch.errors import DataError, RecipeError
    from chaffinch.evaluation.comparison import compare
    from chaffinch.evaluation.leaderboard import leaderboard
    from chaffinch.evaluation.run import evaluate
    from chaffinch.planning import plan
    from chaffinch.result import Result
    from chaffinch.stages.bucket import bucket
    from chaffinch.stages.decontaminate import contamination
    from chaffinch.stages.dedup import exact_duplicates
    from chaffinch.stages.near import NearIndex, near_duplicates
    from chaffinch.stages.nearest import nearest
    from chaffinch.stages.pack import pack
    from chaffinch.stages.rouge import RougePool, exact_match, rouge
    from chaffinch.stages.sample import allocate, sample
    from chaffinch.stages.spans import repeated_spans
    from chaffinch.stages.tokenize import tokenize
    from chaffinch.stages.traces import generated_traces
    from chaffinch.story import why
    from chaffinch.train.dataset import PackedDataset
    from chaffinch.train.trl import trl_config

# Loaded on first use: `import chaffinch` stays free of Arrow, pydantic and the extension.
_HOMES = {
    "DataError": "errors",
    "NearIndex": "stages.near",
    "PackedDataset": "train.dataset",
    "RecipeError": "errors",
    "Result": "result",
    "RougePool": "stages.rouge",
    "allocate": "stages.sample",
    "bucket": "stages.bucket",
    "build": "building",
    "compare": "evaluation.comparison",
    "contamination": "stages.decontaminate",
    "controls": "controlling",
    "diff": "difference",
    "evaluate": "evaluation.run",
    "exact_duplicates": "stages.dedup",
    "exact_match": "stages.rouge",
    "generated_traces": "stages.traces",
    "near_duplicates": "stages.near",
    "leaderboard": "evaluation.leaderboard",
    "nearest": "stages.nearest",
    "pack": "stages.pack",
    "plan": "planning",
    "repeated_spans": "stages.spans",
    "rouge": "stages.rouge",
    "sample": "stages.sample",
    "tokenize": "stages.tokenize",
    "train": "train",
    "trl_config": "train.trl",
    "why": "story",
}

__all__ = [
    "DataError",
    "NearIndex",
    "PackedDataset",
    "RecipeError",
    "Result",
    "RougePool",
    "allocate",
    "bucket",
    "build",
    "compare",
    "contamination",
    "controls",
    "diff",
    "evaluate",
    "exact_duplicates",
    "exact_match",
    "generated_traces",
    "leaderboard",
    "near_duplicates",
    "nearest",
    "pack",
    "plan",
    "repeated_spans",
    "rouge",
    "sample",
    "tokenize",
    "train",
    "trl_config",
    "why",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = importlib.import_module(f"{__name__}.{_HOMES[name]}")
    # A package that is its own verb can be called.
    value = home if _HOMES[name] == name else getattr(home, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
