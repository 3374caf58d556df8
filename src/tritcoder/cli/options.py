"""Options that verbs share: how programs are run, and which problems count."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cyclopts import Parameter

from tritcoder.records import Sampling

if TYPE_CHECKING:
    from tritcoder.baselines.limits import ServiceLimits
    from tritcoder.evaluate.calibration import Exclusions
    from tritcoder.sandbox.jail import Jail
    from tritcoder.sandbox.limits import Limits

MIB = 2**20


@Parameter(name="*")
@dataclass(frozen=True)
class JailOptions:
    """How programs are run."""

    timeout: float = 4.0
    """Processor seconds that a program may take for one test."""
    wall: float = 0.0
    """Seconds on the clock after which a program that sleeps is stopped; 0 for two and a half times the timeout."""
    memory: int = 512
    """MiB that a program may have, beyond the interpreter's."""
    output_limit: int = 4
    """MiB that a program may print."""
    workers: int = 0
    """Jails at once; 0 for one a core."""
    sandbox: str = "auto"
    """Isolation level: full, no-namespaces, seccomp-only, none; auto takes the best that works, and never none."""
    unsafe: bool = False
    """Where no level works, run programs with nothing but limits around them. They may do all that you may."""

    def limits(self) -> "Limits":
        """What one program may use on one test.

        Raises:
            ConfigError: nothing could run within them.
        """
        from tritcoder.sandbox.limits import Limits

        return Limits(self.timeout, self.wall or 2.5 * self.timeout, self.memory * MIB, self.output_limit * MIB)

    def n_workers(self) -> int:
        """Jails at once."""
        return self.workers or len(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ()) or 1

    def opener(self) -> "Callable[[], Jail]":
        """What opens a jail of the level asked for; tried once here, so that nothing is begun in vain.

        Raises:
            AskedWronglyError: there is no such level, or `none` was asked for and not allowed.
            SandboxError: it cannot be reached on this machine; says why, and how to get it.
        """
        from tritcoder.errors import AskedWronglyError, SandboxError
        from tritcoder.sandbox.jail import best_level, open_jail

        level = self.sandbox
        if level == "none" and not self.unsafe:
            raise AskedWronglyError(
                "--sandbox none lets programs do all that you may", "add --unsafe if these are programs you trust"
            )
        if level == "auto":
            try:
                level = best_level()
            except SandboxError as error:
                if not self.unsafe:
                    raise SandboxError(error.message, f"{error.hint}; or --unsafe, for programs you trust") from None
                level = "none"
        else:
            open_jail(level).close()
        return lambda: open_jail(level)


@Parameter(name="*")
@dataclass(frozen=True)
class AnswerOptions:
    """How a model answers."""

    samples: int = 1
    """Answers for each problem."""
    temperature: float = 0.6
    """0 takes the likeliest token always."""
    top_p: float = 0.95
    """Sample among the fewest tokens whose probabilities reach this sum."""
    top_k: int = 0
    """Sample among this many likeliest tokens; 0 for all."""
    seed: int = 0
    """Decides samples, and the problems that a limit takes."""
    max_tokens: int = 256
    """Length of an answer at the most."""
    batch_size: int = 32
    """Answers written at once."""
    prompt: Literal["auto", "published", "problem"] = "auto"
    """How problems are put; published: in the benchmark's own form; problem: as any other problem; auto: published,
    but for naive rivals."""

    def sampling(self) -> Sampling:
        """How the next token is chosen."""
        return Sampling(self.max_tokens, self.temperature, self.top_p, self.top_k, self.seed)

    def published(self, model: str) -> bool:
        """Whether this model is asked in the benchmark's own form."""
        return self.prompt == "published" or (self.prompt == "auto" and not model.startswith("naive:"))


@Parameter(name="*")
@dataclass(frozen=True)
class ServiceOptions:
    """What rivals behind an API (gemini:, openai:) may use."""

    requests_per_minute: float = 0.0
    """Questions sent in a minute at the most; 0 for no limit."""
    tokens_per_minute: float = 0.0
    """Tokens read and written in a minute at the most; 0 for no limit."""
    max_cost: float = 0.0
    """Stop before the answers could cost more US dollars; 0 for no limit. It needs both prices."""
    price_input: float = 0.0
    """US dollars for a million tokens read, from the service's price list."""
    price_output: float = 0.0
    """US dollars for a million tokens written, hidden thoughts included."""
    thinking_tokens: int = 4096
    """Most tokens of hidden thought for one answer, where the service lets us say so (gemini:)."""

    def limits(self) -> "ServiceLimits":
        """The same for the room that asks.

        Raises:
            ConfigError: out of range, or a cost limit without prices.
        """
        from tritcoder.baselines.limits import ServiceLimits

        return ServiceLimits(
            requests_per_minute=self.requests_per_minute,
            tokens_per_minute=self.tokens_per_minute,
            max_cost_usd=self.max_cost,
            usd_per_million_input=self.price_input,
            usd_per_million_output=self.price_output,
            thinking_tokens=self.thinking_tokens,
        )


def exclusion_list(path: Path | None, benchmark: str) -> "Exclusions | None":
    """The list of problems to leave out, if one was named.

    Raises:
        DatasetError: it cannot be read, or is that of another benchmark.
    """
    from tritcoder.errors import DatasetError
    from tritcoder.evaluate.calibration import read_exclusions

    if path is None:
        return None
    found = read_exclusions(path)
    if found.benchmark and found.benchmark != benchmark:
        raise DatasetError(
            f"{path} is the exclusion list of {found.benchmark}, and {benchmark} is to be scored",
            f"tritcoder evaluate {benchmark} --gold writes the list of {benchmark}",
        )
    return found
