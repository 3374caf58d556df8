"""Completions in, Outcomes out: every test of every program, in parallel, resumable."""

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from tritcoder.config import fingerprint, plain
from tritcoder.errors import DatasetError
from tritcoder.evaluate.judging import MAX_TIME_LIMITS, Judge, OpenJail, program_for
from tritcoder.evaluate.outcomes import OutcomeLog, Scored
from tritcoder.records import Completion, Outcome, Problem
from tritcoder.sandbox.jail import open_jail as _open_jail
from tritcoder.sandbox.limits import Limits


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a scoring has come."""

    done: int
    total: int
    average: float
    """Mean share of tests passed over the samples so far that have any, in [0, 1]."""
    strict: float
    """Share of these samples that pass every test, in [0, 1]."""
    per_second: float
    """Samples scored a second since this process began, those of earlier processes not counted."""

    def __str__(self) -> str:
        return f"{self.per_second:.1f} samples/s, average {self.average:.1%}, strict {self.strict:.1%}"


OnProgress = Callable[[Standing], None]
"""Called after each completion."""

_RULES = 2
"""Goes into every key; to be raised whenever a comparison or a verdict changes its meaning."""


def score(
    problems: Mapping[str, Problem],
    completions: Iterable[Completion],
    *,
    path: Path | None = None,
    workers: int = 1,
    limits: Limits | None = None,
    open_jail: OpenJail = _open_jail,
    extract: bool = True,
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
        extract: whether completions are answers, out of which the program is to be taken, rather than programs.
        on_progress: called after each completion.

    Returns:
        One Outcome for each completion, in order. With a `path` they hold verdicts alone: what was printed, times and
        memory of a whole benchmark would fill the memory, and stand in that file.

    Raises:
        DatasetError: a completion for a problem that is not there, or the same sample twice.
        SandboxError: there is no safe place to run a program.
        StorageError: `path` cannot be written.
    """
    limits = limits or Limits()
    jobs = _jobs(problems, completions, limits, extract)
    with OutcomeLog(path) as log:
        ledger = _Ledger(sum(len(job.places) for job in jobs), log, on_progress)
        todo = []
        for job in jobs:
            known = log.known.pop(job.key, None)
            if known is None and job.problem_has_tests:
                todo.append(job)
            else:
                ledger.settle(job, known or Scored((), ""))
        ledger.begin()
        with closing(_run_all(todo, workers, limits, open_jail)) as finished:
            for job, scored in finished:
                ledger.settle(job, scored)
                ledger.report()
    return ledger.outcomes()


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


def _jobs(
    problems: Mapping[str, Problem], completions: Iterable[Completion], limits: Limits, extract: bool
) -> list[_Job]:
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
        program = program_for(problem, completion.text, extract)
        if name not in tests:
            tests[name] = fingerprint(problem.tests, problem.fn_name, problem.check)
        key = fingerprint(_RULES, MAX_TIME_LIMITS, plain(limits), name, tests[name], program)
        jobs.setdefault(key, _Job(key, problem, program)).places.append((place, sample))
    return list(jobs.values())


class _Ledger:
    """The outcomes so far, by place among the completions, and how they stand."""

    def __init__(self, total: int, log: OutcomeLog, on_progress: OnProgress | None) -> None:
        self._outcomes: list[Outcome | None] = [None] * total
        self._log, self._on_progress = log, on_progress
        self._done = self._done_before = self._tested = 0
        self._shares = self._strict = 0.0
        self._began = time.monotonic()

    def settle(self, job: _Job, scored: Scored) -> None:
        """Note what became of a job, for each sample that it is."""
        for place, sample in job.places:
            problem = job.problem
            outcome = Outcome(problem.problem_id, sample, problem.difficulty, scored.results, scored.isolation)
            self._log.add(job.key, outcome)
            self._outcomes[place] = self._log.lean(outcome)
            self._done += 1
            self._tested += bool(outcome.results)
            self._shares += outcome.share_passed
            self._strict += outcome.strict

    def begin(self) -> None:
        """What was known already is noted; from here on there is a speed."""
        self._done_before, self._began = self._done, time.monotonic()
        self.report()

    def report(self) -> None:
        """Tell whoever wants to know."""
        if self._on_progress is None:
            return
        seconds, tested = time.monotonic() - self._began, max(self._tested, 1)
        speed = (self._done - self._done_before) / seconds if seconds else 0.0
        total = len(self._outcomes)
        self._on_progress(Standing(self._done, total, self._shares / tested, self._strict / tested, speed))

    def outcomes(self) -> list[Outcome]:
        """All of them, once there are all."""
        return [outcome for outcome in self._outcomes if outcome is not None]


def _run_all(jobs: list[_Job], workers: int, limits: Limits, open_jail: OpenJail) -> Generator[tuple[_Job, Scored]]:
    """Judge every job, in as many threads as there are workers; results come as they are ready."""
    waiting: queue.SimpleQueue[_Job] = queue.SimpleQueue()
    finished: queue.SimpleQueue[tuple[_Job, Scored] | Exception] = queue.SimpleQueue()
    for job in jobs:
        waiting.put(job)
    stop = threading.Event()
    apart: dict[str, bool] = {}
    threads = [
        threading.Thread(target=_work, args=(waiting, finished, Judge(open_jail, limits, stop, apart), stop))
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
    finished: "queue.SimpleQueue[tuple[_Job, Scored] | Exception]",
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
                finished.put((job, Scored(results, judge.isolation)))
    except Exception as error:  # whatever it is, the thread that waits must hear of it
        finished.put(error)
