"""Two rivals without a model: always the commonest output, and the program of the most similar problem.

What a trained model scores above them is what it learnt beyond guessing and looking up.
"""

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Self

import numpy as np
from jaxtyping import Int64

from tritcoder.baselines.prompting import cut_at_stop
from tritcoder.baselines.similarity import TextIndex
from tritcoder.baselines.starter import asked_function, constant_function, rename_function
from tritcoder.errors import EmptyCorpusError
from tritcoder.protocols import OnText
from tritcoder.records import Completion, Problem, Prompt, Sampling

MAX_CONSTANT_CHARS = 10_000
"""Outputs longer than this are no guess that anybody would make, and are passed over."""


class ConstantBaseline:
    """Answers with the outputs that are commonest among the training problems' tests."""

    name = "naive:constant"

    def __init__(self, texts: Sequence[str], values: Sequence[Any]) -> None:
        """Take the outputs to guess, the best guess first.

        Args:
            texts: what to print where a program is asked for.
            values: what to return where a function is asked for; plain JSON data.
        """
        self.texts, self.values = tuple(texts), tuple(values)

    @classmethod
    def fit(cls, problems: Sequence[Problem]) -> Self:
        """Learn from tests of training problems, never of those to be answered.

        An output weighs its share of its problem's tests, summed over the problems: each problem counts once.
        White space at an output's end is passed over, and so is the list of one item that APPS wraps around
        returned values. Among equals the shorter one wins, then the first in alphabetical order.

        Raises:
            EmptyCorpusError: no training problem has a test.
        """
        texts = _commonest([p for p in problems if not p.call_based], _printed)
        values = _commonest([p for p in problems if p.call_based], _returned)
        if not texts and not values:
            raise EmptyCorpusError(
                f"naive:constant learns from tests, and none of {len(problems)} training problems has one",
                "give training problems with input_output (problems.source, problems.train)",
            )
        return cls(texts, [json.loads(value) for value in values])

    def generate(
        self, prompts: Iterable[Prompt], sampling: Sampling, on_text: OnText | None = None
    ) -> Iterator[Completion]:
        """Answer each prompt; sample i prints (or returns) the i-th commonest output, and after the last the first.

        The answer is empty where there is no such output, where no starter code names the function, and for the
        beginning of some code.
        """
        return _answer(self.name, self._program, prompts, sampling, on_text)

    def _program(self, prompt: Prompt) -> str:
        if prompt.kind == "code":
            return ""
        if not prompt.call_based:
            return f"print({self.texts[prompt.sample % len(self.texts)]!r})\n" if self.texts else ""
        asked = asked_function(prompt.starter_code)
        if asked is None or not self.values:
            return ""
        return constant_function(asked, self.values[prompt.sample % len(self.values)])


def _commonest(problems: Sequence[Problem], outputs_of: Callable[[Problem], list[str]]) -> list[str]:
    """Outputs by falling weight; exact fractions, so that ties are ties in any order of adding."""
    weights: defaultdict[str, Fraction] = defaultdict(Fraction)
    for problem in problems:
        for output in outputs_of(problem):
            if len(output) <= MAX_CONSTANT_CHARS:
                weights[output] += Fraction(1, len(problem.tests))
    return sorted(weights, key=lambda output: (-weights[output], len(output), output))


def _printed(problem: Problem) -> list[str]:
    return [str(test.output).rstrip() for test in problem.tests]


def _returned(problem: Problem) -> list[str]:
    """Each test's returned value as JSON; NaN and infinity, which JSON lacks, are left out."""
    values = [test.output for test in problem.tests]
    if all(isinstance(value, list) and len(value) == 1 for value in values):
        values = [value[0] for value in values]
    found: list[str] = []
    for value in values:
        try:
            found.append(json.dumps(value, sort_keys=True, allow_nan=False))
        except ValueError:
            continue
    return found


@dataclass(frozen=True, slots=True)
class _Known:
    """A training problem, as far as answering from it goes."""

    fn_name: str | None
    solutions: tuple[str, ...]


class RetrievalBaseline:
    """Answers with the programs that people wrote for the most similar training problem."""

    name = "naive:retrieval"

    def __init__(self, known: Sequence[_Known], index: TextIndex) -> None:
        self._known, self._index = tuple(known), index
        self._call_based = np.array([problem.fn_name is not None for problem in known])
        self._n_solutions = sum(len(problem.solutions) for problem in known)

    @classmethod
    def fit(cls, problems: Sequence[Problem]) -> Self:
        """Learn from the questions and solutions of training problems; those without a solution are passed over.

        Raises:
            EmptyCorpusError: no training problem has a solution.
        """
        solved = [problem for problem in problems if problem.solutions]
        if not solved:
            raise EmptyCorpusError(
                f"naive:retrieval learns from solutions, and none of {len(problems)} training problems has one",
                "give training problems with solutions (problems.source, problems.train)",
            )
        known = [_Known(problem.fn_name, _shortest_first(problem.solutions)) for problem in solved]
        return cls(known, TextIndex([problem.question for problem in solved]))

    def generate(
        self, prompts: Iterable[Prompt], sampling: Sampling, on_text: OnText | None = None
    ) -> Iterator[Completion]:
        """Answer each prompt; sample i is the i-th solution on the way from the nearest problem outwards.

        Problems of the asked kind (program or function) come before the others, then the more similar ones,
        then those that stand earlier in the training data; the solutions of one problem come shortest first.
        A function is renamed to what the starter code asks for. The beginning of some code gets an empty answer.
        """
        return _answer(self.name, self._program, prompts, sampling, on_text)

    def _program(self, prompt: Prompt) -> str:
        if prompt.kind == "code":
            return ""
        place = prompt.sample % self._n_solutions
        for neighbour in map(int, self._neighbours(prompt)):
            problem = self._known[neighbour]
            if place < len(problem.solutions):
                return _renamed(problem.solutions[place], problem.fn_name, prompt)
            place -= len(problem.solutions)
        raise AssertionError("fewer solutions than were counted")

    def _neighbours(self, prompt: Prompt) -> Int64[np.ndarray, "N"]:
        other_kind = self._call_based != prompt.call_based
        return np.lexsort((-self._index.similarities(prompt.text), other_kind))


def _shortest_first(solutions: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(solutions), key=lambda solution: (len(solution), solution)))


def _renamed(program: str, fn_name: str | None, prompt: Prompt) -> str:
    asked = asked_function(prompt.starter_code) if prompt.call_based else None
    return rename_function(program, fn_name, asked.name) if asked and fn_name else program


def _answer(
    name: str,
    write: Callable[[Prompt], str],
    prompts: Iterable[Prompt],
    sampling: Sampling,
    on_text: OnText | None,
) -> Iterator[Completion]:
    """Answer prompts one by one with what a rule writes."""
    for prompt in prompts:
        began = time.monotonic()
        text = cut_at_stop(write(prompt), sampling.stop)
        if on_text and text:
            on_text(prompt, text)
        seconds = time.monotonic() - began
        yield Completion(
            prompt.task_id, prompt.sample, text, "stop", first_token_s=seconds, seconds=seconds, model=name
        )
