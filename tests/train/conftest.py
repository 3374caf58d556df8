"""The smallest model and the smallest data that a training loop can be held to."""

import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tritcoder.data.batch import IGNORED, Batch, BatchSource

VOCAB_SIZE = 16

DiskWithRoom = Callable[[int], AbstractContextManager[None]]


class Bigram(nn.Module):
    """The next token from the last one alone: an embedding, which is also the head, a matrix and a norm."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.embedding = nn.Embedding(VOCAB_SIZE, 8)
        self.mix = nn.Linear(8, 8, bias=False)
        self.norm = nn.RMSNorm(8)
        for weight in (self.embedding.weight, self.mix.weight):
            nn.init.normal_(weight, generator=generator)

    def forward(self, ids: Tensor, segments: Tensor | None = None) -> Tensor:
        """Ids (B, T) in, logits (B, T, V) out."""
        return F.linear(self.norm(self.mix(self.embedding(ids))), self.embedding.weight)


class RandomRows:
    """Rows of random ids; row n of the run is a function of n. Some targets are masked, more in some rows."""

    seq_len = 6

    def batch(self, step: int, size: int, rank: int = 0, ranks: int = 1) -> Batch:
        """See BatchSource."""
        first = (step * ranks + rank) * size
        rows = [self._row(first + i) for i in range(size)]
        return Batch(np.stack([row[:-1] for row, _ in rows]), np.stack([targets for _, targets in rows]))

    def _row(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        random = np.random.default_rng(number)
        ids = random.integers(0, VOCAB_SIZE, self.seq_len + 1)
        targets = ids[1:].copy()
        targets[: random.integers(0, self.seq_len)] = IGNORED
        return ids, targets


@pytest.fixture
def make_model() -> Callable[[], nn.Module]:
    """Makes a small model; all that it makes are equal."""
    return Bigram


@pytest.fixture
def model() -> nn.Module:
    return Bigram()


@pytest.fixture
def source() -> BatchSource:
    return RandomRows()


class FullFile(io.FileIO):
    """A file on a disk that holds so many bytes more."""

    room_bytes = 0

    def write(self, data: Any, /) -> int:
        """Write all of it or, like a full disk, nothing."""
        self.room_bytes -= memoryview(data).nbytes
        if self.room_bytes < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


@pytest.fixture
def disk_with_room(monkeypatch: pytest.MonkeyPatch) -> DiskWithRoom:
    """Within `with disk_with_room(n)` a binary file that is written to holds no more than n bytes."""
    real_open = Path.open

    @contextmanager
    def full(room_bytes: int) -> Iterator[None]:
        def full_open(path: Path, mode: str = "r", **options: Any) -> IO[Any]:
            if mode != "wb":
                return real_open(path, mode, **options)
            file = FullFile(path, mode)
            file.room_bytes = room_bytes
            return io.BufferedWriter(file, buffer_size=64)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "open", full_open)
            yield

    return full
