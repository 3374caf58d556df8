"""HumanEval (Chen et al. 2021, arXiv:2107.03374) and HumanEval+, from their own .jsonl[.gz] files.

The published prompt is the file's own, to be continued. Writing stops where the function is over: Chen et al. name
five such strings in section 2; the list here is the one that code models are compared with since.

Source: bigcode-project/bigcode-evaluation-harness, bigcode_eval/tasks/humaneval.py (`humaneval-unstripped`, and its
stop words but a model's own token). HumanEval+: evalplus/evalplus, evalplus/codegen.py (white space around the prompt
is taken off) and evalplus/provider/utility.py (the stop words, again without those of particular models).
"""

import ast
import inspect
from pathlib import Path
from typing import Any

from tritcoder.data import fields, jsonl
from tritcoder.data.filters import syntax_tree
from tritcoder.records import Problem, Prompt

_FIELDS = ("task_id", "prompt", "entry_point", "canonical_solution", "test")

HUMANEVAL_STOPS = ("\nclass", "\ndef", "\n#", "\n@", "\nprint", "\nif", "\n```")
EVALPLUS_STOPS = ("\nif __name__", "\ndef main(", "\nprint(")
"""What ends every direct completion of EvalPlus; each of its data sets adds more."""
_PLUS_STOPS = (*EVALPLUS_STOPS, "\ndef ", "\nclass ", "\nimport ", "\nfrom ", "\nassert ")


def read_humaneval(path: Path) -> list[Problem]:
    """The problems of a HumanEval file, in its order.

    `starter_code` is the prompt as it stands (imports, signature, docstring), `question` the docstring's text,
    `check` the tests and the line that calls them, and the one solution a whole program.

    Raises:
        DatasetError: the file is missing or damaged, or a row lacks a field; names the line.
    """
    return [_problem(row, f"{path}, line {number}") for number, row in jsonl.rows(path)]


def humaneval_prompt(problem: Problem, sample: int = 0) -> Prompt:
    """The beginning of the function as HumanEval has it, to be continued to the function's end."""
    return _continue(problem, sample, problem.starter_code, HUMANEVAL_STOPS)


def humaneval_plus_prompt(problem: Problem, sample: int = 0) -> Prompt:
    """The same as EvalPlus asks it: no blank lines before, one line feed after."""
    return _continue(problem, sample, problem.starter_code.strip() + "\n", _PLUS_STOPS)


def _continue(problem: Problem, sample: int, text: str, stop: tuple[str, ...]) -> Prompt:
    return Prompt(
        text=text,
        kind="code",
        call_based=problem.call_based,
        task_id=problem.problem_id,
        sample=sample,
        stop=stop,
    )


def _problem(row: dict[str, Any], where: str) -> Problem:
    hint = f"a HumanEval row has the fields {', '.join(_FIELDS)}"
    task_id, prompt, entry_point, solution, test = (fields.text(row, name, where, hint) for name in _FIELDS)
    return Problem(
        problem_id=task_id,
        question=_docstring(prompt, entry_point) or prompt.strip(),
        solutions=(prompt + solution,),
        fn_name=entry_point,
        starter_code=prompt,
        check=f"{test.strip()}\n\ncheck({entry_point})\n",
    )


def _docstring(prompt: str, entry_point: str) -> str:
    """The words with which a prompt describes its function; empty when they are not found."""
    tree = syntax_tree(prompt)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)] if tree else []
    described = [node for node in functions if node.name == entry_point]
    return inspect.cleandoc(ast.get_docstring(described[-1], clean=False) or "") if described else ""
