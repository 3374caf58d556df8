"""A program in the jail does what `python prog.py` does: the interpreter itself is the oracle."""

# ruff: noqa: E501  a table reads best with one program a line

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tritcoder.sandbox.jail import Jail
from tritcoder.sandbox.limits import MIB, Limits

CALM = Limits(cpu_s=20, wall_s=60)
STDIN = "3\n1 2 3\nlast line without end"

PROGRAMS = {
    "main guard": "def main(): print(input())\nif __name__ == '__main__': main()",
    "bytes in, bytes out": "import sys\nsys.stdout.buffer.write(sys.stdin.buffer.read()[::-1])",
    "os.read": "import os\nprint(os.read(0, 5), os.fstat(0).st_size)",
    "open(0)": "print(open(0).read().split())",
    "readline, iteration, read": "import sys\nprint(repr(sys.stdin.readline()), list(sys.stdin), repr(sys.stdin.read()))",
    "input to the end": "try:\n while True: print(input())\nexcept EOFError: print('end')",
    "input with a prompt": "x = input('prompt: ')\nprint(x)",
    "global of the top": "n = int(input())\ndef f():\n global n\n n += 1\nf()\nprint(n)",
    "exit after printing": "print(1)\nexit()\nprint(2)",
    "exit status": "import sys\nprint(1)\nsys.exit(3)",
    "exit with words": "import sys\nsys.exit('why')",
    "exit with None": "raise SystemExit",
    "uncaught exception": "print(1)\nraise ValueError('no')",
    "print at exit": "import atexit\natexit.register(print, 'bye')\nprint('hello')",
    "fast output flushed at exit": "import atexit, io, sys\nb = io.StringIO()\nsys.stdout = b\n"
    "atexit.register(lambda: sys.__stdout__.write(b.getvalue()))\nprint('kept')",
    "thread not joined": "import threading\ndef main(): print(input())\nthreading.Thread(target=main).start()",
    "daemon thread left behind": "import threading, time\n"
    "threading.Thread(target=time.sleep, args=(50,), daemon=True).start()\nprint(1)",
    "exception in a thread": "import threading\nt = threading.Thread(target=lambda: 1/0)\nt.start(); t.join()\nprint(1)",
    "file not closed": "f = open(1, 'w', closefd=False)\nf.write('kept')",
    "output replaced, the old one written": "import io, sys\nold = sys.stdout\nsys.stdout = io.StringIO()\n"
    "print('hidden')\nold.write('seen')",
    "destructor prints": "class A:\n def __del__(self): print('gone')\na = A()",
    "output closed": "import sys\nprint(1)\nsys.stdout.close()",
    "depth of recursion": "import sys\ndef f(n):\n try: return f(n + 1)\n except RecursionError: return n\nprint(f(0))",
    "own recursion limit": "import sys\nsys.setrecursionlimit(5000)\ndef f(n): return n and f(n - 1) + 1\nprint(f(4900))",
    "names at the start": "print(sorted(globals()), __name__, __package__, __spec__, __doc__)",
    "type of __builtins__": "print(type(__builtins__).__name__, type(__loader__).__name__)",
    "own source": "import inspect\ndef f():\n return 1\nprint(inspect.getsource(f))",
    "traceback of its own": "import traceback\ntry:\n 1/0\nexcept ZeroDivisionError:\n print(traceback.format_exc().splitlines()[-2:])",
    "dataclass, enum, pickle": "import dataclasses, enum, pickle\n@dataclasses.dataclass\nclass P:\n x: int\n"
    "class E(enum.Enum):\n A = 1\nprint(pickle.loads(pickle.dumps((P(1), E.A))), __import__('__main__').P)",
    "order of a set": "print({'a', 'b', 'c', 'd', 'e'}, hash('x'))",
    "annotations": "x: int = 1\nprint(__annotations__)",
    "star imports": "from math import *\nfrom collections import *\nprint(floor(pi), Counter('aab'))",
    "encoding line": "# -*- coding: utf-8 -*-\nprint('é')",
    "byte order mark": "\ufeffprint('bom')",
    "carriage returns": "print(1)\r\nif True:\r\n    print(2)\r\n",
    "form feed and tabs": "if 1:\n\tprint(1)\n\x0c\nprint(2)",
    "future": "from __future__ import annotations\ndef f(x: undefined): return 1\nprint(f(0))",
    "streams": "import sys\nprint([(s.name, s.mode, s.encoding, s.errors, s.line_buffering, s.isatty()) for s in"
    " (sys.stdin, sys.stdout, sys.stderr)], sys.stdin.fileno(), sys.stdout.newlines)",
    "generator left open": "def g():\n try: yield 1\n finally: print('closed')\nx = g()\nnext(x)",
    "syntax error": "print(1)\ndef",
    "indentation error": "if 1:\nprint(1)",
    "modules that solutions import": "import bisect, decimal, fractions, heapq, itertools, functools, operator, re, string\n"
    "import datetime, copy, json, typing, queue, array, statistics, _strptime, textwrap, random, time, zlib\n"
    "print(datetime.datetime.strptime('2020-01-02', '%Y-%m-%d'), decimal.Decimal(1) / 3)",
}  # fmt: skip


def _python(program: str, stdin: str, folder: Path) -> tuple[str, int]:
    path = folder / "prog.py"
    path.write_bytes(program.encode())
    command = [sys.executable, "-s", "-X", "utf8", str(path)]
    environment = {"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    with (folder / "stdin").open("w+b") as file:
        file.write(stdin.encode())
        file.seek(0)
        # Written to a file, not to a pipe: so is it in the jail.
        with (folder / "stdout").open("w+b") as output:
            ended = subprocess.run(
                command,
                stdin=file,
                stdout=output,
                stderr=subprocess.DEVNULL,
                cwd=folder,
                env=environment,
                check=False,
            )
            output.seek(0)
            return output.read().decode(), ended.returncode


@pytest.mark.parametrize("name", PROGRAMS)
def test_jail_equals_the_interpreter(best_jail: Jail, name: str, tmp_path: Path) -> None:
    program = PROGRAMS[name]
    expected, status = _python(program, STDIN, tmp_path)
    if name == "streams":  # -X utf8 makes it forgive; the jail is strict, as a UTF-8 locale is
        expected = expected.replace("surrogateescape", "strict")
    execution = best_jail.run(program, STDIN, CALM)
    assert execution.stdout == expected
    assert (execution.ended == "finished") == (status == 0), execution.error


RIGHT = {
    "more digits than Python would print": ("print(len(str(10**20000)))", "20001\n"),
    "100,000 calls deep": (
        "import sys\nsys.setrecursionlimit(10**6)\ndef f(n): return n and f(n - 1) + 1\nprint(f(10**5))",
        "100000\n",
    ),
    "100,000 cached calls deep, through C": (
        "import sys, functools\nsys.setrecursionlimit(10**6)\n@functools.lru_cache(None)\n"
        "def f(n): return n and f(n - 1) + 1\nprint(f(10**5))",
        "100000\n",
    ),
    "recursion in a thread of 64 MB": (
        "import sys, threading\nsys.setrecursionlimit(10**6)\nthreading.stack_size(1 << 26)\n"
        "def f(n): return n and f(n - 1) + 1\nt = threading.Thread(target=lambda: print(f(10**5)))\nt.start()\nt.join()",
        "100000\n",
    ),
    "a thread that asks for all the memory there is": (
        "import threading\nthreading.stack_size(1 << 29)\nthreading.Thread(target=print, args=(7,)).start()",
        "7\n",
    ),
    "four threads": (
        "import threading\nx = [0] * 4\ndef f(i): x[i] = sum(range(1000 * i))\n"
        "t = [threading.Thread(target=f, args=(i,)) for i in range(4)]\n"
        "[i.start() for i in t]\n[i.join() for i in t]\nprint(x)",
        "[0, 499500, 1999000, 4498500]\n",
    ),
    "pool of threads": (
        "from concurrent.futures import ThreadPoolExecutor as P\nwith P(3) as p: print(list(p.map(abs, [-1, -2])))",
        "[1, 2]\n",
    ),
    "a larger stack, please": (
        "import resource\nresource.setrlimit(resource.RLIMIT_STACK, (-1, -1))\nprint(7)",
        "7\n",
    ),
    "alarm of its own": (
        "import signal\ndef f(*_): raise TimeoutError\nsignal.signal(signal.SIGALRM, f)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.01)\ntry:\n while True: sum(range(9))\nexcept TimeoutError: print('rang')",
        "rang\n",
    ),
    "nothing on the path": ("import sys\nprint(len(sys.argv), 'site' in sys.modules)", "1 True\n"),
    "clean environment": ("import os\nprint('HOME' in os.environ, 'USER' in os.environ)", "True False\n"),
}


@pytest.mark.parametrize("name", RIGHT)
def test_program_that_a_judge_accepts_finishes(jail: Jail, name: str) -> None:
    if "through C" in name and sys.version_info[:2] in ((3, 12), (3, 13)):
        pytest.skip("these interpreters have a fixed limit for recursion through C")
    program, expected = RIGHT[name]
    execution = jail.run(program, "", CALM)
    assert (execution.ended, execution.stdout) == ("finished", expected), execution.error


def test_devnull_takes_what_nobody_wants(jail: Jail) -> None:
    if jail.level == "seccomp-only":
        pytest.skip("no file opens there")
    execution = jail.run("import os, sys\nprint(1, file=open(os.devnull, 'w'))\nprint(2)", "", CALM)
    assert (execution.ended, execution.stdout) == ("finished", "2\n")


def test_same_program_twice_gives_the_same(jail: Jail) -> None:
    program = (
        "import random\nprint(random.random(), random.sample(range(99), 5), {str(i) for i in range(20)}, hash('x'))"
    )
    first, second = (jail.run(program, "", CALM) for _ in range(2))
    assert first.stdout == second.stdout
    jail.close()  # the next run is in another zygote
    assert jail.run(program, "", CALM).stdout == first.stdout


def test_numpy_is_there_for_programs_that_name_it(jail: Jail) -> None:
    pytest.importorskip("numpy")
    program = (
        "import numpy as np\nfrom numpy.linalg import solve\nimport numpy.random\n"
        "print(np.sort(np.array(input().split(), int))[::-1].tolist(), solve(np.eye(2), np.ones(2)), np.__name__)"
    )
    execution = jail.run(program, "3 1 2", CALM)
    assert (execution.ended, execution.stdout) == ("finished", "[3, 2, 1] [1. 1.] numpy\n"), execution.error
    assert jail.run("import sys\nprint('numpy' in sys.modules)", "", CALM).stdout == "True\n"
    assert jail.run("import sys\nprint('num' + 'py' in sys.modules)", "", CALM).stdout == "False\n"


def test_packages_other_than_numpy_are_not_there(jail: Jail) -> None:
    for package in ("pytest", "tritcoder", "hypothesis"):
        for hint in ("", "\n# numpy"):
            execution = jail.run(f"import {package}{hint}", "", CALM)
            assert execution.error.startswith("ModuleNotFoundError"), execution


def test_a_hundred_megabytes_of_input_arrive(best_jail: Jail) -> None:
    text = "x" * (100 * MIB)
    execution = best_jail.run("import sys\nprint(len(sys.stdin.read()))", text, CALM)
    assert execution.stdout == f"{100 * MIB}\n"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text())
def test_any_text_goes_in_and_comes_out(best_jail: Jail, text: str) -> None:
    program = "import sys\nsys.stdout.write(sys.stdin.read())"
    assert best_jail.run(program, text, CALM).stdout == text
