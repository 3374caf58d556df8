import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritcoder.report.wording import (
    NOTHING,
    byte_size,
    decimals,
    duration,
    flattened,
    moment,
    number,
    one_line,
    plain,
    short_count,
    shortened,
    significant,
    visible,
)  # fmt: skip


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (999, "999"), (1000, "1.00 k"), (999_499, "999 k"), (999_500, "1.00 M"), (5_243_904, "5.24 M"),
     (12_345_678, "12.3 M"), (9_996, "10.0 k"), (175e9, "175 B"), (None, NOTHING)],
)  # fmt: skip
def test_a_short_count_has_three_figures(value: Any, text: str) -> None:
    assert short_count(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.01234, "0.0123"), (4.567, "4.57"), (789.4, "789"), (12345.6, "12,346"), (-4.567, "-4.57")],
)  # fmt: skip
def test_a_number_keeps_its_significant_figures(value: float, text: str) -> None:
    assert significant(value) == text


def test_units_and_times_read_as_people_say_them() -> None:
    assert (byte_size(0), byte_size(999), byte_size(3_140_000)) == ("0 B", "999 B", "3.1 MB")
    assert (duration(0.44), duration(83), duration(7500)) == ("0.4 s", "1 min 23 s", "2 h 05 min")
    assert moment("2026-03-04T05:06:07+00:00") == "2026-03-04 05:06:07 UTC"
    assert moment("yesterday") == "yesterday"
    assert (decimals(1234.5, 2), decimals(1e300, 2)) == ("1,234.50", "1.0e+300")
    assert (plain(True), plain(1234), plain(3.21), plain(["a", "b"]), plain({"a": 1})) == (
        "yes", "1,234", "3.21", "a, b", '{"a": 1}',
    )  # fmt: skip


@pytest.mark.parametrize("value", [None, "3", True, [], {}, float("nan"), float("inf"), 10**400])
def test_what_is_no_finite_number_is_shown_as_a_dash(value: Any) -> None:
    assert number(value) is None
    assert {form(value) for form in (short_count, significant, byte_size, duration)} == {NOTHING}
    assert decimals(value, 2) == NOTHING


@given(st.text(st.characters()))
def test_visible_text_hides_nothing(text: str) -> None:
    shown = visible(text)
    assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t"]
    assert not [c for c in shown if unicodedata.bidirectional(c) in ("RLO", "LRO", "RLE", "LRE", "RLI", "LRI", "FSI")]
    shown.encode()


@given(st.text(st.characters(categories=("L", "N", "P", "Zs"))))
def test_visible_leaves_ordinary_text_alone(text: str) -> None:
    assert visible(text) == text


@given(st.text(), st.integers(1, 50))
def test_a_label_is_one_line_within_its_limit(text: str, limit: int) -> None:
    label = one_line(text, limit)
    assert len(label) <= limit
    assert len(label.splitlines()) <= 1


def test_shortened_text_says_how_much_is_gone() -> None:
    assert shortened("abc", 3) == "abc"
    assert shortened("a" * 1500, 100) == "a" * 100 + "\n[... 1,400 more characters]"


def test_fields_within_fields_are_flattened() -> None:
    assert flattened({"a_b": {"c": 1, "d": {"e_f": 2}}, "g": 3}) == {"a b c": 1, "a b d e f": 2, "g": 3}
