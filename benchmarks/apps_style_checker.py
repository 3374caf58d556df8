"""A checker that follows the APPS authors' way: every test of a program in one interpreter, with no wall around it.

A rival for scoring.py to race, and nothing else. NEVER GIVE IT A PROGRAM THAT YOU DO NOT TRUST: the program shares an
interpreter with the expected outputs and the comparison, and may do to this machine all that its user may.

It is written from a description of what their checker does, not from its text. One process and one manager for each
program; star-imports before it; a program on standard input is indented into `def code():` and finds its streams
mocked; an alarm for each test and a time limit for the whole, after which all is lost. So it makes their mistakes
too, which `tests/benchmarks/` holds it to. The comparisons are `tritcoder.evaluate.compare.apps_equal`. Left out is
their guard, which takes functions of `os` away: one line brings them back. Where the description leaves a choice, the
faster one is taken.

Source: Hendrycks et al. 2021, arXiv:2105.09938, and the behaviour of its published checker.
"""

import builtins
import io
import multiprocessing
import signal
import sys
import textwrap
from collections.abc import Callable, Iterator, MutableSequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from types import FrameType, ModuleType
from typing import Any
from unittest import mock

from tritcoder.evaluate.compare import apps_equal
from tritcoder.records import Problem, TestCase

Result = bool | int
"""Of one test: right, wrong, -1 for an exception or too much time. A list of -2 alone: it does not even load."""

_PREAMBLE = """\
import bisect, collections, copy, fractions, functools, heapq, itertools, math, operator, os, random, re, string, sys
import time
from bisect import *
from collections import *
from functools import *
from heapq import *
from itertools import *
from typing import *
import numpy as np
"""
exec(_PREAMBLE, {})  # so that every fork finds the modules loaded
_RESULTS_WHEN_LOST = [-1] * 21
"""Whatever the number of tests was."""
_FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds on the clock; on a busy machine a right program may run into them."""

    load_s: float = 4.0
    test_s: float = 4.0
    whole_s: float = 10.0
    grace_s: float = 1.0


AUTHORS_TIMEOUTS = Timeouts()


def check(problem: Problem, program: str, timeouts: Timeouts = AUTHORS_TIMEOUTS) -> list[Result]:
    """Run every test of a trusted program, in a process that it has to itself."""
    with _FORK.Manager() as manager:
        reported = manager.list()
        process = _FORK.Process(target=_report, args=(problem, program, timeouts, reported))
        process.start()
        process.join(timeouts.whole_s + timeouts.grace_s)
        if process.is_alive():
            process.kill()
            process.join()
        return list(reported[0]) if len(reported) else list(_RESULTS_WHEN_LOST)


def _report(problem: Problem, program: str, timeouts: Timeouts, reported: MutableSequence[list[Result]]) -> None:
    signal.signal(signal.SIGALRM, _ring)
    reported.append(_results(problem, program, timeouts))


def _results(problem: Problem, program: str, timeouts: Timeouts) -> list[Result]:
    try:
        with _alarm(timeouts.load_s):
            run = _loaded(problem, program)
    except (Exception, SystemExit):
        return [-2]
    return [_result(run, test, problem.call_based, timeouts.test_s) for test in problem.tests]


def _result(run: Callable[[Any], Any], test: TestCase, call_based: bool, seconds: float) -> Result:
    try:
        with _alarm(seconds):
            actual = run(test.input)
        return apps_equal(test.output, actual, call_based=call_based)
    except (Exception, SystemExit):
        return -1


def _loaded(problem: Problem, program: str) -> Callable[[Any], Any]:
    """What takes a test's input and gives its output."""
    if problem.fn_name is None:
        return _program(_module(_PREAMBLE + _indented(program)))
    module = _module(_PREAMBLE + program)
    function = getattr(module.Solution() if "class Solution" in program else module, problem.fn_name)
    return lambda arguments: function(*arguments)


def _module(source: str) -> ModuleType:
    """A fresh module; its name is not `__main__`, so that a main guard does not run."""
    module = sys.modules["answer"] = ModuleType("answer")
    with redirect_stdout(io.StringIO()):
        exec(compile(source, "answer.py", "exec"), vars(module))
    return module


def _indented(program: str) -> str:
    """The imports at the top, all else in `def code():`."""
    lines = program.split("\n")
    imports = [line for line in lines if line.startswith(("import ", "from "))]
    others = [line for line in lines if not line.startswith(("import ", "from "))]
    body = textwrap.indent("\n".join(others), "    ")
    return "\n".join([*imports, "def code():", "    pass", body, ""])


def _program(module: ModuleType) -> Callable[[str], str]:
    def run(given: str) -> str:
        def reopen(*_: object, **__: object) -> io.StringIO:
            return io.StringIO(given)

        streams = {"stdin": io.StringIO(given), "stdout": io.StringIO()}
        with ExitStack() as mocked:
            mocked.enter_context(mock.patch.object(builtins, "open", reopen))
            for name, stream in streams.items():
                mocked.enter_context(mock.patch.object(sys, name, stream))
                if hasattr(module, name):  # imported from sys by name, it is the real stream
                    mocked.enter_context(mock.patch.object(module, name, stream))
            module.code()
        return streams["stdout"].getvalue()

    return run


def _ring(number: int, frame: FrameType | None) -> None:
    raise TimeoutError


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
