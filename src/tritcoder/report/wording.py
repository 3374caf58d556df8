"""Values out of records that may lack them, and the words and figures that people read."""

import json
import math
import re
import unicodedata
from typing import Any

NOTHING = "–"
"""What stands where a record has no value."""

_LONGEST = 1e9
"""Longer numbers (a perplexity gone wild) are written in powers of ten."""
_SCALES = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


def number(value: Any) -> float | None:
    """A finite number, or None for anything else (absent, NaN, infinite, text, bool)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def mapping(value: Any) -> dict[str, Any]:
    """A dict as it is, and an empty one in place of anything else."""
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[Any]:
    """A list as it is, and an empty one in place of anything else."""
    return value if isinstance(value, list) else []


def decimals(value: Any, digits: int) -> str:
    """A number with so many decimals, in powers of ten when it is very long; a dash when there is none."""
    found = number(value)
    if found is None:
        return NOTHING
    return f"{found:,.{digits}f}" if abs(found) < _LONGEST else f"{found:.1e}"


def significant(value: Any) -> str:
    """A number with three figures or more, never in powers of ten: 0.0123, 4.56, 789, 12,345."""
    found = number(value)
    if found is None:
        return NOTHING
    if found == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(found))))
    return f"{found:,.{min(digits, 6)}f}"


def count(value: Any) -> str:
    """A whole number with thousands set apart."""
    found = number(value)
    return NOTHING if found is None else f"{found:,.0f}"


def short_count(value: Any) -> str:
    """A count to three figures with its scale: 5.24 M."""
    found = number(value)
    if found is None:
        return NOTHING
    for scale, unit in _SCALES:
        share = found / scale
        if abs(share) >= 0.9995:  # what would be printed as 1000 of the unit below is 1.00 of this one
            return f"{share:.{_places(abs(share))}f} {unit}"
    return f"{found:,.0f}"


def _places(size: float) -> int:
    """Decimals that give three figures to a number from 1 to 1000."""
    return 2 if size < 9.995 else 1 if size < 99.95 else 0


def byte_size(value: Any) -> str:
    """Bytes in the decimal units that disks are sold in: 3.1 MB."""
    found = number(value)
    if found is None:
        return NOTHING
    for scale, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if abs(found) >= scale:
            return f"{found / scale:,.1f} {unit}"
    return f"{found:,.0f} B"


def duration(value: Any) -> str:
    """Seconds as people say them: 0.4 s, 1 min 23 s, 2 h 05 min."""
    found = number(value)
    if found is None:
        return NOTHING
    if found < 60:
        return f"{found:.1f} s"
    whole = round(found)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60:02d} min"


def moment(value: Any) -> str:
    """An ISO 8601 time without its punctuation: 2026-03-04 05:06:07 UTC; other text as it is."""
    text = plain(value)
    return re.sub(r"^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\+00:00|Z)$", r"\1 \2 UTC", text)


def plain(value: Any) -> str:
    """Any JSON value as text: text as it is, numbers with thousands apart, the rest as JSON."""
    if value is None or value == "":
        return NOTHING
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return significant(value)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value) or NOTHING
    return json.dumps(value, ensure_ascii=False)


def words(name: Any) -> str:
    """A name of the code as words: `wrong_answer` -> wrong answer."""
    return str(name).replace("_", " ")


def flattened(fields: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Fields within fields as fields of their own: `{"a": {"b": 1}}` -> `{"a b": 1}`."""
    flat: dict[str, Any] = {}
    for key, value in fields.items():
        name = f"{prefix} {words(key)}".strip()
        flat |= flattened(value, name) if isinstance(value, dict) else {name: value}
    return flat


def shortened(text: str, limit: int) -> str:
    """At most `limit` characters of a text, and how many were left out."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}\n[... {len(text) - limit:,} more characters]"


def visible(text: str) -> str:
    """The text with every character that hides, reorders or breaks a page replaced by one that shows.

    Control characters become their pictures (U+2400 and on), lone surrogates U+FFFD, and the marks
    that turn the direction of writing their code points: what was written is then what is seen.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible_character(character) for character in text)


def _visible_character(character: str) -> str:
    code = ord(character)
    if character in "\n\t" or 0x20 <= code < 0x7F:
        return character
    if code < 0x20:
        return chr(0x2400 + code)
    if 0xD800 <= code <= 0xDFFF:
        return "\ufffd"
    if code == 0x7F:
        return "\u2421"
    category = unicodedata.category(character)
    if category == "Cc" or unicodedata.bidirectional(character) in _TURNS:
        return f"<U+{code:04X}>"
    return character


_TURNS = frozenset(("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"))


def one_line(text: Any, limit: int = 40) -> str:
    """A name fit for a label: visible, on one line, at most `limit` characters."""
    flat = " ".join(visible(str(text)).split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"
