"""How surprised a model is by the programs that people wrote for the problems."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tritcoder.errors import DatasetError, NotFiniteError
from tritcoder.protocols import LikelihoodModel
from tritcoder.records import Problem, Prompt


def perplexity(
    model: LikelihoodModel,
    problems: Iterable[Problem],
    *,
    solutions_per_problem: int = 1,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Perplexity of the reference solutions, given their problems.

    per_token = exp(sum of nats / sum of tokens); bits_per_byte = sum of nats / (ln 2 * sum of bytes).
    Only the second can be compared between models with different tokenizers.

    Args:
        model: says how probable a text is after a prompt.
        problems: those without a solution are passed over.
        solutions_per_problem: the first so many solutions of each are taken.
        on_progress: called with how many solutions are done, and of how many.

    Returns:
        "per_token", "bits_per_byte", "bits_per_char", "n_tokens", "n_bytes", "n_chars", "n_solutions",
        "n_problems".

    Raises:
        DatasetError: there is no solution at all.
        NotFiniteError: the model's likelihoods are NaN or infinite.
    """
    pairs = list(_pairs(problems, solutions_per_problem))
    nats, n_tokens, n_bytes, n_chars, done = 0.0, 0, 0, 0, 0
    for done, likelihood in enumerate(model.likelihoods(pairs), 1):
        nats += likelihood.nats
        n_tokens += likelihood.n_tokens
        n_bytes += likelihood.n_bytes
        n_chars += likelihood.n_chars
        if on_progress is not None:
            on_progress(done, len(pairs))
    if not n_tokens or not n_bytes:
        raise DatasetError(
            "perplexity needs reference solutions, found none among these problems",
            "take a benchmark or a split that has solutions",
        )
    if not math.isfinite(nats):
        raise NotFiniteError(
            f"likelihoods must be finite, their sum is {nats}", "the model gives no probability to some text"
        )
    return {
        "per_token": math.exp(min(nats / n_tokens, 700.0)),  # beyond it JSON has no number
        "bits_per_byte": nats / math.log(2) / n_bytes,
        "bits_per_char": nats / math.log(2) / n_chars,
        "n_tokens": n_tokens,
        "n_bytes": n_bytes,
        "n_chars": n_chars,
        "n_solutions": done,
        "n_problems": len({prompt.task_id for prompt, _ in pairs}),
    }


def _pairs(problems: Iterable[Problem], solutions_per_problem: int) -> Iterator[tuple[Prompt, str]]:
    for problem in problems:
        written = [solution for solution in problem.solutions if solution.strip()]
        for solution in written[:solutions_per_problem]:
            yield problem.prompt(), solution
