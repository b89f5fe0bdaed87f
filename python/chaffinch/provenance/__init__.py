"""Where the prompts and responses of known data sets come from.

`registry.json` has the 36 rows of a survey's table as the table has them, the data sets that recipes need
besides, each with the grounds for what is said of it, and rules for data sets whose rows tell by a field of
their own where they are from.
"""

from chaffinch.provenance.registry import Addition, Entry, Registry, RowRule, registry

__all__ = ["Addition", "Entry", "Registry", "RowRule", "registry"]
