"""MBPP (Austin et al. 2021, arXiv:2108.07732): the full file, the sanitized part and MBPP+."""

import ast
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from tritcoder.data import jsonl
from tritcoder.data.filters import syntax_tree
from tritcoder.errors import DatasetError
from tritcoder.records import Problem

MbppSplit = Literal["prompt", "test", "validation", "train"]

_SPLITS: tuple[tuple[int, MbppSplit], ...] = ((10, "prompt"), (510, "test"), (600, "validation"), (974, "train"))
"""The last task of each part, as the paper's appendix numbers them."""

_HINT = "an MBPP row has the fields task_id, text or prompt, code and test_list"


def read_mbpp(path: Path, split: MbppSplit | None = None) -> list[Problem]:
    """The problems of an MBPP file, in its order; of one published split, or all.

    As the paper does, `question` shows the three tests after the words, for the function's name stands nowhere
    else. `check` holds the same tests, or MBPP+'s program of more; `challenge_test_list` is not asked for.

    Raises:
        DatasetError: the file is missing or damaged, or a row lacks a field; names the line.
    """
    rows = [(row, f"{path}, line {number}") for number, row in jsonl.rows(path)]
    return [_problem(row, where) for row, where in rows if split in (None, _split(_task_id(row, where)))]


def _split(task_id: int) -> MbppSplit:
    return next((name for last, name in _SPLITS if task_id <= last), "train")


def _problem(row: dict[str, Any], where: str) -> Problem:
    words = _text(row, "text" if "text" in row else "prompt", where)
    code = _text(row, "code", where).replace("\r\n", "\n")
    tests = _lines(row, "test_list", where)
    setup = [*_lines(row, "test_imports", where), _text(row, "test_setup_code", where, optional=True)]
    program = _text(row, "test", where, optional=True) or "\n".join([*filter(None, setup), *tests])
    if not tests:
        raise DatasetError(f"{where}, field test_list: expected at least one test, found none", _HINT)
    shown = "\n".join(tests)
    return Problem(
        problem_id=f"MBPP/{_task_id(row, where)}",
        question=f"{words.strip()}\nYour code should pass these tests:\n{shown}",
        solutions=(code,),
        fn_name=_called(tests, code),
        check=program.replace("\r\n", "\n").strip() + "\n",
    )


def _task_id(row: dict[str, Any], where: str) -> int:
    value = row.get("task_id")
    text = str(value).removeprefix("Mbpp/")
    if isinstance(value, bool) or not text.isdecimal():
        raise DatasetError(f"{where}, field task_id: expected a number, found {str(value)[:80]!r}", _HINT)
    return int(text[:12])


def _text(row: dict[str, Any], name: str, where: str, optional: bool = False) -> str:
    value = row.get(name)
    if optional and value is None:
        return ""
    if not isinstance(value, str) or not (optional or value.strip()):
        raise DatasetError(f"{where}, field {name}: expected text, found {type(value).__name__}", _HINT)
    return value


def _lines(row: dict[str, Any], name: str, where: str) -> list[str]:
    value = row.get(name, [])
    if not isinstance(value, list) or not all(isinstance(line, str) for line in value):
        raise DatasetError(f"{where}, field {name}: expected a list of lines, found {str(value)[:80]!r}", _HINT)
    return value


def _called(tests: Sequence[str], code: str) -> str | None:
    """The function of the reference program that the tests call; None when they call none of its."""
    program, checks = syntax_tree(code), [syntax_tree(test) for test in tests]
    if program is None or None in checks:
        return None
    defined = {node.name for node in ast.walk(program) if isinstance(node, ast.FunctionDef)}
    nodes = [node for tree in checks if tree for node in ast.walk(tree)]
    calls = (node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name))
    return next((name for name in calls if name in defined), None)
