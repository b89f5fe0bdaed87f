"""A causal language model, run here by transformers."""

import importlib.util
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from copy import copy
from pathlib import Path
from typing import Any, Self

from chaffinch.errors import DataError, RecipeError
from chaffinch.quiet import quietly
from chaffinch.readers.hashes import file_hashes
from chaffinch.recipe.score import Transformers
from chaffinch.score.protocol import Batch, Ending, before, identity

HINT = "hint: pip install 'chaffinch[train]' brings torch and transformers"

# The files of a folder that a model or its tokenizer is read from.
PARTS = (".json", ".safetensors", ".bin", ".model", ".txt", ".jinja")


def model_identity(spec: Transformers, score: Ending, cache: Path) -> dict[str, Any]:
    """What the model's answers depend on: its files, or its commit on the hub, and how it is run.

    Of an adapter, as peft writes it, the base model is a part.

    Raises:
        DataError: the model is not there.
        RecipeError: the hub's client is needed and missing.
    """
    run: dict[str, Any] = {"dtype": spec.dtype, "load_in_4bit": spec.load_in_4bit}
    run |= {"max_new_tokens": score.max_new_tokens, "ends_at": score.ends_at}
    return identity("transformers", **_parts(spec, cache), **run)


def _parts(spec: Transformers, cache: Path) -> dict[str, Any]:
    folder = Path(spec.model)
    if not folder.is_dir():
        return {"model": spec.model, "commit": _commit(spec)}
    files = sorted(path for path in folder.iterdir() if path.suffix in PARTS and path.is_file())
    base = _base_of(spec)
    if base is None and not any(path.name == "config.json" for path in files):
        raise DataError(f"{folder} has no config.json\nhint: a model's folder is what save_pretrained writes")
    hashes = file_hashes(files, cache)
    found: dict[str, Any] = {"files": [[path.name, hashes[path]] for path in files]}
    if base is not None:
        try:
            found["base"] = _parts(base, cache)
        except DataError as error:
            raise DataError(f"{folder} is an adapter, and its base model is not there: {error}") from None
    return found


def _base_of(spec: Transformers) -> Transformers | None:
    """The base model of an adapter that peft wrote; None of a whole model.

    Raises:
        DataError: it is an adapter that does not say of what.
    """
    path = Path(spec.model) / "adapter_config.json"
    if not path.is_file() or (Path(spec.model) / "config.json").is_file():
        return None
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        config = {}
    base = config.get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        hint = "hint: base_model_name_or_path is the base's folder, or its name on the hub"
        raise DataError(f"{path} names no base model\n{hint}")
    return spec.model_copy(update={"model": base, "revision": config.get("revision")})


def _commit(spec: Transformers) -> str:
    """The commit that a model of the hub is at; where the hub cannot be reached, the one that was fetched before."""
    try:
        import huggingface_hub
    except ImportError:
        raise RecipeError(
            f"score.answerer: {spec.model} is no folder, and models of the hub need more\n{HINT}"
        ) from None
    try:
        return Path(huggingface_hub.hf_hub_download(spec.model, "config.json", revision=spec.revision)).parent.name
    except (OSError, ValueError) as error:
        raise DataError(
            f"no model {spec.model!r}: {str(error).splitlines()[0]}\n"
            "hint: give a folder, or the name of a model of the hub that can be reached or was fetched before"
        ) from None


# Prompts whose tokens are counted at a time.
COUNTED = 256


class LocalModel:
    """Answers greedily, in batches of prompts of like length.

    Args:
        spec: which model, and how it is run.
        score: when an answer ends.
        commit: of a model of the hub.
    """

    def __init__(self, spec: Transformers, score: Ending, commit: str | None) -> None:
        try:
            import torch
            import transformers
            from safetensors import SafetensorError
        except ImportError as error:
            raise RecipeError(f"score.answerer: kind transformers needs {error.name}\n{HINT}") from None
        self._torch, self._transformers = torch, transformers
        self._spec, self._score = spec, score
        device = spec.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        options: dict[str, Any] = {"dtype": spec.dtype if spec.dtype == "auto" else getattr(torch, spec.dtype)}
        if spec.load_in_4bit:
            options["quantization_config"] = transformers.BitsAndBytesConfig(
                load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16
            )
        # Code that comes with a model is never run: that is the default, said aloud.
        where: dict[str, Any] = {"revision": commit, "trust_remote_code": False}
        part = "tokenizer"
        base = _base_of(spec)
        model = tokenizer = spec.model
        if base is not None:
            if importlib.util.find_spec("peft") is None:
                raise RecipeError(f"{spec.model} is an adapter, which needs peft\n{HINT}")
            model = base.model
            if not any(Path(spec.model).glob("tokenizer*")):
                tokenizer = model
            if not Path(model).is_dir():
                where["revision"] = _commit(base)
        try:
            with quietly():
                self._tokenizer = transformers.AutoTokenizer.from_pretrained(tokenizer, padding_side="left", **where)
                part = "model"
                self._model = transformers.AutoModelForCausalLM.from_pretrained(
                    model, device_map=device, **options, **where
                ).eval()
                if base is not None:
                    self._model.load_adapter(spec.model)
        except (OSError, ValueError, ImportError, RuntimeError, SafetensorError) as error:
            first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            hint = "its tokenizer has to lie beside it, as the tokenizer's own save_pretrained writes it"
            if part == "model":
                hint = "it has to be a causal language model in transformers' own format, without code of its own"
            raise DataError(f"score.answerer: {spec.model} cannot be loaded: {part}: {first}\nhint: {hint}") from error
        ends = self._model.generation_config.eos_token_id or self._tokenizer.eos_token_id
        if self._tokenizer.pad_token_id is None:
            self._tokenizer.pad_token_id = ends[0] if isinstance(ends, list) else ends or 0
        # The model's own defaults may sample or punish repetition; here the likeliest token is taken.
        self._model.generation_config = transformers.GenerationConfig(
            do_sample=False,
            num_beams=1,
            eos_token_id=ends,
            pad_token_id=self._tokenizer.pad_token_id,
            use_cache=True,
        )
        config = self._model.config.get_text_config()
        self._most = getattr(config, "max_position_embeddings", None) or 1 << 62

    def ending(self, score: Ending) -> Self:
        """The same model, whose answers end otherwise."""
        other = copy(self)
        other._score = score
        return other

    @property
    def parts(self) -> tuple[Any, Any]:
        """Transformers' own model and tokenizer."""
        return self._model, self._tokenizer

    def lengths(self, prompts: Sequence[str]) -> list[int]:
        """The tokens of each prompt."""
        found: list[int] = []
        # A few at a time: Python answers Ctrl-C between them, and their ids are not all in memory.
        for start in range(0, len(prompts), COUNTED):
            some = list(prompts[start : start + COUNTED])
            found += [len(ids) for ids in self._tokenizer(some, padding=False)["input_ids"]]
        return found

    def logits(self, prompt: str, words: Sequence[str]) -> list[float]:
        """The logit of each word's first token as the prompt's next one."""
        asked = self._tokenizer(prompt, return_tensors="pt")["input_ids"].to(self._model.device)
        with self._torch.inference_mode():
            found = self._model(input_ids=asked, use_cache=False).logits[0, -1].float()
        self._check(found)
        first = [self._tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in words]
        return [float(found[token]) for token in first]

    def complete(self, prompts: Sequence[str]) -> Iterator[Batch]:
        """See `Model.complete`."""
        lengths = self.lengths(prompts)
        new = self._score.max_new_tokens
        too_long = {
            at: f"prompt and {new} new tokens are more than the model's {self._most:,}"
            for at, length in enumerate(lengths)
            if length + new > self._most
        }
        if too_long:
            yield Batch(refused=too_long)
        # The longest first: what does not fit into the memory is found out at once.
        left = sorted((at for at in range(len(prompts)) if at not in too_long), key=lambda at: (-lengths[at], at))
        while left:
            count = max(1, self._spec.batch_tokens // (lengths[left[0]] + new))
            some, left = left[:count], left[count:]
            yield from self._answer(prompts, some)

    def _answer(self, prompts: Sequence[str], some: list[int]) -> Iterator[Batch]:
        batch = None
        # What failed is held by its traceback, and so by an `except`: the halves are tried behind it.
        with suppress(self._torch.OutOfMemoryError):
            batch = self._generate(prompts, some)
        if batch is not None:
            yield batch
            return
        self._torch.cuda.empty_cache()
        if len(some) == 1:
            yield Batch(failed={some[0]: "it does not fit into the device's memory"})
            return
        half = len(some) // 2
        yield from self._answer(prompts, some[:half])
        yield from self._answer(prompts, some[half:])

    def _generate(self, prompts: Sequence[str], some: list[int]) -> Batch:
        asked = self._tokenizer([prompts[at] for at in some], padding=True, return_tensors="pt")
        asked = {name: asked[name].to(self._model.device) for name in ("input_ids", "attention_mask")}
        behind = asked["input_ids"].shape[1]
        with self._torch.inference_mode():
            stopping = [] if self._score.ends_at is None else [self._ended(behind, self._score.ends_at)]
            found = self._model.generate(
                **asked,
                max_new_tokens=self._score.max_new_tokens,
                stopping_criteria=stopping,
                logits_processor=[self._check_step],
            )
        written = found[:, behind:]
        texts = self._decode(written)
        answers = {at: before(text, self._score.ends_at) for at, text in zip(some, texts, strict=True)}
        tokens = int(asked["attention_mask"].sum()) + written.numel()
        return Batch(answers=answers, tokens=tokens)

    def _check_step(self, ids: Any, scores: Any) -> Any:
        del ids
        self._check(scores)
        return scores

    def _check(self, logits: Any) -> None:
        """The likeliest of numbers that are none is no answer."""
        if bool(logits.isnan().any()):
            raise DataError(
                f"{self._spec.model} computes NaN\n"
                "hint: its weights are damaged, or too large for the dtype: try float32"
            )

    def _decode(self, tokens: Any) -> list[str]:
        decode = self._tokenizer.batch_decode
        texts: list[str] = decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return texts

    def _ended(self, behind: int, ends_at: str) -> Any:
        """Which answers have come to their end mark: the last few tokens say it, for every token is looked at."""
        # A token writes at least a byte, but the special ones.
        tail = len(ends_at.encode()) + 4

        def ended(ids: Any, scores: Any, **more: Any) -> Any:  # noqa: ARG001 - transformers calls it so
            texts = self._decode(ids[:, max(behind, ids.shape[1] - tail) :])
            return self._torch.tensor([ends_at in text for text in texts], device=ids.device)

        return ended
