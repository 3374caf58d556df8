"""JSON Lines, plain or gzip-packed, with the line's number in every complaint."""

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from tritcoder.errors import DatasetError

_MAX_DIGITS = 1_000_000
"""More digits than this are an attack, not a number: reading them takes time that grows faster than they do."""
_CHUNK_DIGITS = 4000
"""Python reads numbers of this many digits without asking (its limit is 4300)."""


def rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The line number, from 1, and the object of each line that is not blank.

    Raises:
        DatasetError: no such file, damaged gzip data, text that is not UTF-8, a line that is no JSON object.
    """
    number = 0
    try:
        with _open(path) as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, _object(line, path, number)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        where = f"{path}, after line {number}"
        raise DatasetError(
            f"{where}: the gzip data is damaged or cut short ({error})", "fetch the file again"
        ) from None
    except OSError as error:
        raise unreadable(path, error) from None


def _open(path: Path) -> IO[bytes] | gzip.GzipFile:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")


def unreadable(path: Path, error: OSError) -> DatasetError:
    """The complaint about a data file that the operating system does not give us."""
    if isinstance(error, FileNotFoundError):
        return DatasetError(f"there is no data file at {path}", "check the path, or fetch the file first")
    return DatasetError(f"{path} cannot be read ({error.strerror})", "check the path and its permissions")


def parse(text: str) -> Any:
    """The JSON value of a text; integers may have up to a million digits.

    Python refuses to read more than 4300 digits by default; one APPS problem has them.

    Raises:
        ValueError: it is not JSON, is nested too deeply, or holds a still longer integer.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError:  # the digit limit: nothing else is left
        return json.loads(text, parse_int=_long_int)


def _object(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        value = parse(line.decode("utf-8-sig" if number == 1 else "utf-8"))
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}, line {number}: the text must be UTF-8, found {error.reason}") from None
    except ValueError as error:
        raise DatasetError(f"{path}, line {number}: expected a JSON object, found {error}") from None
    if not isinstance(value, dict):
        found = type(value).__name__
        raise DatasetError(f"{path}, line {number}: expected a JSON object, found {found}")
    return value


def _long_int(digits: str) -> int:
    if len(digits) <= _CHUNK_DIGITS:
        return int(digits)
    if len(digits) > _MAX_DIGITS:
        raise ValueError(f"an integer of {len(digits)} digits")
    if digits[0] == "-":
        return -_long_int(digits[1:])
    half = len(digits) // 2
    return int(_long_int(digits[:-half]) * 10**half + _long_int(digits[-half:]))
