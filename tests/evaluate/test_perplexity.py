import math
from collections.abc import Iterator
from typing import Any

import pytest

from tritcoder.errors import DatasetError, NotFiniteError
from tritcoder.evaluate.perplexity import perplexity
from tritcoder.records import Likelihood, Problem

LN_4 = math.log(4)


class ByteModel:
    """Finds every byte as probable as 1 / 4, in tokens of two bytes."""

    def __init__(self, nats_per_byte: float = LN_4) -> None:
        self.nats_per_byte = nats_per_byte
        self.asked: list[Any] = []

    def likelihoods(self, pairs: Any) -> Iterator[Likelihood]:
        for prompt, answer in pairs:
            self.asked.append((prompt, answer))
            n_bytes = len(answer.encode())
            yield Likelihood(n_bytes * self.nats_per_byte, -(-n_bytes // 2), n_bytes, len(answer))


PROBLEMS = [
    Problem("a", "Print.", solutions=("abcd", "abcdefgh"), starter_code="def f():", fn_name="f"),
    Problem("b", "None."),
    Problem("c", "Accents.", solutions=("  ", "éé")),
]


def test_perplexity_worked_by_hand() -> None:
    found = perplexity(ByteModel(), PROBLEMS)
    # "abcd" and "éé": 8 bytes, 6 characters, 4 tokens, 8 * ln 4 nats = 16 bits.
    assert found["bits_per_byte"] == pytest.approx(2.0)
    assert found["bits_per_char"] == pytest.approx(16 / 6)
    assert found["per_token"] == pytest.approx(4.0**2)
    assert (found["n_tokens"], found["n_bytes"], found["n_chars"]) == (4, 8, 6)
    assert (found["n_problems"], found["n_solutions"]) == (2, 2)


def test_the_first_solutions_are_taken_in_order() -> None:
    model = ByteModel()
    found = perplexity(model, PROBLEMS, solutions_per_problem=5)
    assert [answer for _, answer in model.asked] == ["abcd", "abcdefgh", "éé"]
    assert found["n_solutions"] == 3
    prompt = model.asked[0][0]
    assert prompt == PROBLEMS[0].prompt()
    assert (prompt.text, prompt.starter_code, prompt.call_based, prompt.task_id) == ("Print.", "def f():", True, "a")


def test_longer_texts_weigh_more() -> None:
    class Uneven(ByteModel):
        def likelihoods(self, pairs: Any) -> Iterator[Likelihood]:
            yield Likelihood(math.log(2) * 10, 10, 10, 10)
            yield Likelihood(math.log(2) * 2, 1, 1, 1)

    found = perplexity(Uneven(), PROBLEMS)
    assert found["bits_per_byte"] == pytest.approx(12 / 11)
    assert found["per_token"] == pytest.approx(2 ** (12 / 11))


def test_progress_counts_solutions() -> None:
    steps = []
    perplexity(ByteModel(), PROBLEMS, on_progress=lambda *step: steps.append(step))
    assert steps == [(1, 2), (2, 2)]


def test_no_solution_is_refused() -> None:
    with pytest.raises(DatasetError, match="solutions"):
        perplexity(ByteModel(), [PROBLEMS[1]])


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_likelihoods_that_are_not_finite_are_refused(value: Any) -> None:
    with pytest.raises(NotFiniteError):
        perplexity(ByteModel(value), PROBLEMS)


def test_an_absurd_surprise_is_still_a_number() -> None:
    assert math.isfinite(perplexity(ByteModel(1e6), PROBLEMS)["per_token"])
