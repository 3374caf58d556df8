"""Our engine as one of those that take turns: the core's own interface, and argmax. Run by `inference.py`."""

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from peers import POSITIONS, made_up, serve
from tritcoder import __version__

BLOCK = 32
"""Positions of a cache block: see docs/engine.md."""


def reader() -> str:
    """The module that reads GGUF files; empty where there is none yet."""
    names = ("tritcoder.ternary.format", "tritcoder.ternary.gguf_reading")
    return next((name for name in names if find_spec(name)), "")


class OwnEngine:
    """See peers.Engine."""

    def __init__(self, path: Path, threads: int) -> None:
        weights = import_module(reader()).read_gguf(path)
        self._core = import_module("tritcoder.engine.core").open_core(weights, threads=threads)
        self._vocab_size: int = self._core.shape.vocab_size
        self._pool: Any = None
        self._n_blocks = 0
        self._tables = np.zeros((0, 0), np.int32)
        self.make_room(1, POSITIONS)
        self._next = np.zeros(0, np.int32)
        self._position = 0

    def facts(self) -> dict[str, Any]:
        """Version and kernel."""
        return {"tritcoder": __version__, "kernel": self._core.kernel, "threads": self._core.threads}

    def prompt(self, n_tokens: int) -> int:
        """Read so many tokens in a new sequence."""
        return int(self._read(made_up(1, n_tokens, self._vocab_size), 0)[0])

    def begin(self, batch: int, depth: int) -> None:
        """New sequences of `depth` tokens each."""
        self._next, self._position = self._read(made_up(batch, depth, self._vocab_size), 0), depth

    def step(self) -> None:
        """One token more in each sequence."""
        self._next = self._read(self._next[:, None], self._position)
        self._position += 1

    def _read(self, tokens: np.ndarray, start: int) -> np.ndarray:
        rows, length = tokens.shape
        counts, starts = np.full(rows, length, np.int32), np.full(rows, start, np.int32)
        wanted = np.arange(length - 1, rows * length, length, dtype=np.int32)
        logits = np.empty((rows, self._vocab_size), np.float32)
        flat = np.ascontiguousarray(tokens.reshape(-1), np.int32)
        self._core.forward(self._pool, flat, counts, starts, self._tables, wanted, logits)
        found: np.ndarray = logits.argmax(axis=1).astype(np.int32)
        return found

    def make_room(self, sequences: int, positions: int) -> None:
        """A cache for so many sequences of so many positions."""
        each = -(-positions // BLOCK)
        if sequences * each > self._n_blocks:
            self._pool, self._n_blocks = None, sequences * each
            self._pool = self._core.new_pool(self._n_blocks, "float16")
        self._tables = np.arange(sequences * each, dtype=np.int32).reshape(sequences, each)


if __name__ == "__main__":
    serve(OwnEngine, sys.argv[1:])
