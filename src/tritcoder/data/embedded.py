"""The problems that come with the package, so that the whole road can be walked without a download."""

import hashlib
import json
from collections.abc import Iterator
from importlib import resources
from typing import Any

from tritcoder.data.rows import Split, problem_of
from tritcoder.errors import DatasetError
from tritcoder.records import DIFFICULTIES, Problem

_HINT = "install tritcoder again"


def embedded_problems(split: Split) -> list[Problem]:
    """The embedded problems of one split, by difficulty and then as their files list them.

    Raises:
        DatasetError: the package's own files are damaged.
    """
    return [problem_of(row, where) for where, row in embedded_rows() if row.get("split") == split]


def embedded_rows() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every row of the embedded files, after the words that name its place.

    Raises:
        DatasetError: the package's own files are missing or damaged.
    """
    for difficulty in DIFFICULTIES:
        for number, line in enumerate(_text(difficulty).split("\n"), start=1):
            if line.strip():
                where = f"problems/{difficulty}.jsonl, line {number}"
                yield where, _row(line, where)


def _row(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise DatasetError(f"{where}: {error}", _HINT) from None
    if not isinstance(row, dict):
        raise DatasetError(f"{where}: expected a JSON object, found {type(row).__name__}", _HINT)
    return row


def embedded_identity() -> str:
    """16 hexadecimal digits that change with the embedded files."""
    text = "\n".join(_text(difficulty) for difficulty in DIFFICULTIES)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _text(difficulty: str) -> str:
    name = f"{difficulty}.jsonl"
    try:
        return resources.files("tritcoder.data").joinpath("problems", name).read_text(encoding="utf-8")
    except OSError:
        raise DatasetError(f"the package lacks its own file data/problems/{name}", _HINT) from None
