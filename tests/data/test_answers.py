"""The loss falls on answers alone, each problem is seen once an epoch, and a batch is a function of (seed, step)."""

from typing import NamedTuple

import numpy as np
import pytest

from tritcoder.data.answers import PackedAnswers, compiles
from tritcoder.data.batch import IGNORED, Batch
from tritcoder.errors import EmptyCorpusError
from tritcoder.records import Problem
from tritcoder.tokenizer.bpe import ANSWER, Tokenizer
from tritcoder.tokenizer.template import answer_ids, prompt_ids

SEQ_LEN = 64


class Example(NamedTuple):
    """One example as a batch shows it."""

    prompt: list[int]
    answer: list[int]
    answer_seen: list[int]
    """The answer as inputs; its last token may lie beyond the row."""


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(["print the sum of the numbers as one number\nprint(sum(numbers))\n"] * 3, 300)


@pytest.fixture(scope="module")
def problems() -> list[Problem]:
    return [
        Problem(
            str(number),
            f"print number {number}" + " and the sum" * (number % 5),
            tuple(f"print({number}){' ' * turn}#{turn}" for turn in range(1 + number % 4)),
        )
        for number in range(23)
    ]


def packed(problems: list[Problem], tokenizer: Tokenizer, seed: int = 0, seq_len: int = SEQ_LEN) -> PackedAnswers:
    return PackedAnswers(problems, tokenizer, seq_len, seed)


def epoch_batch(answers: PackedAnswers, epoch: int) -> Batch:
    """All rows of one epoch."""
    first = sum(answers.rows_in_epoch(before) for before in range(epoch))
    rows = [answers.batch(first + row, 1) for row in range(answers.rows_in_epoch(epoch))]
    assert all(row.segments is not None for row in rows)
    return Batch(*(np.concatenate([row[part] for row in rows]) for part in range(3)))


def examples(batch: Batch, tokenizer: Tokenizer) -> list[Example]:
    """A batch taken apart again, by its segments and the answer mark alone."""
    found = []
    assert batch.segments is not None
    for inputs, targets, segments in zip(batch.inputs, batch.targets, batch.segments, strict=True):
        for segment in range(1, segments.max() + 1):
            own = segments == segment
            ids = inputs[own].tolist()
            middle = ids.index(tokenizer.id_of(ANSWER)) + 1
            answer = targets[own & (targets != IGNORED)].tolist()
            found.append(Example(ids[:middle], answer, ids[middle:]))
    return found


def test_targets_are_whole_answers_and_nothing_else(problems: list[Problem], tokenizer: Tokenizer) -> None:
    by_prompt = {tuple(prompt_ids(tokenizer, p.prompt(), SEQ_LEN // 2)): p for p in problems}
    for example in examples(epoch_batch(packed(problems, tokenizer), 0), tokenizer):
        solutions = by_prompt[tuple(example.prompt)].solutions
        assert tokenizer.decode(example.answer).rstrip("\n") in solutions
        assert example.answer in [answer_ids(tokenizer, solution) for solution in solutions]
        assert example.answer_seen in (example.answer, example.answer[:-1])


def test_a_target_is_the_next_input(problems: list[Problem], tokenizer: Tokenizer) -> None:
    inputs, targets, segments = epoch_batch(packed(problems, tokenizer), 1)
    assert segments is not None
    learnt = targets[:, :-1] != IGNORED
    assert (targets[:, :-1][learnt] == inputs[:, 1:][learnt]).all()
    assert (segments[:, :-1][learnt] == segments[:, 1:][learnt]).all()


def test_segments_count_up_and_padding_teaches_nothing(problems: list[Problem], tokenizer: Tokenizer) -> None:
    inputs, targets, segments = epoch_batch(packed(problems, tokenizer), 0)
    assert segments is not None
    assert (segments == 0).any()
    assert (segments.max(axis=1) > 1).any()
    for row, row_segments in enumerate(segments):
        filled = row_segments[row_segments > 0]
        assert set(np.diff(filled).tolist()) <= {0, 1}
        assert (row_segments[: len(filled)] == filled).all()
        padding = row_segments == 0
        assert (targets[row][padding] == IGNORED).all()
        assert (inputs[row][padding] == tokenizer.end_id).all()


@pytest.mark.parametrize("epoch", [0, 1, 5])
def test_an_epoch_shows_every_problem_once(problems: list[Problem], tokenizer: Tokenizer, epoch: int) -> None:
    answers = packed(problems, tokenizer)
    expected = sorted(prompt_ids(tokenizer, problem.prompt(), SEQ_LEN // 2) for problem in problems)
    assert answers.n_problems == len(problems)
    assert sorted(example.prompt for example in examples(epoch_batch(answers, epoch), tokenizer)) == expected


def test_solutions_and_order_vary_over_epochs(problems: list[Problem], tokenizer: Tokenizer) -> None:
    answers = packed(problems, tokenizer)
    shown: dict[tuple[int, ...], set[tuple[int, ...]]] = {}
    orders = set()
    for epoch in range(12):
        found = examples(epoch_batch(answers, epoch), tokenizer)
        orders.add(tuple(tuple(example.prompt) for example in found))
        for example in found:
            shown.setdefault(tuple(example.prompt), set()).add(tuple(example.answer))
    assert len(orders) == 12
    for problem in problems:
        prompt = tuple(prompt_ids(tokenizer, problem.prompt(), SEQ_LEN // 2))
        assert len(shown[prompt]) >= min(2, len(problem.solutions))


def test_a_fresh_object_gives_the_same_batch_at_any_step(problems: list[Problem], tokenizer: Tokenizer) -> None:
    walked = packed(problems, tokenizer)
    batches = [walked.batch(step, 3) for step in range(25)]
    assert 3 * walked.rows_in_epoch(0) < 25 * 3
    for step in (24, 0, 13, 7):
        for other in (packed(problems, tokenizer), walked):
            for found, expected in zip(other.batch(step, 3), batches[step], strict=True):
                assert np.array_equal(found, expected)  # type: ignore[arg-type]


def test_seeds_give_other_batches(problems: list[Problem], tokenizer: Tokenizer) -> None:
    one, two = packed(problems, tokenizer, seed=0), packed(problems, tokenizer, seed=1)
    assert any((one.batch(step, 2).inputs != two.batch(step, 2).inputs).any() for step in range(3))


def test_ranks_together_see_what_one_rank_sees(problems: list[Problem], tokenizer: Tokenizer) -> None:
    answers = packed(problems, tokenizer)
    for step in (0, 2, 5):
        joint = answers.batch(step, 6)
        parts = [answers.batch(step, 2, rank, 3) for rank in range(3)]
        for place, whole in enumerate(joint):
            assert np.array_equal(np.concatenate([part[place] for part in parts]), whole)  # type: ignore[arg-type]


def test_a_long_prompt_is_cut_to_half_the_row(tokenizer: Tokenizer) -> None:
    problem = Problem("1", "print the numbers " * 100, ("print(1)",))
    (example,) = examples(epoch_batch(packed([problem], tokenizer), 0), tokenizer)
    assert len(example.prompt) == SEQ_LEN // 2
    assert tokenizer.decode(example.answer) == "print(1)\n"


def test_a_solution_that_does_not_fit_is_left_out(tokenizer: Tokenizer) -> None:
    short, long = "print(1)", "print(1)\n" * 100
    answers = packed([Problem("1", "print 1", (long, short)), Problem("2", "print 2", (long,))], tokenizer)
    assert answers.n_problems == 1
    for epoch in range(6):
        (example,) = examples(epoch_batch(answers, epoch), tokenizer)
        assert tokenizer.decode(example.answer) == short + "\n"


def test_an_example_may_fill_the_row_to_its_last_target(tokenizer: Tokenizer) -> None:
    solution = "print(1, 1, 1, 1, 1)"
    problem = Problem("1", "print 1", (solution,))
    needed = len(prompt_ids(tokenizer, problem.prompt(), 1000)) + len(answer_ids(tokenizer, solution))
    (example,) = examples(epoch_batch(packed([problem], tokenizer, seq_len=needed - 1), 0), tokenizer)
    assert example.answer == answer_ids(tokenizer, solution)
    assert example.answer_seen == example.answer[:-1]
    with pytest.raises(EmptyCorpusError):
        packed([problem], tokenizer, seq_len=needed - 2)


UNSOUND = {
    "Python 2": "print 1",
    "cut": "def f(:",
    "zero byte": "print(1)\0",
    "lone surrogate": "print('\ud800')",
    "too deep": "(" * 10_000 + ")" * 10_000,
}


@pytest.mark.parametrize("unsound", UNSOUND.values(), ids=UNSOUND.keys())
def test_a_solution_that_is_no_python_is_left_out(tokenizer: Tokenizer, unsound: str) -> None:
    assert not compiles(unsound)
    answers = packed([Problem("1", "print 1", (unsound, "print(1)")), Problem("2", "print 2", (unsound,))], tokenizer)
    assert answers.n_problems == 1
    (example,) = examples(epoch_batch(answers, 0), tokenizer)
    assert tokenizer.decode(example.answer) == "print(1)\n"


def test_a_solution_that_python_warns_of_is_kept() -> None:
    assert compiles("assert (1, 'always true')\nx = '\\d'\n")


def test_only_the_first_solutions_are_read(tokenizer: Tokenizer) -> None:
    problem = Problem("1", "print 1", ("print(1)", "print(2)", "print(3)"))
    answers = PackedAnswers([problem], tokenizer, SEQ_LEN, seed=0, max_solutions=2)
    shown = {tuple(examples(epoch_batch(answers, epoch), tokenizer)[0].answer) for epoch in range(30)}
    assert {tokenizer.decode(answer) for answer in shown} == {"print(1)\n", "print(2)\n"}


def test_nothing_that_fits_is_refused(tokenizer: Tokenizer) -> None:
    long = Problem("1", "print 1", ("print(1)\n" * 100,))
    for problems in ([], [Problem("2", "print 2")], [long]):
        with pytest.raises(EmptyCorpusError, match=f"none of {len(problems)} problems"):
            packed(problems, tokenizer)
