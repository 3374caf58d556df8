"""Values as text and back, between two processes that do not trust each other: plain data, no code, no classes.

JSON, in which whatever JSON does not have is a list `[kind, content]`: `["t", [1, 2]]` is (1, 2). What comes back
equals what was sent, and has its type, for the types below; a value of a class of the program's own does not travel,
so that no `__eq__` of its making decides a comparison. Iterators travel as their items.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

_CONTAINERS: tuple[tuple[type, str], ...] = ((list, "l"), (tuple, "t"), (set, "s"), (frozenset, "f"))
_VIEWS = {type({}.keys()): "keys", type({}.values()): "values", type({}.items()): "items"}


class NotPlainError(TypeError):
    """A value that cannot travel."""


def encode(value: Any) -> bytes:
    """The value as JSON.

    Raises:
        NotPlainError: it is, or holds, something that is no plain data.
        RecursionError: it is nested too deeply, or holds itself.
    """
    return json.dumps(_packed(value)).encode()


def decode(data: bytes) -> Any:
    """The value that `encode` was given; raises something, and does nothing, on any other bytes."""
    return _unpacked(json.loads(data))


def _packed(value: Any) -> Any:
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    for base, letter in _CONTAINERS:
        if kind is base:
            return [letter, [_packed(item) for item in value]]
    if kind is dict:
        return ["d", [[_packed(key), _packed(item)] for key, item in value.items()]]
    return _packed_seldom(value, kind)


def _packed_seldom(value: Any, kind: type) -> Any:
    name = f"{kind.__module__}.{kind.__qualname__}"
    if name in _SELDOM:
        return [name, [_packed(part) for part in _SELDOM[name][0](value)]]
    if kind in _VIEWS:
        return [_VIEWS[kind], [_packed(item) for item in value]]
    if kind.__module__ == "numpy":
        return _packed_numpy(value)
    for base in (bool, int, float, complex, str, bytes, tuple, list, dict, set, frozenset):
        if isinstance(value, base):  # of a subclass: what it is to its base, whatever it says of itself
            return _packed(_as_base(value, base))
    if isinstance(value, Iterator):
        return ["iter", [_packed(item) for item in value]]
    raise NotPlainError(f"a {kind.__name__} is no plain data")


def _as_base(value: Any, base: Any) -> Any:
    """The same in the base class itself, by the base class's own methods."""
    if base is dict:
        return dict(dict.items(value))
    if base in (bool, int, float, complex):
        return base.__pos__(value)
    if base is str:
        return str.__str__(value)
    return base(base.__iter__(value))


def _packed_numpy(value: Any) -> Any:
    if type(value).__name__ != "ndarray":
        return _packed(value.item())
    return ["numpy", [str(value.dtype), _packed(value.tolist())]]


def _unpacked(value: Any) -> Any:
    if type(value) is not list:
        if type(value) is dict:
            raise NotPlainError("an object")
        return value
    kind, content = value
    if kind == "numpy":
        dtype, items = content
        return sys.modules["numpy"].array(_unpacked(items), dtype=dtype)
    if kind == "d":
        return {_unpacked(key): _unpacked(item) for key, item in content}
    return _MADE[kind]([_unpacked(item) for item in content])


def _library(module: str, name: str) -> Callable[..., Any]:
    """A class of the standard library, imported when it is asked for."""
    return lambda *parts: getattr(__import__(module, fromlist=[name]), name)(*parts)


def _numbers_of(*names: str) -> Callable[[Any], Iterable[Any]]:
    return lambda value: [getattr(value, name) for name in names]


def _clock_of(*names: str) -> Callable[[Any], Iterable[Any]]:
    """Of a time without a zone: a zone is an object of any class, and decides what the time is equal to."""

    def parts(value: Any) -> Iterable[Any]:
        if value.tzinfo is not None:
            raise NotPlainError("a time with a zone is no plain data")
        return _numbers_of(*names, "fold")(value)

    return parts


def _clock(name: str) -> Callable[..., Any]:
    return lambda *parts: _library("datetime", name)(*parts[:-1]).replace(fold=parts[-1])


_DATE, _TIME = ("year", "month", "day"), ("hour", "minute", "second", "microsecond")
_SELDOM: dict[str, tuple[Callable[[Any], Iterable[Any]], Callable[..., Any]]] = {
    "builtins.bytes": (list, lambda *parts: bytes(parts)),
    "builtins.bytearray": (list, lambda *parts: bytearray(parts)),
    "builtins.complex": (_numbers_of("real", "imag"), complex),
    "builtins.range": (_numbers_of("start", "stop", "step"), range),
    "collections.deque": (list, lambda *parts: _library("collections", "deque")(parts)),
    "collections.Counter": (lambda value: [dict(value)], _library("collections", "Counter")),
    "collections.OrderedDict": (lambda value: [dict(value)], _library("collections", "OrderedDict")),
    "collections.defaultdict": (lambda value: [dict(value)], dict),
    "decimal.Decimal": (lambda value: [str(value)], _library("decimal", "Decimal")),
    "fractions.Fraction": (_numbers_of("numerator", "denominator"), _library("fractions", "Fraction")),
    "datetime.date": (_numbers_of(*_DATE), _library("datetime", "date")),
    "datetime.time": (_clock_of(*_TIME), _clock("time")),
    "datetime.datetime": (_clock_of(*_DATE, *_TIME), _clock("datetime")),
    "datetime.timedelta": (_numbers_of("days", "seconds", "microseconds"), _library("datetime", "timedelta")),
}
"""By the class's name: its parts, and how it is made of them."""
_MADE: dict[str, Callable[[list[Any]], Any]] = {
    "l": list,
    "t": tuple,
    "s": set,
    "f": frozenset,
    "iter": iter,
    "keys": lambda items: dict.fromkeys(items).keys(),
    "values": lambda items: dict(enumerate(items)).values(),
    "items": lambda items: dict(items).items(),
    **{name: (lambda items, make=make: make(*items)) for name, (_, make) in _SELDOM.items()},  # type: ignore[misc]
}
