"""Any causal language model of `transformers`: GPT-2 and GPT-Neo as the APPS authors used them, and all others."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from tritcoder.baselines.checkpoint import HFSettings, load_checkpoint
from tritcoder.baselines.prompting import apps_prompt, authors_text, instruction, seed_of
from tritcoder.baselines.writing import BeamEnds, Row, Watch, choice, decode, left_padded, take_best_beam
from tritcoder.errors import WorkFailedError
from tritcoder.protocols import OnText
from tritcoder.records import Completion, Likelihood, Prompt, Sampling
from tritcoder.tokenizer.template import shorten

DEFAULT_CONTEXT = 2048
"""Assumed for checkpoints that state no limit."""
AUTHORS_LENGTH = 1023
"""Most tokens of prompt and answer together in the authors' recipe: their script takes 1024, minus the batch of 1."""
WINDOW = 16
"""So many batches of prompts are read ahead and sorted by length, so that little of a batch is padding."""


class HFGenerator:
    """A checkpoint of `transformers`, from a directory or from the hub's cache; nothing is downloaded.

    A checkpoint with a chat template is told each problem with `prompting.instruction`; one without gets the APPS
    authors' form (`prompting.apps_prompt`). Code is given as it stands.
    """

    def __init__(self, path: str, settings: HFSettings = HFSettings()) -> None:  # noqa: B008 - frozen
        """Load the checkpoint.

        Raises:
            MissingExtraError: transformers or torch is not installed.
            ModelFileError: there is no such checkpoint, it is damaged, or it has no tokenizer.
            ConfigError: a GPU is asked for that is not there.
        """
        self._path, self._settings, self._batch = path, settings, settings.batch
        checkpoint = load_checkpoint(path, settings)
        self._model, self._tokenizer, self._device = checkpoint.network, checkpoint.tokenizer, checkpoint.device
        ends = self._model.generation_config.eos_token_id
        ends = ends if isinstance(ends, list) else [ends, self._tokenizer.eos_token_id]
        self._ends = frozenset(end for end in ends if end is not None)
        stated = getattr(self._model.config.get_text_config(), "max_position_embeddings", None)
        self._context = int(stated or DEFAULT_CONTEXT)
        self._model.register_forward_pre_hook(self._stay_in_context, with_kwargs=True)

    def _stay_in_context(self, _: Any, given: Any, named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Hold positions below the context: rows that are done are read on, for the sake of the others."""
        positions = named.get("position_ids")
        return given, named if positions is None else {
            **named,
            "position_ids": positions.clamp(max=self._context - 1),
        }

    @property
    def name(self) -> str:
        """`hf:`, the path, and the settings that are not the default."""
        query = self._settings.query
        return f"hf:{self._path}?{query}" if query else f"hf:{self._path}"

    def generate(
        self, prompts: Iterable[Prompt], sampling: Sampling, on_text: OnText | None = None
    ) -> Iterator[Completion]:
        """Answer every prompt, batch by batch; within some batches the longest prompt first.

        Each text has its own random numbers, from the seed, the task and the sample. At most half of the context is
        written; a prompt too long for the rest loses its middle. Closing the iterator cancels the batches to come.

        Beams find the likeliest text: of the sampling they heed `max_tokens` and `stop` alone, the samples of a task
        are all the same, and text is shown when it is whole. By the authors' recipe prompt and answer have 1023
        tokens together, and a prompt that leaves no room gets no answer; `max_tokens=1023` leaves their room whole.

        Raises:
            PromptError: a prompt is empty, or a gap is to be filled.
            WorkFailedError: the model breaks down, for example because memory is full.
        """
        stream = iter(prompts)
        ahead = 1 if on_text else WINDOW
        while window := list(islice(stream, self._batch * ahead)):
            rows = [self._row(prompt, sampling) for prompt in window]
            yield from (self._too_long(row) for row in rows if row.n_new < 1)
            rows = sorted((row for row in rows if row.n_new > 0), key=lambda row: -len(row.prompt_ids))
            while rows:
                batch, rows = rows[: self._batch], rows[self._batch :]
                self._write(batch, sampling, on_text)
                yield from (row.completion(self.name) for row in batch)

    def _row(self, prompt: Prompt, sampling: Sampling) -> Row:
        """A prompt with its ids and the room that is left for its answer (none: it is too long)."""
        stop = (*sampling.stop, *prompt.stop)
        if self._settings.recipe == "authors":
            ids = self._all_ids(prompt)
            room = min(AUTHORS_LENGTH, self._context) - len(ids)
            return Row(prompt, ids, min(sampling.max_tokens, room), stop)
        n_new = min(sampling.max_tokens, max(1, self._context // 2))
        return Row(prompt, self._prompt_ids(prompt, self._context - n_new), n_new, stop)

    def _too_long(self, row: Row) -> Completion:
        n_tokens = len(row.prompt_ids)
        said = f"the prompt has {n_tokens} tokens, which by the authors' recipe leaves no room for an answer"
        return Completion(row.prompt.task_id, row.prompt.sample, "", "error", n_tokens, model=self.name, error=said)

    def _write(self, rows: list[Row], sampling: Sampling, on_text: OnText | None) -> None:
        """Write a batch; where memory does not hold it, its halves, and smaller batches from then on."""
        import torch

        for row in rows:
            row.begin()
        is_full = False
        with _breakdowns(self.name), torch.inference_mode():
            try:
                (self._search if self._settings.n_beams > 1 else self._draw)(rows, sampling, on_text)
            except torch.OutOfMemoryError:
                if len(rows) == 1:
                    raise
                is_full = True
        if is_full:  # out of the handler, whose error keeps the tensors of the failed batch
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            half = (len(rows) + 1) // 2
            self._batch = min(self._batch, half)
            self._write(rows[:half], sampling, on_text)
            self._write(rows[half:], sampling, on_text)

    def _draw(self, rows: list[Row], sampling: Sampling, on_text: OnText | None) -> None:
        """Let `transformers` write token by token; `Watch` sees every one."""
        padded, mask = left_padded([row.prompt_ids for row in rows], self._device)
        self._model.generate(
            padded,
            attention_mask=mask,
            max_new_tokens=max(row.n_new for row in rows),
            do_sample=False,
            num_beams=1,
            pad_token_id=0,
            logits_processor=choice(sampling, [seed_of(sampling, row.prompt) for row in rows]),
            stopping_criteria=[Watch(rows, self._tokenizer, self._ends, on_text)],
        )
        self._touch_up(rows)

    def _search(self, rows: list[Row], sampling: Sampling, on_text: OnText | None) -> None:
        """Let `transformers` search with beams; a row ends when as many answers as beams are found."""
        began = time.monotonic()
        padded, mask = left_padded([row.prompt_ids for row in rows], self._device)
        n_read = padded.shape[1]
        found = self._model.generate(
            padded,
            attention_mask=mask,
            max_new_tokens=max(row.n_new for row in rows),
            do_sample=False,
            num_beams=self._settings.n_beams,
            early_stopping=True,
            length_penalty=1.0,
            eos_token_id=sorted(self._ends) or None,
            pad_token_id=min(self._ends, default=0),
            stopping_criteria=[BeamEnds(rows, self._tokenizer, n_read)],
        )
        seconds = time.monotonic() - began
        for row, ids in zip(rows, found[:, n_read:].tolist(), strict=True):
            take_best_beam(row, ids, self._tokenizer, self._ends)
            row.first_token_s = row.seconds = seconds
        self._touch_up(rows)
        for row in rows:
            row.show(row.text, on_text)

    def _touch_up(self, rows: list[Row]) -> None:
        if self._settings.recipe == "authors":
            for row in rows:
                row.text = authors_text(row.text)

    def _all_ids(self, prompt: Prompt) -> list[int]:
        if self._tokenizer.chat_template and prompt.kind != "code":
            message = [{"role": "user", "content": instruction(prompt)}]
            text = self._tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True)
            return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])
        return list(self._tokenizer(apps_prompt(prompt))["input_ids"])

    def _prompt_ids(self, prompt: Prompt, limit: int) -> list[int]:
        """Between 1 and `limit` token ids."""
        ids = self._all_ids(prompt)
        return ids[-limit:] if prompt.kind == "code" else shorten(ids, limit)

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
            text = decode(self._tokenizer, tail)
            yield Likelihood(self._nats(head, tail), len(tail), len(text.encode("utf-8", "replace")), len(text))

    def _nats(self, head: list[int], tail: list[int]) -> float:
        import torch

        ids = torch.tensor([head + tail], device=self._device)
        with _breakdowns(self.name), torch.inference_mode():
            logits = self._model(ids).logits[0, len(head) - 1 : -1].float()
            return float(torch.nn.functional.cross_entropy(logits, ids[0, len(head) :], reduction="sum"))


@contextmanager
def _breakdowns(name: str) -> Iterator[None]:
    """Turn what a model may die of (memory, ids beyond its vocabulary) into one sentence."""
    try:
        yield
    except (RuntimeError, MemoryError, ValueError, IndexError) as error:
        said = " ".join(str(error).split())[:200] or type(error).__name__
        hint = "try fewer tokens, fewer beams (?beams=1) or a smaller type (?dtype=bfloat16), or another checkpoint"
        raise WorkFailedError(f"{name} broke down: {said}", hint) from error
