"""Any LanguageModel becomes a Generator: the plain sampler, which every fast path is held to.

Axes: B sequences of a batch, V vocabulary.
"""

import codecs
import hashlib
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np
from jaxtyping import Float32

from tritcoder.errors import ModelFileError, NotFiniteError, PromptError
from tritcoder.protocols import Constraint, Decoding, LanguageModel, OnText, RunningModel, Writing
from tritcoder.records import Completion, FinishReason, Likelihood, Prompt, Sampling, TokenScore
from tritcoder.tokenizer.bpe import Tokenizer
from tritcoder.tokenizer.grammar import constraint_of
from tritcoder.tokenizer.template import answer_ids, prompt_ids

DEFAULT_BATCH = 32


def next_token(
    logits: Float32[np.ndarray, "V"], sampling: Sampling, random: np.random.Generator, context: Sequence[int] = ()
) -> int:
    """Choose a token: the likeliest at temperature 0, else a draw from the nucleus.

    The bias is added to the logits; those of the context's tokens are made smaller by the repetition penalty; all are
    divided by the temperature. Of the `top_k` likeliest tokens, those with at least `min_p` of the best one's
    probability, and of these the fewest whose probabilities reach `top_p`, stay (Holtzman et al. 2019,
    arXiv:1904.09751); one random number decides among them.

    Raises:
        NotFiniteError: a logit is no number, or infinite: the weights are damaged.
    """
    logits = _adjusted(logits, sampling, context)
    best = int(np.argmax(logits))  # of the first that is no number, if there is one
    if not np.isfinite(logits[best]):
        raise NotFiniteError("the model's logits are no finite numbers", "its file is damaged: export it again")
    if sampling.temperature == 0:
        return best
    order = np.argsort(-logits, kind="stable")
    if sampling.top_k:
        order = order[: sampling.top_k]
    below_best = logits[order].astype(np.float64) - logits[order[0]]
    with np.errstate(over="ignore"):
        weights = np.exp(below_best / sampling.temperature)
    cumulative = np.cumsum(weights[weights >= sampling.min_p])
    kept = int(np.searchsorted(cumulative, sampling.top_p * cumulative[-1])) + 1
    cumulative = cumulative[:kept]
    place = int(np.searchsorted(cumulative, random.random() * cumulative[-1], side="right"))
    return int(order[min(place, len(cumulative) - 1)])


def _adjusted(logits: Float32[np.ndarray, "V"], sampling: Sampling, context: Sequence[int]) -> np.ndarray:
    """The logits with the bias and the repetition penalty, in float32."""
    logits = logits.copy()
    for token, bias in sampling.logit_bias:
        if token < len(logits):
            logits[token] += np.float32(bias)
    if sampling.repetition_penalty != 1:
        penalty = np.float32(sampling.repetition_penalty)
        for token in set(context):
            if token < len(logits):
                logits[token] = logits[token] / penalty if logits[token] > 0 else logits[token] * penalty
    return logits


def token_score(logits: Float32[np.ndarray, "V"], token: int, n_top: int) -> TokenScore:
    """The log-probability of a token and of the likeliest ones, by the logits alone."""
    precise = logits.astype(np.float64)
    precise -= precise.max()
    precise -= np.log(np.exp(precise).sum())
    top = np.argsort(-precise, kind="stable")[:n_top]
    return TokenScore(token, float(precise[token]), tuple((int(one), float(precise[one])) for one in top))


class TextModel:
    """A language model with its tokenizer; a Generator and a LikelihoodModel."""

    def __init__(self, model: LanguageModel, tokenizer: Tokenizer, batch_size: int = DEFAULT_BATCH) -> None:
        """Join the two.

        Raises:
            ModelFileError: they do not belong together.
        """
        if tokenizer.vocab_size > model.vocab_size:
            raise ModelFileError(
                f"the tokenizer holds {tokenizer.vocab_size} tokens, the model {model.vocab_size}",
                "use the tokenizer.json that lies beside the model",
            )
        self.model, self.tokenizer, self.batch_size = model, tokenizer, batch_size

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model.name

    def generate(
        self, prompts: Iterable[Prompt], sampling: Sampling, on_text: OnText | None = None
    ) -> Iterator[Completion]:
        """Answer every prompt, batch by batch; each as soon as it ends.

        A text depends on the model, its prompt, its sample number and the sampling alone. An answer ends at the
        model's own end, before a stop string, after `max_tokens`, or where the context is full.

        Raises:
            PromptError: a prompt is empty.
        """
        for completion in self._write(iter(prompts), sampling, on_text):
            if completion is not None:
                yield completion

    def stream(self, prompt: Prompt, sampling: Sampling) -> Generator[str, None, Completion]:
        """The answer to one prompt, piece by piece; closing the iterator cancels it.

        Raises:
            PromptError: the prompt is empty.
        """
        pieces: list[str] = []
        found: Completion | None = None
        for completion in self._write(iter([prompt]), sampling, lambda _, piece: pieces.append(piece)):
            found = completion or found
            yield from pieces
            pieces.clear()
        assert found is not None
        return found

    def _write(
        self, prompts: Iterator[Prompt], sampling: Sampling, on_text: OnText | None
    ) -> Iterator[Completion | None]:
        """Completions as they end, and None after each step of the model."""
        if isinstance(self.model, RunningModel):
            yield from self._write_running(self.model, prompts, sampling, on_text)
            return
        while batch := list(islice(prompts, self.batch_size)):
            yield from self._write_batch(batch, sampling, on_text)

    def _writer(self, prompt: Prompt, sampling: Sampling, began: float, on_text: OnText | None) -> "_Writer":
        limit = self.model.max_seq_len - min(sampling.max_tokens, self.model.max_seq_len // 2)
        ids = prompt_ids(self.tokenizer, prompt, limit)
        own = _with_stops(sampling, prompt)
        return _Writer(prompt, ids, own, self.tokenizer, self.model.max_seq_len, began, on_text)

    def _write_running(
        self, model: RunningModel, prompts: Iterator[Prompt], sampling: Sampling, on_text: OnText | None
    ) -> Iterator[Completion | None]:
        """In the model's running batch: the next prompt joins as soon as an answer ends."""
        tokenizer, mine = self.tokenizer, dict[_Writer, Writing]()
        try:
            while True:
                for prompt in islice(prompts, self.batch_size - len(mine)):
                    writer = self._writer(prompt, sampling, time.monotonic(), on_text)
                    mine[writer] = model.submit(
                        writer.ids,
                        writer.sampling,
                        writer.random,
                        n_tokens=tokenizer.vocab_size,
                        end_id=tokenizer.end_id,
                        constraint=writer.constraint,
                    )
                if not mine:
                    return
                model.step()
                for writer in _done(mine):
                    model.cancel(mine.pop(writer))
                    yield writer.completion(self.name)
                yield None
        finally:
            for writing in mine.values():
                model.cancel(writing)

    def _write_batch(
        self, prompts: list[Prompt], sampling: Sampling, on_text: OnText | None
    ) -> Iterator[Completion | None]:
        """Batch by batch, token by token: the plain way, which the running batch is held to."""
        began = time.monotonic()
        writers = [self._writer(prompt, sampling, began, on_text) for prompt in prompts]
        decoding = self.model.start([writer.ids for writer in writers])
        while writers:
            alive, done, chosen = _advance(writers, decoding)
            yield from (writer.completion(self.name) for writer in done)
            if alive and len(alive) < len(writers):
                decoding.keep(alive)
            writers = [writers[row] for row in alive]
            if writers:
                decoding.append(np.array([chosen[row] for row in alive], dtype=np.int64))
            yield None

    def likelihoods(self, pairs: Iterable[tuple[Prompt, str]]) -> Iterator[Likelihood]:
        """How probable each answer is, given its prompt.

        A prompt keeps at most half of the context; an answer too long for the rest is cut, and only what was
        scored is counted.
        """
        stream = iter(pairs)
        while batch := list(islice(stream, self.batch_size)):
            half = self.model.max_seq_len // 2
            heads = [prompt_ids(self.tokenizer, prompt, half) for prompt, _ in batch]
            tails = [answer_ids(self.tokenizer, answer)[: self.model.max_seq_len - len(head)]
                     for head, (_, answer) in zip(heads, batch, strict=True)]  # fmt: skip
            scores = self.model.log_probs([head + tail for head, tail in zip(heads, tails, strict=True)])
            for head, tail, score in zip(heads, tails, scores, strict=True):
                data = self.tokenizer.decode_bytes(tail)
                text = data.decode("utf-8", "replace")
                nats = -float(score[len(head) :].sum(dtype=np.float64))
                yield Likelihood(nats, len(tail), len(data), len(text))


@dataclass(slots=True, eq=False)
class _Writer:
    """One sequence of a batch: its random numbers, its text so far, and why it ends."""

    prompt: Prompt
    ids: list[int]
    sampling: Sampling
    tokenizer: Tokenizer
    max_seq_len: int
    began: float
    on_text: OnText | None
    random: np.random.Generator = field(init=False)
    constraint: Constraint | None = field(init=False)
    n_prompt_tokens: int = field(init=False)
    scores: list[TokenScore] = field(default_factory=list)
    text: str = ""
    n_tokens: int = 0
    shown: int = 0
    first_token_s: float = 0.0
    finish_reason: FinishReason | None = None
    decoder: codecs.IncrementalDecoder = field(init=False)

    def __post_init__(self) -> None:
        key = f"{self.sampling.seed}/{self.prompt.task_id}/{self.prompt.sample}".encode()
        self.random = np.random.default_rng(int.from_bytes(hashlib.sha256(key).digest()[:8], "little"))
        self.constraint = constraint_of(self.tokenizer, self.sampling)
        self.n_prompt_tokens = len(self.ids)
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def choose(self, logits: Float32[np.ndarray, "V"]) -> int:
        """The next token, by the plain sampler."""
        masked = logits if self.constraint is None else np.where(self.constraint.allowed(), logits, -np.inf)
        token = next_token(masked, self.sampling, self.random, self.ids)
        if self.constraint is not None:
            self.constraint.accept(token)
        if self.sampling.logprobs:
            self.scores.append(token_score(logits, token, self.sampling.logprobs))
        self.ids.append(token)
        return token

    def write(self, token: int) -> None:
        """Take one token; sets `finish_reason` when it was the last."""
        if not self.n_tokens:
            self.first_token_s = time.monotonic() - self.began
        if token == self.tokenizer.end_id:
            self.text += self.decoder.decode(b"", final=True)
            return self._finish("stop")
        self.n_tokens += 1
        self.text += self.decoder.decode(self.tokenizer.decode_bytes([token]))
        cut = self._stop_place()
        if cut is not None:
            self.text = self.text[:cut]
            return self._finish("stop")
        if self.n_tokens >= self.sampling.max_tokens or self.n_prompt_tokens + self.n_tokens >= self.max_seq_len:
            self.text += self.decoder.decode(b"", final=True)
            return self._finish("length")
        return self._show(len(self.text) - self._undecided())

    def cancel(self) -> None:
        """End here, because somebody else took the sequence out of the batch."""
        self.text += self.decoder.decode(b"", final=True)
        self._finish("cancelled")

    def _finish(self, reason: FinishReason) -> None:
        self.finish_reason = reason
        self._show(len(self.text))

    def _show(self, until: int) -> None:
        if self.on_text and until > self.shown:
            self.on_text(self.prompt, self.text[self.shown : until])
        self.shown = max(self.shown, until)

    def _stop_place(self) -> int | None:
        """Where the first stop string begins; only what is new can complete one."""
        longest = max(map(len, self.sampling.stop), default=0)
        start = max(0, self.shown - longest)
        places = [place for stop in self.sampling.stop if (place := self.text.find(stop, start)) >= 0]
        return min(places, default=None)

    def _undecided(self) -> int:
        """How many last characters may yet turn out to begin a stop string."""
        return max(
            (size for stop in self.sampling.stop for size in range(1, len(stop)) if self.text.endswith(stop[:size])),
            default=0,
        )

    def completion(self, model: str) -> Completion:
        """What was written."""
        assert self.finish_reason is not None
        return Completion(
            task_id=self.prompt.task_id,
            sample=self.prompt.sample,
            text=self.text,
            finish_reason=self.finish_reason,
            n_prompt_tokens=self.n_prompt_tokens,
            n_tokens=self.n_tokens,
            first_token_s=self.first_token_s,
            seconds=time.monotonic() - self.began,
            model=model,
            scores=tuple(self.scores[: self.n_tokens]),
        )


def _with_stops(sampling: Sampling, prompt: Prompt) -> Sampling:
    """The sampling with the prompt's own stop strings."""
    return replace(sampling, stop=(*sampling.stop, *prompt.stop)) if prompt.stop else sampling


def _advance(writers: list[_Writer], decoding: Decoding) -> tuple[list[int], list[_Writer], list[int]]:
    """Draw one token for each sequence: rows that go on, writers that are done, the tokens drawn."""
    logits = decoding.logits[:, : writers[0].tokenizer.vocab_size]  # a model may have rows that stand for no token
    chosen = [writer.choose(logits[row]) for row, writer in enumerate(writers)]
    for writer, token in zip(writers, chosen, strict=True):
        writer.write(token)
    alive = [row for row, writer in enumerate(writers) if writer.finish_reason is None]
    done = [writer for writer in writers if writer.finish_reason is not None]
    return alive, done, chosen


def _done(mine: dict[_Writer, Writing]) -> list[_Writer]:
    """Take the new tokens of each sequence; those that need no more."""
    done = []
    for writer, writing in mine.items():
        ended = writing.ended  # asked first: another thread may bring it to its end meanwhile
        tokens, scores = writing.take()
        writer.scores += scores
        for token in tokens:
            writer.write(token)
            if writer.finish_reason is not None:
                break
        if ended and writer.finish_reason is None:
            writer.cancel()
        if writer.finish_reason is not None:
            done.append(writer)
    return done


def require_prompt(text: str) -> str:
    """The text, if there is anything in it.

    Raises:
        PromptError: it is empty.
    """
    if not text.strip():
        raise PromptError("the prompt is empty", "say in words what the program should do, or name a file")
    return text
