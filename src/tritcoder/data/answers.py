"""Problems with their solutions as packed rows for fine-tuning: the loss falls on the answers alone.

An epoch shows every problem once, with one of its solutions, drawn by (seed, epoch, problem). Whole examples are
packed into rows of `seq_len + 1` ids; `segments` keeps them from seeing each other. Like everything here a batch is
a function of (seed, step).
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tritcoder.data.batch import IGNORED, Batch
from tritcoder.errors import EmptyCorpusError
from tritcoder.records import Problem
from tritcoder.tokenizer.bpe import Tokenizer
from tritcoder.tokenizer.template import answer_ids, prompt_ids

Ids = np.ndarray[Any, Any]
"""Token ids, int32."""

_Row = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]


@dataclass(frozen=True, slots=True)
class _Example:
    prompt: Ids
    answers: list[Ids]


class PackedAnswers:
    """Fine-tuning batches over a set of problems."""

    def __init__(
        self,
        problems: Sequence[Problem],
        tokenizer: Tokenizer,
        seq_len: int,
        seed: int,
        max_solutions: int = 20,
    ) -> None:
        """Tokenise the problems.

        A prompt is cut to half the row; a solution that does not compile, or does not fit beside its prompt, is left
        out, and so is a problem that no solution is left of.

        Raises:
            EmptyCorpusError: nothing fits.
        """
        self.seq_len, self.seed, self._end = seq_len, seed, tokenizer.end_id
        self._examples = [
            example
            for problem in problems
            if (example := _tokenise(problem, tokenizer, seq_len, max_solutions)) is not None
        ]
        self.n_problems = len(self._examples)
        if not self._examples:
            raise EmptyCorpusError(
                f"none of {len(problems)} problems has a solution that fits in {seq_len} tokens",
                "raise seq_len, or choose a data set with shorter solutions",
            )
        self._packed: dict[int, list[list[int]]] = {}
        self._firsts = [0]

    def batch(self, step: int, size: int, rank: int = 0, ranks: int = 1) -> Batch:
        """The `size` rows that this rank trains on at this step."""
        first = (step * ranks + rank) * size
        rows = [self._row(first + i) for i in range(size)]
        inputs, targets, segments = (np.stack(part) for part in zip(*rows, strict=True))
        return Batch(inputs, targets, segments)

    def rows_in_epoch(self, epoch: int) -> int:
        """How many rows one pass over the problems takes."""
        return len(self._epoch(epoch))

    def _row(self, number: int) -> _Row:
        epoch = 0
        while True:
            if epoch + 1 == len(self._firsts):
                self._firsts.append(self._firsts[-1] + len(self._epoch(epoch)))
            if number < self._firsts[epoch + 1]:
                break
            epoch += 1
        return self._fill(self._epoch(epoch)[number - self._firsts[epoch]], epoch)

    def _epoch(self, epoch: int) -> list[list[int]]:
        """For each row of this epoch the places of its examples: first fit over a shuffled order."""
        if epoch not in self._packed:
            generator = np.random.default_rng((self.seed, epoch))
            order = generator.permutation(self.n_problems).tolist()
            self._packed = {epoch: self._pack(order, epoch)}
        return self._packed[epoch]

    def _pack(self, order: list[int], epoch: int) -> list[list[int]]:
        rows: list[list[int]] = []
        room: list[int] = []
        open_from = 0
        for place in order:
            length = sum(map(len, self._chosen(place, epoch)))
            row = next((r for r in range(open_from, len(rows)) if room[r] >= length), None)
            if row is None:
                rows.append([])
                room.append(self.seq_len + 1)
                row = len(rows) - 1
                open_from = max(open_from, row - 32)
            rows[row].append(place)
            room[row] -= length
        return rows

    def _chosen(self, place: int, epoch: int) -> tuple[Ids, Ids]:
        example = self._examples[place]
        choice = int(np.random.default_rng((self.seed, epoch, place)).integers(len(example.answers)))
        return example.prompt, example.answers[choice]

    def _fill(self, places: list[int], epoch: int) -> _Row:
        ids = np.full(self.seq_len + 1, self._end, dtype=np.int64)
        targets = np.full(self.seq_len + 1, IGNORED, dtype=np.int64)
        segments = np.zeros(self.seq_len + 1, dtype=np.int64)
        start = 0
        for segment, place in enumerate(places, start=1):
            prompt, answer = self._chosen(place, epoch)
            middle, stop = start + len(prompt), start + len(prompt) + len(answer)
            ids[start:middle], ids[middle:stop] = prompt, answer
            targets[middle:stop] = answer
            segments[start:stop] = segment
            start = stop
        return (ids[:-1], targets[1:], segments[:-1])


def _tokenise(problem: Problem, tokenizer: Tokenizer, seq_len: int, max_solutions: int) -> _Example | None:
    prompt = prompt_ids(tokenizer, problem.prompt(), seq_len // 2)
    room = seq_len + 1 - len(prompt)
    sound = [solution for solution in problem.solutions if compiles(solution)][:max_solutions]
    answers = [np.array(answer_ids(tokenizer, solution), dtype=np.int32) for solution in sound]
    fitting = [answer for answer in answers if answer.size <= room]
    return _Example(np.array(prompt, dtype=np.int32), fitting) if fitting else None


def compiles(source: str) -> bool:
    """Whether this interpreter takes the text for Python; some solutions of old data sets are Python 2."""
    try:
        with warnings.catch_warnings(action="ignore"):
            compile(source, "<solution>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return True
