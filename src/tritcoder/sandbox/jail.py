"""The face of the room: a jail that runs one untrusted program after another, and says what happened."""

import functools
import re
import sys
from types import TracebackType
from typing import Any, Self

from tritcoder.errors import AskedWronglyError, SandboxError
from tritcoder.sandbox.execution import Execution, judge
from tritcoder.sandbox.keeper import BrokenZygoteError, Keeper, Task
from tritcoder.sandbox.levels import LEVELS, numpy_folder
from tritcoder.sandbox.limits import Limits

_NAMES_NUMPY = re.compile(r"\bnumpy\b")
_HOW_TO_GET_ONE = "apt-get install bubblewrap libseccomp2, and pip install pyseccomp (docs/sandbox.md has the rest)"


class Jail:
    """A place where untrusted programs run, one at a time: not thread-safe, one for each thread that works.

    It holds a warm interpreter, and a second one with numpy from the first program that names numpy; each program
    gets a fork of one of them, and nothing that it does reaches the next.

    Args:
        level: one of LEVELS; see docs/sandbox.md for what each guards.

    Raises:
        SandboxError: this level cannot be reached on this machine; says why.
    """

    def __init__(self, level: str) -> None:
        self.level = level
        """The isolation that programs run under; belongs into every result."""
        self._keepers: dict[bool, Keeper] = {}
        self._keeper(with_numpy=False)

    def run(self, program: str, stdin: str, limits: Limits) -> Execution:
        """Run a program as `python prog.py < stdin` does."""
        return self._execute(Task(program, stdin), limits)

    def call(self, program: str, fn_name: str, arguments: list[Any], limits: Limits) -> Execution:
        """Import a program (not as `__main__`) and call its function, or that method of its class Solution.

        Args:
            program: the source text.
            fn_name: a name at the top of the module, or a method of `Solution`, which is made without arguments.
            arguments: positional, JSON data.
            limits: for the whole of it.
        """
        return self._execute(Task(program, "", fn_name, arguments), limits)

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

    def _keeper(self, with_numpy: bool) -> Keeper:
        if with_numpy not in self._keepers:
            self._keepers[with_numpy] = Keeper(self.level, with_numpy)
        return self._keepers[with_numpy]

    def _execute(self, task: Task, limits: Limits) -> Execution:
        with_numpy = bool(_NAMES_NUMPY.search(task.program)) and numpy_folder() is not None
        problem = ""
        for _ in range(2):
            try:
                traces = self._keeper(with_numpy).execute(task, limits)
                return judge(traces, limits, call=task.fn_name is not None)
            except (BrokenZygoteError, SandboxError) as error:
                problem = str(error)
            finally:
                if (keeper := self._keepers.get(with_numpy)) is not None and keeper.closed:
                    del self._keepers[with_numpy]
        return Execution("sandbox_failed", "", error=problem)


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
