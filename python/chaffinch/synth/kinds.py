"""The kinds of rows other than tasks: each is made from its draws alone, in the source's own keys."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from chaffinch.synth.words import ADJECTIVES, NAMES, NOUNS, PLACES, VERBS, paragraph, sentence, title

Row = dict[str, Any]
Path = tuple[str | int, ...]

# Row counts of the real data sets by the values of their own fields, after their public descriptions; the
# shares are kept at any size.
MATH_SOURCES = {
    "data/CoT/aqua_rat.json": 89_400,
    "data/CoT/math50k_camel.json": 49_500,
    "data/CoT/gsm_rft.json": 28_300,
    "data/PoT/mathqa.json": 24_400,
    "data/PoT/gsm_gpt4.json": 14_000,
    "data/PoT/numglue.json": 12_800,
    "data/PoT/aqua_rat_filtered.json": 9_700,
    "data/CoT/MATH_train.json": 7_500,
    "data/CoT/gsm_train.json": 7_500,
    "data/PoT/MATH_train.json": 7_000,
    "data/CoT/college_math.json": 1_800,
    "data/PoT/TheoremQA.json": 700,
    "data/CoT/TheoremQA.json": 600,
    "data/CoT/number_comparison.json": 300,
}
PLATYPUS_SOURCES = {
    "MATH/PRM-800K": 12_298,
    "reclor": 4_530,
    "airoboros": 2_605,
    "scienceqa": 1_317,
    "leetcode_ne": 1_100,
    "guanaco": 797,
    "ARB": 713,
    "scibench": 616,
    "theoremqa": 564,
    "tigerbot-kaggle": 386,
}


def _weighted(shares: dict[str, int]) -> Callable[[int], str]:
    names, edges = list(shares), list(accumulate(shares.values()))

    def pick(draw: int) -> str:
        place = draw % edges[-1]
        return next(name for name, edge in zip(names, edges, strict=True) if place < edge)

    return pick


_math_source = _weighted(MATH_SOURCES)
_platypus_source = _weighted(PLATYPUS_SOURCES)

_REQUESTS = (
    "Write a short note about {}.",
    "Explain to a newcomer what one should know of {}.",
    "List what could go wrong with {}.",
    "Describe {} in a friendly tone.",
    "Give three reasons to look after {}.",
    "Draft a letter that complains about {}.",
    "Compare {} with anything else you know.",
    "Suggest a name for {}.",
)


def _subject(draw: int) -> str:
    thing = f"the {ADJECTIVES[draw & 63]} {NOUNS[(draw >> 6) & 63]}"
    deed = f"{NAMES[(draw >> 12) & 63]} {VERBS[(draw >> 18) & 63]} near {PLACES[(draw >> 24) & 63]}"
    return f"{thing} that {deed} in the year {1000 + ((draw >> 30) & 2047)}"


def _alpaca(p: Sequence[int], r: Sequence[int], _: str) -> Row:
    context = paragraph(p[1:4]) if p[0] >> 63 else ""
    request = _REQUESTS[p[0] & 7].format(_subject(p[7]))
    return {"instruction": request, "input": context, "output": paragraph(r[: 2 if context else 4])}


def _long(p: Sequence[int], r: Sequence[int], _: str) -> Row:
    return {
        "instruction": _REQUESTS[p[0] & 7].format(_subject(p[7])),
        "input": "",
        "output": paragraph(r) + "\n\n" + paragraph(p),
        "history": [],
    }


def _chat(p: Sequence[int], r: Sequence[int], _: str) -> Row:
    turns = [{"from": "human", "value": f"{_REQUESTS[p[0] & 7].format(_subject(p[7]))} {sentence(p[1])}"}]
    turns.append({"from": "gpt", "value": paragraph(r[:3])})
    for k in range(p[0] >> 62):
        turns += [
            {"from": "human", "value": sentence(p[2 + k])},
            {"from": "gpt", "value": sentence(r[3 + k])},
        ]
    if (p[0] >> 59) & 7 == 0:
        turns.insert(0, {"from": "system", "value": f"You help the people of {PLACES[p[6] & 63]}."})
    return {"conversations": turns}


def _tool(p: Sequence[int], r: Sequence[int], _: str) -> Row:
    name, place, count = f"find_{NOUNS[p[0] & 63]}", PLACES[(p[0] >> 6) & 63], 1 + p[1] % 9_000
    call = f'{{"name": "{name}", "arguments": {{"place": "{place}", "limit": {count}}}}}'
    tools = f'[{{"name": "{name}", "description": "Finds things", "parameters": {{"type": "object"}}}}]'
    turns = [
        {"from": "human", "value": f"{sentence(p[2])} Can you look for it at {place}?"},
        {"from": "function_call", "value": call},
        {"from": "observation", "value": f'{{"found": {p[3] % 100}, "nearest": "{title(p[4])}"}}'},
        {"from": "gpt", "value": paragraph(r[:2])},
    ]
    return {"conversations": turns, "tools": tools}


def _p3(p: Sequence[int], _: Sequence[int], variant: str) -> Row:
    text, known = paragraph(p[:4]), p[7] & 1
    if variant == "which_place":
        return {
            "prompt": f"{text}\n\nWhere does {NAMES[p[7] & 63]} go if told to walk to {PLACES[p[6] & 63]}?",
            "completion": PLACES[p[6] & 63],
        }
    if variant == "title":
        return {"prompt": f"{text}\n===\nWrite a title for this text:\n", "completion": title(p[7])}
    asked = sentence(p[0] if known else p[5])
    return {
        "prompt": f'{text}\nDoes the text say this: "{asked}" Yes or no?\n',
        "completion": "Yes" if known else "No",
    }


def _flan(p: Sequence[int], r: Sequence[int], variant: str) -> Row:
    row = _p3(p, r, variant)
    return {"inputs": row["prompt"], "targets": row["completion"], "task": variant}


def _function(p: Sequence[int], r: Sequence[int], language: str) -> Row:
    row = _code(p, r, "")
    return {
        "repo": f"{NAMES[p[3] & 63]}/{NOUNS[p[4] & 63]}",
        "func_name": f"{VERBS[p[0] & 63]}_{NOUNS[(p[0] >> 6) & 63]}s",
        "language": language,
        "docstring": f"{row['instruction']} {sentence(p[5])}",
        "code": row["output"],
    }


def _contest(p: Sequence[int], r: Sequence[int], _: str) -> Row:
    asked = f"{paragraph(p[1:4])} Read {1 + p[0] % 99} numbers and print their sum for {_subject(p[7])}."
    return {"description": asked, "solution": f"print(sum(map(int, input().split())))  # {sentence(r[0])}"}


def _cot(p: Sequence[int], r: Sequence[int], _: str) -> Row:
    left, right = 2 + p[0] % 900, 2 + p[1] % 900
    name, thing = NAMES[p[2] & 63], NOUNS[(p[2] >> 6) & 63]
    question = f"{paragraph(p[3:5])} {name} has {left} {thing}s and finds {right} more. How many is that?"
    return {
        "question": question,
        "answer": str(left + right),
        "rationale": f"{sentence(r[0])} So {left} + {right} = {left + right}.",
    }


def _quiz(p: Sequence[int], _: Sequence[int], variant: str) -> Row:
    where = PLACES[(p[0] >> 33) & 63]
    return {
        "question": f'{paragraph(p[:3])} What is near, asked {NAMES[p[7] & 63]}, "{where}"?',
        "answer": where,
        "category": variant,
    }


def _table(p: Sequence[int], r: Sequence[int], variant: str) -> Row:
    return {
        **_alpaca(p, r, variant),
        "category": ("advice", "facts", "letters")[p[5] % 3],
        "language": "English",
    }


def _code(p: Sequence[int], r: Sequence[int], _: str) -> Row:
    verb, noun, factor = VERBS[p[0] & 63], NOUNS[(p[0] >> 6) & 63], 2 + p[1] % 9_999
    start = p[2] % 1_000_000
    loop = f"    for value in values:\n        total += value * {factor}\n    return total"
    body = f"def {verb}_{noun}s(values):\n    total = {start}\n{loop}"
    request = f"Write a Python function for {_subject(p[7])}: add {factor} times each value to {start}."
    return {
        "instruction": request,
        "input": "",
        "output": f"```python\n{body}\n```\n{sentence(r[0])}",
        "language": "python",
    }


def _math(p: Sequence[int], r: Sequence[int], _: str) -> Row:
    source = _math_source(p[0])
    left, right = 2 + p[1] % 9_000, 2 + p[2] % 9_000
    name, thing = NAMES[p[3] & 63], NOUNS[(p[3] >> 6) & 63]
    question = f"{sentence(p[4])} {name} counts {left} {thing}s at noon and {right} at night. How many in all?"
    steps = f"{sentence(r[0])} {name} counts {left} + {right} = {left + right}."
    if source.startswith("data/PoT/"):
        question += " Let's write a Python program."
        output = f"noon = {left}\nnight = {right}\nprint(noon + night)"
    elif source in {"data/CoT/gsm_train.json", "data/CoT/gsm_rft.json"}:
        output = f"{steps}\n#### {left + right}\nThe answer is: {left + right}"
    elif source == "data/CoT/aqua_rat.json":
        question += f"\nAnswer Choices: (A) {left} (B) {right} (C) {left + right} (D) {left * 2}"
        output = f"Let's think about the multi-choice question.\n{steps}\nThe answer is C."
    else:
        output = f"{steps} Therefore $n = {left + right}$.\nThe answer is: ${left + right}$"
    return {"source": source, "instruction": question, "output": output}


def _platypus(p: Sequence[int], r: Sequence[int], _: str) -> Row:
    source = _platypus_source(p[0])
    options = "\n".join(f"{letter}. {title(p[3 + k])}" for k, letter in enumerate("ABCD"))
    if source in {"reclor", "scienceqa"}:
        question, answer = f"{paragraph(p[1:4])}\n{options}", "ABCD"[p[7] & 3]
    else:
        question, answer = f"{paragraph(p[1:3])} What follows for {_subject(p[7])}?", paragraph(r[:3])
    hint = "Choose A, B, C or D as your solution." if source == "reclor" else ""
    return {"input": hint, "output": answer, "instruction": question, "data_source": source}


def _openbook(p: Sequence[int], _: Sequence[int], __: str) -> Row:
    right = p[7] & 3
    choices = [{"text": f"{title(p[k])} {1000 + p[k + 1] % 9000}", "label": "ABCD"[k]} for k in range(4)]
    stem = f"When {NAMES[p[5] & 63]} {VERBS[(p[5] >> 6) & 63]} {_subject(p[6])}, the cause was most likely"
    return {
        "id": f"{p[0] % 10_000}-{p[1] % 1_000}",
        "question": {"stem": stem, "choices": choices},
        "answerKey": "ABCD"[right],
    }


@dataclass(frozen=True)
class Kind:
    """How rows of one kind are made and where their texts lie.

    Attributes:
        make: from 8 prompt draws, 6 response draws and the file's variant to a row.
        prompts: paths of the texts that make up the prompt; empty for conversations, where it is the first
            turn of a human.
        response: path of the answer, or of its list.
        field: the row's own field that tells where it is from.
    """

    make: Callable[[Sequence[int], Sequence[int], str], Row]
    prompts: tuple[Path, ...]
    response: Path
    field: str | None = None


_ALPACA_PATHS: tuple[Path, ...] = (("instruction",), ("input",))
KINDS = {
    "alpaca": Kind(_alpaca, _ALPACA_PATHS, ("output",)),
    "long": Kind(_long, _ALPACA_PATHS, ("output",)),
    "chat": Kind(_chat, (), ("conversations", -1, "value")),
    "tool": Kind(_tool, (), ("conversations", -1, "value")),
    "p3": Kind(_p3, (("prompt",),), ("completion",)),
    "flan": Kind(_flan, (("inputs",),), ("targets",)),
    "function": Kind(_function, (("docstring",),), ("code",)),
    "contest": Kind(_contest, (("description",),), ("solution",)),
    "cot": Kind(_cot, (("question",),), ("answer",)),
    "quiz": Kind(_quiz, (("question",),), ("answer",)),
    "table": Kind(_table, _ALPACA_PATHS, ("output",)),
    "code": Kind(_code, (("instruction",),), ("output",)),
    "math": Kind(_math, (("instruction",),), ("output",), field="source"),
    "platypus": Kind(_platypus, (("instruction",),), ("output",), field="data_source"),
    "openbook": Kind(_openbook, (("question", "stem"),), ("answerKey",)),
}
TASK_PROMPTS: tuple[Path, ...] = (("input",),)
