"""The face of the room: a jail that runs one untrusted program after another, and says what happened."""

import functools
import os
import re
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from tritcoder.errors import AskedWronglyError, SandboxError
from tritcoder.sandbox.execution import Execution, judge
from tritcoder.sandbox.inside import modules, wire
from tritcoder.sandbox.keeper import BrokenZygoteError, Input, Keeper, Pending, Task
from tritcoder.sandbox.levels import LEVELS, numpy_folder
from tritcoder.sandbox.limits import Limits

_NAMES_NUMPY = re.compile(r"\bnumpy\b")
_NAMES_SELDOM = re.compile(rf"\b(?:{'|'.join(modules.SELDOM.split())})\b".replace("os.path", r"os\.path"))
_HOW_TO_GET_ONE = "apt-get install bubblewrap libseccomp2, and pip install pyseccomp (docs/sandbox.md has the rest)"


class Jail:
    """A place where untrusted programs run, one at a time: not thread-safe, one for each thread that works.

    It holds warm interpreters: one from the beginning, and others, with numpy or with modules that are seldom asked
    for, from the first program that names those. Each run gets a fork of one of them, and nothing that it does
    reaches the next.

    Args:
        level: one of LEVELS; see docs/sandbox.md for what each guards.

    Raises:
        SandboxError: this level cannot be reached on this machine; says why.
    """

    def __init__(self, level: str) -> None:
        self.level = level
        """The isolation that programs run under; belongs into every result."""
        self._keepers: dict[str, Keeper] = {}
        self._keeper("often")

    def run(self, program: str, stdin: str, limits: Limits) -> Execution:
        """Run a program as `python prog.py < stdin` does."""
        return next(self.run_each(program, [stdin], limits))

    def call(self, program: str, fn_name: str, arguments: list[Any], limits: Limits) -> Execution:
        """Import a program (not as `__main__`) and call its function, or that method of its class Solution.

        Args:
            program: the source text.
            fn_name: a name at the top of the module, or a method of `Solution`, which is made without arguments.
            arguments: positional, JSON data; keys that are numbers stay numbers.
            limits: for the whole of it.
        """
        return next(self.call_each(program, fn_name, [arguments], limits))

    def run_each(self, program: str, stdins: Iterable[str], limits: Limits) -> Iterator[Execution]:
        """`run` with one input after the other, each in a process of its own.

        The program is compiled once, and the next input is under way while the caller looks at what became of the
        last. Nothing is lost or different if the caller stops early.
        """
        return self._execute(Task(program), map(Input, stdins), limits)

    def call_each(
        self, program: str, fn_name: str, arguments: Iterable[list[Any]], limits: Limits
    ) -> Iterator[Execution]:
        """`call` with one list of arguments after the other; see `run_each`."""
        return self._execute(Task(program, wire.CALL, fn_name), (Input(arguments=row) for row in arguments), limits)

    def examine(self, program: str, fn_name: str, examiner: str, limits: Limits) -> tuple[Execution, Execution]:
        """Run code that checks a function, each of the two in a process of its own that sees nothing of the other.

        Args:
            program: the source text, imported (not as `__main__`).
            fn_name: its function, or a method of its class Solution.
            examiner: code that calls the function as `__candidate__`. Arguments and values are plain data (see
                inside/plain.py); a value of another kind, and whatever the program sends instead of values, is an
                exception there.
            limits: of the program; the examiner may use twice as much, and wait for it.

        Returns:
            What became of the program, and what became of the examiner. Only the latter says whether the program is
            right: it ends well when every call was answered as it should be.
        """
        served, asked = Task(program, wire.SERVE, fn_name), Task(examiner, wire.EXAMINE)
        patient = replace(limits, cpu_s=2 * limits.cpu_s, wall_s=limits.longest_s + limits.wall_s)
        problem = ""
        for _ in range(2):
            try:
                return self._linked(served, asked, limits, patient)
            except (BrokenZygoteError, SandboxError) as error:
                problem = str(error)
        failed = Execution("sandbox_failed", "", error=problem)
        return failed, failed

    def close(self) -> None:
        """End the interpreters. The next run would start new ones."""
        while self._keepers:
            self._keepers.popitem()[1].close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _keeper(self, kind: str, role: str = "") -> Keeper:
        keeper = self._keepers.get(kind + role)
        if keeper is None or keeper.closed:
            keeper = self._keepers[kind + role] = Keeper(self.level, kind)
        return keeper

    def _linked(self, served: Task, asked: Task, limits: Limits, patient: Limits) -> tuple[Execution, Execution]:
        """Both programs at once, each in a zygote of its own, with two pipes between them."""
        keepers = self._keeper(_kind_for(served.program)), self._keeper(_kind_for(asked.program), " examiner")
        questions, answers = os.pipe(), os.pipe()
        pending: list[Pending] = []
        try:
            try:
                pending.append(keepers[0].submit(served, Input(), limits, (questions[0], answers[1])))
                pending.append(keepers[1].submit(asked, Input(), patient, (answers[0], questions[1])))
            finally:
                for descriptor in (*questions, *answers):
                    os.close(descriptor)
            # When the examiner has ended, the program finds nobody who asks, and ends.
            examination = judge(keepers[1].collect(pending[1]), patient, call=False)
            return judge(keepers[0].collect(pending[0]), limits, call=False), examination
        except BaseException:
            for run in pending:
                _forget(run)
            raise

    def _execute(self, task: Task, inputs: Iterator[Input], limits: Limits) -> Iterator[Execution]:
        """Run each input in turn, one run ahead of the caller as long as every program has ended by itself."""
        kind = _kind_for(task.program)
        waiting: deque[tuple[Input, Pending | None]] = deque()
        calm = False
        try:
            while True:
                while len(waiting) <= calm and (given := next(inputs, None)) is not None:
                    waiting.append((given, self._submit(kind, task, given, limits)))
                if not waiting:
                    return
                given, pending = waiting.popleft()
                execution = self._collect(kind, task, given, pending, limits)
                # Not ahead of a program that may be about to be given up, nor before there is code to hand on.
                calm = execution.ended not in ("time_limit", "syntax_error", "sandbox_failed")
                yield execution
        finally:
            for _, pending in waiting:
                if pending is not None:
                    _forget(pending)

    def _submit(self, kind: str, task: Task, given: Input, limits: Limits) -> Pending | None:
        try:
            return self._keeper(kind).submit(task, given, limits)
        except (BrokenZygoteError, SandboxError):
            return None  # asked again when its turn comes

    def _collect(self, kind: str, task: Task, given: Input, pending: Pending | None, limits: Limits) -> Execution:
        """What became of a run; one that the zygote was lost over is asked for again, once, of a new one."""
        problem = ""
        for _ in range(2):
            try:
                if pending is None:
                    pending = self._keeper(kind).submit(task, given, limits)
                traces = pending.keeper.collect(pending)
                return judge(traces, limits, call=task.mode == wire.CALL)
            except (BrokenZygoteError, SandboxError) as error:
                problem, pending = str(error), None
        return Execution("sandbox_failed", "", error=problem)


def _forget(pending: Pending) -> None:
    """Nobody wants to know any more: end the zygote that it runs in, and with it all that is under way."""
    pending.keeper.close()
    pending.close()


def _kind_for(program: str) -> str:
    """Which warm interpreter suits a program: by the names of modules that occur anywhere in its text."""
    if _NAMES_NUMPY.search(program) and numpy_folder() is not None:
        return "numpy"
    return "seldom" if _NAMES_SELDOM.search(program) else "often"


def open_jail(level: str = "auto") -> Jail:
    """Open a jail of this level; `auto` is the best that this machine offers, and never `none`.

    Raises:
        AskedWronglyError: no such level.
        SandboxError: the level cannot be reached here; says why, and how to get it.
    """
    if level not in ("auto", *LEVELS):
        raise AskedWronglyError(f"no sandbox level is called {level!r}", f"the levels are auto, {', '.join(LEVELS)}")
    _require_linux()
    return Jail(best_level() if level == "auto" else level)


@functools.cache
def best_level() -> str:
    """The best level at which a program runs on this machine: each is tried once, by running one.

    Raises:
        SandboxError: no level but `none` works here; says why each fails, and what to install.
    """
    _require_linux()
    reasons = []
    for level in LEVELS[:-1]:
        try:
            with Jail(level) as jail:
                execution = jail.run("print(6 * 7)", "", Limits())
        except SandboxError as error:
            reasons.append(f"{level}: {error}")
            continue
        if execution.ended == "finished" and execution.stdout == "42\n":
            return level
        reasons.append(f"{level}: {execution.error}")
    raise SandboxError(
        f"no safe place to run untrusted programs on this machine ({'; '.join(reasons)})", _HOW_TO_GET_ONE
    )


def _require_linux() -> None:
    if not sys.platform.startswith("linux"):
        raise SandboxError(
            f"untrusted programs run on Linux only, this is {sys.platform}",
            "use Linux, a virtual machine or WSL; generating and reporting work here",
        )
