"""Rows of a batch while `transformers` writes them: drawn token by token, or searched with beams.

Axes: B sequences of a batch, T tokens, V vocabulary.
"""

import time
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from tritcoder.baselines.prompting import cut_at_stop, undecided
from tritcoder.protocols import OnText
from tritcoder.records import Completion, FinishReason, Prompt, Sampling

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(slots=True)
class Row:
    """One sequence of a batch, and what it has come to."""

    prompt: Prompt
    prompt_ids: list[int]
    n_new: int
    """Room for the answer, in tokens."""
    stop: tuple[str, ...] = ()
    ids: list[int] = field(default_factory=list)
    text: str = ""
    shown: int = 0
    finish_reason: FinishReason | None = None
    first_token_s: float = 0.0
    seconds: float = 0.0

    def begin(self) -> None:
        """Forget what was written, but not what was shown: the batch is written anew."""
        self.ids, self.text, self.finish_reason = [], "", None
        self.first_token_s = self.seconds = 0.0

    def show(self, text: str, on_text: OnText | None) -> None:
        """Show what of the text so far has not been shown."""
        if on_text and len(text) > self.shown:
            on_text(self.prompt, text[self.shown :])
            self.shown = len(text)

    def completion(self, model: str) -> Completion:
        """What the row was answered with."""
        assert self.finish_reason is not None
        return Completion(
            task_id=self.prompt.task_id,
            sample=self.prompt.sample,
            text=self.text,
            finish_reason=self.finish_reason,
            n_prompt_tokens=len(self.prompt_ids),
            n_tokens=len(self.ids),
            first_token_s=self.first_token_s,
            seconds=self.seconds,
            model=model,
        )


def decode(tokenizer: Any, ids: list[int]) -> str:
    """The text of token ids, without special tokens, and with every space where it was."""
    text: str = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return text


def left_padded(ids: list[list[int]], device: str) -> "tuple[Tensor, Tensor]":
    """Token ids (B, T) that end together, and 1 where they are real."""
    import torch

    longest = max(map(len, ids))
    rows = [[0] * (longest - len(own)) + own for own in ids]
    mask = [[0] * (longest - len(own)) + [1] * len(own) for own in ids]
    return torch.tensor(rows, device=device), torch.tensor(mask, device=device)


def choice(sampling: Sampling, seeds: list[int]) -> "list[Any]":
    """Logits processors after which the largest logit is the token to take.

    Temperature, then the `top_k` likeliest, then the nucleus; then noise -ln(-ln u) is added, u uniform in (0, 1):
    the largest of such sums is a draw from the softmax (the Gumbel-max trick), and each row has its own u.
    """
    if sampling.temperature == 0:
        return []
    from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    chain: list[Any] = [TemperatureLogitsWarper(sampling.temperature)] if sampling.temperature != 1 else []
    if sampling.top_k:
        chain.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        chain.append(TopPLogitsWarper(sampling.top_p))
    return [*chain, _GumbelNoise(seeds)]


class _GumbelNoise:
    """Adds to each row's logits noise of its own."""

    def __init__(self, seeds: list[int]) -> None:
        import torch

        self._sources = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: "Tensor", scores: "Tensor") -> "Tensor":
        import torch

        uniform = torch.stack(
            [torch.rand(scores.shape[-1], generator=source, dtype=torch.float64) for source in self._sources]
        )
        noise = -torch.log(-torch.log(uniform.clamp(min=1e-300, max=1 - 2**-53)))
        return (scores.double() + noise.to(scores.device)).to(torch.float64)


class Watch:
    """Sees each token as it is drawn, shows text, and says which rows are done.

    To `transformers` it is a stopping criterion: called once a step, it returns a bool for each row.
    """

    def __init__(self, rows: list[Row], tokenizer: Any, ends: frozenset[int], on_text: OnText | None) -> None:
        self._rows, self._tokenizer, self._ends, self._on_text = rows, tokenizer, ends, on_text
        self._began = time.monotonic()

    def __call__(self, input_ids: "Tensor", scores: "Tensor", **_: Any) -> "Tensor":
        """Take the last token of each row; true where a row is done."""
        import torch

        for row, token in zip(self._rows, input_ids[:, -1].tolist(), strict=True):
            if row.finish_reason is None:
                self._take(row, token)
        return torch.tensor([row.finish_reason is not None for row in self._rows], device=input_ids.device)

    def _take(self, row: Row, token: int) -> None:
        row.seconds = time.monotonic() - self._began
        row.first_token_s = row.first_token_s or row.seconds
        if token in self._ends:
            return self._finish(row, "stop")
        row.ids.append(token)
        if row.stop or self._on_text:
            text = decode(self._tokenizer, row.ids)
            if cut_at_stop(text, row.stop) != text:
                return self._finish(row, "stop")
            row.show(text[: len(text) - undecided(text, row.stop)], self._on_text)
        return self._finish(row, "length") if len(row.ids) >= row.n_new else None

    def _finish(self, row: Row, reason: FinishReason) -> None:
        row.finish_reason = reason
        row.text = cut_at_stop(decode(self._tokenizer, row.ids), row.stop)
        row.show(row.text, self._on_text)


class BeamEnds:
    """Ends a beam where its row's room or text ends; the model's own end is seen to by `transformers`.

    To `transformers` it is a stopping criterion: a beam for which it returns true has become an answer, and competes
    with the others by its mean log-probability, stop string included.
    """

    def __init__(self, rows: list[Row], tokenizer: Any, n_read: int) -> None:
        """Watch over a batch.

        Args:
            rows: the batch.
            tokenizer: turns ids into text.
            n_read: length of the padded prompts, in tokens.
        """
        self._rows, self._tokenizer, self._n_read = rows, tokenizer, n_read
        # Each token that is no special one stands for a byte at least, so this tail holds any stop string whole.
        self._tails = [max((len(stop.encode()) for stop in row.stop), default=0) + 8 for row in rows]

    def __call__(self, input_ids: "Tensor", scores: "Tensor", **_: Any) -> "Tensor":
        """True for each beam, those of one row together, that is an answer now."""
        import torch

        n_each = len(input_ids) // len(self._rows)
        written = input_ids[:, self._n_read :].tolist()
        done = [self._is_done(place // n_each, ids) for place, ids in enumerate(written)]
        return torch.tensor(done, device=input_ids.device)

    def _is_done(self, place: int, ids: list[int]) -> bool:
        row = self._rows[place]
        if len(ids) >= row.n_new:
            return True
        if not row.stop:
            return False
        text = decode(self._tokenizer, ids[-self._tails[place] :])
        return any(stop in text for stop in row.stop)


def take_best_beam(row: Row, ids: list[int], tokenizer: Any, ends: frozenset[int]) -> None:
    """Give a row the answer that beam search has found for it.

    Args:
        row: gets ids, text and finish reason.
        ids: what follows the prompt; padded, with the model's end or with -1.
        tokenizer: turns ids into text.
        ends: the model's ends.
    """
    room = ids[: row.n_new]
    row.ids = list(takewhile(lambda token: token not in ends and token >= 0, room))
    whole = decode(tokenizer, row.ids)
    row.text = cut_at_stop(whole, row.stop)
    row.finish_reason = "stop" if len(row.ids) < len(room) or row.text != whole else "length"
