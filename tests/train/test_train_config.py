"""Settings outside their range are refused by name."""

from dataclasses import replace
from typing import Any

import pytest

from tritcoder.errors import ConfigError
from tritcoder.train.config import TrainConfig


def changed(name: str, value: Any) -> TrainConfig:
    return replace(TrainConfig(), **{name: value})


@pytest.mark.parametrize(
    "name", ["steps", "seq_len", "batch_size", "accumulate", "checkpoint_every", "keep_checkpoints"]
)
def test_counts_below_one_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} must be at least 1, found 0"):
        changed(name, 0)


@pytest.mark.parametrize("name", ["evaluate_every", "seed"])
def test_negative_numbers_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} must be 0 or more, found -1"):
        changed(name, -1)


@pytest.mark.parametrize("name", ["matrix_lr", "lr", "clip"])
def test_rates_that_are_not_above_zero_are_refused(name: str) -> None:
    for value in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match=f"{name} must be above 0 and finite, found {value}"):
            changed(name, value)


@pytest.mark.parametrize("name", ["warmup", "decay", "second_stage", "final_lr", "weight_decay"])
def test_shares_outside_zero_to_one_are_refused(name: str) -> None:
    for value in (-0.1, 1.1, float("nan")):
        with pytest.raises(ConfigError, match=f"{name} must lie between 0 and 1, found {value}"):
            changed(name, value)


def test_tokens_by_hand() -> None:
    config = TrainConfig(steps=7, seq_len=5, batch_size=3, accumulate=2)
    assert config.tokens_per_step == 30
    assert config.tokens == 210
