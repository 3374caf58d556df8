"""What a step computes, and that stopping anywhere loses nothing."""

import json
import math
import os
import signal
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tritcoder.data.batch import IGNORED, Batch, BatchSource
from tritcoder.data.shards import TokenShards, TokenWindows, write_shards
from tritcoder.errors import InterruptedRunError, StorageError, TrainingError
from tritcoder.model.transformer import Transformer
from tritcoder.ternary.shape import ModelConfig, Quantization
from tritcoder.tokenizer.bpe import Tokenizer
from tritcoder.train.config import TrainConfig
from tritcoder.train.held_out import Forward, batch_loss
from tritcoder.train.loop import Progress, should_compile, train
from tritcoder.train.schedule import lr_share

CONFIG = TrainConfig(
    steps=6,
    seq_len=6,
    batch_size=2,
    lr=0.05,
    matrix_lr=0.05,
    precision="float32",
    checkpoint_every=2,
    weight_decay=0.1,
)
FLOAT32_TOLERANCE = 1e-5
TIMINGS = {"tokens_per_second", "seconds"}
PRINT = "ffffffffffffffff"

MakeModel = Callable[[], nn.Module]


def weights(model: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters()]


def rows_of(directory: Path) -> list[dict[str, Any]]:
    """The metrics log, but for what the clock says."""
    lines = (directory / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [{key: value for key, value in json.loads(line).items() if key not in TIMINGS} for line in lines]


def assert_equal_runs(directory: Path, model: nn.Module, other: Path, unbroken: nn.Module) -> None:
    assert rows_of(directory) == rows_of(other)
    for found, expected in zip(weights(model), weights(unbroken), strict=True):
        assert torch.equal(found, expected)


class Fixed:
    """One batch for ever."""

    def __init__(self, batch: Batch) -> None:
        self.seq_len, self._batch = batch.inputs.shape[1], batch

    def batch(self, step: int, size: int, rank: int = 0, ranks: int = 1) -> Batch:
        """See BatchSource."""
        return self._batch


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_accumulating_equals_a_larger_batch(
    make_model: MakeModel, source: BatchSource, tmp_path: Path, optimizer: str
) -> None:
    large = replace(CONFIG, batch_size=4, optimizer=optimizer)  # type: ignore[arg-type]
    models = {accumulate: make_model() for accumulate in (1, 2, 4)}
    for accumulate, model in models.items():
        config = replace(large, batch_size=4 // accumulate, accumulate=accumulate)
        train(model, source, config, tmp_path / str(accumulate), PRINT)
    for accumulate in (2, 4):
        for found, expected in zip(weights(models[accumulate]), weights(models[1]), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
        for row, other in zip(rows_of(tmp_path / str(accumulate)), rows_of(tmp_path / "1"), strict=True):
            assert row == pytest.approx(other, rel=1e-4)


def test_the_loss_is_the_mean_over_targets_alone(make_model: MakeModel, source: BatchSource, tmp_path: Path) -> None:
    batch = source.batch(0, 2)
    with torch.no_grad():
        log_probs = make_model()(torch.from_numpy(batch.inputs)).log_softmax(-1)
    wanted = [
        -float(log_probs[row, place, target])
        for row in range(2)
        for place, target in enumerate(batch.targets[row].tolist())
        if target != IGNORED
    ]
    assert 0 < len(wanted) < batch.targets.size
    train(make_model(), source, replace(CONFIG, steps=1), tmp_path, PRINT)
    assert rows_of(tmp_path)[0]["loss"] == pytest.approx(sum(wanted) / len(wanted), rel=FLOAT32_TOLERANCE)


def test_what_stands_at_a_masked_target_does_not_count(model: nn.Module) -> None:
    ids = np.array([[1, 2, 3, 4, 5, 6]])
    masked = np.array([[2, 3, IGNORED, IGNORED, IGNORED, IGNORED]])
    changed = ids.copy()
    changed[0, 2:] = 9
    assert torch.equal(batch_loss(model, Batch(ids, masked)), batch_loss(model, Batch(changed, masked)))


def test_a_step_without_any_target_moves_nothing_to_nan(model: nn.Module, tmp_path: Path) -> None:
    nothing = Batch(np.ones((2, 6), np.int64), np.full((2, 6), IGNORED))
    train(model, Fixed(nothing), replace(CONFIG, steps=2, weight_decay=0.0), tmp_path, PRINT)
    assert [row["loss"] for row in rows_of(tmp_path)] == [0.0, 0.0]
    assert all(torch.isfinite(weight).all() for weight in weights(model))


def test_segments_reach_the_model(tmp_path: Path) -> None:
    seen: list[list[int]] = []

    class Watching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(4, 4)

        def forward(self, ids: Tensor, segments: Tensor | None = None) -> Tensor:
            assert segments is not None
            seen.extend(segments.tolist())
            logits: Tensor = self.embedding(ids)
            return logits

    batch = Batch(np.ones((1, 3), np.int64), np.ones((1, 3), np.int64), np.array([[1, 1, 2]]))
    train(Watching(), Fixed(batch), replace(CONFIG, steps=1, batch_size=1), tmp_path, PRINT)
    assert seen == [[1, 1, 2]]


def test_gradients_are_clipped_and_logged_unclipped(
    make_model: MakeModel, source: BatchSource, tmp_path: Path
) -> None:
    model = make_model()
    batch = source.batch(0, 2)
    (batch_loss(model, batch) / int((batch.targets != IGNORED).sum())).backward()  # type: ignore[no-untyped-call]
    norm = math.sqrt(sum(float(p.grad.square().sum()) for p in model.parameters() if p.grad is not None))
    for clip in (0.01, 100.0):
        train(make_model(), source, replace(CONFIG, steps=1, clip=clip), tmp_path / str(clip), PRINT)
        assert rows_of(tmp_path / str(clip))[0]["grad_norm"] == pytest.approx(norm, rel=FLOAT32_TOLERANCE)


def test_log_and_progress_tell_every_step(model: nn.Module, source: BatchSource, tmp_path: Path) -> None:
    told: list[Progress] = []
    train(model, source, CONFIG, tmp_path, PRINT, on_progress=told.append)
    rows = rows_of(tmp_path)
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [row["tokens"] for row in rows] == [12, 24, 36, 48, 60, 72]
    assert [row["lr"] for row in rows] == [CONFIG.lr * lr_share(CONFIG, step) for step in range(6)]
    assert [(one.step, one.steps, one.tokens, one.loss) for one in told] == [
        (row["step"], 6, row["tokens"], row["loss"]) for row in rows
    ]
    assert told[-1].seconds_left == 0


class PoisonedAfter(nn.Module):
    """A model whose output, and so its loss, is no number from some call on."""

    def __init__(self, inner: nn.Module, calls: int) -> None:
        super().__init__()
        self.inner, self.calls = inner, calls

    def forward(self, ids: Tensor, segments: Tensor | None = None) -> Tensor:
        """As `inner`, for a while."""
        self.calls -= 1
        logits: Tensor = self.inner(ids, segments)
        return logits if self.calls >= 0 else logits * math.nan


def test_a_loss_that_is_not_finite_ends_the_run_and_saves_nothing_of_its_step(
    make_model: MakeModel, source: BatchSource, tmp_path: Path
) -> None:
    model = PoisonedAfter(make_model(), calls=3)
    with pytest.raises(TrainingError, match="not finite at step 4"):
        train(model, source, CONFIG, tmp_path, PRINT)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000002.pt"]
    assert [row["step"] for row in rows_of(tmp_path)] == [1, 2, 3]
    assert all(torch.isfinite(weight).all() for weight in weights(model))


def interrupted(name: signal.Signals, at_step: int) -> Callable[[Progress], None]:
    def on_progress(progress: Progress) -> None:
        if progress.step == at_step:
            os.kill(os.getpid(), name)

    return on_progress


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("at_step", [1, 3, 6])
def test_a_signal_ends_the_step_saves_it_and_is_reported(
    make_model: MakeModel, source: BatchSource, tmp_path: Path, name: signal.Signals, at_step: int
) -> None:
    unbroken, model = make_model(), make_model()
    train(unbroken, source, CONFIG, tmp_path / "unbroken", PRINT)
    before = signal.getsignal(name)
    with pytest.raises(InterruptedRunError, match=f"stopped by {name.name} after step {at_step} of 6"):
        train(model, source, CONFIG, tmp_path / "run", PRINT, on_progress=interrupted(name, at_step))
    assert signal.getsignal(name) is before
    again = make_model()
    told: list[Progress] = []
    train(again, source, CONFIG, tmp_path / "run", PRINT, on_progress=told.append)
    assert [one.step for one in told] == list(range(at_step + 1, 7))
    assert_equal_runs(tmp_path / "run", again, tmp_path / "unbroken", unbroken)


def test_a_second_signal_acts_at_once(model: nn.Module, source: BatchSource, tmp_path: Path) -> None:
    def on_progress(progress: Progress) -> None:
        if progress.step == 3:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    # A shell starts what runs in its background with SIGINT ignored, the tests too.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            train(model, source, CONFIG, tmp_path, PRINT, on_progress=on_progress)
    finally:
        signal.signal(signal.SIGINT, before)


def test_training_outside_the_main_thread_leaves_signals_alone(
    make_model: MakeModel, source: BatchSource, tmp_path: Path
) -> None:
    unbroken, model = make_model(), make_model()
    train(unbroken, source, CONFIG, tmp_path / "unbroken", PRINT)
    thread = threading.Thread(target=train, args=(model, source, CONFIG, tmp_path / "run", PRINT))
    thread.start()
    thread.join()
    assert_equal_runs(tmp_path / "run", model, tmp_path / "unbroken", unbroken)


class Measure:
    """An evaluation that the electricity fails at, once."""

    def __init__(self, fail_at: int = 0) -> None:
        self.calls, self.fail_at = 0, fail_at

    def __call__(self, model: Forward) -> dict[str, float]:
        """See Evaluate."""
        assert isinstance(model, nn.Module)
        assert not model.training
        assert not torch.is_grad_enabled()
        self.calls += 1
        if self.calls == self.fail_at:
            raise KeyboardInterrupt
        return {"held_out_loss": float(next(model.parameters()).sum())}


def test_held_out_data_is_measured_when_due_and_at_the_end(
    model: nn.Module, source: BatchSource, tmp_path: Path
) -> None:
    config = replace(CONFIG, steps=5, evaluate_every=2)
    train(model, source, config, tmp_path, PRINT, evaluate=Measure())
    measured = [row for row in rows_of(tmp_path) if "held_out_loss" in row]
    assert [(row["step"], row["tokens"]) for row in measured] == [(2, 24), (4, 48), (5, 60)]
    assert measured[-1]["held_out_loss"] == float(next(model.parameters()).detach().sum())


@pytest.mark.parametrize("fail_at", [1, 2, 3])
def test_a_run_killed_while_it_measures_loses_no_measurement(
    make_model: MakeModel, source: BatchSource, tmp_path: Path, fail_at: int
) -> None:
    config = replace(CONFIG, evaluate_every=2)
    unbroken, again = make_model(), make_model()
    train(unbroken, source, config, tmp_path / "unbroken", PRINT, evaluate=Measure())
    with pytest.raises(KeyboardInterrupt):
        train(make_model(), source, config, tmp_path / "run", PRINT, evaluate=Measure(fail_at))
    train(again, source, config, tmp_path / "run", PRINT, evaluate=Measure())
    assert_equal_runs(tmp_path / "run", again, tmp_path / "unbroken", unbroken)


def test_a_full_disk_loses_nothing_but_the_steps_since_the_last_checkpoint(
    make_model: MakeModel,
    source: BatchSource,
    tmp_path: Path,
    disk_with_room: Callable[[int], AbstractContextManager[None]],
) -> None:
    unbroken, again = make_model(), make_model()
    train(unbroken, source, CONFIG, tmp_path / "unbroken", PRINT)
    with pytest.raises(InterruptedRunError):
        train(make_model(), source, CONFIG, tmp_path / "run", PRINT, on_progress=interrupted(signal.SIGTERM, 3))
    with disk_with_room(2000), pytest.raises(StorageError, match="no space left"):
        train(make_model(), source, CONFIG, tmp_path / "run", PRINT)
    names = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert names == ["step-00000002.pt", "step-00000003.pt"]
    train(again, source, CONFIG, tmp_path / "run", PRINT)
    assert_equal_runs(tmp_path / "run", again, tmp_path / "unbroken", unbroken)


def test_a_finished_run_is_not_run_again(make_model: MakeModel, source: BatchSource, tmp_path: Path) -> None:
    model, again = make_model(), make_model()
    train(model, source, CONFIG, tmp_path, PRINT)
    before = rows_of(tmp_path)
    train(again, source, CONFIG, tmp_path, PRINT, on_progress=lambda progress: pytest.fail("it ran a step"))
    assert rows_of(tmp_path) == before
    assert all(torch.equal(a, b) for a, b in zip(weights(again), weights(model), strict=True))


def test_a_directory_of_another_run_is_refused_and_left_alone(
    make_model: MakeModel, source: BatchSource, tmp_path: Path
) -> None:
    train(make_model(), source, CONFIG, tmp_path, PRINT)
    before = rows_of(tmp_path)
    with pytest.raises(TrainingError, match="another configuration"):
        train(make_model(), source, CONFIG, tmp_path, "0" * 16)
    assert rows_of(tmp_path) == before


@pytest.mark.parametrize(
    ("quantization", "precision"), [("ternary", "float32"), ("ternary", "bfloat16"), ("none", "float32")]
)
def test_a_small_model_learns_a_repeated_text(tmp_path: Path, quantization: Quantization, precision: Any) -> None:
    text = "def double(number):\n    return 2 * number\n\n"
    tokenizer = Tokenizer.train([text] * 3, 300)
    write_shards([text] * 40, tokenizer, tmp_path / "tokens")
    windows = TokenWindows(TokenShards(tmp_path / "tokens"), 32, seed=0)
    shape = ModelConfig(
        vocab_size=tokenizer.vocab_size, n_layers=1, hidden_dim=256, max_seq_len=32, quantization=quantization
    )
    config = TrainConfig(steps=20, seq_len=32, batch_size=4, precision=precision)
    train(Transformer(shape).initialise(seed=0), windows, config, tmp_path / "run", PRINT)
    losses = [row["loss"] for row in rows_of(tmp_path / "run")]
    assert losses[0] == pytest.approx(math.log(tokenizer.vocab_size), abs=0.5)
    assert losses[-1] < 0.25 * losses[0]


def test_only_long_runs_are_compiled_unasked() -> None:
    assert not should_compile(CONFIG)
    assert should_compile(replace(CONFIG, compile="on"))
    assert not should_compile(replace(CONFIG, compile="off", steps=10**9))
