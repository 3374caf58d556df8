"""A whole benchmark's worth of tests: how long does it take, and is memory flat?

5,000 problems with 21 tests each is the test split of APPS; here they are trivial, so that what is measured is the
scorer. Meanwhile the resident memory of this process and of all below it (jails, interpreters, programs) is read from
/proc. Pages that processes share are counted in each of them, so the second number is a ceiling.

    python benchmarks/scoring_at_scale.py [--quick] [--problems N] [--tests N] [--workers N]
"""

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import workloads
from measuring import write_result
from tritcoder.evaluate.scoring import score
from tritcoder.records import Verdict
from tritcoder.sandbox.jail import best_level

QUESTION = "A whole benchmark's worth of trivial tests: how long, and is memory flat?"
SAMPLE_EVERY_S = 0.5
SETTLED_SHARE = 0.25
"""The slope is that of what follows this share of the run: before, jails start and caches fill."""
LEAST_SAMPLES = 20
PROJECTED_WORKERS = 4
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Sample:
    """Memory at one moment."""

    seconds: float
    """On a clock that begins anywhere."""
    scorer_bytes: int
    jails_bytes: int
    n_processes: int
    """Processes below the scorer."""


class Watch:
    """Samples memory in a thread of its own."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []

    def sample(self) -> None:
        """Take one."""
        below = [pages for pid in descendants(os.getpid()) if (pages := _resident_pages(pid))]
        scorer = _PAGE * _resident_pages(os.getpid())
        self.samples.append(Sample(time.perf_counter(), scorer, _PAGE * sum(below), len(below)))

    @contextmanager
    def running(self) -> Iterator[None]:
        """Sample until the block ends."""
        over = threading.Event()

        def repeat() -> None:
            self.sample()
            while not over.wait(SAMPLE_EVERY_S):
                self.sample()

        thread = threading.Thread(target=repeat)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def descendants(pid: int) -> list[int]:
    """Every process below this one, by /proc."""
    children: dict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                stat = (entry / "stat").read_text(encoding="utf-8", errors="replace")
            except OSError:  # it has ended
                continue
            children[int(stat.rpartition(")")[2].split()[1])].append(int(entry.name))
    found = [pid]
    for parent in found:  # grows while it is walked
        found += children[parent]
    return found[1:]


def _resident_pages(pid: int) -> int:
    """0 when it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0


def course(samples: list[Sample], of: Callable[[Sample], int], tests_per_second: float) -> dict[str, float | None]:
    """First, last and peak in MiB, and the slope of a straight line through what is settled; None if that is little.

    First and last are medians of ten samples: programs come and go between two.
    """
    values = [of(sample) / 2**20 for sample in samples]
    settled = samples[int(SETTLED_SHARE * len(samples)) :]
    slope = None
    if len(settled) >= LEAST_SAMPLES:
        line = statistics.linear_regression([s.seconds for s in settled], [of(s) / 2**10 for s in settled])
        slope = 1000 * line.slope / tests_per_second
    return {
        "first_mib": statistics.median(values[:10]),
        "last_mib": statistics.median(values[-10:]),
        "peak_mib": max(values),
        "slope_kib_per_1000_tests": slope,
    }


def measured(n_problems: int, n_tests: int, workers: int) -> dict[str, Any]:
    """Score all of it once, under watch; outcomes go to a file, as in a real run."""
    problems = workloads.trivial(n_problems, n_tests)
    by_id = {problem.problem_id: problem for problem in problems}
    answers = workloads.completions(problems)
    watch, level = Watch(), best_level()  # which level it is, is found out before the clock runs
    with tempfile.TemporaryDirectory() as folder, watch.running():
        path = Path(folder, "outcomes.jsonl")
        began = time.perf_counter()
        outcomes = score(by_id, answers, path=path, workers=workers)
        seconds = time.perf_counter() - began
        file_bytes = path.stat().st_size
    total, passed = n_problems * n_tests, sum(r.verdict is Verdict.PASSED for o in outcomes for r in o.results)
    return {
        "problems": n_problems,
        "tests": total,
        "passed": passed,
        "workers": workers,
        "sandbox_level": level,
        "seconds": seconds,
        "tests_per_second": total / seconds,
        "tests_per_second_per_worker": total / seconds / workers,
        f"projected_seconds_on_{PROJECTED_WORKERS}_cores": seconds * workers / PROJECTED_WORKERS,
        "projection": "not measured: this run's tests a second of one worker, times the number of cores",
        "scorer_memory": course(watch.samples, lambda sample: sample.scorer_bytes, total / seconds),
        "jails_memory": course(watch.samples, lambda sample: sample.jails_bytes, total / seconds),
        "most_processes": max(sample.n_processes for sample in watch.samples),
        "memory_samples": len(watch.samples),
        "outcomes_file_bytes": file_bytes,
    }


def table(result: dict[str, Any]) -> str:
    """The result for people."""
    lines = [
        f"{result['tests']} tests, {result['passed']} passed, {result['workers']} workers, {result['sandbox_level']}",
        f"{result['seconds']:.1f} s, {result['tests_per_second']:.0f} tests/s,"
        f" {result['tests_per_second_per_worker']:.0f} for each worker",
        f"projected, not measured: {result[f'projected_seconds_on_{PROJECTED_WORKERS}_cores']:.1f} s"
        f" on {PROJECTED_WORKERS} cores",
        f"{'MiB':8} {'first':>7} {'last':>7} {'peak':>7}  KiB more for 1,000 tests",
    ]
    for name in ("scorer", "jails"):
        row = result[f"{name}_memory"]
        slope = row["slope_kib_per_1000_tests"]
        lines.append(
            f"{name:8} {row['first_mib']:>7.1f} {row['last_mib']:>7.1f} {row['peak_mib']:>7.1f}"
            f"  {'too short to tell' if slope is None else format(slope, '.1f')}"
        )
    return "\n".join(lines)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=QUESTION)
    parser.add_argument("--quick", action="store_true", help="40 problems x 10 tests; writes no result")
    parser.add_argument("--problems", type=int, default=5000, help="how many (default: %(default)s)")
    parser.add_argument("--tests", type=int, default=21, help="of each (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="jails at once (default: all cores)")
    return parser.parse_args()


def main() -> None:
    """Measure once, print and write the result."""
    asked = _asked()
    sizes = (40, 10) if asked.quick else (asked.problems, asked.tests)
    result = measured(sizes[0], sizes[1], asked.workers)
    if asked.quick:
        print(table(result))
    else:
        write_result(f"scoring-{sizes[0]}-problems", QUESTION, result, table(result))


if __name__ == "__main__":
    main()
