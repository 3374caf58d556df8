"""The scorer and the real jail together; passed over where no jail can be had."""

import pytest

from tritcoder.errors import SandboxError
from tritcoder.evaluate.scoring import score
from tritcoder.records import Completion, Problem, TestCase
from tritcoder.sandbox.jail import best_level
from tritcoder.sandbox.limits import Limits

PROBLEMS = {
    "sum": Problem("sum", "Add.", tests=(TestCase("1 2\n", "3\n"), TestCase("4 5\n", "9\n"))),
    "call": Problem("call", "Pairs.", tests=(TestCase([1], [[1, 2]]), TestCase([2], [[2, 3]])), fn_name="pair"),
    "check": Problem("check", "Twice.", check="assert twice(2) == 4"),
}
CASES = {
    "right": ("sum", "print(sum(map(int, input().split())))", ["passed", "passed"]),
    "constant": ("sum", "print(3)", ["passed", "wrong_answer"]),
    "raises": ("sum", "1 / 0", ["runtime_error", "runtime_error"]),
    "exits": ("sum", "import sys\nprint(3)\nsys.exit()", ["passed", "wrong_answer"]),
    "loops": ("sum", "while True: pass", ["time_limit", "time_limit"]),
    "broken": ("sum", "print(", ["syntax_error", "syntax_error"]),
    "method": ("call", "class Solution:\n def pair(self, n: int) -> List[int]:\n  return n, n + 1", ["passed"] * 2),
    "checked": ("check", "def twice(x):\n    return 2 * x", ["passed"]),
    "exits early": ("check", "def twice(x):\n    return 0\nraise SystemExit", ["wrong_answer"]),
    "exits hard": ("check", "import os\nos._exit(0)", ["wrong_answer"]),
}


@pytest.fixture(scope="module", autouse=True)
def _jail() -> None:
    try:
        best_level()
    except SandboxError as error:
        pytest.skip(error.message)


def test_verdicts_of_real_programs_worked_by_hand() -> None:
    given = [Completion(name, place, text, "stop") for place, (name, text, _) in enumerate(CASES.values())]
    outcomes = score(PROBLEMS, given, workers=2, limits=Limits(cpu_s=0.5, wall_s=5.0))
    found = [[str(result.verdict) for result in outcome.results] for outcome in outcomes]
    assert dict(zip(CASES, found, strict=True)) == {name: expected for name, (_, _, expected) in CASES.items()}
    assert all(outcome.isolation for outcome in outcomes)
