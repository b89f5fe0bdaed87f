"""A tokenizer's files: the vocabulary, its marks of beginning and end, and its own template."""

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaffinch.cache import key_of
from chaffinch.errors import DataError, RecipeError

_GPT2_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_FILES = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"]


@dataclass(frozen=True)
class TokenizerFiles:
    """What a tokenizer's files say.

    Attributes:
        name: what messages call it.
        values: the JSON of the `tokenizers` file.
        bos: its mark of the beginning of a text, if it has one.
        eos: its mark of the end.
        add_bos: whether it begins every text with `bos`.
        chat_template: its own template, in Jinja.
    """

    name: str
    values: dict[str, Any]
    bos: str | None
    eos: str | None
    add_bos: bool
    chat_template: str | None

    def key(self) -> str:
        """A hash of all of it."""
        return key_of(self.values, self.bos, self.eos, self.add_bos, self.chat_template)

    def number(self, text: str) -> int | None:
        """The id of the token with this text."""
        for token in self.values.get("added_tokens") or []:
            if token["content"] == text:
                return int(token["id"])
        vocabulary = self.values["model"].get("vocab") or {}
        if isinstance(vocabulary, list):
            return next((at for at, (piece, _) in enumerate(vocabulary) if piece == text), None)
        found = vocabulary.get(text)
        return None if found is None else int(found)

    def encoder(self, written: str) -> dict[str, Any]:
        """The arguments of the extension's `Encoder`.

        Args:
            written: all that the template itself writes: an added token in it is the template's own, and no row's.
        """
        values = copy.deepcopy(self.values)
        values |= {"post_processor": None, "truncation": None, "padding": None}
        controls, added = [], []
        for token in values.get("added_tokens") or []:
            token["special"] = bool(token["special"]) or token["content"] in written
            if token["special"]:
                controls.append((token["content"], token["id"], bool(token["lstrip"]), bool(token["rstrip"])))
            else:
                added.append(token["content"])
        first = _dumped(values)
        # The space before the first word of a text belongs to no later piece of it.
        _each(values.get("pre_tokenizer"), _not_first)
        later = _dumped(values)
        model = values["model"]
        unknown = model.get("unk_id") if "unk_id" in model else self.number(model.get("unk_token") or "")
        return {
            "first": first,
            "later": later if later != first else None,
            "controls": controls,
            "unknown": unknown,
            "words": _words(values),
            "added": added,
        }


def load_tokenizer(tokenizer: Any) -> TokenizerFiles:
    """Reads a tokenizer.

    Args:
        tokenizer: a `tokenizers` file, a folder with a tokenizer.json, the id of a model on the hub (`owner/name`, with
            the extra `hub`), or a fast tokenizer of `tokenizers` or `transformers`.

    Raises:
        DataError: the file is not what `tokenizers` writes.
        FileNotFoundError: there is no such file.
    """
    if hasattr(tokenizer, "backend_tokenizer"):
        values = json.loads(tokenizer.backend_tokenizer.to_str())
        config = {name: getattr(tokenizer, name, None) for name in ("bos_token", "eos_token", "chat_template")}
        return _files(type(tokenizer).__name__, values, config, None)
    if hasattr(tokenizer, "to_str"):
        return _files(type(tokenizer).__name__, json.loads(tokenizer.to_str()), {}, None)
    path = Path(tokenizer)
    if path.is_dir():
        path = path / "tokenizer.json"
    elif not path.exists() and path.suffix != ".json" and len(path.parts) == 2:
        path = _from_hub(str(tokenizer))
    if not path.is_file():
        raise FileNotFoundError(
            f"no tokenizer file {path}\n"
            "hint: give a tokenizer.json, a folder with one, or owner/name of a model on the hub"
        )
    config = _json(path.with_name("special_tokens_map.json")) | _json(path.with_name("tokenizer_config.json"))
    template = path.with_name("chat_template.jinja")
    return _files(
        str(tokenizer), _json(path), config, template.read_text(encoding="utf-8") if template.is_file() else None
    )


def _files(name: str, values: dict[str, Any], config: dict[str, Any], template: str | None) -> TokenizerFiles:
    if not isinstance(values.get("model"), dict) or not isinstance(values.get("added_tokens") or [], list):
        raise DataError(
            f"{name} is no tokenizer file\nhint: give what `tokenizers` or `save_pretrained` writes as tokenizer.json"
        )
    bos, eos = (_text(config.get(key)) for key in ("bos_token", "eos_token"))
    own = template or config.get("chat_template")
    if isinstance(own, list):
        own = {one["name"]: one["template"] for one in own}
    if isinstance(own, dict):
        own = own.get("default")
    add_bos = config.get("add_bos_token")
    if add_bos is None:
        found: list[bool] = []
        _each(values.get("post_processor"), lambda one: found.append(_begins_with(one, bos)))
        add_bos = any(found)
    return TokenizerFiles(name, values, bos, eos, bool(add_bos) and bos is not None, own)


def _from_hub(name: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise FileNotFoundError(
            f"no tokenizer {name} here, and huggingface_hub is not installed\nhint: pip install 'chaffinch[hub]'"
        ) from None
    return Path(snapshot_download(name, allow_patterns=_FILES)) / "tokenizer.json"


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: {error}\nhint: give a file that the `tokenizers` library reads") from None
    return values if isinstance(values, dict) else {}


def _dumped(values: dict[str, Any]) -> bytes:
    return json.dumps(values, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _text(token: Any) -> str | None:
    """A mark as config files write it: a text, or a mapping with its content."""
    return token.get("content") if isinstance(token, dict) else token


def _each(node: Any, visit: Any) -> None:
    """Visits every mapping in `node`."""
    if isinstance(node, dict):
        visit(node)
        for value in node.values():
            _each(value, visit)
    elif isinstance(node, list):
        for value in node:
            _each(value, visit)


def _not_first(node: dict[str, Any]) -> None:
    if node.get("type") == "Metaspace" and node.get("prepend_scheme") == "first":
        node["prepend_scheme"] = "never"


def _begins_with(node: dict[str, Any], bos: str | None) -> bool:
    single = node.get("single") if node.get("type") == "TemplateProcessing" else None
    return single is not None and len(single) > 0 and (single[0].get("SpecialToken") or {}).get("id") == bos


def _words(values: dict[str, Any]) -> str | None:
    """The pattern of words, where the tokenizer is byte-level BPE and does nothing besides."""
    model, before = values["model"], values.get("pre_tokenizer")
    plain = not any(model.get(key) for key in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"))
    if values.get("normalizer") is not None or model.get("type") != "BPE" or not plain or before is None:
        return None
    steps = before["pretokenizers"] if before["type"] == "Sequence" else [before]
    last = steps[-1]
    if last["type"] != "ByteLevel" or last.get("add_prefix_space", True):
        return None
    if len(steps) == 1:
        return _GPT2_WORDS if last.get("use_regex", True) else None
    split = steps[0]
    if len(steps) > 2 or last.get("use_regex", True) or split["type"] != "Split":
        return None
    isolated = split["behavior"] == "Isolated" and not split.get("invert")
    return split["pattern"].get("Regex") if isolated else None


def marks_of(files: TokenizerFiles, bos: str | None, eos: str | None) -> tuple[str | None, str | None]:
    """The marks of beginning and end, a recipe's over the files'.

    Raises:
        RecipeError: the tokenizer does not have such a token.
    """
    for name, text in (("bos", bos), ("eos", eos)):
        if text is not None and files.number(text) is None:
            raise RecipeError(
                f"tokenize: {name} is {text!r}, which {files.name} does not have\nhint: name one of its tokens"
            )
    return bos or files.bos, eos or files.eos
