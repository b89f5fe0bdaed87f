"""split: which rows are held out for validation, so that nothing of them is learned from another row.

Rows belong together, in a group, that ask the same (equal `input`; of rows that have no input or no instruction, equal
prompt, which in a conversation is the first turn of its user), that are of one conversation, or of which a rule of
`dedup` flagged one as a near duplicate of the other. Texts are compared in the normal form `case` of `dedup`. A group
is held out whole or not at all.

A group's place is that of one of its rows, the one with the smallest row hash, so that large groups are held out no
more often than small ones. The last groups are held out, until the rows are as many as were asked for; a group that is
larger than what is still wanted is passed over.

Memory: about 100 bytes a row of the mixture and 8 a row of the store; texts are read in place.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from chaffinch import _core
from chaffinch.columns import to_numpy
from chaffinch.decisions import Rows as Numbers
from chaffinch.store import SCHEMA, Rows

NORMAL_FORM = "case"
# What data sets call the conversation that a row is a part of.
THREADS = ("conversation_id", "thread_id", "message_tree_id", "conversation_hash")
# Longer white space is no missing text: it would cost too much to look.
MOST_BLANK = 64
_Pairs = tuple[npt.NDArray[Any], npt.NDArray[Any]]


def run(
    rows: Rows, order: Numbers, fraction: float, flagged: Any, *, threads: int | None = None
) -> tuple[dict[str, Numbers], dict[str, int]]:
    """Holds rows out.

    Args:
        rows: the store.
        order: the mixture's rows, in its order.
        fraction: the share to hold out; of `round(fraction * rows)` rows as many as whole groups allow.
        flagged: near duplicates that are still in, as `dedup` tells them (row, witness); None without any.
        threads: default all cores. The answer does not depend on it.

    Returns:
        The rows of `train` and `validation`, in their order; and what there is to tell, if rows are to be held out:
        how many were asked for and are held out, groups of more than one row, the rows in them, the largest of them.
    """
    asked = round(len(order) * fraction)
    if not asked:
        return {"train": order, "validation": order[:0]}, {}
    group = groups(rows, order, flagged, threads=threads)
    # Of each group the row that tells its place: any that does not hang on the seed, which the place does.
    by_group = np.lexsort((np.arange(len(order)), rows.hash_prefix(order), group))
    first = np.flatnonzero(np.diff(group[by_group], prepend=-1))
    sizes = np.diff(np.append(first, len(order)))
    last_first = np.argsort(-by_group[first])
    taken = last_first[_fill(sizes[last_first], asked)]
    held = np.isin(group, group[by_group[first[taken]]])
    several = sizes[sizes > 1]
    notes = {
        "asked": asked,
        "rows": int(held.sum()),
        "groups": len(several),
        "rows_in_groups": int(several.sum()),
        "largest_group": int(sizes.max()),
    }
    return {"train": order[~held], "validation": order[held]}, notes


def groups(rows: Rows, order: Numbers, flagged: Any, *, threads: int | None = None) -> npt.NDArray[np.int64]:
    """The group of each row of `order`, as a number; see the module."""
    found = np.arange(len(rows))
    pairs = list(_pairs(rows, np.sort(order), flagged, threads))
    _unite(found, np.concatenate([one for one, _ in pairs]), np.concatenate([other for _, other in pairs]))
    return found[order]


def _pairs(rows: Rows, order: Numbers, flagged: Any, threads: int | None) -> Iterator[_Pairs]:
    """Rows that belong together, by twos."""
    is_conversation = rows.table["messages"].is_valid().to_numpy()[order]
    talks, others = order[is_conversation], order[~is_conversation]
    said, turns = _first_turns(rows.gather(talks, ["messages"])["messages"])
    # A conversation begins with what another row asks: its first turn stands in the place of an instruction.
    asked = rows.gather(others, ["instruction", "input"])
    texts = pa.concat_tables(
        [_prompts(turns, "", len(said)), _prompts(asked["instruction"], asked["input"], len(others))]
    )
    numbers = np.concatenate([talks[said], others])
    # A definition that a task's rows share does not make them the same, and no text is put into its normal form twice.
    whole = np.flatnonzero(_is_blank(texts, "input") | _is_blank(texts, "instruction"))
    for field, some in (("input", np.arange(len(texts))), ("prompt", whole)):
        asking = pa.array(some.astype(np.uint32))
        equal = pa.table(
            _core.exact_duplicates(texts, normal_form=NORMAL_FORM, fields=[field], rows=asking, threads=threads)
        )
        yield numbers[equal["row"].to_numpy()], numbers[equal["witness"].to_numpy()]
    if flagged is not None:
        yield flagged["row"].to_numpy(), flagged["witness"].to_numpy()
    meta, sources = rows.gather(talks, ["meta"])["meta"], rows.source_codes(talks)
    for name in THREADS if len(talks) else ():
        ids = pa.chunked_array(_core.meta_field(meta, name)).cast(pa.large_string())
        there = ids.is_valid().to_numpy()
        if there.any():
            codes = pc.rank(ids.filter(pa.array(there)), tiebreaker="dense").to_numpy()
            key = sources[there].astype(np.uint64) << np.uint64(32) | codes
            _, first, of = np.unique(key, return_index=True, return_inverse=True)
            yield talks[there], talks[there][first[of]]


def _is_blank(texts: Any, field: str) -> npt.NDArray[np.bool_]:
    """Which texts are nothing but white space, of that no more than MOST_BLANK characters."""
    blank = to_numpy(_core.lengths(texts, field)) <= MOST_BLANK
    short = pa.table(_core.gather(texts.select([field]), pa.array(np.flatnonzero(blank).astype(np.uint32))))[field]
    trimmed = pc.utf8_trim_whitespace(short.cast(pa.large_string()))
    blank[blank] = pc.equal(pc.binary_length(trimmed), 0).to_numpy()
    return blank


def _prompts(instruction: Any, given: Any, rows: int) -> Any:
    """A table as the store's, with these texts alone."""
    nothing = pa.array([], SCHEMA.field("references").type)
    columns = {
        "instruction": instruction,
        "input": pa.repeat(given, rows).cast(pa.string_view()) if isinstance(given, str) else given,
        "references": pa.ListArray.from_arrays(pa.array(np.zeros(rows + 1, np.int32)), nothing.values),
        "messages": pa.nulls(rows, SCHEMA.field("messages").type),
    }
    return pa.table(columns, pa.schema([SCHEMA.field(name) for name in columns]))


def _first_turns(messages: Any) -> tuple[npt.NDArray[Any], Any]:
    """Which conversations have a turn of a user, and the first such turn of each."""
    talks, turns, before, so_far = [np.empty(0, np.int64)], [np.empty(0, np.int64)], 0, 0
    contents = []
    for chunk in messages.chunks:
        flat, offsets = chunk.flatten(), chunk.offsets.to_numpy() - chunk.offsets[0].as_py()
        user = np.flatnonzero(pc.equal(flat.field("role").cast(pa.large_string()), "user").to_numpy(False))
        first = np.append(user, len(flat))[np.searchsorted(user, offsets[:-1])]
        there = np.flatnonzero(first < offsets[1:])
        talks.append(there + before)
        turns.append(first[there] + so_far)
        contents.append(flat.field("content"))
        before, so_far = before + len(chunk), so_far + len(flat)
    content = pa.table({"content": pa.chunked_array(contents, pa.string_view())})
    at = pa.array(np.concatenate(turns).astype(np.uint32))
    return np.concatenate(talks), pa.table(_core.gather(content, at))["content"]


def _unite(found: npt.NDArray[np.int64], one: npt.NDArray[Any], other: npt.NDArray[Any]) -> None:
    """Gives rows that pairs connect the smallest row number among them."""
    while True:
        low, high = np.minimum(found[one], found[other]), np.maximum(found[one], found[other])
        apart = low != high
        if not apart.any():
            return
        one, other = one[apart], other[apart]
        np.minimum.at(found, high[apart], low[apart])
        while (found[found] != found).any():
            found[:] = found[found]


def _fill(sizes: npt.NDArray[np.int64], rows: int) -> npt.NDArray[np.int64]:
    """Which groups are taken, in order, each that still fits, until there are so many rows."""
    taken, at = [np.empty(0, np.int64)], np.arange(len(sizes))
    while rows and len(at):
        at = at[sizes[at] <= rows]
        end = int(np.searchsorted(np.cumsum(sizes[at]), rows, side="right"))
        taken.append(at[:end])
        rows -= int(sizes[at[:end]].sum())
        at = at[end:]
    return np.concatenate(taken)
