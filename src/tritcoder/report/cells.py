"""A table as plain text, ready to be set: headings and cells, nothing marked up."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: its main text, and a second line in small type."""

    text: str
    small: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table ready to be set; the first column names the rows."""

    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numeric: tuple[bool, ...]
    groups: tuple[tuple[str, int], ...] = ()
    """Headings above the headings: each and how many columns it spans."""
    classes: tuple[str, ...] = ()
    """Of each row, for the style sheet."""

    def __bool__(self) -> bool:
        return bool(self.rows)


def table(caption: str, headings: Sequence[str], rows: Iterable[Sequence[str]], text_columns: int = 1) -> Table:
    """A plain table whose first `text_columns` columns are words, the others numbers."""
    cells = tuple(tuple(map(Cell, row)) for row in rows)
    return Table(caption, tuple(headings), cells, tuple(i >= text_columns for i in range(len(headings))))
