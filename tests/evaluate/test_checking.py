"""Benchmarks with check code: apart where that can be, together and said so where it cannot."""

import threading
from typing import Any

import pytest

from tritcoder.errors import SandboxError
from tritcoder.evaluate.judging import Judge, program_for
from tritcoder.evaluate.scoring import score
from tritcoder.records import Completion, Problem, TestResult, Verdict
from tritcoder.sandbox.jail import best_level
from tritcoder.sandbox.limits import Limits

HEAD = 'def twice(x):\n    """Twice x."""\n'
CHECK = "def check(candidate):\n    assert candidate(2) == 4\n    assert candidate([1]) == [1, 1]\n\ncheck(twice)\n"
APART = Problem("H/0", "Twice x.", (f"{HEAD}    return x + x\n",), fn_name="twice", starter_code=HEAD, check=CHECK)
HELPED = Problem(
    "H/1",
    "Apply.",
    ("def helper(x):\n    return x + 1\n\ndef f(x):\n    return helper(x)\n",),
    fn_name="f",
    starter_code="def helper(x):\n    return x + 1\n\ndef f(x):\n    '''One more.'''\n",
    check="assert f(1) == helper(1)\n",
)
TOGETHER = Problem(
    "M/1",
    "A pair.",
    ("class Pair:\n    def __init__(self, a):\n        self.a = a\ndef f(p):\n    return p.a\n",),
    fn_name="f",
    check="assert f(Pair(3)) == 3\n",
)
SOLUTION = Problem(
    "L/1", "Twice.", (), fn_name="twice", check="def check(f):\n    assert f(x=3) == 6\n\ncheck(Solution().twice)\n"
)


@pytest.fixture(scope="module", autouse=True)
def _needs_a_jail() -> None:
    try:
        best_level()
    except SandboxError as error:
        pytest.skip(str(error))


def result(problem: Problem, text: str) -> TestResult:
    outcomes = score({problem.problem_id: problem}, [Completion(problem.problem_id, 0, text, "stop")])
    return outcomes[0].results[0]


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (APART, "    return x * 2\n"),
        (APART, "def twice(x):\n    return x * 2\n"),
        (APART, f"```python\n{HEAD}    return x * 2\n\nif __name__ == '__main__':\n    twice(input())\n```"),
        (HELPED, "    return helper(x)\n"),
        (SOLUTION, "class Solution:\n    def twice(self, x):\n        return x * 2\n"),
    ],
)
def test_right_answers_pass_with_the_check_apart(problem: Problem, text: str) -> None:
    found = result(problem, text)
    assert (found.verdict, found.tests_inside, found.apps_lenient) == (Verdict.PASSED, False, True), found.error


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("    return 4\n", Verdict.WRONG_ANSWER),
        ("    return x / 0\n", Verdict.RUNTIME_ERROR),
        ("    return (\n", Verdict.SYNTAX_ERROR),
        ("    while True: pass\n", Verdict.TIME_LIMIT),
        ("    raise SystemExit(0)\n", Verdict.RUNTIME_ERROR),
        ("    import os\n    os._exit(0)\n", Verdict.RUNTIME_ERROR),
        ("    class A:\n        __eq__ = lambda s, o: True\n    return A()\n", Verdict.RUNTIME_ERROR),
        (
            "    import os, sys\n    f = sys._getframe()\n    while f:\n        for c in f.f_code.co_consts:\n"
            "            if isinstance(c, bytes) and b'reached' in c: os.write(1, c)\n        f = f.f_back\n"
            "    os._exit(0)\n",
            Verdict.RUNTIME_ERROR,
        ),
    ],
)
def test_wrong_answers_and_feigned_success_do_not_pass(text: str, verdict: Verdict) -> None:
    problem = APART
    outcomes = score({"H/0": problem}, [Completion("H/0", 0, text, "stop")], limits=Limits(cpu_s=0.5, wall_s=60))
    assert outcomes[0].results[0].verdict is verdict
    assert not outcomes[0].results[0].tests_inside


def test_a_check_that_needs_the_answers_own_classes_runs_with_it_and_says_so() -> None:
    right = result(TOGETHER, TOGETHER.solutions[0])
    assert (right.verdict, right.tests_inside) == (Verdict.PASSED, True)
    wrong = result(TOGETHER, TOGETHER.solutions[0].replace("return p.a", "return 0"))
    assert (wrong.verdict, wrong.tests_inside) == (Verdict.WRONG_ANSWER, True)


def test_without_a_reference_the_check_runs_apart() -> None:
    assert not result(SOLUTION, "class Solution:\n    def twice(self, x): return 0\n").tests_inside


def test_expected_values_are_not_in_the_answers_process(jails: Any) -> None:
    judge = Judge(jails, Limits(), threading.Event())
    judge.judge(APART, program_for(APART, "    return x * 2\n"))
    programs = [program for program, _ in jails.log if "return x * 2" in program]
    assert programs
    assert not any("assert" in program for program in programs)
