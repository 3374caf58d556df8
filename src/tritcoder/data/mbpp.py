r"""MBPP (Austin et al. 2021, arXiv:2108.07732): the full file, the sanitized part and MBPP+.

The published prompt shows three solved tasks before the one that is asked, each as

    You are an expert Python programmer, and here is your task: {words} Your code should pass these tests:\n\n
    {tests}\n[BEGIN]\n{code}\n[DONE]

Source: google-research/google-research, mbpp/README.md (the form, and that tasks 2, 3 and 4 are shown); the blank
line between tasks is that of EleutherAI/lm-evaluation-harness, lm_eval/tasks/mbpp/mbpp.yaml. MBPP+ has a prompt of
its own, a docstring of the words and the first test: bigcode-project/bigcode-evaluation-harness,
bigcode_eval/tasks/mbppplus.py, written by the authors of EvalPlus.
"""

import ast
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from tritcoder.data import fields, jsonl
from tritcoder.data.filters import syntax_tree
from tritcoder.data.humaneval import EVALPLUS_STOPS
from tritcoder.errors import DatasetError
from tritcoder.records import Problem, Prompt

MbppSplit = Literal["prompt", "test", "validation", "train"]

EXAMPLE_TASKS = ("MBPP/2", "MBPP/3", "MBPP/4")
"""The tasks that the published prompt shows solved."""

_SPLITS: tuple[tuple[int, MbppSplit], ...] = ((10, "prompt"), (510, "test"), (600, "validation"), (974, "train"))
"""The last task of each part, as the paper's appendix numbers them."""

_HINT = "an MBPP row has the fields task_id, text or prompt, code and test_list"
_BEFORE_TESTS = "\nYour code should pass these tests:\n"


def read_mbpp(path: Path, split: MbppSplit | None = None) -> list[Problem]:
    """The problems of an MBPP file, in its order; of one published split, or all.

    As the paper does, `question` shows the three tests after the words, for the function's name stands nowhere
    else. `check` holds the same tests, or MBPP+'s program of more; `challenge_test_list` is not asked for.

    Raises:
        DatasetError: the file is missing or damaged, or a row lacks a field; names the line.
    """
    rows = [(row, f"{path}, line {number}") for number, row in jsonl.rows(path)]
    return [_problem(row, where) for row, where in rows if split in (None, _split(_task_id(row, where)))]


def split_of(problem: Problem) -> MbppSplit:
    """The published split of a task, by its number."""
    return _split(int(problem.problem_id.removeprefix("MBPP/")))


def few_shot_prompt(examples: Sequence[Problem], problem: Problem, sample: int = 0) -> Prompt:
    """The paper's prompt for a task, after solved examples; the answer ends at [DONE]."""
    solved = "".join(f"{_asked(example)}{example.solutions[0]}\n[DONE]\n\n" for example in examples)
    return Prompt(
        text=solved + _asked(problem),
        kind="message",
        call_based=problem.call_based,
        task_id=problem.problem_id,
        sample=sample,
        stop=("[DONE]",),
    )


def docstring_prompt(problem: Problem, sample: int = 0) -> Prompt:
    """EvalPlus's prompt for a task of MBPP+: a docstring of the words and the first test, to be continued."""
    words, _, tests = problem.question.partition(_BEFORE_TESTS)
    first = tests.partition("\n")[0]
    return Prompt(
        text=f'"""\n{words}\n{first}\n"""\n',
        kind="code",
        call_based=problem.call_based,
        task_id=problem.problem_id,
        sample=sample,
        stop=(*EVALPLUS_STOPS, '\n"""', "\nassert"),
    )


def _asked(problem: Problem) -> str:
    words, _, tests = problem.question.partition(_BEFORE_TESTS)
    return (
        f"You are an expert Python programmer, and here is your task: {words} "
        f"Your code should pass these tests:\n\n{tests}\n[BEGIN]\n"
    )


def _split(task_id: int) -> MbppSplit:
    return next((name for last, name in _SPLITS if task_id <= last), "train")


def _problem(row: dict[str, Any], where: str) -> Problem:
    words = fields.text(row, "text" if "text" in row else "prompt", where, _HINT)
    code = fields.text(row, "code", where, _HINT).replace("\r\n", "\n")
    tests = fields.lines(row, "test_list", where, _HINT)
    setup = [
        *fields.lines(row, "test_imports", where, _HINT),
        fields.text(row, "test_setup_code", where, _HINT, optional=True),
    ]
    program = fields.text(row, "test", where, _HINT, optional=True) or "\n".join([*filter(None, setup), *tests])
    if not tests:
        raise DatasetError(f"{where}, field test_list: expected at least one test, found none", _HINT)
    shown = "\n".join(tests)
    return Problem(
        problem_id=f"MBPP/{_task_id(row, where)}",
        question=f"{words.strip()}{_BEFORE_TESTS}{shown}",
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


def _called(tests: Sequence[str], code: str) -> str | None:
    """The function of the reference program that the tests call; None when they call none of its."""
    program, checks = syntax_tree(code), [syntax_tree(test) for test in tests]
    if program is None or None in checks:
        return None
    defined = {node.name for node in ast.walk(program) if isinstance(node, ast.FunctionDef)}
    nodes = [node for tree in checks if tree for node in ast.walk(tree)]
    calls = (node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name))
    return next((name for name in calls if name in defined), None)
