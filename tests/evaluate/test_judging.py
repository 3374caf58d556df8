import threading
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from tritcoder.errors import InterruptedRunError, SandboxError
from tritcoder.evaluate.judging import Judge, program_for
from tritcoder.records import Problem, TestCase, Verdict
from tritcoder.sandbox.execution import Execution
from tritcoder.sandbox.limits import Limits

ADD = Problem("add", "Add.", tests=(TestCase("1\n2\n", "3\n"), TestCase("5\n5\n", "10\n")))
CALLED = Problem("twice", "Double.", fn_name="twice", tests=(TestCase([3], [6]), TestCase([5], [10])))
CHECKED = Problem("HumanEval/0", "def f(x):\n", check="assert f(2) == 4\nassert f(3) == 6\n")


def verdicts(problem: Problem, text: str, jails: Any) -> list[str]:
    judge = Judge(jails, Limits(), threading.Event())
    results = judge.judge(problem, program_for(problem, text))
    judge.close()
    return [str(result.verdict) for result in results]


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("print(int(input()) + int(input()))", ["passed", "passed"]),
        ("Here:\n```python\nprint(int(input()) + int(input()))\n```", ["passed", "passed"]),
        ("print(3)", ["passed", "wrong_answer"]),
        ("", ["wrong_answer", "wrong_answer"]),
        ("print(1 / 0)", ["runtime_error", "runtime_error"]),
        ("print(3)\nraise SystemExit", ["passed", "wrong_answer"]),
        ("print(", ["syntax_error", "syntax_error"]),
        ("end('time_limit')", ["time_limit", "time_limit"]),
        ("end('memory_limit')", ["memory_limit", "memory_limit"]),
        ("end('output_limit')", ["output_limit", "output_limit"]),
        ("end('sandbox_failed')", ["sandbox_failed", "sandbox_failed"]),
        ("print(3)\nend('time_limit')", ["time_limit", "time_limit"]),
    ],
)
def test_verdicts_of_programs_worked_by_hand(program: str, expected: Any, jails: Any) -> None:
    assert verdicts(ADD, program, jails) == expected


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("def twice(x):\n    return 2 * x", ["passed", "passed"]),
        ("def twice(x: int) -> List[int]:\n    return [2 * x]", ["wrong_answer", "wrong_answer"]),
        ("def twice(x: Optional[int]):\n    return int(floor(2 * x + sqrt(0)))", ["passed", "passed"]),
        ("from __future__ import annotations\ndef twice(x: Nothing):\n    return 2 * x", ["passed", "passed"]),
        ("def twice(x):\n    return np.int64(2 * x).item()", ["passed", "passed"]),
        ("def other(x):\n    return 2 * x", ["runtime_error", "runtime_error"]),
    ],
)
def test_verdicts_of_functions_worked_by_hand(program: str, expected: Any, jails: Any) -> None:
    assert verdicts(CALLED, program, jails) == expected


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("def f(x):\n    return 2 * x", "passed"),
        ("def f(x):\n    return 2 * x\nprint('hello')", "passed"),
        ("def f(x):\n    return 4", "wrong_answer"),
        ("def f(x):\n    return 1 / 0", "runtime_error"),
        ("def f(x):\n    return 4\nraise SystemExit(0)", "wrong_answer"),
        ("def f(x):\n    raise SystemExit(0)", "wrong_answer"),
        ("def f(x):", "syntax_error"),
    ],
)
def test_a_checked_program_passes_only_at_its_end(program: str, expected: Any, jails: Any) -> None:
    assert verdicts(CHECKED, program, jails) == [expected]


def test_starter_code_is_put_before_continuations_and_kept_for_whole_answers(jails: Any) -> None:
    starter = 'from math import floor\n\ndef f(x):\n    """Twice x."""\n'
    problem = Problem("p", starter, starter_code=starter, check=CHECKED.check)
    assert verdicts(problem, "    return floor(2 * x)\n", jails) == ["passed"]
    assert verdicts(problem, "\n    return floor(2 * x)\n", jails) == ["passed"]
    assert verdicts(problem, "def f(x):\n    return floor(2 * x)\n", jails) == ["passed"]
    unfinished = Problem("p", "", starter_code="def f(x):\n", check=CHECKED.check)
    assert verdicts(unfinished, "    return 2 * x\n", jails) == ["passed"]
    assert verdicts(unfinished, "def f(x):\n    return 2 * x\n", jails) == ["passed"]


def test_keys_that_json_made_text_of_are_numbers_again(jails: Any) -> None:
    numbered = Problem("p", "", fn_name="f", tests=(TestCase([{"1": "a", "2": "b"}], [{"1": "A", "2": "B"}]),) * 2)
    assert verdicts(numbered, "def f(d):\n    return {k: d[k].upper() for k in (1, 2)}", jails) == ["passed"] * 2
    named = Problem("p", "", fn_name="f", tests=(TestCase([{"1": 5, "x": 6}, {"1": 7}], [12]),) * 2)
    assert verdicts(named, "def f(d, e):\n    return d['1'] + e['1']", jails) == ["passed"] * 2


def test_a_single_wrapped_output_is_read_both_ways(jails: Any) -> None:
    for value in ("2 * x", "[2 * x]"):
        one = Problem("p", "", fn_name="twice", tests=(TestCase([3], [6]),))
        assert verdicts(one, f"def twice(x):\n    return {value}", jails) == ["passed"]


def test_outputs_that_are_not_all_wrapped_are_read_as_they_are(jails: Any) -> None:
    problem = Problem("p", "", fn_name="f", tests=(TestCase([1], [[1]]), TestCase([2], [[1], [2]])))
    assert verdicts(problem, "def f(n):\n    return [[k + 1] for k in range(n)]", jails) == ["passed", "passed"]
    flat = "def f(n):\n    return [1] if n == 1 else [[1], [2]]"
    assert verdicts(problem, flat, jails) == ["wrong_answer", "passed"]


def test_after_three_time_limits_the_rest_is_not_run_and_earlier_passes_stand(jails: Any) -> None:
    tests = tuple(TestCase(str(k), "ok") for k in range(8))
    program = "if int(input()) in (1, 3, 4): end('time_limit')\nprint('ok')"
    expected = ["passed", "time_limit", "passed", "time_limit", "time_limit"] + ["time_limit"] * 3
    assert verdicts(Problem("p", "", tests=tests), program, jails) == expected
    assert len(jails.log) == 5


def test_a_syntax_error_is_found_once(jails: Any) -> None:
    verdicts(ADD, "def (", jails)
    assert len(jails.log) == 1


def test_both_comparers_are_recorded(jails: Any) -> None:
    problem = Problem("p", "", tests=(TestCase("", "1 2"), TestCase("", "1.5"), TestCase("", "7")))
    judge = Judge(jails, Limits(), threading.Event())
    results = judge.judge(problem, "print('2 1')")
    assert [(result.verdict, result.apps_lenient) for result in results] == [
        (Verdict.WRONG_ANSWER, True),
        (Verdict.WRONG_ANSWER, False),
        (Verdict.WRONG_ANSWER, False),
    ]
    assert results[0].output == "2 1\n"
    assert results[0].cpu_s == 0.25


def test_expected_outputs_never_reach_the_jail(jails: Any) -> None:
    secret = Problem("p", "", tests=(TestCase("in", "SECRET"),))
    verdicts(secret, "print(input())", jails)
    assert "SECRET" not in repr(jails.log)


class BreaksOnce:
    level = "fragile"

    def __init__(self, state: dict[str, Any]) -> None:
        self.state = state

    def run_each(self, program: str, stdins: Iterable[str], limits: Limits) -> Iterator[Execution]:
        return (self._run() for _ in stdins)

    def _run(self) -> Execution:
        self.state["runs"] += 1
        if self.state["runs"] == 1:
            if self.state["raises"]:
                raise SandboxError("the zygote died")
            return Execution("sandbox_failed", "", None, "", 0.0, 0.0, 0)
        return Execution("finished", "3\n", None, "", 0.0, 0.0, 0)

    def close(self) -> None:
        self.state["closed"] += 1


@pytest.mark.parametrize("raises", [False, True])
def test_our_own_failure_is_retried_once_in_a_fresh_jail(raises: bool) -> None:
    state = {"runs": 0, "opened": 0, "closed": 0, "raises": raises}

    def open_jail() -> Any:
        state["opened"] += 1
        return BreaksOnce(state)

    judge = Judge(open_jail, Limits(), threading.Event())
    results = judge.judge(Problem("p", "", tests=(TestCase("", "3"),)), "print(3)")
    judge.close()
    assert [result.verdict for result in results] == [Verdict.PASSED]
    assert state == {"runs": 2, "opened": 2, "closed": 2, "raises": raises}


def test_a_stopped_judge_stops_between_tests(jails: Any) -> None:
    stop = threading.Event()
    judge = Judge(jails, Limits(), stop)
    stop.set()
    with pytest.raises(InterruptedRunError):
        judge.judge(ADD, "print(3)")
    assert not jails.log


HELP = "f(x): twice x"
BROKEN_OFF = [
    ("def f(x):\n    return ", "2 * x", "passed"),
    ("def f(x):\n    return ", "2 * x\n\n\nprint('done')", "passed"),
    ("def f(x):\n    return ", "(\n        2 * x\n    )\n", "passed"),
    ("def f(x):\n    return ", "    return 2 * x\n", "passed"),
    ("def f(x):\n    return ", "return 2 * x", "passed"),
    ("def f(x):\n    return ", "def f(x):\n    return 2 * x\n", "passed"),
    ("def f(x):\n    return ", "import math\n\n\ndef f(x):\n    return int(math.fabs(2 * x))\n", "passed"),
    ("def f(x):\n    return ", "3 * x", "wrong_answer"),
    ("def f(x):\n    return ", "", "wrong_answer"),
    ("def f(x):\n    ", "y = 2 * x\n    return y", "passed"),
    ("def f(x):\n    ", "    y = 2 * x\n    return y", "passed"),
    ("def f(x):\n    ", "import math\n    return int(math.fabs(2 * x))", "passed"),
    ("def f(x):\n    ", "def twice():\n        return 2 * x\n    return twice()", "passed"),
    (f'def f(x):\n    """{HELP}"""', "\n    return 2 * x\n", "passed"),
    (f'def f(x):\n    """{HELP}"""', "    return 2 * x\n", "passed"),
    (f'def f(x):\n    """{HELP}"""', f'def f(x):\n    """{HELP}"""\n    return 2 * x\n', "passed"),
    (f'def f(x):\n    """{HELP}"""', "\nreturn 2 * x\n", "syntax_error"),
]


@pytest.mark.parametrize(("starter", "answer", "expected"), BROKEN_OFF)
def test_code_that_breaks_off_within_a_line_is_continued_there(
    starter: str, answer: str, expected: str, jails: Any
) -> None:
    problem = Problem("p", "", fn_name="f", starter_code=starter, check=CHECKED.check)
    assert verdicts(problem, answer, jails) == [expected]


def test_a_check_may_begin_with_the_end_of_the_function(jails: Any) -> None:
    check = f"# the end:\n    return y\n{CHECKED.check}"
    problem = Problem("p", "", fn_name="f", starter_code="def f(x):\n    ", check=check)
    assert verdicts(problem, "y = 2 * x", jails) == ["passed"]
    assert verdicts(problem, "y = 2\n    y *= x", jails) == ["passed"]
    assert verdicts(problem, "def f(x):\n    y = 2 * x\n    return y\n", jails) == ["passed"]
