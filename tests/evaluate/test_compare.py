import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritcoder.evaluate.compare import apps_equal, as_text, strict_equal

# expected, printed, strict verdict, verdict of the APPS authors' checker
TEXTS = [
    ("1\n2\n", "1\n2\n", True, True),
    ("1\n2\n", "1\n2", True, True),
    ("1\n2", "  1 \n\t2  \n\n\n", True, True),
    ("1 2 3", "1  2 3", True, True),
    ("1\r\n2\r\n", "1\n2\n", True, True),
    ("", "", True, True),
    ("\n", "", True, True),
    (["1", "2"], "1\n2\n", True, True),
    ("YES", "yes", False, False),
    ("5", "", False, False),
    ("", "5", False, False),
    ("1\n2", "1\n3", False, False),
    ("1\n\n2", "1\n2", False, True),
    # What the authors' checker lets through: order and repetition of lines and of tokens.
    ("YES\nNO\nYES", "NO\nYES\nYES", False, True),
    ("YES\nNO\nNO\nNO", "NO\nYES", False, True),
    ("1 2 3", "3 2 1", False, True),
    ("a b b a", "a b", False, True),
    ("Christmas Eve Eve Eve", "Christmas Eve", False, True),
    # Its tolerance, applied to integers too.
    ("1000000007", "1000000000", False, True),
    ("0", "1e-9", False, True),
    ("1 0.0001", "1 0.0004", False, True),
    ("2 3", "2.001 3.0", False, False),
    # An integer printed as a float is that integer; other ways to write it are not.
    ("2 -3", "2.0 -3.", True, True),
    ("3", "3.0000001", False, True),
    ("3", "3.0e0", False, True),
    ("3", "30", False, False),
    # Numbers: only where a fraction is expected, and to a relative 1e-6.
    ("0.5", "0.50000001", True, True),
    ("0.5", ".5", True, True),
    ("1.0", "1", True, True),
    ("1e3", "1000", True, True),
    ("100.0", "100.00009", True, True),
    ("100.0", "100.0002", False, True),
    ("100.0", "100.01", False, False),
    ("0011", "11", False, True),
    ("x 0.5", "x 0.5000001", True, False),
    ("1.2.3", "1.2.30", False, False),
    ("0.0", "0.000", True, True),
    ("-0.0", "0.0", True, True),
    ("0.5", "nan", False, False),
    ("nan", "nan", True, True),
    ("1.5", "inf", False, False),
    ("1.0", "0x1", False, False),
    ("1e999", "inf", False, True),
    ("1e999", "1e9999", True, True),
]


@pytest.mark.parametrize(("expected", "printed", "strict", "apps"), TEXTS)
def test_text_verdicts_worked_by_hand(expected: Any, printed: str, strict: bool, apps: bool) -> None:
    assert strict_equal(expected, printed) is strict
    assert apps_equal(expected, printed) is apps


# expected, returned, strict, apps
VALUES = [
    ([3], 3, True, True),
    ([[1, 2]], [1, 2], True, True),
    (3, 3, True, True),
    ([1, 2], [1, 2], True, True),
    ([1, 2], [2, 1], False, False),
    ([1, 2], 1, False, True),  # the authors take the first of any list for a wrapped answer
    (True, True, True, True),
    (True, 1, True, True),
    ("a b", "a  b", False, False),
    ("1", 1, False, False),
    (None, None, True, True),
    ([None], None, True, True),
    (1.0, 1, True, True),
    (0.1, 0.10000000001, True, False),
    (3, 3.0000001, False, False),
    (10**400, 10**400, True, True),
    (1.0, 10**400, False, False),
    (10**400, 1.0, False, False),
    ({"1": "Arsenal"}, {1: "Arsenal"}, True, True),
    ([{"1": 2.0}], {"1": 2.0000000001}, True, False),
    ({"1": 2}, {"2": 2}, False, False),
    ({}, [], False, False),
    ([], [], True, True),
    ([[]], [], True, True),
    ([], None, False, False),
    ([1, [2, [3]]], [1, [2, [4]]], False, False),
    ((1, 2), [1, 2], True, True),
    (math.nan, math.nan, True, False),
]


@pytest.mark.parametrize(("expected", "returned", "strict", "apps"), VALUES)
def test_value_verdicts_worked_by_hand(expected: Any, returned: Any, strict: bool, apps: bool) -> None:
    assert strict_equal(expected, returned, call_based=True) is strict
    assert apps_equal(expected, returned, call_based=True) is apps


def test_wrapping_is_read_as_told() -> None:
    assert strict_equal([[1]], [1], call_based=True, wrapped=True)
    assert not strict_equal([[1]], [[1]], call_based=True, wrapped=True)
    assert strict_equal([[1]], [[1]], call_based=True, wrapped=False)
    assert not strict_equal([[1]], [1], call_based=True, wrapped=False)


LINES = st.lists(st.sampled_from(["", " ", "1", "2.5", "a b", "1e-7 x", "nan", "-0", "🙂"]), max_size=5)


@given(LINES)
def test_every_output_equals_itself(lines: list[str]) -> None:
    text = "\n".join(lines)
    assert strict_equal(text, text)
    assert apps_equal(text, text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, JSON)
def test_exact_value_equality_is_pythons_own(left: Any, right: Any) -> None:
    assert apps_equal([left], right, call_based=True) is (left == right or [left] == right)
    assert strict_equal(left, json.loads(json.dumps(left)), call_based=True)


@given(JSON)
def test_strict_accepts_what_a_call_rightly_returns_wrapped(value: Any) -> None:
    assert strict_equal([value], value, call_based=True, wrapped=True)


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_text_makes_a_comparison_raise(left: Any, right: Any) -> None:
    assert strict_equal(left, right) in (True, False)
    assert apps_equal(left, right) in (True, False)


@given(st.lists(st.floats(width=64).map(str) | st.integers().map(str), max_size=4), st.data())
def test_numbers_of_any_size_raise_and_warn_nowhere(numbers: list[str], data: Any) -> None:
    other = data.draw(st.permutations(numbers))
    strict_equal("\n".join(numbers), "\n".join(other))
    apps_equal("\n".join(numbers), "\n".join(other))


@pytest.mark.parametrize("off", [0.1, 0.1234, 0.1235, 0.2, -0.1234, -0.1235])
def test_apps_tolerance_is_that_of_allclose(off: float) -> None:
    # Far enough from 0 that rounding to three decimals, the authors' last resort, accepts none of these.
    assert apps_equal("12345.0", repr(12345.0 + off)) is bool(np.allclose([12345.0 + off], [12345.0]))


HOSTILE = [
    "9" * 1_000_000,
    "9" * 500_000 + "x",
    "1." + "0" * 500_000 + "x",
    "1e" + "9" * 100_000,
    "\n" * 100_000,
    "\ud800",
    "\x00" * 1000,
    "\n".join(map(str, range(100_000))),
    " ".join(map(str, range(100_000))),
    "\n".join(f"{i}.5" for i in range(100_000)),
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_is_compared_in_linear_time(text: str) -> None:
    for other in (text + "\n1.5", text[: len(text) // 2]):
        strict_equal(text, other)
        apps_equal(other, text)


def test_a_value_nested_without_end_is_compared() -> None:
    deep: list[Any] = []
    twin: list[Any] = []
    other: list[Any] = [1]
    for _ in range(100_000):
        deep, twin, other = [deep], [twin], [other]
    assert strict_equal(deep, twin, call_based=True)
    assert not strict_equal(deep, other, call_based=True)
    assert not apps_equal(deep, other, call_based=True)


def test_text_of_lists_is_joined_by_lines() -> None:
    assert as_text(["a", "b"]) == "a\nb"
    assert as_text("a") == "a"
    assert as_text(5) == "5"
    assert as_text([1, 2]) == "1\n2"
