"""Rotary position angles (Su et al. 2021, arXiv:2104.09864), in float32 for every core alike."""

import numpy as np
from jaxtyping import Float32

from tritcoder.ternary.shape import ModelConfig


def rope_tables(shape: ModelConfig) -> tuple[Float32[np.ndarray, "T half"], Float32[np.ndarray, "T half"]]:
    """Cosines and sines of `position / theta^(2 i / K)`, for positions below max_seq_len and i below K / 2."""
    exponents = np.arange(0, shape.head_dim, 2, dtype=np.float32) / np.float32(shape.head_dim)
    frequencies = np.float32(1) / np.float32(shape.rope_theta) ** exponents
    angles = np.arange(shape.max_seq_len, dtype=np.float32)[:, None] * frequencies
    return np.cos(angles), np.sin(angles)
