"""The compiled core as Python drives it: what is wrong is refused and never crashes, threads and memory behave."""

import gc
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tritcoder.errors import ConfigError, ModelFileError
from tritcoder.ternary.shape import ModelConfig
from tritcoder.ternary.weights import LINEAR_NAMES, BlockWeights, FloatWeight, ModelWeights, TernaryWeight

_native: Any = pytest.importorskip(
    "tritcoder._native", reason="the extension is not built: `pip install .` builds it"
)
from tritcoder.engine.native import NativeCore, usable_kernels  # noqa: E402
from tritcoder.engine.settings import KERNEL_VARIABLE  # noqa: E402

pytestmark = pytest.mark.native

SHAPE = ModelConfig(vocab_size=70, dim=256, n_layers=2, n_heads=4, n_kv_heads=2, hidden_dim=256, max_seq_len=96)
BLOCKS = 3
"""Of 32 positions: a whole context."""


def random_weights(seed: int, shape: ModelConfig = SHAPE) -> ModelWeights:
    rng = np.random.default_rng(seed)
    dim, hidden, kv = shape.dim, shape.hidden_dim, shape.n_kv_heads * shape.head_dim
    of = ((dim, dim), (kv, dim), (kv, dim), (dim, dim), (hidden, dim), (hidden, dim), (dim, hidden))
    sizes = dict(zip(LINEAR_NAMES, of, strict=True))

    def linear(rows: int, cols: int) -> TernaryWeight | FloatWeight:
        if shape.quantization == "none":
            data = rng.normal(0, 0.05, (rows, cols)).astype(np.float32)
            return FloatWeight(rows, cols, "f32", data.view(np.uint8).reshape(-1))
        trits = rng.integers(-1, 2, (rows, cols), dtype=np.int8)
        return TernaryWeight(rows, cols, "trits", trits, np.float32(0.05))

    def norm(n: int) -> np.ndarray:
        return rng.normal(1, 0.1, n).astype(np.float32)

    blocks = tuple(
        BlockWeights(
            {name: linear(*size) for name, size in sizes.items()},
            norm(shape.dim), norm(shape.dim), norm(shape.dim), norm(shape.hidden_dim),
        )
        for _ in range(shape.n_layers)
    )  # fmt: skip
    table = rng.normal(0, 1, (shape.vocab_size, shape.dim)).astype(np.float32)
    embedding = FloatWeight(shape.vocab_size, shape.dim, "f32", table.view(np.uint8).reshape(-1))
    return ModelWeights(shape, embedding, blocks, norm(shape.dim))


def ints(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int32)


def arguments(core: NativeCore, n: int = 5) -> dict[str, Any]:
    """A step that is right: one run of n tokens, logits after the last."""
    return {
        "cache": core.new_pool(BLOCKS),
        "tokens": np.arange(n, dtype=np.int32),
        "counts": ints(n),
        "starts": ints(0),
        "tables": ints(0, 1, 2).reshape(1, 3),
        "rows": ints(n - 1),
        "logits": np.zeros((1, core.shape.vocab_size), np.float32),
    }


@pytest.fixture(scope="module")
def core() -> NativeCore:
    return NativeCore(random_weights(0), threads=2)


def test_a_step_writes_the_logits(core: NativeCore) -> None:
    step = arguments(core)
    core.forward(**step)
    assert np.isfinite(step["logits"]).all()
    assert step["logits"].std() > 0


WRONG: dict[str, tuple[str, Any]] = {
    "tokens of another dtype": ("tokens", np.arange(5)),
    "tokens that are floats": ("tokens", np.zeros(5, np.float32)),
    "tokens with two axes": ("tokens", np.zeros((5, 1), np.int32)),
    "tokens with gaps": ("tokens", np.zeros(10, np.int32)[::2]),
    "tokens out of line": ("tokens", np.frombuffer(bytes(21), np.int32, 5, 1)),
    "a token below the vocabulary": ("tokens", ints(0, 1, -1, 2, 3)),
    "a token beyond the vocabulary": ("tokens", ints(0, 1, 70, 2, 3)),
    "no tokens": ("tokens", ints()),
    "too few tokens": ("tokens", ints(1, 2)),
    "too many tokens": ("tokens", ints(1, 2, 3, 4, 5, 6)),
    "a count of nothing": ("counts", ints(0)),
    "a negative count": ("counts", ints(-5)),
    "a huge count": ("counts", ints(2**31 - 1)),
    "more counts than runs": ("counts", ints(2, 3)),
    "no counts": ("counts", ints()),
    "a negative start": ("starts", ints(-1)),
    "a start beyond the context": ("starts", ints(92)),
    "a huge start": ("starts", ints(2**31 - 1)),
    "starts of another dtype": ("starts", np.zeros(1, np.int64)),
    "a table with one axis": ("tables", ints(0, 1, 2)),
    "a table of no blocks": ("tables", np.zeros((1, 0), np.int32)),
    "a table of other runs": ("tables", np.zeros((2, 3), np.int32)),
    "a table by columns": ("tables", np.asfortranarray(np.zeros((2, 3), np.int32))[:1]),
    "a negative block": ("tables", ints(-1, 0, 0).reshape(1, 3)),
    "a block beyond the cache": ("tables", ints(3, 0, 0).reshape(1, 3)),
    "a row beyond the tokens": ("rows", ints(5)),
    "a negative row": ("rows", ints(-1)),
    "more rows than logits": ("rows", ints(3, 4)),
    "rows of another dtype": ("rows", np.zeros(1, np.uint32)),
    "logits of another dtype": ("logits", np.zeros((1, 70), np.float64)),
    "logits of half precision": ("logits", np.zeros((1, 70), np.float16)),
    "logits of another vocabulary": ("logits", np.zeros((1, 71), np.float32)),
    "logits with one axis": ("logits", np.zeros(70, np.float32)),
    "logits with gaps": ("logits", np.zeros((1, 140), np.float32)[:, ::2]),
}


@pytest.mark.parametrize(("name", "value"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_argument_is_refused(core: NativeCore, name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        core.forward(**arguments(core) | {name: value})


def test_rows_that_do_not_ascend_are_refused(core: NativeCore) -> None:
    for rows in (ints(3, 3), ints(3, 2)):
        with pytest.raises(ValueError, match="ascend"):
            core.forward(**arguments(core) | {"rows": rows, "logits": np.zeros((2, 70), np.float32)})


@pytest.mark.parametrize("name", ["cache", "tokens", "logits"])
@pytest.mark.parametrize("value", [None, 5, "text", [1, 2]])
def test_what_is_no_array_is_refused(core: NativeCore, name: str, value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        core.forward(**arguments(core) | {name: value})


def test_logits_that_cannot_be_written_are_refused(core: NativeCore) -> None:
    logits = np.zeros((1, 70), np.float32)
    logits.flags.writeable = False
    with pytest.raises((TypeError, ValueError)):
        core.forward(**arguments(core) | {"logits": logits})
    assert not logits.any()


@pytest.mark.parametrize(
    "change", [{"n_layers": 1}, {"n_kv_heads": 4}, {"n_heads": 8}, {"n_layers": 4, "n_kv_heads": 1}]
)
def test_a_cache_of_another_model_is_refused(core: NativeCore, change: Any) -> None:
    other = NativeCore(random_weights(1, replace(SHAPE, **change)), threads=1)
    with pytest.raises(ValueError, match="another shape"):
        core.forward(**arguments(core) | {"cache": other.new_pool(BLOCKS)})


RIGHT: dict[str, Any] = {
    "vocab_size": 70, "dim": 64, "n_layers": 1, "n_heads": 2, "n_kv_heads": 1, "head_dim": 32, "hidden_dim": 64,
    "max_seq_len": 40, "norm_eps": 1e-5, "hidden_act": "silu", "ternary": True, "threads": 1, "kernel": "",
}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"vocab_size": 0}, {"vocab_size": 2**31 - 1}, {"dim": 0}, {"dim": -64}, {"dim": 32, "head_dim": 16},
        {"dim": 2**18, "n_heads": 256, "head_dim": 1024}, {"n_layers": 0}, {"n_layers": 2**31 - 1}, {"n_heads": 0},
        {"n_heads": 3}, {"n_heads": 2**22 + 1, "head_dim": 1024, "dim": 1024}, {"n_kv_heads": 0},
        {"n_kv_heads": -1}, {"n_kv_heads": 3}, {"head_dim": 0}, {"head_dim": 31}, {"hidden_dim": 100},
        {"max_seq_len": 0}, {"max_seq_len": 2**31 - 1}, {"hidden_act": "gelu"}, {"threads": 0},
        {"threads": -1}, {"threads": 1025}, {"kernel": "abacus"},
    ],
    ids=str,
)  # fmt: skip
def test_a_shape_that_makes_no_sense_is_refused(change: dict[str, Any]) -> None:
    _native.Core(**RIGHT)
    with pytest.raises(ValueError, match=r"\w"):
        _native.Core(**RIGHT | change)


def test_a_core_without_all_its_weights_is_refused() -> None:
    settings = RIGHT | {"n_layers": 2}
    ones, trits = np.ones(64, np.float32), np.zeros(64 * 64, np.uint8)
    angles = np.zeros(40 * 16, np.float32)

    def norms_of(core: Any, layer: int) -> None:
        core.set_norms(layer, ones, ones, ones, ones)

    def linear_of(core: Any, layer: int, name: int) -> None:
        core.set_ternary(layer, name, "trits", trits[: (32 if name in (1, 2) else 64) * 64], 0.1)

    steps: list[Callable[[Any], None]] = [
        lambda core: core.set_norm(ones),
        lambda core: core.set_rope(angles, angles),
        lambda core: core.set_embedding("f32", np.zeros(70 * 64 * 4, np.uint8)),
        *[lambda core, layer=layer: norms_of(core, layer) for layer in (0, 1)],
        *[lambda core, layer=layer, name=name: linear_of(core, layer, name) for layer in (0, 1) for name in range(7)],
    ]
    for missing in range(len(steps)):
        core = _native.Core(**settings)
        for place, step in enumerate(steps):
            if place != missing:
                step(core)
        step_arguments = (ints(1), ints(1), ints(0), ints(0).reshape(1, 1), ints(0), np.zeros((1, 70), np.float32))
        with pytest.raises(ValueError, match="missing"):
            core.forward(_native.Cache(core, 1, "int8"), *step_arguments)
        steps[missing](core)
        core.forward(_native.Cache(core, 1, "int8"), *step_arguments)


def test_weights_of_a_wrong_size_or_kind_are_refused() -> None:
    core, ones = _native.Core(**RIGHT), np.ones(64, np.float32)
    trits = np.zeros(64 * 64, np.uint8)
    calls: list[Callable[[], None]] = [
        lambda: core.set_ternary(0, 0, "trits", trits[:-1], 1.0),
        lambda: core.set_ternary(0, 0, "tq2_0", trits, 1.0),
        lambda: core.set_ternary(0, 0, "runes", trits, 1.0),
        lambda: core.set_ternary(1, 0, "trits", trits, 1.0),
        lambda: core.set_ternary(-1, 0, "trits", trits, 1.0),
        lambda: core.set_ternary(0, 7, "trits", trits, 1.0),
        lambda: core.set_ternary(0, -1, "trits", trits, 1.0),
        lambda: core.set_ternary(0, 0, "trits", trits.reshape(64, 64), 1.0),
        lambda: core.set_ternary(0, 0, "trits", trits.astype(np.float32), 1.0),
        lambda: core.set_ternary(0, 0, "trits", np.full(64 * 64, 5, np.uint8), 1.0),
        lambda: core.set_float(0, 0, "f32", np.zeros(64 * 64 * 4, np.uint8)),
        lambda: core.set_norms(1, ones, ones, ones, ones),
        lambda: core.set_norms(0, ones, ones, ones, ones[:-1]),
        lambda: core.set_norms(0, ones, ones, ones, ones.astype(np.float64)),
        lambda: core.set_embedding("f32", trits),
        lambda: core.set_embedding("f64", trits),
        lambda: core.set_norm(ones[1:]),
        lambda: core.set_rope(ones, ones),
        lambda: _native.Cache(core, 0, "float16"),
        lambda: _native.Cache(core, -1, "float16"),
        lambda: _native.Cache(core, 1, "float64"),
        lambda: _native.Cache(core, 2, "int8").copy(0, 2),
        lambda: _native.Cache(core, 2, "int8").copy(-1, 0),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"\w"):
            call()


def test_a_byte_that_holds_no_trit_is_told_with_its_place() -> None:
    weights = random_weights(3)
    weights.blocks[1].linear["down"].data[5, 5] = 2
    with pytest.raises(ModelFileError, match="block 1, layer down"):
        NativeCore(weights, threads=2)


def test_a_cache_larger_than_memory_is_refused(core: NativeCore) -> None:
    with pytest.raises(MemoryError):
        core.new_pool(2**31 - 1)


def test_two_threads_of_python_may_call_at_once(core: NativeCore) -> None:
    expected = arguments(core)
    core.forward(**expected)
    results: list[bool] = []

    def read_again() -> None:
        for _ in range(40):
            step = arguments(core)
            core.forward(**step)
            results.append(bool((step["logits"] == expected["logits"]).all()))

    threads = [threading.Thread(target=read_again) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 120


@pytest.mark.parametrize("quantization", ["ternary", "none"])
def test_every_kernel_and_number_of_threads_gives_the_same_bits(quantization: Any) -> None:
    weights, found = random_weights(4, replace(SHAPE, quantization=quantization)), []
    for kernel in usable_kernels():
        for threads in (1, 3):
            core = NativeCore(weights, threads=threads, kernel=kernel)
            assert (core.kernel, core.threads) == (kernel, threads)
            step = arguments(core, 40)
            core.forward(**step)
            found.append(step["logits"].tobytes())
    assert len(set(found)) == 1


def test_the_kernel_is_the_one_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    for kernel in usable_kernels():
        monkeypatch.setenv(KERNEL_VARIABLE, kernel)
        assert NativeCore(random_weights(5), threads=1).kernel == kernel
    monkeypatch.setenv(KERNEL_VARIABLE, "abacus")
    with pytest.raises(ConfigError, match="abacus"):
        NativeCore(random_weights(5), threads=1)
    assert usable_kernels()[-1] == "scalar"


def test_memory_is_given_back_when_objects_die() -> None:
    psutil = pytest.importorskip("psutil")
    weights = random_weights(6, replace(SHAPE, vocab_size=4096, dim=512, n_layers=4, n_heads=8, hidden_dim=1024))

    def use_and_drop() -> None:
        core = NativeCore(weights, threads=2)
        pool = core.new_pool(64)
        for block in range(1, 64):
            pool.copy(0, block)  # touches its pages
        core.forward(**arguments(core) | {"cache": pool})

    process = psutil.Process()
    use_and_drop()
    gc.collect()
    before, threads = process.memory_info().rss, process.num_threads()
    for _ in range(8):
        use_and_drop()
    gc.collect()
    assert process.memory_info().rss - before < 32 << 20  # each round takes about as much
    assert process.num_threads() == threads


def test_the_embedding_outlives_the_array_that_python_forgets() -> None:
    expected = arguments(NativeCore(random_weights(7), threads=1))
    core = NativeCore(random_weights(7), threads=1)
    gc.collect()
    junk = [np.full(SHAPE.vocab_size * SHAPE.dim, np.nan, np.float32) for _ in range(20)]
    again = arguments(core)
    core.forward(**again)
    NativeCore(random_weights(7), threads=1).forward(**expected)
    assert (again["logits"] == expected["logits"]).all()
    assert len(junk) == 20


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="memory can be limited on Linux only")
def test_threads_that_the_system_does_not_give_are_an_error_and_no_crash() -> None:
    program = f"""
import resource
from tritcoder import _native
resource.setrlimit(resource.RLIMIT_AS, (1 << 31, 1 << 31))
try:
    _native.Core(**{RIGHT | {"threads": 1024}!r})
except (RuntimeError, MemoryError) as error:
    print("refused:", error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout[:8]) == (0, "refused:"), done.stderr
