"""One program, all tests of its problem: run each in the jail, compare outside of it, name the verdict."""

import re
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from typing import Any

from tritcoder.errors import InterruptedRunError, SandboxError
from tritcoder.evaluate import checking
from tritcoder.evaluate.compare import apps_equal, as_text, strict_equal
from tritcoder.evaluate.extract import extract_program
from tritcoder.records import Problem, TestCase, TestResult, Verdict
from tritcoder.sandbox.execution import Execution
from tritcoder.sandbox.jail import Jail
from tritcoder.sandbox.limits import Limits

OpenJail = Callable[[], Jail]
"""Makes a jail; called once for each worker, in its own thread, and again when a jail breaks."""

MAX_TIME_LIMITS = 3
"""After so many time limits of one program its remaining tests count as time limits, unrun."""

_SHOWN_CHARS = 300
_ENDINGS = {
    "raised": Verdict.RUNTIME_ERROR,
    "syntax_error": Verdict.SYNTAX_ERROR,
    "time_limit": Verdict.TIME_LIMIT,
    "memory_limit": Verdict.MEMORY_LIMIT,
    "output_limit": Verdict.OUTPUT_LIMIT,
    "sandbox_failed": Verdict.SANDBOX_FAILED,
}
# What LeetCode and Codewars offer without an import, and the APPS checker therefore too. One line, so
# that line numbers in error messages are off by one only.
_PRELUDE = (
    "import sys, time, itertools, collections, math, fractions, random, heapq, re, string, bisect, functools;"
    " from itertools import accumulate, product, permutations, combinations;"
    " from collections import Counter, OrderedDict, deque, defaultdict, ChainMap;"
    " from functools import lru_cache, reduce; from heapq import *; from math import"
    " sqrt, sin, cos, tan, ceil, fabs, floor, gcd, exp, log, log2;"
    " from typing import Any, Dict, List, Optional, Set, Tuple, Union"
)


def program_for(problem: Problem, completion: str, extract: bool = True) -> str:
    """The text that is run for a completion: its code, with what the problem says goes around it.

    Call-based: preceded by the imports that the sites of these problems give everyone. With check code (HumanEval,
    MBPP): preceded by the problem's preamble and starter code; the check itself is no part of it.
    """
    code = extract_program(completion) if extract else completion
    if problem.check:
        return checking.checked_program(problem, code)
    if problem.call_based and "__future__" not in code:
        numpy = "; import numpy as np" if re.search(r"\bnp\.", code) else ""
        return f"{_PRELUDE}{numpy}\n{code}"
    return code


class Judge:
    """A jail, and how a worker uses it; for one thread only."""

    def __init__(
        self, open_jail: OpenJail, limits: Limits, stop: threading.Event, apart: dict[str, bool] | None = None
    ) -> None:
        """Prepare; the jail is opened when it is needed.

        Args:
            open_jail: makes one.
            limits: of each test.
            stop: set when judging is to end.
            apart: what was found out of each problem with check code: whether that can run in a process of its own;
                several judges may share it.
        """
        self.isolation = ""
        """The level of the jail that was used last."""
        self._open_jail = open_jail
        self._limits = limits
        self._stop = stop
        self._jail: Jail | None = None
        self._apart = {} if apart is None else apart

    def judge(self, problem: Problem, program: str) -> tuple[TestResult, ...]:
        """Run every test of the problem, in order.

        Raises:
            SandboxError: no jail can be opened.
            InterruptedRunError: the stop event was set between two tests.
        """
        if problem.check:
            return tuple(self._judge_check(problem, run) for run in self._executions(problem, program))
        wrapped = _wrapped(problem)
        results: list[TestResult] = []
        with closing(self._executions(problem, program)) as executions:  # what is under way ends with it
            for test, execution in zip(problem.tests, executions, strict=False):
                results.append(_judge_test(problem, test, execution, wrapped))
                foregone = _foregone(results)
                if foregone is not None:
                    results += [foregone] * (len(problem.tests) - len(results))
                    break
        return tuple(results)

    def close(self) -> None:
        """Give the jail back."""
        if self._jail is not None:
            self._jail.close()
            self._jail = None

    def _executions(self, problem: Problem, program: str) -> Generator[Execution]:
        """What became of each test, in order; one over which the jail broke is run once more, in a fresh jail."""
        place, failed_at = 0, -1
        while place < (1 if problem.check else len(problem.tests)):
            with closing(self._attempts(problem, program, place)) as attempts:
                for execution in attempts:
                    broken = execution.ended == "sandbox_failed"
                    if broken and failed_at != place:
                        failed_at = place
                        self.close()
                        break
                    yield execution
                    place += 1
                    if broken:
                        self.close()
                        break

    def _attempts(self, problem: Problem, program: str, start: int) -> Generator[Execution]:
        """What becomes of the tests from number `start` on, until one breaks the jail or scoring is stopped."""
        try:
            for execution in self._runs(problem, program, start):
                yield execution
                self._raise_if_stopped()
        except SandboxError as error:
            if self._jail is None:  # none can be opened
                raise
            yield Execution("sandbox_failed", "", error=error.message)

    def _runs(self, problem: Problem, program: str, start: int) -> Iterator[Execution]:
        self._raise_if_stopped()
        jail, tests = self._opened(), problem.tests[start:]
        if problem.check:
            if self._can_be_apart(problem):
                return iter([self._examined(problem, program)])
            return jail.run_each(checking.with_check(problem, program), [""], self._limits)
        if problem.fn_name is None:
            return jail.run_each(program, (as_text(test.input) for test in tests), self._limits)
        return jail.call_each(program, problem.fn_name, map(_arguments, tests), self._limits)

    def _can_be_apart(self, problem: Problem) -> bool:
        """Whether the check can run in a process of its own: not if the reference solution does not pass that way."""
        known = self._apart.get(problem.problem_id)
        if known is None:
            known = checking.stands_alone(problem)
            if known and problem.solutions:
                reference = self._examined(problem, program_for(problem, problem.solutions[0], extract=False))
                known = checking.is_proven(problem, reference)
                if reference.ended == "sandbox_failed":
                    return False
            self._apart[problem.problem_id] = known
        return known

    def _examined(self, problem: Problem, program: str) -> Execution:
        assert problem.fn_name is not None
        runs = self._opened().examine(program, problem.fn_name, checking.examiner(problem), self._limits)
        return checking.combined(*runs)

    def _judge_check(self, problem: Problem, execution: Execution) -> TestResult:
        passed = checking.is_proven(problem, execution)
        verdict = Verdict.PASSED if passed else _ENDINGS.get(execution.ended, Verdict.WRONG_ANSWER)
        if execution.ended == "raised" and execution.error.startswith("AssertionError"):
            verdict = Verdict.WRONG_ANSWER
        result = _result(execution, verdict, "" if passed else execution.stdout)
        return replace(result, apps_lenient=passed, tests_inside=not self._apart.get(problem.problem_id, False))

    def _opened(self) -> Jail:
        if self._jail is None:
            self._jail = self._open_jail()
            self.isolation = self._jail.level
        return self._jail

    def _raise_if_stopped(self) -> None:
        if self._stop.is_set():
            raise InterruptedRunError("scoring was stopped", "give the same command again to go on")


def _arguments(test: TestCase) -> list[Any]:
    """What the function is given. JSON has no keys that are numbers, so APPS writes them as text.

    Source: hendrycks/apps, eval/testing_util.py: the keys of a first argument that is a dictionary are made whole
    numbers, if they all can be.
    """
    arguments = list(test.input)
    if arguments and isinstance(arguments[0], dict):
        with suppress(ValueError, TypeError):
            arguments[0] = {int(key): value for key, value in arguments[0].items()}
    return arguments


def _judge_test(problem: Problem, test: TestCase, execution: Execution, wrapped: bool | None) -> TestResult:
    called = problem.fn_name is not None
    output = execution.value if called else execution.stdout
    if execution.ended != "finished":
        return _result(execution, _ENDINGS[execution.ended], output)
    right = strict_equal(test.output, output, call_based=called, wrapped=wrapped)
    verdict = Verdict.PASSED if right else Verdict.WRONG_ANSWER
    lenient = apps_equal(test.output, output, call_based=called)
    return replace(_result(execution, verdict, output), apps_lenient=lenient)


def _wrapped(problem: Problem) -> bool | None:
    """Whether the expected values of a call-based problem each sit in a list of one item, as APPS has it.

    None when there is one test only, which does not tell 3, wrapped, from a list that holds 3.
    """
    outputs = [test.output for test in problem.tests]
    if len(outputs) < 2:
        return None
    return all(isinstance(output, list) and len(output) == 1 for output in outputs)


def _foregone(results: list[TestResult]) -> TestResult | None:
    """The verdict on all the next tests where those before leave no doubt about it."""
    if results[0].verdict is Verdict.SYNTAX_ERROR:
        return TestResult(Verdict.SYNTAX_ERROR, error=results[0].error)
    if sum(result.verdict is Verdict.TIME_LIMIT for result in results) >= MAX_TIME_LIMITS:
        return TestResult(Verdict.TIME_LIMIT, error="not run: the program ran out of time on earlier tests")
    return None


def _result(execution: Execution, verdict: Verdict, output: Any) -> TestResult:
    return TestResult(
        verdict=verdict,
        cpu_s=execution.cpu_s,
        wall_s=execution.wall_s,
        peak_memory_bytes=execution.peak_memory_bytes,
        output=_shown(output),
        error=execution.error[-_SHOWN_CHARS:],
    )


def _shown(output: Any) -> str:
    text = output if isinstance(output, str) else "" if output is None else repr(output)
    return text[:_SHOWN_CHARS]
