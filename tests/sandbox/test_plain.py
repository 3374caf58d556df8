"""Values that travel between two processes come back equal and of their type; nothing else travels."""

import collections
import datetime
import decimal
import enum
import fractions
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritcoder.sandbox.inside.plain import NotPlainError, decode, encode

KEYS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
HASHABLE = st.recursive(KEYS, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=5)
VALUES = st.recursive(
    HASHABLE | st.complex_numbers(allow_nan=False) | st.decimals(allow_nan=False) | st.fractions() | st.datetimes(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.sets(HASHABLE, max_size=3)
        | st.dictionaries(HASHABLE, inner, max_size=3)
        | st.lists(inner, max_size=3).map(collections.deque)
    ),
    max_leaves=10,
)


@given(VALUES)
def test_plain_data_comes_back_equal_and_of_its_type(value: Any) -> None:
    back = decode(encode(value))
    assert back == value
    assert type(back) is type(value)
    assert repr(back) == repr(value) or isinstance(value, set | frozenset | dict | list | tuple | collections.deque)


@pytest.mark.parametrize(
    "value",
    [
        range(2, 9, 3),
        bytearray(b"x"),
        collections.Counter("aab"),
        collections.OrderedDict(b=1, a=2),
        datetime.date(2026, 1, 2),
        datetime.timedelta(days=-1, microseconds=5),
        decimal.Decimal("1.10"),
        fractions.Fraction(-1, 3),
        10**4000,
        "\ud800",
        float("inf"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_librarys_own_values_travel(value: Any) -> None:
    back = decode(encode(value))
    assert (type(back), back) == (type(value), value)


@pytest.mark.parametrize("kind", [datetime.datetime(2026, 1, 2, 3), datetime.time(3)], ids=["datetime", "time"])
def test_of_times_the_second_of_two_alike_travels_and_a_zone_does_not(kind: Any) -> None:
    later = kind.replace(fold=1)
    assert repr(decode(encode(later))) == repr(later)
    with pytest.raises(NotPlainError, match="a time with a zone"):
        encode(kind.replace(tzinfo=datetime.UTC))


def test_not_a_number_stays_unequal_to_itself() -> None:
    assert math.isnan(decode(encode(float("nan"))))


def test_views_and_iterators_travel_as_their_items() -> None:
    counted = {"a": 1, "b": 2}
    assert decode(encode(counted.keys())) == {"a", "b"}
    assert list(decode(encode(counted.values()))) == [1, 2]
    assert decode(encode(counted.items())) == {("a", 1), ("b", 2)}
    for items in (map(str, [1, 2]), (str(n) for n in (1, 2)), iter(["1", "2"]), reversed(["2", "1"])):
        back = decode(encode(items))
        assert next(back) == "1"
        assert list(back) == ["2"]


def test_values_of_numpy_travel() -> None:
    array = decode(encode(np.array([[1.5, 2], [3, 4]], dtype=np.float32)))
    assert array.dtype == np.float32
    assert array.tolist() == [[1.5, 2.0], [3.0, 4.0]]
    assert decode(encode([np.int64(3), np.float64(0.5), np.bool_(True)])) == [3, 0.5, True]


class _AlwaysEqual:
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


class _Sly(int):
    def __eq__(self, other: object) -> bool:
        return True

    def __pos__(self) -> int:
        return 7

    __hash__ = int.__hash__


class _SlyList(list):  # type: ignore[type-arg]
    def __iter__(self) -> Any:
        return iter([1, 2, 3])


class _SlyText(str):
    def __str__(self) -> str:
        return "expected"


class _Colour(enum.IntEnum):
    RED = 3


@pytest.mark.parametrize(
    ("value", "plain"),
    [(_Sly(5), 5), (_SlyList([9]), [9]), (_SlyText("mine"), "mine"), (_Colour.RED, 3), ([_Sly(1)], [1])],
)
def test_of_a_subclass_only_what_it_is_to_its_base_travels(value: Any, plain: Any) -> None:
    back = decode(encode(value))
    assert type(back) is type(plain)
    assert plain == back


@pytest.mark.parametrize("value", [_AlwaysEqual(), object(), print, int, [_AlwaysEqual()], {"x": lambda: 1}, ...])
def test_what_is_no_plain_data_does_not_travel(value: Any) -> None:
    with pytest.raises(NotPlainError):
        encode(value)


def test_endless_nesting_is_an_error_and_no_crash() -> None:
    nested: list[Any] = []
    nested.append(nested)
    with pytest.raises(RecursionError):
        encode(nested)
    with pytest.raises(RecursionError):
        decode(b'["l",[' * 100_000)


@given(st.binary(max_size=40))
def test_other_bytes_are_refused_or_plain(data: bytes) -> None:
    try:
        value = decode(data)
    except Exception:
        return
    assert type(value).__module__ in ("builtins", "collections", "decimal", "fractions", "datetime")


@pytest.mark.parametrize(
    "data",
    [b'{"a": 1}', b'["exec", ["1"]]', b"[1]", b'["l", 3]', b'["collections.Counter", 1]'],
)
def test_forged_messages_are_refused(data: bytes) -> None:
    with pytest.raises((TypeError, ValueError, KeyError)):
        decode(data)
