"""The numpy core: its sums by hand, its layouts, and its logits beside those of the torch network."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from random_models import SMALL, random_weights, ternary_weight, twin

from tritcoder.engine import arithmetic
from tritcoder.engine.reference import BLOCK_POSITIONS, ReferenceCore
from tritcoder.model.layers import BitLinear
from tritcoder.model.transformer import Transformer
from tritcoder.ternary.decoding import floats_of, trits_of
from tritcoder.ternary.shape import ModelConfig
from tritcoder.ternary.weights import LINEAR_NAMES, FloatWeight, ModelWeights, TernaryWeight

HEAD_MEAN_KL = 2e-3
"""The engine's head is int8, the network's float: as far as transformers' own two modes are apart."""
TWIN_TOLERANCE = 2e-2
"""The cache holds halves."""


def read(core: ReferenceCore, ids: list[int], kv_dtype: str = "float16", chunk: int = 1000) -> np.ndarray:
    """Logits after every token."""
    pool = core.new_pool(-(-len(ids) // BLOCK_POSITIONS), kv_dtype)  # type: ignore[arg-type]
    table = np.arange(pool.n_blocks, dtype=np.int32)[::-1].copy()[None]
    found = []
    for start in range(0, len(ids), chunk):
        piece = np.array(ids[start : start + chunk], np.int32)
        logits = np.empty((len(piece), core.shape.vocab_size), np.float32)
        ints = [np.array([value], np.int32) for value in (len(piece), start)]
        core.forward(pool, piece, *ints, table, np.arange(len(piece), dtype=np.int32), logits)
        found.append(logits)
    return np.concatenate(found)


def torch_logits(weights: ModelWeights, ids: list[int]) -> np.ndarray:
    model = Transformer(weights.shape)
    with torch.no_grad():
        model.embedding.weight.copy_(torch.from_numpy(floats_of(weights.embedding).copy()))
        model.norm.weight.copy_(torch.from_numpy(weights.norm))
        for block, own in zip(model.blocks, weights.blocks, strict=True):
            for name in LINEAR_NAMES:
                part = block.attention if name in "qkvo" else block.feed_forward
                linear, weight = getattr(part, name), own.linear[name]
                assert isinstance(linear, BitLinear)
                if isinstance(weight, TernaryWeight):
                    linear._frozen = torch.from_numpy(trits_of(weight).astype(np.float32) * weight.scale)
                else:
                    linear.weight.copy_(torch.from_numpy(floats_of(weight).copy()))
            for module, vector in (
                (block.attention_norm, own.attention_norm),
                (block.attention.sub_norm, own.attention_sub_norm),
                (block.feed_forward_norm, own.feed_forward_norm),
                (block.feed_forward.sub_norm, own.feed_forward_sub_norm),
            ):
                module.weight.copy_(torch.from_numpy(vector))
    with torch.inference_mode():
        return model.eval()(torch.tensor([ids]))[0].numpy()


def divergence(logits: np.ndarray, others: np.ndarray) -> float:
    """Mean over positions of KL(softmax(logits) | softmax(others))."""
    logits, others = logits.astype(np.float64), others.astype(np.float64)
    one = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    two = others - np.log(np.exp(others).sum(-1, keepdims=True))
    return float((np.exp(one) * (one - two)).sum(-1).mean())


SHAPES = [
    SMALL,
    replace(SMALL, hidden_act="relu2", n_kv_heads=1),
    replace(SMALL, n_heads=32, n_kv_heads=32, hidden_dim=512, vocab_size=263),
    replace(SMALL, n_heads=128, n_kv_heads=64, n_layers=1),
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_core_agrees_with_the_network(shape: ModelConfig) -> None:
    ids = np.random.default_rng(3).integers(0, shape.vocab_size, 70).tolist()
    for wanted, layout in ((shape, "rows4"), (twin(shape), "")):
        weights = random_weights(wanted, layout=layout)
        logits, others = read(ReferenceCore(weights), ids), torch_logits(weights, ids)
        assert logits.std(-1).mean() > 0.5
        assert (logits.argmax(-1) == others.argmax(-1)).mean() > 0.9
        assert divergence(others, logits) < HEAD_MEAN_KL
        if wanted.quantization == "none":
            np.testing.assert_allclose(logits, others, atol=TWIN_TOLERANCE)


@pytest.mark.parametrize("kv_dtype", ["float16", "int8"])
@pytest.mark.parametrize("wanted", [SMALL, twin(SMALL)], ids=["ternary", "twin"])
def test_logits_do_not_depend_on_how_a_text_is_cut_or_what_runs_beside_it(wanted: ModelConfig, kv_dtype: str) -> None:
    core = ReferenceCore(random_weights(wanted))
    ids = np.random.default_rng(4).integers(0, SMALL.vocab_size, 45).tolist()
    whole = read(core, ids, kv_dtype)
    for chunk in (1, 7, 32):
        np.testing.assert_array_equal(read(core, ids, kv_dtype, chunk), whole)
    other = ids[::-1]
    pool = core.new_pool(6, kv_dtype)  # type: ignore[arg-type]
    tables = np.array([[4, 1], [0, 5]], np.int32)
    logits = np.empty((2, SMALL.vocab_size), np.float32)
    core.forward(
        pool,
        np.array(ids[:40] + other, np.int32),
        np.array([40, 45], np.int32),
        np.zeros(2, np.int32),
        tables,
        np.array([39, 84], np.int32),
        logits,
    )
    np.testing.assert_array_equal(logits, [whole[39], read(core, other, kv_dtype)[-1]])
    pool.copy(4, 2)
    pool.copy(1, 3)
    piece, rest = np.array(ids[40:], np.int32), np.array([[2, 3]], np.int32)
    logits = np.empty((1, SMALL.vocab_size), np.float32)
    core.forward(
        pool, piece, np.array([5], np.int32), np.array([40], np.int32), rest, np.array([4], np.int32), logits
    )
    np.testing.assert_array_equal(logits[0], whole[-1])


def test_int8_keys_and_values_change_little() -> None:
    core = ReferenceCore(random_weights(SMALL))
    ids = np.random.default_rng(5).integers(0, SMALL.vocab_size, 60).tolist()
    assert divergence(read(core, ids), read(core, ids, "int8")) < HEAD_MEAN_KL


# The arithmetic


def test_sum16_adds_in_its_order() -> None:
    random = np.random.default_rng(0)
    for n in (1, 16, 63, 64, 65, 200, 256):
        x = random.normal(size=n).astype(np.float32)
        partial = np.zeros((4, 16), np.float32)
        for i in range(n):
            partial[i // 16 % 4, i % 16] += x[i]
        a = (partial[0] + partial[1]) + (partial[2] + partial[3])
        for half in (8, 4, 2, 1):
            a = a[:half] + a[half:]
        assert arithmetic.sum16(x) == a[0]


def test_exp_is_close_to_exp() -> None:
    x = np.linspace(-87, 88, 20001).astype(np.float32)
    np.testing.assert_allclose(arithmetic.exp(x), np.exp(x.astype(np.float64)), rtol=3e-7)
    assert arithmetic.exp(x).dtype == np.float32
    assert arithmetic.exp(np.float32([0.0]))[0] == 1


def test_attention_adds_in_its_order() -> None:
    random = np.random.default_rng(1)
    q = random.normal(size=(2, 6)).astype(np.float32)
    k, v = (random.normal(size=(40, 1, 6)).astype(np.float32) for _ in range(2))
    found = arithmetic.attend(q, k, v)
    for head in range(2):
        scores = []
        for j in range(40):
            p = np.zeros(4, np.float32)
            for d in range(6):
                p[d % 4] += q[head, d] * k[j, 0, d]
            scores.append((p[0] + p[1]) + (p[2] + p[3]))
        e = arithmetic.exp(np.array(scores) - max(scores))
        lanes, out = np.zeros(16, np.float32), np.zeros(6, np.float32)
        for j in range(40):
            lanes[j % 16] += e[j]
            out += e[j] * v[j, 0]
        for half in (8, 4, 2, 1):
            lanes = lanes[:half] + lanes[half:]
        np.testing.assert_array_equal(found[head], out * (np.float32(1) / lanes[0]))


def test_large_sums_of_whole_numbers_are_exact() -> None:
    rows, matrix = np.full((1, 4001), 127, np.float32), np.full((1, 4001), 127, np.float32)
    assert arithmetic.exact_product(rows, matrix, 128 * 128)[0, 0] == np.float32(127 * 127 * 4001)


# The layouts


def test_layouts_of_floats() -> None:
    values = np.array([[1.5, -2.0] * 16, [0.25, 96.0] * 16], np.float32)
    layouts = {
        "f32": values,
        "f16": values.astype(np.float16),
        "bf16": (values.view(np.uint32) >> 16).astype(np.uint16),
    }
    for layout, data in layouts.items():
        weight = FloatWeight(2, 32, layout, data.reshape(-1).view(np.uint8))  # type: ignore[arg-type]
        np.testing.assert_array_equal(floats_of(weight), values)
    block = np.concatenate([np.float16([0.5]).view(np.uint8), np.arange(-16, 16, dtype=np.int8).view(np.uint8)])
    np.testing.assert_array_equal(floats_of(FloatWeight(1, 32, "q8_0", block))[0], np.arange(-16, 16) * 0.5)


def test_layouts_of_trits() -> None:
    values = np.random.default_rng(0).normal(size=(8, 16)).astype(np.float32)
    np.testing.assert_array_equal(trits_of(ternary_weight(values)), trits_of(ternary_weight(values, "rows4")))
