from hypothesis import given
from hypothesis import strategies as st

from tritcoder.baselines.prompting import cut_at_stop
from tritcoder.baselines.shown import Shown

SMALL = st.text("ab", max_size=6)


@given(attempts=st.lists(st.lists(SMALL, max_size=6), min_size=1, max_size=3), stops=st.lists(SMALL.filter(bool)))
def test_pieces_of_one_text_are_shown_once_and_up_to_the_stop(attempts: list[list[str]], stops: list[str]) -> None:
    whole = "".join(attempts[-1])
    pieces: list[str] = []
    shown = Shown(pieces.append, stops)
    for attempt in attempts:
        shown.begin()
        left = whole
        for piece in attempt:  # earlier attempts bring the same text, in pieces of other lengths
            shown.add(left[: len(piece)])
            left = left[len(piece) :]
    shown.end(cut_at_stop(whole, stops))
    assert "".join(pieces) == cut_at_stop(whole, stops)


def test_stop_string_that_ends_later_may_begin_earlier() -> None:
    pieces: list[str] = []
    shown = Shown(pieces.append, ["a", "baa"])
    for piece in ("b", "a", "a"):
        shown.add(piece)
    shown.end("")
    assert pieces == []


def test_what_may_begin_a_stop_string_is_held_back() -> None:
    pieces: list[str] = []
    shown = Shown(pieces.append, ["\ndef"])
    for piece in ("x = 1\n", "de", "l x\n", "def f"):
        shown.add(piece)
    assert pieces == ["x = 1", "\ndel x"]


def test_another_text_is_shown_from_where_it_parts_from_the_first() -> None:
    pieces: list[str] = []
    shown = Shown(pieces.append, [])
    shown.add("one two")
    shown.begin()
    shown.add("one ")
    shown.add("three four")
    shown.end("one three four")
    assert pieces == ["one two", "hree four"]
