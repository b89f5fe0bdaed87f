"""The `read` stage: files of any of the known formats to shards with the store's schema.

`plan_source` says which files a source has; `read_source` reads them. Bad records go to a quarantine beside
the shard, with place, reason and the beginning of the raw text: rows + rejected = records in the file.
"""

from chaffinch.readers.inputs import Input, check_data, check_inside, plan_source
from chaffinch.readers.source import READER_VERSION, Shard, cached_shards, quarantine_reasons, read_source

__all__ = [
    "READER_VERSION",
    "Input",
    "Shard",
    "cached_shards",
    "check_data",
    "check_inside",
    "plan_source",
    "quarantine_reasons",
    "read_source",
]
