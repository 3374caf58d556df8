"""The terminal's picture of a score file."""

from collections.abc import Mapping, Sequence
from typing import Any

_MEASURES = ("average", "strict", "average_apps", "strict_apps")
_HEADINGS = ("average", "strict", "average (apps)", "strict (apps)", "per test")


def as_table(score: dict[str, Any]) -> str:
    """Both accuracies by both comparisons and by difficulty, and all that must be known to read them."""
    return "\n".join([f"{score['model']} on {score['benchmark']}", "", *difficulty_lines(score), "", *_notes(score)])


def difficulty_lines(score: Mapping[str, Any]) -> list[str]:
    """A line for each difficulty, and one for all: problems, and the accuracies by both comparisons, in percent."""
    rows = [["", "problems", *_HEADINGS]]
    table = score["table"]
    for difficulty, cells in table.items():
        if len(table) == 2 and difficulty != "all":  # the only one there is
            continue
        measures = [_cell(cells[name]) for name in _MEASURES]
        rows.append([difficulty, f"{cells['n']:,}", *measures, f"{100 * cells['average_micro']:.2f}"])
    return _columns(rows)


def _cell(cell: dict[str, float]) -> str:
    return f"{100 * cell['value']:.2f} [{100 * cell['low']:.2f}, {100 * cell['high']:.2f}]"


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [f"{cell:>{width}}" for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([f"{first:<{widths[0]}}", *cells]).rstrip())
    return lines


def _notes(score: dict[str, Any]) -> list[str]:
    lines = [
        "percent, with 95 % intervals over problems; average and strict by the strict comparison, (apps) by the APPS"
        f" authors'; the two differ on {_percent(score['comparers_differ'])} of the tests",
        kept_note(score),
    ]
    if len(score["pass_at_k"]) > 1:
        told = ", ".join(f"pass@{k} {_cell(cell)} (n={cell['n']})" for k, cell in score["pass_at_k"].items())
        lines.append(told)
    if score["verdicts"]:
        lines.append("verdicts: " + ", ".join(f"{name} {n:,}" for name, n in _most_first(score["verdicts"])))
    if score["tests_inside"]:
        lines.append(
            f"{score['tests_inside']:,} checks ran in the answers' own process, as published: references need it"
        )
    if score["bleu"] and score["bleu"]["corpus"] is not None:
        lines.append(
            f"BLEU {score['bleu']['corpus']:.2f}, corpus level against all solutions: {score['bleu']['signature']}"
        )
    limits = score["limits"]
    levels = ", ".join(score["isolation"]) or "nothing was run"
    each = f"{limits['cpu_s']:g} s of processor time and {limits['memory_bytes'] >> 20} MiB"
    return [*lines, f"sandbox level: {levels}; a test may use {each}"]


def kept_note(score: dict[str, Any]) -> str:
    """How many problems count, of how many, and why the others do not."""
    kept = score["kept"]
    n, of = (kept["problems"].get("all", {}).get(key, 0) for key in ("n", "of"))
    told = f"problems kept: {n:,} of {of:,} ({_percent(n / of if of else 0.0)})"
    if kept["reasons"]:
        reasons = (f"{count:,} {reason.replace('_', ' ')}" for reason, count in _most_first(kept["reasons"]))
        told += f"; left out: {', '.join(reasons)}"
    source = f"exclusion list {kept['list']} ({kept['source']})" if kept["list"] else "no exclusion list"
    answered = f"; answered: {score['n_problems']:,}" if score["n_problems"] != n else ""
    return f"{told}; {source}{answered}"


def _most_first(counts: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
