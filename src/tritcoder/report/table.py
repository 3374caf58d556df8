"""The result table as data: one row for each model that was run, then the published ones.

The page and the command line show the same rows in the same order, so the table is made here and
nowhere else. Shares are turned into percent on the way in; nothing else is computed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tritcoder.records import Run
from tritcoder.report.wording import NOTHING, count, decimals, items, mapping, number, one_line, short_count

Scope = Literal["introductory", "interview", "competition", "all"]
SCOPES: tuple[Scope, ...] = ("introductory", "interview", "competition", "all")

_KINDS = ("ternary", "twin", "naive", "hf", "api")
_TITLES = {"ternary": "ternary", "twin": "twin"}
_GAP = "  "
NOT_RUN = "published, not run here"
"""What marks every row of others' numbers."""


@dataclass(frozen=True, slots=True)
class Percent:
    """A share in percent, with its 95 % interval where one was computed."""

    value: float
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        """`5.64 [4.10, 7.20]`, or `5.64` without an interval."""
        return f"{self.value:.2f} {self.interval}".rstrip()

    @property
    def interval(self) -> str:
        """`[4.10, 7.20]`, or nothing."""
        return "" if self.low is None or self.high is None else f"[{self.low:.2f}, {self.high:.2f}]"


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How many tests and problems one model passed within one difficulty, in percent."""

    n: int | None
    """Problems scored."""
    average: Percent | None
    """Mean over problems of the share of tests passed; strict comparison of outputs."""
    strict: Percent | None
    """Problems of which every test is passed; strict comparison of outputs."""
    average_apps: Percent | None
    """The same two by the APPS authors' more forgiving comparison."""
    strict_apps: Percent | None
    average_micro: float | None
    """Tests passed of all tests, strict comparison."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the result table; None stands for what was not measured."""

    model: str
    """Its name in the records."""
    title: str
    """What readers see."""
    kind: str
    """`ternary`, `twin`, `naive`, `hf`, `api`, or `published`."""
    source: str = ""
    """Where a published row comes from."""
    how: str = ""
    """How a published model was brought to answer: `fine-tuned`, `few-shot`."""
    benchmark: str = ""
    parameters: float | None = None
    bits_per_weight: float | None = None
    n_problems: float | None = None
    problems_total: float | None = None
    held_out_bits_per_byte: float | None = None
    """On held-out code."""
    perplexity_per_token: float | None = None
    """This and the next two: on reference solutions, given the problem."""
    bits_per_byte: float | None = None
    bits_per_char: float | None = None
    by_difficulty: dict[Scope, Accuracy] | None = None
    bleu: float | None = None
    """Corpus BLEU against the reference solutions, 0 to 100."""
    tokens_per_second: float | None = None

    @property
    def published(self) -> bool:
        """Whether the numbers are others', not run here."""
        return self.kind == "published"

    def accuracy(self, scope: Scope = "all") -> Accuracy | None:
        """The accuracies within a difficulty, where there are any."""
        return (self.by_difficulty or {}).get(scope)


def score_titles(run: Run) -> list[str]:
    """What readers see of each score, in the order of `run.scores`; its benchmark too where there are several."""
    titles = [_TITLES.get(str(score.get("kind")), one_line(score.get("model", ""))) for score in run.scores]
    benchmarks = [_benchmark(score) for score in run.scores]
    if len(set(filter(None, benchmarks))) < 2:
        return titles
    return [f"{title}, {name}" if name else title for title, name in zip(titles, benchmarks, strict=True)]


def _benchmark(score: dict[str, Any]) -> str:
    return one_line(score.get("benchmark") or "")


def score_order(score: dict[str, Any]) -> tuple[str, int, str]:
    """Sorts scores as the table does: by benchmark, then ours, its twin, the naive, the others."""
    return _benchmark(score), _kind_order(str(score.get("kind", ""))), str(score.get("model", ""))


def result_rows(run: Run) -> list[Row]:
    """The rows of the result table: ours, its twin, the naive, other models, then the published."""
    rows = [_scored_row(run, *pair) for pair in zip(run.scores, score_titles(run), strict=True)]
    known = {row.kind for row in rows}
    rows += [_unscored_row(run, kind) for kind in _TITLES if kind not in known and _is_trained(run, kind)]
    rows.sort(key=lambda row: (row.benchmark, _kind_order(row.kind), row.model))
    published = items(run.references.get("published"))
    return rows + [_published_row(entry) for entry in published if isinstance(entry, dict)]


def _kind_order(kind: str) -> int:
    return _KINDS.index(kind) if kind in _KINDS else len(_KINDS)


def _is_trained(run: Run, kind: str) -> bool:
    logged = any(name.startswith(f"{kind}/") for name in run.metrics)
    return logged or kind in mapping(run.manifest.get("models")) or kind in held_out_bits_per_byte(run)


def _scored_row(run: Run, score: dict[str, Any], title: str) -> Row:
    kind, model = str(score.get("kind", "")), str(score.get("model", ""))
    perplexity, bleu = mapping(score.get("perplexity")), mapping(score.get("bleu"))
    trained = {**mapping(mapping(run.manifest.get("models")).get(kind)), **score}
    tables, held_out = mapping(score.get("table")), held_out_bits_per_byte(run)
    return Row(
        model=model,
        title=title,
        kind=kind,
        benchmark=_benchmark(score),
        parameters=number(trained.get("parameters")),
        bits_per_weight=number(trained.get("bits_per_weight")),
        n_problems=number(score.get("n_problems")),
        problems_total=number(score.get("problems_total", score.get("n_problems_total"))),
        held_out_bits_per_byte=held_out.get(kind, held_out.get(model)),
        perplexity_per_token=number(perplexity.get("per_token")),
        bits_per_byte=number(perplexity.get("bits_per_byte")),
        bits_per_char=number(perplexity.get("bits_per_char")),
        by_difficulty={scope: _accuracy(mapping(tables[scope])) for scope in SCOPES if scope in tables},
        bleu=number(bleu.get("corpus")),
        tokens_per_second=number(mapping(score.get("speed")).get("tokens_per_second")),
    )


def held_out_bits_per_byte(run: Run) -> dict[str, float]:
    """Bits per byte on held-out code of each model of ours, after pre-training.

    As the references say; else as the manifest does; else the last evaluation that training has logged.
    """
    logged = [
        (name.removesuffix("/pretrain"), row.get("held_out_bits_per_byte"))
        for name, rows in run.metrics.items()
        if name.endswith("/pretrain")
        for row in rows
    ]
    stated = [
        (model, mapping(mapping(facts).get("held_out")).get("held_out_bits_per_byte"))
        for model, facts in mapping(run.manifest.get("models")).items()
    ]
    pairs = [*logged, *stated, *mapping(run.references.get("held_out")).items()]
    return {model: value for model, found in pairs if (value := number(found)) is not None}


def _unscored_row(run: Run, kind: str) -> Row:
    trained = mapping(mapping(run.manifest.get("models")).get(kind))
    return Row(
        model=kind,
        title=_TITLES[kind],
        kind=kind,
        parameters=number(trained.get("parameters")),
        bits_per_weight=number(trained.get("bits_per_weight")),
        held_out_bits_per_byte=held_out_bits_per_byte(run).get(kind),
    )


def _published_row(entry: dict[str, Any]) -> Row:
    """A row of others' numbers; their comparison is the APPS authors', so they stand in that column."""
    average, strict = mapping(entry.get("average")), mapping(entry.get("strict"))
    said = [one_line(entry[key], 160) for key in ("source", "status") if entry.get(key)]
    source = ", ".join(part for part in said if part != NOT_RUN)
    accuracies = {
        scope: Accuracy(None, None, None, _whole_percent(average.get(scope)), _whole_percent(strict.get(scope)), None)
        for scope in SCOPES
        if scope in average or scope in strict
    }
    name = str(entry.get("model", "unnamed"))
    return Row(
        model=name, title=one_line(name), kind="published",
        how=one_line(entry.get("how") or ""), source=source, by_difficulty=accuracies,
        parameters=number(entry.get("parameters")),
    )  # fmt: skip


def _whole_percent(value: Any) -> Percent | None:
    found = number(value)
    return None if found is None else Percent(found)


def _accuracy(table: dict[str, Any]) -> Accuracy:
    micro, n = number(table.get("average_micro")), number(table.get("n"))
    return Accuracy(
        n=None if n is None else int(n),
        average=_share(table.get("average")),
        strict=_share(table.get("strict")),
        average_apps=_share(table.get("average_apps")),
        strict_apps=_share(table.get("strict_apps")),
        average_micro=None if micro is None else 100 * micro,
    )


def _share(value: Any) -> Percent | None:
    """Percent from `{"value", "low", "high"}` or a bare number, both shares in [0, 1]."""
    fields = mapping(value) or {"value": value}
    found, low, high = (number(fields.get(key)) for key in ("value", "low", "high"))
    if found is None:
        return None
    if low is None or high is None:
        return Percent(100 * found)
    return Percent(100 * found, 100 * low, 100 * high)


@dataclass(frozen=True, slots=True)
class Column:
    """One column: the group that it stands under, its heading, and how a row fills it."""

    group: str
    heading: str
    cell: Callable[[Row], str]
    narrow: tuple[str, str]
    """Group and heading where every letter costs width: on a terminal."""
    numeric: bool = True

    @property
    def full_heading(self) -> str:
        """Group and heading in one."""
        return f"{self.group}: {self.heading}" if self.group else self.heading


def _size(row: Row) -> str:
    if row.parameters is None:
        return NOTHING
    bits = "" if row.bits_per_weight is None else f" × {row.bits_per_weight:.3g} bit"
    return short_count(row.parameters) + bits


def _problems(row: Row) -> str:
    if row.n_problems is None:
        return NOTHING
    total = row.problems_total
    return count(row.n_problems) if total is None else f"{count(row.n_problems)} of {count(total)}"


def _overall(field: str) -> Callable[[Row], str]:
    def cell(row: Row) -> str:
        accuracy = row.accuracy()
        value = None if accuracy is None else getattr(accuracy, field)
        return NOTHING if value is None else str(value)

    return cell


_SOLUTIONS, _STRICT, _APPS = "reference solutions", "strict comparison", "APPS authors' comparison"
MODEL = Column("", "model", lambda row: row.title, ("", "model"), numeric=False)
SOURCE = Column("", "source", lambda row: row.source or NOTHING, ("", "source"), numeric=False)
_COLUMNS = (
    Column("", "kind", lambda row: row.kind or NOTHING, ("", "kind"), numeric=False),
    Column("", "size", _size, ("", "size")),
    Column("held-out code", "bits per byte", lambda row: decimals(row.held_out_bits_per_byte, 3),
           ("held-out", "bits/byte")),
    Column(_SOLUTIONS, "perplexity per token", lambda row: decimals(row.perplexity_per_token, 2),
           ("solutions", "perplexity")),
    Column(_SOLUTIONS, "bits per byte", lambda row: decimals(row.bits_per_byte, 3), ("solutions", "bits/byte")),
    Column(_SOLUTIONS, "bits per character", lambda row: decimals(row.bits_per_char, 3),
           ("solutions", "bits/char")),
    Column("", "problems", _problems, ("", "problems")),
    Column(_STRICT, "average accuracy %", _overall("average"), ("strict comparison", "average %")),
    Column(_STRICT, "strict accuracy %", _overall("strict"), ("strict comparison", "strict %")),
    Column(_APPS, "average accuracy %", _overall("average_apps"), ("APPS comparison", "average %")),
    Column(_APPS, "strict accuracy %", _overall("strict_apps"), ("APPS comparison", "strict %")),
    Column("", "BLEU", lambda row: decimals(row.bleu, 2), ("", "BLEU")),
    Column("", "tokens/s", lambda row: decimals(row.tokens_per_second, 1), ("", "tokens/s")),
    SOURCE,
)  # fmt: skip


def columns(rows: Sequence[Row]) -> list[Column]:
    """The columns that at least one row fills, `model` first."""
    return [MODEL, *(c for c in _COLUMNS if any(c.cell(row) != NOTHING for row in rows))]


def as_text(rows: Sequence[Row], width: int = 110) -> str:
    """The table for a terminal `width` characters wide.

    Columns that do not fit go on in a further block below, which names the models again: nothing is cut.
    """
    if not rows:
        return "no result yet"
    drawn = [_text_column(column, rows) for column in columns(rows) if column is not SOURCE]
    blocks = ["\n".join(_joined(block)) for block in _blocks(drawn[0], drawn[1:], width)]
    return "\n\n".join([*blocks, *footnotes(rows)])


def footnotes(rows: Sequence[Row]) -> list[str]:
    """What must be said under the table: which rows were not run here, and whose they are."""
    sources: dict[str, list[str]] = {}
    for row in rows:
        if row.published:
            sources.setdefault(row.source or "source not named", []).append(row.title)
    return [f"{NOT_RUN}: {', '.join(titles)} ({source})" for source, titles in sources.items()]


def _text_column(column: Column, rows: Sequence[Row]) -> list[str]:
    """Group, heading, rule and cells, all of one width."""
    lines = [*column.narrow, "", *(column.cell(row) for row in rows)]
    width = max(map(len, lines))
    lines[2] = "-" * width
    return [line.rjust(width) if column.numeric else line.ljust(width) for line in lines]


def _blocks(names: list[str], rest: list[list[str]], width: int) -> list[list[list[str]]]:
    blocks = [[names]]
    for column in rest:
        used = sum(len(c[0]) + len(_GAP) for c in blocks[-1])
        if used + len(column[0]) > width and len(blocks[-1]) > 1:
            blocks.append([names])
        blocks[-1].append(column)
    return blocks


def _joined(block: list[list[str]]) -> list[str]:
    lines = [_GAP.join(parts).rstrip() for parts in zip(*block, strict=True)]
    return lines if lines[0] else lines[1:]


def as_markdown(rows: Sequence[Row]) -> str:
    """The table as GitHub's Markdown."""
    if not rows:
        return "no result yet"
    shown = columns(rows)
    lines = [
        [column.full_heading for column in shown],
        ["---:" if column.numeric else "---" for column in shown],
        *([column.cell(row) for column in shown] for row in rows),
    ]
    drawn = [f"| {' | '.join(map(_markdown_cell, line))} |" for line in lines]
    return "\n".join([*drawn, *(f"\n{_markdown_cell(note)}" for note in footnotes(rows))])


def _markdown_cell(text: str) -> str:
    for character in "\\|<*_`[":
        text = text.replace(character, f"\\{character}")
    return text
