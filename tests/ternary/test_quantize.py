"""The idea, held to cases worked by hand and to plain float arithmetic."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tritcoder.errors import NotFiniteError
from tritcoder.ternary.quantize import EPS, absmax_int8, absmean_ternary, ternary_matmul

FLOAT32_TOLERANCE = 1e-5
"""Of a sum of a few dozen float32 products, relative to the sum of their magnitudes."""

FINITE = st.floats(-1e6, 1e6, width=32)
MATRICES = hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=FINITE)


def matrix(*rows: list[float]) -> np.ndarray:
    return np.array(rows, dtype=np.float32)


def test_absmean_by_hand() -> None:
    # |W| sums to 1 + 2 + 0.5 + 0.5 = 4, so the scale is 1; 0.5 lies on the border and rounds to the even 0
    trits, scale = absmean_ternary(matrix([1.0, -2.0], [0.5, -0.5]))
    assert scale == 1.0
    assert trits.tolist() == [[1, -1], [0, 0]]


def test_absmean_rounds_away_from_zero_just_beyond_half_the_scale() -> None:
    # mean(|W|) = (3 + 0.49 + 0.51 + 0) / 4 = 1
    trits, scale = absmean_ternary(matrix([3.0, 0.49], [-0.51, 0.0]))
    assert scale == 1.0
    assert trits.tolist() == [[1, 0], [-1, 0]]


def test_absmax_by_hand() -> None:
    # each row has its own scale: 127 levels reach its largest magnitude; 0.5 / 2 * 127 = 31.75
    levels, scale = absmax_int8(matrix([2.0, -1.0, 0.5], [0.0, -254.0, 127.0]))
    assert levels.tolist() == [[127, -64, 32], [0, -127, 64]]
    np.testing.assert_allclose(scale, [[2 / 127], [2.0]], rtol=1e-6)


def test_product_by_hand() -> None:
    rows = absmax_int8(matrix([127.0, -64.0, 3.0]))
    weights = absmean_ternary(matrix([2.0, 2.0, 2.0], [2.0, -2.0, 2.0]))
    np.testing.assert_allclose(ternary_matmul(rows, weights), [[2 * 66.0, 2 * 194.0]], rtol=1e-6)


def test_zeros_stay_zeros_under_the_least_scale() -> None:
    trits, scale = absmean_ternary(np.zeros((3, 4), np.float32))
    assert not trits.any()
    assert scale == EPS
    levels, scales = absmax_int8(np.zeros((2, 4), np.float32))
    assert not levels.any()
    np.testing.assert_allclose(scales, np.full((2, 1), 1e-5 / 127), rtol=1e-6)


@given(MATRICES)
def test_quantised_values_are_trits_and_levels_with_positive_scales(values: np.ndarray) -> None:
    trits, scale = absmean_ternary(values)
    assert trits.dtype == np.int8
    assert trits.shape == values.shape
    assert set(trits.ravel().tolist()) <= {-1, 0, 1}
    assert scale > 0
    levels, scales = absmax_int8(values)
    assert levels.dtype == np.int8
    assert (scales > 0).all()


@given(MATRICES)
def test_a_trit_has_the_sign_of_its_weight(values: np.ndarray) -> None:
    trits, _ = absmean_ternary(values)
    assert (trits * np.sign(values) >= 0).all()
    assert (absmean_ternary(-values).trits == -trits).all()


@given(values=MATRICES, exponent=st.integers(-8, 8))
def test_scaling_the_weights_scales_the_scale_alone(values: np.ndarray, exponent: int) -> None:
    factor = np.float32(2.0**exponent)
    before, after = absmean_ternary(values), absmean_ternary(values * factor)
    if min(before.scale, after.scale) > EPS:
        assert after.scale == before.scale * factor
        assert (after.trits == before.trits).all()


@given(MATRICES)
def test_an_activation_moves_by_at_most_half_a_level(values: np.ndarray) -> None:
    levels, scale = absmax_int8(values)
    error = np.abs(levels.astype(np.float64) * scale - values)
    assert (error <= scale * (0.5 + 1e-4)).all()


@given(MATRICES)
def test_the_largest_activation_of_a_row_takes_the_last_level(values: np.ndarray) -> None:
    levels, _ = absmax_int8(values)
    largest = np.abs(values).max(axis=1)
    assert (np.abs(levels.astype(int)).max(axis=1)[largest > 1e-5] == 127).all()


@given(shapes=st.tuples(st.integers(1, 6), st.integers(1, 40), st.integers(1, 6)), seed=st.integers(0, 2**32 - 1))
def test_integer_product_equals_float_product_of_the_dequantised(shapes: tuple[int, int, int], seed: int) -> None:
    n_tokens, width, n_out = shapes
    random = np.random.default_rng(seed)
    rows = absmax_int8(random.normal(size=(n_tokens, width)).astype(np.float32))
    weights = absmean_ternary(random.normal(size=(n_out, width)).astype(np.float32))
    x = rows.levels.astype(np.float64) * rows.scale
    w = weights.trits.astype(np.float64) * weights.scale
    found = ternary_matmul(rows, weights)
    assert found.dtype == np.float32
    assert (np.abs(found - x @ w.T) <= FLOAT32_TOLERANCE * (np.abs(x) @ np.abs(w).T) + 1e-12).all()


def test_product_of_the_widest_row_does_not_overflow() -> None:
    width = 2**16
    rows = absmax_int8(np.full((1, width), -1.0, np.float32))
    weights = absmean_ternary(np.full((1, width), -1.0, np.float32))
    np.testing.assert_allclose(ternary_matmul(rows, weights), [[width]], rtol=FLOAT32_TOLERANCE)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_first_value_that_is_not_finite_is_named(value: float) -> None:
    values = np.ones((3, 4), np.float32)
    values[1, 2] = values[2, 0] = value
    with pytest.raises(NotFiniteError, match=r"weight must be finite, found .* at index \(1, 2\)"):
        absmean_ternary(values)
    with pytest.raises(NotFiniteError, match=r"activations must be finite, found .* at index \(1, 2\)"):
        absmax_int8(values)
