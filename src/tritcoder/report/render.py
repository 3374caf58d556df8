"""A run in, one HTML page out: it opens offline, asks for nothing, and runs no script.

Everything that a model, a problem or a file name brings along is escaped; the page forbids itself, by a
content security policy, to load or run anything whatever, so that even a fault here could not.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tritcoder.errors import MissingExtraError
from tritcoder.records import Run
from tritcoder.report import figures, origin, sections
from tritcoder.report.drawing import Figure
from tritcoder.report.examples import example_views
from tritcoder.report.findings import caveats, findings, summary
from tritcoder.report.table import Row, footnotes, result_rows, score_order, score_titles
from tritcoder.report.wording import NOTHING, decimals, moment, one_line, plain, visible

if TYPE_CHECKING:
    from jinja2 import Environment

_HERE = Path(__file__).parent


def render(run: Run) -> str:
    """The report of a run; the same run gives the same page.

    Raises:
        MissingExtraError: matplotlib or jinja2 is not installed.
    """
    environment = _environment()
    run = replace(run, scores=sorted(run.scores, key=score_order))
    rows = result_rows(run)
    titles = score_titles(run)
    drawn = _figures(run, rows, titles)
    return environment.get_template("page.html.j2").render(
        style=_marked_up((_HERE / "page.css").read_text(encoding="utf-8")),
        title=one_line(run.manifest.get("title") or run.name, 120),
        name=one_line(run.name),
        run=run,
        times=[moment(run.manifest.get(key)) for key in ("started", "finished")],
        summary=summary(run, rows),
        findings=findings(run, rows),
        headlines=_headlines(rows),
        caveats=caveats(run, rows),
        results=sections.result_table(rows),
        footnotes=footnotes(rows),
        by_difficulty=sections.difficulty_table(rows),
        pass_at_k=sections.pass_at_k_table(titles, run.scores),
        references=sections.references_table(figures.reference_values(run)),
        verdicts=sections.verdicts_table(titles, run.scores),
        scoring=sections.scoring_table(titles, run.scores),
        figures={figure.key: {"figure": figure, "svg": _marked_up(figure.svg)} for figure in drawn},
        examples=example_views(run.examples),
        corpus=origin.corpus_tables(run.manifest),
        facts=origin.run_tables(run.manifest),
        signature=_signature(run),
        config=str(run.manifest.get("config") or ""),
        manifest=origin.raw_manifest(run.manifest),
        commands=origin.commands_table(run, drawn),
        nothing=NOTHING,
    )


def _environment() -> "Environment":
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError as error:
        raise MissingExtraError(
            "the report needs jinja2, which is not installed", "pip install 'tritcoder[report]'"
        ) from error
    return Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _shown(value: Any) -> Any:
    """Text with nothing hidden in it; what is already markup is ours, and stays."""
    return visible(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _marked_up(text: str) -> Any:
    """Text of ours that is not to be escaped: the style sheet and the figures."""
    from markupsafe import Markup

    return Markup(text)  # noqa: S704 our own files and drawings, whose text is escaped already


def _figures(run: Run, rows: list[Row], titles: list[str]) -> list[Figure]:
    drawn = (
        figures.accuracy_figure(rows, "average"),
        figures.accuracy_figure(rows, "strict"),
        figures.references_figure(run),
        figures.training_loss_figure(run, "pretrain"),
        figures.held_out_figure(run),
        figures.training_loss_figure(run, "finetune"),
        figures.verdicts_figure(titles, [figures.verdict_shares(score) for score in run.scores]),
    )
    return [figure for figure in drawn if figure is not None]


def _headlines(rows: list[Row]) -> list[dict[str, str]]:
    """The few numbers that are looked for first: of ternary large, of its twin below."""
    kinds = {row.kind: row for row in reversed(rows) if row.kind in ("ternary", "twin")}
    looked_for: dict[str, Callable[[Row], str]] = {
        "bits per byte, held-out code": lambda row: decimals(row.held_out_bits_per_byte, 3),
        "average accuracy, %": lambda row: _overall(row, "average"),
        "strict accuracy, %": lambda row: _overall(row, "strict"),
        "tokens per second": lambda row: decimals(row.tokens_per_second, 1),
    }
    found = [
        {"what": what} | {kind: read(kinds[kind]) if kind in kinds else NOTHING for kind in ("ternary", "twin")}
        for what, read in looked_for.items()
    ]
    return [headline for headline in found if headline["ternary"] != NOTHING]


def _overall(row: Row, measure: str) -> str:
    share = getattr(row.accuracy(), measure, None)
    return NOTHING if share is None else f"{share.value:.2f}"


def _signature(run: Run) -> dict[str, str]:
    found = run.manifest.get("signature")
    found = found if isinstance(found, dict) else {}
    return {
        "commit": plain(found.get("commit")),
        "time": moment(found.get("time")),
        "command": origin.command_line(found),
    }
