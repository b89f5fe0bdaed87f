"""How many threads a call may use."""

import os


def thread_count(threads: int | None) -> int:
    """`threads`, or every core that this process may run on.

    Raises:
        ValueError: fewer than one.
    """
    if threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if threads < 1:
        raise ValueError(f"threads is {threads}, expected at least 1\nhint: leave it out for all cores")
    return threads
