"""Held-out loss: nats per token, and bits per byte, which compare across tokenizers."""

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import UInt16
from torch import Tensor

from tritcoder.data.answers import PackedAnswers
from tritcoder.data.batch import IGNORED, Batch
from tritcoder.data.shards import TokenShards
from tritcoder.errors import EmptyCorpusError

Forward = Callable[[Tensor, Tensor | None], Tensor]
"""Token ids (B, T) and segments (B, T) in, logits (B, T, V) out: a Transformer, compiled or not."""

Evaluate = Callable[[Forward], dict[str, float]]


def batch_loss(model: Forward, batch: Batch) -> Tensor:
    """Sum of the cross-entropy, in nats, over the positions that have a target."""
    inputs, targets = torch.from_numpy(batch.inputs), torch.from_numpy(batch.targets)
    segments = None if batch.segments is None else torch.from_numpy(batch.segments)
    logits = model(inputs, segments)
    return F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="sum")


class HeldOutText:
    """The first tokens of held-out shards, in windows that follow each other."""

    def __init__(
        self,
        shards: TokenShards,
        token_lengths: UInt16[np.ndarray, "V"],
        *,
        seq_len: int,
        batch_size: int,
        max_tokens: int,
    ) -> None:
        """Choose the windows.

        Raises:
            EmptyCorpusError: the held-out text is shorter than one window.
        """
        windows = min(max_tokens, len(shards) - 1) // seq_len
        if windows < 1:
            raise EmptyCorpusError(
                f"the held-out text has {len(shards)} tokens, one window takes {seq_len + 1}",
                "hold out more of the corpus (held_out_share), or use a smaller seq_len",
            )
        self.ids = shards.read(0, windows * seq_len + 1)
        self.n_bytes = int(token_lengths[self.ids[1:]].sum())
        self._inputs = self.ids[:-1].reshape(windows, seq_len)
        self._targets = self.ids[1:].reshape(windows, seq_len)
        self._batch_size = batch_size

    def __call__(self, model: Forward) -> dict[str, float]:
        """Nats per token and bits per byte over all of it."""
        nats = 0.0
        for start in range(0, len(self._inputs), self._batch_size):
            rows = slice(start, start + self._batch_size)
            nats += batch_loss(model, Batch(self._inputs[rows], self._targets[rows])).item()
        return {
            "held_out_loss": nats / self._targets.size,
            "held_out_bits_per_byte": nats / math.log(2) / self.n_bytes,
        }


class HeldOutAnswers:
    """Answers to problems that are not trained on."""

    def __init__(self, answers: PackedAnswers, batch_size: int) -> None:
        self._answers, self._batch_size = answers, batch_size

    def __call__(self, model: Forward) -> dict[str, float]:
        """Nats per answer token over one pass."""
        nats, count = 0.0, 0
        for first in range(0, rows := self._answers.rows_in_epoch(0), self._batch_size):
            inputs, targets, segments = self._answers.batch(first // self._batch_size, self._batch_size)
            left = slice(rows - first)
            batch = Batch(inputs[left], targets[left], None if segments is None else segments[left])
            nats += batch_loss(model, batch).item()
            count += int((batch.targets != IGNORED).sum())
        return {"held_out_loss": nats / max(1, count)}
