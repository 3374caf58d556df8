"""A checkpoint is whole or not believed, and nothing in it is executed."""

import pickle
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tritcoder.errors import StorageError, TrainingError
from tritcoder.train import checkpoint
from tritcoder.train.config import TrainConfig
from tritcoder.train.optim import Optimizers

Weights = list[torch.Tensor]
MakeModel = Callable[[], nn.Module]


class Run:
    """A model that moves a little at each step, and its checkpoints."""

    def __init__(self, make_model: MakeModel, directory: Path, fingerprint: str = "f" * 16) -> None:
        self.model, self.directory, self.fingerprint = make_model(), directory, fingerprint
        self.optimizers = Optimizers(self.model, TrainConfig(steps=100))

    def move(self, step: int) -> Weights:
        for parameter in self.model.parameters():
            parameter.grad = torch.full_like(parameter, 1.0 + step)
        self.optimizers.step(step)
        return self.weights()

    def weights(self) -> Weights:
        return [parameter.detach().clone() for parameter in self.model.parameters()]

    def save(self, step: int, keep: int = 2) -> Path:
        return checkpoint.save(self.directory, step, self.model, self.optimizers, self.fingerprint, keep)

    def resume(self) -> int:
        return checkpoint.resume(self.directory, self.model, self.optimizers, self.fingerprint)

    def names(self) -> list[str]:
        return sorted(path.name for path in self.directory.iterdir())


def equal(found: Weights, expected: Weights) -> bool:
    return all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.fixture
def saved(make_model: MakeModel, tmp_path: Path) -> tuple[Path, Weights, Weights]:
    """A directory with checkpoints of steps 1 and 2, and the weights that each holds."""
    run = Run(make_model, tmp_path / "checkpoints")
    first = run.move(0)
    run.save(1)
    second = run.move(1)
    run.save(2)
    return run.directory, first, second


def test_resumed_weights_and_momenta_equal_the_saved(make_model: MakeModel, tmp_path: Path) -> None:
    run, again = Run(make_model, tmp_path), Run(make_model, tmp_path)
    for step in range(3):
        saved = run.move(step)
    run.save(3)
    assert again.resume() == 3
    assert equal(again.weights(), saved)
    assert equal(again.move(3), run.move(3))


def test_no_checkpoint_is_step_zero(make_model: MakeModel, tmp_path: Path) -> None:
    run = Run(make_model, tmp_path / "nowhere")
    before = run.weights()
    assert run.resume() == 0
    assert equal(run.weights(), before)


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_only_the_newest_stay(make_model: MakeModel, tmp_path: Path, keep: int) -> None:
    run = Run(make_model, tmp_path)
    for step in (1, 5, 10, 100_000_000):
        run.save(step, keep)
    assert len(run.names()) == keep
    assert run.resume() == 100_000_000


def test_what_a_killed_run_left_half_written_is_ignored_and_removed(make_model: MakeModel, tmp_path: Path) -> None:
    run = Run(make_model, tmp_path)
    run.save(1)
    debris = tmp_path / ".step-00000002.pt.1234.tmp"
    debris.write_bytes(b"half")
    (tmp_path / "step-3.pt.bak").write_bytes(b"not ours")
    assert run.resume() == 1
    run.save(2)
    assert run.names() == ["step-00000001.pt", "step-00000002.pt", "step-3.pt.bak"]


def _cut(share: float) -> Callable[[bytes], bytes]:
    return lambda data: data[: int(len(data) * share)]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "cut in half": _cut(0.5),
    "last bytes missing": _cut(0.999),
    "zeros": lambda data: bytes(len(data)),
    "text": lambda data: b"<html>404</html>",
    "pickle": lambda data: pickle.dumps({"step": 2}),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before(
    make_model: MakeModel, saved: tuple[Path, Weights, Weights], damage: Callable[[bytes], bytes]
) -> None:
    directory, first, _ = saved
    newest = directory / "step-00000002.pt"
    newest.write_bytes(damage(newest.read_bytes()))
    run = Run(make_model, directory)
    assert run.resume() == 1
    assert equal(run.weights(), first)


@settings(max_examples=60)
@given(place=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_a_flipped_bit_is_never_believed(
    make_model_of_session: MakeModel, saved_of_session: tuple[Path, Weights, Weights], place: float, flip: int
) -> None:
    directory, first, second = saved_of_session
    newest = directory / "step-00000002.pt"
    whole = newest.read_bytes()
    damaged = bytearray(whole)
    damaged[int(place * len(whole))] ^= flip
    newest.write_bytes(damaged)
    run = Run(make_model_of_session, directory)
    try:
        step = run.resume()
    finally:
        newest.write_bytes(whole)
    assert equal(run.weights(), {1: first, 2: second}[step])


@pytest.fixture(scope="module")
def make_model_of_session() -> MakeModel:
    def make() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Embedding(4, 4), nn.Linear(4, 4))

    return make


@pytest.fixture(scope="module")
def saved_of_session(
    make_model_of_session: MakeModel, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Weights, Weights]:
    run = Run(make_model_of_session, tmp_path_factory.mktemp("checkpoints"))
    weights = [run.move(0), [torch.empty(0)]]
    run.save(1)
    weights[1] = run.move(1)
    run.save(2)
    return run.directory, weights[0], weights[1]


def test_all_damaged_is_said_with_every_name(make_model: MakeModel, saved: tuple[Path, Weights, Weights]) -> None:
    directory, _, _ = saved
    for path in directory.iterdir():
        path.write_bytes(b"")
    with pytest.raises(TrainingError, match=r"can be read \(tried step-00000002\.pt, step-00000001\.pt\)"):
        Run(make_model, directory).resume()


class Bomb:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return _explode, (str(self._path),)


def _explode(path: str) -> None:
    Path(path).touch()


def test_nothing_in_a_checkpoint_is_executed(
    make_model: MakeModel, saved: tuple[Path, Weights, Weights], tmp_path: Path
) -> None:
    directory, first, _ = saved
    torch.save(
        {"step": 2, "fingerprint": "f" * 16, "model": Bomb(tmp_path / "exploded"), "optimizers": []},
        directory / "step-00000002.pt",
    )
    run = Run(make_model, directory)
    assert run.resume() == 1
    assert equal(run.weights(), first)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("content", [{}, [], 3, {"step": 2, "model": {}}])
def test_a_file_without_the_parts_of_a_checkpoint_is_damaged(
    make_model: MakeModel, saved: tuple[Path, Weights, Weights], content: object
) -> None:
    torch.save(content, saved[0] / "step-00000002.pt")
    assert Run(make_model, saved[0]).resume() == 1


def test_another_configuration_is_refused(make_model: MakeModel, saved: tuple[Path, Weights, Weights]) -> None:
    run = Run(make_model, saved[0], fingerprint="0" * 16)
    before = run.weights()
    with pytest.raises(TrainingError, match="another configuration"):
        run.resume()
    assert equal(run.weights(), before)


@pytest.mark.parametrize("room_bytes", [0, 100, 2000, 5000])
def test_a_full_disk_leaves_the_older_checkpoints_whole(
    make_model: MakeModel,
    tmp_path: Path,
    disk_with_room: Callable[[int], AbstractContextManager[None]],
    room_bytes: int,
) -> None:
    run = Run(make_model, tmp_path)
    weights = run.move(0)
    run.save(1)
    run.move(1)
    with disk_with_room(room_bytes), pytest.raises(StorageError, match="no space left"):
        run.save(2)
    assert run.names() == ["step-00000001.pt"]
    again = Run(make_model, tmp_path)
    assert again.resume() == 1
    assert equal(again.weights(), weights)
