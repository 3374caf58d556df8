"""The compiled core: a model's weights handed to `tritcoder._native`, and its errors told.

Importing this module fails with ImportError where the extension is not built.
"""

import mmap

import numpy as np

from tritcoder import _native
from tritcoder.engine.rope import rope_tables
from tritcoder.engine.settings import asked_kernel, threads_for
from tritcoder.errors import ConfigError, ModelFileError
from tritcoder.ternary.weights import LINEAR_NAMES, FloatWeight, ModelWeights, TernaryWeight


def usable_kernels() -> list[str]:
    """Names of the kernels that this processor can run, best first."""
    return list(_native.kernels())


def chosen_kernel(asked: str | None = None) -> str:
    """The kernel to run: what was asked for, or what TRITCODER_KERNEL says, or the best.

    Raises:
        ConfigError: this machine has no such kernel.
    """
    kernel = asked_kernel(asked) or usable_kernels()[0]
    if kernel not in usable_kernels():
        raise ConfigError(
            f"there is no kernel {kernel!r} on this machine", f"choose one of {', '.join(usable_kernels())}"
        )
    return kernel


class NativeCore:
    """See docs/engine.md, "The engine's core"."""

    def __init__(self, weights: ModelWeights, threads: int | None = None, kernel: str | None = None) -> None:
        """Pack the weights.

        Args:
            weights: what a file holds; its embedding stays where it is, the rest may be let go.
            threads: the caller's included; by default one for each core.
            kernel: one of `usable_kernels`; by default what TRITCODER_KERNEL says, or the best.

        Raises:
            ConfigError: no such kernel here, or a number of threads that makes no sense.
            ModelFileError: a byte of the weights holds no trit.
        """
        shape = weights.shape
        self.shape = shape
        self._core = _native.Core(
            vocab_size=shape.vocab_size,
            dim=shape.dim,
            n_layers=shape.n_layers,
            n_heads=shape.n_heads,
            n_kv_heads=shape.n_kv_heads,
            head_dim=shape.head_dim,
            hidden_dim=shape.hidden_dim,
            max_seq_len=shape.max_seq_len,
            norm_eps=shape.norm_eps,
            hidden_act=shape.hidden_act,
            ternary=shape.quantization == "ternary",
            threads=threads_for(threads),
            kernel=chosen_kernel(kernel),
        )
        self._fill(weights)
        self.forward = self._core.forward
        self.kernel: str = self._core.kernel
        self.threads: int = self._core.threads
        self.weight_bytes: int = self._core.weight_bytes

    def new_pool(self, n_blocks: int, kv_dtype: str = "float16") -> _native.Cache:
        """Memory for keys and values: blocks of 32 positions of all layers."""
        return _native.Cache(self._core, n_blocks, kv_dtype)

    def _fill(self, weights: ModelWeights) -> None:
        for layer, block in enumerate(weights.blocks):
            for place, name in enumerate(LINEAR_NAMES):
                self._set_linear(layer, place, name, block.linear[name])
            self._core.set_norms(
                layer,
                *(
                    np.ascontiguousarray(norm, dtype=np.float32)
                    for norm in (
                        block.attention_norm,
                        block.attention_sub_norm,
                        block.feed_forward_norm,
                        block.feed_forward_sub_norm,
                    )
                ),
            )
        self._core.set_norm(np.ascontiguousarray(weights.norm, dtype=np.float32))
        cos, sin = rope_tables(self.shape)
        self._core.set_rope(cos.reshape(-1), sin.reshape(-1))
        self._core.set_embedding(weights.embedding.layout, _as_bytes(weights.embedding.data))
        _let_go(weights.embedding.data)

    def _set_linear(self, layer: int, place: int, name: str, weight: TernaryWeight | FloatWeight) -> None:
        data = _as_bytes(weight.data)
        if isinstance(weight, FloatWeight):
            self._core.set_float(layer, place, weight.layout, data)
        else:
            try:
                self._core.set_ternary(layer, place, weight.layout, data, float(weight.scale))
            except ValueError as error:
                raise ModelFileError(
                    f"block {layer}, layer {name}: {error}", "the file is corrupt: export it again"
                ) from None
        _let_go(weight.data)


def _as_bytes(data: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(data).reshape(-1).view(np.uint8)


def _let_go(data: np.ndarray) -> None:
    """Give back the memory of a mapped file's pages that have been read; they are read again if they are needed."""
    base: object = data
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, memoryview):
        base = base.obj
    if not isinstance(base, mmap.mmap) or not hasattr(mmap, "MADV_DONTNEED"):
        return
    start = data.__array_interface__["data"][0] - np.frombuffer(base, dtype=np.uint8).__array_interface__["data"][0]
    first = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
    size = (start + data.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE - first
    if size > 0:
        base.madvise(mmap.MADV_DONTNEED, first, size)
