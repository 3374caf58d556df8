"""The embedded problems are what they say: many, of every kind, and every solution passes every test in the jail."""

import os
from collections import Counter

import pytest

from tritcoder.data.embedded import embedded_problems
from tritcoder.evaluate.compare import apps_equal
from tritcoder.evaluate.scoring import score
from tritcoder.records import DIFFICULTIES, Completion, Problem, Verdict
from tritcoder.sandbox.limits import Limits

LEAST_PROBLEMS, LEAST_SOLUTIONS, LEAST_TESTS = 120, 2, 8


@pytest.fixture(scope="module")
def problems() -> dict[str, Problem]:
    return {problem.problem_id: problem for split in ("train", "test") for problem in embedded_problems(split)}


def test_every_solution_passes_every_test_in_the_jail(problems: dict[str, Problem]) -> None:
    completions = [
        Completion(problem.problem_id, sample, solution, "stop")
        for problem in problems.values()
        for sample, solution in enumerate(problem.solutions)
    ]
    limits = Limits(cpu_s=4.0, wall_s=20.0)
    outcomes = score(problems, completions, workers=os.cpu_count() or 1, limits=limits)
    failed = [(o.problem_id, o.sample, Counter(r.verdict for r in o.results)) for o in outcomes if not o.strict]
    assert len(outcomes) == len(completions)
    assert failed == []
    assert all(result.apps_lenient for outcome in outcomes for result in outcome.results)


def test_an_empty_program_passes_nothing(problems: dict[str, Problem]) -> None:
    chosen = {name: problem for name, problem in problems.items() if int(name) % 8 == 0}
    outcomes = score(chosen, [Completion(name, 0, "", "stop") for name in chosen])
    assert {result.verdict for outcome in outcomes for result in outcome.results} <= {
        Verdict.WRONG_ANSWER,
        Verdict.RUNTIME_ERROR,
    }


def test_problems_are_many_and_of_every_kind(problems: dict[str, Problem]) -> None:
    assert len(problems) >= LEAST_PROBLEMS
    kinds = Counter((problem.difficulty, problem.call_based) for problem in problems.values())
    assert set(kinds) == {(difficulty, call) for difficulty in DIFFICULTIES for call in (False, True)}
    for problem in problems.values():
        assert len(problem.solutions) >= LEAST_SOLUTIONS, problem.problem_id
        assert len(problem.tests) >= LEAST_TESTS, problem.problem_id
        assert len(set(problem.solutions)) == len(problem.solutions), problem.problem_id


def test_no_problem_is_on_both_sides(problems: dict[str, Problem]) -> None:
    train, test = embedded_problems("train"), embedded_problems("test")
    assert len(train) + len(test) == len(problems)
    assert not {p.question for p in train} & {p.question for p in test}
    assert not {s for p in train for s in p.solutions} & {s for p in test for s in p.solutions}


def test_no_constant_answer_solves_a_problem(problems: dict[str, Problem]) -> None:
    for problem in problems.values():
        first = problem.tests[0].output
        assert not all(apps_equal(t.output, first, call_based=problem.call_based) for t in problem.tests), (
            problem.problem_id
        )
