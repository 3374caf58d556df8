"""Stages: what is done once is not done again, and what was interrupted goes on.

A stage's key is the hash of its settings and of the keys of the stages it needs. `stages/<name>.json` in the run
directory holds the key under which it was begun, and, once it is done, what it found out.
"""

import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tritcoder import __version__
from tritcoder.config import fingerprint
from tritcoder.errors import WorkFailedError, storage_errors
from tritcoder.provenance import now, write_json

try:
    import fcntl
except ImportError:  # Windows: two runs in one directory are not told apart there
    fcntl = None  # type: ignore[assignment]

Facts = dict[str, Any]


class Watcher(Protocol):
    """Who is told how a run goes on."""

    def stage_began(self, name: str) -> None:
        """A stage starts working."""
        ...

    def stage_moved(self, done: float, total: float, note: str) -> None:
        """The current stage has done so much of so much."""
        ...

    def stage_ended(self, name: str, seconds: float, cached: bool) -> None:
        """A stage is done; `cached`: nothing had to be done."""
        ...


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of an experiment."""

    name: str
    needs: tuple[str, ...]
    settings: Any
    """All that decides the result, beside the stages it needs."""
    outputs: tuple[str, ...]
    """Files and folders below the run directory that are this stage's own."""
    work: Callable[[Watcher], Facts]
    """Does it; may go on from what an interrupted run under the same key has left in the outputs."""


@contextmanager
def _alone(path: Path, name: str) -> Iterator[None]:
    """Hold a stage's lock; the system lets go of it when the process ends, however that ends.

    Raises:
        WorkFailedError: another process is at work on the stage.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    with file:
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WorkFailedError(
                f"another run is at work on stage {name} in {path.parent.parent}",
                "wait for it to end, or give another directory (--directory)",
            ) from None
        yield


class StageCache:
    """Runs stages in a run directory, leaving out what is done."""

    def __init__(self, directory: Path, watcher: Watcher) -> None:
        self.directory, self.watcher = directory, watcher
        self.keys: dict[str, str] = {}
        self.facts: dict[str, Facts] = {}
        self.records: list[dict[str, Any]] = []

    def run(self, stages: Sequence[Stage]) -> None:
        """Run each stage after those it needs (they are listed in such an order)."""
        for stage in stages:
            key = fingerprint(__version__, stage.name, stage.settings, [self.keys[name] for name in stage.needs])
            self.keys[stage.name] = key
            record = self._record(stage.name)
            fresh = record.get("key") == key and "finished" in record and self._has_outputs(stage)
            if not fresh:
                with _alone(self._path(stage.name).with_suffix(".lock"), stage.name):
                    record = self._work(stage, key, begun_under=record.get("key"))
            else:
                self.watcher.stage_ended(stage.name, float(record["seconds"]), cached=True)
            self.facts[stage.name] = record["facts"]
            about = {name: record[name] for name in ("name", "key", "seconds", "finished")}
            self.records.append(about | {"cached": fresh})

    def _work(self, stage: Stage, key: str, begun_under: str | None) -> dict[str, Any]:
        self.watcher.stage_began(stage.name)
        if begun_under != key:
            self._remove_outputs(stage)
        path = self._path(stage.name)
        earlier = self._record(stage.name).get("seconds", 0.0) if begun_under == key else 0.0
        write_json(path, {"name": stage.name, "key": key, "seconds": earlier})
        began = time.monotonic()
        try:
            facts = stage.work(self.watcher)
        except BaseException:
            seconds = round(earlier + time.monotonic() - began, 3)
            write_json(path, {"name": stage.name, "key": key, "seconds": seconds})
            raise
        seconds = round(earlier + time.monotonic() - began, 3)
        record = {"name": stage.name, "key": key, "seconds": seconds, "finished": now(), "facts": facts}
        write_json(path, record)
        self.watcher.stage_ended(stage.name, seconds, cached=False)
        return record

    def _record(self, name: str) -> dict[str, Any]:
        try:
            record = json.loads(self._path(name).read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return {}
        return record if isinstance(record, dict) else {}

    def _path(self, name: str) -> Path:
        return self.directory / "stages" / f"{name.replace('/', '-').replace(':', '-')}.json"

    def _has_outputs(self, stage: Stage) -> bool:
        return all((self.directory / output).exists() for output in stage.outputs)

    def _remove_outputs(self, stage: Stage) -> None:
        for output in stage.outputs:
            path = self.directory / output
            with storage_errors(path):
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
