"""Loading and writing models without what transformers and bitsandbytes say meanwhile."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quietly() -> Iterator[None]:
    """No bars beside our own, and no notices of what nobody here can change."""
    from transformers.utils import logging as transformers_logging

    shown = transformers_logging.is_progress_bar_enabled()
    notices = logging.getLogger("bitsandbytes")
    level = notices.level
    transformers_logging.disable_progress_bar()
    notices.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # transformers and peft ask each other by names that they are about to drop.
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        notices.setLevel(level)
        if shown:
            transformers_logging.enable_progress_bar()
