"""How fast a Generator writes and what it needs: latency, throughput, memory; measured from the outside.

Nothing is asked of a model but that it answers: throughputs are differences between two runs, so that they mean the
same whatever a model does inside. What cannot be had is None, with the reason beside it.
"""

import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tritcoder.errors import AccessError
from tritcoder.evaluate.energy import EnergyCounter
from tritcoder.protocols import Generator
from tritcoder.records import Prompt, Sampling

WORDS = "Read a list of integers from standard input, sort it, and print the sum of each pair of neighbours. "
SHORT, LONG = WORDS, WORDS * 24
"""A prompt for latency and decoding, and one of some 500 tokens for reading; a model cuts what is too long for it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured."""

    batches: tuple[int, ...] = (1, 8, 32)
    max_tokens: int = 64
    """Written for each prompt, unless the model ends earlier."""
    repeats: int = 3


@dataclass(frozen=True, slots=True)
class Answered:
    """One run over a batch of prompts."""

    seconds: float
    n_tokens: int
    n_prompt_tokens: int
    joules: float | None


def measure(generator: Generator, plan: Plan) -> dict[str, Any]:
    """Latency, reading, decoding and memory, smallest batch first; the reasons for what is None in `why_null`."""
    why: dict[str, str] = {}
    asked = _Asked(generator, Sampling(max_tokens=plan.max_tokens, temperature=0.0), plan.repeats, why)
    asked.run(SHORT, 1, 2)  # warm up
    found: dict[str, Any] = {"latency": _latency(asked), "prompt": _reading(asked)}
    found["decode"], found["peak_memory_bytes"] = {}, {}
    for batch in sorted(plan.batches):
        found["decode"][str(batch)] = _decoding(asked, batch)
        found["peak_memory_bytes"][str(batch)] = peak_memory_bytes()
    found["measured_energy"] = _energy(found["decode"], why)
    return found | {"why_null": why}


@dataclass(slots=True)
class _Asked:
    """A generator that is never asked the same twice, so that nothing it remembers of a prompt makes it faster."""

    generator: Generator
    sampling: Sampling
    repeats: int
    why: dict[str, str]
    number: int = 0

    def prompts(self, text: str, n: int) -> list[Prompt]:
        """Prompts that differ from their first character on."""
        first = self.number
        self.number += n
        return [Prompt(f"{first + place:05} {text}", task_id=f"{first + place}") for place in range(n)]

    def run(self, text: str, n: int, max_tokens: int) -> Answered:
        """Let it answer so many prompts at once.

        Raises:
            AccessError: it refused.
        """
        prompts, counter = self.prompts(text, n), EnergyCounter()
        began = time.perf_counter()
        completions = list(self.generator.generate(prompts, replace(self.sampling, max_tokens=max_tokens)))
        seconds, joules = time.perf_counter() - began, counter.joules()
        for completion in completions:
            if completion.finish_reason == "error":
                raise AccessError(f"{completion.model} gave no answer: {completion.error}")
        n_tokens, n_prompt = sum(c.n_tokens for c in completions), sum(c.n_prompt_tokens for c in completions)
        return Answered(seconds, n_tokens, n_prompt, joules)


def _latency(asked: _Asked) -> dict[str, Any]:
    """Batch 1, from the question to the first piece of text, and from piece to piece as they are shown."""
    first, between, n_pieces, n_tokens = [], [], 0, 0
    for _ in range(asked.repeats):
        moments: list[float] = []

        def seen(_prompt: Prompt, _text: str, moments: list[float] = moments) -> None:
            moments.append(time.perf_counter())

        prompts = asked.prompts(SHORT, 1)
        began = time.perf_counter()
        n_tokens += sum(answer.n_tokens for answer in asked.generator.generate(prompts, asked.sampling, seen))
        if moments:
            first.append(moments[0] - began)
            between += np.diff(moments).tolist()
            n_pieces += len(moments)
    if not first:
        asked.why["latency.first_text_s"] = "the model wrote no text"
    if not between:
        asked.why["latency.between_pieces_s"] = "the text came in one piece, or there was none"
    return {
        "first_text_s": spread(first),
        "between_pieces_s": _percentiles(between),
        "n_pieces": n_pieces,
        "n_tokens": n_tokens,
    }


def _reading(asked: _Asked) -> dict[str, Any]:
    """A long prompt up to the first token."""
    runs = [asked.run(LONG, 1, 1) for _ in range(asked.repeats)]
    if not runs[0].n_prompt_tokens:
        asked.why["prompt.n_tokens"] = asked.why["prompt.tokens_per_second"] = "the model counts no tokens of prompts"
    rates = [run.n_prompt_tokens / run.seconds for run in runs if run.n_prompt_tokens]
    return {"n_tokens": runs[0].n_prompt_tokens or None, "tokens_per_second": spread(rates)}


def _decoding(asked: _Asked, batch: int) -> dict[str, Any]:
    """Tokens after each answer's first one, over the time beyond that of the first ones alone."""
    place = f"decode.{batch}.tokens_per_second"
    rates, joules, written = [], [], 0
    for _ in range(asked.repeats):
        one = asked.run(SHORT, batch, 1)
        whole = asked.run(SHORT, batch, asked.sampling.max_tokens)
        written = whole.n_tokens
        more, seconds = written - one.n_tokens, whole.seconds - one.seconds
        if more > 0 and seconds > 0:
            rates.append(more / seconds)
            if whole.joules is not None and one.joules is not None:
                joules.append((whole.joules - one.joules) / more)
    if not written:
        asked.why[place] = "the model counts no tokens"
    elif not rates:
        asked.why[place] = "the model ended after its first token, or faster than can be told apart"
    return {"tokens_per_second": spread(rates), "n_tokens": written, "joules_per_token": spread(joules)}


def _energy(decode: dict[str, Any], why: dict[str, str]) -> dict[str, Any] | None:
    """Joules a token by batch, taken out of the decoding's rows; of the whole processor, whoever used it."""
    found = {batch: row.pop("joules_per_token") for batch, row in decode.items()}
    if any(found.values()):
        return {"counter": "RAPL, whole processor packages", "joules_per_token": found}
    why["measured_energy"] = EnergyCounter().why_not or "no tokens were told apart"
    return None


def spread(values: Sequence[float]) -> dict[str, float] | None:
    """Median, least and most; None of nothing."""
    if not values:
        return None
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "n": len(values)}


def _percentiles(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    p50, p95 = np.percentile(values, [50, 95])
    return {"p50": float(p50), "p95": float(p95), "n": len(values)}


# ---- the machine ----


def peak_memory_bytes() -> int:
    """The most memory that this process ever held, the pages of mapped files that it touched among it.

    Linux: `VmHWM`, which begins anew with each program; `ru_maxrss` there remembers the parent that was forked.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def read_bandwidth(mib: int = 512, repeats: int = 5, threads: int = 0) -> dict[str, float] | None:
    """GB/s (10^9 bytes) at which memory is read, with one thread a core: what no decoder can go beyond.

    numpy's XOR over a buffer that no cache holds; on the project's machine it is as fast as the probe in C
    (`benchmarks/bandwidth.c`).
    """
    threads = threads or (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    parts = np.array_split(np.arange(mib << 17, dtype=np.int64), threads)
    n_bytes, rates = sum(part.nbytes for part in parts), []
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(repeats + 1):
            began = time.perf_counter()
            list(pool.map(np.bitwise_xor.reduce, parts))
            rates.append(n_bytes / (time.perf_counter() - began) / 1e9)
    return spread(rates[1:])


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What a call returns, and its seconds."""
    began = time.perf_counter()
    found = work()
    return found, time.perf_counter() - began


def bytes_of(paths: Iterable[Path]) -> int:
    """The files' sizes, together."""
    return sum(path.stat().st_size for path in paths)
