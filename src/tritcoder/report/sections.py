"""The results as tables of text: scores, accuracies, references, verdicts, and how each score was taken."""

from collections.abc import Sequence
from typing import Any

from tritcoder.report.cells import Cell, Table, table
from tritcoder.report.figures import verdict_shares
from tritcoder.report.findings import isolation_levels
from tritcoder.report.origin import command_line
from tritcoder.report.table import NOT_RUN, SCOPES, Row, columns
from tritcoder.report.wording import (
    NOTHING,
    count,
    decimals,
    flattened,
    mapping,
    moment,
    number,
    one_line,
    plain,
    words,
)


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
        return Cell(row.title, "; ".join(filter(None, (row.how, NOT_RUN))))
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
        "problems kept": _kept(mapping(score.get("kept"))),
        "answers scored": count(score.get("n_samples")),
        "answers left out": _counts(score.get("left_out")),
        "answers ended by": _counts(score.get("finish_reasons")),
        "limits of a test": _counts(score.get("limits")),
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


def _kept(kept: dict[str, Any]) -> str:
    """How many problems count, of how many, why not the others, and by which list: 90 of 100 (90 %): no tests 10."""
    overall = mapping(mapping(kept.get("problems")).get("all"))
    n, total = number(overall.get("n")), number(overall.get("of"))
    if n is None or not total:
        return NOTHING
    reasons, listed = _counts(kept.get("reasons")), plain(kept.get("list"))
    told = f"{count(n)} of {count(total)} ({100 * n / total:.1f} %)"
    told += "" if reasons == NOTHING else f"; left out: {reasons}"
    return told if listed == NOTHING else f"{told}; list {listed}"


def _counts(value: Any) -> str:
    """Names and numbers in one line: stop 180, length 20."""
    return ", ".join(f"{words(key)} {plain(found)}" for key, found in flattened(mapping(value)).items()) or NOTHING


def _difference(value: Any) -> str:
    """How often the two comparisons disagree: a share in [0, 1], or a number of tests."""
    found = number(value)
    if found is None or isinstance(value, int):
        return count(value)
    return f"{100 * found:.2f} % of tests"
