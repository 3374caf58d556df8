"""`tritcoder evaluate`: a model on a benchmark."""

import json
import os
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from tritcoder.records import Run, Sampling

app = App(name="evaluate", help="Measure a model on a benchmark.")


@app.command
def apps(
    *,
    model: str,
    problems: str = "embedded",
    train_problems: str = "",
    limit: int = 0,
    samples: int = 1,
    temperature: float = 0.6,
    top_p: float = 0.95,
    top_k: int = 0,
    seed: int = 0,
    max_tokens: int = 256,
    timeout: float = 4.0,
    batch_size: int = 32,
    workers: int = 0,
    output: Path | None = None,
    json_: Annotated[bool, Parameter(name="--json")] = False,
) -> None:
    """Answer the test problems, run the answers in a jail, and print every measure.

    Samples and scores are files in the output folder; given again, the command goes on where it stopped.

    Args:
        model: a run directory, a model directory, or a rival such as naive:constant, hf:PATH, gemini:NAME.
        problems: embedded, hub, or a path of APPS' test problems (.jsonl[.gz], the authors' folder or archive).
        train_problems: training problems for the naive rivals; default: those that belong to PROBLEMS.
        limit: at most this many problems, sampled evenly over the difficulties; 0 for all.
        samples: answers for each problem.
        temperature: 0 takes the likeliest token always.
        top_p: sample among the fewest tokens whose probabilities reach this sum.
        top_k: sample among this many likeliest tokens; 0 for all.
        seed: decides samples and the chosen problems.
        max_tokens: length of an answer at the most.
        timeout: processor seconds that a program may take for one test.
        batch_size: answers written at once.
        workers: jails at once; 0 for one a core.
        output: where samples and scores go; default evaluations/MODEL.
        json_: print the score file instead of a table.
    """
    from tritcoder.cli.view import LiveView
    from tritcoder.data.config import ProblemsConfig
    from tritcoder.experiment.config import EvaluateConfig, ExperimentConfig
    from tritcoder.experiment.measuring import evaluate_alone, file_name
    from tritcoder.sandbox.limits import Limits

    sampling = Sampling(max_tokens, temperature, top_p, top_k, seed)
    settings = EvaluateConfig(
        samples=samples,
        sampling=sampling,
        batch_size=batch_size,
        workers=workers or os.cpu_count() or 1,
        limits=Limits(cpu_s=timeout, wall_s=2.5 * timeout),
    )
    source = ProblemsConfig(source=problems, train=train_problems, test_limit=limit, seed=seed)
    config = ExperimentConfig(name=file_name(model), problems=source, evaluate=settings)
    place = output or Path("evaluations") / file_name(model)
    with LiveView() as view:
        score = evaluate_alone(config, model, place, view)
    print(json.dumps(score, indent=1, ensure_ascii=False) if json_ else as_table(score))


def as_table(score: dict[str, Any]) -> str:
    """The row of the result table, then both accuracies by difficulty."""
    from tritcoder.report.table import as_text, result_rows

    run = Run(name=score["model"], directory="", manifest={}, scores=[score])
    lines = [as_text(result_rows(run)), "", f"{'difficulty':<14} {'problems':>8} {'average':>24} {'strict':>24}"]
    for difficulty, cells in score["table"].items():
        lines.append(f"{difficulty:<14} {cells['n']:>8} {_cell(cells['average']):>24} {_cell(cells['strict']):>24}")
    lines.append(f"sandbox level: {', '.join(score['isolation']) or 'nothing was run'}; 95 % intervals over problems")
    if score["bleu"]:
        lines.append(f"BLEU: corpus level against all solutions, {score['bleu']['signature']}")
    return "\n".join(lines)


def _cell(cell: dict[str, float]) -> str:
    return f"{100 * cell['value']:.2f} % [{100 * cell['low']:.2f}, {100 * cell['high']:.2f}]"
