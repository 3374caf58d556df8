"""Outcomes in, scores out: average and strict accuracy, pass@k, with intervals over problems.

Axes: P problems, M measures, R resamples.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from tritcoder.records import DIFFICULTIES, Outcome, Verdict

CONFIDENCE = 0.95
RESAMPLES = 2000
PASS_AT = (1, 5, 10, 100)
MEASURES = ("average", "strict", "average_apps", "strict_apps")

_CHUNK = 4_000_000  # resampled indices held at once


def summarise(outcomes: Iterable[Outcome], problems_total: int, *, seed: int = 0) -> dict[str, Any]:
    """Every score of one model on one benchmark, as JSON data; values are shares in [0, 1].

    A sample of a problem without tests, or with a test that the jail failed to run, says nothing about
    the model: it is left out of every score and counted under `left_out`.

    Args:
        outcomes: any number of samples a problem.
        problems_total: how many problems the benchmark has, scored or not.
        seed: of the bootstrap.
    """
    kept, left_out = _sift(outcomes)
    tallies = _tally(kept)
    results = [result for outcome in kept for result in outcome.results]
    differing = sum((result.verdict is Verdict.PASSED) != result.apps_lenient for result in results)
    return {
        "n_problems": len(tallies),
        "n_problems_total": problems_total,
        "n_samples": len(kept),
        "n_tests": len(results),
        "left_out": left_out,
        "isolation": sorted({outcome.isolation for outcome in kept}),
        "table": _table(tallies, seed),
        "pass_at_k": _pass_at_k_rows(tallies, seed),
        "verdicts": dict(sorted(Counter(str(result.verdict) for result in results).items())),
        "tests_inside": sum(result.tests_inside for result in results),
        "comparers_differ": differing / len(results) if results else 0.0,
        "confidence": CONFIDENCE,
        "resamples": RESAMPLES,
    }


def pass_at_k(n: int, correct: int, k: int) -> float:
    """The chance that at least one of k samples, drawn from n of which `correct` are right, is right.

    1 - C(n - c, k) / C(n, k), as the product of 1 - k / i for i in n - c + 1 .. n.

    Args:
        n: samples of the problem, at least k.
        correct: how many of them pass every test.
        k: at least 1.
    Source: Chen et al. 2021, arXiv:2107.03374, section 2.1.
    """
    assert 1 <= k <= n, f"pass@{k} needs at least {k} samples, found {n}"
    assert 0 <= correct <= n, f"{correct} of {n} samples cannot be right"
    if n - correct < k:
        return 1.0
    return 1.0 - float(np.prod(1.0 - k / np.arange(n - correct + 1, n + 1)))


def bootstrap_interval(
    values: Float64[np.ndarray, "P M"], seed: int | Sequence[int] = 0, resamples: int = RESAMPLES
) -> tuple[Float64[np.ndarray, "M"], Float64[np.ndarray, "M"]]:
    """Percentile bootstrap of column means: resample the problems, take the middle 95 % of the means.

    Args:
        values: one row a problem, at least one.
        seed: same seed, same interval.
        resamples: how often all P problems are drawn anew, with replacement.

    Returns:
        The lower and the upper end for each column.
    Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 13.
    """
    rng = np.random.default_rng(seed)
    n = len(values)
    per_chunk = max(1, _CHUNK // n)
    sizes = [min(per_chunk, resamples - start) for start in range(0, resamples, per_chunk)]
    means = np.concatenate([_resampled_means(values, rng, size) for size in sizes])
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    return low, high


def paired_difference(ours: Iterable[Outcome], theirs: Iterable[Outcome], *, seed: int = 0) -> dict[str, Any]:
    """How much better the first model is than the second, on the problems that both were scored on.

    The difference is taken problem by problem before resampling, so that problems hard for both do not
    widen the interval, as they would widen those of the two scores apart.

    Returns:
        For each measure its value and interval (shares, ours minus theirs), and "n" problems.
    """
    left = {tally.problem_id: tally for tally in _tally(_sift(ours)[0])}
    right = {tally.problem_id: tally for tally in _tally(_sift(theirs)[0])}
    shared = sorted(left.keys() & right.keys())
    if not shared:
        return {"n": 0}
    rows = np.array([np.subtract(left[name].measures, right[name].measures) for name in shared])
    return {"n": len(shared), **_intervals(rows, [seed, len(MEASURES)])}


@dataclass(frozen=True, slots=True)
class _Tally:
    """The samples of one problem, taken together."""

    problem_id: str
    difficulty: str
    n: int
    correct: int
    measures: tuple[float, ...]
    """Means over its samples, in the order of MEASURES."""
    n_passed: int
    n_tests: int


def _sift(outcomes: Iterable[Outcome]) -> tuple[list[Outcome], dict[str, int]]:
    kept: list[Outcome] = []
    left_out = {"without_tests": 0, "sandbox_failed": 0}
    for outcome in outcomes:
        if not outcome.results:
            left_out["without_tests"] += 1
        elif any(result.verdict is Verdict.SANDBOX_FAILED for result in outcome.results):
            left_out["sandbox_failed"] += 1
        else:
            kept.append(outcome)
    return kept, left_out


def _tally(outcomes: Iterable[Outcome]) -> list[_Tally]:
    samples: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        samples.setdefault(outcome.problem_id, []).append(outcome)
    return [_tally_problem(name, group) for name, group in samples.items()]


def _tally_problem(name: str, group: list[Outcome]) -> _Tally:
    rows = np.array([_measures(outcome) for outcome in group])
    results = [result for outcome in group for result in outcome.results]
    return _Tally(
        problem_id=name,
        difficulty=group[0].difficulty,
        n=len(group),
        correct=sum(outcome.strict for outcome in group),
        measures=tuple(rows.mean(axis=0).tolist()),
        n_passed=sum(result.verdict is Verdict.PASSED for result in results),
        n_tests=len(results),
    )


def _measures(outcome: Outcome) -> tuple[float, ...]:
    lenient = [result.apps_lenient for result in outcome.results]
    return (outcome.share_passed, float(outcome.strict), sum(lenient) / len(lenient), float(all(lenient)))


def _table(tallies: Sequence[_Tally], seed: int) -> dict[str, Any]:
    """One row for each difficulty that occurs, in order, and one for all together."""
    table: dict[str, Any] = {}
    for number, name in enumerate((*DIFFICULTIES, "all")):
        chosen = [tally for tally in tallies if name in ("all", tally.difficulty)]
        if chosen:
            rows = np.array([tally.measures for tally in chosen])
            micro = sum(tally.n_passed for tally in chosen) / sum(tally.n_tests for tally in chosen)
            table[name] = {"n": len(chosen), **_intervals(rows, [seed, number]), "average_micro": micro}
    return table


def _intervals(rows: Float64[np.ndarray, "P M"], seed: Sequence[int]) -> dict[str, dict[str, float]]:
    low, high = bootstrap_interval(rows, seed)
    columns = zip(MEASURES, rows.mean(axis=0), low, high, strict=True)
    return {name: _interval(value, bottom, top) for name, value, bottom, top in columns}


def _interval(value: float, low: float, high: float) -> dict[str, float]:
    return {"value": float(value), "low": float(low), "high": float(high)}


def _pass_at_k_rows(tallies: Sequence[_Tally], seed: int) -> dict[str, Mapping[str, float | int]]:
    """For each k the mean over the problems with at least k samples; their number stands beside it."""
    rows: dict[str, Mapping[str, float | int]] = {}
    for k in PASS_AT:
        chosen = [pass_at_k(tally.n, tally.correct, k) for tally in tallies if tally.n >= k]
        if chosen:
            values = np.array(chosen)[:, None]
            low, high = bootstrap_interval(values, [seed, 10 + k])
            rows[str(k)] = {**_interval(values.mean(), low[0], high[0]), "n": len(chosen)}
    return rows


def _resampled_means(
    values: Float64[np.ndarray, "P M"], rng: np.random.Generator, size: int
) -> Float64[np.ndarray, "R M"]:
    drawn: Int64[np.ndarray, "R P"] = rng.integers(0, len(values), (size, len(values)))
    return np.stack([column[drawn].mean(axis=1) for column in values.T], axis=1)
