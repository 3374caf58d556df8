"""The plain sampler, held to its word by a fake model whose every word is known."""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritcoder.errors import ModelFileError, PromptError
from tritcoder.generate import TextModel, require_prompt
from tritcoder.records import Completion, Prompt, Sampling
from tritcoder.tokenizer.bpe import ANSWER, Tokenizer
from tritcoder.tokenizer.template import answer_ids, prompt_ids

Rule = Callable[[list[int]], np.ndarray]
"""Ids so far -> logits of the next token."""

GREEDY = Sampling(temperature=0, max_tokens=200)
FLOAT32_TOLERANCE = 1e-5


class FakeDecoding:
    """See protocols.Decoding."""

    def __init__(self, model: "FakeModel", prompts: Sequence[Sequence[int]]) -> None:
        self.model, self.rows = model, [list(prompt) for prompt in prompts]

    @property
    def logits(self) -> np.ndarray:
        """Of each row still there."""
        return np.stack([self.model.rule(row) for row in self.rows]).astype(np.float32)

    def append(self, ids: np.ndarray) -> None:
        """One token to each row."""
        self.model.n_appended += 1
        for row, token in zip(self.rows, ids.tolist(), strict=True):
            row.append(token)
            assert len(row) <= self.model.max_seq_len

    def keep(self, rows: Sequence[int]) -> None:
        """Only these rows."""
        self.rows = [self.rows[row] for row in rows]


class FakeModel:
    """See protocols.LanguageModel: whatever the rule says."""

    name = "fake"

    def __init__(self, rule: Rule, vocab_size: int, max_seq_len: int = 1000) -> None:
        self.rule, self.vocab_size, self.max_seq_len = rule, vocab_size, max_seq_len
        self.batches: list[list[list[int]]] = []
        self.n_appended = 0

    def start(self, prompts: Sequence[Sequence[int]]) -> FakeDecoding:
        """Take note of the prompts."""
        self.batches.append([list(prompt) for prompt in prompts])
        return FakeDecoding(self, prompts)

    def log_probs(self, sequences: Sequence[Sequence[int]]) -> list[np.ndarray]:
        """By the rule, token by token."""
        return [
            np.array([0.0, *(self._log_prob(list(ids[:place]), ids[place]) for place in range(1, len(ids)))], "f4")
            for ids in sequences
        ]

    def _log_prob(self, before: list[int], token: int) -> float:
        logits = self.rule(before).astype(np.float64)
        return float(logits[token] - np.log(np.exp(logits).sum()))


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(["abab abba\nprint(ab)\n\n", "ba ab aab b\n"] * 3, 290)


def script(tokenizer: Tokenizer, *tokens: int) -> Rule:
    """Write these tokens after any problem, then the end, whatever comes."""
    wanted = [*tokens, tokenizer.end_id]

    def rule(ids: list[int]) -> np.ndarray:
        logits = np.zeros(tokenizer.vocab_size)
        if tokenizer.id_of(ANSWER) not in ids:
            return logits
        written = len(ids) - 1 - ids.index(tokenizer.id_of(ANSWER))
        logits[wanted[min(written, len(wanted) - 1)]] = 100.0
        return logits

    return rule


def scripted(tokenizer: Tokenizer, tokens: Sequence[int], max_seq_len: int = 1000) -> TextModel:
    return TextModel(FakeModel(script(tokenizer, *tokens), tokenizer.vocab_size, max_seq_len), tokenizer)


def restless(tokenizer: Tokenizer) -> Rule:
    """Pseudo-random logits that depend on every id before them; the end comes now and then."""

    def rule(ids: list[int]) -> np.ndarray:
        logits = np.random.default_rng(ids).normal(size=tokenizer.vocab_size)
        logits[tokenizer.end_id] += 2.0
        return logits

    return rule


def answer(model: TextModel, sampling: Sampling) -> tuple[Completion, list[str]]:
    """One completion, and the pieces in which it was shown."""
    pieces: list[str] = []
    (completion,) = model.generate([Prompt("problem")], sampling, lambda _, piece: pieces.append(piece))
    assert all(pieces)
    return completion, pieces


# Writing an answer


def test_greedy_writes_what_the_model_says(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("print(ab)\n")
    completion, pieces = answer(scripted(tokenizer, ids), GREEDY)
    assert completion.text == "".join(pieces) == "print(ab)\n"
    assert completion.finish_reason == "stop"
    assert completion.n_tokens == len(ids)
    assert completion.n_prompt_tokens == len(prompt_ids(tokenizer, Prompt("problem"), 500))
    assert completion.model == "fake"


def test_an_answer_may_be_empty(tokenizer: Tokenizer) -> None:
    completion, pieces = answer(scripted(tokenizer, []), GREEDY)
    assert (completion.text, completion.n_tokens, completion.finish_reason, pieces) == ("", 0, "stop", [])


@pytest.mark.parametrize("max_tokens", [1, 3, 8])
def test_no_more_than_max_tokens_are_written(tokenizer: Tokenizer, max_tokens: int) -> None:
    ids = tokenizer.encode("print(ab)\nprint(ab)\n")
    completion, _ = answer(scripted(tokenizer, ids), Sampling(temperature=0, max_tokens=max_tokens))
    assert completion.text == tokenizer.decode(ids[:max_tokens])
    assert completion.n_tokens == max_tokens
    assert completion.finish_reason == "length"


def test_an_end_after_exactly_max_tokens_is_not_waited_for(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("print(ab)")
    completion, _ = answer(scripted(tokenizer, ids), Sampling(temperature=0, max_tokens=len(ids)))
    assert (completion.text, completion.finish_reason) == ("print(ab)", "length")


def test_writing_ends_where_the_context_is_full(tokenizer: Tokenizer) -> None:
    model = scripted(tokenizer, tokenizer.encode("a" * 100), max_seq_len=30)
    (completion,) = model.generate([Prompt("b " * 100)], Sampling(temperature=0, max_tokens=1000))
    assert completion.finish_reason == "length"
    assert completion.n_prompt_tokens == 15
    assert completion.n_tokens == 15
    (completion,) = model.generate([Prompt("b " * 100)], Sampling(temperature=0, max_tokens=5))
    assert (completion.n_prompt_tokens, completion.n_tokens) == (25, 5)


def test_a_context_without_room_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(PromptError, match="leave no room"):
        list(scripted(tokenizer, [], max_seq_len=10).generate([Prompt("b")], GREEDY))


def test_an_empty_prompt_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(PromptError, match="empty"):
        list(scripted(tokenizer, []).generate([Prompt("a"), Prompt(" ")], GREEDY))


def test_rows_of_a_model_that_stand_for_no_token_are_never_chosen(tokenizer: Tokenizer) -> None:
    def rule(ids: list[int]) -> np.ndarray:
        return np.concatenate([script(tokenizer, *tokenizer.encode("ab"))(ids), np.full(40, 1000.0)])

    model = TextModel(FakeModel(rule, tokenizer.vocab_size + 40), tokenizer)
    for sampling in (GREEDY, Sampling(temperature=1)):
        assert answer(model, sampling)[0].text == "ab"


# Stop strings and streams


def cut_by_hand(tokenizer: Tokenizer, ids: list[int], stops: Sequence[str]) -> str:
    """The whole text is looked through after every token."""
    for count in range(1, len(ids) + 1):
        text = tokenizer.decode(ids[:count])
        places = [text.index(stop) for stop in stops if stop in text]
        if places:
            return text[: min(places)]
    return tokenizer.decode(ids)


@given(
    tokens=st.lists(st.sampled_from([b"a", b"b", b"ab", b"ba", b"\n", b" a", b"abab"]), max_size=12),
    stops=st.lists(st.text("ab\n ", min_size=1, max_size=5), max_size=3),
)
def test_stop_strings_across_token_borders_are_neither_kept_nor_shown(
    tokenizer: Tokenizer, tokens: list[bytes], stops: list[str]
) -> None:
    ids = [i for token in tokens for i in tokenizer.encode_bytes(token)]
    completion, pieces = answer(scripted(tokenizer, ids), Sampling(temperature=0, stop=tuple(stops)))
    assert completion.text == cut_by_hand(tokenizer, ids, stops)
    assert "".join(pieces) == completion.text
    assert not any(stop in completion.text for stop in stops)
    assert completion.finish_reason == "stop"


def test_text_is_shown_as_soon_as_it_cannot_begin_a_stop_string(tokenizer: Tokenizer) -> None:
    ids = [i for letter in "xaaby" for i in tokenizer.encode(letter)]
    _, pieces = answer(scripted(tokenizer, ids), Sampling(temperature=0, stop=("aac",)))
    assert pieces == ["x", "aab", "y"]


def test_what_was_held_back_is_shown_when_no_stop_string_came(tokenizer: Tokenizer) -> None:
    for max_tokens, reason in ((3, "length"), (10, "stop")):
        ids = [i for letter in "xaa" for i in tokenizer.encode(letter)]
        completion, pieces = answer(
            scripted(tokenizer, ids), Sampling(temperature=0, max_tokens=max_tokens, stop=("aac",))
        )
        assert pieces == ["x", "aa"]
        assert (completion.text, completion.finish_reason) == ("xaa", reason)


@given(text=st.text(st.characters(codec="utf-8"), min_size=1, max_size=20))
def test_characters_split_over_tokens_are_shown_whole(tokenizer: Tokenizer, text: str) -> None:
    ids = [i for byte in text.encode() for i in tokenizer.encode_bytes(bytes([byte]))]
    completion, pieces = answer(scripted(tokenizer, ids), GREEDY)
    assert completion.text == text
    assert pieces == list(text)


@given(data=st.binary(min_size=1, max_size=20), cut=st.integers(1, 20))
def test_bytes_that_are_no_text_are_written_as_decode_writes_them(
    tokenizer: Tokenizer, data: bytes, cut: int
) -> None:
    ids = [i for byte in data for i in tokenizer.encode_bytes(bytes([byte]))]
    completion, pieces = answer(scripted(tokenizer, ids), Sampling(temperature=0, max_tokens=cut))
    assert completion.text == "".join(pieces) == tokenizer.decode(ids[:cut])


def test_pieces_name_their_prompt(tokenizer: Tokenizer) -> None:
    shown: dict[str, str] = {}

    def on_text(prompt: Prompt, piece: str) -> None:
        shown[prompt.task_id] = shown.get(prompt.task_id, "") + piece

    model = TextModel(FakeModel(restless(tokenizer), tokenizer.vocab_size), tokenizer, batch_size=3)
    prompts = [Prompt(f"problem {number}", task_id=str(number)) for number in range(7)]
    completions = list(model.generate(prompts, Sampling(temperature=1, max_tokens=40), on_text))
    assert {one.task_id: one.text for one in completions if one.text} == shown


# Batches


def many_prompts() -> list[Prompt]:
    return [Prompt(f"problem {'b' * task}", task_id=str(task), sample=n) for task in range(4) for n in range(3)]


def texts(model: TextModel, prompts: Sequence[Prompt], seed: int) -> dict[tuple[str, int], str]:
    sampling = Sampling(temperature=1, max_tokens=40, seed=seed)
    return {(one.task_id, one.sample): one.text for one in model.generate(prompts, sampling)}


@pytest.mark.parametrize("batch_size", [1, 2, 5, 100])
def test_a_text_does_not_depend_on_its_batch(tokenizer: Tokenizer, batch_size: int) -> None:
    prompts = many_prompts()
    expected: dict[tuple[str, int], str] = {}
    for prompt in prompts:
        alone = TextModel(FakeModel(restless(tokenizer), tokenizer.vocab_size), tokenizer)
        expected |= texts(alone, [prompt], seed=7)
    assert len(set(expected.values())) > 0.8 * len(prompts)
    for order in (prompts, prompts[::-1], prompts[5:] + prompts[:5]):
        model = FakeModel(restless(tokenizer), tokenizer.vocab_size)
        assert texts(TextModel(model, tokenizer, batch_size), order, seed=7) == expected
        assert max(len(batch) for batch in model.batches) == min(batch_size, len(prompts))


def test_another_seed_is_another_text(tokenizer: Tokenizer) -> None:
    model = TextModel(FakeModel(restless(tokenizer), tokenizer.vocab_size), tokenizer)
    one, two = texts(model, many_prompts(), seed=1), texts(model, many_prompts(), seed=2)
    assert sum(one[key] != two[key] for key in one) > 0.8 * len(one)


def test_each_answer_comes_as_soon_as_it_ends(tokenizer: Tokenizer) -> None:
    wanted = {"long": 9, "short": 2, "middle": 5}

    def rule(ids: list[int]) -> np.ndarray:
        task = next(name for name in wanted if name in tokenizer.decode(ids))
        return script(tokenizer, *tokenizer.encode_bytes(b"a" * wanted[task])[:1] * wanted[task])(ids)

    model = TextModel(FakeModel(rule, tokenizer.vocab_size), tokenizer)
    completions = list(model.generate([Prompt(name, task_id=name) for name in wanted], GREEDY))
    assert [one.task_id for one in completions] == ["short", "middle", "long"]
    assert [one.n_tokens for one in completions] == [2, 5, 9]


def test_closing_the_iterator_cancels_what_is_left(tokenizer: Tokenizer) -> None:
    asked: list[str] = []

    def prompts() -> Iterator[Prompt]:
        for number in range(100):
            asked.append(str(number))
            yield Prompt("problem", task_id=str(number))

    model = FakeModel(script(tokenizer, *tokenizer.encode("ab")), tokenizer.vocab_size)
    completions = TextModel(model, tokenizer, batch_size=2).generate(prompts(), GREEDY)
    assert isinstance(completions, Iterator)
    next(completions)
    steps = model.n_appended
    completions.close()  # type: ignore[attr-defined]
    assert len(asked) == 2
    assert model.n_appended == steps
    assert list(completions) == []


def test_the_model_reads_what_the_template_says(tokenizer: Tokenizer) -> None:
    model = FakeModel(restless(tokenizer), tokenizer.vocab_size, max_seq_len=100)
    prompts = [Prompt("ab"), Prompt("ab", kind="code", suffix="ba"), Prompt("print", call_based=True)]
    list(TextModel(model, tokenizer).generate(prompts, Sampling(max_tokens=5)))
    assert model.batches == [[prompt_ids(tokenizer, prompt, 95) for prompt in prompts]]


# Likelihoods


def test_likelihoods_by_hand(tokenizer: Tokenizer) -> None:
    logits = np.linspace(-2, 3, tokenizer.vocab_size)
    log_probs = logits - np.log(np.exp(logits).sum())
    model = TextModel(FakeModel(lambda ids: logits, tokenizer.vocab_size), tokenizer, batch_size=2)
    answers = ["print(ab)", "é漢", "\nab\n\n"]
    found = list(model.likelihoods((Prompt("problem"), text) for text in answers))
    for text, likelihood in zip(answers, found, strict=True):
        ids = answer_ids(tokenizer, text)
        written = text.strip("\n") + "\n"
        assert likelihood.nats == pytest.approx(-log_probs[ids].sum(), rel=FLOAT32_TOLERANCE)
        assert likelihood.n_tokens == len(ids)
        assert likelihood.n_bytes == len(written.encode())
        assert likelihood.n_chars == len(written)


def test_a_likelihood_is_that_of_the_answer_given_the_prompt(tokenizer: Tokenizer) -> None:
    ids = answer_ids(tokenizer, "ab")
    (likelihood,) = scripted(tokenizer, ids[:-1]).likelihoods([(Prompt("problem"), "ab")])
    assert likelihood.nats == pytest.approx(0, abs=1e-6)
    (likelihood,) = scripted(tokenizer, ids[:-1]).likelihoods([(Prompt("problem"), "ba")])
    assert likelihood.nats > 50


def test_an_answer_too_long_is_cut_and_counted_as_far_as_it_was_read(tokenizer: Tokenizer) -> None:
    model = TextModel(FakeModel(lambda ids: np.zeros(tokenizer.vocab_size), tokenizer.vocab_size, 40), tokenizer)
    (likelihood,) = model.likelihoods([(Prompt("b " * 100), "print(ab)\n" * 50)])
    assert likelihood.n_tokens == 20
    assert likelihood.nats == pytest.approx(20 * math.log(tokenizer.vocab_size), rel=FLOAT32_TOLERANCE)
    read = tokenizer.decode(answer_ids(tokenizer, "print(ab)\n" * 50)[:20])
    assert (likelihood.n_bytes, likelihood.n_chars) == (len(read.encode()), len(read))


# What does not fit together


def test_a_tokenizer_larger_than_the_model_is_refused(tokenizer: Tokenizer) -> None:
    size = tokenizer.vocab_size
    with pytest.raises(ModelFileError, match=f"the tokenizer holds {size} tokens, the model {size - 1}"):
        TextModel(FakeModel(restless(tokenizer), size - 1), tokenizer)


def test_a_prompt_without_words_is_refused() -> None:
    assert require_prompt(" words ") == " words "
    for text in ("", " \n\t"):
        with pytest.raises(PromptError, match="empty"):
            require_prompt(text)
