"""How many tests a second does the scorer run, sealed, beside the alternatives?

The same right programs, in turn, through: `score` at the best level of the sandbox with one worker and more, and at
the other levels with one; an interpreter of its own for each test (`python3 -I`, and `-I -S`); and a checker that
follows the APPS authors' way, with all tests of a program in one interpreter. Only the first is a place for programs
that nobody has read. The start and the end of each way are part of its time.

    python benchmarks/scoring.py [--quick] [--rounds N] [--workers 1,2,4] [--apps]

`--quick` takes seconds, proves that it works and writes no result. `--apps` adds a sample of APPS' training problems
from TRITCODER_DATA: two of the ways run those solutions, by people, WITHOUT A JAIL.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import apps_style_checker
import workloads
from measuring import Cost, costs, spread, write_result
from tritcoder.errors import SandboxError
from tritcoder.evaluate.compare import apps_equal
from tritcoder.evaluate.scoring import score
from tritcoder.records import Problem, Verdict
from tritcoder.sandbox.jail import Jail, best_level, open_jail
from tritcoder.sandbox.levels import LEVELS
from tritcoder.sandbox.limits import Limits

QUESTION = "How many tests a second, sealed, beside the alternatives?"
IN_PROCESS = "in one interpreter"
PLAIN_TIMEOUT_S = 10.0
FORKS = 500
_SITE = "from collections import *\nfrom functools import *\nfrom heapq import *\nfrom typing import *\nimport math\n"
"""What a function may take for granted on the sites that such problems come from."""
_CALL = """
import json, sys
_owner = Solution() if "Solution" in globals() else sys.modules[__name__]
print(json.dumps(getattr(_owner, {name!r})(*json.load(sys.stdin))))
"""
_COUNT_FORKS = f"""
import os, time
began = time.perf_counter()
for _ in range({FORKS}):
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
print({FORKS} / (time.perf_counter() - began))
"""


Judging = Callable[[list[Problem], int], int]
"""Runs every test, with so many workers, and says how many passed."""


@dataclass
class Way:
    """One way to judge programs."""

    name: str
    workers: int
    isolation: str
    judge: Judging
    passed: int = 0

    def __call__(self, problems: list[Problem]) -> None:
        """Judge all of them."""
        self.passed = self.judge(problems, self.workers)

    @property
    def label(self) -> str:
        """Its name and the number of workers."""
        return f"{self.name}, {self.workers}"


# ---- the ways ----


def sealed(level: str, problems: list[Problem], workers: int) -> int:
    """Through our scorer."""
    by_id = {problem.problem_id: problem for problem in problems}
    jail = partial(open_jail, level)
    outcomes = score(by_id, workloads.completions(problems), workers=workers, open_jail=jail)
    return sum(result.verdict is Verdict.PASSED for outcome in outcomes for result in outcome.results)


def in_process(problems: list[Problem], workers: int) -> int:
    """Through the checker in the APPS authors' way."""
    with ProcessPoolExecutor(workers, mp_context=get_context("fork")) as pool:
        return sum(results.count(True) for results in pool.map(_checked, problems))


def _checked(problem: Problem) -> list[bool | int]:
    return apps_style_checker.check(problem, problem.solutions[0])


def plain(flags: tuple[str, ...], problems: list[Problem], workers: int) -> int:
    """Through an interpreter for each test, and pipes."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(workers) as pool:
        return sum(pool.map(partial(_run_plainly, Path(folder), flags), range(len(problems)), problems))


def _run_plainly(folder: Path, flags: tuple[str, ...], number: int, problem: Problem) -> int:
    script, passed = folder / f"{number}.py", 0
    script.write_text(_as_script(problem), encoding="utf-8")
    for test in problem.tests:
        given = json.dumps(test.input) if problem.call_based else test.input
        command = [sys.executable, *flags, str(script)]
        try:
            done = subprocess.run(
                command, input=given.encode(), capture_output=True, timeout=PLAIN_TIMEOUT_S, check=False
            )
            printed = done.stdout.decode("utf-8", "replace")
            actual = json.loads(printed) if problem.call_based else printed
        except (subprocess.TimeoutExpired, ValueError):
            continue
        passed += done.returncode == 0 and apps_equal(test.output, actual, call_based=problem.call_based)
    return passed


def _as_script(problem: Problem) -> str:
    program = problem.solutions[0]
    return _SITE + program + _CALL.format(name=problem.fn_name) if problem.call_based else program


def ways(worker_counts: list[int]) -> list[Way]:
    """All of them, the unsealed checker first: it is what the others are compared with."""
    best = best_level()
    found = [Way(IN_PROCESS, workers, "none", in_process) for workers in worker_counts]
    found += [Way("tritcoder", workers, best, partial(sealed, best)) for workers in worker_counts]
    found += [
        Way(f"tritcoder at {level}", 1, level, partial(sealed, level)) for level in _reachable() if level != best
    ]
    for flags in (("-I",), ("-I", "-S")):
        name = f"python3 {' '.join(flags)}"
        found += [Way(name, workers, "process only", partial(plain, flags)) for workers in worker_counts]
    return found


def _reachable() -> Iterator[str]:
    for level in LEVELS:
        try:
            open_jail(level).close()
        except SandboxError as error:
            print(f"the level {level} is left out: {error.message}", file=sys.stderr)
        else:
            yield level


# ---- what is measured ----


def measured(problems: list[Problem], rivals: list[Way], rounds: int, warm_up: int) -> list[dict[str, Any]]:
    """A row for each way."""
    n_tests = sum(len(problem.tests) for problem in problems)
    calls = {way.label: partial(way, problems) for way in rivals}
    found = costs(calls, rounds, warm_up)
    return [_row(way, found, n_tests) for way in rivals]


def _row(way: Way, found: dict[str, list[Cost]], n_tests: int) -> dict[str, Any]:
    own, base = found[way.label], found[f"{IN_PROCESS}, {way.workers}"]
    return {
        "way": way.name,
        "workers": way.workers,
        "isolation": way.isolation,
        "tests_per_second": spread([n_tests / cost.wall_s for cost in own]),
        "tests_per_second_per_worker": n_tests / statistics.median(cost.wall_s for cost in own) / way.workers,
        "over_in_process": spread([other.wall_s / cost.wall_s for cost, other in zip(own, base, strict=True)]),
        "cpu_ms_per_test": spread([1000 * cost.cpu_s / n_tests for cost in own]),
        "passed": way.passed,
    }


def first_verdicts(rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds from nothing to the verdict on one test, the jail and its warm interpreter included."""
    [problem] = workloads.trivial(1, 1)
    others: dict[str, Judging] = {"python3 -I": partial(plain, ("-I",)), IN_PROCESS: in_process}
    found: dict[str, list[float]] = {}
    for _ in range(rounds + 1):
        for level in _reachable():
            for words in ("", " # numpy"):
                began = time.perf_counter()
                with open_jail(level) as jail:
                    _judged_first(jail, problem, problem.solutions[0] + words)
                    found.setdefault(f"tritcoder at {level}{words.replace(' #', ', with')}", []).append(
                        1000 * (time.perf_counter() - began)
                    )
        for name, judge in others.items():
            began = time.perf_counter()
            judge([problem], 1)
            found.setdefault(name, []).append(1000 * (time.perf_counter() - began))
    return {name: spread(values[1:]) for name, values in found.items()}


def _judged_first(jail: Jail, problem: Problem, program: str) -> None:
    execution = jail.run(program, problem.tests[0].input, Limits())
    assert execution.stdout == problem.tests[0].output, execution


def forks_per_second(rounds: int) -> dict[str, float]:
    """The ceiling of any way that forks for each test: an empty interpreter that forks, ends and waits."""
    command = [sys.executable, "-I", "-S", "-c", _COUNT_FORKS]
    return spread([float(subprocess.check_output(command)) for _ in range(rounds + 1)][1:])


# ---- the program ----


def chosen_workloads(quick: bool, with_apps: bool) -> dict[str, list[Problem]]:
    """By name; each way runs every one of them in each round."""
    n_problems, n_tests = (3, 4) if quick else (24, 20)
    found = {
        "trivial programs": workloads.trivial(n_problems, n_tests),
        "trivial functions": workloads.trivial_calls(n_problems, n_tests),
        "with numpy": workloads.with_numpy(*((2, 3) if quick else (12, 20))),
        "embedded problems": workloads.embedded(*((2, 3) if quick else (0, 8))),
    }
    if with_apps:
        found["APPS, training problems"] = workloads.apps(*((4, 3) if quick else (100, 8)))
    return found


def table(name: str, n_tests: int, rows: list[dict[str, Any]]) -> str:
    """A workload's rows for people."""
    columns = f"{'workers':>7} {'tests/s':>8} {'least..most':>13} {'/worker':>7} {'x ' + IN_PROCESS:>20}"
    lines = [f"\n{name}: {n_tests} tests", f"{'':26} {columns} {'CPU ms/test':>11} {'passed':>6}  isolation"]
    for row in rows:
        speed = row["tests_per_second"]
        lines.append(
            f"{row['way']:26} {row['workers']:>7} {speed['median']:>8.0f}"
            f" {format(speed['min'], '.0f') + '..' + format(speed['max'], '.0f'):>13}"
            f" {row['tests_per_second_per_worker']:>7.0f} {row['over_in_process']['median']:>20.2f}"
            f" {row['cpu_ms_per_test']['median']:>11.2f} {row['passed']:>6}  {row['isolation']}"
        )
    return "\n".join(lines)


def bounds(result: dict[str, Any]) -> str:
    """The ceiling and the times to a first verdict, for people."""
    lines = [f"\nceiling, forks a second: {result['ceiling_forks_per_second']['median']:.0f}", "first verdict, ms:"]
    return "\n".join(
        lines + [f"  {name:40} {found['median']:>6.0f}" for name, found in result["first_verdict_ms"].items()]
    )


def default_workers() -> list[int]:
    """1, 2, 4, ... and all cores."""
    cores = os.cpu_count() or 1
    return sorted({cores, *(2**power for power in range(cores.bit_length()))})


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=QUESTION)
    parser.add_argument("--quick", action="store_true", help="seconds, to see that it works; writes no result")
    parser.add_argument("--rounds", type=int, help="how often each way has its turn (default: 5; 1 with --quick)")
    parser.add_argument("--workers", help="such as 1,2,4 (default: 1, 2, ... and all cores); 1 is always among them")
    parser.add_argument(
        "--apps",
        action="store_true",
        help="also a sample of APPS from TRITCODER_DATA; two ways run these people's solutions WITHOUT A JAIL",
    )
    asked = parser.parse_args()
    if asked.apps and not os.environ.get("TRITCODER_DATA"):
        parser.error("--apps needs TRITCODER_DATA, the folder that holds apps-train.jsonl.gz")
    return asked


def main() -> None:
    """Measure, print the tables and write the result."""
    asked = _asked()
    rounds = asked.rounds or (1 if asked.quick else 5)
    workers = sorted({1, *map(int, asked.workers.split(","))}) if asked.workers else default_workers()
    rivals, tables = ways(workers), []
    result: dict[str, Any] = {
        "rounds": rounds,
        "sandbox_level": best_level(),
        "ceiling_forks_per_second": forks_per_second(rounds),
        "first_verdict_ms": first_verdicts(rounds),
        "workloads": {},
    }
    for name, problems in chosen_workloads(asked.quick, asked.apps).items():
        able = [way for way in rivals if not (name == "with numpy" and "-S" in way.name)]  # -S finds no packages
        rows = measured(problems, able, rounds, warm_up=0 if asked.quick else 1)
        n_tests = sum(len(problem.tests) for problem in problems)
        result["workloads"][name] = {"problems": len(problems), "tests": n_tests, "rows": rows}
        tables.append(table(name, n_tests, rows))
        print(tables[-1], file=sys.stderr)
    tables.append(bounds(result))
    print(tables[-1], file=sys.stderr)
    if not asked.quick:
        write_result("scoring", QUESTION, result, "\n".join(tables))


if __name__ == "__main__":
    main()
