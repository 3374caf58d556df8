"""Learning rate and weight decay, worked by hand."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritcoder.train.config import TrainConfig
from tritcoder.train.schedule import lr_share, weight_decay

SHARES = st.floats(0, 1)


def shares(config: TrainConfig) -> list[float]:
    return [lr_share(config, step) for step in range(config.steps)]


def test_wsd_by_hand() -> None:
    config = TrainConfig(steps=10, warmup=0.2, decay=0.4, final_lr=0.1)
    # two steps of rise, four at the top, four on the line from 1 (before them) to 0.1 (after them)
    expected = [0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 0.82, 0.64, 0.46, 0.28]
    assert shares(config) == pytest.approx(expected)
    assert lr_share(config, config.steps) == pytest.approx(0.1)


def test_wsd_without_decay_stays_at_its_peak() -> None:
    assert shares(TrainConfig(steps=5, warmup=0.0, decay=0.0)) == [1.0] * 5


def test_two_stage_by_hand() -> None:
    config = TrainConfig(steps=10, schedule="two_stage", warmup=0.0, final_lr=0.0, second_stage=0.5)
    # the line from 1 to 0; from half-way on the one from 0.5 to 0
    assert shares(config) == pytest.approx([1.0, 0.9, 0.8, 0.7, 0.6, 0.25, 0.2, 0.15, 0.1, 0.05])


def test_two_stage_drops_at_half_to_its_second_line() -> None:
    config = TrainConfig(steps=100, schedule="two_stage", warmup=0.05, final_lr=0.02, second_stage=0.667)
    found = shares(config)
    drops = [before - after for before, after in pairwise(found[5:])]
    assert drops.index(max(drops)) + 5 == 49
    assert found[50] == pytest.approx(0.02 + (0.667 - 0.02) * 0.5)
    assert lr_share(config, 100) == pytest.approx(0.02)


@given(
    steps=st.integers(1, 60), warmup=SHARES, decay=SHARES, second=SHARES, final=SHARES,
    schedule=st.sampled_from(["wsd", "two_stage"]),
)  # fmt: skip
def test_the_rate_is_a_share_rises_first_and_never_rises_again(
    steps: int, warmup: float, decay: float, second: float, final: float, schedule: str
) -> None:
    config = TrainConfig(
        steps=steps,
        warmup=warmup,
        decay=decay,
        second_stage=max(second, final),
        final_lr=final,
        schedule=schedule,  # type: ignore[arg-type]
    )
    found = shares(config)
    assert all(0 <= share <= 1 for share in found)
    rise = max(1, round(warmup * steps))
    assert found[:rise] == sorted(found[:rise])
    assert found[rise:] == sorted(found[rise:], reverse=True)


@pytest.mark.parametrize(("steps", "decayed"), [(1, 1), (2, 1), (9, 5), (10, 5)])
def test_weight_decays_in_the_first_half_alone(steps: int, decayed: int) -> None:
    config = TrainConfig(steps=steps, weight_decay=0.1)
    assert [weight_decay(config, step) for step in range(steps)] == [0.1] * decayed + [0.0] * (steps - decayed)
