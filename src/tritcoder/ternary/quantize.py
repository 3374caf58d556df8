"""The idea, slowly and in numpy: weights become trits, activations become int8.

torch (`model/layers.py`) and every kernel are held to these two functions.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int8

from tritcoder.errors import NotFiniteError

EPS = np.float32(1e-5)
"""The least mean or maximum that a scale is made of, so that zeros do not divide by zero."""


class TernaryMatrix(NamedTuple):
    """A weight matrix as the model uses it: `trits * scale`."""

    trits: Int8[np.ndarray, "out in"]
    scale: np.float32
    """Mean absolute weight, > 0, in the units of the weights."""


class QuantizedRows(NamedTuple):
    """Activations as the model uses them: `levels * scale`, one scale for each row (token)."""

    levels: Int8[np.ndarray, "T D"]
    scale: Float32[np.ndarray, "T 1"]


def absmean_ternary(weight: Float32[np.ndarray, "out in"]) -> TernaryMatrix:
    """Round a weight matrix to {-1, 0, +1} under one scale.

    scale = max(mean(|W|), 1e-5);  trits = clip(round(W / scale), -1, +1)

    Args:
        weight: (out, in) float32, finite.

    Returns:
        trits (out, in) int8, and scale, a float32 > 0 in the units of `weight`.

    Raises:
        NotFiniteError: `weight` holds NaN or infinity; names the first such index.
    Source: Ma et al. 2024, arXiv:2402.17764, section 2.
    """
    _require_finite(weight, "weight")
    scale = absmean_scale(weight)
    return TernaryMatrix(trits_under(weight, scale), scale)


def absmean_scale(weight: Float32[np.ndarray, "out in"]) -> np.float32:
    """The scale of `absmean_ternary`: max(mean(|W|), 1e-5)."""
    scale: np.float32 = np.maximum(np.abs(weight).mean(dtype=np.float32), EPS)
    return scale


def trits_under(weight: Float32[np.ndarray, "out in"], scale: np.float32) -> Int8[np.ndarray, "out in"]:
    """The trits of `absmean_ternary` under a scale that is known: any rows of a matrix by themselves."""
    trits: Int8[np.ndarray, "out in"] = np.clip(np.rint(weight * (np.float32(1) / scale)), -1, 1).astype(np.int8)
    return trits


def absmax_int8(activations: Float32[np.ndarray, "T D"]) -> QuantizedRows:
    """Round each row of activations to int8 by its largest absolute value.

    scale = max(max(|x|), 1e-5) / 127;  levels = clip(round(x / scale), -128, 127)

    Args:
        activations: (T, D) float32, finite.

    Returns:
        levels (T, D) int8, and scale (T, 1) float32 > 0 in the units of `activations`.

    Raises:
        NotFiniteError: `activations` holds NaN or infinity; names the first such index.
    Source: Ma et al. 2024, arXiv:2402.17764, section 2; range [-128, 127] as in its reference code.
    """
    _require_finite(activations, "activations")
    inverse = np.float32(127) / np.maximum(np.abs(activations).max(axis=-1, keepdims=True), EPS)
    levels = np.clip(np.rint(activations * inverse), -128, 127)
    return QuantizedRows(levels.astype(np.int8), np.float32(1) / inverse)


def ternary_matmul(rows: QuantizedRows, matrix: TernaryMatrix) -> Float32[np.ndarray, "T out"]:
    """The product `x W^T` of quantised activations and ternary weights, accumulated exactly in int32."""
    exact = rows.levels.astype(np.int32) @ matrix.trits.astype(np.int32).T
    return exact.astype(np.float32) * (rows.scale * matrix.scale)


def _require_finite(values: Float32[np.ndarray, "..."], what: str) -> None:
    finite = np.isfinite(values)
    if not finite.all():
        index = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise NotFiniteError(
            f"{what} must be finite, found {values[index]} at index {index}",
            "the training run diverged: resume from an earlier checkpoint with a lower learning rate",
        )
