"""The fields of a benchmark's row: text where text is due, or a sentence with file, line and field."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from tritcoder.errors import DatasetError

Row = Mapping[str, Any]


def text(row: Row, name: str, where: str, hint: str, *, optional: bool = False) -> str:
    """The text of a field; not blank unless it is optional, in which case it may also be absent.

    Raises:
        DatasetError: names the place, the field, what was expected and what was found; `hint` says what to do.
    """
    value = row.get(name)
    if optional and value is None:
        return ""
    if not isinstance(value, str) or not (optional or value.strip()):
        raise DatasetError(f"{where}, field {name}: expected text, found {_kind(value)}", hint)
    return value


def lines(row: Row, name: str, where: str, hint: str) -> list[str]:
    """The texts of a field that lists them; none when it is absent.

    Raises:
        DatasetError: as `text`.
    """
    value = row.get(name, [])
    if not isinstance(value, list) or not all(isinstance(line, str) for line in value):
        raise DatasetError(f"{where}, field {name}: expected a list of lines, found {str(value)[:80]!r}", hint)
    return value


def number(row: Row, name: str, where: str, hint: str) -> int:
    """The whole number of a field.

    Raises:
        DatasetError: as `text`.
    """
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise DatasetError(f"{where}, field {name}: expected a number, found {str(value)[:80]!r}", hint)
    return value


def distinct(names: Iterable[str]) -> list[str]:
    """The names with every repetition numbered: a, b, a, a become a, b, a.2, a.3."""
    seen: Counter[str] = Counter()
    found = []
    for name in names:
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name}.{seen[name]}")
    return found


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return "an empty text"
    return "nothing" if value is None else type(value).__name__
