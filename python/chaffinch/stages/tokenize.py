"""tokenize: rows as token ids and labels, written by a template.

Template and row stay apart until the end: what is learned and which marks are tokens is said by the template's own
text, and a row's text never becomes a token of the template's (`</s>`, `<|im_end|>`), whatever it holds. A token is
learned when it stands for a byte of what is learned; the first token of a document never is.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chaffinch import _core
from chaffinch.cache import sealed_path, unsealed
from chaffinch.chat_template import FILLER, SIGNS, ChatTemplate, Refused, Turns
from chaffinch.conversations import as_rows
from chaffinch.decisions import Decisions
from chaffinch.decisions import Rows as Numbers
from chaffinch.errors import RecipeError
from chaffinch.handover.documents import Documents as Tokens
from chaffinch.recipe.format import OWN, Format, Handling, Template
from chaffinch.recipe.tokenize import Tokenize, TooLong, TrainOn
from chaffinch.stages import format as formatting
from chaffinch.stages.format import BATCH, Prepare
from chaffinch.tokenizer_files import TokenizerFiles, load_tokenizer, marks_of

REASONS = ["unknown_role", "turn_order", "no_label", "template_mark", "control_token", "too_long", "no_label_left"]
_ITEM = pa.list_(pa.field("item", pa.int32(), nullable=False))
SCHEMA = pa.schema(
    [
        pa.field("row", pa.uint32(), nullable=False),
        pa.field("part", pa.uint32(), nullable=False),
        pa.field("input_ids", _ITEM, nullable=False),
        pa.field("labels", _ITEM, nullable=False),
    ]
)
DROPPED = pa.schema([pa.field("row", pa.uint32(), nullable=False), pa.field("reason", pa.string(), nullable=False)])


class Batch(NamedTuple):
    """Some rows' documents, those rows that give none, and how many hold a mark or were cut."""

    documents: pa.Table
    dropped: pa.Table
    marked: int
    cut: int


class Tokenized(NamedTuple):
    """What `tokenize` gives.

    Attributes:
        table: (row, part: uint32, input_ids, labels: list<int32>), a document each, by row and part.
        dropped: (row: uint32, reason: string) of the rows without a document.
    """

    table: pa.Table
    dropped: pa.Table


class Tokenizer:
    """A tokenizer with a template, ready to write rows as ids.

    Args:
        spec: what a recipe says.
        files: the tokenizer.
        template: a template, or None for the tokenizer's own.
        marks: what becomes of text that holds a mark of the template or a special token.

    Raises:
        RecipeError: the template needs a mark that the tokenizer does not have, or the tokenizer has no template.
        DataError: the `tokenizers` library does not read the file.
    """

    def __init__(
        self, spec: Tokenize, files: TokenizerFiles, template: Template | None, marks: Handling = "keep"
    ) -> None:
        self.spec, self.files, self.template, self.marks = spec, files, template, marks
        bos, eos = marks_of(files, spec.bos, spec.eos)
        written: list[str] = []
        if template is None:
            if files.chat_template is None:
                raise RecipeError(
                    f"{files.name} has no chat_template\nhint: choose a shipped template, or a .yaml file"
                )
            self.chat = ChatTemplate(files.chat_template, bos, eos)
        else:
            texts = [*(part.text for part in template.prompt), *template.turns.values(), template.answer]
            bos, eos = bos or _known(files, template.bos), eos or _known(files, template.eos)
            for name, mark in (("bos", bos), ("eos", eos)):
                if mark is None and any(f"{{{name}}}" in text.replace("{{", "") for text in texts):
                    raise RecipeError(
                        f"the template writes {{{name}}}, and {files.name} does not say which token that is\n"
                        f"hint: give a folder with its tokenizer_config.json, too; or say `tokenize: {{{name}: ...}}`"
                    )
            self._plain = formatting.plain(template, bos or "", eos or "")
            written = [*texts, template.cue, template.after, template.between, bos or "", eos or ""]
        arguments = files.encoder("\n".join(written))
        self._encoder = _core.Encoder(**arguments)
        specials = [text for text, *_ in arguments["controls"]]
        self._marks = sorted({*(template.marks if template else []), *specials})
        add = spec.add_bos if spec.add_bos is not None else files.add_bos and template is not None
        if add and bos is None:
            raise RecipeError(
                f"{files.name} has no bos\nhint: name one with `tokenize: {{bos: ...}}`, or leave add_bos out"
            )
        self._rules = {
            "max_length": spec.max_length,
            "too_long": spec.too_long,
            "everything": spec.train_on == "all",
            "begin": files.number(bos) if add and bos is not None else None,
        }

    def key(self) -> list[Any]:
        """What the documents depend on besides rows and recipe."""
        return [self.files.key(), self.template.model_dump(mode="json") if self.template else None, self.marks]

    def batches(
        self,
        rows: pa.Table,
        chosen: Numbers,
        prepare: Prepare | None = None,
        *,
        threads: int | None = None,
        progress: Any = None,
    ) -> Iterator[Batch]:
        """The documents of the rows `chosen` of a table of the store's texts, some rows at a time.

        With `prepare` they are put in other words before.
        """
        write = self._by_template if self.template else self._by_itself
        for start in range(0, len(chosen), BATCH):

            def advance(done: int, start: int = start) -> None:
                progress(start + done)

            part = chosen[start : start + BATCH]
            texts, some = formatting.texts_of(rows, part, prepare)
            kept, dropped, marked, cut = write(texts, some, {"threads": threads, "progress": progress and advance})
            tables = [pa.table(kept), pa.table(dropped)]
            if prepare is not None:
                tables = [_renumbered(one, pa.array(part)) for one in tables]
            yield Batch(tables[0].cast(SCHEMA), tables[1].cast(DROPPED), marked, cut)

    def prompts(self, rows: pa.Table, chosen: Numbers) -> pa.Table:
        """The columns prompt and response as the tokenizer's own template has them."""
        prompts, responses = [], []
        for turns in _turns(rows.select(formatting.TEXTS), chosen):
            answer = max((at for at, turn in enumerate(turns) if turn["role"] == "assistant"), default=len(turns))
            prompts.append(self.chat.prompt(turns[:answer]))
            responses.append(turns[answer]["content"] if answer < len(turns) else "")
        return pa.table(
            {"prompt": pa.array(prompts, pa.large_string()), "response": pa.array(responses, pa.large_string())}
        )

    def _by_template(self, texts: pa.Table, some: Numbers, watch: dict[str, Any]) -> Any:
        marks = formatting.marks_of(self._marks, self.marks)
        return _core.tokenize(texts, pa.array(some), self._plain, marks, self._encoder, self._rules, **watch)

    def _by_itself(self, texts: pa.Table, some: Numbers, watch: dict[str, Any]) -> Any:
        rows, dropped, rendered = [], [], []
        conversations = _turns(texts, some)
        # A text with the signs that tell what is learned could not be told from them.
        foreign = [any(SIGNS.search(turn["content"]) for turn in turns) for turns in conversations]
        marked = self._mark(conversations)
        for row, turns, holds, unclear in zip(some.tolist(), conversations, marked, foreign, strict=True):
            try:
                if unclear or (holds and self.marks == "refuse"):
                    dropped.append((row, "template_mark"))
                elif not any(turn["role"] == "assistant" for turn in turns):
                    dropped.append((row, "no_label"))
                else:
                    rendered.append(self.chat.render(turns).parts)
                    rows.append(row)
            except Refused:
                dropped.append((row, "turn_order"))
        starts = np.cumsum([0, *map(len, rendered)], dtype=np.uint64)
        ends = [np.cumsum([len(text.encode()) for text, _ in parts], dtype=np.uint64) for parts in rendered]
        kept, gone, _, cut = _core.tokenize_rendered(
            pa.chunked_array([["".join(text for text, _ in parts) for parts in rendered]], pa.large_string()),
            pa.array(starts),
            pa.array(np.concatenate([np.empty(0, np.uint64), *ends])),
            pa.array([flags for parts in rendered for _, flags in parts], pa.uint8()),
            self._encoder,
            self._rules,
            **watch,
        )
        numbers = pa.array(rows, pa.uint32())
        kept, gone = (_renumbered(pa.table(one), numbers) for one in (kept, gone))
        more = {"row": pa.array([row for row, _ in dropped], pa.uint32()), "reason": [reason for _, reason in dropped]}
        return kept, pa.concat_tables([gone, pa.table(more, gone.schema)]).sort_by("row"), sum(marked), cut

    def _mark(self, conversations: list[Turns]) -> list[bool]:
        """Whether each conversation holds a mark; where marks are kept or escaped, its texts are changed to say so."""
        contents = [turn["content"] for turns in conversations for turn in turns]
        marks = formatting.marks_of(self._marks, "escape")
        marks |= {} if self.marks == "escape" else {"filler": FILLER}
        escaped = pa.table(_core.escape_marks(pa.chunked_array([contents], pa.large_string()), marks))
        texts, found = iter(escaped["text"].to_pylist()), iter(escaped["marked"].to_pylist())
        marked = []
        for turns in conversations:
            holds = False
            for turn in turns:
                turn["content"] = next(texts)
                holds |= next(found)
            marked.append(holds)
        return marked


def prepare(spec: Tokenize, format_spec: Format) -> Tokenizer:
    """The tokenizer of a recipe, by its `tokenize` and its `format`.

    Raises:
        RecipeError, DataError, OSError: see `Tokenizer`, `load_tokenizer` and `format.load_template`.
    """
    template = formatting.template_of(format_spec)
    return Tokenizer(spec, load_tokenizer(spec.tokenizer), template, format_spec.marks or "keep")


def run(
    rows: pa.Table, alive: Numbers, tokenizer: Tokenizer, prepare: Prepare | None, path: Path, **watch: Any
) -> Decisions:
    """Writes the documents of the rows still in to the file `path`, and says which rows give none.

    With `prepare` the rows are put in other words before.

    The notes count documents, tokens, those with a label, rows that hold a mark of the template and rows that were cut.
    """
    notes: dict[str, int | float | str] = dict.fromkeys(
        ("documents", "tokens", "learned tokens", "rows with marks", "rows cut"), 0
    )
    dropped: list[pa.Table] = []

    def add(**counts: int) -> None:
        for name, count in counts.items():
            notes[name.replace("_", " ")] = int(notes[name.replace("_", " ")]) + count

    with sealed_path(path) as temporary, pa.ipc.new_file(str(temporary), SCHEMA) as writer:
        for batch in tokenizer.batches(rows, alive, prepare, **watch):
            writer.write_table(batch.documents)
            dropped.append(batch.dropped)
            learned = sum(
                pc.sum(pc.not_equal(c.flatten(), -100)).as_py() or 0 for c in batch.documents["labels"].chunks
            )
            tokens = sum(len(chunk.flatten()) for chunk in batch.documents["input_ids"].chunks)
            add(documents=len(batch.documents), tokens=tokens, learned_tokens=learned)
            add(rows_with_marks=batch.marked, rows_cut=batch.cut)
    parts = [Decisions.none()]
    if dropped:
        gone = pa.concat_tables(dropped)
        reasons = np.array(gone["reason"].to_pylist(), object)
        row = gone["row"].to_numpy()
        parts += [Decisions.because(reason, row[reasons == reason]) for reason in REASONS if (reasons == reason).any()]
    joined = Decisions.join(parts)
    return Decisions(joined.row, joined.reason, joined.reasons, notes=notes)


@dataclass(frozen=True)
class Documents:
    """The documents that `run` has written, read in place by number; their order is that of rows.

    Attributes:
        row: the row of each, increasing.
        part: which of its row's documents it is.
        tokens: ids and labels, by number.
    """

    row: Numbers
    part: Numbers
    tokens: Tokens

    @classmethod
    def open(cls, path: Path) -> "Documents":
        """Maps the file, which `run` has written or whoever calls has verified."""
        table = pa.ipc.open_file(unsealed(path, verify=False)).read_all()
        row, part = (table[name].to_numpy() for name in ("row", "part"))
        return cls(row, part, Tokens(table))

    def of(self, rows: Numbers) -> Numbers:
        """The numbers of the documents of `rows`, row by row in the order given."""
        first, end = (np.searchsorted(self.row, rows, side=side) for side in ("left", "right"))
        counts = end - first
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        numbers: Numbers = (np.repeat(first, counts) + within).astype(np.uint32)
        return numbers

    def take(self, numbers: Numbers) -> tuple[Any, Any]:
        """The ids and labels of some documents, as two list columns."""
        ids, labels = self.tokens.take(numbers)
        ends = np.cumsum(self.tokens.lengths[numbers], dtype=np.int64)
        offsets = pa.array(np.concatenate([[0], ends]).astype(np.int32))
        return (
            pa.ListArray.from_arrays(offsets, pa.array(ids), type=_ITEM),
            pa.ListArray.from_arrays(offsets, pa.array(labels), type=_ITEM),
        )


def tokenize(
    rows: Any,
    tokenizer: Any,
    *,
    template: str = OWN,
    max_length: int = 2048,
    too_long: TooLong = "drop",
    train_on: TrainOn = "responses",
    marks: Handling = "keep",
    add_bos: bool | None = None,
    bos: str | None = None,
    eos: str | None = None,
    threads: int | None = None,
    progress: Callable[[int], object] | None = None,
) -> Tokenized:
    """Writes rows with a template, and the texts as token ids with a label for what is to be learned.

    Args:
        rows: a list of conversations (lists of `{"role": ..., "content": ...}`), or a table or a list of mappings with
            `messages`, or with `instruction`, `input` and `output` (or `response`).
        tokenizer: a `tokenizers` file, a folder with a tokenizer.json, the id of a model on the hub, or a fast
            tokenizer.
        template: a shipped one (`birbal`, `alpaca`, `vicuna`, `chatml`, `llama-2`, `llama-3`, `mistral`), a YAML file,
            or `tokenizer` for the tokenizer's own.
        max_length: tokens of a document, at most.
        too_long: `drop` longer rows, `truncate` them, or `split` them into several documents.
        train_on: `responses`, or `all` tokens.
        marks: what becomes of text that holds a mark of the template or a special token. `keep`: it stays and is
            encoded as text, never as that token; `escape`: a zero-width space (U+200B) is put behind its first
            character; `refuse`: its row goes.
        add_bos: begin every document with the beginning-of-text token, unless the template does; by default as the
            tokenizer itself does.
        bos: the beginning-of-text token, over what the tokenizer's files say.
        eos: the end-of-text token, likewise.
        threads: default all cores. The answer does not depend on it.
        progress: called with the rows done so far.

    Returns:
        A table (row, part: uint32, input_ids, labels: list<int32>) and a table (row: uint32, reason: string) of the
        rows that give no document. A label is the token's id where it is learned and -100 elsewhere.

    Raises:
        ValueError: rows that are none, or a text with a lone surrogate.
        RecipeError: template and tokenizer do not fit.
        DataError, OSError: the tokenizer's file cannot be read.
    """
    options = {"max_length": max_length, "too_long": too_long, "train_on": train_on}
    spec = Tokenize.model_validate({"tokenizer": "", "add_bos": add_bos, "bos": bos, "eos": eos, **options})
    files = load_tokenizer(tokenizer)
    prepared = Tokenizer(spec, files, None if template == OWN else formatting.load_template(template), marks)
    table = as_rows(rows)
    found = list(prepared.batches(table, np.arange(len(table), dtype=np.uint32), threads=threads, progress=progress))
    dropped = [DROPPED.empty_table(), *(one.dropped for one in found)]
    return Tokenized(
        pa.concat_tables([SCHEMA.empty_table(), *(one.documents for one in found)]), pa.concat_tables(dropped)
    )


def _known(files: TokenizerFiles, mark: str) -> str | None:
    return mark if mark and files.number(mark) is not None else None


def _renumbered(table: pa.Table, numbers: pa.Array) -> pa.Table:
    return table.set_column(0, table.schema.field("row"), numbers.take(table["row"].combine_chunks()))


def _turns(texts: pa.Table, some: Numbers) -> list[Turns]:
    """Rows as conversations: one that is none is a question and its answer."""
    found = []
    for row in pa.table(_core.gather(texts, pa.array(some))).to_pylist():
        turns = row["messages"]
        if not turns:
            asked = "\n\n".join(text for text in (row["instruction"], row["input"]) if text.strip())
            answer = row["references"][0] if row["references"] else ""
            turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
        # A call of a tool may come without a text.
        found.append([{**turn, "content": turn["content"] or ""} for turn in turns])
    return found
