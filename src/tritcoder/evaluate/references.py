"""What a language model must beat on the same held-out text: counting, and compression.

The counts are of the same token ids that the model learns from. Documents are separated by an end-of-text
id in both streams; contexts run across it, as they do in training.

Axes: T held-out tokens, G distinct n-grams of one order, N training tokens.
"""

import lzma
import math
import zlib
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64, Integer, Num

from tritcoder.errors import ConfigError, DatasetError, EmptyCorpusError

_FALLBACK_DISCOUNTS = (0.5, 1.0, 1.5)
"""Where counts-of-counts give none; those of KenLM's `--discount_fallback`."""


def unigram_bits_per_byte(
    train_ids: Integer[np.ndarray, "N"], held_out_ids: Integer[np.ndarray, "T"], n_bytes: int, vocab_size: int
) -> float:
    """Bits per byte of token frequencies alone: p(w) = (c(w) + 1) / (N + V).

    Args:
        train_ids: the token ids that are counted.
        held_out_ids: the token ids that are predicted.
        n_bytes: length of the held-out text as UTF-8.
        vocab_size: V.

    Raises:
        EmptyCorpusError, DatasetError: nothing to count or to predict; an id outside the vocabulary.
    """
    _check(train_ids, held_out_ids, n_bytes, vocab_size)
    counts = np.bincount(train_ids, minlength=vocab_size)
    probabilities = (counts + 1.0) / (len(train_ids) + vocab_size)
    return _bits_per_byte(probabilities[held_out_ids], n_bytes)


def ngram_bits_per_byte(
    train_ids: Integer[np.ndarray, "N"],
    held_out_ids: Integer[np.ndarray, "T"],
    n_bytes: int,
    vocab_size: int,
    order: int = 3,
) -> float:
    """Bits per byte of an n-gram model with interpolated modified Kneser-Ney smoothing.

    Every held-out token is predicted from the order - 1 tokens before it, the first few from as many as
    there are. The arguments and errors are those of `unigram_bits_per_byte`, and:

    Raises:
        ConfigError: `order` ids of this vocabulary do not fit into 63 bits, or `order` is below 1.
    """
    _check(train_ids, held_out_ids, n_bytes, vocab_size)
    model = KneserNey(train_ids, vocab_size, order)
    return _bits_per_byte(model.probabilities(held_out_ids), n_bytes)


def compression_bits_per_byte(text: bytes) -> dict[str, float]:
    """Bits per byte of general compressors at their best setting, which learn from this text alone.

    Raises:
        EmptyCorpusError: there is no text.
    """
    if not text:
        raise EmptyCorpusError("compression needs some text, found none")
    sizes = {"zlib": len(zlib.compress(text, 9)), "xz": len(lzma.compress(text, preset=9))}
    return {name: 8 * size / len(text) for name, size in sizes.items()}


class KneserNey:
    """An n-gram model over token ids with interpolated modified Kneser-Ney smoothing.

    p(w | u v) = max(a(u v w) - D, 0) / a(u v) + g(u v) * p(w | v), and so on down to 1 / V, where a is the
    count of the highest order and, below it, the number of distinct tokens that precede. D is one of three
    discounts, for a = 1, 2 and more, estimated from counts of counts; g(u v) is the mass that they free.
    An unseen context passes all its mass down. So the probabilities of a context sum to 1.

    Args:
        ids: (N,) the token ids that are counted.
        vocab_size: V; every id is below it.
        order: 3 for trigrams.
    Source: Chen & Goodman 1999, An empirical study of smoothing techniques, sections 2.7 and 3; with the
        unigrams interpolated too, as in Heafield et al. 2013.
    """

    def __init__(self, ids: Integer[np.ndarray, "N"], vocab_size: int, order: int = 3) -> None:
        self._bits = max(1, (vocab_size - 1).bit_length())
        if order < 1 or order * self._bits > 63:
            raise ConfigError(
                f"order must be from 1 to {63 // self._bits} with a vocabulary of {vocab_size}, found {order}"
            )
        self._vocab_size = vocab_size
        self._levels: list[_Level] = []
        grams = _packed(ids, order, self._bits)
        for length in range(order, 0, -1):
            grams.sort()
            level, grams = _counted(grams, length, self._bits)
            self._levels.insert(0, level)

    @property
    def order(self) -> int:
        """The longest n-gram counted."""
        return len(self._levels)

    def probabilities(self, ids: Integer[np.ndarray, "T"]) -> Float64[np.ndarray, "T"]:
        """The probability of each id given those before it; the first ones have shorter contexts."""
        probabilities = np.full(len(ids), 1.0 / self._vocab_size)
        for length, level in enumerate(self._levels, 1):
            keys = _packed(ids, length, self._bits)
            if len(keys):
                share, freed = level.look_up(keys, self._bits)
                probabilities[length - 1 :] = share + freed * probabilities[length - 1 :]
        return probabilities


@dataclass(frozen=True, slots=True)
class _Level:
    """The n-grams of one order, sorted, and their contexts, sorted too."""

    keys: Int64[np.ndarray, "G"]
    shares: Float64[np.ndarray, "G"]
    """max(a - D, 0) / a(context)."""
    contexts: Int64[np.ndarray, "C"]
    freed: Float64[np.ndarray, "C"]
    """The mass that a context passes on to the next lower order."""

    def look_up(
        self, keys: Int64[np.ndarray, "T"], bits: int
    ) -> tuple[Float64[np.ndarray, "T"], Float64[np.ndarray, "T"]]:
        """Share and freed mass of each n-gram: 0 where it is unseen, 1 where its context is."""
        if not len(self.keys):
            return np.zeros(len(keys)), np.ones(len(keys))
        place, seen = _find(self.keys, keys)
        share = np.where(seen, self.shares[place], 0.0)
        place, seen = _find(self.contexts, keys >> bits)
        return share, np.where(seen, self.freed[place], 1.0)


def _packed(ids: Integer[np.ndarray, "N"], length: int, bits: int) -> Int64[np.ndarray, "M"]:
    """Each run of `length` ids as one integer, the last id in its lowest bits."""
    n = max(0, len(ids) - length + 1)
    keys = ids[:n].astype(np.int64)
    for offset in range(1, length):
        keys <<= bits
        keys |= ids[offset : offset + n]
    return keys


def _counted(grams: Int64[np.ndarray, "N"], length: int, bits: int) -> tuple[_Level, Int64[np.ndarray, "G"]]:
    """One order's level from its sorted n-grams, and what the order below is counted from.

    That is each distinct n-gram without its first token, once: counting these gives the number of
    distinct tokens that precede.
    """
    starts = _run_starts(grams)
    counts = np.diff(starts, append=len(grams))
    keys = grams[starts]
    context_starts = _run_starts(keys >> bits)
    discounts = np.array([0.0, *_discounts(counts)])[np.minimum(counts, 3)]
    totals = _sums(counts, context_starts)
    shares = counts - discounts
    shares /= np.repeat(totals, np.diff(context_starts, append=len(keys)))
    freed = _sums(discounts, context_starts) / totals
    lower = keys & ((1 << bits * (length - 1)) - 1)
    return _Level(keys, shares, keys[context_starts] >> bits, freed), lower


def _run_starts(ordered: Int64[np.ndarray, "N"]) -> Int64[np.ndarray, "G"]:
    """Where each run of equal values begins."""
    first = np.ones(len(ordered), dtype=bool)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return np.flatnonzero(first)


def _sums(values: Num[np.ndarray, "G"], starts: Int64[np.ndarray, "C"]) -> Float64[np.ndarray, "C"]:
    """The sum over each group; groups are neighbours and begin at `starts`."""
    if not len(starts):
        return np.zeros(0)
    return np.add.reduceat(values, starts).astype(np.float64)


def _find(
    ordered: Int64[np.ndarray, "G"], wanted: Int64[np.ndarray, "T"]
) -> tuple[Int64[np.ndarray, "T"], Bool[np.ndarray, "T"]]:
    """Where each wanted key stands among ordered ones (some valid place if nowhere), and whether it does."""
    place = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
    return place, ordered[place] == wanted


def _discounts(counts: Int64[np.ndarray, "G"]) -> tuple[float, float, float]:
    """Chen & Goodman's discounts for counts of 1, 2, and 3 or more, from how many n-grams occur so often."""
    n1, n2, n3, n4 = (int(np.count_nonzero(counts == times)) for times in (1, 2, 3, 4))
    if not (n1 and n2 and n3):
        return _FALLBACK_DISCOUNTS
    y = n1 / (n1 + 2 * n2)
    found = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
    sensible = all(0 < discount < times for times, discount in enumerate(found, 1))
    return found if sensible else _FALLBACK_DISCOUNTS


def _bits_per_byte(probabilities: Float64[np.ndarray, "T"], n_bytes: int) -> float:
    return -float(np.log(probabilities).sum()) / math.log(2) / n_bytes


def _check(
    train_ids: Integer[np.ndarray, "N"], held_out_ids: Integer[np.ndarray, "T"], n_bytes: int, vocab_size: int
) -> None:
    for name, ids in (("training", train_ids), ("held-out", held_out_ids)):
        if not len(ids):
            raise EmptyCorpusError(f"the {name} text should hold some tokens, found none")
        low, high = int(ids.min()), int(ids.max())
        if low < 0 or high >= vocab_size:
            raise DatasetError(
                f"{name} ids must be from 0 to {vocab_size - 1}, found {low if low < 0 else high}",
                "take the tokenizer that the token shards were written with",
            )
    if n_bytes < 1:
        raise EmptyCorpusError(f"the held-out text should hold some bytes, found {n_bytes}")
