"""A core as a LanguageModel, and the running batch of it.

Axes: B sequences, T tokens, V vocabulary.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64

from tritcoder.engine.core import Core
from tritcoder.engine.reference import BLOCK_POSITIONS, CacheType
from tritcoder.engine.running_batch import CHUNK, MAX_RUNNING, RunningBatch
from tritcoder.errors import ConfigError, PromptError
from tritcoder.ternary.shape import ModelConfig

CACHE_BYTES = 256 * 2**20
"""Memory for keys and values, unless the caller says how much; one full context is always had."""
MAX_CONTEXTS = 64
ROWS = 64
"""Tokens whose logits are in memory at a time when texts are scored."""


def block_bytes(shape: ModelConfig, kv_dtype: CacheType) -> int:
    """Memory of a block of 32 positions of all layers."""
    head = 2 * shape.head_dim if kv_dtype == "float16" else shape.head_dim + 4
    return 2 * shape.n_layers * BLOCK_POSITIONS * shape.n_kv_heads * head


def blocks_for(shape: ModelConfig, kv_dtype: CacheType, cache_bytes: int | None) -> int:
    """How many blocks the memory for keys and values holds.

    Raises:
        ConfigError: not one.
    """
    one_context = -(-shape.max_seq_len // BLOCK_POSITIONS)
    size = block_bytes(shape, kv_dtype)
    if cache_bytes is None:
        return min(max(CACHE_BYTES // size, one_context), MAX_CONTEXTS * one_context)
    if cache_bytes < size:
        raise ConfigError(f"keys and values of {BLOCK_POSITIONS} positions take {size} bytes, found {cache_bytes}")
    return cache_bytes // size


class EngineDecoding:
    """A batch in the course of being written, in memory of its own; see protocols.Decoding."""

    def __init__(self, core: Core, prompts: Sequence[Sequence[int]], kv_dtype: CacheType) -> None:
        longest = max(map(len, prompts))
        if longest > core.shape.max_seq_len or not all(prompts):
            raise PromptError(f"a prompt must have 1 to {core.shape.max_seq_len} tokens, found {longest}")
        width = -(-core.shape.max_seq_len // BLOCK_POSITIONS)
        self._core, self._pool = core, core.new_pool(len(prompts) * width, kv_dtype)
        self._tables = np.arange(len(prompts) * width, dtype=np.int32).reshape(len(prompts), width)
        counts = np.array([len(prompt) for prompt in prompts], dtype=np.int32)
        self._lengths = np.zeros_like(counts)
        self._logits: Float32[np.ndarray, "B V"]
        self._read(np.concatenate([np.array(prompt, dtype=np.int32) for prompt in prompts]), counts)

    @property
    def logits(self) -> Float32[np.ndarray, "B V"]:
        """Scores of the next token of each sequence still in the batch."""
        return self._logits

    def append(self, ids: Int64[np.ndarray, "B"]) -> None:
        """Add one token to each sequence and bring `logits` up to date."""
        self._read(ids.astype(np.int32), np.ones(len(ids), dtype=np.int32))

    def keep(self, rows: Sequence[int]) -> None:
        """Let only these rows go on."""
        wanted = list(rows)
        self._tables, self._lengths = self._tables[wanted], self._lengths[wanted]
        self._logits = self._logits[wanted]

    def _read(self, tokens: np.ndarray, counts: np.ndarray) -> None:
        rows = np.cumsum(counts, dtype=np.int32) - np.int32(1)
        self._logits = np.empty((len(counts), self._core.shape.vocab_size), dtype=np.float32)
        self._core.forward(self._pool, tokens, counts, self._lengths, self._tables, rows, self._logits)
        self._lengths = self._lengths + counts


class EngineModel:
    """A LanguageModel and a RunningModel (see protocols).

    Args:
        core: what computes (`engine.core.open_core`).
        name: what reports call it.
        cache_bytes: memory for keys and values of the running batch.
        kv_dtype: what keys and values are rounded to.
        speculate: tokens of a sequence's own past proposed at a time; 0 for none. No text changes by it.
        max_running: at most so many sequences take turns; others wait.
        chunk: tokens of prompts that are read in one step.
    """

    def __init__(
        self,
        core: Core,
        name: str,
        *,
        cache_bytes: int | None = None,
        kv_dtype: CacheType = "float16",
        speculate: int = 0,
        max_running: int = MAX_RUNNING,
        chunk: int = CHUNK,
    ) -> None:
        if speculate < 0 or max_running < 1 or chunk < 1 or kv_dtype not in ("float16", "int8"):
            raise ConfigError(
                "speculate must be 0 or more, max_running and chunk 1 or more, kv_dtype float16 or int8; "
                f"found {speculate}, {max_running}, {chunk}, {kv_dtype}"
            )
        self.core, self._name, self._kv_dtype = core, name, kv_dtype
        self.batch = RunningBatch(
            core,
            blocks_for(core.shape, kv_dtype, cache_bytes),
            kv_dtype,
            max_running=max_running,
            speculate=speculate,
            chunk=chunk,
        )
        self.submit, self.step, self.cancel = self.batch.submit, self.batch.step, self.batch.cancel

    @property
    def name(self) -> str:
        """What reports call it."""
        return self._name

    @property
    def vocab_size(self) -> int:
        """V."""
        return self.core.shape.vocab_size

    @property
    def max_seq_len(self) -> int:
        """The most tokens of prompt and answer together."""
        return self.core.shape.max_seq_len

    def start(self, prompts: Sequence[Sequence[int]]) -> EngineDecoding:
        """Read the prompts, in memory of their own, and stand ready to write.

        Raises:
            PromptError: a prompt is empty, or longer than the context.
        """
        return EngineDecoding(self.core, prompts, self._kv_dtype)

    def logits(self, ids: Sequence[int]) -> Float32[np.ndarray, "T V"]:
        """Scores of the next token after each token of a sequence."""
        return np.concatenate([logits.copy() for logits in self._read(ids)])

    def log_probs(self, sequences: Sequence[Sequence[int]]) -> list[Float32[np.ndarray, "T"]]:
        """Natural log-probability of each token given those before it; the first gets 0."""
        return [self._log_probs(ids) for ids in sequences]

    def _log_probs(self, ids: Sequence[int]) -> Float32[np.ndarray, "T"]:
        found = np.zeros(len(ids), dtype=np.float32)
        place = 1
        for logits in self._read(ids[:-1]) if len(ids) > 1 else ():
            precise = logits.astype(np.float64)
            precise -= precise.max(axis=-1, keepdims=True)
            wanted = np.array(ids[place : place + len(logits)])
            scores = precise[np.arange(len(wanted)), wanted] - np.log(np.exp(precise).sum(axis=-1))
            found[place : place + len(logits)] = scores
            place += len(logits)
        return found

    def _read(self, ids: Sequence[int]) -> Any:
        """Logits after each token, piece by piece; a piece's array is written over by the next."""
        shape = self.core.shape
        if not 1 <= len(ids) <= shape.max_seq_len:
            raise PromptError(f"a text must have 1 to {shape.max_seq_len} tokens, found {len(ids)}")
        if not 0 <= min(ids) <= max(ids) < shape.vocab_size:
            raise PromptError(f"token ids must be 0 or more and below {shape.vocab_size}")
        pool = self.core.new_pool(-(-len(ids) // BLOCK_POSITIONS), self._kv_dtype)
        table = np.arange(pool.n_blocks, dtype=np.int32)[None]
        logits = np.empty((min(ROWS, len(ids)), shape.vocab_size), dtype=np.float32)
        tokens = np.array(ids, dtype=np.int32)
        for start in range(0, len(ids), ROWS):
            piece = tokens[start : start + ROWS]
            count, first = np.array([len(piece)], dtype=np.int32), np.array([start], dtype=np.int32)
            rows = np.arange(len(piece), dtype=np.int32)
            self.core.forward(pool, piece, count, first, table, rows, logits[: len(piece)])
            yield logits[: len(piece)]
