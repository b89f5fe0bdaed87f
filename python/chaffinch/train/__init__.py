"""Training on packs. The module itself is `cf.train`: see `chaffinch.train.run.train`. Needs torch."""

import sys
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    """A package and a verb have the same name, and both are asked for under it."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        """See `chaffinch.train.run.train`."""
        from chaffinch.train.run import train

        return train(*args, **options)


sys.modules[__name__].__class__ = _Callable
