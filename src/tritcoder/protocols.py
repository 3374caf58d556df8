"""What it takes to be a model here: two protocols, so that rooms meet without importing each other.

Axes: B sequences of a batch, T tokens, V vocabulary.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Int64

from tritcoder.records import Completion, Likelihood, Prompt, Sampling

OnText = Callable[[Prompt, str], None]
"""Called with each piece of text as it is written."""


class Decoding(Protocol):
    """A batch of sequences in the course of being written."""

    @property
    def logits(self) -> Float32[np.ndarray, "B V"]:
        """Scores of the next token of each sequence still in the batch."""
        ...

    def append(self, ids: Int64[np.ndarray, "B"]) -> None:
        """Add one token to each sequence and bring `logits` up to date."""
        ...

    def keep(self, rows: Sequence[int]) -> None:
        """Let only these rows of the batch go on, in this order."""
        ...


class LanguageModel(Protocol):
    """Token ids in, logits out."""

    @property
    def name(self) -> str:
        """What reports call it."""
        ...

    @property
    def vocab_size(self) -> int:
        """V."""
        ...

    @property
    def max_seq_len(self) -> int:
        """The most tokens of prompt and answer together."""
        ...

    def start(self, prompts: Sequence[Sequence[int]]) -> Decoding:
        """Read the prompts (B lists of token ids, none empty, any lengths) and stand ready to write."""
        ...

    def log_probs(self, sequences: Sequence[Sequence[int]]) -> list[Float32[np.ndarray, "T"]]:
        """Natural log-probability of each token of each sequence given those before it; the first gets 0."""
        ...


class Generator(Protocol):
    """Prompt in, text out: our model, a rival, a server, or a rule without a model."""

    @property
    def name(self) -> str:
        """What reports call it."""
        ...

    def generate(
        self, prompts: Iterable[Prompt], sampling: Sampling, on_text: OnText | None = None
    ) -> Iterator[Completion]:
        """Answer every prompt, in any order; closing the iterator cancels what is left."""
        ...


@runtime_checkable
class LikelihoodModel(Protocol):
    """What can say how probable a text is."""

    def likelihoods(self, pairs: Iterable[tuple[Prompt, str]]) -> Iterator[Likelihood]:
        """The likelihood of each answer, given its prompt; in order. Long answers are cut to the context."""
        ...
