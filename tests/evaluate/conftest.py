"""A jail without walls for programs that the tests themselves wrote; no process, no clock."""

import builtins
import threading
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from tritcoder.sandbox.execution import Ended, Execution
from tritcoder.sandbox.limits import Limits


class FakeJail:
    """Runs a program in this process; `end("time_limit")` in it ends it so."""

    level = "fake"

    def __init__(self, log: list[tuple[str, Any]]) -> None:
        self.log = log
        self.thread = threading.get_ident()
        self.closed = False

    def run(self, program: str, stdin: str, limits: Limits, **more: Any) -> Execution:
        """As the sandbox runs a program on standard input; with more names than usual."""
        self.log.append((program, stdin))
        return self._execute(program, stdin, lambda names: None, more)

    def call(self, program: str, fn_name: str, arguments: list[Any], limits: Limits) -> Execution:
        """As the sandbox calls a function."""
        self.log.append((program, arguments))
        return self._execute(program, "", lambda names: names[fn_name](*arguments))

    def run_each(self, program: str, stdins: Iterable[str], limits: Limits) -> Iterator[Execution]:
        """One run after the other, none ahead of the caller."""
        return (self.run(program, stdin, limits) for stdin in stdins)

    def call_each(self, program: str, fn_name: str, rows: Iterable[list[Any]], limits: Limits) -> Iterator[Execution]:
        """The same for calls."""
        return (self.call(program, fn_name, row, limits) for row in rows)

    def examine(self, program: str, fn_name: str, examiner: str, limits: Limits) -> tuple[Execution, Execution]:
        """Both programs in this process; the answer's function is called as it is."""
        found: dict[str, Any] = {}
        answer = self.run(f"{program}\nkeep({fn_name})", "", limits, keep=lambda f: found.update(f=f))
        if answer.ended != "finished":
            return answer, Execution("raised", "", error="inside.link.CandidateError: the program ended")
        return answer, self.run(examiner, "", limits, __candidate__=found["f"])

    def close(self) -> None:
        """Count as closed, in the thread that opened it."""
        assert threading.get_ident() == self.thread, "a jail is closed where it was opened"
        self.closed = True

    def _execute(
        self, program: str, stdin: str, call: Callable[[dict[str, Any]], Any], more: dict[str, Any] | None = None
    ) -> Execution:
        assert threading.get_ident() == self.thread, "a jail serves one thread"
        assert not self.closed, "a closed jail serves nobody"
        printed: list[str] = []
        lines = iter(stdin.split("\n"))
        fake_os = SimpleNamespace(write=lambda _, data: printed.append(data.decode()))

        def end(how: Ended) -> None:
            raise _EndError(how)

        def find(name: str, *rest: Any) -> Any:
            return fake_os if name == "os" else builtins.__import__(name, *rest)

        names = {
            "__builtins__": {**vars(builtins), "__import__": find},
            "print": lambda *words: printed.append(" ".join(map(str, words)) + "\n"),
            "input": lambda: next(lines),
            "end": end,
            **(more or {}),
        }
        ended: Ended = "finished"
        value, error = None, ""
        try:
            exec(compile(program, "program", "exec"), names)
            value = call(names)
        except _EndError as how:
            ended = how.ended
        except SyntaxError as problem:
            ended, error = "syntax_error", f"SyntaxError: {problem.msg}"
        except SystemExit:
            pass
        except Exception as problem:
            ended, error = "raised", f"{type(problem).__name__}: {problem}"
        return Execution(
            ended=ended,
            stdout="".join(printed),
            value=value,
            error=error,
            cpu_s=0.25,
            wall_s=0.5,
            peak_memory_bytes=1000,
        )


class _EndError(BaseException):
    def __init__(self, ended: Ended) -> None:
        self.ended = ended


class FakeJails:
    """Opens fake jails, and remembers them and what they ran."""

    def __init__(self) -> None:
        self.opened: list[FakeJail] = []
        self.log: list[tuple[str, Any]] = []

    def __call__(self) -> FakeJail:
        """Open another."""
        self.opened.append(FakeJail(self.log))
        return self.opened[-1]


@pytest.fixture
def jails() -> FakeJails:
    return FakeJails()
