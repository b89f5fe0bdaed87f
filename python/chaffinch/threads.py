"""How many threads a call may use."""

import os

MOST = 1024


def thread_count(threads: int | None) -> int:
    """`threads`, or every core that this process may run on.

    Raises:
        ValueError: fewer than one, or more than any machine has use for.
    """
    if threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not 1 <= threads <= MOST:
        raise ValueError(f"threads is {threads}, expected 1 to {MOST}\nhint: leave it out for all cores")
    return threads
