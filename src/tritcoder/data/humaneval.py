"""HumanEval (Chen et al. 2021, arXiv:2107.03374) and HumanEval+, from their own .jsonl[.gz] files."""

import ast
import inspect
from pathlib import Path
from typing import Any

from tritcoder.data import jsonl
from tritcoder.data.filters import syntax_tree
from tritcoder.errors import DatasetError
from tritcoder.records import Problem

_FIELDS = ("task_id", "prompt", "entry_point", "canonical_solution", "test")


def read_humaneval(path: Path) -> list[Problem]:
    """The problems of a HumanEval file, in its order.

    `starter_code` is the prompt as it stands (imports, signature, docstring), `question` the docstring's text,
    `check` the tests and the line that calls them, and the one solution a whole program.

    Raises:
        DatasetError: the file is missing or damaged, or a row lacks a field; names the line.
    """
    return [_problem(row, f"{path}, line {number}") for number, row in jsonl.rows(path)]


def _problem(row: dict[str, Any], where: str) -> Problem:
    for name in _FIELDS:
        if not isinstance(row.get(name), str) or not row[name].strip():
            raise DatasetError(
                f"{where}, field {name}: expected text, found {type(row.get(name)).__name__}",
                f"a HumanEval row has the fields {', '.join(_FIELDS)}",
            )
    prompt, entry_point = row["prompt"], row["entry_point"]
    return Problem(
        problem_id=row["task_id"],
        question=_docstring(prompt, entry_point) or prompt.strip(),
        solutions=(prompt + row["canonical_solution"],),
        fn_name=entry_point,
        starter_code=prompt,
        check=f"{row['test'].strip()}\n\ncheck({entry_point})\n",
    )


def _docstring(prompt: str, entry_point: str) -> str:
    """The words with which a prompt describes its function; empty when they are not found."""
    tree = syntax_tree(prompt)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)] if tree else []
    described = [node for node in functions if node.name == entry_point]
    return inspect.cleandoc(ast.get_docstring(described[-1], clean=False) or "") if described else ""
