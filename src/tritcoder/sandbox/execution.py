"""What happened when a program ran, as far as can be told from outside."""

import json
import re
import signal
from dataclasses import dataclass
from typing import Any, Literal

from tritcoder.sandbox.inside import wire
from tritcoder.sandbox.limits import MIB, Limits

Ended = Literal["finished", "raised", "syntax_error", "time_limit", "memory_limit", "output_limit", "sandbox_failed"]

_MEMORY_ERROR = re.compile(r"[\w.]*MemoryError\b")
"""The interpreter's, or numpy's kind of it."""


@dataclass(frozen=True, slots=True)
class Execution:
    """How one program ended on one input. Everything but the times and the memory is under the program's control."""

    ended: Ended
    """`raised` is any failure of its own: an uncaught exception, a signal, an exit status other than 0, and for a
    call no JSON value. `sandbox_failed` is ours: nothing is known about the program."""
    stdout: str
    """What it printed, at most `Limits.output_bytes`; bytes that are no UTF-8 are replaced."""
    value: Any = None
    """What the function returned, as JSON data (NaN and infinities are floats); None but for a finished call."""
    error: str = ""
    """The last line of the traceback, the signal, or the limit; for people."""
    cpu_s: float = 0.0
    wall_s: float = 0.0
    peak_memory_bytes: int = 0
    """Most memory that was resident at once, the interpreter included."""


@dataclass(frozen=True, slots=True)
class Traces:
    """What a child left behind: the zygote's reply, and the files that the child could write."""

    status: int
    """As of wait(2)."""
    killed: int
    """wire.KILLED_..."""
    cpu_s: float
    wall_s: float
    peak_memory_bytes: int
    armed: bool
    """Whether it was confined before it ran a line."""
    syntax_error: str
    stdout: bytes
    """Up to one byte more than the limit."""
    value: bytes
    """The same."""
    stderr_tail: bytes
    code: bytes = b""
    """The program compiled, from a child that had to; for its next children."""


def judge(traces: Traces, limits: Limits, call: bool) -> Execution:
    """Tell how a program ended; the first rule that fits decides."""
    ended, error, value = _decide(traces, limits, call)
    return Execution(
        ended=ended,
        stdout=traces.stdout[: limits.output_bytes].decode("utf-8", "replace"),
        value=value,
        error=error,
        cpu_s=traces.cpu_s,
        wall_s=traces.wall_s,
        peak_memory_bytes=traces.peak_memory_bytes,
    )


def _decide(traces: Traces, limits: Limits, call: bool) -> tuple[Ended, str, Any]:
    number = traces.status & 0x7F  # the signal that ended it, 0 for none
    last_line = _last_line(traces.stderr_tail)
    if not traces.armed:
        return "sandbox_failed", "the child ended before it was confined", None
    if max(len(traces.stdout), len(traces.value)) > limits.output_bytes:
        return "output_limit", f"wrote more than {limits.output_bytes} bytes", None
    if traces.killed == wire.KILLED_WALL:
        return "time_limit", f"still running after {limits.wall_s:g} s on the clock", None
    if traces.killed == wire.KILLED_CPU or number == signal.SIGXCPU or traces.cpu_s > limits.cpu_s:
        return "time_limit", f"used more than {limits.cpu_s:g} s of processor time", None
    if traces.syntax_error:
        return "syntax_error", traces.syntax_error, None
    if number == signal.SIGKILL:  # no process inside can send it
        return "memory_limit", "ended by the kernel, out of memory", None
    if number:
        return "raised", f"killed by {_signal_name(number)}", None
    if traces.status:
        if _MEMORY_ERROR.match(last_line):
            return "memory_limit", f"{last_line} (limit {limits.memory_bytes // MIB} MiB)", None
        return "raised", last_line or f"exit status {traces.status >> 8}", None
    return _returned(traces.value) if call else ("finished", "", None)


def _returned(data: bytes) -> tuple[Ended, str, Any]:
    """Read the value that a call left. It is the program's own writing, so anything may stand there."""
    if not data:
        return "raised", "the program ended before the function returned", None
    try:
        return "finished", "", json.loads(data)["value"]
    except (ValueError, RecursionError, LookupError, TypeError) as error:
        return "raised", f"the returned value cannot be read: {type(error).__name__}", None


def _last_line(tail: bytes) -> str:
    lines = [line for line in tail.decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1].strip()[:500] if lines else ""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
