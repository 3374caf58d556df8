import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritcoder.baselines.similarity import TextIndex, words

texts = st.lists(st.text("ab c1", max_size=20), min_size=1, max_size=6)


def dense_similarities(known: list[str], text: str) -> np.ndarray:
    """The definition, word by word in full matrices."""
    vocabulary = sorted({word for one in known for word in words(one)})
    counts = np.array([[words(one)[word] for word in vocabulary] for one in [*known, text]], float)
    counts = counts.reshape(len(known) + 1, len(vocabulary))
    df = (counts[:-1] > 0).sum(axis=0)
    idf = np.log((1 + len(known)) / (1 + df)) + 1
    weights = np.where(counts > 0, 1 + np.log(np.maximum(counts, 1)), 0) * idf
    lengths = np.linalg.norm(weights, axis=1, keepdims=True)
    unit = np.divide(weights, lengths, out=np.zeros_like(weights), where=lengths > 0)
    return np.asarray(unit[:-1] @ unit[-1])


@given(texts, st.text("ab c1", max_size=20))
def test_inverted_index_equals_dense_definition(known: list[str], text: str) -> None:
    np.testing.assert_allclose(TextIndex(known).similarities(text), dense_similarities(known, text), atol=1e-12)


@given(texts)
def test_a_text_is_most_similar_to_itself(known: list[str]) -> None:
    index = TextIndex(known)
    for place, text in enumerate(known):
        scores = index.similarities(text)
        assert scores.max() <= 1 + 1e-12
        if words(text):
            assert scores[place] == pytest.approx(1)
        else:
            assert not scores.any()


def test_cosine_worked_by_hand() -> None:
    # Two texts; "x" in both: idf 1; "y" and "z" in one each: idf ln(3/2) + 1.
    rare = math.log(3 / 2) + 1
    expected = 1 / math.hypot(1, rare)
    np.testing.assert_allclose(TextIndex(["x y", "X, z!"]).similarities("x"), [expected, expected])


def test_repeated_words_count_by_their_logarithm() -> None:
    twice = 1 + math.log(2)
    scores = TextIndex(["x x y"]).similarities("y")
    np.testing.assert_allclose(scores, [1 / math.hypot(twice, 1)])


def test_unknown_words_are_similar_to_nothing() -> None:
    assert not TextIndex(["x y", "z"]).similarities("q w").any()
