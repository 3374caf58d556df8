"""The choice of a token, worked by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritcoder.engine.sampling import Chooser
from tritcoder.errors import NotFiniteError
from tritcoder.generate import next_token
from tritcoder.records import Sampling


def choices(probabilities: list[float], sampling: Sampling, draws: int = 400) -> list[int]:
    logits = np.log(np.array(probabilities, np.float32))
    return [next_token(logits, sampling, np.random.default_rng(seed)) for seed in range(draws)]


def by_hand(kept: dict[int, float], draws: int = 400) -> list[int]:
    """The token under each random number on the line of the kept ones, likeliest first."""
    found = []
    for seed in range(draws):
        point = np.random.default_rng(seed).random() * sum(kept.values())
        for token, weight in kept.items():
            point -= weight
            if point < 0:
                found.append(token)
                break
    return found


def test_greedy_takes_the_likeliest_and_of_equals_the_first() -> None:
    random = np.random.default_rng(0)
    assert next_token(np.array([0.1, 2.0, 1.9], np.float32), Sampling(temperature=0), random) == 1
    assert next_token(np.array([0.0, 3.0, 3.0], np.float32), Sampling(temperature=0), random) == 1


@pytest.mark.parametrize("temperature", [0, 1])
@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_logits_that_are_no_finite_numbers_choose_nothing(wrong: float, temperature: float) -> None:
    logits = np.array([0.1, wrong, 1.9], np.float32)
    sampling = Sampling(temperature=temperature)
    with pytest.raises(NotFiniteError, match="no finite numbers"):
        next_token(logits, sampling, np.random.default_rng(0))
    with pytest.raises(NotFiniteError, match="no finite numbers"):
        Chooser(sampling, np.random.default_rng(0), len(logits), ()).choose(logits, None)


@pytest.mark.parametrize(
    ("sampling", "kept"),
    [
        (Sampling(temperature=1, top_p=1), {2: 0.5, 0: 0.3, 3: 0.15, 1: 0.05}),
        (Sampling(temperature=1, top_p=0.8), {2: 0.5, 0: 0.3}),
        (Sampling(temperature=1, top_p=0.81), {2: 0.5, 0: 0.3, 3: 0.15}),
        (Sampling(temperature=1, top_p=0.4), {2: 0.5}),
        (Sampling(temperature=1, top_p=1, top_k=1), {2: 0.5}),
        (Sampling(temperature=1, top_p=1, top_k=3), {2: 0.5, 0: 0.3, 3: 0.15}),
        (Sampling(temperature=1, top_p=1, top_k=99), {2: 0.5, 0: 0.3, 3: 0.15, 1: 0.05}),
        # of the three likeliest, the fewest with 0.85 of their sum 0.95, which is 0.8075
        (Sampling(temperature=1, top_p=0.85, top_k=3), {2: 0.5, 0: 0.3, 3: 0.15}),
        (Sampling(temperature=1, top_p=0.84, top_k=3), {2: 0.5, 0: 0.3}),
        # halving the temperature squares the probabilities
        (Sampling(temperature=0.5, top_p=1), {2: 0.25, 0: 0.09, 3: 0.0225, 1: 0.0025}),
        (Sampling(temperature=2, top_p=1, top_k=2), {2: math.sqrt(0.5), 0: math.sqrt(0.3)}),
    ],
)
def test_nucleus_by_hand(sampling: Sampling, kept: dict[int, float]) -> None:
    # a sum of float32 probabilities is not exact: what reaches 0.8 is asked to reach 0.7999
    sampling = replace(sampling, top_p=sampling.top_p - 1e-4 if sampling.top_p < 1 else 1.0)
    assert choices([0.3, 0.05, 0.5, 0.15], sampling) == by_hand(kept)


@pytest.mark.parametrize("temperature", [5e-324, 1e-310, 1e-30])
def test_the_least_temperature_is_greedy(temperature: float) -> None:
    assert set(choices([0.3, 0.05, 0.5, 0.15], Sampling(temperature=temperature), 20)) == {2}


def test_a_token_of_no_probability_is_never_drawn() -> None:
    logits = np.array([-np.inf, 1.0, -np.inf, 0.0], np.float32)
    sampling = Sampling(temperature=1.5, top_p=1)
    assert {next_token(logits, sampling, np.random.default_rng(seed)) for seed in range(200)} == {1, 3}


@given(
    logits=st.lists(st.floats(-30, 30, width=32), min_size=1, max_size=30),
    temperature=st.floats(0.01, 10),
    top_p=st.floats(0.01, 1),
    top_k=st.integers(0, 40),
    seed=st.integers(0, 2**32),
)
def test_what_is_drawn_lies_in_the_nucleus(
    logits: list[float], temperature: float, top_p: float, top_k: int, seed: int
) -> None:
    array = np.array(logits, np.float32)
    sampling = Sampling(temperature=temperature, top_p=top_p, top_k=top_k)
    token = next_token(array, sampling, np.random.default_rng(seed))
    likelier = array[array > array[token]].astype(np.float64)
    assert not top_k or len(likelier) < top_k
    weights = np.exp((np.sort(array.astype(np.float64))[::-1][: top_k or None] - float(array.max())) / temperature)
    assert np.exp((likelier - float(array.max())) / temperature).sum() <= top_p * weights.sum() * (1 + 1e-9)
