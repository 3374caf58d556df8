"""`tritcoder run`: an experiment, from corpus to report."""

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.panel import Panel
from rich.syntax import Syntax
from rich.text import Text

from tritcoder.records import Run


def run(
    config: Path,
    /,
    *,
    set_: Annotated[tuple[str, ...], Parameter(name="--set")] = (),
    runs: Path = Path("runs"),
    directory: Path | None = None,
    only: str = "",
) -> None:
    """Walk every stage of an experiment; what is done already under the same settings is left as it is.

    Args:
        config: TOML file of the experiment, such as configs/demo.toml.
        set_: change one setting, as in --set pretrain.lr=1e-3; may be given several times.
        runs: where run directories lie.
        directory: the run directory itself; default RUNS/NAME.
        only: do this stage (such as ternary/pretrain) and those it needs, and nothing else.
    """
    from tritcoder.cli.view import LiveView
    from tritcoder.config import load
    from tritcoder.experiment.config import ExperimentConfig

    experiment = load(config, ExperimentConfig, set_)
    place = directory or runs / experiment.name
    from tritcoder.experiment.plan import run_experiment

    with LiveView() as view:
        view.console.print(Text(experiment.title or experiment.name, "bold"))
        cache = run_experiment(experiment, place, view, only)
        if all(record["cached"] for record in cache.records):
            view.console.print("nothing to do: every stage is up to date", highlight=False)
    if not only:
        show_results(place)


def show_results(directory: Path) -> None:
    """Print the result table, one generated program, the notes and where the report is."""
    from tritcoder.report.load import load_run
    from tritcoder.report.table import as_text, result_rows

    console = Console(highlight=False, emoji=False)
    found = load_run(directory)
    rows = result_rows(found)
    console.print()
    console.print(as_text(rows, width=max(100, console.width)), markup=False, soft_wrap=True)
    _show_references(console, found)
    _show_program(console, directory)
    for note in found.manifest.get("notes", []):
        console.print(Text.assemble("\n", ("Note:", "bold"), f" {note}"))
    console.print(f"\nReport: {directory / 'report.html'}", markup=False, soft_wrap=True)


def _show_references(console: Console, found: Run) -> None:
    """Held-out bits per byte of the models beside what counting and compressing achieve."""
    from tritcoder.report.table import held_out_bits_per_byte

    figures = held_out_bits_per_byte(found)
    for name in ("unigram", "3-gram", "zlib", "xz"):
        if name in found.references:
            figures[name] = float(found.references[name])
    told = "   ".join(f"{name} {value:.3f}" for name, value in figures.items())
    console.print(f"\nheld-out bits per byte (fewer are better):   {told}", markup=False, soft_wrap=True)


def _show_program(console: Console, directory: Path) -> None:
    examples = json.loads((directory / "examples.json").read_text(encoding="utf-8"))
    if not examples:
        return
    example = max(examples, key=lambda item: _passed(item["answers"][0]))
    answer = example["answers"][0]
    first = example["question"].strip().splitlines()[0]
    title = Text(f"problem {example['problem_id']}: {first[:90]}")
    told = Text(f"{answer['title']}: {_passed(answer)} of {len(answer['results'])} tests passed")
    code = Syntax(answer["completion"].rstrip() or "(nothing)", "python", theme="ansi_light", word_wrap=True)
    console.print()
    console.print(Panel(code, title=title, subtitle=told, title_align="left", subtitle_align="left"))


def _passed(answer: dict[str, list[dict[str, str]]]) -> int:
    return sum(result["verdict"] == "passed" for result in answer["results"])
