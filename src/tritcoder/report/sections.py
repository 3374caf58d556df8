"""The parts of the page as plain data: tables are headings and cells, all text, nothing marked up."""

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from tritcoder.records import Run
from tritcoder.report.drawing import Figure
from tritcoder.report.figures import verdict_shares
from tritcoder.report.findings import isolation_levels
from tritcoder.report.table import SCOPES, Row, columns
from tritcoder.report.wording import (
    NOTHING,
    byte_size,
    count,
    decimals,
    duration,
    items,
    mapping,
    moment,
    number,
    one_line,
    plain,
    shortened,
    words,
)  # fmt: skip

_MOST_EXAMPLES, _MOST_TESTS = 24, 12
_CODE_CHARS, _TEXT_CHARS, _QUESTION_CHARS = 6000, 600, 8000
_SYMBOLS = {"passed": "✓", "sandbox_failed": "!"}


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: its main text, and a second line in small type."""

    text: str
    small: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table ready to be set; the first column names the rows."""

    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numeric: tuple[bool, ...]
    groups: tuple[tuple[str, int], ...] = ()
    """Headings above the headings: each and how many columns it spans."""
    classes: tuple[str, ...] = ()
    """Of each row, for the style sheet."""

    def __bool__(self) -> bool:
        return bool(self.rows)


def table(caption: str, headings: Sequence[str], rows: Iterable[Sequence[str]], text_columns: int = 1) -> Table:
    """A plain table whose first `text_columns` columns are words, the others numbers."""
    cells = tuple(tuple(map(Cell, row)) for row in rows)
    return Table(caption, tuple(headings), cells, tuple(i >= text_columns for i in range(len(headings))))


def result_table(rows: Sequence[Row]) -> Table:
    """The result table with its groups of columns; the kind stands in small type under the model."""
    shown = [column for column in columns(rows) if column.heading not in ("kind", "source")]
    groups: list[tuple[str, int]] = []
    for column in shown:
        if groups and groups[-1][0] == column.group:
            groups[-1] = (column.group, groups[-1][1] + 1)
        else:
            groups.append((column.group, 1))
    return Table(
        caption="One row a model. Square brackets: 95 % interval over problems.",
        headings=tuple(column.heading for column in shown),
        rows=tuple((_model_cell(row), *(_split(c.cell(row)) for c in shown[1:])) for row in rows),
        numeric=tuple(column.numeric for column in shown),
        groups=tuple(groups),
        classes=tuple(row.kind if row.kind in ("ternary", "published") else "" for row in rows),
    )


def _model_cell(row: Row) -> Cell:
    if row.published:
        return Cell(row.title, "published, not run here" + (f": {row.source}" if row.source else ""))
    own = {"ternary": "weights −1, 0, +1; trained here", "twin": "full precision; trained here"}
    return Cell(row.title, own.get(row.kind, "" if row.kind in row.title else row.kind))


def _split(text: str) -> Cell:
    """A value with its interval, or a size with its bits, on two lines."""
    for mark in (" [", " × ", " of "):
        if mark in text:
            first, _, second = text.partition(mark)
            return Cell(first, mark.lstrip() + second)
    return Cell(text)


def difficulty_table(rows: Sequence[Row]) -> Table:
    """Every accuracy by model and difficulty, by both comparisons."""
    body: list[tuple[Cell, ...]] = []
    classes: list[str] = []
    for row in rows:
        first = len(body)
        for scope in SCOPES:
            found = row.accuracy(scope)
            if found is None:
                continue
            shares = (found.average, found.strict, found.average_apps, found.strict_apps)
            cells = [_split(NOTHING if share is None else str(share)) for share in shares]
            micro = Cell(decimals(found.average_micro, 2))
            body.append((Cell(row.title), Cell(scope), Cell(count(found.n)), *cells[:2], micro, *cells[2:]))
            again = " again" if len(body) > first + 1 else ""
            classes.append((row.kind if row.kind in ("ternary", "published") else "") + again)
    return Table(
        caption="Accuracy by difficulty, percent. All tests: share of all tests passed, whatever the problem.",
        headings=("model", "difficulty", "problems", "average", "strict", "all tests", "average", "strict"),
        rows=tuple(body),
        numeric=(False, False, True, True, True, True, True, True),
        groups=(("", 3), ("strict comparison", 3), ("APPS authors' comparison", 2)),
        classes=tuple(classes),
    )


def pass_at_k_table(titles: Sequence[str], scores: Sequence[dict[str, Any]]) -> Table:
    """pass@k of every score that drew more than one sample; the first number is k."""
    shares = [_pass_at_k(score) for score in scores]
    ks = sorted({k for found in shares for k in found})
    if not any(k > 1 for k in ks):
        return table("", (), ())
    rows = (
        [title, *(found.get(k, NOTHING) for k in ks)] for title, found in zip(titles, shares, strict=True) if found
    )
    return table("pass@k over all problems, percent.", ["model", *(f"pass@{k}" for k in ks)], rows)


def _pass_at_k(score: dict[str, Any]) -> dict[int, str]:
    found = mapping(score.get("pass_at_k"))
    found = mapping(found.get("all")) or found
    shares = {key: number(mapping(value).get("value", value)) for key, value in found.items()}
    return {
        int(key): decimals(100 * share, 2) for key, share in shares.items() if share is not None and key.isdecimal()
    }


def references_table(values: Sequence[tuple[str, float]]) -> Table:
    """Bits per byte of models and references, lowest first."""
    return table(
        "Bits per byte on held-out code.", ("what", "bits per byte"),
        ([one_line(name), decimals(value, 3)] for name, value in values),
    )  # fmt: skip


def verdicts_table(titles: Sequence[str], scores: Sequence[dict[str, Any]]) -> Table:
    """How many tests ended in each verdict, and their share."""
    shares = [verdict_shares(score) for score in scores]
    kinds = list(dict.fromkeys(kind for share in shares for kind in share))
    rows = []
    for title, score, share in zip(titles, scores, shares, strict=True):
        counts = mapping(score.get("verdicts"))
        cells = [Cell(count(counts.get(k, 0)), f"{share.get(k, 0.0):.1f} %") for k in kinds]
        rows += [(Cell(title), *cells)] if share else []
    headings = ("model", *map(words, kinds))
    return Table("Tests by verdict.", headings, tuple(rows), (False, *(True for _ in kinds)))


def scoring_table(titles: Sequence[str], scores: Sequence[dict[str, Any]]) -> Table:
    """How each score was taken: a model a column, what one must know to take it again a line."""
    taken = [_taking(score) for score in scores]
    rows = [(what, *(fields[what] for fields in taken)) for what in (taken[0] if taken else ())]
    told = [row for row in rows if any(cell != NOTHING for cell in row[1:])]
    return table("What one must know to take each score again.", ("", *titles), told, text_columns=1 + len(titles))


def _taking(score: dict[str, Any]) -> dict[str, str]:
    signature, bleu = mapping(score.get("signature")), mapping(score.get("bleu"))
    likely, speed = mapping(score.get("perplexity")), mapping(score.get("speed"))
    return {
        "benchmark": plain(score.get("benchmark")),
        "problems": count(score.get("n_problems")),
        "samples a problem": count(score.get("n_samples")),
        "isolation of programs": ", ".join(isolation_levels(score)) or NOTHING,
        "comparisons differ on": _difference(score.get("comparers_differ")),
        "BLEU, best solution alone": decimals(bleu.get("best_single"), 2),
        "BLEU over answers": count(bleu.get("n")),
        "BLEU signature": plain(bleu.get("signature")),
        "perplexity over tokens": count(likely.get("n_tokens")),
        "speed over tokens": count(speed.get("n_tokens")),
        "time": moment(signature.get("time")),
        "commit": plain(signature.get("commit")),
        "command": command_line(signature),
    }


def _difference(value: Any) -> str:
    """How often the two comparisons disagree: a share in [0, 1], or a number of tests."""
    found = number(value)
    if found is None or isinstance(value, int):
        return count(value)
    return f"{100 * found:.2f} % of tests"


def command_line(signature: Mapping[str, Any]) -> str:
    """The recorded command as it would be typed; the program by its name, not its place."""
    command = signature.get("command")
    if not isinstance(command, list) or not command:
        return plain(command)
    program, *arguments = map(str, command)
    name = PurePath(program).name
    return shlex.join(["tritcoder" if name == "__main__.py" else name, *arguments])


def commands_table(run: Run, figures: Iterable[Figure]) -> Table:
    """For each figure: the files it is drawn from and the command that wrote them."""
    own = mapping(run.manifest.get("commands"))
    whole = command_line(mapping(run.manifest.get("signature")))
    scoring = dict.fromkeys(command_line(mapping(score.get("signature"))) for score in run.scores)
    scored = "\n".join(command for command in scoring if command != NOTHING) or whole
    rows = [
        (
            figure.title,
            "\n".join(figure.sources),
            plain(own.get(figure.key) or (scored if "scores/*.json" in figure.sources else whole)),
        )
        for figure in figures
    ]
    directory = run.directory if not PurePath(run.directory).is_absolute() else PurePath(run.directory).name
    rows.append(("This page", "the run directory", shlex.join(["tritcoder", "report", directory])))
    return table("What each figure is drawn from.", ("figure", "files", "command"), rows, text_columns=3)


def corpus_tables(manifest: Mapping[str, Any]) -> list[Table]:
    """Sources, licences, what was dropped and why, what was held out."""
    corpus = mapping(manifest.get("corpus"))
    held_out = mapping(corpus.get("held_out"))
    splits = {"train": mapping(corpus.get("train")), "held out": held_out}
    sources, licences = mapping(corpus.get("sources")), mapping(corpus.get("licences"))
    dropped = sorted(mapping(corpus.get("dropped")).items(), key=lambda item: (-(number(item[1]) or 0), item[0]))
    groups = items(held_out.get("groups"))
    tables = (
        table(
            "Sources of the corpus.", ("source", "licence", "documents", "bytes"),
            ((one_line(k, 80), plain(mapping(v).get("licence")), *_amounts(v)) for k, v in sources.items()), 2,
        ),
        table(
            "Licences.", ("licence (SPDX)", "documents", "bytes"),
            ((one_line(k, 80), *_amounts(v)) for k, v in sorted(licences.items())),
        ),
        table("Documents dropped.", ("reason", "documents"), ((words(k), count(v)) for k, v in dropped)),
        table(
            "Split.", ("part", "documents", "bytes"), ((k, *_amounts(v)) for k, v in splits.items() if v)
        ),
        table("Held out as a whole.", ("group",), ((plain(group),) for group in groups)),
    )  # fmt: skip
    return [found for found in tables if found]


def _amounts(value: Any) -> tuple[str, str]:
    return count(mapping(value).get("documents")), byte_size(mapping(value).get("bytes"))


def run_tables(manifest: Mapping[str, Any]) -> list[Table]:
    """Tokenizer and data, the models' settings, the stages, the machine and the versions."""
    signature = mapping(manifest.get("signature"))
    models = {name: mapping(value) for name, value in mapping(manifest.get("models")).items()}
    settings = dict.fromkeys(key for model in models.values() for key in model)
    machine = {**mapping(signature.get("machine"))}
    if "memory_bytes" in machine:
        machine["memory"] = byte_size(machine.pop("memory_bytes"))
    tables = (
        _facts("Data.", {k: manifest.get(k) for k in ("tokenizer", "tokens", "problems")}),
        table(
            "Models.", ("setting", *map(one_line, models)),
            ((words(key), *(plain(m.get(key)) for m in models.values())) for key in settings),
        ),
        _stages(manifest),
        _facts("Machine.", {"": machine}),
        _facts("Versions.", {"": mapping(signature.get("versions"))}),
    )  # fmt: skip
    return [found for found in tables if found]


def _facts(caption: str, groups: Mapping[str, Any]) -> Table:
    rows = (
        (f"{group} {words(key)}".strip(), plain(value))
        for group, facts in groups.items()
        for key, value in mapping(facts).items()
    )
    return table(caption, ("what", "value"), rows, text_columns=2)


def _stages(manifest: Mapping[str, Any]) -> Table:
    stages = [mapping(stage) for stage in items(manifest.get("stages"))]
    rows = (
        (plain(s.get("name")), plain(s.get("key")), "kept from before" if s.get("cached") else "done",
         duration(s.get("seconds")))
        for s in stages
    )  # fmt: skip
    return table("Stages.", ("stage", "cache key", "state", "time"), rows, text_columns=3)


def raw_manifest(manifest: Mapping[str, Any]) -> str:
    """The manifest as JSON, without the text of the configuration."""
    kept = {key: value for key, value in manifest.items() if key != "config"}
    return json.dumps(kept, ensure_ascii=False, indent=1) if kept else ""


def example_views(examples: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Problems with what each model wrote and what became of it; long texts are cut, and say so."""
    return [
        {
            "title": one_line(example.get("problem_id", ""), 60),
            "difficulty": words(example.get("difficulty") or ""),
            "form": "call-based" if example.get("call_based") else "standard input",
            "question": shortened(_text(example.get("question")).strip(), _QUESTION_CHARS),
            "answers": [_answer(mapping(answer)) for answer in items(example.get("answers"))],
        }
        for example in examples[:_MOST_EXAMPLES]
    ]


def _answer(answer: dict[str, Any]) -> dict[str, Any]:
    results = [mapping(result) for result in items(answer.get("results"))]
    verdicts = [str(result.get("verdict", "")) for result in results]
    return {
        "title": one_line(answer.get("title") or answer.get("model") or "unnamed", 60),
        "code": shortened(_text(answer.get("completion")).rstrip(), _CODE_CHARS),
        "counts": [(_verdict(name), verdicts.count(name)) for name in dict.fromkeys(verdicts)],
        "tests": [_test(index + 1, result) for index, result in enumerate(results[:_MOST_TESTS])],
        "more_tests": max(0, len(results) - _MOST_TESTS),
    }


def _verdict(name: str) -> dict[str, str]:
    return {"name": words(name), "symbol": _SYMBOLS.get(name, "✗"), "good": "good" if name == "passed" else ""}


def _test(place: int, result: dict[str, Any]) -> dict[str, Any]:
    texts = {key: shortened(_text(result.get(key)), _TEXT_CHARS) for key in ("input", "expected", "output", "error")}
    return {"place": place, "verdict": _verdict(str(result.get("verdict", ""))), **texts}


def _text(value: Any) -> str:
    """Text with its lines ended alike; other JSON values (call-based arguments) as JSON."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.replace("\r\n", "\n")
