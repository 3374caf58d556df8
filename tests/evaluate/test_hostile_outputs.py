"""What a hostile program may print or return, by the megabyte: compared without an exception and in linear time."""

import math
import time
from collections.abc import Callable
from typing import Any

import pytest

from tritcoder.evaluate.compare import apps_equal, strict_equal

MANY = 4_000_000
"""As long as an output may be."""
LINES = 200_000
LONGEST_S = 20.0
"""Of processor time, for what takes a second; in quadratic time any of these would take hours."""

# Made when they are asked for: expected, printed, the strict verdict, that of the APPS checker, to which all numbers
# beyond 1e308 are one.
TEXTS: dict[str, Callable[[], tuple[str, str, bool, bool]]] = {
    "an exponent of a million digits": lambda: ("1.5", "1e" + "9" * 10**6, False, False),
    "the same below zero": lambda: ("1.5", "1e-" + "9" * 10**6, False, False),
    "digits for a fraction": lambda: ("1.5", "9" * MANY, False, False),
    "digits for an integer": lambda: ("5", "9" * MANY, False, False),
    "digits for as many digits": lambda: ("9" * MANY, "9" * (MANY - 1) + "8", False, True),
    "a fraction for as long a fraction": lambda: ("0." + "5" * MANY, "0." + "5" * (MANY - 1) + "6", True, True),
    "zeros after the point": lambda: ("5", "5." + "0" * MANY, True, True),
    "zeros, then one": lambda: ("5", "5." + "0" * MANY + "1", False, True),
    "underscores": lambda: ("1.5", "1_" * (MANY // 2) + "1", False, False),
    "signs": lambda: ("-" * MANY + "1", "-" * MANY + "2", False, False),
    "digits of another script": lambda: ("\u0661" * MANY, "\u0661" * (MANY - 1) + "\u0662", False, True),
    "NULs": lambda: ("5", "\0" * MANY, False, False),
    "halves of characters": lambda: ("5", "\ud800" * MANY, False, False),
    "blank lines before": lambda: ("5", "\n" * MANY + "5", False, True),
    "blank lines after": lambda: ("5", "5" + "\n" * MANY, True, True),
    "blanks before": lambda: ("5", " " * MANY + "5", True, True),
    "ends of lines of other kinds": lambda: ("5", "\x85\u2028\x0b\x1c" * 10**6 + "6", False, False),
    "tokens": lambda: ("1 " * LINES + "2", "1 " * LINES + "3", False, False),
    "repeated tokens": lambda: ("1 2", "1 " * LINES + "2", False, True),
    "fractions": lambda: ("1.5 " * LINES + "2", "1.5 " * LINES + "3", False, False),
    "lines of fractions": lambda: ("1.5\n" * LINES + "2", "1.5000001\n" * LINES + "3", False, False),
    "lines, all of them different": lambda: (_count(0), _count(1), False, False),
    "numbers that are none": lambda: ("1.5\n", "nan\n" * LINES, False, False),
    "numbers beyond all bounds": lambda: ("1.5\n" * 2, "1e999999999\n" * LINES, False, False),
    "numbers with equal hashes": lambda: (
        "1",
        "\n".join(str(n * (2**61 - 1)) for n in range(LINES // 4)),
        False,
        False,
    ),
    "numbers that cannot be rounded": lambda: ("1 2", "1e308 -1e308 inf " * (LINES // 4), False, False),
}
VALUES: dict[str, Callable[[], tuple[Any, Any, bool, bool]]] = {
    "a million keys": lambda: (5, dict.fromkeys(map(str, range(10**6)), 1), False, False),
    "keys for as many keys": lambda: (_table(0), _table(1), False, False),
    "items for as many items": lambda: ([0] * 10**6, [0] * (10**6 - 1) + [1], False, False),
    "a text of megabytes": lambda: ("x" * MANY, "x" * MANY + "y", False, False),
    "an integer of thousands of digits": lambda: (1.5, 10**4000, False, False),
    "the same for as large a one": lambda: (10**4000, 10**4000 + 1, False, False),
    "numbers that are none": lambda: ([1.5] * LINES, [math.nan] * LINES, False, False),
    "infinities": lambda: ([1e308], [math.inf], False, False),
    "lists without end": lambda: (_nested([]), _nested([1]), False, False),
    "as deep as expected": lambda: (_nested([]), _nested([]), True, True),
}


def _count(start: int) -> str:
    return "\n".join(map(str, range(start, start + LINES)))


def _table(last: int) -> dict[str, int]:
    return {**dict.fromkeys(map(str, range(LINES)), 1), "last": last}


def _nested(value: list[Any]) -> list[Any]:
    for _ in range(LINES):
        value = [value]
    return value


def _judged(expected: Any, found: Any, call_based: bool) -> tuple[bool, bool]:
    began = time.process_time()
    verdicts = (
        strict_equal(expected, found, call_based=call_based),
        apps_equal(expected, found, call_based=call_based),
    )
    assert time.process_time() - began < LONGEST_S
    return verdicts


@pytest.mark.parametrize("name", TEXTS)
def test_printed_megabytes_are_judged_in_linear_time(name: str) -> None:
    expected, printed, *verdicts = TEXTS[name]()
    assert _judged(expected, printed, call_based=False) == tuple(verdicts)


@pytest.mark.parametrize("name", VALUES)
def test_returned_megabytes_are_judged_in_linear_time(name: str) -> None:
    expected, returned, *verdicts = VALUES[name]()
    assert _judged(expected, returned, call_based=True) == tuple(verdicts)
