"""The core in numpy: docs/engine.md, operation by operation.

It is the truth that the compiled core is held to bit for bit, and what runs, slowly, where that is not built.

Axes: N tokens of a call, D width, H query heads, G key heads, K head width, V vocabulary.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
from jaxtyping import Float32, Int32

from tritcoder.engine import arithmetic as do
from tritcoder.engine.rope import rope_tables
from tritcoder.ternary.decoding import floats_of, trits_of
from tritcoder.ternary.shape import ModelConfig
from tritcoder.ternary.weights import LINEAR_NAMES, FloatWeight, ModelWeights, TernaryWeight

BLOCK_POSITIONS = 32
"""Positions of all layers whose keys and values lie in one block."""

CacheType = Literal["float16", "int8"]

Linear = Callable[[np.ndarray, np.ndarray | None], np.ndarray]
"""Activations from `prepare` in, (N, out) out."""


class ReferencePool:
    """Keys and values in blocks of 32 positions of all layers."""

    def __init__(self, shape: ModelConfig, n_blocks: int, kv_dtype: CacheType) -> None:
        if n_blocks < 1 or kv_dtype not in ("float16", "int8"):
            raise ValueError(f"a cache is float16 or int8 and needs a block, found {kv_dtype}, {n_blocks} blocks")
        size = (2, shape.n_layers, n_blocks, BLOCK_POSITIONS, shape.n_kv_heads, shape.head_dim)
        self.n_blocks, self.whole_numbers = n_blocks, kv_dtype == "int8"
        self.values = np.zeros(size, dtype=np.int8 if self.whole_numbers else np.float16)
        self.scales = np.zeros(size[:-1] if self.whole_numbers else 0, dtype=np.float32)

    @property
    def block_bytes(self) -> int:
        """Memory of one block."""
        return (self.values.nbytes + self.scales.nbytes) // self.n_blocks

    def copy(self, source: int, target: int) -> None:
        """Copy a whole block."""
        if not (0 <= source < self.n_blocks and 0 <= target < self.n_blocks):
            raise ValueError(f"no such block: {source} or {target} of {self.n_blocks}")
        self.values[:, :, target] = self.values[:, :, source]
        if self.whole_numbers:
            self.scales[:, :, target] = self.scales[:, :, source]

    def write(self, which: int, layer: int, blocks: np.ndarray, places: np.ndarray, vectors: np.ndarray) -> None:
        """Round vectors (N, G, K) of keys (`which` 0) or values (1) into their places."""
        if self.whole_numbers:
            levels, scales = do.levels(vectors)
            self.values[which, layer, blocks, places] = levels.astype(np.int8)
            self.scales[which, layer, blocks, places] = scales
        else:
            with np.errstate(over="ignore"):
                self.values[which, layer, blocks, places] = vectors.astype(np.float16)

    def read(self, which: int, layer: int, blocks: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray | None]:
        """The first `n` positions of a sequence: vectors (n, G, K) as floats, and their scales (n, G)."""
        found = self.values[which, layer, blocks]
        vectors = found.reshape(-1, *found.shape[2:])[:n].astype(np.float32)
        if not self.whole_numbers:
            return vectors, None
        return vectors, self.scales[which, layer, blocks].reshape(-1, found.shape[2])[:n]


class ReferenceCore:
    """See docs/engine.md, "The engine's core"."""

    kernel = "numpy"
    threads = 1

    def __init__(self, weights: ModelWeights) -> None:
        self.shape = weights.shape
        self._ternary = weights.shape.quantization == "ternary"
        self._embedding = floats_of(weights.embedding)
        self._head_scale: np.ndarray | None
        self._head, self._head_scale = do.levels(self._embedding) if self._ternary else (self._embedding, None)
        self._blocks = weights.blocks
        self._linear = [{name: _linear(block.linear[name]) for name in LINEAR_NAMES} for block in weights.blocks]
        self._norm = weights.norm
        self._cos, self._sin = rope_tables(weights.shape)
        self._eps = np.float32(weights.shape.norm_eps)
        self._act = do.silu if weights.shape.hidden_act == "silu" else do.relu2

    def new_pool(self, n_blocks: int, kv_dtype: CacheType = "float16") -> ReferencePool:
        """Memory for keys and values."""
        return ReferencePool(self.shape, n_blocks, kv_dtype)

    @np.errstate(over="ignore", invalid="ignore")  # damaged weights; whoever chooses by the logits says so
    def forward(
        self,
        pool: ReferencePool,
        tokens: Int32[np.ndarray, "N"],
        counts: Int32[np.ndarray, "R"],
        starts: Int32[np.ndarray, "R"],
        tables: Int32[np.ndarray, "R blocks"],
        rows: Int32[np.ndarray, "M"],
        logits: Float32[np.ndarray, "M V"],
    ) -> None:
        """Read runs of tokens; see docs/engine.md for the arguments.

        Raises:
            ValueError: the arguments do not fit together.
        """
        self._check(pool, tokens, counts, starts, tables, rows, logits)
        positions = np.concatenate([np.arange(s, s + n) for s, n in zip(starts, counts, strict=True)])
        runs = np.repeat(np.arange(len(counts)), counts)
        blocks = tables[runs, positions // BLOCK_POSITIONS]
        x = self._embedding[tokens]
        for layer, block in enumerate(self._blocks):
            linear = self._linear[layer]
            h = self._prepare(do.norm(x, block.attention_norm, self._eps))
            heads = [linear[name](*h).reshape(len(tokens), -1, self.shape.head_dim) for name in ("q", "k", "v")]
            cos, sin = self._cos[positions], self._sin[positions]
            q = do.turned(heads[0], cos, sin) * np.float32(1 / np.sqrt(self.shape.head_dim))
            pool.write(0, layer, blocks, positions % BLOCK_POSITIONS, do.turned(heads[1], cos, sin))
            pool.write(1, layer, blocks, positions % BLOCK_POSITIONS, heads[2])
            out = self._attention(pool, layer, q, counts, starts, tables)
            x = x + linear["o"](*self._prepare(do.norm(out, block.attention_sub_norm, self._eps)))
            h = self._prepare(do.norm(x, block.feed_forward_norm, self._eps))
            wide = self._act(linear["gate"](*h)) * linear["up"](*h)
            x = x + linear["down"](*self._prepare(do.norm(wide, block.feed_forward_sub_norm, self._eps)))
        if len(rows):
            logits[:] = self._logits(do.norm(x[rows], self._norm, self._eps))

    def _prepare(self, h: Float32[np.ndarray, "N D"]) -> tuple[np.ndarray, np.ndarray | None]:
        return do.levels(h) if self._ternary else (h, None)

    def _attention(
        self,
        pool: ReferencePool,
        layer: int,
        q: Float32[np.ndarray, "N H K"],
        counts: np.ndarray,
        starts: np.ndarray,
        tables: np.ndarray,
    ) -> Float32[np.ndarray, "N D"]:
        found, place = np.empty_like(q), 0
        for run, (count, start) in enumerate(zip(counts.tolist(), starts.tolist(), strict=True)):
            n = start + count
            used = tables[run, : -(-n // BLOCK_POSITIONS)]
            (keys, key_scales), (values, value_scales) = pool.read(0, layer, used, n), pool.read(1, layer, used, n)
            for end in range(start + 1, n + 1):
                scales = () if key_scales is None or value_scales is None else (key_scales[:end], value_scales[:end])
                found[place] = do.attend(q[place], keys[:end], values[:end], *scales)
                place += 1
        return found.reshape(len(q), -1)

    def _logits(self, h: Float32[np.ndarray, "M D"]) -> Float32[np.ndarray, "M V"]:
        if self._head_scale is None:
            return do.float_product(h, self._head)
        levels, scale = do.levels(h)
        exact = do.exact_product(levels, self._head, 128 * 128)
        logits: Float32[np.ndarray, "M V"] = exact * (scale[:, None] * self._head_scale)
        return logits

    def _check(
        self,
        pool: ReferencePool,
        tokens: np.ndarray,
        counts: np.ndarray,
        starts: np.ndarray,
        tables: np.ndarray,
        rows: np.ndarray,
        logits: np.ndarray,
    ) -> None:
        ends = starts + counts
        used = -(-ends // BLOCK_POSITIONS)
        checks = {
            "tokens, counts, starts, tables and rows must be int32, logits float32": all(
                array.dtype == np.int32 for array in (tokens, counts, starts, tables, rows)
            )
            and logits.dtype == np.float32,
            "counts must add up to the tokens": len(tokens) > 0 and counts.sum() == len(tokens) and counts.min() > 0,
            "runs disagree in number": len(counts) == len(starts) == len(tables),
            "a token is outside of the vocabulary": 0 <= tokens.min() <= tokens.max() < self.shape.vocab_size,
            "a run is outside of the context": starts.min() >= 0 and ends.max() <= self.shape.max_seq_len,
            "a table has too few blocks": used.max() <= tables.shape[1],
            "no such block": all(
                table[:n].min() >= 0 and table[:n].max() < pool.n_blocks
                for table, n in zip(tables, used, strict=True)
            ),
            "rows must ascend": not len(rows)
            or bool(rows[0] >= 0 and rows[-1] < len(tokens) and (np.diff(rows) > 0).all()),
            "logits have a wrong shape": logits.shape == (len(rows), self.shape.vocab_size),
        }
        for message, holds in checks.items():
            if not holds:
                raise ValueError(message)


def _linear(weight: TernaryWeight | FloatWeight) -> Linear:
    """A linear layer as a function of prepared activations."""
    if isinstance(weight, TernaryWeight):
        trits, scale = trits_of(weight).astype(np.float32), np.float32(weight.scale)
        return lambda h, h_scale: do.exact_product(h, trits, 128) * (h_scale * scale)[:, None]  # type: ignore[operator]
    matrix = floats_of(weight)
    return lambda h, _: do.float_product(h, matrix)
