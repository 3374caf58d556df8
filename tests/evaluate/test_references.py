import bz2
import itertools
import math
from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tritcoder.errors import ConfigError, DatasetError, EmptyCorpusError
from tritcoder.evaluate.references import (
    KneserNey,
    compression_bits_per_byte,
    ngram_bits_per_byte,
    unigram_bits_per_byte,
)


class SlowKneserNey:
    """The same model as dictionaries and sums, straight from the formulas."""

    def __init__(self, ids: Any, vocab_size: int, order: int) -> None:
        self.vocab_size, self.order = vocab_size, order
        types = Counter(tuple(ids[k : k + order]) for k in range(len(ids) - order + 1))
        self.levels: list[tuple[Counter[Any], tuple[float, ...]]] = []
        for _ in range(order):
            self.levels.insert(0, (types, self.discounts(types)))
            preceding = defaultdict(set)
            for gram in types:
                preceding[gram[1:]].add(gram[0])
            types = Counter({gram: len(tokens) for gram, tokens in preceding.items()})

    @staticmethod
    def discounts(counts: Any) -> tuple[float, ...]:
        n1, n2, n3, n4 = (sum(count == times for count in counts.values()) for times in (1, 2, 3, 4))
        if 0 in (n1, n2, n3):
            return 0.5, 1.0, 1.5
        y = n1 / (n1 + 2 * n2)
        found = 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3
        return found if all(0 < d < k for k, d in enumerate(found, 1)) else (0.5, 1.0, 1.5)

    def probability(self, context: Any, word: int) -> float:
        context = tuple(context)[-(self.order - 1) :] if self.order > 1 else ()
        lower = self.probability(context[1:], word) if context else 1 / self.vocab_size
        counts, discounts = self.levels[len(context)]
        following = {gram[-1]: count for gram, count in counts.items() if gram[:-1] == context}
        if not following:
            return lower
        total = sum(following.values())
        freed = sum(discounts[min(count, 3) - 1] for count in following.values())
        count = following.get(word, 0)
        kept = count - discounts[min(count, 3) - 1] if count else 0.0
        return kept / total + freed / total * lower


def skewed(n: int, vocab_size: int, seed: int = 0) -> Any:
    """Ids with frequent and rare ones and runs, so that every count from 1 to 4 occurs."""
    rng = np.random.default_rng(seed)
    ids = (vocab_size * rng.random(n) ** 3).astype(np.int64)
    ids[n // 2 :] = ids[: n - n // 2]
    return ids


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint16, np.int64])
def test_the_fast_model_equals_the_slow_one(order: int, dtype: Any) -> None:
    train, held_out = skewed(300, 9).astype(dtype), skewed(80, 9, seed=1).astype(dtype)
    slow = SlowKneserNey(train.tolist(), 9, order)
    expected = [slow.probability(held_out[:k].tolist(), int(word)) for k, word in enumerate(held_out)]
    np.testing.assert_allclose(KneserNey(train, 9, order).probabilities(held_out), expected, rtol=1e-12)
    bits = -sum(map(math.log2, expected)) / 200
    assert ngram_bits_per_byte(train, held_out, 200, 9, order) == pytest.approx(bits, rel=1e-12)


@settings(deadline=None)
@given(st.integers(1, 6), st.integers(1, 4), st.data())
def test_the_fast_model_equals_the_slow_one_on_any_stream(vocab_size: int, order: int, data: Any) -> None:
    ids = st.lists(st.integers(0, vocab_size - 1), min_size=1, max_size=40)
    train, held_out = data.draw(ids), data.draw(ids)
    slow = SlowKneserNey(train, vocab_size, order)
    expected = [slow.probability(held_out[:k], word) for k, word in enumerate(held_out)]
    found = KneserNey(np.array(train), vocab_size, order).probabilities(np.array(held_out))
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_probabilities_after_every_context_sum_to_one(order: int) -> None:
    vocab_size = 5
    model = KneserNey(skewed(120, vocab_size - 1), vocab_size, order)  # id 4 never occurs
    for context in itertools.product(range(vocab_size), repeat=order - 1):
        rows = [model.probabilities(np.array([*context, word]))[-1] for word in range(vocab_size)]
        assert sum(rows) == pytest.approx(1, abs=1e-12)
        assert min(rows) > 0


def test_discounts_are_those_of_chen_and_goodman() -> None:
    # 8 tokens occur once, 4 twice, 2 three times, 1 four times, and one 5 times: an order of 1 counts them.
    times = [1] * 8 + [2] * 4 + [3] * 2 + [4] + [5]
    ids = np.repeat(np.arange(len(times)), times)
    y = 8 / (8 + 8)
    d1, d2, d3 = 1 - 2 * y * 4 / 8, 2 - 3 * y * 2 / 4, 3 - 4 * y * 1 / 2
    total, vocab_size = sum(times), 20
    freed = (8 * d1 + 4 * d2 + 4 * d3) / total / vocab_size
    found = KneserNey(ids, vocab_size, 1).probabilities(np.array([0, 8, 12, 14, 15, 19]))
    discounted = np.array([1 - d1, 2 - d2, 3 - d3, 4 - d3, 5 - d3, 0])
    np.testing.assert_allclose(found, discounted / total + freed, rtol=1e-12)


def test_a_stream_that_repeats_is_predicted_better_with_more_context() -> None:
    train = np.tile(np.arange(50), 40)
    rates = [ngram_bits_per_byte(train, train[:500], 500, 50, order) for order in (1, 2, 3)]
    assert rates[0] > 5
    assert rates[1] < 0.5
    assert unigram_bits_per_byte(train, train[:500], 500, 50) == pytest.approx(math.log2(50))


def test_the_unigram_model_worked_by_hand() -> None:
    train, held_out = np.array([0, 0, 0, 1]), np.array([0, 2])
    expected = -(math.log2(4 / 7) + math.log2(1 / 7)) / 10
    assert unigram_bits_per_byte(train, held_out, 10, 3) == pytest.approx(expected)


def test_large_ids_of_small_types_do_not_overflow() -> None:
    train = np.array([65535, 65534, 65535, 65533] * 5, dtype=np.uint16)
    wide = train.astype(np.int64)
    assert ngram_bits_per_byte(train, train, 40, 65536) == ngram_bits_per_byte(wide, wide, 40, 65536)


def test_a_model_of_three_hundred_thousand_tokens_is_exact_in_its_sum() -> None:
    vocab_size = 16_384
    ids = (vocab_size * np.random.default_rng(0).random(300_000) ** 4).astype(np.uint16)
    model = KneserNey(ids, vocab_size, 3)
    context = ids[1000:1002]
    streams = np.stack([np.r_[context, word] for word in range(vocab_size)]).astype(np.uint16)
    # One stream of all of them: every third id is predicted from the two before it.
    found = model.probabilities(streams.reshape(-1))[2::3]
    assert found.sum() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("measure", [unigram_bits_per_byte, ngram_bits_per_byte])
def test_streams_that_make_no_sense_are_refused(measure: Any) -> None:
    some = np.array([0, 1, 2])
    with pytest.raises(EmptyCorpusError, match="training"):
        measure(some[:0], some, 3, 5)
    with pytest.raises(EmptyCorpusError, match="held-out"):
        measure(some, some[:0], 3, 5)
    with pytest.raises(EmptyCorpusError, match="bytes"):
        measure(some, some, 0, 5)
    with pytest.raises(DatasetError, match="found 2"):
        measure(some, some, 3, 2)
    with pytest.raises(DatasetError, match="found -1"):
        measure(some - 1, some, 3, 5)


def test_orders_that_do_not_fit_are_refused() -> None:
    some = np.array([0, 1, 2])
    for order in (0, -1, 5):
        with pytest.raises(ConfigError, match="order"):
            ngram_bits_per_byte(some, some, 3, 16_384, order)
    assert ngram_bits_per_byte(some, some, 3, 16_384, 4) > 0


def test_compression_finds_what_repeats_and_not_what_is_random() -> None:
    noise = np.random.default_rng(0).bytes(40_000)
    found = compression_bits_per_byte(noise)
    assert all(7.9 < rate < 8.2 for rate in found.values())
    repeated = compression_bits_per_byte(noise * 10)
    assert repeated["xz"] < 0.9 < 7.9 < repeated["zlib"]  # farther back than zlib's window of 32 KiB
    source = b"def f(x):\n    return x + 1\n" * 1000
    assert set(found) == {"zlib", "xz"}
    assert max(compression_bits_per_byte(source).values()) < 8 * len(bz2.compress(source)) / len(source) * 3


def test_no_text_is_not_compressed() -> None:
    with pytest.raises(EmptyCorpusError):
        compression_bits_per_byte(b"")
