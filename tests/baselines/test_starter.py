from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritcoder.baselines.starter import AskedFunction, asked_function, constant_function, rename_function

LEETCODE = (
    "# Definition for a node.\n# class Node:\n#     def __init__(self): ...\n"
    "class Solution:\n    def findIt(self, nums: List[int]) -> int:\n        "
)
HELPER_FIRST = "import math\n\ndef poly(xs):\n    return 0\n\ndef find_zero(xs: list):\n    '''doc'''\n"

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@pytest.mark.parametrize(
    ("starter", "asked"),
    [
        ("def f(a, b):\n\t", AskedFunction("f")),
        (LEETCODE, AskedFunction("findIt", "Solution")),
        (HELPER_FIRST, AskedFunction("find_zero")),
        ("class Node:\n    def walk(self): ...\n\ndef count(root):\n", AskedFunction("count")),
        ("", None),
        ("x = 1", None),
        ("def (", None),
        ("class Solution:\n    def __init__(self):", None),
    ],
)
def test_last_definition_is_the_asked_one(starter: str, asked: AskedFunction | None) -> None:
    assert asked_function(starter) == asked


@given(json_values)
def test_constant_function_returns_its_value(value: Any) -> None:
    plain: dict[str, Any] = {}
    exec(constant_function(AskedFunction("f"), value), plain)
    assert plain["f"](1, key=2) == value
    within: dict[str, Any] = {}
    exec(constant_function(AskedFunction("g", "Solution"), value), within)
    assert within["Solution"]().g([1], None) == value


def test_only_whole_words_are_renamed() -> None:
    program = "def add(x):\n    return add_all(x) if x else add(x - 1) + padd"
    assert rename_function(program, "add", r"\1new") == (
        "def \\1new(x):\n    return add_all(x) if x else \\1new(x - 1) + padd"
    )
