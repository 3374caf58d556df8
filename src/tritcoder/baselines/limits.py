"""What a rival behind an API may use: requests and tokens a minute, money, thoughts, time."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from tritcoder.errors import ConfigError
from tritcoder.records import Completion


@dataclass(frozen=True, slots=True)
class Spending:
    """Tokens that were, or will at most be, paid for."""

    n_prompt_tokens: int = 0
    n_tokens: int = 0
    """Tokens written, hidden thoughts included."""

    @classmethod
    def of(cls, completions: Iterable[Completion]) -> "Spending":
        """What answers have cost: those of an interrupted run, before it goes on."""
        counts = [(row.n_prompt_tokens, row.n_tokens) for row in completions]
        return cls(sum(read for read, _ in counts), sum(written for _, written in counts))

    def __add__(self, other: "Spending") -> "Spending":
        return Spending(self.n_prompt_tokens + other.n_prompt_tokens, self.n_tokens + other.n_tokens)

    def __sub__(self, other: "Spending") -> "Spending":
        return Spending(self.n_prompt_tokens - other.n_prompt_tokens, self.n_tokens - other.n_tokens)

    @property
    def total(self) -> int:
        """Tokens read and written together."""
        return self.n_prompt_tokens + self.n_tokens


@dataclass(frozen=True, slots=True)
class ServiceLimits:
    """How a service is asked, and what that may cost; nothing here decides what it answers, but `thinking_tokens`."""

    requests_per_minute: float = 0.0
    """Questions sent in a minute at the most, evenly spread; 0: no limit."""
    tokens_per_minute: float = 0.0
    """Tokens read and written in a minute; 0: no limit. An answer counts in full when it is asked for, and what it
    did not use is given back when it is there."""
    max_cost_usd: float = 0.0
    """The run stops before it could cost more; 0: no limit. It needs both prices."""
    usd_per_million_input: float = 0.0
    """Price of a million tokens read, from the service's price list; none is built in, for prices change."""
    usd_per_million_output: float = 0.0
    """Price of a million tokens written, hidden thoughts included."""
    thinking_tokens: int = 4096
    """Most tokens of hidden thought (Gemini); without a bound they can use up the answer's room and leave no text."""
    at_once: int = 4
    """Questions under way at the same time."""
    attempts: int = 6
    """How often one question is asked while the service is busy, failing or out of reach."""
    first_wait_s: float = 1.0
    """Pause before the second attempt; it doubles from one attempt to the next."""
    timeout_s: float = 600.0
    """Longest wait for one answer, or for the next piece of one that comes in pieces."""

    def __post_init__(self) -> None:
        """Refuse limits outside their range, and a cost limit without prices."""
        for name in ("requests_per_minute", "tokens_per_minute", "max_cost_usd", "first_wait_s", "thinking_tokens"):
            _require(name, getattr(self, name), 0)
        for name in ("usd_per_million_input", "usd_per_million_output"):
            _require(name, getattr(self, name), 0)
        for name in ("at_once", "attempts"):
            _require(name, getattr(self, name), 1)
        if not 0 < self.timeout_s < math.inf:
            raise ConfigError(f"timeout_s must be above 0 and finite, found {self.timeout_s}")
        if self.max_cost_usd and not (self.usd_per_million_input and self.usd_per_million_output):
            raise ConfigError(
                f"max_cost_usd = {self.max_cost_usd} needs usd_per_million_input and usd_per_million_output",
                "copy both from the service's price list, or leave max_cost_usd out",
            )

    def cost_usd(self, spending: Spending) -> float:
        """Tokens read * price of input + tokens written * price of output."""
        read = spending.n_prompt_tokens * self.usd_per_million_input
        return (read + spending.n_tokens * self.usd_per_million_output) / 1e6


def _require(name: str, value: float, least: int) -> None:
    if not least <= value < math.inf:
        raise ConfigError(f"{name} must be {least} or more and finite, found {value}")


DEFAULT_LIMITS = ServiceLimits()
NOTHING = Spending()
