"""What the checker that came with APPS judges wrongly, judged rightly here: the whole scorer, a real jail, each row.

The rows are the probes of a study of that checker (hendrycks/apps, eval/testing_util.py): right programs that it fails,
wrong ones that it passes. `apps_lenient` says what its comparison alone makes of the same output, so that published
tables can be compared with; its faults in *running* programs are not repeated there.
"""

# ruff: noqa: E501  a table reads best with one program a line

from dataclasses import dataclass

import pytest

from tritcoder.errors import SandboxError
from tritcoder.evaluate.scoring import score
from tritcoder.records import Completion, Outcome, Problem, TestCase
from tritcoder.sandbox.jail import best_level
from tritcoder.sandbox.limits import Limits

LIMITS = Limits(cpu_s=0.3, wall_s=60.0)
"""Processor time decides, however busy the machine."""
PASSED, WRONG, TIME, RAISED = "passed", "wrong_answer", "time_limit", "runtime_error"


@dataclass(frozen=True)
class Row:
    """A program, what it is given and should print, test by test; the verdicts, and which outputs APPS accepts."""

    program: str
    tests: tuple[tuple[object, object], ...]
    verdicts: list[str]
    apps: list[bool]
    fn_name: str | None = None
    limits: Limits = LIMITS


def _prints(output: str, expected: str) -> Row:
    """A program that prints this and nothing else, where that is expected: wrong, though APPS takes it."""
    return Row(f"print({output!r})", (("", expected),), [WRONG], [True])


def _right(program: str) -> Row:
    """A program that adds the two numbers that it is given."""
    return Row(program, (("1 2\n", "3\n"), ("40 2\n", "42\n")), [PASSED] * 2, [True] * 2)


def _harmless(program: str) -> Row:
    """A program that prints what it could do: nothing."""
    return Row(f"{program}\nprint('done')", (("", "done"),), [PASSED], [True])


def _without_errors(*lines: str) -> str:
    """Each line tried by itself; one that works says so."""
    return "\n".join(f"try:\n {line}; print({number})\nexcept Exception: pass" for number, line in enumerate(lines))


SECRET = ("a", "long", "and", "secret", "answer")
LOOPS = "n = int(input())\n{}\nprint(n)"
FIND = (
    "import gc, sys\ngc.unfreeze()\nfound, frame = [], sys._getframe()\n"
    "def look(x):\n if isinstance(x, (str, bytes)) and x[:6] in ('a long', b'a long') and len(x) == 24: found.append(x)\n"
    "while frame:\n [look(x) for x in frame.f_locals.values()]; frame = frame.f_back\n"
    "for place in gc.get_objects():\n"
    " if isinstance(place, (list, tuple)): [look(x) for x in list(place)]\n"
    " if isinstance(place, dict): [look(x) for x in list(place.values())]\n"
    "print(*found)"
)
ROWS = {
    "the words of lines in another order": _prints("NO\nYES\nYES", "YES\nNO\nYES"),
    "lines left out": _prints("NO\nYES", "YES\nNO\nNO\nNO"),
    "repeated words left out": _prints("Christmas Eve", "Christmas Eve Eve Eve"),
    "numbers in another order": _prints("3 2 1", "1 2 3"),
    "letters left out": _prints("a b", "a b b a"),
    "an integer that is near": _prints("1000000000", "1000000007"),
    "nearly zero": _prints("1e-9", "0"),
    "main guard": _right("def main(): print(sum(map(int, input().split())))\nif __name__ == '__main__': main()"),
    "bytes of the input": _right("import sys\nprint(sum(map(int, sys.stdin.buffer.read().split())))"),
    "bytes of the output": _right("import sys\nsys.stdout.buffer.write(b'%d\\n' % sum(map(int, input().split())))"),
    "os.read": _right("import os\nprint(sum(map(int, os.read(0, 99).split())))"),
    "open(0)": _right("print(sum(map(int, open(0).read().split())))"),
    "global of the top": _right("n = 0\ndef f():\n global n\n n += sum(map(int, input().split()))\nf()\nprint(n)"),
    "exit after printing": _right("print(sum(map(int, input().split())))\nexit()\nprint('more')"),
    "os._exit after printing": _right("import os\nprint(sum(map(int, input().split())), flush=True)\nos._exit(0)"),
    "numbers where the other prints them as floats": _right("print(float(sum(map(int, input().split()))))"),
    "loops on three of six tests": Row(
        LOOPS.format("while n % 2: pass"),
        tuple((str(n), str(n)) for n in (2, 1, 4, 3, 6, 5)),
        [PASSED, TIME] * 3,
        [True, False] * 3,
    ),
    "loops under a bare except": Row(
        LOOPS.format("while n == 2:\n try:\n  while True: pass\n except: pass"),
        (("1", "1"), ("2", "2"), ("3", "3")),
        [PASSED, TIME, PASSED],
        [True, False, True],
    ),
    "sleeps with the alarm off": Row(
        "import signal, time\nsignal.alarm(0)\ntime.sleep(6)\nprint(7)",
        (("", "7"),),
        [TIME],
        [False],
        limits=Limits(cpu_s=0.3, wall_s=0.5),
    ),
    "a counter in builtins": Row(
        "import builtins\nbuiltins.n = getattr(builtins, 'n', 0) + 1\nprint(n)",
        (("", "1"),) * 3,
        [PASSED] * 3,
        [True] * 3,
    ),
    "a counter in a module": Row(
        "import math\nmath.n = getattr(math, 'n', 0) + 1\ndef f(): return math.n", (([], [1]),) * 3, [PASSED] * 3, [True] * 3, "f"
    ),
    "equal to everything": Row(
        "class A:\n def __eq__(self, other): return True\ndef f(x): return A()", (([1], [2]),), [RAISED], [False], "f"
    ),
    "a list equal to everything": Row(
        "class A(list):\n def __eq__(self, other): return True\ndef f(x): return A([9])", (([1], [2]),) * 2, [WRONG] * 2, [False] * 2, "f"
    ),
    "a number equal to everything": Row(
        "class A(int):\n def __eq__(self, other): return True\n __hash__ = int.__hash__\ndef f(x): return A(9)", (([1], [2]),), [WRONG], [False], "f"
    ),
    "the expected output in a frame": Row(FIND, (("", " ".join(SECRET)),), [WRONG], [False]),
    "the expected value in a frame": Row(
        f"{FIND}\ndef f(x): return found[0] if found else None", (([1], [" ".join(SECRET)]),), [WRONG], [False], "f"
    ),
    "what the search finds when it is there": Row(
        f"kept = [input()]\n{FIND.replace('print(*found)', 'print(found[0])')}",
        ((" ".join(SECRET), " ".join(SECRET)),),
        [PASSED],
        [True],
    ),
    "the comparer replaced": Row(
        "import builtins, json, sys\n"
        "for module in list(sys.modules.values()):\n"
        " for name in ('strict_equal', 'apps_equal', 'allclose', 'judge', 'dumps', 'loads'):\n"
        "  try: setattr(module, name, lambda *a, **k: True)\n  except Exception: pass\n"
        "builtins.all = builtins.any = builtins.len = lambda *a: True\nprint('wrong')",
        (("", "right"),),
        [WRONG],
        [False],
    ),
    "the comparer imported": _harmless(
        _without_errors("import tritcoder.evaluate.compare", "import testing_util", "import pytest")
    ),
    "the guard undone": _harmless(
        "import importlib, os, posix, ctypes, socket, subprocess\nimportlib.reload(os)\nlibc = ctypes.CDLL(None)\n"
        + _without_errors(
            "os.fork()", "posix.fork()", "os.kill(os.getppid(), 9)", "posix.kill(os.getppid(), 9)",
            "assert libc.fork() >= 0", "assert libc.kill(os.getppid(), 9) == 0", "assert libc.system(b'true') == 0",
            "socket.socket()", "socket.socketpair()", "subprocess.run(['/bin/true'])", "os.remove('/prog.py')",
            "os.rename('/tmp', '/x')", "os.chdir('/')", "os.mkdir('/tmp/left-behind')", "open('/left-behind', 'w')",
        )
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    """Of all rows, scored as `tritcoder` scores: those with the same limits together, two jails at work."""
    try:
        best_level()
    except SandboxError as error:
        pytest.skip(error.message)
    found: dict[str, Outcome] = {}
    for limits in {row.limits for row in ROWS.values()}:
        rows = {name: row for name, row in ROWS.items() if row.limits == limits}
        problems = {
            name: Problem(name, "", tests=tuple(TestCase(*test) for test in row.tests), fn_name=row.fn_name)
            for name, row in rows.items()
        }
        given = [Completion(name, 0, row.program, "stop") for name, row in rows.items()]
        found |= dict(zip(rows, score(problems, given, workers=2, limits=limits, extract=False), strict=True))
    return found


@pytest.mark.parametrize("name", ROWS)
def test_what_the_apps_checker_judges_wrongly_is_judged_rightly(outcomes: dict[str, Outcome], name: str) -> None:
    results, row = outcomes[name].results, ROWS[name]
    assert [str(result.verdict) for result in results] == row.verdicts, results
    assert [result.apps_lenient for result in results] == row.apps


def test_time_limits_at_the_beginning_cost_the_rest() -> None:
    # Known, and told in the result: three in a row end a program, whatever it would make of the other tests.
    problem = Problem("p", "", tests=tuple(TestCase(str(n), str(n)) for n in (1, 3, 5, 2)))
    program = Completion("p", 0, LOOPS.format("while n % 2: pass"), "stop")
    try:
        (outcome,) = score({"p": problem}, [program], limits=LIMITS, extract=False)
    except SandboxError as error:
        pytest.skip(error.message)
    assert [str(result.verdict) for result in outcome.results] == [TIME] * 4
    assert outcome.results[3].error.startswith("not run")
