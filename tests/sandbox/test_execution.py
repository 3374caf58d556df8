"""The rules that make traces an Execution, each worked by hand."""

import dataclasses
import signal

import pytest

from tritcoder.sandbox.execution import Ended, Traces, judge
from tritcoder.sandbox.inside import wire
from tritcoder.sandbox.limits import Limits

LIMITS = Limits(cpu_s=1.0, wall_s=2.0, output_bytes=1024)
CLEAN = Traces(
    status=0,
    killed=wire.KILLED_NOT,
    cpu_s=0.1,
    wall_s=0.2,
    peak_memory_bytes=1000,
    armed=True,
    syntax_error="",
    stdout=b"7\n",
    value=b"",
    stderr_tail=b"",
)
EXIT_1 = 1 << 8


@pytest.mark.parametrize(
    ("changes", "ended", "error"),
    [
        ({}, "finished", ""),
        ({"armed": False}, "sandbox_failed", "the child ended before it was confined"),
        ({"status": EXIT_1}, "raised", "exit status 1"),
        ({"status": 120 << 8}, "raised", "exit status 120"),
        ({"status": EXIT_1, "stderr_tail": b"Trace\nKeyError: 'x'\n\n"}, "raised", "KeyError: 'x'"),
        ({"status": EXIT_1, "stderr_tail": b"\xff\xfe"}, "raised", "\ufffd\ufffd"),
        ({"status": EXIT_1, "stderr_tail": b"MemoryError\n"}, "memory_limit", "MemoryError (limit 512 MiB)"),
        (
            {"status": EXIT_1, "stderr_tail": b"numpy.core._exceptions._ArrayMemoryError: Unable\n"},
            "memory_limit",
            "numpy.core._exceptions._ArrayMemoryError: Unable (limit 512 MiB)",
        ),
        ({"status": EXIT_1, "stderr_tail": b"ValueError: MemoryError\n"}, "raised", "ValueError: MemoryError"),
        ({"stderr_tail": b"MemoryError\n"}, "finished", ""),
        ({"status": signal.SIGSEGV}, "raised", "killed by SIGSEGV"),
        ({"status": signal.SIGSEGV | 0x80}, "raised", "killed by SIGSEGV"),  # with a core
        ({"status": 63}, "raised", "killed by signal 63"),
        ({"status": signal.SIGKILL}, "memory_limit", "ended by the kernel, out of memory"),
        (
            {"status": signal.SIGKILL, "killed": wire.KILLED_CPU},
            "time_limit",
            "used more than 1 s of processor time",
        ),
        ({"status": signal.SIGXCPU}, "time_limit", "used more than 1 s of processor time"),
        ({"cpu_s": 1.001}, "time_limit", "used more than 1 s of processor time"),
        ({"killed": wire.KILLED_WALL}, "time_limit", "still running after 2 s on the clock"),
        (
            {"stdout": b"x" * 1025, "killed": wire.KILLED_CPU},
            "output_limit",
            "wrote more than 1024 bytes",
        ),
        ({"stdout": b"x" * 1024}, "finished", ""),
        (
            {"status": EXIT_1, "syntax_error": "SyntaxError: invalid syntax"},
            "syntax_error",
            "SyntaxError: invalid syntax",
        ),
    ],
)
def test_the_first_rule_that_fits_decides(changes: dict[str, object], ended: Ended, error: str) -> None:
    execution = judge(dataclasses.replace(CLEAN, **changes), LIMITS, call=False)  # type: ignore[arg-type]
    assert (execution.ended, execution.error) == (ended, error)
    assert len(execution.stdout) <= LIMITS.output_bytes


@pytest.mark.parametrize(
    ("written", "ended", "value"),
    [
        (b'{"value": [1, {"a": null}]}', "finished", [1, {"a": None}]),
        (b"", "raised", None),
        (b"{", "raised", None),
        (b"\xff", "raised", None),
        (b"[]", "raised", None),
        (b"{}", "raised", None),
        (b"3", "raised", None),
        (b"[" * 1000, "raised", None),
        (b'{"value": ' + b"9" * 1000 + b"}", "finished", int("9" * 1000)),
    ],
)
def test_a_value_is_read_or_refused(written: bytes, ended: Ended, value: object) -> None:
    execution = judge(dataclasses.replace(CLEAN, value=written), LIMITS, call=True)
    assert (execution.ended, execution.value) == (ended, value)
