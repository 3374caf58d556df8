"""What is measured of a Generator, with generators whose speed is known because they sleep."""

import subprocess
import sys
import time
from collections.abc import Iterable, Iterator

import pytest

from tritcoder.errors import AccessError
from tritcoder.evaluate.efficiency import LONG, Plan, measure, peak_memory_bytes, read_bandwidth, spread
from tritcoder.protocols import OnText
from tritcoder.records import Completion, Prompt, Sampling

PROMPT_S, TOKEN_S = 0.02, 0.005


class Sleeper:
    """Reads a prompt, one token a word, in 20 ms, and writes each token of a batch together, in 5 ms."""

    name = "sleeper"

    def __init__(self, tokens: int = 100, *, counts: bool = True, refuses: bool = False) -> None:
        self.tokens, self.counts, self.refuses = tokens, counts, refuses
        self.asked: list[tuple[int, int]] = []
        self.texts: list[str] = []

    def generate(
        self, prompts: Iterable[Prompt], sampling: Sampling, on_text: OnText | None = None
    ) -> Iterator[Completion]:
        batch = list(prompts)
        n_tokens = min(self.tokens, sampling.max_tokens)
        self.texts += [prompt.text for prompt in batch]
        self.asked.append((len(batch), sampling.max_tokens))
        assert sampling.temperature == 0
        time.sleep(PROMPT_S)
        for number in range(n_tokens):
            time.sleep(TOKEN_S * (number > 0))
            for prompt in batch:
                if on_text:
                    on_text(prompt, "x")
        for prompt in batch:
            counted = (len(prompt.text.split()), n_tokens) if self.counts else (0, 0)
            reason = "error" if self.refuses else "length"
            yield Completion(prompt.task_id, prompt.sample, "x" * n_tokens, reason, *counted, error="no")  # type: ignore[arg-type]


def test_a_known_speed_is_found() -> None:
    found = measure(Sleeper(), Plan(batches=(1, 4), max_tokens=11, repeats=3))
    for batch in (1, 4):  # sleeping takes its time at the least, and a busy machine adds to it
        rate = found["decode"][str(batch)]["tokens_per_second"]["median"]
        assert batch / TOKEN_S / 4 < rate < 1.1 * batch / TOKEN_S
        assert found["decode"][str(batch)]["n_tokens"] == 11 * batch
    words = len(LONG.split()) + 1  # each prompt has its own number
    assert found["prompt"]["n_tokens"] == words
    assert words / PROMPT_S / 4 < found["prompt"]["tokens_per_second"]["median"] < words / PROMPT_S
    assert found["latency"]["first_text_s"]["min"] >= PROMPT_S
    assert found["latency"]["between_pieces_s"]["p50"] >= TOKEN_S
    assert found["latency"]["between_pieces_s"]["p50"] <= found["latency"]["between_pieces_s"]["p95"]
    assert found["latency"]["between_pieces_s"]["n"] == 3 * 10


def test_no_prompt_is_the_beginning_of_another_so_that_no_cache_helps() -> None:
    sleeper = Sleeper(tokens=2)
    measure(sleeper, Plan(batches=(1, 4), max_tokens=2, repeats=2))
    beginnings = [text[:5] for text in sleeper.texts]
    assert len(set(beginnings)) == len(beginnings)


def test_smaller_batches_come_first_so_that_peaks_belong_to_them() -> None:
    sleeper = Sleeper(tokens=2)
    found = measure(sleeper, Plan(batches=(4, 1, 2), max_tokens=2, repeats=1))
    sizes = [size for size, _ in sleeper.asked]
    assert sizes == sorted(sizes)
    assert list(found["peak_memory_bytes"]) == ["1", "2", "4"]
    assert sorted(found["peak_memory_bytes"].values()) == list(found["peak_memory_bytes"].values())


def test_a_model_that_counts_no_tokens_has_no_speed_but_a_reason() -> None:
    found = measure(Sleeper(counts=False), Plan(batches=(1,), max_tokens=3, repeats=1))
    assert found["decode"]["1"]["tokens_per_second"] is None
    assert found["prompt"]["tokens_per_second"] is None
    assert found["why_null"]["decode.1.tokens_per_second"] == "the model counts no tokens"
    assert found["why_null"]["prompt.tokens_per_second"] == "the model counts no tokens of prompts"


def test_a_model_that_ends_at_once_has_no_decoding_speed() -> None:
    found = measure(Sleeper(tokens=1), Plan(batches=(1,), max_tokens=8, repeats=1))
    assert found["decode"]["1"]["tokens_per_second"] is None
    assert "ended after its first token" in found["why_null"]["decode.1.tokens_per_second"]
    assert "one piece" in found["why_null"]["latency.between_pieces_s"]


def test_a_model_that_refuses_is_not_measured() -> None:
    with pytest.raises(AccessError, match="gave no answer: no"):
        measure(Sleeper(refuses=True), Plan(repeats=1))


def test_every_null_has_its_reason() -> None:
    found = measure(Sleeper(tokens=0, counts=False), Plan(batches=(1,), max_tokens=2, repeats=1))
    why = found.pop("why_null")
    assert found["latency"]["first_text_s"] is None
    assert {"latency.first_text_s", "latency.between_pieces_s", "prompt.tokens_per_second"} <= set(why)
    assert (found["measured_energy"] is None) == ("measured_energy" in why)


def test_a_program_does_not_inherit_the_peak_of_the_one_that_started_it() -> None:
    """As `ru_maxrss` would have it on Linux: this process holds more than a bare interpreter."""
    held = bytearray(200_000_000)
    held[::4096] = b"x" * len(held[::4096])
    code = "from tritcoder.evaluate.efficiency import peak_memory_bytes as peak\n"
    code += "before = peak()\nheld = b'x' * 90_000_000\nprint(before, peak())"
    before, after = map(int, subprocess.check_output([sys.executable, "-c", code], text=True).split())
    assert peak_memory_bytes() > len(held)
    assert before < len(held) / 2
    assert 80_000_000 < after - before < 120_000_000


def test_memory_is_read_at_a_speed_that_exists() -> None:
    found = read_bandwidth(mib=8, repeats=2, threads=2)
    assert found is not None
    assert 0.1 < found["min"] <= found["median"] <= found["max"] < 10_000


def test_nothing_has_no_spread() -> None:
    assert spread([]) is None
