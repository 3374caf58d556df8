"""The running batch: a request's tokens are its own, whatever the company; no block is lost."""

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_models import SMALL, random_weights

from tritcoder.engine.block_tree import BlockTree, Holding
from tritcoder.engine.core import open_core
from tritcoder.engine.reference import BLOCK_POSITIONS, ReferenceCore
from tritcoder.engine.running_batch import RunningBatch
from tritcoder.engine.sequence import RunningSequence
from tritcoder.engine.speculation import Lookup
from tritcoder.errors import PromptError
from tritcoder.generate import next_token, token_score
from tritcoder.records import Sampling, TokenScore
from tritcoder.ternary.shape import ModelConfig

END = 0
N_TOKENS = 40
SHAPE = ModelConfig(vocab_size=48, n_layers=1, max_seq_len=200)


class FakePool:
    """What each position of each block was filled with: (token, position, digest of all before)."""

    def __init__(self, n_blocks: int) -> None:
        self.n_blocks = n_blocks
        self.digests = np.full((n_blocks, BLOCK_POSITIONS), -1, dtype=np.int64)

    def copy(self, source: int, target: int) -> None:
        self.digests[target] = self.digests[source]


class FakeCore:
    """Logits are a function of the digest of all tokens so far, which is read back from the pool's blocks."""

    kernel, threads = "fake", 1

    def __init__(self, shape: ModelConfig = SHAPE) -> None:
        self.shape = shape
        self.n_read = 0
        self._rules = np.random.default_rng(0).normal(size=(997, shape.vocab_size)).astype(np.float32)

    def new_pool(self, n_blocks: int, kv_dtype: str = "float16") -> FakePool:
        return FakePool(n_blocks)

    def forward(
        self,
        pool: FakePool,
        tokens: np.ndarray,
        counts: np.ndarray,
        starts: np.ndarray,
        tables: np.ndarray,
        rows: np.ndarray,
        logits: np.ndarray,
    ) -> None:
        assert all(array.dtype == np.int32 and array.flags.c_contiguous for array in (tokens, counts, starts, tables))
        assert logits.shape == (len(rows), self.shape.vocab_size)
        assert counts.sum() == len(tokens)
        self.n_read += len(tokens)
        found: list[int] = []
        written: set[tuple[int, int]] = set()
        for run, (count, start) in enumerate(zip(counts.tolist(), starts.tolist(), strict=True)):
            digest = 1
            if start:
                digest = int(pool.digests[tables[run, (start - 1) // 32], (start - 1) % 32])
                assert digest >= 0, "a position was read before it was written"
            for position in range(start, start + count):
                digest = (digest * 31 + int(tokens[len(found)]) + 7) % 1_000_003
                place = int(tables[run, position // 32]), position % 32
                assert place not in written, "two runs wrote the same place"
                written.add(place)
                pool.digests[place] = digest
                found.append(digest)
        for row, place in enumerate(rows.tolist()):
            logits[row] = self._rules[found[place] % 997]


def alone(ids: list[int], sampling: Sampling, seed: int, shape: ModelConfig = SHAPE) -> tuple[list[int], list[Any]]:
    """The tokens by the plain sampler, one at a time."""
    core, random = FakeCore(shape), np.random.default_rng(seed)
    pool, logits = core.new_pool(7), np.empty((1, shape.vocab_size), np.float32)
    table = np.arange(7, dtype=np.int32)[None]
    written: list[int] = []
    scores: list[TokenScore] = []
    piece, start = ids, 0
    while True:
        count, first, row = (np.array([value], np.int32) for value in (len(piece), start, len(piece) - 1))
        core.forward(pool, np.array(piece, np.int32), count, first, table, row, logits)
        start += len(piece)
        own = logits[0, :N_TOKENS]
        token = next_token(own, sampling, random, ids + written)
        written.append(token)
        if sampling.logprobs:
            scores.append(token_score(own, token, sampling.logprobs))
        if token == END or len(written) == sampling.max_tokens or start + 1 >= shape.max_seq_len:
            return written, scores
        piece = [token]


SAMPLINGS = [
    Sampling(temperature=0, max_tokens=40),
    Sampling(temperature=0.8, max_tokens=70, logprobs=3),
    Sampling(temperature=1.2, top_k=5, max_tokens=30),
    Sampling(temperature=1, min_p=0.2, repetition_penalty=1.3, logit_bias=((5, 2.0), (0, -3.0)), max_tokens=90),
    Sampling(temperature=0, repetition_penalty=1.5, max_tokens=90, logprobs=1),
]

prompts = st.tuples(st.sampled_from([0, 10, 31, 32, 40, 64, 90]), st.lists(st.integers(1, 3), min_size=1, max_size=9))


def ids_of(prompt: tuple[int, list[int]]) -> list[int]:
    """A beginning that many share, and an end of its own."""
    return [1 + place * place % 37 for place in range(prompt[0])] + prompt[1]


@settings(max_examples=60)
@given(
    requests=st.lists(st.tuples(prompts, st.integers(0, len(SAMPLINGS) - 1), st.integers(0, 3)), max_size=10),
    steps=st.lists(st.tuples(st.sampled_from(["step", "join", "cancel"]), st.integers(0, 9)), max_size=60),
    n_blocks=st.integers(6, 30),
    max_running=st.integers(1, 5),
    speculate=st.sampled_from([0, 1, 4]),
    chunk=st.sampled_from([1, 13, 64, 256]),
)
def test_tokens_depend_on_the_request_alone_and_no_block_is_lost(
    requests: list[Any], steps: list[tuple[str, int]], n_blocks: int, max_running: int, speculate: int, chunk: int
) -> None:
    batch = RunningBatch(FakeCore(), n_blocks, max_running=max_running, speculate=speculate, chunk=chunk)
    waiting, joined = list(requests), []
    cancelled: set[int] = set()

    def join() -> None:
        prompt, which, seed = waiting.pop()
        sampling = SAMPLINGS[which]
        random = np.random.default_rng(seed)
        written = batch.submit(ids_of(prompt), sampling, random, n_tokens=N_TOKENS, end_id=END)
        joined.append((written, ids_of(prompt), sampling, seed))

    for what, number in steps:
        if what == "join" and waiting:
            join()
        elif what == "cancel" and number < len(joined):
            if not joined[number][0].ended:
                cancelled.add(number)
            batch.cancel(joined[number][0])
        else:
            batch.step()
        batch.check()
        assert len(batch.running) <= max_running
    while waiting:
        join()
    for _ in range(5000):
        if batch.idle:
            break
        batch.step()
    batch.check()
    assert batch.idle
    assert batch.tree.available == n_blocks
    for number, (written, ids, sampling, seed) in enumerate(joined):
        tokens, scores = written.take()
        wanted, wanted_scores = alone(ids, sampling, seed)
        if number in cancelled:
            wanted, wanted_scores = wanted[: len(tokens)], wanted_scores[: len(tokens)]
        assert tokens == wanted
        assert scores == wanted_scores


def write(batch: RunningBatch, *requests: tuple[list[int], Sampling]) -> list[list[int]]:
    found = [
        batch.submit(ids, sampling, np.random.default_rng(1), n_tokens=N_TOKENS, end_id=-1)
        for ids, sampling in requests
    ]
    while not batch.idle:
        batch.step()
    return [one.take()[0] for one in found]


LONG = [1 + place * 7 % 30 for place in range(100)]
FEW = Sampling(temperature=0, max_tokens=3)


def test_many_samples_of_one_prompt_read_it_once() -> None:
    core = FakeCore()
    batch = RunningBatch(core, 60)
    write(batch, *[(LONG, Sampling(temperature=1, max_tokens=2))] * 8)
    assert core.n_read == len(LONG) + 7 + 8
    assert batch.n_tokens_shared == 7 * (len(LONG) - 1)


def test_a_chat_and_an_edit_read_only_what_is_new() -> None:
    core = FakeCore()
    batch = RunningBatch(core, 60)
    (answer,) = write(batch, (LONG, FEW))
    core.n_read = 0
    write(batch, ([*LONG, *answer, 5, 6], FEW))
    assert core.n_read == 1 + 2 + 2  # the answer's last token was never read
    core.n_read = 0
    write(batch, ([*LONG[:50], 9, *LONG[51:]], FEW))
    assert core.n_read == 50 + 2


def test_memory_that_is_forgotten_is_read_again() -> None:
    core = FakeCore()
    batch = RunningBatch(core, 4)
    first = write(batch, (LONG, FEW))
    write(batch, (LONG[::-1], FEW))
    core.n_read = 0
    assert write(batch, (LONG, FEW)) == first
    assert core.n_read == len(LONG) + 2


def test_a_long_prompt_does_not_stop_the_others() -> None:
    batch = RunningBatch(FakeCore(), 30, chunk=16)
    random = np.random.default_rng(0)
    short = batch.submit([1, 2], Sampling(max_tokens=50), random, n_tokens=N_TOKENS, end_id=-1)
    batch.step()
    batch.submit(LONG, FEW, random, n_tokens=N_TOKENS, end_id=-1)
    for _ in range(5):
        batch.step()
    assert len(short.take()[0]) == 6


def test_who_came_first_is_served_first() -> None:
    batch = RunningBatch(FakeCore(), 30, max_running=1)
    random = np.random.default_rng(0)
    many = [batch.submit([1, n], FEW, random, n_tokens=N_TOKENS, end_id=-1) for n in range(1, 4)]
    ended: list[RunningSequence] = []
    while not batch.idle:
        batch.step()
        ended += [one for one in many if one.ended and one not in ended]
    assert ended == many


@pytest.mark.parametrize(
    ("ids", "max_tokens", "sentence"),
    [([], 3, "1 to 199 tokens"), ([1] * 200, 3, "1 to 199 tokens"), ([48], 3, "below 48"), ([1] * 60, 30, "memory")],
)
def test_what_can_never_fit_is_refused(ids: list[int], max_tokens: int, sentence: str) -> None:
    batch = RunningBatch(FakeCore(), 2)
    with pytest.raises(PromptError, match=sentence):
        batch.submit(ids, Sampling(max_tokens=max_tokens), np.random.default_rng(0), n_tokens=9, end_id=0)


def test_speculation_reads_fewer_times_and_writes_the_same() -> None:
    class Echo(FakeCore):
        """Says again what it read: the rule depends on the last token alone."""

        def forward(self, pool: FakePool, tokens: np.ndarray, *rest: Any) -> None:
            super().forward(pool, tokens, *rest)
            rows, logits = rest[-2:]
            logits[:] = 0
            logits[np.arange(len(rows)), tokens[rows] % 10 + 1] = 6

    for sampling in (Sampling(temperature=0, max_tokens=60), Sampling(temperature=0.7, max_tokens=60)):
        plain, quick = RunningBatch(Echo(), 30), RunningBatch(Echo(), 30, speculate=4)
        assert write(plain, ([1, 2, 3], sampling)) == write(quick, ([1, 2, 3], sampling))
        assert plain.n_steps == 60
        assert quick.n_accepted > 10
        assert quick.n_steps == 60 - quick.n_accepted


@given(ids=st.lists(st.integers(0, 2), min_size=1, max_size=40), n=st.integers(1, 5))
def test_what_is_proposed_followed_the_last_occurrence(ids: list[int], n: int) -> None:
    lookup = Lookup()
    for length in range(1, len(ids) + 1):
        now = ids[:length]
        places = [end for end in range(3, length) if now[end - 3 : end] == now[-3:]]
        assert lookup.propose(now, n) == (now[places[-1] :][:n] if places else [])


def test_the_real_core_in_any_company() -> None:
    """With numbers instead of digests: batches, chunks, sharing and speculation over the numpy core."""
    core = ReferenceCore(random_weights(SMALL))
    base = np.random.default_rng(2).integers(1, 300, 40).tolist()
    requests = [(base, Sampling(temperature=0, max_tokens=12)), ([*base, 7], Sampling(temperature=1, max_tokens=9))]
    requests += [([*base[:35], 3], Sampling(temperature=0.5, max_tokens=8))]

    def run(batch: RunningBatch, some: list[Any]) -> list[list[int]]:
        found = [batch.submit(i, s, np.random.default_rng(4), n_tokens=301, end_id=0) for i, s in some]
        while not batch.idle:
            batch.step()
        return [one.take()[0] for one in found]

    for kv_dtype in ("float16", "int8"):
        wanted = [run(RunningBatch(core, 5, kv_dtype), [one])[0] for one in requests]
        together = RunningBatch(core, 6, kv_dtype, chunk=20, speculate=3)
        assert run(together, requests) == wanted
        assert run(together, requests[::-1]) == wanted[::-1]


def test_a_tree_forgets_what_was_let_go_first() -> None:
    tree = BlockTree(3)
    for token in (1, 2, 3):
        holding = Holding()
        block = tree.allocate()
        assert block is not None
        holding.blocks.append(block)
        tree.remember(holding, [token] * 32, 32)
        tree.release(holding)
        tree.check([])
    found, _, _ = tree.match([1] * 33)
    tree.use(found[0])
    tree.let_go(found[0])
    tree.allocate()
    assert [bool(tree.match([token] * 33)[0]) for token in (1, 2, 3)] == [True, False, True]


class Instant(FakeCore):
    """Nothing but the call."""

    def forward(self, *arguments: Any) -> None:
        arguments[-1][:, 5] = 1


MOST_OVERHEAD_S = 400e-6
"""Ten times what is aimed at, for busy machines."""


def test_a_step_of_one_sequence_costs_little() -> None:
    batch = RunningBatch(Instant(ModelConfig(vocab_size=16384, max_seq_len=2048)), 64)
    sequence = batch.submit(
        [1], Sampling(temperature=0, max_tokens=2000), np.random.default_rng(0), n_tokens=16384, end_id=0
    )
    batch.step()
    took = []
    for _ in range(1000):
        began = time.perf_counter()
        batch.step()
        sequence.take()
        took.append(time.perf_counter() - began)
    assert np.median(took) < MOST_OVERHEAD_S
    print(f"{np.median(took) * 1e6:.1f} us a step, mean {np.mean(took) * 1e6:.1f}")


def test_open_core_can_be_told_to_use_numpy() -> None:
    assert open_core(random_weights(SMALL), kernel="numpy").kernel == "numpy"
