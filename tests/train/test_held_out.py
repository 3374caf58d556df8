"""Held-out loss, worked by hand on models whose probabilities are known."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tritcoder.data.answers import PackedAnswers
from tritcoder.data.shards import TokenShards, write_shards
from tritcoder.errors import EmptyCorpusError
from tritcoder.records import Problem
from tritcoder.tokenizer.bpe import Tokenizer
from tritcoder.tokenizer.template import answer_ids
from tritcoder.train.held_out import Forward, HeldOutAnswers, HeldOutText

TEXT = "print the sum of numbers: print(sum(numbers))\n"


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train([TEXT] * 3, 280)


@pytest.fixture
def shards(tokenizer: Tokenizer, tmp_path: Path) -> TokenShards:
    write_shards([TEXT * 2, "é" * 30], tokenizer, tmp_path)
    return TokenShards(tmp_path)


def constant(scores: Tensor) -> Forward:
    """A model that gives every position the same logits."""
    return lambda ids, segments: scores.expand(*ids.shape, len(scores))


def uneven(vocab_size: int) -> Tensor:
    return torch.linspace(-2, 3, vocab_size)


def held_out_text(shards: TokenShards, tokenizer: Tokenizer, **changes: int) -> HeldOutText:
    settings = {"seq_len": 8, "batch_size": 3, "max_tokens": 10_000} | changes
    return HeldOutText(shards, tokenizer.token_lengths, **settings)


def test_uniform_logits_cost_log2_of_the_vocabulary_a_token(shards: TokenShards, tokenizer: Tokenizer) -> None:
    measured = held_out_text(shards, tokenizer)(constant(torch.zeros(tokenizer.vocab_size)))
    n_tokens = (len(shards) - 1) // 8 * 8
    n_bytes = len(tokenizer.decode_bytes(shards.read(1, n_tokens).tolist()))
    assert measured["held_out_loss"] == pytest.approx(math.log(tokenizer.vocab_size), rel=1e-6)
    expected = math.log2(tokenizer.vocab_size) * n_tokens / n_bytes
    assert measured["held_out_bits_per_byte"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_every_token_of_the_windows_counts_once(shards: TokenShards, tokenizer: Tokenizer, batch_size: int) -> None:
    scores = uneven(tokenizer.vocab_size)
    n_tokens = (len(shards) - 1) // 8 * 8
    targets = torch.from_numpy(shards.read(1, n_tokens))
    expected = -scores.log_softmax(0)[targets].double().mean().item()
    measured = held_out_text(shards, tokenizer, batch_size=batch_size)(constant(scores))
    assert measured["held_out_loss"] == pytest.approx(expected, rel=1e-5)


def test_a_model_that_knows_the_text_pays_almost_nothing(shards: TokenShards, tokenizer: Tokenizer) -> None:
    ids = shards.read(0, len(shards)).tolist()
    windows = held_out_text(shards, tokenizer)

    def oracle(inputs: Tensor, segments: Tensor | None) -> Tensor:
        start = next(i for i in range(len(ids)) if ids[i : i + inputs.numel()] == inputs.flatten().tolist())
        following = torch.tensor(ids[start + 1 : start + 1 + inputs.numel()]).view(inputs.shape)
        return 50.0 * torch.nn.functional.one_hot(following, tokenizer.vocab_size).float()

    assert windows(oracle)["held_out_bits_per_byte"] < 1e-6


def test_no_more_than_max_tokens_are_measured(shards: TokenShards, tokenizer: Tokenizer) -> None:
    windows = held_out_text(shards, tokenizer, max_tokens=17)
    assert windows.ids.tolist() == shards.read(0, 17).tolist()
    assert windows.n_bytes == len(tokenizer.decode_bytes(windows.ids[1:].tolist()))


def test_text_shorter_than_a_window_is_refused(shards: TokenShards, tokenizer: Tokenizer) -> None:
    with pytest.raises(EmptyCorpusError, match=f"has {len(shards)} tokens, one window takes {len(shards) + 1}"):
        held_out_text(shards, tokenizer, seq_len=len(shards))


@pytest.mark.parametrize("batch_size", [1, 2, 3, 5, 100])
def test_every_answer_token_counts_once(tokenizer: Tokenizer, batch_size: int) -> None:
    solutions = [f"print({number})\n" * (1 + number % 3) for number in range(9)]
    problems = [Problem(str(place), f"print {place}", (text,)) for place, text in enumerate(solutions)]
    answers = PackedAnswers(problems, tokenizer, seq_len=48, seed=0)
    assert answers.rows_in_epoch(0) == 4
    scores = uneven(tokenizer.vocab_size)
    targets = [i for text in solutions for i in answer_ids(tokenizer, text)]
    expected = -scores.log_softmax(0)[torch.tensor(targets)].double().mean().item()
    measured = HeldOutAnswers(answers, batch_size)(constant(scores))
    assert measured == {"held_out_loss": pytest.approx(expected, rel=1e-5)}
