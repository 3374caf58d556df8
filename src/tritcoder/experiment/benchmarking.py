"""A model, or the human solutions, on a benchmark outside of any run, in a folder of its own."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tritcoder.coder import model_place
from tritcoder.config import plain
from tritcoder.data.benchmarks import Benchmark
from tritcoder.evaluate import score_file
from tritcoder.evaluate.calibration import ATTEMPTS, Calibration, Exclusions, calibrate, write_exclusions
from tritcoder.evaluate.samples import read_samples
from tritcoder.evaluate.scoring import Standing
from tritcoder.experiment.config import EvaluateConfig
from tritcoder.experiment.measuring import deciding, file_name, kind_of, samples_path, spent_on, write_answers
from tritcoder.experiment.opening import has_likelihoods, is_baseline, model_identity, open_generator
from tritcoder.experiment.stage import Facts, Stage, StageCache, Watcher
from tritcoder.protocols import Generator, LikelihoodModel
from tritcoder.provenance import write_json
from tritcoder.records import Problem, Prompt
from tritcoder.sandbox.jail import Jail

GOLD, LIST = "gold.outcomes.jsonl", "exclusions.json"
"""What a calibration leaves: verdicts, and the list of problems to leave out."""


@dataclass(frozen=True, slots=True)
class Exam:
    """One model on one benchmark: what it is asked, and how it is marked."""

    benchmark: Benchmark
    model: str
    """A model string."""
    settings: EvaluateConfig
    open_jail: Callable[[], Jail]
    exclusions: Exclusions | None = None
    published_prompt: bool = True
    """Whether problems are put in the benchmark's published form, rather than as every other problem."""
    training: Callable[[], Sequence[Problem]] = tuple
    """Reads the problems that naive rivals learn from."""
    open_model: Callable[..., Generator] = open_generator

    def prompts(self) -> list[Prompt]:
        """Every problem, as often as there are samples of it."""
        put = self.benchmark.prompt if self.published_prompt else Problem.prompt
        return [put(problem, n) for problem in self.benchmark.problems for n in range(self.settings.samples)]

    def generator(self, answers: Path) -> Generator:
        """The model, opened; what the answers that are there already have cost counts."""
        training = self.training() if self.model.startswith("naive:") else ()
        settings = self.settings
        return self.open_model(self.model, training, settings.batch_size, settings.services, spent_on(answers))


def measure(exam: Exam, directory: Path, watcher: Watcher) -> dict[str, Any]:
    """Let the model answer, run the answers, and gather every measure; what is done under the same settings stays.

    Returns:
        The score file, which lies in `scores/` of the directory.

    Raises:
        TritcoderError: the model cannot be opened or fails, there is no jail, the disk is full; answers and verdicts
            that are there stay.
    """
    name, path = file_name(exam.model), samples_path(directory, exam.model)
    cache = StageCache(directory, watcher)
    answers, scores = f"answers/{exam.model}", f"scores/{exam.model}"
    cache.run(
        [
            Stage(
                answers,
                (),
                _asked(exam),
                (f"samples/{name}.jsonl",),
                lambda watcher: write_answers(exam.generator(path), exam.prompts(), exam.settings, path, watcher),
            ),
            Stage(
                scores,
                (answers,),
                [plain(exam.settings.limits), exam.exclusions.digest if exam.exclusions else ""],
                (f"scores/{name}.json",),
                lambda watcher: _mark(exam, directory, cache.facts[answers], watcher),
            ),
        ]
    )
    score: dict[str, Any] = json.loads((directory / "scores" / f"{name}.json").read_text(encoding="utf-8"))
    return score


def forget(directory: Path, model: str) -> None:
    """Remove what `measure` has left of this model, or `calibrate_alone` when none is named; nothing else."""
    name = file_name(model)
    files = (
        [f"samples/{name}.jsonl", f"scores/{name}.json", f"scores/{name}.outcomes.jsonl"] if model else [GOLD, LIST]
    )
    for file in files:
        (directory / file).unlink(missing_ok=True)


def calibrate_alone(
    benchmark: Benchmark,
    settings: EvaluateConfig,
    open_jail: Callable[[], Jail],
    directory: Path,
    watcher: Watcher,
    attempts: int = ATTEMPTS,
) -> Calibration:
    """Run the human solutions, and write `exclusions.json` into the directory; verdicts that are there stay.

    Raises:
        SandboxError: there is no safe place to run a program.
        StorageError: the disk is full or refuses to be written.
    """

    def tell(attempt: int, now: Standing) -> None:
        watcher.stage_moved(now.done, now.total, f"solution {attempt} of each: {now}")

    watcher.stage_began("human solutions")
    found = calibrate(
        {problem.problem_id: problem for problem in benchmark.problems},
        benchmark.name,
        attempts=attempts,
        path=directory / GOLD,
        workers=settings.workers or 1,
        limits=settings.limits,
        open_jail=open_jail,
        on_progress=tell,
    )
    write_exclusions(directory / LIST, found, settings.limits, attempts, len(benchmark.problems))
    return found


def _asked(exam: Exam) -> list[Any]:
    """All that decides the answers."""
    benchmark = exam.benchmark
    asked = [problem.problem_id for problem in benchmark.problems]
    form = "published" if exam.published_prompt else "problem"
    model = [exam.model, model_identity(exam.model)]
    return [model, benchmark.name, benchmark.identity, asked, form, *deciding(exam.model, exam.settings)]


def _mark(exam: Exam, directory: Path, answered: Facts, watcher: Watcher) -> Facts:
    name, benchmark, settings = file_name(exam.model), exam.benchmark, exam.settings
    path = samples_path(directory, exam.model)
    own = exam.generator(path) if has_likelihoods(exam.model) else None
    score = score_file.evaluate(
        {problem.problem_id: problem for problem in benchmark.problems},
        read_samples(path),
        model=exam.model if is_baseline(exam.model) else str(model_place(Path(exam.model))),
        kind=kind_of(exam.model),
        benchmark=benchmark.title,
        path=directory / "scores" / f"{name}.outcomes.jsonl",
        workers=settings.workers or 1,
        limits=settings.limits,
        exclusions=exam.exclusions,
        likelihood_model=own if isinstance(own, LikelihoodModel) else None,
        open_jail=exam.open_jail,
        on_progress=lambda now: watcher.stage_moved(now.done, now.total, str(now)),
    )
    form = benchmark.published_prompt if exam.published_prompt else "as every problem is put to this model"
    write_json(
        directory / "scores" / f"{name}.json",
        score | {"speed": answered.get("speed"), "prompt": form, "problems_from": benchmark.source},
    )
    return {"isolation": score["isolation"]}
