"""Problems of programming contests that are judged by standard input: Codeforces and CodeContests.

The rows have APPS's fields `question`, `input_output` and perhaps `solutions`, and are asked as APPS is. They have no
difficulty of APPS's three: all count as competition.

Source: agentica-project/rllm, rllm/data/test/code (both sets for evaluation); CodeContests is Li et al. 2022,
arXiv:2203.07814.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from tritcoder.data import fields, jsonl
from tritcoder.data.rows import problem_of
from tritcoder.records import Problem

_HINT = "a contest's row has the fields id, question and input_output"
_CARRIER = "\n## Categories\n"
"""Where a statement ends and what the carrying repository adds begins: its list of tests among other things."""


def read_contests(path: Path) -> list[Problem]:
    """The problems of a contest file, in its order.

    A `note` tells of problems that also occur in training data: `train_overlap`, or the id of an APPS training
    problem in `apps_train_id`. What the carrying repository has appended to a statement is cut off: it shows tests.

    Raises:
        DatasetError: the file is missing or damaged, or a row breaks the schema; names line and field.
    """
    return [_problem(row, f"{path}, line {number}") for number, row in jsonl.rows(path)]


def _problem(row: dict[str, Any], where: str) -> Problem:
    statement = fields.text(row, "question", where, _HINT).partition(_CARRIER)[0]
    schema = {
        "problem_id": fields.text(row, "id", where, _HINT),
        "question": statement,
        "solutions": row.get("solutions"),
        "input_output": row.get("input_output"),
        "difficulty": "competition",
    }
    return replace(problem_of(schema, where), note=_note(row))


def _note(row: dict[str, Any]) -> str:
    if row.get("apps_train_id") is not None:
        return f"it is APPS training problem {row['apps_train_id']}"
    return "it also occurs in a training file" if row.get("train_overlap") is True else ""
