"""Problems to score, each with one program that is right: trivial ones, numpy's, the embedded ones, some of APPS."""

import os
import warnings
from dataclasses import replace
from pathlib import Path

from tritcoder.data.apps import read_problems
from tritcoder.data.config import ProblemsConfig
from tritcoder.data.embedded import embedded_problems
from tritcoder.records import Completion, Problem, TestCase


def trivial(n_problems: int, n_tests: int) -> list[Problem]:
    """Programs that add two numbers of standard input: what is measured is the scorer."""
    program = "a, b = map(int, input().split())\nprint(a + b + {number})\n"
    return [
        _problem(
            f"trivial-{number}",
            program.format(number=number),
            [TestCase(f"{n} {n * n}\n", f"{n + n * n + number}\n") for n in range(n_tests)],
        )
        for number in range(n_problems)
    ]


def trivial_calls(n_problems: int, n_tests: int) -> list[Problem]:
    """The same as functions."""
    program = "class Solution:\n    def add(self, a: int, b: int) -> int:\n        return a + b + {number}\n"
    return [
        _problem(
            f"trivial-call-{number}",
            program.format(number=number),
            [TestCase([n, n * n], [n + n * n + number]) for n in range(n_tests)],
            fn_name="add",
        )
        for number in range(n_problems)
    ]


def with_numpy(n_problems: int, n_tests: int) -> list[Problem]:
    """Programs that import numpy and use it a little."""
    program = (
        "import numpy as np\nrow = np.array(input().split(), dtype=int)\nprint(row.max(), row.sum() + {number})\n"
    )
    return [
        _problem(
            f"numpy-{number}",
            program.format(number=number),
            [TestCase(f"{n} 1 2 3\n", f"{max(n, 3)} {n + 6 + number}\n") for n in range(n_tests)],
        )
        for number in range(n_problems)
    ]


def embedded(n_problems: int, n_tests: int) -> list[Problem]:
    """The embedded problems, both splits, with a reference solution and their first tests each; 0 problems: all."""
    problems = [*embedded_problems("train"), *embedded_problems("test")][: n_problems or None]
    return [replace(_with_one_solution(problem), tests=problem.tests[:n_tests]) for problem in problems]


def apps(n_problems: int, n_tests: int) -> list[Problem]:
    """A fixed sample of APPS' training problems, from TRITCODER_DATA, with a solution by people and few tests each.

    Raises:
        DatasetError: there is no `apps-train.jsonl.gz` in that folder.
    """
    place = Path(os.environ["TRITCODER_DATA"], "apps-train.jsonl.gz")
    config = ProblemsConfig(train=str(place), train_limit=n_problems, max_tests=n_tests)
    problems = [problem for problem in read_problems(config, "train") if problem.tests and problem.solutions]
    return [_with_one_solution(problem) for problem in problems]


def completions(problems: list[Problem]) -> list[Completion]:
    """Each problem's one program, as an answer to it."""
    return [Completion(problem.problem_id, 0, problem.solutions[0], "stop") for problem in problems]


def _problem(name: str, program: str, tests: list[TestCase], fn_name: str | None = None) -> Problem:
    return Problem(name, "", solutions=(program,), tests=tuple(tests), fn_name=fn_name)


def _with_one_solution(problem: Problem) -> Problem:
    """The first solution that every rival can run to its end, or else the first.

    Not one with a main guard, which the checker in the APPS authors' way passes over, to fail it in no time.
    """
    fit = [program for program in problem.solutions if "__main__" not in program and _compiles(program)]
    return replace(problem, solutions=((fit or problem.solutions)[0],))


def _compiles(program: str) -> bool:
    """Whether this interpreter's grammar has it; many of APPS' solutions are for Python 2."""
    try:
        with warnings.catch_warnings(action="ignore"):
            compile(program, "solution", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return False
    return True
