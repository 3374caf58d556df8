"""A model's weights as a file holds them: what readers of files hand to the engine, and the engine to writers.

Nothing is decoded on the way: arrays are views of the mapped file where its layout allows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from tritcoder.ternary.shape import ModelConfig

TernaryLayout = Literal["tq2_0", "tq1_0", "i2_s", "rows4", "trits"]
"""How a matrix of trits lies in its bytes.

    tq2_0   GGUF: blocks of 256 weights of a row, 64 bytes of trits and a float16 scale (66 bytes a block)
    tq1_0   GGUF: blocks of 256 weights of a row, 52 bytes of trits and a float16 scale (54 bytes a block)
    i2_s    bitnet.cpp's GGUF: 128 weights in 32 bytes, the matrix in a row (the file's scale after it is left out)
    rows4   Hugging Face packed: four rows of the matrix in one row of bytes (see ternary.packing)
    trits   one int8 a weight
"""

FloatLayout = Literal["f32", "f16", "bf16", "q8_0"]
"""How a matrix of floats lies in its bytes; q8_0 is GGUF's: 32 weights of a row, a float16 scale and 32 int8."""

LINEAR_NAMES = ("q", "k", "v", "o", "gate", "up", "down")
"""The linear layers of a block; q to o belong to its attention, the others to its feed-forward layer."""


@dataclass(frozen=True, slots=True)
class TernaryWeight:
    """A matrix of trits under one scale: `weight = trits * scale`."""

    rows: int
    """Outputs."""
    cols: int
    """Inputs."""
    layout: TernaryLayout
    data: np.ndarray
    """The bytes (uint8; int8 for `trits`), C-contiguous, one-dimensional or not; scales of blocks included."""
    scale: np.float32
    """Above 0. Scales of blocks are in it: they are equal in all blocks that are not all zero."""


@dataclass(frozen=True, slots=True)
class FloatWeight:
    """A matrix of floats as a file holds it."""

    rows: int
    cols: int
    layout: FloatLayout
    data: np.ndarray
    """uint8, C-contiguous."""


@dataclass(frozen=True, slots=True)
class BlockWeights:
    """One block of the Transformer. In the full-precision twin the linear layers are floats."""

    linear: Mapping[str, TernaryWeight | FloatWeight]
    """By `LINEAR_NAMES`."""
    attention_norm: np.ndarray
    attention_sub_norm: np.ndarray
    feed_forward_norm: np.ndarray
    feed_forward_sub_norm: np.ndarray
    """float32 vectors."""


@dataclass(frozen=True, slots=True)
class ModelWeights:
    """A whole model, read and checked, not yet decoded."""

    shape: ModelConfig
    embedding: FloatWeight
    """(V, D); the output head too."""
    blocks: tuple[BlockWeights, ...]
    norm: np.ndarray
    name: str = ""
    tokenizer_json: str | None = None
    """The text of a `tokenizer.json`, if the file told how to make one."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """What else the file says of itself (`general.name`, `general.license`, ...)."""
    bytes_on_disk: int = 0


def linear_sizes(shape: ModelConfig) -> dict[str, tuple[int, int]]:
    """(rows, cols) of each linear layer of a block, by `LINEAR_NAMES`."""
    dim, hidden, kv = shape.dim, shape.hidden_dim, shape.n_kv_heads * shape.head_dim
    sizes = ((dim, dim), (kv, dim), (kv, dim), (dim, dim), (hidden, dim), (hidden, dim), (dim, hidden))
    return dict(zip(LINEAR_NAMES, sizes, strict=True))
