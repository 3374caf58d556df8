"""Sums, exp, norms and attention in the order that docs/engine.md fixes: float32, rounded after every operation.

Axes: T tokens, D width, H heads, K head width, S positions.
"""

import numpy as np
from jaxtyping import Float32

LANES = 16
CHAINS = 4

_F = np.float32
_LEAST_MAXIMUM = _F(1e-5)
_EXP_COEFFICIENTS = tuple(
    map(_F, (1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1))
)


def halved(lanes: Float32[np.ndarray, "*B 16"]) -> Float32[np.ndarray, "*B"]:
    """The sum of sixteen: upper half on lower half, four times."""
    for half in (8, 4, 2, 1):
        lanes = lanes[..., :half] + lanes[..., half : 2 * half]
    return lanes[..., 0]


def _filled_up(x: np.ndarray, multiple: int) -> np.ndarray:
    """Zeros after the last axis up to a multiple: a sum that began with +0 does not see them."""
    missing = -x.shape[-1] % multiple
    return np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, missing)]) if missing else x


def sum16(x: Float32[np.ndarray, "*B n"]) -> Float32[np.ndarray, "*B"]:
    """The sum of the last axis in sixty-four partial sums."""
    x = _filled_up(x, LANES * CHAINS)
    steps = x.reshape(*x.shape[:-1], -1, CHAINS, LANES)
    partial = np.zeros((*x.shape[:-1], CHAINS, LANES), dtype=np.float32)
    for step in range(steps.shape[-3]):
        partial += steps[..., step, :, :]
    return halved((partial[..., 0, :] + partial[..., 1, :]) + (partial[..., 2, :] + partial[..., 3, :]))


def exp(x: Float32[np.ndarray, "*B"]) -> Float32[np.ndarray, "*B"]:
    """The exponential by Cephes' polynomial."""
    x = np.minimum(np.maximum(x, _F(-87.33654)), _F(88.0))
    n = np.rint(x * _F(1.44269504))
    r = (x - n * _F(0.693359375)) - n * _F(-2.12194440e-4)
    p = np.full_like(r, 1.9875691500e-4)
    for coefficient in _EXP_COEFFICIENTS:
        p = p * r + coefficient
    p = ((p * (r * r)) + r) + _F(1)
    power: Float32[np.ndarray, "*B"] = ((n.astype(np.int32) + np.int32(127)) << np.int32(23)).view(np.float32)
    return p * power


def silu(gate: Float32[np.ndarray, "*B"]) -> Float32[np.ndarray, "*B"]:
    """G / (1 + exp(-g))."""
    return gate / (_F(1) + exp(-gate))


def relu2(gate: Float32[np.ndarray, "*B"]) -> Float32[np.ndarray, "*B"]:
    """max(g, 0)^2."""
    positive = np.maximum(gate, _F(0))
    return positive * positive


def norm(x: Float32[np.ndarray, "T D"], weight: Float32[np.ndarray, "D"], eps: np.float32) -> np.ndarray:
    """Each row over the root of its mean square, times the weights."""
    r = _F(1) / np.sqrt(sum16(x * x) / _F(x.shape[-1]) + eps)
    return (x * r[:, None]) * weight


def levels(x: Float32[np.ndarray, "*B D"]) -> tuple[Float32[np.ndarray, "*B D"], Float32[np.ndarray, "*B"]]:
    """Whole numbers from -128 to 127 (as floats) and the scale of each row."""
    inverse = _F(127) / np.maximum(np.abs(x).max(axis=-1), _LEAST_MAXIMUM)
    return np.clip(np.rint(x * inverse[..., None]), _F(-128), _F(127)), _F(1) / inverse


def exact_product(rows: Float32[np.ndarray, "T D"], matrix: np.ndarray, largest: int) -> Float32[np.ndarray, "T out"]:
    """`rows matrix^T` of whole numbers, exact and then rounded once; `largest` bounds one product."""
    wide = np.float32 if largest * rows.shape[-1] <= 2**24 else np.float64
    product: Float32[np.ndarray, "T out"] = (rows.astype(wide) @ matrix.astype(wide).T).astype(np.float32)
    return product


def float_product(rows: Float32[np.ndarray, "T D"], matrix: Float32[np.ndarray, "out D"]) -> np.ndarray:
    """`sum16` of every row with every row of the matrix."""
    return np.stack([sum16(matrix * row) for row in rows])


def turned(x: Float32[np.ndarray, "T H K"], cos: np.ndarray, sin: np.ndarray) -> Float32[np.ndarray, "T H K"]:
    """Each pair (i, i + K/2) of a head turned by its position's angle; cos and sin are (T, K/2)."""
    half = x.shape[-1] // 2
    a, b = x[..., :half], x[..., half:]
    c, s = cos[:, None], sin[:, None]
    return np.concatenate([a * c - b * s, b * c + a * s], axis=-1)


def attend(
    q: Float32[np.ndarray, "H K"],
    keys: Float32[np.ndarray, "S G K"],
    values: Float32[np.ndarray, "S G K"],
    key_scales: Float32[np.ndarray, "S G"] | None = None,
    value_scales: Float32[np.ndarray, "S G"] | None = None,
) -> Float32[np.ndarray, "H K"]:
    """One query's heads over all positions; G key heads serve H query heads."""
    n_heads, width = q.shape
    groups = keys.shape[1]
    grouped = q.reshape(groups, n_heads // groups, width)
    scores = _scores(grouped, keys)
    if key_scales is not None:
        scores = key_scales[:, :, None] * scores
    e = exp(scores - scores.max(axis=0))
    total = _total(e)
    weights = e if value_scales is None else e * value_scales[:, :, None]
    out = np.add.accumulate(weights[..., None] * values[:, :, None, :], axis=0)[-1] + _F(0)
    return (out * (_F(1) / total)[..., None]).reshape(n_heads, width)


def _scores(q: Float32[np.ndarray, "G R K"], keys: Float32[np.ndarray, "S G K"]) -> Float32[np.ndarray, "S G R"]:
    q, keys = _filled_up(q, CHAINS), _filled_up(keys, CHAINS)
    partial = np.zeros((len(keys), *q.shape[:2], CHAINS), dtype=np.float32)
    for d in range(0, q.shape[-1], CHAINS):
        partial += q[..., d : d + CHAINS] * keys[:, :, None, d : d + CHAINS]
    scores: Float32[np.ndarray, "S G R"] = (partial[..., 0] + partial[..., 1]) + (partial[..., 2] + partial[..., 3])
    return scores


def _total(e: Float32[np.ndarray, "S G R"]) -> Float32[np.ndarray, "G R"]:
    lanes = np.zeros((LANES, *e.shape[1:]), dtype=np.float32)
    for start in range(0, len(e), LANES):
        lanes[: len(e) - start] += e[start : start + LANES]
    return halved(np.moveaxis(lanes, 0, -1))
