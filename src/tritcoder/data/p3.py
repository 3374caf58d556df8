r"""Python Programming Puzzles (Schuster et al. 2021, arXiv:2106.05784): find what makes a function return True.

The published prompt ("long") shows five solved puzzles f1 ... f5 with their answers g1 ... g5, then puzzle f6 and the
head and docstring of g6, which is to be continued. So that answers mean the same wherever they are run, a problem
speaks of f6 and g6 too, where the file says `sat` and `sol`. Other parameters than the first are the instance: f6 and
g6 have the same defaults for them. An answer is right if it has the declared type and f6(g6()) is True itself.

Source: microsoft/PythonProgrammingPuzzles, solvers/codex/run_codex_experiments.py (`PREFIX_DOCSTR`, the examples),
solvers/codex/lm_solve/run.py (`get_prompts`, the stop string, one instance of each puzzle), solvers/codex/utils.py
(`test_puzzle`).
"""

import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tritcoder.data import fields, jsonl
from tritcoder.errors import DatasetError
from tritcoder.records import Problem, Prompt

_FIELDS = ("name", "sat", "ans_type", "sol_header", "sol_docstring")
_HINT = f"a puzzle's row has the fields {', '.join(_FIELDS)} and sol_bodies"
_IMPORTS = "from typing import List\n\n"

_EXAMPLES = '''def f1(s: str):
    return "Hello " + s == "Hello world"

def g1():
    """Find a string that when concatenated onto 'Hello ' gives 'Hello world'."""
    return "world"

assert f1(g1())

def f2(s: str):
    return "Hello " + s[::-1] == "Hello world"

def g2():
    """Find a string that when reversed and concatenated onto 'Hello ' gives 'Hello world'."""
    return "world"[::-1]

assert f2(g2())

def f3(x: List[int]):
    return len(x) == 2 and sum(x) == 3

def g3():
    """Find a list of two integers whose sum is 3."""
    return [1, 2]

assert f3(g3())

def f4(s: List[str]):
    return len(set(s)) == 1000 and all((x.count("a") > x.count("b")) and ('b' in x) for x in s)

def g4():
    """Find a list of 1000 distinct strings which each have more 'a's than 'b's and at least one 'b'."""
    return ["a"*(i+2)+"b" for i in range(1000)]

assert f4(g4())

def f5(n: int):
    return str(n * n).startswith("123456789")

def g5():
    """Find an integer whose perfect square begins with 123456789 in its decimal representation."""
    return int(int("123456789" + "0"*9) ** 0.5) + 1

assert f5(g5())

'''
"""The authors' own text, word for word."""

_CHECK = """{puzzle}


def has_type(value, kind):
    if kind.startswith("List["):
        return isinstance(value, list) and all(has_type(item, kind[5:-1]) for item in value)
    return type(value) is {{"bool": bool, "float": float, "int": int, "str": str}}[kind]


answer = g6()
assert has_type(answer, {kind!r}), "the answer is not of the type " + {kind!r}
assert f6(answer) is True
"""


def read_p3(path: Path) -> list[Problem]:
    """The puzzles of a file, in its order, every instance of each.

    Raises:
        DatasetError: the file is missing or damaged, or a row lacks a field; names the line.
    """
    return [_problem(row, f"{path}, line {number}") for number, row in jsonl.rows(path)]


def one_of_each(problems: Iterable[Problem]) -> list[Problem]:
    """The first instance of each puzzle (`CommonCase:0` of `CommonCase`), as the authors evaluate."""
    first: dict[str, Problem] = {}
    for problem in problems:
        first.setdefault(problem.problem_id.partition(":")[0], problem)
    return list(first.values())


def p3_prompt(problem: Problem, sample: int = 0) -> Prompt:
    """Five solved puzzles, this one, and the head of its answer."""
    return Prompt(
        text=f"{_IMPORTS}{_EXAMPLES}{problem.preamble.removeprefix(_IMPORTS)}\n\n{problem.starter_code}",
        kind="code",
        call_based=problem.call_based,
        task_id=problem.problem_id,
        sample=sample,
        stop=("\nassert",),
    )


def _problem(row: dict[str, Any], where: str) -> Problem:
    name, sat, kind, header, docstring = (fields.text(row, field, where, _HINT) for field in _FIELDS)
    puzzle = _renamed(sat, "sat", "f6", f"{where}, field sat")
    starter = f"{_renamed(header, 'sol', 'g6', f'{where}, field sol_header')}\n{docstring}"
    bodies = fields.lines(row, "sol_bodies", where, _HINT)
    words = inspect.cleandoc(docstring.strip().removeprefix('"""').removesuffix('"""'))
    return Problem(
        problem_id=name,
        question=f"{words}\nWrite g6 so that f6(g6()) is True:\n\n{puzzle}",
        solutions=tuple(f"{starter}\n{body}" for body in bodies),
        fn_name="g6",
        starter_code=starter,
        check=_CHECK.format(puzzle=puzzle, kind=_known(kind, where)),
        preamble=_IMPORTS + puzzle,
        note="" if bodies else "the data set knows no solution",
    )


def _renamed(code: str, old: str, new: str, where: str) -> str:
    if not code.startswith(f"def {old}("):
        raise DatasetError(f"{where}: expected a function that begins with 'def {old}(', found {code[:60]!r}", _HINT)
    return f"def {new}({code.removeprefix(f'def {old}(')}"


def _known(kind: str, where: str) -> str:
    inner = kind
    while inner.startswith("List[") and inner.endswith("]"):
        inner = inner[5:-1]
    if inner not in ("bool", "float", "int", "str"):
        expected = "bool, float, int, str or a list of those"
        raise DatasetError(f"{where}, field ans_type: expected {expected}, found {kind[:60]!r}", _HINT)
    return kind
