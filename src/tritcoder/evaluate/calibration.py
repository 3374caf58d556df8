"""Is the benchmark right? The human solutions go through the same jail and comparison as a model's answers.

A problem that rejects every solution of its own, or has no test, says nothing about a model. Calibration finds these
problems and writes them down, so that scores can leave them out and say so.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tritcoder.config import plain
from tritcoder.errors import DatasetError
from tritcoder.evaluate.judging import OpenJail
from tritcoder.evaluate.metrics import summarise
from tritcoder.evaluate.scoring import Standing, score
from tritcoder.provenance import signature, write_json
from tritcoder.records import DIFFICULTIES, Completion, Outcome, Problem, Verdict
from tritcoder.sandbox.jail import open_jail as _open_jail
from tritcoder.sandbox.limits import Limits

ATTEMPTS = 5
"""So many solutions of a problem are tried before it is given up: some data sets list broken ones first."""

REASONS = {
    "listed": "a list written by hand names it",
    "no_tests": "there is no test",
    "unsuitable": "the data set shows that no result on it counts",
    "solutions_fail": "no solution passes every test",
}
"""Why a problem is left out."""

OnRound = Callable[[int, Standing], None]
"""Called as a scoring goes on, with the number of the solution that is tried, from 1."""


@dataclass(frozen=True, slots=True)
class Exclusion:
    """One problem that is left out, and why."""

    reason: str
    """One of REASONS."""
    difficulty: str
    detail: str = ""
    """What the data set says, or what the solutions did; for people."""


@dataclass(frozen=True, slots=True)
class Exclusions:
    """The problems of a benchmark that scores leave out."""

    benchmark: str
    excluded: Mapping[str, Exclusion]
    """By problem_id."""
    source: str = ""
    """The file that they were read from."""

    @property
    def digest(self) -> str:
        """12 hexadecimal digits of the ids: lists with the same digest leave out the same problems."""
        return hashlib.sha256("\n".join(sorted(self.excluded)).encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the solutions of a benchmark came to."""

    exclusions: Exclusions
    first_solutions: Mapping[str, Any]
    """The scores of the first solution of each problem, as `metrics.summarise` gives them."""
    verified: int
    """Problems of which a solution passes every test."""
    unverified: int
    """Problems kept though they have no solution to try."""
    isolation: Sequence[str]
    failing: Sequence[Outcome] = field(default=())
    """The best outcome of each problem whose solutions all fail."""


def calibrate(
    problems: Mapping[str, Problem],
    benchmark: str,
    *,
    attempts: int = ATTEMPTS,
    path: Path | None = None,
    workers: int = 1,
    limits: Limits | None = None,
    open_jail: OpenJail = _open_jail,
    on_progress: OnRound | None = None,
) -> Calibration:
    """Run the human solutions of every problem until one passes every test, and say which problems none passes.

    Args:
        problems: by problem_id.
        benchmark: its name, for the list.
        attempts: solutions tried of each problem at the most.
        path: the outcomes file, for resuming; see `score`.
        workers: jails at once.
        limits: of each test; None for the sandbox's defaults.
        open_jail: makes a jail.
        on_progress: told how each round goes on.

    Raises:
        SandboxError: there is no safe place to run a program.
        StorageError: `path` cannot be written.
    """
    solutions = {name: _distinct(problem.solutions)[:attempts] for name, problem in problems.items()}
    best: dict[str, Outcome] = {}
    firsts: list[Outcome] = []
    for attempt in range(attempts):
        todo = [name for name, listed in solutions.items() if attempt < len(listed) and not _passed(best, name)]
        if not todo:
            break
        outcomes = score(
            problems,
            [Completion(name, attempt, solutions[name][attempt], "stop") for name in todo],
            path=path,
            workers=workers,
            limits=limits,
            open_jail=open_jail,
            extract=False,
            on_progress=_of_round(attempt + 1, on_progress),
        )
        firsts = firsts or outcomes
        for outcome in outcomes:
            if outcome.results and _better(outcome, best.get(outcome.problem_id)):
                best[outcome.problem_id] = outcome
    return _conclude(problems, benchmark, solutions, best, firsts)


def write_exclusions(path: Path, calibration: Calibration, limits: Limits, attempts: int, total: int) -> None:
    """Write the list, whole or not at all, with what is needed to judge it.

    Raises:
        StorageError: the disk is full or refuses to be written.
    """
    exclusions = calibration.exclusions
    write_json(
        path,
        {
            "benchmark": exclusions.benchmark,
            "digest": exclusions.digest,
            "n_problems": total,
            "n_kept": total - len(exclusions.excluded),
            "verified": calibration.verified,
            "unverified": calibration.unverified,
            "attempts": attempts,
            "limits": plain(limits),
            "isolation": list(calibration.isolation),
            "reasons": dict(sorted(Counter(row.reason for row in exclusions.excluded.values()).items())),
            "excluded": {name: plain(row) for name, row in exclusions.excluded.items()},
            "signature": signature(),
        },
    )


def read_exclusions(path: Path) -> Exclusions:
    """Read a list that `write_exclusions` wrote, or that somebody wrote by hand: `{"excluded": {"12": {}}}` will do.

    Raises:
        DatasetError: it is missing, or no such list; says what is wrong.
    """
    hint = "tritcoder evaluate BENCHMARK --gold writes such a list"
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"the exclusion list {path} cannot be read ({error})", hint) from None
    rows = value.get("excluded") if isinstance(value, dict) else None
    if not isinstance(rows, dict) or not all(isinstance(row, dict) for row in rows.values()):
        raise DatasetError(f"{path} should hold an object `excluded` with an object for each problem", hint)
    excluded = {
        name: Exclusion(str(row.get("reason", "")), str(row.get("difficulty", "")), str(row.get("detail", "")))
        for name, row in rows.items()
    }
    return Exclusions(str(value.get("benchmark", "")), excluded, str(path))


def _conclude(
    problems: Mapping[str, Problem],
    benchmark: str,
    solutions: Mapping[str, Sequence[str]],
    best: Mapping[str, Outcome],
    firsts: Sequence[Outcome],
) -> Calibration:
    excluded: dict[str, Exclusion] = {}
    for name, problem in problems.items():
        found = _known_fault(problem) or _proven_fault(best.get(name), len(solutions[name]))
        if found is not None:
            excluded[name] = Exclusion(found[0], problem.difficulty, found[1])
    kept = [name for name in problems if name not in excluded]
    verified = sum(_passed(best, name) for name in kept)
    return Calibration(
        exclusions=Exclusions(benchmark, excluded),
        first_solutions=summarise(firsts, len(problems)),
        verified=verified,
        unverified=len(kept) - verified,
        isolation=sorted({outcome.isolation for outcome in firsts if outcome.isolation}),
        failing=[best[name] for name, row in excluded.items() if row.reason == "solutions_fail"],
    )


def _known_fault(problem: Problem) -> tuple[str, str] | None:
    """Why a problem cannot be used, as far as the data set tells."""
    if not problem.tests and not problem.check:
        return "no_tests", ""
    return ("unsuitable", problem.unsuitable) if problem.unsuitable else None


def _proven_fault(best: Outcome | None, n_solutions: int) -> tuple[str, str] | None:
    """Why a problem cannot be used, as its solutions prove; a jail that broke down proves nothing."""
    if best is None or best.strict or any(row.verdict is Verdict.SANDBOX_FAILED for row in best.results):
        return None
    return "solutions_fail", _told(best, n_solutions)


def _told(outcome: Outcome, n_solutions: int) -> str:
    counts = Counter(str(result.verdict) for result in outcome.results)
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
    failed = next(result for result in outcome.results if result.verdict is not Verdict.PASSED)
    error = f" ({failed.error})" if failed.error else ""
    return f"the best of {n_solutions} solutions: {verdicts}{error}"


def _passed(best: Mapping[str, Outcome], name: str) -> bool:
    return name in best and best[name].strict


def _better(outcome: Outcome, than: Outcome | None) -> bool:
    return than is None or outcome.share_passed > than.share_passed


def _distinct(solutions: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(solution for solution in solutions if solution.strip()))


def _of_round(number: int, on_progress: OnRound | None) -> Callable[[Standing], None] | None:
    if on_progress is None:
        return None
    return lambda standing: on_progress(number, standing)


def left_out(problem: Problem, exclusions: Exclusions | None) -> str:
    """Why a problem does not count, one of REASONS; empty if it does."""
    fault = exclusions.excluded.get(problem.problem_id) if exclusions else None
    if fault is not None:
        return fault.reason or "listed"
    known = _known_fault(problem)
    return known[0] if known else ""


def shares_kept(problems: Iterable[Problem], exclusions: Exclusions | None) -> dict[str, Any]:
    """How many problems a score may count, by difficulty, `{"all": {"n": 5, "of": 6}}`, and why not the others."""
    total: Counter[str] = Counter()
    kept: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for problem in problems:
        total.update(("all", problem.difficulty))
        if reason := left_out(problem, exclusions):
            reasons[reason] += 1
        else:
            kept.update(("all", problem.difficulty))
    names = (*DIFFICULTIES, "all")
    return {
        "problems": {name: {"n": kept[name], "of": total[name]} for name in names if total[name]},
        "reasons": dict(sorted(reasons.items())),
        "list": exclusions.digest if exclusions else None,
        "source": exclusions.source if exclusions else None,
    }
