"""The network as a LanguageModel: token ids in, numpy logits out, with a KV cache.

Axes: B sequences, T tokens, V vocabulary.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float32, Int64
from torch import Tensor

from tritcoder.errors import PromptError
from tritcoder.model import hugging_face
from tritcoder.model.transformer import KVCache, Transformer

_SCORE_TOKENS = 4096
"""Tokens of a batch when texts are scored: bounds the logits' memory."""


class TorchDecoding:
    """A batch in the course of being written; see protocols.Decoding."""

    def __init__(self, model: Transformer, prompts: Sequence[Sequence[int]]) -> None:
        config = model.config
        longest = max(map(len, prompts))
        if longest > config.max_seq_len or not all(prompts):
            raise PromptError(f"a prompt must have 1 to {config.max_seq_len} tokens, found {longest}")
        self._model = model
        self._cache = KVCache(config, len(prompts), config.max_seq_len, model.embedding.weight.dtype)
        ids = torch.zeros(len(prompts), longest, dtype=torch.long)
        for row, prompt in enumerate(prompts):
            ids[row, : len(prompt)] = torch.tensor(prompt)
        lengths = torch.tensor([len(prompt) for prompt in prompts])
        with torch.inference_mode():
            hidden = model.hidden(ids, cache=self._cache)[torch.arange(len(prompts)), lengths - 1]
            self._logits = model.head(hidden)
        self._cache.lengths = lengths

    @property
    def logits(self) -> Float32[np.ndarray, "B V"]:
        """Scores of the next token of each sequence still in the batch."""
        scores: Float32[np.ndarray, "B V"] = self._logits.float().numpy()
        return scores

    def append(self, ids: Int64[np.ndarray, "B"]) -> None:
        """Add one token to each sequence and bring `logits` up to date."""
        with torch.inference_mode():
            self._logits = self._model(torch.from_numpy(ids)[:, None], cache=self._cache)[:, 0]

    def keep(self, rows: Sequence[int]) -> None:
        """Let only these rows go on."""
        with torch.inference_mode():
            self._cache.keep(list(rows))
            self._logits = self._logits[list(rows)]


class TorchLanguageModel:
    """See protocols.LanguageModel."""

    def __init__(self, model: Transformer, name: str) -> None:
        self._model = model.freeze()
        self._name = name

    @classmethod
    def load(cls, directory: Path, name: str = "") -> "TorchLanguageModel":
        """Read a model directory.

        Raises:
            ModelFileError: there is none, or it is of another kind, or damaged.
        """
        return cls(hugging_face.load(directory), name or directory.name)

    @property
    def name(self) -> str:
        """What reports call it."""
        return self._name

    @property
    def vocab_size(self) -> int:
        """V."""
        return self._model.config.vocab_size

    @property
    def max_seq_len(self) -> int:
        """The most tokens of prompt and answer together."""
        return self._model.config.max_seq_len

    def start(self, prompts: Sequence[Sequence[int]]) -> TorchDecoding:
        """Read the prompts and stand ready to write.

        Raises:
            PromptError: a prompt is empty, or longer than the context.
        """
        return TorchDecoding(self._model, prompts)

    def log_probs(self, sequences: Sequence[Sequence[int]]) -> list[Float32[np.ndarray, "T"]]:
        """Natural log-probability of each token given those before it; the first gets 0."""
        found: list[Float32[np.ndarray, T]] = []
        for batch in _batches(sequences):
            found += self._log_probs(batch)
        return found

    @torch.inference_mode()
    def _log_probs(self, sequences: list[Sequence[int]]) -> list[Float32[np.ndarray, "T"]]:
        longest = max(map(len, sequences))
        ids = torch.zeros(len(sequences), longest, dtype=torch.long)
        for row, sequence in enumerate(sequences):
            ids[row, : len(sequence)] = torch.tensor(sequence, dtype=torch.long)
        logits: Tensor = self._model(ids[:, :-1])
        scores = -F.cross_entropy(logits.float().transpose(1, 2), ids[:, 1:], reduction="none")
        scores = F.pad(scores, (1, 0))
        return [scores[row, : len(sequence)].numpy().copy() for row, sequence in enumerate(sequences)]


def _batches(sequences: Sequence[Sequence[int]]) -> list[list[Sequence[int]]]:
    batches: list[list[Sequence[int]]] = []
    longest = 0
    for sequence in sequences:
        longest = max(longest, len(sequence))
        if not batches or (len(batches[-1]) + 1) * longest > _SCORE_TOKENS:
            batches.append([])
            longest = len(sequence)
        batches[-1].append(sequence)
    return batches
