"""The fast sampler chooses exactly the token of the plain one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tritcoder.engine import sampling as fast
from tritcoder.engine.sampling import Chooser
from tritcoder.generate import next_token, token_score
from tritcoder.records import Sampling

settings_of = st.builds(
    Sampling,
    temperature=st.sampled_from([0.0, 1e-300, 0.01, 0.7, 1.0, 3.0]),
    top_p=st.sampled_from([0.01, 0.5, 0.95, 1.0]),
    top_k=st.sampled_from([0, 1, 2, 7, 1000]),
    min_p=st.sampled_from([0.0, 0.05, 0.5, 1.0]),
    repetition_penalty=st.sampled_from([1.0, 0.5, 1.3]),
    logit_bias=st.lists(st.tuples(st.integers(0, 60), st.sampled_from([-100.0, -np.inf, 1.5])), max_size=3).map(
        tuple
    ),
    logprobs=st.integers(1, 60),
)


@pytest.fixture(params=["numpy", "native"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "numpy":
        monkeypatch.setattr(fast, "native_sample", None)
    elif fast.native_sample is None:
        pytest.skip("the extension has no sampler")


@settings(max_examples=300, suppress_health_check=[])
@given(
    logits=st.lists(st.one_of(st.integers(-4, 4), st.floats(-30, 30, width=32)), min_size=4, max_size=60),
    sampling=settings_of,
    context=st.lists(st.integers(0, 70), max_size=10),
    seed=st.integers(0, 2**32),
)
def test_the_fast_sampler_is_the_plain_one(
    logits: list[float], sampling: Sampling, context: list[int], seed: int
) -> None:
    array = np.array([*logits, 1000.0, 1000.0], np.float32)  # two rows that stand for no token
    one, two = np.random.default_rng(seed), np.random.default_rng(seed)
    chooser, so_far = Chooser(sampling, one, len(logits), context), list(context)
    own = array[: len(logits)]
    if not any(np.isfinite(own[[token for token in range(len(own)) if token not in dict(sampling.logit_bias)]])):
        return
    before = array.copy()
    for _ in range(3):
        token = chooser.choose(array, None)
        assert token == next_token(own, sampling, two, so_far)
        assert chooser.score(array, token) == token_score(own, token, sampling.logprobs)
        so_far.append(token)
    np.testing.assert_array_equal(array, before)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=0.6, top_p=0.95),
        Sampling(temperature=1, top_p=1),
        Sampling(temperature=1, top_k=50),
        Sampling(temperature=1.5, min_p=0.05, top_p=0.9),
    ],
    ids=str,
)
def test_both_ways_at_full_size(sampling: Sampling) -> None:
    random = np.random.default_rng(0)
    for seed in range(40):
        logits = (random.normal(size=16384) * 3).astype(np.float32)
        if seed % 2:
            logits = np.round(logits)  # many ties
        chooser = Chooser(sampling, np.random.default_rng(seed), len(logits), ())
        assert chooser.choose(logits, None) == next_token(logits, sampling, np.random.default_rng(seed))


def test_only_allowed_tokens_are_chosen() -> None:
    logits = np.array([3, 2, 1, 0], np.float32)
    allowed = np.array([False, True, False, True])
    for temperature in (0, 1):
        sampling = Sampling(temperature=temperature, logit_bias=((0, 50.0),), top_p=1)
        chooser = Chooser(sampling, np.random.default_rng(0), 4, ())
        assert {chooser.choose(logits, allowed) for _ in range(40)} <= {1, 3}
