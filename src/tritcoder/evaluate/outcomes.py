"""Outcomes as JSON data, and the file to which they are appended as they come."""

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tritcoder.errors import DatasetError, StorageError, storage_errors
from tritcoder.records import DIFFICULTIES, Outcome, TestResult, Verdict


def outcome_to_json(outcome: Outcome) -> dict[str, Any]:
    """An Outcome as JSON data; what a result leaves at its default is left out."""
    return {
        "problem_id": outcome.problem_id,
        "sample": outcome.sample,
        "difficulty": outcome.difficulty,
        "isolation": outcome.isolation,
        "results": [_result_to_json(result) for result in outcome.results],
    }


def outcome_from_json(row: Mapping[str, Any]) -> Outcome:
    """The Outcome that `outcome_to_json` wrote.

    Raises:
        DatasetError: a field is missing or of the wrong kind.
    """
    try:
        difficulty = row["difficulty"]
        outcome = Outcome(
            problem_id=str(row["problem_id"]),
            sample=int(row["sample"]),
            difficulty=difficulty,
            results=tuple(_result_from_json(result) for result in row["results"]),
            isolation=str(row["isolation"]),
        )
    except KeyError as error:
        raise DatasetError(f"an outcome lacks the field {error.args[0]!r}") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise DatasetError(f"an outcome has a field of the wrong kind: {error}") from None
    if difficulty not in DIFFICULTIES:
        raise DatasetError(f"an outcome's difficulty is one of {', '.join(DIFFICULTIES)}; found {difficulty!r}")
    return outcome


@dataclass(frozen=True, slots=True)
class Scored:
    """What became of one program on all tests of its problem."""

    results: tuple[TestResult, ...]
    isolation: str

    @property
    def sound(self) -> bool:
        """Whether the jail itself held on every test."""
        return all(result.verdict is not Verdict.SANDBOX_FAILED for result in self.results)


class OutcomeLog:
    """The outcomes file: what it holds already, and what is appended; nothing at all without a path."""

    def __init__(self, path: Path | None) -> None:
        self.known: dict[str, Scored] = {}
        """By key: what need not be run again."""
        self._path = path
        self._lines: set[tuple[str, str, int]] = set()
        self._file: Any = None

    def __enter__(self) -> "OutcomeLog":
        if self._path is not None:
            if self._path.is_dir():
                raise StorageError(f"{self._path} should be an outcomes file, found a directory", "name a file")
            with storage_errors(self._path):
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self._path.open("ab+")
                self._read()
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, key: str, outcome: Outcome) -> None:
        """Append an outcome, unless the file has it."""
        line = (key, outcome.problem_id, outcome.sample)
        if self._path is None or line in self._lines:
            return
        self._lines.add(line)
        row = {"key": key, **outcome_to_json(outcome)}
        with storage_errors(self._path):
            self._file.write(json.dumps(row).encode("ascii") + b"\n")
            self._file.flush()

    def lean(self, outcome: Outcome) -> Outcome:
        """The outcome with nothing but verdicts, where the file has the rest: memory stays flat over a long run."""
        return outcome if self._path is None else replace(outcome, results=tuple(map(_bare, outcome.results)))

    def _read(self) -> None:
        """Take in every whole line; a last line that was cut is cut off, so that the next starts afresh."""
        self._file.seek(0)
        whole = 0
        for line in self._file:
            if not line.endswith(b"\n"):
                self._file.truncate(whole)
                break
            whole += len(line)
            self._take(line)
        self._file.seek(0, 2)

    def _take(self, line: bytes) -> None:
        try:
            row = json.loads(line)
            outcome = outcome_from_json(row)
            key = str(row["key"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return  # damaged: it is run again
        scored = Scored(self.lean(outcome).results, outcome.isolation)
        if scored.sound:
            self.known[key] = scored
            self._lines.add((key, outcome.problem_id, outcome.sample))


def _bare(result: TestResult) -> TestResult:
    return _shared(result.verdict, result.apps_lenient, result.tests_inside)


@functools.cache
def _shared(verdict: Verdict, apps_lenient: bool, tests_inside: bool) -> TestResult:
    """One and the same result for all that say no more."""
    return TestResult(verdict, apps_lenient=apps_lenient, tests_inside=tests_inside)


def _result_to_json(result: TestResult) -> dict[str, Any]:
    row: dict[str, Any] = {"verdict": str(result.verdict)}
    if result.wall_s or result.cpu_s:
        row |= {"cpu_s": round(result.cpu_s, 6), "wall_s": round(result.wall_s, 6)}
    for name in ("peak_memory_bytes", "output", "error", "apps_lenient", "tests_inside"):
        if value := getattr(result, name):
            row[name] = value
    return row


def _result_from_json(row: Mapping[str, Any]) -> TestResult:
    return TestResult(
        verdict=Verdict(row["verdict"]),
        cpu_s=float(row.get("cpu_s", 0.0)),
        wall_s=float(row.get("wall_s", 0.0)),
        peak_memory_bytes=int(row.get("peak_memory_bytes", 0)),
        output=str(row.get("output", "")),
        error=str(row.get("error", "")),
        apps_lenient=bool(row.get("apps_lenient", False)),
        tests_inside=bool(row.get("tests_inside", False)),
    )
