"""The benchmark's rival gives the verdicts of the APPS authors' checker, right and wrong alike.

The programs below attack it, harmlessly. They run in an interpreter of their own, all before the first test.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LOST = [-1] * 21
"""What it says when a program took its process with it."""
Probe = tuple[list[tuple[Any, Any]], str, str | None, list[bool | int]]
"""Tests, program, function to call, what the authors' checker says."""
WALK_FRAMES = """
import sys
frame = sys._getframe()
while frame and "test" not in frame.f_locals:
    frame = frame.f_back
print(frame.f_locals["test"].output)
"""
LOOP_ON_EVEN = "if int(input()) % 2 == 0:\n    while True: pass\nprint(1)"
CATCH_ALL = "def loop():\n    while True: pass\nwhile True:\n    try: loop()\n    except: pass"
LEAK = "import builtins\nbuiltins.n = getattr(builtins, 'n', 0) + 1\nprint(builtins.n)"
ALWAYS_EQUAL = "class Yes:\n    def __eq__(self, other): return True\ndef f(x): return Yes()"
PATCH = "import sys\nsys.modules['apps_style_checker'].apps_equal = lambda *_, **__: True\nprint('wrong')"


def printing(text: str, expected: str) -> Probe:
    """A program that prints a text, and what is expected."""
    return [("", expected)], f"print({text!r})", None, [True]


PROBES: dict[str, Probe] = {
    "a right program": ([("1 2", "3"), ("3 4", "7")], "print(sum(map(int, input().split())))", None, [True, True]),
    "a wrong one": ([("", "4"), ("", "5")], "print(5)", None, [False, True]),
    "a right function": ([([1], [2]), ([2], 4), ([3], 5)], "def f(x): return 2 * x", "f", [True, True, False]),
    "a right method": ([([1, 2], [3])], "class Solution:\n    def f(self, a, b): return a + b", "f", [True]),
    "stdin by name": ([("7", "7")], "from sys import stdin\nprint(stdin.readline())", None, [True]),
    "star imports": ([("", "6 3.0")], "print(reduce(lambda a, b: a * b, [1, 2, 3]), np.sqrt(9))", None, [True]),
    # what it lets through
    "order of lines": printing("NO\nYES\nYES", "YES\nNO\nYES"),
    "number of lines": printing("NO\nYES", "YES\nNO\nNO\nNO"),
    "order of tokens": printing("3 2 1", "1 2 3"),
    "number of tokens": printing("a b", "a b b a"),
    "nearly the number": printing("1000000000", "1000000007"),
    "nearly nothing": printing("1e-9", "0"),
    "no sleep without an alarm": (
        [("", "1")],
        "import signal, time\nsignal.alarm(0)\ntime.sleep(0.3)\nprint(1)",
        None,
        [True],
    ),
    "leak through builtins": ([("", "1"), ("", "2"), ("", "3")], LEAK, None, [True, True, True]),
    "always equal": ([([1], [5])], ALWAYS_EQUAL, "f", [True]),
    "expected output by frames": ([("", "secret")], WALK_FRAMES, None, [True]),
    "comparison replaced": ([("", "right")], PATCH, None, [True]),
    # what it fails
    "main guard": ([("", "1")], "def main(): print(1)\nif __name__ == '__main__':\n    main()", None, [False]),
    "stdin.buffer": ([("1", "1")], "import sys\nprint(int(sys.stdin.buffer.read()))", None, [-1]),
    "stdout.buffer": ([("", "1")], "import sys\nsys.stdout.buffer.write(b'1')", None, [-1]),
    "os.read": ([("1", "1")], "import os\nprint(int(os.read(0, 10)))", None, [-1]),
    "global": ([("", "1")], "n = 0\ndef f():\n    global n\n    n += 1\n    print(n)\nf()", None, [-1]),
    "exit": ([("", "1")], "print(1)\nexit()", None, [-1]),
    "one exception": ([("0", "1"), ("1", "1")], "print(1 // int(input()))", None, [-1, True]),
    # what it loses
    "syntax": ([("", "1"), ("", "1")], "print(", None, [-2]),
    "an import that fails": ([("", "1"), ("", "1")], "import no_such_module\nprint(1)", None, [-2]),
    "no such function": ([([1], [1])], "def g(x): return x", "f", [-2]),
    "one loop": ([("2", "1"), ("1", "1")], LOOP_ON_EVEN, None, [-1, True]),
    "too many loops": ([(str(n), "1") for n in range(6)], LOOP_ON_EVEN, None, LOST),
    "loop that catches all": ([("", "1")], CATCH_ALL, None, LOST),
    "os._exit": ([("", "1")], "import os\nprint(1)\nos._exit(0)", None, LOST),
}
CHECK_ALL = """
import json, sys
from apps_style_checker import Timeouts, check
from tritcoder.records import Problem, TestCase
timeouts = Timeouts(load_s=2, test_s=0.2, whole_s=0.3, grace_s=0.1)
found = {}
for name, (tests, program, fn_name, _) in json.load(sys.stdin).items():
    tests = tuple(TestCase(given, right) for given, right in tests)
    found[name] = check(Problem("probe", "", tests=tests, fn_name=fn_name), program, timeouts)
json.dump(found, sys.__stdout__)
"""


@pytest.fixture(scope="module")
def verdicts() -> dict[str, list[bool | int]]:
    """What the rival says of every probe."""
    path = os.pathsep.join([str(ROOT / "benchmarks"), str(ROOT / "src")])
    done = subprocess.run(
        [sys.executable, "-c", CHECK_ALL],
        input=json.dumps(PROBES),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, list[bool | int]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", PROBES)
def test_the_rival_says_what_the_authors_checker_says(name: str, verdicts: dict[str, list[bool | int]]) -> None:
    assert verdicts[name] == PROBES[name][3]
