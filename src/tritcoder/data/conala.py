r"""CoNaLa (Yin et al. 2018, arXiv:1805.08949): one line of Python for an intent; there is nothing to run.

Answers are compared with the reference snippet, by BLEU. The published prompt shows two solved intents, each part
followed by the 19 spaces that the authors' source has there, and ends at the first line feed.

Source: bigcode-project/bigcode-evaluation-harness, bigcode_eval/tasks/conala.py (`two_shot_prompt`, `get_prompt`) and
few_shot_examples/conala_few_shot_prompts.json beside it.
"""

from pathlib import Path
from typing import Any

from tritcoder.data import fields, jsonl
from tritcoder.records import Problem, Prompt

_HINT = "a CoNaLa row has the fields intent, rewritten_intent (or null), snippet and question_id"
_EXAMPLES = (
    ("convert a list of integers into a single integer", "r = int(''.join(map(str, x)))"),
    ("how to convert a datetime string back to datetime object?", "datetime.datetime.strptime(str, '%m/%d/%Y')"),
)
_GAP = " " * 19


def read_conala(path: Path) -> list[Problem]:
    """The intents of a CoNaLa file, in its order, each with the snippet as its one solution and without tests.

    The rewritten intent, which names the variables, is asked where there is one. Ids repeat in the file: the second
    one is `CoNaLa/41067960.2`.

    Raises:
        DatasetError: the file is missing or damaged, or a row lacks a field; names the line.
    """
    rows = [(row, f"{path}, line {number}") for number, row in jsonl.rows(path)]
    names = fields.distinct(f"CoNaLa/{fields.number(row, 'question_id', where, _HINT)}" for row, where in rows)
    return [_problem(name, row, where) for name, (row, where) in zip(names, rows, strict=True)]


def conala_prompt(problem: Problem, sample: int = 0) -> Prompt:
    """Two solved intents, and this one; the answer is one line."""
    shown = "".join(f"\nInstruction:\n{asked}{_GAP}\nSolution:\n{answer}{_GAP}" for asked, answer in _EXAMPLES)
    asked = f"\nInstruction:\n{problem.question}{_GAP}\nSolution:\n"
    return Prompt(
        text=f"Answer the following instructions in one line of Python code:\n{shown}{asked}",
        kind="message",
        task_id=problem.problem_id,
        sample=sample,
        stop=("\n",),
    )


def _problem(name: str, row: dict[str, Any], where: str) -> Problem:
    rewritten = fields.text(row, "rewritten_intent", where, _HINT, optional=True)
    intent = fields.text(row, "intent", where, _HINT)
    return Problem(
        problem_id=name,
        question=(rewritten.strip() or intent.strip()),
        solutions=(fields.text(row, "snippet", where, _HINT),),
        url=f"https://stackoverflow.com/questions/{row['question_id']}",
    )
