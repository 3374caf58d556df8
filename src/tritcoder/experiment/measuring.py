"""The stages from a trained model to its scores: answers, verdicts, examples."""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tritcoder.baselines.limits import DEFAULT_LIMITS, NOTHING, Spending
from tritcoder.config import plain
from tritcoder.data.apps import read_problems
from tritcoder.errors import storage_errors
from tritcoder.evaluate import score_file
from tritcoder.evaluate.calibration import Exclusions, read_exclusions
from tritcoder.evaluate.outcomes import outcome_from_json
from tritcoder.evaluate.samples import read_samples, sample_to_json
from tritcoder.experiment.config import EvaluateConfig, ExperimentConfig
from tritcoder.experiment.opening import (
    has_likelihoods,
    is_baseline,
    open_generator,
    open_text_model,
)
from tritcoder.experiment.stage import Facts, Stage, StageCache, Watcher
from tritcoder.protocols import Generator, LikelihoodModel
from tritcoder.provenance import write_json
from tritcoder.records import DIFFICULTIES, Completion, Outcome, Problem, Prompt


def file_name(model: str) -> str:
    """A model's name as a file name: `naive:constant` -> `naive-constant`."""
    return "".join(char if char.isalnum() or char in "-_." else "-" for char in model)


def open_for_measuring(config: ExperimentConfig, model: str, directory: Path) -> Generator:
    """An arm of this run, or a rival fitted to the training problems."""
    if model in config.arms:
        return open_text_model(directory / model / "model", model, config.evaluate.batch_size)
    training = read_problems(config.problems, "train") if model.startswith("naive:") else []
    spent = spent_on(samples_path(directory, model))
    return open_generator(model, training, config.evaluate.batch_size, config.evaluate.services, spent)


def samples_path(directory: Path, model: str) -> Path:
    """Where a model's answers lie."""
    return directory / "samples" / f"{file_name(model)}.jsonl"


def spent_on(path: Path) -> Spending:
    """What the answers that are there already have cost."""
    return Spending.of(read_samples(path, resuming=True)) if path.is_file() else NOTHING


def deciding(model: str, settings: EvaluateConfig) -> list[Any]:
    """What of the settings decides a model's answers: limits of a service do not, but for the room to think in."""
    thinks = settings.services.thinking_tokens
    thoughts = [thinks] if model.startswith("gemini:") and thinks != DEFAULT_LIMITS.thinking_tokens else []
    return [settings.samples, plain(settings.sampling), *thoughts]


def answer_problems(config: ExperimentConfig, model: str, directory: Path, watcher: Watcher) -> Facts:
    """Let a model answer every test problem; answers are appended one by one, so an interrupted run goes on."""
    path = samples_path(directory, model)
    problems = read_problems(config.problems, "test")
    prompts = [problem.prompt(sample) for problem in problems for sample in range(config.evaluate.samples)]
    return write_answers(open_for_measuring(config, model, directory), prompts, config.evaluate, path, watcher)


def write_answers(
    generator: Generator, prompts: Sequence[Prompt], settings: EvaluateConfig, path: Path, watcher: Watcher
) -> Facts:
    """Append what is missing to a samples file; returns how fast that went."""
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        _drop_cut_line(path)
    done = {(row.task_id, row.sample) for row in read_samples(path)}
    todo = [prompt for prompt in prompts if (prompt.task_id, prompt.sample) not in done]
    began, n_tokens = time.monotonic(), 0
    with storage_errors(path), path.open("a", encoding="utf-8") as file:
        for count, completion in enumerate(generator.generate(todo, settings.sampling), start=1):
            file.write(json.dumps(sample_to_json(completion), ensure_ascii=False) + "\n")
            file.flush()
            n_tokens += completion.n_tokens
            watcher.stage_moved(len(done) + count, len(prompts), f"{n_tokens:,} tokens")
    seconds = time.monotonic() - began
    speed = {"tokens_per_second": round(n_tokens / seconds, 1), "n_tokens": n_tokens} if n_tokens else None
    return {"samples": len(prompts), "speed": speed}


def _drop_cut_line(path: Path) -> None:
    """Cut off a last line that has no end: the run was killed while writing it."""
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        with path.open("r+b") as file:
            file.truncate(whole)


def score_answers(config: ExperimentConfig, model: str, directory: Path, answered: Facts, watcher: Watcher) -> Facts:
    """Run every answer on every test, and gather all measures in `scores/<model>.json`."""
    name = file_name(model)
    problems = {problem.problem_id: problem for problem in read_problems(config.problems, "test")}
    own = open_for_measuring(config, model, directory) if has_likelihoods(model) else None
    score = score_file.evaluate(
        problems,
        read_samples(directory / "samples" / f"{name}.jsonl"),
        model=model,
        kind=kind_of(model, config.arms),
        benchmark=_benchmark(config),
        path=directory / "scores" / f"{name}.outcomes.jsonl",
        workers=config.evaluate.workers or os.cpu_count() or 1,
        limits=config.evaluate.limits,
        exclusions=exclusions_of(config),
        likelihood_model=own if isinstance(own, LikelihoodModel) else None,
        on_progress=lambda now: watcher.stage_moved(now.done, now.total, str(now)),
    )
    write_json(directory / "scores" / f"{name}.json", score | {"speed": answered.get("speed")})
    overall = score["table"]["all"]
    return {
        "average": overall["average"]["value"],
        "strict": overall["strict"]["value"],
        "isolation": score["isolation"],
    }


def exclusions_of(config: ExperimentConfig) -> Exclusions | None:
    """The list of problems that the run's scores leave out, if it names one.

    Raises:
        DatasetError: there is no such list.
    """
    return read_exclusions(Path(config.evaluate.exclude)) if config.evaluate.exclude else None


def kind_of(model: str, arms: Sequence[str] = ()) -> str:
    """How reports group a model: an arm by its name, a rival by its family, else `model`."""
    if model in arms:
        return model
    if not is_baseline(model):
        return "model"
    family = model.partition(":")[0]
    return family if family in ("naive", "hf") else "api"


def _benchmark(config: ExperimentConfig) -> str:
    embedded = (config.problems.test or config.problems.source) == "embedded"
    return "embedded problems" if embedded else "APPS"


def answer_and_score(
    config: ExperimentConfig, model: str, directory: Path, cache: StageCache, needs: tuple[str, ...], settings: Any
) -> list[Stage]:
    """The two stages that measure one model: its answers, then their verdicts."""
    listed = exclusions_of(config)
    answers, scores, name = f"answers/{model}", f"scores/{model}", file_name(model)
    return [
        Stage(
            answers,
            needs,
            [settings, *deciding(model, config.evaluate)],
            (f"samples/{name}.jsonl",),
            lambda watcher: answer_problems(config, model, directory, watcher),
        ),
        Stage(
            scores,
            (answers,),
            [plain(config.evaluate.limits), listed.digest] if listed else plain(config.evaluate.limits),
            (f"scores/{name}.json", f"scores/{name}.outcomes.jsonl"),
            lambda watcher: score_answers(config, model, directory, cache.facts[answers], watcher),
        ),
    ]


def choose_examples(config: ExperimentConfig, models: Sequence[str], directory: Path) -> Facts:
    """Problems to show in full: those on which a model of ours gets furthest, the same number for each difficulty."""
    problems = {problem.problem_id: problem for problem in read_problems(config.problems, "test")}
    outcomes = {model: _first_outcomes(directory, model) for model in models}
    answers = {model: _first_answers(directory, model) for model in models}

    def merit(problem_id: str) -> tuple[float, str]:
        best = max(
            (outcomes[arm][problem_id].share_passed for arm in config.arms if problem_id in outcomes[arm]), default=0
        )
        return -best, problem_id

    each = -(-config.evaluate.examples // len(DIFFICULTIES))
    chosen: list[str] = []
    for difficulty in DIFFICULTIES:
        names = [name for name, problem in problems.items() if problem.difficulty == difficulty]
        chosen += sorted(names, key=merit)[:each]
    chosen = chosen[: config.evaluate.examples]
    examples = [_example(problems[name], models, outcomes, answers) for name in chosen]
    write_json(directory / "examples.json", examples)
    return {"examples": len(examples)}


def _example(
    problem: Problem,
    models: Sequence[str],
    outcomes: dict[str, dict[str, Outcome]],
    answers: dict[str, dict[str, Completion]],
) -> dict[str, Any]:
    shown = []
    for model in models:
        outcome, answer = outcomes[model].get(problem.problem_id), answers[model].get(problem.problem_id)
        if outcome is None or answer is None:
            continue
        results = [
            {
                "verdict": result.verdict,
                "input": _text(test.input),
                "expected": _text(test.output),
                "output": result.output,
                "error": result.error,
            }
            for test, result in zip(problem.tests, outcome.results, strict=False)
        ]
        shown.append({"model": model, "title": model, "completion": answer.text, "results": results})
    return {
        "problem_id": problem.problem_id,
        "question": problem.question,
        "difficulty": problem.difficulty,
        "call_based": problem.call_based,
        "answers": shown,
    }


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _first_outcomes(directory: Path, model: str) -> dict[str, Outcome]:
    path = directory / "scores" / f"{file_name(model)}.outcomes.jsonl"
    rows = (outcome_from_json(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines())
    return {outcome.problem_id: outcome for outcome in rows if outcome.sample == 0}


def _first_answers(directory: Path, model: str) -> dict[str, Completion]:
    rows = read_samples(directory / "samples" / f"{file_name(model)}.jsonl")
    return {row.task_id: row for row in rows if row.sample == 0}
