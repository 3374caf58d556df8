"""Completions in, Outcomes out: every test of every program, in parallel, resumable."""

import json
import queue
import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tritcoder.config import fingerprint, plain
from tritcoder.errors import DatasetError, StorageError, storage_errors
from tritcoder.evaluate.judging import MAX_TIME_LIMITS, Judge, OpenJail, program_for
from tritcoder.records import DIFFICULTIES, Completion, Outcome, Problem, TestResult, Verdict
from tritcoder.sandbox.jail import open_jail as _open_jail
from tritcoder.sandbox.limits import Limits

OnProgress = Callable[[int, int], None]
"""Called with how many completions are scored, and of how many."""

_RULES = 1
"""Goes into every key; to be raised whenever a comparison or a verdict changes its meaning."""


def score(
    problems: Mapping[str, Problem],
    completions: Iterable[Completion],
    *,
    path: Path | None = None,
    workers: int = 1,
    limits: Limits | None = None,
    open_jail: OpenJail = _open_jail,
    on_progress: OnProgress | None = None,
) -> list[Outcome]:
    """Run every test of every completion's problem and say what became of each.

    Equal programs for one problem are run once. With a `path`, each outcome is appended there as soon as
    it is known, and what an earlier, interrupted scoring left there is not run again, unless the jail
    itself had failed on it.

    Args:
        problems: by problem_id, which is what a completion's `task_id` names.
        completions: any number a problem; those that ended in an error are scored as empty programs.
        path: the outcomes file, JSON Lines; None keeps nothing.
        workers: how many jails run at once, each with a thread of its own.
        limits: of each single test; None for the sandbox's defaults.
        open_jail: makes a jail.
        on_progress: called after each completion.

    Returns:
        One Outcome for each completion, in order.

    Raises:
        DatasetError: a completion for a problem that is not there, or the same sample twice.
        SandboxError: there is no safe place to run a program.
        StorageError: `path` cannot be written.
    """
    limits = limits or Limits()
    jobs = _jobs(problems, completions, limits)
    outcomes: dict[int, Outcome] = {}
    total = sum(len(job.places) for job in jobs)
    with _OutcomeLog(path) as log:
        todo = []
        for job in jobs:
            known = log.known.get(job.key)
            if known is None and job.problem_has_tests:
                todo.append(job)
            else:
                _settle(job, known or _Scored((), ""), log, outcomes)
        _report(on_progress, len(outcomes), total)
        with closing(_run_all(todo, workers, limits, open_jail)) as finished:
            for job, scored in finished:
                _settle(job, scored, log, outcomes)
                _report(on_progress, len(outcomes), total)
    return [outcomes[place] for place in range(total)]


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
class _Scored:
    results: tuple[TestResult, ...]
    isolation: str

    @property
    def sound(self) -> bool:
        """Whether the jail itself held on every test."""
        return all(result.verdict is not Verdict.SANDBOX_FAILED for result in self.results)


@dataclass(slots=True)
class _Job:
    """One program, and every sample that is this program."""

    key: str
    problem: Problem
    program: str
    places: list[tuple[int, int]] = field(default_factory=list)
    """Position among the completions, and sample number."""

    @property
    def problem_has_tests(self) -> bool:
        return bool(self.problem.tests or self.problem.check)


def _jobs(problems: Mapping[str, Problem], completions: Iterable[Completion], limits: Limits) -> list[_Job]:
    jobs: dict[str, _Job] = {}
    tests: dict[str, str] = {}
    seen: set[tuple[str, int]] = set()
    for place, completion in enumerate(completions):
        name, sample = completion.task_id, completion.sample
        problem = problems.get(name)
        if problem is None:
            raise DatasetError(
                f"a completion answers problem {name!r}, which is not among the {len(problems)} to score",
                "score it against the benchmark that it was written for",
            )
        if (name, sample) in seen:
            raise DatasetError(f"sample {sample} of problem {name!r} is there twice", "keep one of the two")
        seen.add((name, sample))
        program = program_for(problem, completion.text)
        if name not in tests:
            tests[name] = fingerprint(problem.tests, problem.fn_name, problem.check)
        key = fingerprint(_RULES, MAX_TIME_LIMITS, plain(limits), name, tests[name], program)
        jobs.setdefault(key, _Job(key, problem, program)).places.append((place, sample))
    return list(jobs.values())


def _settle(job: _Job, scored: _Scored, log: "_OutcomeLog", outcomes: dict[int, Outcome]) -> None:
    for place, sample in job.places:
        problem = job.problem
        outcome = Outcome(problem.problem_id, sample, problem.difficulty, scored.results, scored.isolation)
        outcomes[place] = outcome
        log.add(job.key, outcome)


def _report(on_progress: OnProgress | None, done: int, total: int) -> None:
    if on_progress is not None:
        on_progress(done, total)


def _run_all(jobs: list[_Job], workers: int, limits: Limits, open_jail: OpenJail) -> Generator[tuple[_Job, _Scored]]:
    """Judge every job, in as many threads as there are workers; results come as they are ready."""
    waiting: queue.SimpleQueue[_Job] = queue.SimpleQueue()
    finished: queue.SimpleQueue[tuple[_Job, _Scored] | Exception] = queue.SimpleQueue()
    for job in jobs:
        waiting.put(job)
    stop = threading.Event()
    threads = [
        threading.Thread(target=_work, args=(waiting, finished, Judge(open_jail, limits, stop), stop))
        for _ in range(min(max(workers, 1), len(jobs)))
    ]
    try:
        for thread in threads:
            thread.start()
        for _ in jobs:
            item = finished.get()
            if isinstance(item, Exception):
                raise item
            yield item
    finally:
        stop.set()
        for thread in threads:
            if thread.ident is not None:
                thread.join()


def _work(
    waiting: "queue.SimpleQueue[_Job]",
    finished: "queue.SimpleQueue[tuple[_Job, _Scored] | Exception]",
    judge: Judge,
    stop: threading.Event,
) -> None:
    """One worker: the thread that opens a jail also closes it, as the jail's process dies with it."""
    try:
        with closing(judge):
            while not stop.is_set():
                try:
                    job = waiting.get_nowait()
                except queue.Empty:
                    return
                results = judge.judge(job.problem, job.program)
                finished.put((job, _Scored(results, judge.isolation)))
    except Exception as error:  # whatever it is, the thread that waits must hear of it
        finished.put(error)


class _OutcomeLog:
    """The outcomes file: what it holds already, and what is appended; nothing at all without a path."""

    def __init__(self, path: Path | None) -> None:
        self.known: dict[str, _Scored] = {}
        """By key: what need not be run again."""
        self._path = path
        self._lines: set[tuple[str, str, int]] = set()
        self._file: Any = None

    def __enter__(self) -> "_OutcomeLog":
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
        scored = _Scored(outcome.results, outcome.isolation)
        if scored.sound:
            self.known[key] = scored
            self._lines.add((key, outcome.problem_id, outcome.sample))


def _result_to_json(result: TestResult) -> dict[str, Any]:
    row: dict[str, Any] = {"verdict": str(result.verdict)}
    if result.wall_s or result.cpu_s:
        row |= {"cpu_s": round(result.cpu_s, 6), "wall_s": round(result.wall_s, 6)}
    for name in ("peak_memory_bytes", "output", "error", "apps_lenient"):
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
    )
