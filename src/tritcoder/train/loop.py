"""The training loop: one for pre-training and fine-tuning, ternary and twin."""

import contextlib
import math
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from tritcoder.data.batch import IGNORED, BatchSource
from tritcoder.errors import InterruptedRunError, TrainingError
from tritcoder.train import checkpoint
from tritcoder.train.config import TrainConfig
from tritcoder.train.held_out import Evaluate, Forward, batch_loss
from tritcoder.train.metrics import MetricsLog
from tritcoder.train.optim import Optimizers

COMPILE_FROM_TOKENS = 4_000_000
"""Below this many tokens compiling costs more than it saves."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a training stands, after a step."""

    step: int
    steps: int
    tokens: int
    loss: float
    tokens_per_second: float
    seconds_left: float


OnProgress = Callable[[Progress], None]


def train(
    model: nn.Module,
    source: BatchSource,
    config: TrainConfig,
    directory: Path,
    fingerprint: str,
    *,
    evaluate: Evaluate | None = None,
    on_progress: OnProgress | None = None,
) -> None:
    """Train `model` in place, from the newest checkpoint in `directory` if there is one.

    Writes `checkpoints/` and `metrics.jsonl`. On one machine a resumed run equals an unbroken one bit for bit.

    Args:
        model: ids (B, T) and segments in, logits (B, T, V) out.
        source: batches as a function of the step.
        config: how long, how fast.
        directory: of this training alone.
        fingerprint: of all that decides the result; a checkpoint of another run is refused.
        evaluate: measures held-out data every `config.evaluate_every` steps and at the end.
        on_progress: called after every step.

    Raises:
        InterruptedRunError: SIGINT or SIGTERM; the last step is saved.
        TrainingError: the loss is no longer finite; nothing of that step is saved.
        StorageError: the disk is full.
    """
    optimizers = Optimizers(model, config)
    start = checkpoint.resume(directory / "checkpoints", model, optimizers, fingerprint)
    log = MetricsLog(directory / "metrics.jsonl", start)
    loop = _Loop(model, source, config, optimizers, log, evaluate)
    try:
        if start and not log.evaluated:  # the run was killed between saving and measuring
            loop.evaluate_when_due(start)
        with _stop_signals() as stopped:
            for step in range(start, config.steps):
                progress = loop.step(step, step - start)
                if on_progress:
                    on_progress(progress)
                done = step + 1
                if stopped or done == config.steps or done % config.checkpoint_every == 0:
                    checkpoint.save(
                        directory / "checkpoints", done, model, optimizers, fingerprint, config.keep_checkpoints
                    )
                if stopped:
                    raise InterruptedRunError(
                        f"stopped by {stopped[0]} after step {done} of {config.steps}; everything is saved",
                        "give the same command again to go on from there",
                    )
                loop.evaluate_when_due(done)  # after saving: what goes wrong here costs no step
    finally:
        log.close()


class _Loop:
    """The state of a training that lives as long as the process."""

    def __init__(
        self,
        model: nn.Module,
        source: BatchSource,
        config: TrainConfig,
        optimizers: Optimizers,
        log: MetricsLog,
        evaluate: Evaluate | None,
    ) -> None:
        self.model, self.source, self.config, self.optimizers = model, source, config, optimizers
        self.log, self.evaluate = log, evaluate
        self.dtype = compute_dtype(config.precision)
        self.forward: Forward = torch.compile(model) if should_compile(config) else model
        self.began = time.monotonic()

    def step(self, step: int, steps_here: int) -> Progress:
        config = self.config
        self.model.train()
        loss = self._accumulate(step)
        norm = float(nn.utils.clip_grad_norm_(self.model.parameters(), config.clip))
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise TrainingError(
                f"the loss is not finite at step {step + 1} (loss {loss}, gradient norm {norm})",
                "the checkpoint before it is whole: give the same command with a lower lr and matrix_lr in a new run",
            )
        lr = self.optimizers.step(step)
        seconds = time.monotonic() - self.began
        rate = (steps_here + 1) * config.tokens_per_step / seconds
        tokens = (step + 1) * config.tokens_per_step
        row = {"step": step + 1, "tokens": tokens, "loss": loss, "lr": lr, "grad_norm": norm}
        self.log.write(row | {"tokens_per_second": round(rate, 1), "seconds": round(seconds, 3)})
        left = (config.steps - step - 1) * config.tokens_per_step / rate
        return Progress(step + 1, config.steps, tokens, loss, rate, left)

    def _accumulate(self, step: int) -> float:
        """Gradients of the mean loss over all target tokens of the step; returns that mean, in nats."""
        config = self.config
        batches = [
            self.source.batch(step * config.accumulate + part, config.batch_size) for part in range(config.accumulate)
        ]
        count = max(1, sum(int((batch.targets != IGNORED).sum()) for batch in batches))
        total = 0.0
        for batch in batches:
            with autocast(self.dtype):
                loss: Tensor = batch_loss(self.forward, batch) / count
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.item()
        return total

    def evaluate_when_due(self, done: int) -> None:
        every = self.config.evaluate_every
        if self.evaluate is None or not (done == self.config.steps or (every and done % every == 0)):
            return
        self.model.eval()
        with torch.no_grad(), autocast(self.dtype):
            measured = self.evaluate(self.forward)
        self.log.write({"step": done, "tokens": done * self.config.tokens_per_step} | measured)


def compute_dtype(precision: str) -> torch.dtype | None:
    """The dtype of matrix products, or None for float32."""
    if precision == "float32":
        return None
    has_bf16 = (
        torch.cuda.is_available() or torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    )
    return torch.bfloat16 if precision == "bfloat16" or has_bf16 else None


def autocast(dtype: torch.dtype | None) -> contextlib.AbstractContextManager[object]:
    """Run matrix products in `dtype`; None changes nothing."""
    return torch.autocast("cpu", dtype) if dtype else contextlib.nullcontext()


def should_compile(config: TrainConfig) -> bool:
    """Whether torch.compile is asked for, or pays: a long run, and a C++ compiler to compile with."""
    if config.compile != "auto":
        return config.compile == "on"
    return config.tokens >= COMPILE_FROM_TOKENS and shutil.which("g++") is not None


@contextlib.contextmanager
def _stop_signals() -> Iterator[list[str]]:
    """A list that holds a signal's name once SIGINT or SIGTERM arrived; a second one acts at once."""
    arrived: list[str] = []
    if threading.current_thread() is not threading.main_thread():
        yield arrived
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, _frame: object) -> None:
        arrived.append(signal.Signals(number).name)
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, note)
    try:
        yield arrived
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
