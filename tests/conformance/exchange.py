"""What the tests of exchange with other programs share."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from tritcoder.ternary.weights import ModelWeights
from tritcoder.tokenizer.bpe import Tokenizer


class Exchanged(NamedTuple):
    """A model, its directory with latent weights, and a text as ids with the logits that our network gives."""

    directory: Path
    tokenizer: Tokenizer
    weights: ModelWeights
    ids: list[int]
    logits: np.ndarray


def divergence(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Mean Kullback-Leibler divergence of predictions, in nats."""
    p, q = (_log_softmax(logits.astype(np.float64)) for logits in (ours, theirs))
    return float((np.exp(p) * (p - q)).sum(axis=-1).mean())


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    result: np.ndarray = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result
