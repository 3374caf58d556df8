import dataclasses
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tritcoder.records as records
from tritcoder.errors import ConfigError
from tritcoder.records import (
    DIFFICULTIES,
    Difficulty,
    Outcome,
    Problem,
    Prompt,
    Sampling,
    TestResult,
    Verdict,
)

RECORDS = [kind for kind in vars(records).values() if dataclasses.is_dataclass(kind) and isinstance(kind, type)]


def outcome(*verdicts: Verdict) -> Outcome:
    return Outcome("p", 0, "interview", tuple(map(TestResult, verdicts)), "namespaces")


@pytest.mark.parametrize("kind", RECORDS)
def test_records_cannot_be_changed(kind: type) -> None:
    assert kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert hasattr(kind, "__slots__")


def test_difficulties_are_listed_in_order() -> None:
    assert get_args(Difficulty) == DIFFICULTIES


def test_a_problem_is_call_based_exactly_when_a_function_is_named() -> None:
    assert Problem("1", "q", fn_name="f").call_based
    assert not Problem("1", "q", starter_code="def f():").call_based


def test_share_and_strict_worked_by_hand() -> None:
    right, wrong, ours = Verdict.PASSED, Verdict.WRONG_ANSWER, Verdict.SANDBOX_FAILED
    assert (outcome(right, wrong, wrong, right).share_passed, outcome(right, wrong).strict) == (0.5, False)
    assert (outcome(right, right).share_passed, outcome(right, right).strict) == (1.0, True)
    assert (outcome().share_passed, outcome().strict) == (0.0, False)
    # Our fault is not counted against the program, but does not prove it right either.
    assert (outcome(right, ours).share_passed, outcome(right, ours).strict) == (1.0, False)
    assert outcome(ours).share_passed == 0.0


@given(st.lists(st.sampled_from(Verdict)))
def test_strict_means_a_full_share(verdicts: list[Verdict]) -> None:
    scored = outcome(*verdicts)
    assert 0 <= scored.share_passed <= 1
    if scored.strict:
        assert scored.share_passed == 1


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("max_tokens", [0, -1]),
        ("temperature", [-0.1, float("nan")]),
        ("top_p", [0.0, 1.01, -1.0, float("nan")]),
        ("top_k", [-1]),
        ("stop", [("",), ("a", "")]),
    ],
)
def test_sampling_refuses_what_is_out_of_range(field: str, values: list[object]) -> None:
    for value in values:
        with pytest.raises(ConfigError, match="stop strings" if field == "stop" else field):
            Sampling(**{field: value})  # type: ignore[arg-type]


def test_sampling_takes_the_edges_of_its_range() -> None:
    Sampling(max_tokens=1, temperature=0.0, top_p=1.0, top_k=0)
    Sampling(top_p=1e-9, stop=("\n",))


def test_a_prompt_is_a_problem_unless_said_otherwise() -> None:
    assert (Prompt("q").kind, Prompt("q").sample, Prompt("q").call_based) == ("problem", 0, False)
