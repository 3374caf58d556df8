"""`tritcoder evaluate`: a model, or the human solutions, on a benchmark."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from tritcoder.cli.options import AnswerOptions, JailOptions, ServiceOptions, exclusion_list

if TYPE_CHECKING:
    from tritcoder.data.benchmarks import Benchmark
    from tritcoder.experiment.config import EvaluateConfig
    from tritcoder.records import Problem
    from tritcoder.sandbox.jail import Jail

_DEFAULT_JAIL, _DEFAULT_ANSWERS, _DEFAULT_SERVICE = JailOptions(), AnswerOptions(), ServiceOptions()


def evaluate(
    benchmark: str,
    /,
    *,
    model: str = "",
    gold: bool = False,
    problems: str = "",
    train_problems: str = "",
    limit: int = 0,
    answers: AnswerOptions = _DEFAULT_ANSWERS,
    service: ServiceOptions = _DEFAULT_SERVICE,
    attempts: int = 5,
    exclude: Path | None = None,
    jail: JailOptions = _DEFAULT_JAIL,
    resume: Annotated[bool, Parameter(negative="--fresh")] = True,
    output: Path | None = None,
    json_: Annotated[bool, Parameter(name="--json")] = False,
) -> None:
    """Answer a benchmark's problems, run the answers in a jail, and print every measure.

    With --gold the human solutions are run instead of a model's answers, and the problems that reject all of theirs
    are written to exclusions.json, for --exclude. Answers and verdicts are files in the output folder; given again,
    the command goes on where it stopped.

    Args:
        benchmark: apps, humaneval, humaneval+, mbpp, mbpp+, leetcode, ..., or embedded for our own problems.
        model: a run or model directory, a GGUF file, or a rival such as naive:constant, hf:PATH, gemini:NAME.
        gold: run the human solutions, to find the problems that cannot be used.
        problems: where the problems lie; default: the folder that TRITCODER_DATA names. For APPS also hub.
        train_problems: training problems for the naive rivals; default: those that belong to PROBLEMS.
        limit: at most this many problems, sampled evenly over the difficulties; 0 for all.
        answers: how the model answers.
        service: what a rival behind an API may use.
        attempts: with --gold: solutions tried of each problem.
        exclude: leave out the problems of this list.
        jail: how programs are run.
        resume: go on where an earlier, interrupted command stopped; --fresh begins anew.
        output: where answers, verdicts and scores go; default evaluations/BENCHMARK/MODEL.
        json_: print the score file instead of a table.
    """
    from tritcoder.data.benchmarks import open_benchmark
    from tritcoder.experiment.benchmarking import forget
    from tritcoder.experiment.config import EvaluateConfig
    from tritcoder.experiment.measuring import file_name

    _require_one(model, gold)
    settings = EvaluateConfig(
        samples=answers.samples,
        sampling=answers.sampling(),
        batch_size=answers.batch_size,
        workers=jail.n_workers(),
        limits=jail.limits(),
        services=service.limits(),
    )
    opened = open_benchmark(benchmark, problems, limit=limit, seed=answers.seed)
    place = output or Path("evaluations") / file_name(benchmark) / (file_name(model) if model else "gold")
    if gold:
        _require_solutions(opened, attempts)
    excluded, open_jail = exclusion_list(exclude, benchmark), jail.opener()
    if not resume:  # not before it is sure that there can be something new
        forget(place, model)
    if gold:
        return _calibrate(opened, settings, open_jail, place, attempts, json_)
    from tritcoder.cli.score_table import as_table
    from tritcoder.cli.view import LiveView
    from tritcoder.experiment.benchmarking import Exam, measure

    exam = Exam(
        opened,
        model,
        settings,
        open_jail,
        excluded,
        published_prompt=answers.published(model),
        training=_training(opened, train_problems),
    )
    with LiveView() as view:
        score = measure(exam, place, view)
    print(json.dumps(score, indent=1, ensure_ascii=False) if json_ else as_table(score))
    return None


def _require_one(model: str, gold: bool) -> None:
    from tritcoder.errors import AskedWronglyError

    if bool(model) == gold:
        raise AskedWronglyError(
            "either --model says which model is measured, or --gold runs the human solutions; "
            + ("found both" if gold else "found neither"),
            "for example --model runs/demo, --model naive:constant, --model hf:PATH",
        )


def _training(benchmark: "Benchmark", train_problems: str) -> "Callable[[], Sequence[Problem]]":
    """Reads the training problems when somebody asks for them."""

    def read() -> "Sequence[Problem]":
        from tritcoder.data.apps import read_problems
        from tritcoder.data.benchmarks import open_benchmark
        from tritcoder.data.config import ProblemsConfig

        if train_problems:
            return read_problems(ProblemsConfig(train=train_problems), "train")
        if benchmark.name == "embedded":
            return read_problems(ProblemsConfig(source="embedded"), "train")
        return open_benchmark("apps-train", "hub" if benchmark.source == "hub" else "").problems

    return read


def _require_solutions(benchmark: "Benchmark", attempts: int) -> None:
    from tritcoder.errors import AskedWronglyError

    if attempts < 1:
        raise AskedWronglyError(f"--attempts must be at least 1, found {attempts}")
    if not any(problem.solutions for problem in benchmark.problems):
        raise AskedWronglyError(
            f"{benchmark.title} comes without human solutions, so that they cannot be run",
            "score it without an exclusion list",
        )


def _calibrate(
    benchmark: "Benchmark",
    settings: "EvaluateConfig",
    open_jail: "Callable[[], Jail]",
    place: Path,
    attempts: int,
    json_: bool,
) -> None:
    from tritcoder.cli.gold_table import as_table
    from tritcoder.cli.view import LiveView
    from tritcoder.experiment.benchmarking import LIST, calibrate_alone

    with LiveView() as view:
        found = calibrate_alone(benchmark, settings, open_jail, place, view, attempts)
    path, n_problems = place / LIST, len(benchmark.problems)
    print(path.read_text(encoding="utf-8") if json_ else as_table(found, benchmark.title, n_problems, path))
