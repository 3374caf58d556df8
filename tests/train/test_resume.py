"""A training that dies in a process of its own goes on, in another one, as if it had never stopped."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from tritcoder.data.shards import write_shards
from tritcoder.tokenizer.bpe import Tokenizer

SCRIPT = Path(__file__).with_name("trainings.py")
STEPS = 12


class Death(NamedTuple):
    """How and when a training dies, and what is left of it."""

    how: str
    at_step: int
    exit_code: int
    last_checkpoint: int
    last_logged: int


DEATHS = {
    "SIGTERM": Death("sigterm", 5, exit_code=130, last_checkpoint=5, last_logged=5),
    "SIGKILL": Death("sigkill", 7, exit_code=-signal.SIGKILL, last_checkpoint=4, last_logged=7),
    "SIGKILL while saving": Death("sigkill_saving", 8, exit_code=-signal.SIGKILL, last_checkpoint=4, last_logged=8),
}


class Runs(NamedTuple):
    """Directories of one unbroken training and of one for each death, and what became of each process."""

    directory: Path
    exit_codes: dict[str, int]
    checkpoints: dict[str, list[str]]
    logged: dict[str, list[int]]


def trained(tokens: Path, jobs: list[str]) -> list[int]:
    """Run the jobs side by side, each in its own process, and return their exit codes."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPT), str(tokens), *jobs]
    printed = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
    exit_codes: list[int] = json.loads(printed.splitlines()[-1])
    return exit_codes


def rows_of(directory: Path) -> list[dict[str, Any]]:
    """The metrics log, but for what the clock says."""
    rows = [json.loads(line) for line in (directory / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [{key: row[key] for key in row.keys() - {"tokens_per_second", "seconds"}} for row in rows]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Every training run to its end; those that die, in two processes."""
    directory = tmp_path_factory.mktemp("runs")
    text = "for number in range(10):\n    print(number * number)\n"
    random = np.random.default_rng(0)
    texts = [text[: random.integers(1, len(text))] for _ in range(100)]
    write_shards(texts, Tokenizer.train([text] * 3, 300), directory / "tokens")
    mortal = [f"{directory / name}:{death.how}:{death.at_step}" for name, death in DEATHS.items()]
    exit_codes = trained(directory / "tokens", [*mortal, str(directory / "unbroken")])
    found = Runs(directory, dict(zip([*DEATHS, "unbroken"], exit_codes, strict=True)), {}, {})
    for name in DEATHS:
        names = (path.name for path in (directory / name / "checkpoints").iterdir())
        found.checkpoints[name] = sorted(one for one in names if not one.startswith("."))
        found.logged[name] = [row["step"] for row in rows_of(directory / name)]
    assert trained(directory / "tokens", [str(directory / name) for name in DEATHS]) == [0] * len(DEATHS)
    return found


@pytest.mark.parametrize(("name", "death"), DEATHS.items(), ids=DEATHS.keys())
def test_death_leaves_whole_checkpoints_and_a_log(runs: Runs, name: str, death: Death) -> None:
    assert runs.exit_codes[name] == death.exit_code
    assert runs.checkpoints[name][-1] == f"step-{death.last_checkpoint:08}.pt"
    assert runs.logged[name][-1] == death.last_logged


@pytest.mark.parametrize("name", DEATHS)
def test_resumed_weights_equal_the_unbroken_ones_bit_for_bit(runs: Runs, name: str) -> None:
    assert runs.exit_codes["unbroken"] == 0
    unbroken = torch.load(runs.directory / "unbroken" / "weights.pt", weights_only=True)
    resumed = torch.load(runs.directory / name / "weights.pt", weights_only=True)
    assert resumed.keys() == unbroken.keys()
    for key, weight in unbroken.items():
        assert torch.equal(resumed[key], weight), key


@pytest.mark.parametrize("name", DEATHS)
def test_resumed_log_equals_the_unbroken_one(runs: Runs, name: str) -> None:
    expected = rows_of(runs.directory / "unbroken")
    assert [row["step"] for row in expected if "loss" in row] == list(range(1, STEPS + 1))
    assert [row["step"] for row in expected if "held_out_loss" in row] == [3, 6, 9, 12]
    assert rows_of(runs.directory / name) == expected


@pytest.mark.parametrize("name", DEATHS)
def test_nothing_half_written_is_left(runs: Runs, name: str) -> None:
    assert sorted(path.name for path in (runs.directory / name / "checkpoints").iterdir()) == [
        "step-00000008.pt",
        "step-00000012.pt",
    ]
