"""Evaluation sets: the known ones by name, any file, and their items.

`find` says which sets are meant and where they lie; `items` reads one, `state` says what that depends on.
"""

from chaffinch.evaluation_sets.items import EvaluationSet, find, find_all, items, state
from chaffinch.evaluation_sets.registry import Entry, Split, known, lookup

__all__ = ["Entry", "EvaluationSet", "Split", "find", "find_all", "items", "known", "lookup", "state"]
