"""A model of numbers alone, small enough to be written and read many times."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tritcoder.ternary.blocks import encode_floats
from tritcoder.ternary.shape import ModelConfig
from tritcoder.ternary.weights import BlockWeights, FloatWeight, ModelWeights, TernaryWeight, linear_sizes
from tritcoder.tokenizer.bpe import Tokenizer
from tritcoder.tokenizer.template import CHAT_TEMPLATE


def made_up_weights(quantization: str = "ternary", tokenizer: bool = True, **changes: object) -> ModelWeights:
    """Random weights of the least shape."""
    random = np.random.default_rng(0)
    words = Tokenizer.train(["def add(a, b):\n    return a + b\n"] * 3, 280)
    about = {"vocab_size": words.vocab_size, "n_layers": 1, "n_heads": 2, "n_kv_heads": 1, "hidden_dim": 512}
    shape = ModelConfig(**(about | {"quantization": quantization, "max_seq_len": 64} | changes))  # type: ignore[arg-type]

    def floats(rows: int, cols: int) -> FloatWeight:
        values = random.normal(size=(rows, cols)).astype(np.float32)
        return FloatWeight(rows, cols, "f32", encode_floats(values, "f32"))

    def linear(rows: int, cols: int) -> TernaryWeight | FloatWeight:
        if shape.quantization == "none":
            return floats(rows, cols)
        trits = random.integers(-1, 2, (rows, cols)).astype(np.int8)
        return TernaryWeight(rows, cols, "trits", trits, np.float32(random.uniform(0.01, 0.1)))

    def norm(size: int) -> np.ndarray:
        return random.uniform(0.5, 1.5, size).astype(np.float32)

    blocks = [
        BlockWeights(
            {name: linear(*size) for name, size in linear_sizes(shape).items()},
            norm(shape.dim),
            norm(shape.dim),
            norm(shape.dim),
            norm(shape.hidden_dim),
        )
        for _ in range(shape.n_layers)
    ]
    return ModelWeights(
        shape,
        floats(shape.vocab_size, shape.dim),
        tuple(blocks),
        norm(shape.dim),
        name="made up",
        tokenizer_json=words._inner.to_str() if tokenizer else None,
        metadata={"tokenizer.chat_template": CHAT_TEMPLATE, "general.license": "Apache-2.0"},
    )


@pytest.fixture(scope="session")
def weights() -> ModelWeights:
    return made_up_weights()


@pytest.fixture(scope="session")
def twin() -> ModelWeights:
    return made_up_weights("none")


@pytest.fixture(scope="session")
def make_weights() -> Callable[..., ModelWeights]:
    return made_up_weights


@pytest.fixture(scope="session")
def gguf_bytes(weights: ModelWeights, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A small file that is sound."""
    from tritcoder.ternary.gguf_writing import write_gguf

    path = tmp_path_factory.mktemp("sound") / "small.gguf"
    write_gguf(path, weights)
    return path.read_bytes()


@pytest.fixture(scope="session")
def packed(weights: ModelWeights, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small packed directory that is sound."""
    from tritcoder.ternary.hugging_face import write_packed

    directory = tmp_path_factory.mktemp("packed") / "small"
    write_packed(directory, weights)
    return directory
