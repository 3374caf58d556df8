"""The fast sampler: the tokens of `generate.next_token`, without sorting a vocabulary for each.

The k-th likeliest logit bounds the `top_k`; else the logits' values are sorted, not their places: the token's rank
names its value, and the first tokens of that value its place.

Axes: V vocabulary.
"""

from collections.abc import Iterable
from math import isfinite

import numpy as np
from jaxtyping import Bool, Float32

from tritcoder.errors import NotFiniteError
from tritcoder.records import Sampling, TokenScore

try:
    from tritcoder import _native
except ImportError:
    native_sample = None
else:
    native_sample = getattr(_native, "sample", None)


UNSEEN = 38.0
"""A weight below exp(-38) < 2^-54 does not change a sum of 1 or more: its token needs no place in the order."""


def draw(logits: Float32[np.ndarray, "V"], sampling: Sampling, random: np.random.Generator) -> int:
    """One token at a temperature above 0."""
    if native_sample is not None:
        point = random.random()
        return int(native_sample(logits, sampling.temperature, sampling.top_k, sampling.min_p, sampling.top_p, point))
    return draw_in_numpy(logits, sampling, random.random())


def draw_in_numpy(logits: Float32[np.ndarray, "V"], sampling: Sampling, point: float) -> int:
    """The token at `point` (0 to 1) of the line of kept tokens, likeliest first."""
    seen = logits[logits >= float(logits.max()) - UNSEEN * sampling.temperature]
    n = len(seen)
    if 0 < sampling.top_k < n:
        ascending = np.sort(np.partition(seen, n - sampling.top_k)[n - sampling.top_k :])
    else:
        ascending = np.sort(seen)
    values = ascending[::-1]
    with np.errstate(over="ignore"):
        weights = np.exp((values.astype(np.float64) - values[0]) / sampling.temperature)
    if sampling.min_p:
        weights = weights[weights >= sampling.min_p]
    cumulative = np.cumsum(weights)
    kept = int(cumulative.searchsorted(sampling.top_p * cumulative[-1])) + 1
    cumulative = cumulative[:kept]
    rank = min(int(cumulative.searchsorted(point * cumulative[-1], side="right")), len(cumulative) - 1)
    value = values[rank]
    before = len(ascending) - int(ascending.searchsorted(value, side="right"))
    return int(np.flatnonzero(logits == value)[rank - before])


class Chooser:
    """The choices of one sequence."""

    __slots__ = ("_bias", "_greedy", "_n_tokens", "_plain", "_random", "_seen", "sampling")

    def __init__(
        self, sampling: Sampling, random: np.random.Generator, n_tokens: int, context: Iterable[int]
    ) -> None:
        self.sampling, self._random, self._n_tokens = sampling, random, n_tokens
        self._greedy = sampling.temperature == 0
        self._bias = [(token, np.float32(bias)) for token, bias in sampling.logit_bias if token < n_tokens]
        self._seen: Bool[np.ndarray, V] | None = None
        if sampling.repetition_penalty != 1:
            self._seen = np.zeros(n_tokens, dtype=np.bool_)
            self._seen[[token for token in context if token < n_tokens]] = True
        self._plain = not self._bias and self._seen is None

    def choose(self, logits: Float32[np.ndarray, "W"], allowed: Bool[np.ndarray, "V"] | None) -> int:
        """The next token, which counts as seen from now on.

        Raises:
            NotFiniteError: a logit is no number, or infinite: the weights are damaged.
        """
        logits = logits[: self._n_tokens]
        if not self._plain or allowed is not None:
            logits = self._adjusted(logits, allowed)
        token = int(logits.argmax())  # of the first that is no number, if there is one
        if not isfinite(logits[token]):
            raise NotFiniteError("the model's logits are no finite numbers", "its file is damaged: export it again")
        if not self._greedy:
            token = draw(logits, self.sampling, self._random)
        if self._seen is not None:
            self._seen[token] = True
        return token

    def _adjusted(self, logits: Float32[np.ndarray, "V"], allowed: Bool[np.ndarray, "V"] | None) -> np.ndarray:
        logits = logits.copy()
        if allowed is not None:
            logits[~allowed] = -np.inf
        for token, bias in self._bias:
            logits[token] += bias
        if self._seen is not None:
            penalty, own = np.float32(self.sampling.repetition_penalty), logits[self._seen]
            logits[self._seen] = np.where(own > 0, own / penalty, own * penalty)
        return logits

    def score(self, logits: Float32[np.ndarray, "W"], token: int) -> TokenScore:
        """The log-probability of a token and of the likeliest ones, by the logits alone."""
        precise = logits[: self._n_tokens].astype(np.float64)
        precise -= precise.max()
        precise -= np.log(np.exp(precise).sum())
        n = min(self.sampling.logprobs, len(precise))
        least = np.partition(precise, len(precise) - n)[len(precise) - n]
        places = np.flatnonzero(precise >= least)
        top = places[np.argsort(-precise[places], kind="stable")][:n]
        return TokenScore(token, float(precise[token]), tuple((int(one), float(precise[one])) for one in top))
