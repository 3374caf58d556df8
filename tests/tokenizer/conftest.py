"""One small tokenizer for every test of the room."""

import pytest

from tritcoder.tokenizer.bpe import Tokenizer

TEXTS = (
    "def add(first, second):\n    return first + second\n\n",
    "for i in range(10):\n\tprint(i, 'ünïcödé', \"漢字\")\n",
    "Given n numbers, print the sum of the numbers. Input: n, then n numbers. Output: the sum.\n",
)


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(TEXTS * 4, 400)
