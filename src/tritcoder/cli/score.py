"""`tritcoder score`: samples from any tool, against their tests."""

import json
import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def score(
    samples: Path,
    /,
    *,
    problems: str = "embedded",
    timeout: float = 4.0,
    workers: int = 0,
    outcomes: Path | None = None,
    json_: Annotated[bool, Parameter(name="--json")] = False,
) -> None:
    """Run the programs of a samples file in a jail and print what they score.

    Args:
        samples: JSON Lines; `task_id` (the problem's id) and `completion` are enough.
        problems: embedded, hub, or a path of APPS' test problems.
        timeout: processor seconds that a program may take for one test.
        workers: jails at once; 0 for one a core.
        outcomes: where verdicts are appended, so that scoring can go on; default SAMPLES.outcomes.jsonl.
        json_: print the score file instead of a table.
    """
    from tritcoder.cli.evaluate import as_table
    from tritcoder.cli.view import LiveView
    from tritcoder.data.apps import read_problems
    from tritcoder.data.config import ProblemsConfig
    from tritcoder.errors import DatasetError
    from tritcoder.evaluate.apps import evaluate, read_samples
    from tritcoder.sandbox.limits import Limits

    answers = read_samples(samples)
    if not answers:
        raise DatasetError(f"{samples} holds no sample", "generate the samples first")
    known = {problem.problem_id: problem for problem in read_problems(ProblemsConfig(source=problems), "test")}
    asked = {answer.task_id for answer in answers}
    with LiveView() as view:
        view.stage_began("scores")
        found = evaluate(
            {name: problem for name, problem in known.items() if name in asked} or known,
            answers,
            model=samples.stem,
            kind="samples",
            benchmark="embedded problems" if problems == "embedded" else "APPS",
            path=outcomes or samples.with_suffix(".outcomes.jsonl"),
            workers=workers or os.cpu_count() or 1,
            limits=Limits(cpu_s=timeout, wall_s=2.5 * timeout),
            on_progress=lambda now: view.stage_moved(now.done, now.total, str(now)),
        )
    print(json.dumps(found, indent=1, ensure_ascii=False) if json_ else as_table(found))
