"""The compiled core gives the bits of the numpy one."""

from dataclasses import replace

import numpy as np
import pytest
from random_models import SMALL, random_weights, twin
from test_reference import SHAPES, read

from tritcoder.engine.core import open_core
from tritcoder.engine.reference import BLOCK_POSITIONS, ReferenceCore
from tritcoder.ternary.shape import ModelConfig

native = pytest.importorskip("tritcoder.engine.native", exc_type=ImportError)
pytestmark = pytest.mark.native


@pytest.mark.parametrize("kv_dtype", ["float16", "int8"])
@pytest.mark.parametrize("shape", [*SHAPES, twin(SMALL), twin(replace(SMALL, n_heads=128))], ids=str)
def test_the_compiled_core_is_the_numpy_core_bit_for_bit(shape: ModelConfig, kv_dtype: str) -> None:
    weights = random_weights(shape)
    ids = np.random.default_rng(6).integers(0, shape.vocab_size, 50).tolist()
    wanted = read(ReferenceCore(weights), ids, kv_dtype)
    for kernel in native.usable_kernels():
        for chunk in (50, 1, 9):
            np.testing.assert_array_equal(read(open_core(weights, 2, kernel), ids, kv_dtype, chunk), wanted)


def test_both_cores_cut_the_cache_into_the_same_blocks() -> None:
    assert native._native.BLOCK_POSITIONS == BLOCK_POSITIONS


@pytest.mark.parametrize("counts", [(150,), (95, 1, 40), (50, 46, 96, 1), (1, 130, 1, 1, 70)])
def test_a_long_step_of_several_sequences_gives_the_same_bits(counts: tuple[int, ...]) -> None:
    """The compiled core works through a long step in pieces, which cut sequences anywhere."""
    weights = random_weights(SMALL)
    random = np.random.default_rng(8)
    tokens = random.integers(0, SMALL.vocab_size, sum(counts)).astype(np.int32)
    rows = np.sort(random.choice(sum(counts), 40, replace=False)).astype(np.int32)
    width = -(-SMALL.max_seq_len // BLOCK_POSITIONS)
    tables = random.permutation(len(counts) * width).astype(np.int32).reshape(len(counts), width)
    found = []
    for core in (ReferenceCore(weights), open_core(weights, 2)):
        logits = np.empty((len(rows), SMALL.vocab_size), dtype=np.float32)
        starts = np.zeros(len(counts), dtype=np.int32)
        core.forward(core.new_pool(tables.size), tokens, np.array(counts, np.int32), starts, tables, rows, logits)
        found.append(logits)
    np.testing.assert_array_equal(found[0], found[1])
