"""The score file of one model on one benchmark: every measure of this room, tied together."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tritcoder.config import plain
from tritcoder.evaluate.bleu import bleu
from tritcoder.evaluate.calibration import Exclusions, left_out, shares_kept
from tritcoder.evaluate.extract import extract_program
from tritcoder.evaluate.judging import MAX_TIME_LIMITS, OpenJail
from tritcoder.evaluate.metrics import summarise
from tritcoder.evaluate.perplexity import perplexity
from tritcoder.evaluate.scoring import OnProgress, score
from tritcoder.protocols import LikelihoodModel
from tritcoder.provenance import signature
from tritcoder.records import Completion, Problem
from tritcoder.sandbox.jail import open_jail as _open_jail
from tritcoder.sandbox.limits import Limits


def evaluate(
    problems: Mapping[str, Problem],
    completions: Iterable[Completion],
    *,
    model: str,
    kind: str,
    benchmark: str,
    path: Path | None = None,
    workers: int = 1,
    limits: Limits | None = None,
    exclusions: Exclusions | None = None,
    extract: bool = True,
    likelihood_model: LikelihoodModel | None = None,
    solutions_per_problem: int = 1,
    seed: int = 0,
    open_jail: OpenJail = _open_jail,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Score the completions of one model and gather all measures into the JSON of its score file.

    Completions that ended in an error (a service that refused, not a model that failed) are counted
    under `finish_reasons` and left out of everything else; those for problems that are unsuitable or on the
    exclusion list are counted under `left_out`, not run, and have no part in accuracies and BLEU.

    Args:
        problems: by problem_id; all that the benchmark has.
        completions: what the model wrote for them.
        model: what reports call it.
        kind: `ternary`, `twin`, `baseline`, ...: how reports group it.
        benchmark: `apps`, `humaneval`, ...
        path: the outcomes file, for resuming; see `score`.
        workers: jails at once.
        limits: of each test; None for the sandbox's defaults.
        exclusions: problems that scores leave out; `kept` says how many are left.
        extract: whether completions are answers, out of which the program is to be taken, rather than programs.
        likelihood_model: the model itself, for perplexity; None leaves it out.
        solutions_per_problem: how many reference solutions perplexity takes of each problem.
        seed: of the bootstrap.
        open_jail: makes a jail.
        on_progress: called after each completion.

    Raises:
        DatasetError: completions that do not belong to the problems.
        SandboxError: there is no safe place to run a program.
    """
    limits = limits or Limits()
    given = list(completions)
    sound = [completion for completion in given if completion.finish_reason != "error"]
    without = {name for name, problem in problems.items() if left_out(problem, exclusions) not in ("", "no_tests")}
    written = [completion for completion in sound if completion.task_id not in without]
    outcomes = score(
        problems,
        written,
        path=path,
        workers=workers,
        limits=limits,
        open_jail=open_jail,
        extract=extract,
        on_progress=on_progress,
    )
    summary = summarise(outcomes, len(problems), seed=seed)
    summary["left_out"]["excluded"] = len(sound) - len(written)
    return {
        "model": model,
        "kind": kind,
        "benchmark": benchmark,
        **summary,
        "kept": shares_kept(problems.values(), exclusions),
        "finish_reasons": dict(sorted(Counter(completion.finish_reason for completion in given).items())),
        "bleu": bleu(_compared(row.text, problems[row.task_id], extract) for row in written),
        "perplexity": _perplexity(likelihood_model, problems, solutions_per_problem),
        "limits": {**plain(limits), "max_time_limits": MAX_TIME_LIMITS},
        "signature": signature(),
    }


def _compared(text: str, problem: Problem, extract: bool) -> tuple[str, list[str]]:
    """A program and the solutions that it is like or unlike; of both, only what goes on after code that was given."""
    given = problem.starter_code if problem.check else ""
    program = extract_program(text) if extract else text
    return program.removeprefix(given), [solution.removeprefix(given) for solution in problem.solutions]


def _perplexity(
    model: LikelihoodModel | None, problems: Mapping[str, Problem], solutions_per_problem: int
) -> dict[str, Any] | None:
    if model is None or not any(problem.solutions for problem in problems.values()):
        return None
    return perplexity(model, problems.values(), solutions_per_problem=solutions_per_problem)
