"""Numbers that depend on nothing but a key, a row and a slot.

A counter-based generator instead of a stream: any row of any file can be made again alone, which is how
duplicates are planted, and files can be made in any order by any number of processes. Only 64-bit integer
arithmetic is used, so the numbers do not depend on the machine or on the version of numpy.
"""

import hashlib

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_ODD = np.uint64(0xD1342543DE82EF95)


def key(*parts: object) -> int:
    """A 64-bit key of the parts' text."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def draws(stream: int, rows: np.ndarray, slots: int) -> np.ndarray:
    """Uniform numbers.

    Args:
        stream: a key.
        rows: uint64 numbers of the rows, in any order, repeats allowed.
        slots: how many numbers each row needs.

    Returns:
        uint64, one line per row and one column per slot.
    """
    base = np.uint64(stream) + rows.astype(np.uint64) * _ODD
    return _mix(base[:, None] + (np.arange(slots, dtype=np.uint64) + np.uint64(1)) * _GOLDEN)


def _mix(values: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = values ^ (values >> np.uint64(31))
    return mixed


def shuffled(stream: int, count: int) -> np.ndarray:
    """The numbers from 0 to `count`, in an order that depends on the key alone."""
    order: np.ndarray = np.argsort(draws(stream, np.arange(count, dtype=np.uint64), 1)[:, 0], kind="stable")
    return order
