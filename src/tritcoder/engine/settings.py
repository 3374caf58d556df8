"""What the environment says of the engine: which kernel, how many threads."""

import os

from tritcoder.errors import ConfigError

KERNEL_VARIABLE = "TRITCODER_KERNEL"
THREADS_VARIABLE = "TRITCODER_THREADS"
MAX_THREADS = 1024


def asked_kernel(kernel: str | None = None) -> str:
    """The kernel that was asked for, or the one that TRITCODER_KERNEL names; empty if neither."""
    return kernel or os.environ.get(KERNEL_VARIABLE, "")


def threads_for(asked: int | None = None) -> int:
    """How many threads: as asked, or as TRITCODER_THREADS says, or one for each core that this process may use.

    Raises:
        ConfigError: the number makes no sense.
    """
    text = os.environ.get(THREADS_VARIABLE, "") if asked is None else str(asked)
    if not text:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not text.isdecimal() or not 1 <= int(text) <= MAX_THREADS:
        where = THREADS_VARIABLE if asked is None else "threads"
        raise ConfigError(f"{where} must be a number from 1 to {MAX_THREADS}, found {text!r}")
    return int(text)
