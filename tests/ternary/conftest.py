"""A small model, and its files."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.ternary.made_up import made_up_weights

from tritcoder.ternary.weights import ModelWeights


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
