"""The running batch: sequences join, take turns and leave, one `forward` a step.

Those that write get a token each step; of those whose prompts are being read the first ones get `CHUNK` tokens
together. They wait in the order in which they came, until there is memory for their prompt. Where memory ends, the
sequence that came last goes back to the head of the queue; most of what it had read is still there when it returns.

A sequence's tokens depend on nothing of this: `forward` gives the same bits in any company (docs/engine.md).
"""

from collections import deque
from collections.abc import Sequence
from threading import Lock
from typing import Any

import numpy as np

from tritcoder.engine.block_tree import BlockTree, common_prefix
from tritcoder.engine.core import Core
from tritcoder.engine.reference import BLOCK_POSITIONS, CacheType
from tritcoder.engine.sequence import RunningSequence
from tritcoder.errors import PromptError
from tritcoder.protocols import Constraint
from tritcoder.records import Sampling

CHUNK = 256
"""Tokens of prompts that are read in one step."""

MAX_RUNNING = 64

Run = tuple[RunningSequence, list[int], int]
"""A sequence, the tokens of it to read, and how many logits are wanted (after the last ones)."""


class RunningBatch:
    """Sequences in the course of being written, and the memory of what they have read.

    Args:
        core: what computes.
        n_blocks: memory for keys and values, in blocks of 32 positions.
        kv_dtype: what keys and values are rounded to.
        max_running: at most so many sequences take turns.
        speculate: how many tokens of a sequence's own past are proposed at a time; 0 for none.
        chunk: tokens of prompts that are read in one step.
    """

    def __init__(
        self,
        core: Core,
        n_blocks: int,
        kv_dtype: CacheType = "float16",
        *,
        max_running: int = MAX_RUNNING,
        speculate: int = 0,
        chunk: int = CHUNK,
    ) -> None:
        self._core, self._shape = core, core.shape
        self._pool: Any = core.new_pool(n_blocks, kv_dtype)
        self.tree = BlockTree(n_blocks)
        self.waiting: deque[RunningSequence] = deque()
        self.running: list[RunningSequence] = []
        self._max_running, self._speculate, self._chunk = max_running, speculate, chunk
        self._lock = Lock()
        self._steady = False
        """Whether the arrays of the last step hold for the next one, but for a token and a position each."""
        width = -(-self._shape.max_seq_len // BLOCK_POSITIONS)
        self._tables = np.zeros((max_running, width), dtype=np.int32)
        self._views: tuple[Any, ...] = ()
        self._logits = np.empty((max_running, self._shape.vocab_size), dtype=np.float32)
        self.n_steps = self.n_tokens_read = self.n_tokens_shared = 0
        self.n_proposed = self.n_accepted = 0

    def submit(
        self,
        ids: Sequence[int],
        sampling: Sampling,
        random: np.random.Generator,
        *,
        n_tokens: int,
        end_id: int,
        constraint: Constraint | None = None,
    ) -> RunningSequence:
        """See protocols.RunningModel.

        Raises:
            PromptError: the prompt is empty, holds an id of no token, or can never fit.
        """
        limit = min(len(ids) + sampling.max_tokens, self._shape.max_seq_len)
        if not 1 <= len(ids) < self._shape.max_seq_len:
            raise PromptError(f"a prompt must have 1 to {self._shape.max_seq_len - 1} tokens, found {len(ids)}")
        if not 0 <= min(ids) <= max(ids) < self._shape.vocab_size:
            raise PromptError(f"token ids must be 0 or more and below {self._shape.vocab_size}")
        if limit > self.tree.n_blocks * BLOCK_POSITIONS:
            raise PromptError(
                f"prompt and answer may need {limit} positions, and there is memory for "
                f"{self.tree.n_blocks * BLOCK_POSITIONS}",
                "ask for fewer tokens (max_tokens), or give the cache more memory",
            )
        sequence = RunningSequence(
            ids,
            limit,
            sampling,
            random,
            n_tokens=min(n_tokens, self._shape.vocab_size),
            end_id=end_id,
            constraint=constraint,
            speculate=self._speculate > 0,
        )
        with self._lock:
            self.waiting.append(sequence)
        return sequence

    def cancel(self, sequence: RunningSequence) -> None:
        """Let a sequence leave; nothing happens if it has."""
        with self._lock:
            sequence.ended = True
            if sequence in self.running:
                self.running.remove(sequence)
                self._leave(sequence)
            elif sequence in self.waiting:
                self.waiting.remove(sequence)

    def cancel_all(self) -> None:
        """Let every sequence leave."""
        for sequence in [*self.waiting, *self.running]:
            self.cancel(sequence)

    @property
    def idle(self) -> bool:
        """Whether nobody waits or writes."""
        return not self.running and not self.waiting

    def step(self) -> None:
        """One `forward`: a token for each sequence that writes, a piece of the prompts that are being read."""
        with self._lock:
            if self.waiting:
                self._admit()
            if not self.running:
                return
            self.n_steps += 1
            if self._steady:
                self._repeat()
            else:
                self._compose()

    # ---- the steady state: every sequence writes, one token each ----

    def _repeat(self) -> None:
        pool, tokens, counts, starts, tables, rows, logits = self._views
        running = self.running
        for place, sequence in enumerate(running):
            n_read = sequence.n_read
            if not n_read % BLOCK_POSITIONS:
                self._remember(sequence)
                if n_read == len(sequence.holding.blocks) * BLOCK_POSITIONS and not self._grow(sequence, n_read + 1):
                    self._compose()
                    return
                if not self._steady:
                    self._compose()
                    return
                block = n_read // BLOCK_POSITIONS
                self._tables[place, block] = sequence.holding.blocks[block]
            tokens[place] = sequence.ids[-1]
        self._core.forward(pool, tokens, counts, starts, tables, rows, logits)
        starts += 1
        self.n_tokens_read += len(running)
        ended = False
        for place, sequence in enumerate(running):
            sequence.n_read += 1
            sequence.advance(logits[place])
            ended |= sequence.ended
        if ended:
            self._dismiss()

    # ---- every other step: arrays are made anew ----

    def _compose(self) -> None:
        self._steady = False
        runs = self._runs()
        if not runs:
            return
        tokens = np.array([token for _, piece, _ in runs for token in piece], dtype=np.int32)
        counts = np.array([len(piece) for _, piece, _ in runs], dtype=np.int32)
        starts = np.array([sequence.n_read for sequence, _, _ in runs], dtype=np.int32)
        for place, (sequence, _, _) in enumerate(runs):
            self._tables[place, : len(sequence.holding.blocks)] = sequence.holding.blocks
        ends = np.cumsum(counts).tolist()
        wanted = [row for end, (_, _, n) in zip(ends, runs, strict=True) for row in range(end - n, end)]
        rows = np.array(wanted, dtype=np.int32)
        if len(rows) > len(self._logits):
            self._logits = np.empty((len(rows), self._shape.vocab_size), dtype=np.float32)
        logits = self._logits[: len(rows)]
        views = (self._pool, tokens, counts, starts, self._tables[: len(runs)], rows, logits)
        self._core.forward(*views)
        self.n_tokens_read += len(tokens)
        row = 0
        for sequence, piece, n in runs:
            self._take_logits(sequence, piece, logits[row : row + n])
            row += n
        plain = all(len(piece) == n == 1 for _, piece, n in runs) and len(runs) == len(self.running)
        if plain and not self._speculate and not any(sequence.ended for sequence in self.running):
            starts += 1
            self._steady, self._views = True, views
        self._dismiss()

    def _runs(self) -> list[Run]:
        """Who reads what in this step; memory for it is there."""
        room = self._chunk
        runs: list[Run] = []
        for sequence in list(self.running):
            if not (left := len(sequence.ids) - sequence.n_read) or sequence not in self.running:
                continue
            if left > 1:
                n = min(left, room)
                room -= n
                piece = sequence.ids[sequence.n_read : sequence.n_read + n]
                wanted = int(n == left)
            else:
                proposed = self._proposals(sequence)
                piece, wanted = [sequence.ids[-1], *proposed], 1 + len(proposed)
            if piece and self._grow(sequence, sequence.n_read + len(piece)):
                runs.append((sequence, piece, wanted))
        return [run for run in runs if run[0] in self.running]

    def _proposals(self, sequence: RunningSequence) -> list[int]:
        if sequence.lookup is None:
            return []
        room = min(self._speculate, sequence.limit - len(sequence.ids) - 1)
        return sequence.lookup.propose(sequence.ids, room) if room > 0 else []

    def _take_logits(self, sequence: RunningSequence, piece: list[int], logits: np.ndarray) -> None:
        """Write as many tokens as the proposals allow: each must be what the sampler draws."""
        n, full = len(logits), sequence.n_read // BLOCK_POSITIONS
        sequence.n_read += len(piece) - max(n - 1, 0)
        for place in range(n):
            token = sequence.advance(logits[place])
            if sequence.ended or place == n - 1 or token != piece[place + 1]:
                break
            sequence.n_read += 1
            self.n_accepted += 1
        self.n_proposed += max(n - 1, 0)
        if n < len(piece) or sequence.n_read // BLOCK_POSITIONS > full:
            self._remember(sequence)

    # ---- joining, leaving, memory ----

    def _admit(self) -> None:
        """Let the first ones in, as long as there is memory for what they have to read."""
        for sequence in list(self.waiting):
            if len(self.running) >= self._max_running:
                return
            if self._soon_known(sequence):
                continue  # another one is reading the same prompt just now
            if not self._join(sequence):
                return
            self.waiting.remove(sequence)
            self.running.append(sequence)
            self._steady = False

    def _soon_known(self, sequence: RunningSequence) -> bool:
        """Whether one that is still reading begins like this one, beyond what is known already."""
        reading = [one for one in self.running if len(one.ids) - one.n_read > 1]
        if not reading:
            return False
        found, _, shared = self.tree.match(sequence.ids)
        known = len(found) * BLOCK_POSITIONS + shared
        return any(
            min(common_prefix(one.ids, sequence.ids), len(sequence.ids) - 1) >= known + BLOCK_POSITIONS // 2
            for one in reading
        )

    def _join(self, sequence: RunningSequence) -> bool:
        """Share what is known of its tokens and get memory for the rest of them; False if there is not enough."""
        tree, holding = self.tree, sequence.holding
        found, source, shared = tree.match(sequence.ids)
        for node in found:
            tree.use(node)
        missing = -(-len(sequence.ids) // BLOCK_POSITIONS) - len(found)
        if source is not None:
            tree.use(source)
            if tree.available < missing:
                tree.let_go(source)
                source = None
        if tree.available < missing:
            for node in reversed(found):
                tree.let_go(node)
            return False
        holding.nodes, holding.blocks = found, [node.block for node in found]
        for _ in range(missing):
            block = tree.allocate()
            assert block is not None
            holding.blocks.append(block)
        sequence.n_read = len(found) * BLOCK_POSITIONS
        if source is not None:
            self._pool.copy(source.block, holding.blocks[len(found)])
            tree.let_go(source)
            sequence.n_read += shared
        self.n_tokens_shared += sequence.n_read
        return True

    def _grow(self, sequence: RunningSequence, n_positions: int) -> bool:
        """Memory for so many positions; others that came later give way, then the sequence itself."""
        blocks = sequence.holding.blocks
        while len(blocks) * BLOCK_POSITIONS < n_positions:
            block = self.tree.allocate()
            if block is not None:
                blocks.append(block)
                continue
            last = self.running[-1]
            self._steady = False
            self.running.pop()
            self._leave(last)
            self.waiting.appendleft(last)
            if last is sequence:
                return False
        return True

    def _remember(self, sequence: RunningSequence) -> None:
        if self.tree.remember(sequence.holding, sequence.ids, sequence.n_read):
            self._steady = False

    def _leave(self, sequence: RunningSequence) -> None:
        self._steady = False
        if sequence.n_read:
            self.tree.remember(sequence.holding, sequence.ids, sequence.n_read)
        self.tree.release(sequence.holding)
        sequence.n_read = 0

    def _dismiss(self) -> None:
        for sequence in [one for one in self.running if one.ended]:
            self.running.remove(sequence)
            self._leave(sequence)

    def check(self) -> None:
        """Assert that no block is lost or has two owners: for tests."""
        self.tree.check([sequence.holding for sequence in (*self.running, *self.waiting)])
