"""LeetCodeDataset (Xia et al. 2025, arXiv:2504.14655): problems with a `class Solution` and assertions.

The published prompt is a whole message, statement, starter code and form of the answer, and is the file's `question`
as it stands. A program is run as the authors run it: their imports and node classes, the answer, the test, its call.

Some of their imports need sortedcontainers. Where it is not installed, as in the jail, these problems are judged
without it, and say so in a note: most answers do not use it.

Source: newfacade/LeetCodeDataset, README.md ("Data Fields": `query` is our `question`, `prompt` our `preamble`).
"""

import re
import sys
from pathlib import Path
from typing import Any

from tritcoder.data import fields, jsonl
from tritcoder.errors import DatasetError
from tritcoder.records import Difficulty, Problem, Prompt

_FIELDS = ("task_id", "question", "preamble", "solution", "entry_point", "test", "difficulty")
_HINT = f"a LeetCode row has the fields {', '.join(_FIELDS)}"
_DIFFICULTIES: dict[str, Difficulty] = {"Easy": "introductory", "Medium": "interview", "Hard": "competition"}
_IMPORT = re.compile(r"^(?:from|import) +(\w+).*$", re.MULTILINE)


def read_leetcode(path: Path) -> list[Problem]:
    """The problems of a LeetCodeDataset file, in its order; Easy, Medium and Hard become APPS's three difficulties.

    Raises:
        DatasetError: the file is missing or damaged, or a row lacks a field; names the line.
    """
    return [_problem(row, f"{path}, line {number}") for number, row in jsonl.rows(path)]


def leetcode_prompt(problem: Problem, sample: int = 0) -> Prompt:
    """The authors' message, word for word; they name no stop strings."""
    return Prompt(
        text=problem.question,
        kind="message",
        call_based=problem.call_based,
        task_id=problem.problem_id,
        sample=sample,
    )


def _problem(row: dict[str, Any], where: str) -> Problem:
    task_id, question, preamble, solution, entry_point, test, level = (
        fields.text(row, name, where, _HINT) for name in _FIELDS
    )
    if level not in _DIFFICULTIES:
        expected = ", ".join(_DIFFICULTIES)
        raise DatasetError(f"{where}, field difficulty: expected one of {expected}, found {level[:80]!r}", _HINT)
    return Problem(
        problem_id=task_id,
        question=question,
        solutions=(solution,),
        fn_name=entry_point.rpartition(".")[2],
        difficulty=_DIFFICULTIES[level],
        url=f"https://leetcode.com/problems/{task_id}/",
        check=f"{test.strip()}\n\ncheck({entry_point})\n",
        preamble=_IMPORT.sub(_tolerant, preamble),
        note=_note(sorted(set(_IMPORT.findall(preamble)) - sys.stdlib_module_names)),
    )


def _tolerant(line: re.Match[str]) -> str:
    """The import, passed over where the package is not there; those of the standard library as they are."""
    if line[1] in sys.stdlib_module_names:
        return line[0]
    return f"try:\n    {line[0]}\nexcept ImportError:\n    pass"


def _note(packages: list[str]) -> str:
    return f"its authors offer {' and '.join(packages)}, which the jail does not have" if packages else ""
