"""What a trained adapter is handed on as: its model card, and a model that needs no adapter."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from chaffinch.cache import atomic_path
from chaffinch.errors import DataError, RecipeError
from chaffinch.evaluation.standing import Mixture
from chaffinch.output import MANIFEST, PACKS
from chaffinch.quiet import quietly
from chaffinch.report.folder import Folder
from chaffinch.report.lengths import count_words
from chaffinch.report.numbers import duration
from chaffinch.report.visible import inline
from chaffinch.stages.format import load_template
from chaffinch.store import hash_file
from chaffinch.train.folder import ADAPTER, MERGED
from chaffinch.train.folder import Folder as RunFolder
from chaffinch.train.report import flat, mixture_folder, read_log, read_options, setting

CARD = "README.md"
_SPECIAL = re.compile(r"([\\`*_\[\]<>&|~#$])")


def card(folder: Path, adapter: Path, *, merged: bool = False) -> None:
    """Writes a model card, `README.md`, from which the training can be repeated and judged.

    Args:
        folder: the run's folder.
        adapter: the folder of the adapter, or of the merged model, that the card goes into.
        merged: whether it is the merged model.

    Raises:
        DataError: the folder holds no run, or its mixture is not there any more or damaged.
        OSError: the card cannot be written.
    """
    options = read_options(folder)
    where = mixture_folder(options)
    if where is None:
        raise DataError(f"{folder}: the options name no mixture\nhint: train again")
    mixture = Folder(where)
    model = str(setting(options, "model"))
    front = {
        "base_model": model,
        "library_name": "transformers" if merged else "peft",
        "pipeline_tag": "text-generation",
        "tags": ["chaffinch", "instruction-tuning", "qlora" if setting(options, "load_in_4bit") else "lora"],
    }
    parts = [
        "---\n" + yaml.safe_dump(front, sort_keys=False, allow_unicode=True) + "---",
        f"# {_text(_name(mixture))} on {_text(model)}",
        f"A {'model with a merged LoRA adapter' if merged else 'LoRA adapter'} of {_text(model)}, fine-tuned on the "
        f"mixture {_text(_name(mixture))} with Chaffinch {_text(mixture.manifest.get('chaffinch', ''))}.",
        *_loading(options, model, merged),
        *_mixture(mixture),
        *_evaluation_sets(where),
        *_training(folder, options),
        "## Recipe of the mixture",
        "Resolved, defaults included: the same inputs give the same rows.",
        _fenced(yaml.safe_dump(mixture.recipe, sort_keys=False, allow_unicode=True, width=100), "yaml"),
    ]
    with atomic_path(adapter / CARD) as temporary:
        temporary.write_text("\n\n".join(parts) + "\n", "utf-8", errors="replace")


def _name(mixture: Folder) -> str:
    return str(mixture.recipe.get("name") or mixture.path.resolve().name)


def _loading(options: Mapping[str, Any], model: str, merged: bool) -> list[str]:
    revision = setting(options, "revision")
    known = f", revision={revision!r}" if revision else ""
    if merged:
        code = (
            "from transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
            'model = AutoModelForCausalLM.from_pretrained("THIS FOLDER", dtype="auto")\n'
            'tokenizer = AutoTokenizer.from_pretrained("THIS FOLDER")'
        )
    else:
        code = (
            "from peft import PeftModel\n"
            "from transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
            f'base = AutoModelForCausalLM.from_pretrained({model!r}{known}, dtype="auto")\n'
            'model = PeftModel.from_pretrained(base, "THIS FOLDER")\n'
            'tokenizer = AutoTokenizer.from_pretrained("THIS FOLDER")'
        )
    found = ["## How to load it", _fenced(code, "python")]
    template = setting(options, "template")
    if template == "tokenizer":
        found.append("Prompts are written with the tokenizer's own chat template.")
    elif template:
        found.append(f"Prompts are written as the template {_text(template)} has it:")
        try:
            values = load_template(str(template)).model_dump(mode="json", exclude_none=True)
            found.append(_fenced(yaml.safe_dump(values, sort_keys=False, allow_unicode=True), "yaml"))
        except (OSError, RecipeError):
            found[-1] = f"Prompts are written as the template file {_text(template)} has it."
    return found


def _mixture(mixture: Folder) -> list[str]:
    manifest, recipe = mixture.manifest, mixture.recipe
    rows, words = _rows(mixture)
    tokens = _tokens(mixture.path / PACKS)
    splits = Counter[str]()
    for output in manifest.get("outputs") or []:
        splits[output["split"]] += output["rows"]
    facts = [
        ("recipe", recipe.get("name") or ""),
        ("mode", recipe.get("mode") or ""),
        ("seed", recipe.get("seed", "")),
        *((f"rows of {split}", number) for split, number in splits.items()),
        ("hash of its manifest", hash_file(mixture.path / MANIFEST)),
        *((f"hash of {output['file']}", output["hash"]) for output in manifest.get("outputs") or []),
    ]
    lines = [
        [source, licence or "not stated", number, words[source, licence], tokens.get(source, "")]
        for (source, licence), number in sorted(rows.items(), key=lambda item: (-item[1], str(item[0])))
    ]
    heading = ["source", "licence", "rows", "words", "tokens of the source"]
    found = [
        "## Mixture",
        _table(["", ""], facts),
        "Rows of the training split by source and licence, and the words of their prompts and responses. The licence "
        "is what the source's rows or the recipe say; whether it suits a use has to be looked up.",
        _table(heading if tokens else heading[:-1], lines if tokens else [line[:-1] for line in lines]),
    ]
    if manifest.get("warnings"):
        found += ["The build warned:", "\n".join(f"- {_text(warning)}" for warning in manifest["warnings"])]
    return found


def _rows(mixture: Folder) -> tuple[Counter[tuple[str, str | None]], Counter[tuple[str, str | None]]]:
    """Rows and words of the training split, by source and licence."""
    rows: Counter[tuple[str, str | None]] = Counter()
    words: Counter[tuple[str, str | None]] = Counter()
    before = None
    for path in mixture.files():
        if not (path.name.startswith("train-") or path.parent.name == "train"):
            continue
        for batch in mixture.file_batches(path, ["row_id", "source", "licence", "prompt", "response"]):
            if not len(batch):
                continue
            # The parts of one row that was cut into documents stand one behind the other.
            ids = batch.column("row_id")
            first = pa.concat_arrays([pa.array([ids[0].as_py() != before]), pc.not_equal(ids[1:], ids[:-1])])
            before = ids[-1].as_py()
            table = pa.table(
                {
                    "source": batch.column("source"),
                    "licence": batch.column("licence"),
                    "words": count_words(batch.column("prompt")) + count_words(batch.column("response")),
                }
            ).filter(first)
            groups = table.group_by(["source", "licence"]).aggregate([([], "count_all"), ("words", "sum")])
            for one in groups.to_pylist():
                rows[one["source"], one["licence"]] += one["count_all"]
                words[one["source"], one["licence"]] += one["words_sum"]
    return rows, words


def _tokens(packs: Path) -> dict[str, int]:
    """Tokens of the training packs by source; empty for a build without packs."""
    found: Counter[str] = Counter()
    if packs.is_file():
        with pq.ParquetFile(packs) as file:
            for batch in file.iter_batches(columns=["split", "row_id", "tokens"]):
                table = pa.table(batch).filter(pc.equal(batch.column("split").cast(pa.string()), "train"))
                source = pc.list_element(pc.split_pattern(table["row_id"].cast(pa.string()), "/", max_splits=1), 0)
                sums = pa.table({"source": source, "tokens": table["tokens"]}).group_by("source")
                for one in sums.aggregate([("tokens", "sum")]).to_pylist():
                    found[one["source"]] += one["tokens_sum"]
    return dict(found)


def _evaluation_sets(where: Path) -> list[str]:
    found = ["## Evaluation sets"]
    standings = Mixture(where).standings()
    if not standings:
        return [
            *found,
            "The build compared its rows with no evaluation set: nothing is known of what it holds of them.",
        ]
    lines = [(name, standing.status, len(standing.items)) for name, standing in standings.items()]
    return [
        *found,
        "What the mixture has of the sets that the build compared it with. A gain on a set that is contaminated or "
        "held in says nothing about other tasks.",
        _table(["set", "status", "items in the mixture"], lines),
    ]


def _training(folder: Path, options: Mapping[str, Any]) -> list[str]:
    log = read_log(folder)
    last, best = (log.steps[-1] if log.steps else {}), log.best()
    facts: list[tuple[str, Any]] = [
        ("steps", f"{last.get('step', 0):,.0f} of {log.steps_planned():,}"),
        ("epochs", f"{last.get('epoch', 0):.4g}"),
        ("tokens", f"{last.get('tokens', 0):,.0f}"),
        ("time", duration(last.get("seconds", 0.0))),
        ("parameters trained", log.start.get("trainable")),
        ("parameters of base and adapter", log.start.get("parameters")),
        ("last training loss", f"{last['loss']:.4f}" if last else ""),
    ]
    if best is None:
        facts.append(("best validation loss", "nothing was held out: these are the last weights"))
    else:
        facts.append(("best validation loss", f"{best['eval_loss']:.4f} at step {best['step']:,.0f}: these weights"))
    if log.end is not None:
        facts.append(("ended by", log.end.get("reason")))
    return ["## Training", _table(["", ""], facts), "Every setting:", _table(["setting", "value"], flat(options))]


@quietly()
def merge(folder: Path) -> Path:
    """Writes `merged/`: the base model with the adapter added to its weights, in its own dtype, and the tokenizer.

    The base is loaded as it is published, not in four bits, in memory of the CPU. Code that comes with a model is
    never run, and files are read that can hold nothing but tensors.

    Args:
        folder: the run's folder, with a finished `adapter/`.

    Returns:
        The merged model's folder, replaced where there was one.

    Raises:
        DataError: there is no adapter, it does not fit the base, or the base cannot be loaded or is itself quantised.
        OSError: the model cannot be written.
    """
    import peft
    import transformers

    options, adapter = read_options(folder), folder / ADAPTER
    if not (adapter / "adapter_model.safetensors").is_file():
        raise DataError(f"{folder} has no finished adapter\nhint: merge when the training has ended")
    name, revision = str(setting(options, "model")), setting(options, "revision")
    known: dict[str, Any] = {"revision": revision, "trust_remote_code": False}
    try:
        config = transformers.AutoConfig.from_pretrained(name, **known)
        whole = getattr(config, "quantization_config", None) is None
        if whole:
            base = transformers.AutoModelForCausalLM.from_pretrained(name, dtype="auto", weights_only=True, **known)
            tokenizer = transformers.AutoTokenizer.from_pretrained(name, **known)
            model = peft.PeftModel.from_pretrained(base, str(adapter)).merge_and_unload(safe_merge=True)
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        first = str(error).strip().partition("\n")[0] or type(error).__name__
        raise DataError(
            f"{adapter} cannot be merged into {name}: {first}\nhint: the base has to be the one of the training"
        ) from error
    if not whole:
        hint = "hint: train on the model that it was made of"
        raise DataError(f"{name} is quantised, and an adapter is not merged into so few bits\n{hint}")
    _mend(model)
    with RunFolder(folder).staged(MERGED) as staging:
        model.save_pretrained(staging)
        tokenizer.save_pretrained(staging)
        card(folder, staging, merged=True)
        # safetensors makes files that their owner alone may read, and a model is for others, too.
        mode = (staging / "config.json").stat().st_mode
        for path in staging.glob("*.safetensors"):
            path.chmod(mode)
    return folder / MERGED


def _mend(model: Any) -> None:
    """Some bases say how to sample and not that they do; transformers reads such settings and refuses to write them."""
    settings = model.generation_config
    try:
        settings.validate(strict=True)
    except ValueError:
        settings.do_sample = True


def _table(heading: Sequence[str], lines: Iterable[Sequence[Any]]) -> str:
    rows = [heading, ["---"] * len(heading)]
    rows += [[f"{cell:,}" if type(cell) is int else _text(cell) for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _text(value: Any) -> str:
    """Text from data, so that Markdown shows it as it is."""
    return _SPECIAL.sub(r"\\\1", inline(value if isinstance(value, str) else json.dumps(value), 2_000))


def _fenced(text: str, language: str) -> str:
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"
