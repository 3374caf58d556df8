"""Do verdicts depend on how busy the machine is?

A mixed set of programs (right, wrong, looping, sleeping, near the limits on both sides, threads, orders of sets,
random numbers) is scored in turn on the machine as it is and beside twice as many busy processes as there are cores.
Verdicts under both comparisons and the order of outcomes must be the same every time; times may differ. Exit status 1
if not.

Not among them: what hangs on the addresses of objects, or on who wins a race of threads. Such programs are not the
same twice on an idle machine either.

    python benchmarks/verdict_stability.py [--quick] [--rounds N] [--workers N]
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from measuring import write_result
from tritcoder.config import plain
from tritcoder.evaluate.scoring import score
from tritcoder.records import Completion, Outcome, Problem, TestCase, Verdict
from tritcoder.sandbox.jail import best_level, open_jail
from tritcoder.sandbox.limits import MIB, Limits

QUESTION = "Do verdicts depend on the machine's load?"
LIMITS = Limits(cpu_s=1.0, wall_s=5.0, memory_bytes=128 * MIB, output_bytes=MIB)
QUICK_LIMITS = Limits(cpu_s=0.2, wall_s=1.5, memory_bytes=64 * MIB, output_bytes=MIB // 4)
WORDS = "ash elm oak fir yew"
COUNT = "n = 0\nfor _ in range({n}):\n    n += 1\n"
"""A fixed piece of work, unlike a loop that watches its own processor time."""
_RIGHT = "print(input())"
_CATCH_ALL = """\
def loop():
    while True: pass
while True:
    try: loop()
    except BaseException: pass
"""
_THREADS = """\
import threading
row = [threading.Thread(target=sum, args=(range(9999),)) for _ in range(4)]
for one in row: one.start()
for one in row: one.join()
"""
_LOOPING_THREADS = """\
import threading
def loop():
    while True: pass
for _ in range(3): threading.Thread(target=loop).start()
loop()
"""
_RECURSION = "import sys\nsys.setrecursionlimit(10**6)\ndef f(n): return n and f(n - 1)\nf(20000)\n"
_MATRICES = "import numpy as np\na = np.ones((200, 200))\nfor _ in range(10): a = a @ a / 200\n"

Vector = list[tuple[str, int, list[tuple[str, bool]]]]
"""Of each outcome, in order: problem, sample, and both comparisons' word on each test."""


def programs(limits: Limits, counts_per_second: float) -> dict[str, str]:
    """By what each does; 1, 2, ... come in, one a test, and come out of those that are right."""
    memory, output, cpu_s, wall_s = limits.memory_bytes, limits.output_bytes, limits.cpu_s, limits.wall_s
    spin = "import time\nwhile time.process_time() < {seconds}: pass\n" + _RIGHT

    def counting(share: float) -> str:
        return COUNT.format(n=int(share * cpu_s * counts_per_second)) + _RIGHT

    return {
        "right": _RIGHT,
        "right, without a newline": "print(input(), end='')",
        "wrong": "print(0)",
        "right on some": "print(min(int(input()), 2))",
        "right for APPS only": "print('\\n'.join([input()] * 2))",
        "raises on some": "n = int(input())\n1 // (n - 2)\nprint(n)",
        "does not compile": "print(",
        "exits": f"{_RIGHT}\nraise SystemExit(3)",
        "loops": "while True: pass",
        "loops on some": "n = int(input())\nwhile n == 2: pass\nprint(n)",
        "loops and catches all": _CATCH_ALL,
        "sleeps for ever": "import time\ntime.sleep(1000)",
        "sleeps half of the clock's limit": f"import time\ntime.sleep({wall_s / 2})\n{_RIGHT}",
        "works half of the limit": counting(0.5),
        "works one and a half times the limit": counting(1.5),
        "spins for 80 % of the limit": spin.format(seconds=0.8 * cpu_s),
        "spins for 120 % of the limit": spin.format(seconds=1.2 * cpu_s),
        "works and sleeps in turn": "import time\nfor _ in range(20): sum(range(9999)), time.sleep(0.01)\n" + _RIGHT,
        "threads, joined": _THREADS + _RIGHT,
        "threads that loop": _LOOPING_THREADS,
        "half of the memory": f"row = bytearray({memory // 2})\n{_RIGHT}",
        "twice the memory": f"row = bytearray({2 * memory})\n{_RIGHT}",
        "a list that grows": "row = []\nwhile True: row.append('x' * 10000)",
        "half of the output": f"print('x' * {output // 2})",
        "a flood of output": "while True: print('x' * 1000)",
        "numpy": "import numpy as np\nprint(np.array([int(input())]).sum())",
        "numpy at work": _MATRICES + _RIGHT,
        "order of a set": f"row = list(set('{WORDS}'.split()))\nprint(1 + row.index('oak'))",
        "hash of text": "print(hash(input()) % 4 + 1)",
        "random numbers": "import random\nprint(random.randrange(1, 5))",
        "random numbers of numpy": "import numpy as np\nprint(np.random.randint(1, 5))",
        "the time": "import time\nprint(int(time.time() > 4) and int(input()))",
        "deep recursion": _RECURSION + _RIGHT,
    }


def samples(limits: Limits, n_tests: int) -> tuple[dict[str, Problem], list[Completion]]:
    """A problem of its own for each program."""
    tests = tuple(TestCase(f"{n}\n", f"{n}\n") for n in range(1, n_tests + 1))
    texts = programs(limits, _counts_per_second())
    problems = {name: Problem(name, "", tests=tests) for name in texts}
    return problems, [Completion(name, 0, text, "stop") for name, text in texts.items()]


def _counts_per_second(n: int = 500_000) -> float:
    """How much of the work of COUNT the jail's interpreter does in a second of its processor time."""
    watch = "import time\nbegan = time.process_time()\n{work}print(time.process_time() - began)"
    trial = watch.format(work=COUNT.format(n=n))
    with open_jail() as jail:
        return max(n / float(jail.run(trial, "", Limits()).stdout) for _ in range(3))


def vector(outcomes: list[Outcome]) -> Vector:
    """What must be the same every time."""
    return [
        (
            outcome.problem_id,
            outcome.sample,
            [(str(result.verdict), result.apps_lenient) for result in outcome.results],
        )
        for outcome in outcomes
    ]


def differences(first: Vector, other: Vector) -> list[str]:
    """A sentence for each outcome that is not the same."""
    if [row[:2] for row in first] != [row[:2] for row in other]:
        return ["the outcomes come in another order"]
    return [f"{a[0]}: {_said(a[2])}; then {_said(b[2])}" for a, b in zip(first, other, strict=True) if a != b]


def _said(results: list[tuple[str, bool]]) -> str:
    return ", ".join(
        verdict + (" (APPS: right)" if lenient and verdict != "passed" else "") for verdict, lenient in results
    )


@contextmanager
def load(n_processes: int) -> Iterator[None]:
    """So many processes that compute and never rest."""
    busy = [subprocess.Popen([sys.executable, "-I", "-S", "-c", "while True: pass"]) for _ in range(n_processes)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def scored(asked: argparse.Namespace, limits: Limits) -> dict[str, Vector]:
    """The vectors of all scorings: idle and loaded, in turn."""
    problems, completions = samples(limits, 2 if asked.quick else 4)
    found: dict[str, Vector] = {}
    for number in range(1, asked.rounds + 1):
        for name, n_processes in {"as it is": 0, "loaded": 2 * (os.cpu_count() or 1)}.items():
            began = time.perf_counter()
            with load(n_processes):
                outcomes = score(problems, completions, workers=asked.workers, limits=limits)
            found[f"{name}, {number}"] = vector(outcomes)
            print(f"{name}, {number}: {time.perf_counter() - began:.1f} s", file=sys.stderr)
    return found


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=QUESTION)
    parser.add_argument("--quick", action="store_true", help="low limits, once each way; writes no result")
    parser.add_argument("--rounds", type=int, help="scorings each way (default: 3; 1 with --quick)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="jails at once (default: all cores)")
    asked = parser.parse_args()
    asked.rounds = asked.rounds or (1 if asked.quick else 3)
    return asked


def main() -> int:
    """Score, compare, say; 1 if anything differs or the sandbox failed."""
    asked = _asked()
    limits = QUICK_LIMITS if asked.quick else LIMITS
    vectors = scored(asked, limits)
    first = next(iter(vectors.values()))
    differing = {name: found for name, row in vectors.items() if (found := differences(first, row))}
    counts = Counter(verdict for _, _, results in first for verdict, _ in results)
    failed = any(verdict == Verdict.SANDBOX_FAILED for row in vectors.values() for *_, r in row for verdict, _ in r)
    said = "identical" if not differing else json.dumps(differing, indent=1)
    text = f"{len(first)} programs, {len(vectors)} scorings, {dict(sorted(counts.items()))}: {said}"
    if asked.quick:
        print(*(f"{name:38} {_said(results)}" for name, _, results in first), text, sep="\n")
    else:
        result = {
            "identical": not differing,
            "differences": differing,
            "sandbox_failed": failed,
            "programs": {name: _said(results) for name, _, results in first},
            "scorings": list(vectors),
            "busy_processes": 2 * (os.cpu_count() or 1),
            "workers": asked.workers,
            "sandbox_level": best_level(),
            "limits": plain(limits),
        }
        write_result("verdict-stability", QUESTION, result, text)
    return int(bool(differing) or failed)


if __name__ == "__main__":
    sys.exit(main())
