"""Benchmarks that come with code to check an answer (HumanEval, MBPP and their like): how answer and check are run.

As published, answer and check are one program, in one process. There an answer can feign success: return an object
that is equal to everything, or end the process where the check would begin. So here the check runs in a process of
its own and asks the answer's function for values, which travel as plain data (`Jail.examine`). Where the reference
solution itself does not pass that way (values of classes of its own, arguments that are functions), answer and check
are run as published, and the result says so.
"""

import ast
import hashlib
import re
import textwrap
from dataclasses import replace

from tritcoder.records import Problem
from tritcoder.sandbox.execution import Execution


def checked_program(problem: Problem, code: str) -> str:
    """Preamble, starter code and answer, without the check."""
    body = _continued(problem.starter_code, code, problem.fn_name)
    return f"{problem.preamble.rstrip()}\n\n{body}" if problem.preamble else body


def with_check(problem: Problem, program: str) -> str:
    """Answer and check as one program, as published, with a line that proves that the end was reached.

    Without it `sys.exit()` before the check would pass.
    """
    return f"{program}\n\n{problem.check}\n\n{_proving(problem)}"


def stands_alone(problem: Problem) -> bool:
    """Whether the check is a program by itself, and names a function: it may begin with the end of the answer's."""
    return problem.fn_name is not None and _is_whole(problem.check)


def examiner(problem: Problem) -> str:
    """The check as a program of its own, in which the function's name stands for the answer's function.

    What the starter code defines besides is there, as the check may use it.
    """
    name = problem.fn_name or ""
    starter = problem.starter_code if _is_whole(problem.starter_code) else ""
    before = "\n\n".join(filter(None, (problem.preamble.rstrip(), textwrap.dedent(starter).rstrip())))
    bound = f"{name} = __candidate__\nclass Solution:\n    {name} = staticmethod(__candidate__)\n"
    return f"{before}\n\n{bound}\n{problem.check}\n\n{_proving(problem)}"


def is_proven(problem: Problem, execution: Execution) -> bool:
    """Whether the check came to its end."""
    return execution.ended == "finished" and _proof(problem) in execution.stdout


def combined(answer: Execution, examination: Execution) -> Execution:
    """One account of an answer and its examiner: the answer's costs, and how it came to end."""
    if examination.ended == "finished" or "sandbox_failed" in (answer.ended, examination.ended):
        ended = "sandbox_failed" if answer.ended == "sandbox_failed" else examination.ended
        return replace(answer, ended=ended, stdout=examination.stdout, error=examination.error)
    if answer.ended != "finished":  # it was stopped, or failed before it was asked anything
        return answer
    error = examination.error.removeprefix("inside.link.CandidateError: ")
    return replace(answer, ended=examination.ended, stdout=examination.stdout, error=error)


def _continued(starter: str, code: str, fn_name: str | None = None) -> str:
    """The starter code with the answer after it, be the answer its continuation or a program of its own."""
    if not starter:
        return code
    if not starter.endswith("\n"):
        return _line_continued(starter, code, fn_name)
    first = next((line for line in code.splitlines() if line.strip()), "")
    if first[:1] in (" ", "\t"):
        return starter + code
    if _is_whole(starter):
        return f"{starter.rstrip()}\n\n{code}"
    return code


def _line_continued(starter: str, code: str, fn_name: str | None) -> str:
    """The same for starter code that breaks off within a line: ODEX's `return `, or a docstring's last line.

    An answer that defines the function itself stands alone. One that begins by writing the broken line, or its
    indentation, once more (as chat models do, in their fences) replaces it; any other continues it.
    """
    if fn_name and re.search(rf"^(?:async )?def {re.escape(fn_name)}\b", code, re.MULTILINE):
        return code
    before, _, broken = starter.rpartition("\n")
    indent = broken[: len(broken) - len(broken.lstrip())]
    if broken[-1:].isspace():
        if broken.strip() and code.lstrip().startswith(broken.strip() + " "):
            return f"{before}\n{indent}{code.lstrip()}"
        return f"{before}\n{code}" if not broken.strip() and code.startswith(indent) else starter + code
    return f"{starter}\n{code}" if code[:1] in (" ", "\t") else starter + code


def _is_whole(starter: str) -> bool:
    """Whether the starter code (from the data set, not from a model) is a program as it stands."""
    try:
        ast.parse(textwrap.dedent(starter))
    except (SyntaxError, ValueError):
        return False
    return True


def _proving(problem: Problem) -> str:
    return f"__import__('os').write(1, b'{_proof(problem)}')\n"


def _proof(problem: Problem) -> str:
    return "reached-" + hashlib.sha256(problem.check.encode(errors="replace")).hexdigest()[:24]
