"""Whether an output is right: a strict comparison, and the APPS authors' own, more forgiving one.

Both are pure functions of what was expected and what came out. Neither raises on hostile text, and
both are linear in its length but for sorting and hashing.
"""

import math
import operator
import re
from collections.abc import Callable, Mapping
from itertools import starmap
from typing import Any

import numpy as np

_TOLERANCE = 1e-6
_ZEROS = re.compile(r"\.0*")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def strict_equal(expected: Any, actual: Any, *, call_based: bool = False, wrapped: bool | None = None) -> bool:
    """Whether an output is right, forgiving only white space and the last digits of decimal fractions.

    Text: trailing blank lines are ignored, the number of lines must be the same, and so must the tokens
    of each line, but that 3.0 will do for 3. Call-based values: the same JSON data, by Python's own
    equality. In both a number may be off by a relative 1e-6, but only where a decimal point, an exponent or
    a float is expected.

    Args:
        expected: the right output: text, a list of lines, or the JSON value that a call should return.
        actual: what was printed or returned.
        call_based: whether the two are values of a call rather than text.
        wrapped: whether `expected` is a list of one item that holds the value, as in many files of APPS;
            None accepts both readings.
    """
    if not call_based:
        return _same_text(as_text(expected), as_text(actual))
    return any(_same_value(reading, actual, _close_scalars) for reading in _readings(expected, wrapped))


def apps_equal(expected: Any, actual: Any, *, call_based: bool = False) -> bool:
    """Whether the checker that came with APPS accepts an output.

    Text passes by the first of: equal but for white space around lines; equal without blank lines;
    each line a number and `np.allclose` to the expected one; the same set of lines, each taken as a set
    of tokens; the same set with tokens rounded to three decimals. Order and repetition are lost in the
    last two, so that this accepts wrong answers; it exists for comparison with published tables.
    Call-based values pass when equal to the expected value or to its first item.

    Source: hendrycks/apps, eval/testing_util.py, the comparisons of `run_test`, in their order.
    """
    if call_based:
        first = expected[:1] if isinstance(expected, list) else []
        return any(_same_value(reading, actual, operator.eq) for reading in (expected, *first))
    wanted, found = as_text(expected), as_text(actual).splitlines()
    if _same_but_for_margins(wanted, found):
        return True
    lines = [line.strip() for line in wanted.split("\n") if line]
    if lines in (found, [line for line in found if line]):
        return True
    found = [line for line in found if line]
    return _all_close(lines, found) or _same_sets(lines, found)


def as_text(value: Any) -> str:
    """Standard input or output as one text; APPS gives some as a list of lines."""
    if isinstance(value, list | tuple):
        return "\n".join(map(str, value))
    return value if isinstance(value, str) else str(value)


def _same_text(expected: str, actual: str) -> bool:
    wanted, found = expected.rstrip().split("\n"), actual.rstrip().split("\n")
    return len(wanted) == len(found) and all(map(_same_line, wanted, found))


def _same_line(expected: str, actual: str) -> bool:
    if expected == actual:
        return True
    wanted, found = expected.split(), actual.split()
    return len(wanted) == len(found) and all(map(_same_token, wanted, found))


def _same_token(expected: str, actual: str) -> bool:
    if expected == actual:
        return True
    if expected.lstrip("+-").isdecimal():
        return actual.startswith(expected) and _ZEROS.fullmatch(actual, len(expected)) is not None
    return (
        _NUMBER.fullmatch(expected) is not None
        and _NUMBER.fullmatch(actual) is not None
        and _close(float(expected), float(actual))
    )


def _close(expected: float, actual: float) -> bool:
    if not (math.isfinite(expected) and math.isfinite(actual)):
        return expected == actual or (math.isnan(expected) and math.isnan(actual))
    return abs(expected - actual) <= _TOLERANCE * abs(expected)


def _close_scalars(expected: Any, actual: Any) -> bool:
    if isinstance(expected, float) and isinstance(actual, int | float):
        try:
            return _close(expected, float(actual))
        except OverflowError:  # an integer beyond 1e308
            return False
    return bool(expected == actual)


def _readings(expected: Any, wrapped: bool | None) -> list[Any]:
    if wrapped is False or not (isinstance(expected, list) and len(expected) == 1):
        return [expected]
    return [expected[0]] if wrapped else [expected, expected[0]]


def _same_value(expected: Any, actual: Any, same: Callable[[Any, Any], bool]) -> bool:
    """Equality of JSON data without recursion, so that no nesting is too deep for it."""
    pairs = [(expected, actual)]
    while pairs:
        wanted, found = pairs.pop()
        if isinstance(wanted, list | tuple) and isinstance(found, list | tuple):
            if len(wanted) != len(found):
                return False
            pairs.extend(zip(wanted, found, strict=True))
        elif isinstance(wanted, Mapping) and isinstance(found, Mapping):
            left, right = _json_keys(wanted), _json_keys(found)
            if left.keys() != right.keys():
                return False
            pairs.extend((left[key], right[key]) for key in left)
        elif _is_container(wanted) or _is_container(found) or not same(wanted, found):
            return False
    return True


def _is_container(value: Any) -> bool:
    return isinstance(value, list | tuple | Mapping)


def _json_keys(mapping: Mapping[Any, Any]) -> dict[str, Any]:
    """The mapping with the keys that JSON would give it: {1: x} and {"1": x} are one."""
    return {str(key): value for key, value in mapping.items()}


def _same_but_for_margins(wanted: str, found: list[str]) -> bool:
    stripped = wanted.strip()
    return "\n".join(found).strip() == stripped or "\n".join(map(str.strip, found)).strip() == stripped


def _all_close(wanted: list[str], found: list[str]) -> bool:
    if len(wanted) != len(found):
        return False
    try:
        left, right = [float(line) for line in found], [float(line) for line in wanted]
    except ValueError:
        return False
    with np.errstate(all="ignore"):
        return bool(np.allclose(left, right))


def _same_sets(wanted: list[str], found: list[str]) -> bool:
    # The authors drop blank lines from the output only; `wanted` may keep one made of spaces.
    left = [frozenset(line.split()) for line in found if line.split()]
    right = [frozenset(line.split()) for line in wanted]
    if set(left) == set(right):
        return True
    try:
        return set(map(_rounded, left)) == set(map(_rounded, right))
    except (ValueError, OverflowError):
        return False


def _rounded(tokens: frozenset[str]) -> frozenset[float]:
    return frozenset(starmap(round, ((float(token), 3) for token in tokens)))
