"""Small tokenizers of the kinds that models use, trained on a few sentences."""

import json
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

SPECIALS = ["<s>", "</s>", "<|im_start|>", "<|im_end|>", "<unk>"]
TEXT = [
    "The river runs through the old stone bridge, and nobody counts the 1,234 birds. It's what they'd say!",
    "### Instruction:\nAdd the numbers.\n\n### Input:\n2 + 2 = 4\n\n### Response:\nThe answer is four.",
    "A chat between a curious user and an assistant. USER: Hello! ASSISTANT: Hi there, how are you?",
    "<|im_start|>user\nWas ist ein Fluß?<|im_end|>\n<|im_start|>assistant\nEin Fluss ist naß 数据 é.<|im_end|>\n",
    "def f(x):\n    return x   +  1\n\n\n\tpass",
] * 4
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def _specials(tokenizer: Tokenizer) -> Tokenizer:
    tokenizer.add_special_tokens(SPECIALS)
    return tokenizer


def gpt2(added: bool = False) -> Tokenizer:
    """Byte-level BPE with GPT-2's words."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(TEXT, trainers.BpeTrainer(vocab_size=420, initial_alphabet=alphabet, show_progress=False))
    made.post_processor = processors.ByteLevel(trim_offsets=False)
    if added:
        made.add_tokens([AddedToken("    ", normalized=False), AddedToken("river")])
    return _specials(made)


def llama3() -> Tokenizer:
    """Byte-level BPE with Llama 3's words, whole words first."""
    made = Tokenizer(models.BPE(ignore_merges=True))
    split = pre_tokenizers.Split(Regex(LLAMA3), "isolated")
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(TEXT, trainers.BpeTrainer(vocab_size=420, initial_alphabet=alphabet, show_progress=False))
    return _specials(made)


def _pieces(made: Tokenizer) -> Tokenizer:
    values = json.loads(made.to_str())
    vocabulary = values["model"]["vocab"]
    for text in ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]:
        vocabulary.setdefault(text, len(vocabulary))
    values["model"] |= {"byte_fallback": True, "unk_token": "<unk>", "fuse_unk": True}
    made = _specials(Tokenizer.from_str(json.dumps(values)))
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", made.token_to_id("<s>"))]
    )
    return made


# Without words, a text's frequent marks would become tokens of their own.
PLAIN = " ".join(text for text in TEXT if "<|" not in text)


def llama2(text: str = PLAIN) -> Tokenizer:
    """SentencePiece's BPE as Llama 2's: a mark for spaces put before every piece of text, bytes for what is unknown."""
    made = Tokenizer(models.BPE())
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    made.train_from_iterator([text], trainers.BpeTrainer(vocab_size=300, show_progress=False))
    return _pieces(made)


def metaspace() -> Tokenizer:
    """The same as newer files say it: only the first piece of a text gets a space."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    made.train_from_iterator([PLAIN], trainers.BpeTrainer(vocab_size=300, show_progress=False))
    return _pieces(made)


def wordpiece() -> Tokenizer:
    """WordPiece without case, whose offsets leave white space out."""
    made = Tokenizer(models.WordPiece(unk_token="<unk>"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.train_from_iterator(
        TEXT, trainers.WordPieceTrainer(vocab_size=300, special_tokens=["<unk>"], show_progress=False)
    )
    return _specials(made)


KINDS = {
    "gpt2": gpt2,
    "added": lambda: gpt2(added=True),
    "llama3": llama3,
    "llama2": llama2,
    "metaspace": metaspace,
    "wordpiece": wordpiece,
}


def save(folder: Path, made: Tokenizer, **config: Any) -> Path:
    """The files of a model beside each other."""
    folder.mkdir(parents=True, exist_ok=True)
    made.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"} | config
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder
