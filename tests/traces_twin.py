"""The rules of traces in plain Python: `str.find` of every phrase in turn. Shares only the rules with the package."""

from __future__ import annotations

from chaffinch.provenance.traces import TraceRule

OPENING, EITHER, CLOSING = "“\u2018«「『", "\"'`", "”»」』"
QUOTATION = 160


def lower(text: str) -> str:
    """Only ASCII changes, so that places stay where they are."""
    return "".join(letter.lower() if letter.isascii() else letter for letter in text)


def is_word(letter: str) -> bool:
    # Of the scripts without spaces, those that the rules and the tests have.
    unspaced = "\u3040" <= letter <= "\u30ff" or "\u3400" <= letter <= "\u9fff"
    return (letter.isalnum() or letter == "_") and not unspaced


def is_cut(one: str, other: str) -> bool:
    return bool(one and other) and is_word(one) and is_word(other)


def is_quoted(text: str, start: int) -> bool:
    letters = [at for at, letter in enumerate(text) if letter.isalnum()]
    for at in range(start - 1, -1, -1):
        letter, outer = text[at], text[at - 1 : at]
        if letter == "\n" or len(text[at:start].encode()) > QUOTATION:
            return False
        opens = letter in OPENING
        if letter in EITHER:
            opens = not outer or outer.isspace() or outer in "([{=:,"
            if not opens and letter == "'" and is_word(outer):
                continue
        elif not opens and letter not in CLOSING:
            continue
        return opens and bool(letters) and at > letters[0]
    return False


def spans(text: str, rule: TraceRule) -> list[tuple[int, int]]:
    """Every place in `text` where the rule counts, as (start, -end): the first of them sorted is the answer."""
    low, found = lower(text), []
    phrases, then = rule.spelt_out()
    letters = [at for at, letter in enumerate(text) if letter.isalnum()] or [len(text)]
    for phrase in phrases:
        start = low.find(lower(phrase))
        while start >= 0:
            ends = [start + len(phrase)]
            if then:
                ends = [ends[0] + len(one) for one in then if low.startswith(lower(one), ends[0])]
                ends = sorted(end for end in ends if not is_cut(text[end - 1], text[end : end + 1]))[-1:]
            found += [
                (start, -end)
                for end in ends
                if (
                    not is_cut(text[start - 1 : start], text[start])
                    and not is_cut(text[end - 1], text[end : end + 1])
                    and (rule.place == "anywhere" or start <= letters[0])
                    and (rule.place != "whole" or end > letters[-1] or letters[0] == len(text))
                    and not any(low[:start].endswith(lower(one)) for one in rule.not_after)
                    and not any(low.startswith(lower(one), end) for one in rule.not_before)
                    and (rule.quoted or not is_quoted(text, start))
                )
            ]
            start = low.find(lower(phrase), start + 1)
    return found


def traces(text: str, rules: list[TraceRule], part: str) -> list[tuple[str, int, int]]:
    """(rule, start, end) of the first match of every rule that reads the part."""
    found = []
    for rule in rules:
        if rule.part in (part, "both") and (places := spans(text, rule)):
            start, end = min(places)
            found.append((rule.id, start, -end))
    return found
