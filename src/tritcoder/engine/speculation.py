"""Prompt lookup: what followed the last few tokens when they stood there before may follow again.

Code repeats its names and lines. A proposal costs a few more rows of one step, and is kept only as far as it equals what
the sampler draws, so that no text changes (Saxena 2023, "prompt lookup decoding"; Leviathan et al. 2022, arXiv:2211.17192).
"""

from collections.abc import Sequence

N_GRAM = 3


class Lookup:
    """The places of a sequence's n-grams, brought forward as it grows."""

    __slots__ = ("_n_seen", "_places")

    def __init__(self) -> None:
        self._places: dict[tuple[int, ...], int] = {}
        """n-gram -> where it last ended, the end of the sequence excepted."""
        self._n_seen = N_GRAM

    def propose(self, ids: Sequence[int], n: int) -> list[int]:
        """At most `n` tokens that followed the last occurrence of the last n-gram."""
        for end in range(self._n_seen, len(ids)):
            self._places[tuple(ids[end - N_GRAM : end])] = end
        self._n_seen = max(self._n_seen, len(ids))
        place = self._places.get(tuple(ids[-N_GRAM:]))
        return [] if place is None else list(ids[place : place + n])
