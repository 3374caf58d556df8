"""Any causal language model of `transformers`: GPT-2 and GPT-Neo as the APPS authors used them, and all others.

Axes: B sequences of a batch, T tokens, V vocabulary.
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from tritcoder.baselines.prompting import apps_prompt, cut_at_stop, instruction, seed_of
from tritcoder.errors import MissingExtraError, ModelFileError, WorkFailedError
from tritcoder.protocols import OnText
from tritcoder.records import Completion, FinishReason, Likelihood, Prompt, Sampling
from tritcoder.tokenizer.template import shorten

if TYPE_CHECKING:
    from torch import Tensor

DEFAULT_BATCH = 8
DEFAULT_CONTEXT = 2048
"""Assumed for checkpoints that state no limit."""


def default_device() -> str:
    """`cuda` where torch finds one, else `cpu`."""
    try:
        import torch
    except ModuleNotFoundError:
        return "cpu"
    return "cuda" if torch.cuda.is_available() else "cpu"


class HFGenerator:
    """A checkpoint of `transformers`, from a directory or from the hub's cache; nothing is downloaded.

    A checkpoint with a chat template is told each problem with `prompting.instruction`; one without gets the APPS
    authors' form (`prompting.apps_prompt`). Code is given as it stands.
    """

    def __init__(self, path: str, device: str = "cpu", batch_size: int = DEFAULT_BATCH) -> None:
        """Load the checkpoint: in float32 on the CPU, elsewhere in the type it was saved in.

        Raises:
            MissingExtraError: transformers or torch is not installed.
            ModelFileError: there is no such checkpoint, or it is damaged.
        """
        self._path, self._device, self._batch_size = path, device, batch_size
        self._model, self._tokenizer = _load(path, device)
        ends = self._model.generation_config.eos_token_id
        ends = ends if isinstance(ends, list) else [ends, self._tokenizer.eos_token_id]
        self._ends = frozenset(end for end in ends if end is not None)
        stated = getattr(self._model.config.get_text_config(), "max_position_embeddings", None)
        self._context = int(stated or DEFAULT_CONTEXT)

    @property
    def name(self) -> str:
        """`hf:` and the path."""
        return f"hf:{self._path}"

    def generate(
        self, prompts: Iterable[Prompt], sampling: Sampling, on_text: OnText | None = None
    ) -> Iterator[Completion]:
        """Answer every prompt, batch by batch.

        Each text has its own random numbers, from the seed, the task and the sample. At most half of the context is
        written; a prompt too long for the rest loses its middle. Closing the iterator cancels the batches to come.

        Raises:
            PromptError: a prompt is empty, or a gap is to be filled.
            WorkFailedError: the model breaks down, for example because memory is full.
        """
        stream = iter(prompts)
        while batch := list(islice(stream, self._batch_size)):
            yield from self._generate_batch(batch, sampling, on_text)

    def _generate_batch(self, prompts: list[Prompt], sampling: Sampling, on_text: OnText | None) -> list[Completion]:
        n_new = min(sampling.max_tokens, max(1, self._context // 2))
        ids = [self._prompt_ids(prompt, self._context - n_new) for prompt in prompts]
        watch = _Watch(
            [_Row(prompt, len(own)) for prompt, own in zip(prompts, ids, strict=True)],
            self._tokenizer,
            self._ends,
            n_new,
            sampling.stop,
            on_text,
        )
        self._run(ids, n_new, sampling, prompts, watch)
        return [watch.completion(row, self.name) for row in watch.rows]

    def _run(
        self, ids: list[list[int]], n_new: int, sampling: Sampling, prompts: list[Prompt], watch: "_Watch"
    ) -> None:
        """Let `transformers` write; `watch` sees every token."""
        import torch

        padded, mask = _left_padded(ids, self._device)
        with _breakdowns(self.name), torch.inference_mode():
            self._model.generate(
                padded,
                attention_mask=mask,
                max_new_tokens=n_new,
                do_sample=False,
                num_beams=1,
                pad_token_id=0,
                logits_processor=_choice(sampling, [seed_of(sampling, prompt) for prompt in prompts]),
                stopping_criteria=[watch],
            )

    def _prompt_ids(self, prompt: Prompt, limit: int) -> list[int]:
        """Between 1 and `limit` token ids."""
        if self._tokenizer.chat_template and prompt.kind != "code":
            message = [{"role": "user", "content": instruction(prompt)}]
            text = self._tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True)
            ids = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        else:
            ids = self._tokenizer(apps_prompt(prompt))["input_ids"]
        if prompt.kind == "code":
            return list(ids[-limit:])
        return shorten(list(ids), limit)

    def likelihoods(self, pairs: Iterable[tuple[Prompt, str]]) -> Iterator[Likelihood]:
        """How probable each answer is, given its prompt; in order.

        The answer ends with one line break and the model's end of text. A prompt keeps at most half of the context;
        an answer too long for the rest is cut, and only what was scored is counted.

        Raises:
            PromptError: a prompt is empty, or a gap is to be filled.
            WorkFailedError: the model breaks down.
        """
        for prompt, answer in pairs:
            head = self._prompt_ids(prompt, max(1, self._context // 2))
            tail = list(self._tokenizer(answer.strip("\n") + "\n", add_special_tokens=False)["input_ids"])
            end = self._tokenizer.eos_token_id
            tail = (tail if end is None else [*tail, end])[: self._context - len(head)]
            text = self._tokenizer.decode(tail, skip_special_tokens=True, clean_up_tokenization_spaces=False)
            yield Likelihood(self._nats(head, tail), len(tail), len(text.encode("utf-8", "replace")), len(text))

    def _nats(self, head: list[int], tail: list[int]) -> float:
        import torch

        ids = torch.tensor([head + tail], device=self._device)
        with _breakdowns(self.name), torch.inference_mode():
            logits = self._model(ids).logits[0, len(head) - 1 : -1].float()
            return float(torch.nn.functional.cross_entropy(logits, ids[0, len(head) :], reduction="sum"))


def _load(path: str, device: str) -> tuple[Any, Any]:
    """Model and tokenizer."""
    try:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"hf:{path} needs {error.name}, which is not installed", "pip install 'tritcoder[baselines,train]'"
        ) from None
    kind = torch.float32 if device == "cpu" else "auto"
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
        model: Any = AutoModelForCausalLM.from_pretrained(path, local_files_only=True, dtype=kind)
        return model.to(device).eval(), tokenizer
    except Exception as error:  # a library's own kinds of error, for whatever is wrong with the files
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise ModelFileError(
            f"transformers cannot load {path} ({type(error).__name__}: {said})",
            "give a directory with config.json, weights and tokenizer, or fetch it first: hf download NAME",
        ) from error


@contextmanager
def _breakdowns(name: str) -> Iterator[None]:
    """Turn what a model may die of (memory, ids beyond its vocabulary) into one sentence."""
    try:
        yield
    except (RuntimeError, MemoryError, ValueError, IndexError) as error:
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise WorkFailedError(f"{name} broke down: {said}", "try fewer tokens, or another checkpoint") from error


def _left_padded(ids: list[list[int]], device: str) -> "tuple[Tensor, Tensor]":
    """Token ids (B, T) that end together, and 1 where they are real."""
    import torch

    longest = max(map(len, ids))
    rows = [[0] * (longest - len(own)) + own for own in ids]
    mask = [[0] * (longest - len(own)) + [1] * len(own) for own in ids]
    return torch.tensor(rows, device=device), torch.tensor(mask, device=device)


def _choice(sampling: Sampling, seeds: list[int]) -> "list[Any]":
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


@dataclass(slots=True)
class _Row:
    """One sequence of a batch, and what it has come to."""

    prompt: Prompt
    n_prompt_tokens: int
    ids: list[int] = field(default_factory=list)
    text: str = ""
    shown: int = 0
    finish_reason: FinishReason | None = None
    first_token_s: float = 0.0
    seconds: float = 0.0


class _Watch:
    """Sees each token as it is written, shows text, and says which rows are done.

    To `transformers` it is a stopping criterion: called once a step, it returns a bool for each row.
    """

    def __init__(
        self,
        rows: list[_Row],
        tokenizer: Any,
        ends: frozenset[int],
        n_new: int,
        stop: tuple[str, ...],
        on_text: OnText | None,
    ) -> None:
        self.rows = rows
        self._tokenizer, self._ends, self._n_new = tokenizer, ends, n_new
        self._stop, self._on_text = stop, on_text
        self._began = time.monotonic()

    def __call__(self, input_ids: "Tensor", scores: "Tensor", **_: Any) -> "Tensor":
        import torch

        for row, token in zip(self.rows, input_ids[:, -1].tolist(), strict=True):
            if row.finish_reason is None:
                self._take(row, token)
        done = [row.finish_reason is not None for row in self.rows]
        return torch.tensor(done, device=input_ids.device)

    def _take(self, row: _Row, token: int) -> None:
        row.seconds = time.monotonic() - self._began
        row.first_token_s = row.first_token_s or row.seconds
        if token in self._ends:
            return self._finish(row, "stop")
        row.ids.append(token)
        if self._stop or self._on_text:
            text = self._decode(row)
            if cut_at_stop(text, self._stop) != text:
                return self._finish(row, "stop")
            self._show(row, text[: len(text) - self._undecided(text)])
        return self._finish(row, "length") if len(row.ids) >= self._n_new else None

    def _finish(self, row: _Row, reason: FinishReason) -> None:
        row.finish_reason = reason
        row.text = cut_at_stop(self._decode(row), self._stop)
        self._show(row, row.text)

    def _decode(self, row: _Row) -> str:
        text: str = self._tokenizer.decode(row.ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    def _show(self, row: _Row, text: str) -> None:
        if self._on_text and len(text) > row.shown:
            self._on_text(row.prompt, text[row.shown :])
            row.shown = len(text)

    def _undecided(self, text: str) -> int:
        """How many last characters may yet change: half of a character, or the beginning of a stop string."""
        half = len(text) - len(text.rstrip("\ufffd"))
        starts = (n for stop in self._stop for n in range(1, len(stop)) if text.endswith(stop[:n]))
        return max(half, max(starts, default=0))

    def completion(self, row: _Row, model: str) -> Completion:
        """What a row was answered with."""
        assert row.finish_reason is not None
        return Completion(
            task_id=row.prompt.task_id,
            sample=row.prompt.sample,
            text=row.text,
            finish_reason=row.finish_reason,
            n_prompt_tokens=row.n_prompt_tokens,
            n_tokens=len(row.ids),
            first_token_s=row.first_token_s,
            seconds=row.seconds,
            model=model,
        )
