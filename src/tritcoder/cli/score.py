"""`tritcoder score`: samples from any tool, against their tests."""

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tritcoder.cli.options import JailOptions, exclusion_list

_DEFAULT_JAIL = JailOptions()


def score(
    samples: Path,
    /,
    *,
    benchmark: str = "",
    problems: str = "",
    exclude: Path | None = None,
    programs: bool = False,
    jail: JailOptions = _DEFAULT_JAIL,
    resume: Annotated[bool, Parameter(negative="--fresh")] = True,
    outcomes: Path | None = None,
    json_: Annotated[bool, Parameter(name="--json")] = False,
) -> None:
    """Run the programs of a samples file in a jail and print what they score.

    Each verdict is written down as soon as it is known: Ctrl-C keeps all that is done, and the same command goes on.

    Args:
        samples: JSON Lines; `task_id` (the problem's id) and `completion` are enough.
        benchmark: apps, humaneval, humaneval+, mbpp, mbpp+, leetcode, ..., or embedded for our own problems; default:
            apps when PROBLEMS says where they lie, else embedded.
        problems: where the problems lie; default: the folder that TRITCODER_DATA names. For APPS also hub.
        exclude: leave out the problems of this list, as `tritcoder evaluate BENCHMARK --gold` writes it.
        programs: completions are programs as they stand; default: the program is taken out of prose and code fences.
        jail: how programs are run.
        resume: go on where an earlier, interrupted command stopped; --fresh begins anew.
        outcomes: where verdicts are appended; default SAMPLES.outcomes.jsonl.
        json_: print the score file instead of a table.
    """
    from tritcoder.cli.score_table import as_table
    from tritcoder.cli.view import LiveView
    from tritcoder.data.benchmarks import open_benchmark
    from tritcoder.errors import DatasetError
    from tritcoder.evaluate.samples import read_samples
    from tritcoder.evaluate.score_file import evaluate

    answers = read_samples(samples)
    if not answers:
        raise DatasetError(f"{samples} holds no sample", "generate the samples first")
    opened = open_benchmark(benchmark or ("apps" if problems else "embedded"), problems)
    excluded, open_jail = exclusion_list(exclude, opened.name), jail.opener()
    path = outcomes or samples.with_suffix(".outcomes.jsonl")
    if not resume:
        path.unlink(missing_ok=True)
    with LiveView() as view:
        view.stage_began("scores")
        found = evaluate(
            {problem.problem_id: problem for problem in opened.problems},
            answers,
            model=samples.stem,
            kind="samples",
            benchmark=opened.title,
            path=path,
            workers=jail.n_workers(),
            limits=jail.limits(),
            exclusions=excluded,
            extract=not programs,
            open_jail=open_jail,
            on_progress=lambda now: view.stage_moved(now.done, now.total, str(now)),
        )
    print(json.dumps(found, indent=1, ensure_ascii=False) if json_ else as_table(found))
