"""Which template a row gets and which rows stand before it, in plain Python over plain rows."""

from __future__ import annotations

import hashlib
from typing import Any

MASK = 2**64 - 1


def key(*parts: object) -> int:
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def drawn(stream: int, row: int, slot: int) -> int:
    """SplitMix64's finaliser of a counter."""
    value = (stream + row * 0xD1342543DE82EF95 + (slot + 1) * 0x9E3779B97F4A7C15) & MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)


def first_eight(digest: bytes) -> int:
    return int.from_bytes(digest[:8], "big")


def template(seed: int, names: list[str], content: bytes) -> str:
    """The name with the highest draw."""
    return max(names, key=lambda name: drawn(key("template", seed, name), first_eight(content), 0))


def demonstrations(
    seed: int, row: dict[str, Any], candidates: list[dict[str, Any]], spec: Any
) -> tuple[int, list[Any]]:
    """How many the row is to have, and the row hashes of those to try."""
    content = first_eight(row["content_hash"])
    numbers = [drawn(key("demonstrations", seed), content, slot) for slot in range(2 + spec.max + 3)]
    if (numbers[0] >> 11) * 2.0**-53 >= spec.share:
        return 0, []
    wanted = spec.min + numbers[1] % (spec.max - spec.min + 1)
    circle = sorted(
        (drawn(key("circle", seed), first_eight(one["row_hash"]), 0) >> 24, one["row_hash"])
        for one in candidates
        if all(one[name] == row[name] for name in spec.within)
    )
    found: list[bytes] = []
    for point in numbers[2 : 2 + wanted + 3]:
        start = next((at for at, (place, _) in enumerate(circle) if place >= point >> 24), 0)
        following = [digest for _, digest in circle[start:] + circle[:start] if digest not in found]
        found += following[:1]
    return wanted, found
