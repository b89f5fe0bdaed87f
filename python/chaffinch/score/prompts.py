"""Few-shot prompts: a task's definition, solved cases of the same task, and the row's own input."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from chaffinch.recipe.score import Prompt
from chaffinch.stages.sample import order
from chaffinch.store import Rows

# Stanford Alpaca's preamble for rows with an input.
HEAD = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n"
)
CASE = "### Input:\n{input}\n\n### Response:\n{output}\n\n"
END = "### Input:\n{input}\n\n### Response:\n"

# Of a task's rows so many times the demonstrations are at hand, for those that do not fit or are the row itself.
SPARE = 4


class Case(NamedTuple):
    """A solved case."""

    input: str
    output: str


Task = tuple[str, str]


def task_examples(rows: Rows, seed: int) -> dict[Task, list[Case]]:
    """By source and task, the positive examples that its files give, in an order that seed and content decide."""
    found: dict[Task, set[Case]] = {}
    for shard in rows.shards:
        if shard.examples is not None:
            table = pa.ipc.open_file(pa.memory_map(str(shard.examples))).read_all()
            for one in table.to_pylist():
                found.setdefault((shard.source, one["task"]), set()).add(Case(one["input"], one["output"]))
    return {task: sorted(cases, key=lambda case: _place(case, seed)) for task, cases in found.items()}


def _place(case: Case, seed: int) -> bytes:
    hashed = hashlib.blake2b(digest_size=16, key=seed.to_bytes(8, "little"))
    for text in case:
        hashed.update(hashlib.blake2b(text.encode()).digest())
    return hashed.digest()


class Prompts:
    """The prompt of any row.

    Demonstrations are a task's positive examples and then, or alone, rows of the same task and instruction, by their
    place: the keyed hash of their content. So rows of a task share theirs, and a server can keep what it made of them;
    a row that is the first of its task passes, for itself, to the next.

    Args:
        rows: the store.
        asked: the rows that may be asked about, which are also those that may be shown.
        spec: what the recipe says.
        seed: the recipe's.
        threads: as everywhere.
    """

    def __init__(self, rows: Rows, asked: np.ndarray, spec: Prompt, seed: int, threads: int | None = None) -> None:
        self._rows = rows
        self._spec = spec
        wanted = spec.demonstrations > 0
        self._examples = task_examples(rows, seed) if wanted and spec.take == "examples" else {}
        self._codes = rows.codes(["source", "task", "instruction"], threads=threads)
        self._pool = self._pools(order(rows.table, asked, seed, threads=threads)) if wanted else {}

    def of(self, some: np.ndarray) -> Iterator[str]:
        """The prompts of these rows, in their order."""
        table = self._rows.gather(some, ["source", "task", "instruction", "input"])
        columns = (table[name].to_pylist() for name in table.column_names)
        for source, task, instruction, input_, code in zip(*columns, self._codes[some].tolist(), strict=True):
            cases = [*self._examples.get((source, task), []), *self._pool.get(code, [])]
            yield alpaca(instruction, cases, input_, self._spec)

    def _pools(self, in_place: np.ndarray) -> dict[int, list[Case]]:
        """The first rows of each task and instruction, by place."""
        codes = self._codes[in_place]
        by_code = np.argsort(codes, kind="stable")
        sizes = np.bincount(codes, minlength=1)
        rank = np.arange(len(codes)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        # A row that is alone with its instruction has nobody to be shown to.
        first = by_code[(rank <= SPARE * self._spec.demonstrations) & (sizes[codes[by_code]] > 1)]
        table = self._rows.gather(in_place[first], ["input", "references"])
        pools: dict[int, list[Case]] = {}
        for code, input_, references in zip(
            codes[first].tolist(), table["input"].to_pylist(), table["references"].to_pylist(), strict=True
        ):
            if references:
                pools.setdefault(code, []).append(Case(input_, references[0]))
        return pools


def alpaca(instruction: str, cases: Iterable[Case], input_: str, spec: Prompt) -> str:
    """A prompt in Alpaca's form, with as many of the cases as are wanted and fit; none with the row's own input."""
    head, end = HEAD.format(instruction=instruction), END.format(input=input_)
    room = spec.max_characters - len(head) - len(end)
    shown: list[str] = []
    seen = {input_}
    for case in cases:
        if len(shown) == spec.demonstrations:
            break
        text = CASE.format(input=case.input, output=case.output)
        if case.input not in seen and len(text) <= room:
            seen.add(case.input)
            shown.append(text)
            room -= len(text)
    return head + "".join(shown) + end


def question_key(prompt: str) -> str:
    """The name of a prompt in a store of answers."""
    return hashlib.blake2b(prompt.encode(), digest_size=16).hexdigest()


def inputs(instruction: Any, input_: Any) -> list[str]:
    """What tells the rows of a task apart: the input, or the instruction where that is all there is."""
    return [text or other for text, other in zip(input_, instruction, strict=True)]
