"""The terminal's picture of a calibration: what the human solutions came to, and which problems cannot be used."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from tritcoder.cli.score_table import difficulty_lines

if TYPE_CHECKING:
    from tritcoder.evaluate.calibration import Calibration

_SHOWN = 20


def as_table(found: "Calibration", title: str, n_problems: int, path: Path) -> str:
    """Scores of the first solutions by both comparisons, problems kept, and the first of those left out."""
    from tritcoder.evaluate.calibration import REASONS

    firsts, excluded = found.first_solutions, found.exclusions.excluded
    kept = n_problems - len(excluded)
    share = 100 * kept / n_problems if n_problems else 0.0
    lines = [
        f"human solutions of {title}: the first of each problem that has tests",
        "",
        *difficulty_lines(firsts),
        "",
        "percent, with 95 % intervals over problems; (apps): by the APPS authors' comparison; the two differ on"
        f" {100 * firsts['comparers_differ']:.2f} % of the tests",
        f"problems kept: {kept:,} of {n_problems:,} ({share:.2f} %): {found.verified:,} of which a solution passes"
        f" every test, {found.unverified:,} without a solution to try",
    ]
    counts = Counter(row.reason for row in excluded.values())
    lines += [f"left out: {n:,}, as {REASONS[reason]} ({reason})" for reason, n in counts.most_common()]
    told = [(name, row) for name, row in excluded.items() if row.detail]
    lines += ["", *(f"  {name} ({row.difficulty}): {row.detail}" for name, row in told[:_SHOWN])]
    if len(told) > _SHOWN:
        lines.append(f"  ... and {len(told) - _SHOWN:,} more in the list")
    levels = ", ".join(found.isolation) or "nothing was run"
    return "\n".join([*lines, "", f"exclusion list {found.exclusions.digest}: {path}; sandbox level: {levels}"])
