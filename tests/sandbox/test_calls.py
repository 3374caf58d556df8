"""Call-based programs: which function is called, and what comes back as a value."""

# ruff: noqa: E501  a table reads best with one program a line

import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tritcoder.errors import AskedWronglyError
from tritcoder.sandbox.jail import Jail
from tritcoder.sandbox.limits import Limits

CALM = Limits(cpu_s=20, wall_s=60, output_bytes=64 * 1024)

RETURNS: dict[str, tuple[str, list[Any], Any]] = {
    "function": ("def f(a, b): return a + b", [1, 2], 3),
    "method": ("class Solution:\n def f(self, a): return a * 2", ["x"], "xx"),
    "method before function": ("class Solution:\n def f(self): return 1\ndef f(): return 2", [], 1),
    "static method": ("class Solution:\n @staticmethod\n def f(a): return a", [1], 1),
    "class Solution without it": ("class Solution: pass\ndef f(): return 2", [], 2),
    "lambda": ("f = lambda a: a[::-1]", [[1, 2]], [2, 1]),
    "tuples become lists": ("def f(): return (1, (2, 3))", [], [1, [2, 3]]),
    "keys become text": ("def f(): return {1: 'a', None: 2, 2.5: 3}", [], {"1": "a", "null": 2, "2.5": 3}),
    "keys that are numbers stay numbers on the way in": ("def f(d): return d[1]", [{1: "a"}], "a"),
    "nothing": ("def f(): pass", [], None),
    "printing does not matter": ("def f():\n print('{\"value\": 1}')\n return 2", [], 2),
    "main guard does not run": ("def f(): return __name__\nif __name__ == '__main__': f = None", [], "solution"),
    "its own dataclass": (
        "import dataclasses\n@dataclasses.dataclass\nclass P:\n x: int\ndef f(): return P(3).x",
        [],
        3,
    ),
    "text that is no Unicode": ("def f(x): return x + '\\ud800'", ["\udfff"], "\udfff\ud800"),
    "integers of its own kind": ("class I(int):\n def __repr__(self): return '9'\ndef f(): return I(3)", [], 3),
    "patched json": ("import json\njson.dumps = lambda *a, **k: '{}'\ndef f(): return 1", [], 1),
    "numpy": ("import numpy as np\ndef f(x): return [np.int64(x), np.array([1, 2]), np.bool_(True)]", [5], [5, [1, 2], True]),
}  # fmt: skip


@pytest.mark.parametrize("name", RETURNS)
def test_call_returns(best_jail: Jail, name: str) -> None:
    program, arguments, value = RETURNS[name]
    execution = best_jail.call(program, "f", arguments, CALM)
    assert execution.ended == "finished", execution.error
    assert execution.value == value
    assert type(execution.value) is type(value)


RAISES = {
    "no such function": ("def g(): return 1", "AttributeError: the program defines no function 'f'"),
    "not callable": ("f = 3", "AttributeError: the program defines no function 'f'"),
    "set": ("def f(): return {1}", "TypeError: the returned value is no JSON data: it holds a set"),
    "generator": ("def f(): yield 1", "TypeError: the returned value is no JSON data: it holds a generator"),
    "equal to everything": (
        "class A:\n def __eq__(self, other): return True\n__eq__ = None\ndef f(): return A()",
        "TypeError: the returned value is no JSON data: it holds a A",
    ),
    "keys that are tuples": ("def f(): return {(1, 2): 3}", "TypeError: keys must be str"),
    "list that holds itself": ("x = []\nx.append(x)\ndef f(): return x", "ValueError: Circular reference detected"),
    "deep list": ("def f():\n x = []\n for _ in range(10**6): x = [x]\n return x", "RecursionError"),
    "wrong number of arguments": ("def f(a): return a", "TypeError"),
    "exit before the return": ("import os\ndef f(): os._exit(0)", "the program ended before the function returned"),
    "polite exit": ("import sys\ndef f(): sys.exit()", "the program ended before the function returned"),
    "raises on import": ("1/0\ndef f(): return 1", "ZeroDivisionError"),
    "forged nonsense": ("import os\ndef f():\n os.write(3, b'nonsense')\n os._exit(0)", "the returned value cannot be read"),
    "forged depth": ("import os\ndef f():\n os.write(3, b'[' * 60000)\n os._exit(0)", "the returned value cannot be read"),
    "forged list": ("import os\ndef f():\n os.write(3, b'[1]')\n os._exit(0)", "the returned value cannot be read"),
    "forged number": ("import os\ndef f():\n os.write(3, b'9' * 50000)\n os._exit(0)", "the returned value cannot be read"),
    "half of a value": ("import os\ndef f():\n os.write(3, b'{\"value\": ')\n os._exit(0)", "the returned value cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("name", RAISES)
def test_call_without_a_value_raised(best_jail: Jail, name: str) -> None:
    program, error = RAISES[name]
    execution = best_jail.call(program, "f", [], CALM)
    assert (execution.ended, execution.value) == ("raised", None)
    assert execution.error.startswith(error)


def test_nan_and_infinities_are_floats(best_jail: Jail) -> None:
    value = best_jail.call("def f(x): return [x, -1e999, 1e999]", "f", [math.nan], CALM).value
    assert math.isnan(value[0])
    assert value[1:] == [-math.inf, math.inf]


def test_too_long_a_value_is_an_output_limit(best_jail: Jail) -> None:
    execution = best_jail.call("def f(): return 'x' * 10**6", "f", [], CALM)
    assert (execution.ended, execution.value) == ("output_limit", None)


def test_syntax_error_is_told_from_a_call_too(best_jail: Jail) -> None:
    assert best_jail.call("def f(:", "f", [], CALM).ended == "syntax_error"


def test_forging_the_sandbox_own_failure_is_impossible(jail: Jail) -> None:
    # A failure of ours is not counted in a score, so no program may feign one.
    program = (
        "import os\ndef f():\n for n in range(3, 100):\n  try: os.ftruncate(n, 0); os.pwrite(n, b'-', 0)\n"
        "  except OSError: pass\n os._exit(1)"
    )
    assert jail.call(program, "f", [], CALM).ended == "raised"


def test_arguments_that_are_no_json_are_the_callers_mistake(best_jail: Jail) -> None:
    with pytest.raises(AskedWronglyError, match="must be JSON data"):
        best_jail.call("def f(x): return x", "f", [{1, 2}], CALM)
    assert best_jail.call("def f(x): return x", "f", [1], CALM).value == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(JSON, max_size=3))
def test_json_goes_in_and_comes_out_equal(best_jail: Jail, arguments: list[Any]) -> None:
    execution = best_jail.call("def f(*arguments): return arguments", "f", arguments, CALM)
    assert execution.value == arguments
