"""Engines that are measured in turn, each in a process of its own: what they are asked, and both ends of the pipe.

One JSON object a line. `{"do": "open"}` loads the model; `prompt` reads so many tokens; `decode` writes tokens
greedily in so many sequences at once, from a depth on that is filled without being timed; `memory` tells the most
that the process ever held. Either end of the pipe that goes away ends the other.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np

from tritcoder.evaluate.efficiency import peak_memory_bytes

FOLDER = Path(__file__).parent
POSITIONS = 768
"""Of the context that is opened with the model: 512 of a prompt and as many as are written; a multiple of 256."""
WARM_UP_STEPS, WARM_UP_TOKENS = 2, 16


class Engine(Protocol):
    """A loaded model."""

    def facts(self) -> dict[str, Any]:
        """Version, kernel, threads: what the result is signed with."""
        ...

    def make_room(self, sequences: int, positions: int) -> None:
        """Have a cache for so many sequences of so many positions."""
        ...

    def prompt(self, n_tokens: int) -> int:
        """Read so many tokens in a new sequence, up to the likeliest next one; there is room for it."""
        ...

    def begin(self, batch: int, depth: int) -> None:
        """Make `batch` new sequences of `depth` tokens each; there is room for them and for more."""
        ...

    def step(self) -> None:
        """Write one token in each sequence: the likeliest."""
        ...


# ---- the engine's end ----


def serve(open_engine: Callable[[Path, int], Engine], arguments: list[str]) -> None:
    """Answer requests until there are no more; `arguments` are the model's path and the number of threads."""
    path, threads = Path(arguments[0]), int(arguments[1])
    engine: Engine | None = None
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "open":
            began = time.perf_counter()
            engine = open_engine(path, threads)
            answer: dict[str, Any] = {"seconds": time.perf_counter() - began, "facts": engine.facts()}
        elif request["do"] == "memory":
            answer = {"peak_bytes": peak_memory_bytes()}
        else:
            assert engine is not None, "open comes first"
            answer = _timed(engine, request)
        print(json.dumps(answer), flush=True)


def _timed(engine: Engine, request: dict[str, Any]) -> dict[str, Any]:
    if request["do"] == "prompt":
        engine.make_room(1, request["tokens"])
        if request["tokens"] > WARM_UP_TOKENS:
            engine.prompt(WARM_UP_TOKENS)
        began = time.perf_counter()
        likeliest = engine.prompt(request["tokens"])
        return {"seconds": time.perf_counter() - began, "tokens": request["tokens"], "likeliest": likeliest}
    steps, batch = request["steps"], request["batch"]
    engine.make_room(batch, request["depth"] + steps)
    engine.begin(batch, request["depth"] - WARM_UP_STEPS)
    for _ in range(WARM_UP_STEPS):
        engine.step()
    began, written = time.perf_counter(), 0
    while written < steps and time.perf_counter() - began < request["budget_s"]:
        engine.step()
        written += 1
    return {"seconds": time.perf_counter() - began, "tokens": written * batch, "cut_short": written < steps}


def made_up(batch: int, length: int, vocab_size: int) -> np.ndarray:
    """Token ids (batch, length) int32, the same for every engine; id 0 ends a text and is not among them."""
    return np.random.default_rng(0).integers(1, vocab_size, (batch, length), dtype=np.int32)


# ---- the benchmark's end ----


class PeerError(Exception):
    """An engine's process ended, or could not be started."""


class Peer:
    """An engine in its own process."""

    def __init__(self, name: str, script: str, model: Path, threads: int) -> None:
        self.name = name
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the process)
        command = [sys.executable, str(FOLDER / script), str(model), str(threads)]
        self._began = time.perf_counter()
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, env=_environment(), text=True
        )

    def ask(self, do: str, **more: Any) -> dict[str, Any]:
        """The answer to one request.

        Raises:
            PeerError: the process ended; tells its last words.
        """
        assert self._process.stdin
        assert self._process.stdout
        try:
            self._process.stdin.write(json.dumps({"do": do, **more}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # its last words are read below
        line = self._process.stdout.readline()
        if not line:
            status = self._process.wait()
            self._errors.seek(0)
            words = self._errors.read().decode(errors="replace").strip().splitlines()[-1:]
            raise PeerError(f"{self.name} ended with {status}: {' '.join(words) or 'without a word'}")
        found: dict[str, Any] = json.loads(line)
        return found

    @property
    def age_s(self) -> float:
        """Seconds since its process was started."""
        return time.perf_counter() - self._began

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for file in (self._process.stdin, self._process.stdout, self._errors):
            if file:
                file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, where: TracebackType | None) -> None:
        self.close()


def _environment() -> dict[str, str]:
    """Ours, without what would change how threads wait: each engine does as it comes."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "KMP_"))}
    source = str(FOLDER.parent / "src")
    return kept | {"PYTHONPATH": os.pathsep.join([source, *filter(None, [kept.get("PYTHONPATH")])])}
