"""Showing an answer while it comes, when it may be cut off in the middle and come again."""

from collections.abc import Callable, Sequence

from tritcoder.baselines.prompting import cut_at_stop


class Shown:
    """Shows a text piece by piece, up to the first stop string, and nothing of it twice.

    If a second attempt begins with other words than those that were shown, it is shown from where the two part; the
    Completion holds the second alone.
    """

    def __init__(self, show: Callable[[str], None], stops: Sequence[str]) -> None:
        """Begin with nothing shown."""
        self._show, self._stops = show, stops
        self._text = self._shown = ""

    def begin(self) -> None:
        """An attempt begins: its text comes from the start."""
        self._text = ""

    def add(self, piece: str) -> None:
        """More of the text has come; what may be the beginning of a stop string is held back."""
        self._text += piece
        sure = min(len(cut_at_stop(self._text, self._stops)), len(self._text) - self._n_held_back())
        self._go_on(self._text[:sure])

    def end(self, text: str) -> None:
        """This is the whole answer, cut at its stop strings: show what is left of it."""
        self._go_on(text)

    def _go_on(self, text: str) -> None:
        if text.startswith(self._shown):
            place = len(self._shown)
        else:
            place = next((n for n, (a, b) in enumerate(zip(text, self._shown, strict=False)) if a != b), len(text))
        if place < len(text):
            self._show(text[place:])
            self._shown = text

    def _n_held_back(self) -> int:
        """Length of the longest end of the text that begins a stop string."""
        longest = max((len(stop) - 1 for stop in self._stops), default=0)
        for length in range(min(longest, len(self._text)), 0, -1):
            if any(stop.startswith(self._text[-length:]) for stop in self._stops):
                return length
        return 0
