"""Random models of any shape, as a file would hold them."""

from dataclasses import replace
from typing import Any

import numpy as np

from tritcoder.ternary.packing import pack_rows
from tritcoder.ternary.quantize import absmean_ternary
from tritcoder.ternary.shape import ModelConfig
from tritcoder.ternary.weights import LINEAR_NAMES, BlockWeights, FloatWeight, ModelWeights, TernaryWeight

SMALL = ModelConfig(vocab_size=301, n_layers=2, n_kv_heads=2, hidden_dim=256, max_seq_len=160)


def float_weight(values: np.ndarray) -> FloatWeight:
    return FloatWeight(*values.shape, "f32", np.ascontiguousarray(values, np.float32).reshape(-1).view(np.uint8))


def ternary_weight(values: np.ndarray, layout: str = "trits") -> TernaryWeight:
    trits, scale = absmean_ternary(values)
    data = pack_rows(trits) if layout == "rows4" else trits
    return TernaryWeight(*values.shape, layout, data, scale)  # type: ignore[arg-type]


def linear_shapes(shape: ModelConfig) -> dict[str, tuple[int, int]]:
    narrow = shape.n_kv_heads * shape.head_dim
    rows = dict(
        zip(LINEAR_NAMES, (shape.dim, narrow, narrow, shape.dim, *[shape.hidden_dim] * 2, shape.dim), strict=True)
    )
    return {name: (size, shape.hidden_dim if name == "down" else shape.dim) for name, size in rows.items()}


def random_weights(shape: ModelConfig, seed: int = 0, layout: str = "trits", spread: float = 0.05) -> ModelWeights:
    """A model of random weights, spread enough that its logits differ."""
    random = np.random.default_rng(seed)

    def matrix(size: tuple[int, int]) -> Any:
        values = random.normal(0, spread, size).astype(np.float32)
        return ternary_weight(values, layout) if shape.quantization == "ternary" else float_weight(values)

    def vector(size: int) -> np.ndarray:
        return random.uniform(0.5, 1.5, size).astype(np.float32)

    sizes = linear_shapes(shape)
    blocks = tuple(
        BlockWeights(
            {name: matrix(sizes[name]) for name in LINEAR_NAMES},
            vector(shape.dim),
            vector(shape.dim),
            vector(shape.dim),
            vector(shape.hidden_dim),
        )
        for _ in range(shape.n_layers)
    )
    embedding = float_weight(random.normal(0, 1, (shape.vocab_size, shape.dim)).astype(np.float32) * np.float32(0.1))
    return ModelWeights(shape, embedding, blocks, vector(shape.dim), name="random")


def twin(shape: ModelConfig) -> ModelConfig:
    return replace(shape, quantization="none")
