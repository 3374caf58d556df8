"""Checkpoints: everything that a run needs to go on as if it had never stopped."""

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import torch
from torch import nn

from tritcoder.errors import TrainingError
from tritcoder.provenance import whole_file
from tritcoder.train.optim import Optimizers

_NAME = re.compile(r"step-(\d+)\.pt")


def save(directory: Path, step: int, model: nn.Module, optimizers: Optimizers, fingerprint: str, keep: int) -> Path:
    """Write `step-N.pt`, whole or not at all, and drop all but the newest `keep`.

    Raises:
        StorageError: the disk is full; the checkpoints before stay whole.
    """
    path = directory / f"step-{step:08}.pt"
    state = {
        "step": step,
        "fingerprint": fingerprint,
        "model": model.state_dict(),
        "optimizers": optimizers.state_dict(),
    }
    with whole_file(path, "wb") as file:
        _dump(state, file)
    for unfinished in directory.glob(".step-*.pt.*.tmp"):  # left by a run that was killed while it saved
        unfinished.unlink(missing_ok=True)
    for _, old in list(_newest_first(directory))[keep:]:
        old.unlink(missing_ok=True)
    return path


def resume(directory: Path, model: nn.Module, optimizers: Optimizers, fingerprint: str) -> int:
    """Load the newest checkpoint that can be read and return its step; 0 when there is none.

    Raises:
        TrainingError: the checkpoint was written by a run with another configuration, or none can be read.
    """
    broken: list[str] = []
    for step, path in _newest_first(directory):
        state = _read(path)
        if state is None:
            broken.append(path.name)
            continue
        if state["fingerprint"] != fingerprint:
            raise TrainingError(
                f"{path} was written by a run with another configuration",
                f"delete {directory} to begin anew, or give the old configuration",
            )
        model.load_state_dict(state["model"])
        optimizers.load_state_dict(state["optimizers"])
        return step
    if broken:
        raise TrainingError(
            f"no checkpoint in {directory} can be read (tried {', '.join(broken)})",
            f"delete {directory} to begin anew",
        )
    return 0


def _dump(state: dict[str, Any], file: IO[bytes]) -> None:
    try:
        torch.save(state, file)
    except RuntimeError as error:  # on a full disk torch complains of its own archive instead
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise


def _read(path: Path) -> dict[str, Any] | None:
    """The checkpoint's content, or None when the file is damaged; nothing in it is ever executed."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:  # torch itself does not look at the checksums
                return None
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # a damaged archive raises whatever its first wrong byte leads to
        return None
    expected = {"step", "fingerprint", "model", "optimizers"}
    return state if isinstance(state, dict) and expected <= state.keys() else None


def _newest_first(directory: Path) -> Iterator[tuple[int, Path]]:
    found = [(int(match[1]), path) for path in directory.glob("step-*.pt") if (match := _NAME.fullmatch(path.name))]
    return iter(sorted(found, reverse=True))
