"""Which texts are about the same thing: TF-IDF over words and the cosine, as scikit-learn defines them.

Axes: N texts.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Int64

_WORD = re.compile(r"\w+")


def words(text: str) -> Counter[str]:
    """How often each word occurs, in lower case; a number is a word too."""
    return Counter(_WORD.findall(text.lower()))


class TextIndex:
    """Texts, ready to be compared with another.

    A word that occurs c times in a text, and in df of the N texts, weighs (1 + ln c) * (ln((1 + N) / (1 + df)) + 1);
    each text is scaled to length 1, and the similarity is the dot product: the cosine, in [0, 1].

    Source: the formulas of scikit-learn's TfidfVectorizer with `sublinear_tf` and `smooth_idf`.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        counts = [words(text) for text in texts]
        self._n_texts = len(counts)
        df = Counter(word for count in counts for word in count)
        self._idf = {word: math.log((1 + self._n_texts) / (1 + n)) + 1 for word, n in df.items()}
        self._postings = self._invert(counts)

    def _invert(
        self, counts: Sequence[Counter[str]]
    ) -> dict[str, tuple[Int64[np.ndarray, "df"], Float64[np.ndarray, "df"]]]:
        """For each word: the texts that hold it, and its weight in each."""
        places: dict[str, list[int]] = {word: [] for word in self._idf}
        weights: dict[str, list[float]] = {word: [] for word in self._idf}
        for place, count in enumerate(counts):
            for word, weight in self._unit_vector(count).items():
                places[word].append(place)
                weights[word].append(weight)
        return {word: (np.array(places[word], np.int64), np.array(weights[word])) for word in self._idf}

    def _unit_vector(self, count: Counter[str]) -> dict[str, float]:
        """Weights of the words that the index knows, of length 1 together (empty when it knows none)."""
        vector = {word: (1 + math.log(n)) * self._idf[word] for word, n in count.items() if word in self._idf}
        length = math.hypot(*vector.values())
        return {word: weight / length for word, weight in vector.items()}

    def similarities(self, text: str) -> Float64[np.ndarray, "N"]:
        """The cosine of `text` with each text of the index, in the index's order."""
        scores = np.zeros(self._n_texts)
        for word, weight in self._unit_vector(words(text)).items():
            places, weights = self._postings[word]
            scores[places] += weight * weights
        return scores
