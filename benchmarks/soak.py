"""Does the running batch leak or drift, with requests that join, leave and are cancelled for as long as one likes?

Every request is one of a fixed set, whose tokens were written alone beforehand, by an engine of one thread. Whatever
joins, shares, is cancelled or sent back to the queue meanwhile, the tokens must be those, to the last. Memory is read
throughout: the first third of the time fills caches, after that it must not grow. Exit status 1 if either fails.

    python benchmarks/soak.py --minutes 60
"""

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from measuring import write_result
from random_files import ensure
from tritcoder.engine.core import open_core
from tritcoder.engine.language_model import EngineModel
from tritcoder.engine.sequence import RunningSequence
from tritcoder.records import Sampling
from tritcoder.ternary.format import read_gguf

QUESTION = "Does the running batch leak or drift while requests join, leave and are cancelled?"
REQUESTS, AT_ONCE, CACHE_BYTES = 200, 24, 24 * 2**20
ALLOWED_GROWTH_BYTES = 4 * 2**20


@dataclass(frozen=True)
class Request:
    """One of those that are asked for again and again."""

    ids: list[int]
    sampling: Sampling
    seed: int


def random_request(random: np.random.Generator, number: int, stems: list[list[int]], vocab_size: int) -> Request:
    """A prompt of a shared stem (so that prefixes meet) and an ending of its own; greedy, or sampled."""
    ending = random.integers(1, vocab_size, random.integers(1, 60)).tolist()
    stem = stems[int(random.integers(len(stems)))]
    temperature = float(random.choice([0.0, 0.7, 1.0]))
    settings = Sampling(int(random.integers(1, 80)), temperature, 0.9, int(random.choice([0, 40])))
    return Request(stem[: int(random.integers(1, len(stem)))] + ending, settings, number)


def submit(model: EngineModel, request: Request) -> RunningSequence:
    """Let it join."""
    random = np.random.default_rng(request.seed)
    return model.submit(request.ids, request.sampling, random, n_tokens=model.vocab_size, end_id=0)


def written_alone(model: EngineModel, request: Request) -> list[int]:
    """Its tokens, with nothing beside it."""
    writing = submit(model, request)
    while not writing.ended:
        model.step()
    return writing.take()[0]


def resident_bytes() -> int:
    """Memory of this process now."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS in /proc/self/status")


def main() -> None:
    """Ask until the time is up."""
    parser = argparse.ArgumentParser(description=QUESTION)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--threads", type=int, default=None)
    asked = parser.parse_args()
    weights = read_gguf(ensure("25M", "tq2_0"))
    random, vocab_size = np.random.default_rng(0), weights.shape.vocab_size
    stems = [random.integers(1, vocab_size, 200).tolist() for _ in range(6)]
    requests = [random_request(random, number, stems, vocab_size) for number in range(REQUESTS)]
    alone = EngineModel(open_core(weights, 1), "alone")
    wanted = [written_alone(alone, request) for request in requests]
    del alone
    # Memory for keys and values of a few long sequences alone: some must go back to the queue.
    model = EngineModel(open_core(weights, asked.threads), "soak", cache_bytes=CACHE_BYTES, speculate=4)
    running: dict[int, tuple[int, RunningSequence]] = {}
    finished = cancelled = wrong = serial = 0
    memory: list[tuple[float, int]] = []
    began = time.monotonic()
    while (now := time.monotonic() - began) < asked.minutes * 60:
        while len(running) < AT_ONCE:
            which = int(random.integers(REQUESTS))
            running[serial] = which, submit(model, requests[which])
            serial += 1
        model.step()
        for key, (which, writing) in list(running.items()):
            if writing.ended:
                finished += 1
                wrong += writing.take()[0] != wanted[which]
                del running[key]
            elif random.random() < 0.002:
                model.cancel(writing)
                cancelled += 1
                del running[key]
        if not memory or now - memory[-1][0] > 1:
            memory.append((now, resident_bytes()))
            model.batch.check()
    settled = [size for at, size in memory if at > asked.minutes * 20]
    growth = settled[-1] - settled[0]
    result = {
        "minutes": asked.minutes,
        "finished": finished,
        "cancelled": cancelled,
        "not as written alone": wrong,
        "tokens read": model.batch.n_tokens_read,
        "tokens shared": model.batch.n_tokens_shared,
        "memory_bytes": {"after a third": settled[0], "most": max(settled), "end": settled[-1]},
    }
    write_result("soak", QUESTION, result)
    sys.exit(int(bool(wrong) or growth > ALLOWED_GROWTH_BYTES))


if __name__ == "__main__":
    main()
