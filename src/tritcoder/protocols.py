"""What it takes to be a model here: two protocols, so that rooms meet without importing each other.

Axes: B sequences of a batch, T tokens, V vocabulary.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Int64

from tritcoder.records import Completion, Likelihood, Prompt, Sampling, TokenScore

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


class Constraint(Protocol):
    """What tokens may come next in one answer: a grammar, a schema."""

    def allowed(self) -> Bool[np.ndarray, "V"]:
        """Which tokens may come now; at least one."""
        ...

    def accept(self, token: int) -> None:
        """Take note of a token that was written."""
        ...


class Writing(Protocol):
    """One sequence of a running batch."""

    def take(self) -> tuple[list[int], list[TokenScore]]:
        """Tokens written since the last call, and their scores if they were asked for."""
        ...

    @property
    def ended(self) -> bool:
        """Whether no more will be written: its end, its last token, a cancellation."""
        ...


@runtime_checkable
class RunningModel(Protocol):
    """A LanguageModel that keeps a running batch, which sequences join and leave at any time.

    A sequence's tokens are those of `generate.next_token`, whatever runs beside it. Calls may come from any thread.
    """

    def submit(
        self,
        ids: Sequence[int],
        sampling: Sampling,
        random: np.random.Generator,
        *,
        n_tokens: int,
        end_id: int,
        constraint: Constraint | None = None,
    ) -> Writing:
        """Let a sequence join: a prompt (not empty), and the first `n_tokens` ids to choose from.

        Raises:
            PromptError: it can never fit into the context or the memory.
        """
        ...

    def step(self) -> None:
        """Bring every sequence forward by a token or a piece of its prompt."""
        ...

    def cancel(self, writing: Writing) -> None:
        """Let a sequence leave; nothing happens if it has."""
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
