"""llama.cpp as one of the engines that take turns, through its C interface: no Python between two tokens but argmax.

It is asked as `llama-bench` asks it: the library's defaults (flash attention `auto`, weights repacked where it likes,
a memory-mapped file), keys and values in float16, all sequences of a batch in one `llama_decode`. Run by
`inference.py`.
"""

import ctypes
import sys
from pathlib import Path
from typing import Any, NamedTuple

import llama_cpp.llama_cpp as lib
import numpy as np
from llama_cpp import __version__

from peers import POSITIONS, made_up, serve

MAX_TOKENS = 2048
"""Of one `llama_decode`: the library's own default."""
ERROR = 4
"""The library's number for the level of a message that tells of an error."""


class _Fields(NamedTuple):
    """The arrays of a `llama_batch`, as numpy sees them."""

    token: np.ndarray
    pos: np.ndarray
    logits: np.ndarray


class LlamaEngine:
    """See peers.Engine."""

    def __init__(self, path: Path, threads: int) -> None:
        lib.llama_backend_init()
        lib.llama_log_set(_LOG, ctypes.c_void_p())
        self._threads = threads
        model = lib.llama_model_load_from_file(str(path).encode(), lib.llama_model_default_params())
        assert model, f"llama.cpp cannot load {path}"
        self._model = model
        self._vocab_size: int = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(model))
        self._batch = lib.llama_batch_init(MAX_TOKENS, 0, 1)
        self._fields = _Fields(*(_view(getattr(self._batch, name), MAX_TOKENS) for name in _Fields._fields))
        _view(self._batch.n_seq_id, MAX_TOKENS)[:] = 1
        self._layout, self._logits_at = (0, 0, 0), (0, 0)
        self._logits = np.zeros((0, 0), np.float32)
        self._context: Any = None
        self._room = (0, 0)
        self.make_room(1, POSITIONS)
        self._next = np.zeros(0, np.int32)
        self._position = 0

    def facts(self) -> dict[str, Any]:
        """Version and build."""
        return {
            "llama_cpp_python": __version__,
            "system_info": lib.llama_print_system_info().decode(),
            "threads": self._threads,
        }

    def prompt(self, n_tokens: int) -> int:
        """Read so many tokens in a new sequence."""
        self._clear()
        return int(self._read(made_up(1, n_tokens, self._vocab_size), 0)[0])

    def begin(self, batch: int, depth: int) -> None:
        """New sequences of `depth` tokens each."""
        self._clear()
        self._next, self._position = np.zeros(batch, np.int32), depth
        tokens, together = made_up(batch, depth, self._vocab_size), max(1, MAX_TOKENS // depth)
        for row in range(0, batch, together):
            self._next[row : row + together] = self._read(tokens[row : row + together], 0, row)

    def step(self) -> None:
        """One token more in each sequence."""
        self._next = self._read(self._next[:, None], self._position)
        self._position += 1

    def _read(self, tokens: np.ndarray, start: int, first_row: int = 0) -> np.ndarray:
        """Read (B, T) tokens from a position on in rows of the batch; the likeliest next ones."""
        rows, length = tokens.shape
        n = tokens.size
        self._batch.n_tokens = n
        self._fields.token[:n] = tokens.reshape(-1)
        if length == 1:
            self._fields.pos[:n] = start
        else:
            self._fields.pos[:n] = np.tile(np.arange(start, start + length), rows)
        if self._layout != (rows, length, first_row):
            self._lay_out(rows, length, first_row)
        status = lib.llama_decode(self._context, self._batch)
        assert not status, f"llama_decode: {status}"
        address = ctypes.addressof(lib.llama_get_logits(self._context).contents)
        if self._logits_at != (address, rows):
            values = (ctypes.c_float * (rows * self._vocab_size)).from_address(address)
            self._logits = np.frombuffer(values, np.float32).reshape(rows, -1)
            self._logits_at = (address, rows)
        found: np.ndarray = self._logits.argmax(axis=1).astype(np.int32)
        return found

    def _lay_out(self, rows: int, length: int, first_row: int) -> None:
        """Which sequence each token of a batch belongs to, and whose logits are wanted: the last ones'."""
        n = rows * length
        for place in range(n):
            self._batch.seq_id[place][0] = first_row + place // length
        self._fields.logits[:n] = np.arange(1, n + 1) % length == 0
        self._layout = (rows, length, first_row)

    def make_room(self, sequences: int, positions: int) -> None:
        """A context that holds so many sequences of so many positions; a new one if they are other sequences."""
        if self._room[0] == sequences and self._room[1] >= positions:
            return
        if self._context:
            lib.llama_free(self._context)
        settings = lib.llama_context_default_params()
        settings.n_ctx, settings.n_seq_max, settings.n_batch = sequences * positions, sequences, MAX_TOKENS
        settings.n_threads = settings.n_threads_batch = self._threads
        self._context = lib.llama_init_from_model(self._model, settings)
        assert self._context, "llama.cpp cannot make a context"
        self._room = (sequences, positions)

    def _clear(self) -> None:
        lib.llama_memory_clear(lib.llama_get_memory(self._context), False)


def _only_errors(level: int, text: bytes, _: object) -> None:
    if level == ERROR:
        sys.stderr.write(text.decode(errors="replace"))


_LOG = lib.llama_log_callback(_only_errors)  # lives as long as the library may call it


def _view(pointer: Any, size: int) -> np.ndarray:
    return np.ctypeslib.as_array(pointer, shape=(size,))


if __name__ == "__main__":
    serve(LlamaEngine, sys.argv[1:])
