"""A killed run loses the step in flight and nothing else: what comes out in the end is the same."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.numpy import load_file

from tritcoder.evaluate.samples import sample_to_json

Command = Callable[..., tuple[int, str, str]]

KILLED_AFTER_STEP_5 = """
import os, signal, sys
from tritcoder.train.metrics import MetricsLog

write = MetricsLog.write

def write_and_die(self, row):
    write(self, row)
    if row["step"] == 5:
        os.kill(os.getpid(), getattr(signal, sys.argv[1]))

MetricsLog.write = write_and_die
from tritcoder.cli.app import run
run(sys.argv[2:])
"""
"""The command, which a signal hits in the middle of a training: checkpoints are at steps 2 and 4."""

SAID = {
    "SIGKILL": [],
    "SIGTERM": [
        "error: stopped by SIGTERM after step 5 of 8; everything is saved",
        "try:   give the same command again to go on from there",
    ],
}


def killed(by: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command until the signal arrives; as many threads as here, so that sums have one order."""
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads()), "MKL_NUM_THREADS": str(torch.get_num_threads())}
    return subprocess.run(
        [sys.executable, "-c", KILLED_AFTER_STEP_5, by, *map(str, arguments)],
        env={**os.environ, **threads},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize(("by", "status", "kept"), [("SIGKILL", -signal.SIGKILL, [2, 4]), ("SIGTERM", 130, [4, 5])])
def test_killed_pretraining_ends_in_the_weights_of_an_unbroken_one(
    toy: Any, tmp_path: Path, tritcoder: Command, by: str, status: int, kept: list[int]
) -> None:
    arguments = ("run", toy.config, "--directory", tmp_path / "run", "--only", "ternary/pretrain")
    died = killed(by, *arguments)
    assert died.returncode == status, died.stderr
    said = [line for line in died.stderr.splitlines() if not line.startswith(("  ", "A toy"))]
    assert said == SAID[by]
    assert died.stdout == ""
    training = tmp_path / "run" / "ternary" / "pretrain"
    assert sorted(int(path.stem[5:]) for path in training.glob("checkpoints/step-*.pt")) == kept
    record = json.loads((tmp_path / "run" / "stages" / "ternary-pretrain.json").read_text())
    assert "finished" not in record
    assert not (tmp_path / "run" / "ternary" / "base").exists()

    status, out, err = tritcoder("report", tmp_path / "run")  # tells what there is so far
    assert (status, err) == (0, "")
    assert out.strip() == str(tmp_path / "run" / "report.html")

    again, _, err = tritcoder(*arguments)
    assert again == 0, err
    assert "= tokens" in err
    assert "✓ ternary/pretrain" in err
    resumed, unbroken = (
        load_file(place / "ternary" / "base" / "model.safetensors") for place in (tmp_path / "run", toy.directory)
    )
    assert resumed.keys() == unbroken.keys()
    for name, weights in unbroken.items():
        assert (resumed[name] == weights).all(), name
    assert _losses(training) == _losses(toy.directory / "ternary" / "pretrain")


def test_answers_cut_in_the_middle_go_on_with_the_next(
    toy: Any, copy: Path, tritcoder: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    temperature = ("--set", "evaluate.sampling.temperature=0.7")
    written: list[str] = []

    def three_only(completion: Any) -> dict[str, Any]:
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(completion.task_id)
        return sample_to_json(completion)

    with monkeypatch.context() as patch:
        patch.setattr("tritcoder.experiment.measuring.sample_to_json", three_only)
        status, out, err = tritcoder("run", toy.config, "--directory", copy, *temperature)
    assert (status, out) == (130, "")
    assert "error: interrupted" in err
    path = copy / "samples" / "ternary.jsonl"
    first = path.read_bytes()
    assert [json.loads(line)["task_id"] for line in first.splitlines()] == written
    path.write_bytes(first + b'{"task_id": "1033", "comple')  # and a line that the end of the process cut

    status, _, err = tritcoder("run", toy.config, "--directory", copy, *temperature)
    assert status == 0, err
    assert path.read_bytes().startswith(first)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == len({row["task_id"] for row in rows}) == 6


def test_run_killed_before_its_report_writes_it_when_it_goes_on(
    toy: Any, copy: Path, tritcoder: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tritcoder.experiment import plan

    def killed_here(directory: Path) -> None:
        raise KeyboardInterrupt

    changed = ("run", toy.config, "--directory", copy, "--set", "evaluate.examples=2")
    with monkeypatch.context() as patch:
        patch.setattr(plan, "write_report", killed_here)
        assert tritcoder(*changed)[0] == 130
    status, _, err = tritcoder(*changed)
    assert status == 0, err
    assert "✓" not in err
    assert len(json.loads((copy / "examples.json").read_text())) == 2
    assert (copy / "report.html").stat().st_mtime_ns > (copy / "examples.json").stat().st_mtime_ns


def test_damaged_stage_record_costs_that_stage_alone(toy: Any, copy: Path, tritcoder: Command) -> None:
    (copy / "stages" / "tokens.json").write_text('{"name": "tokens", "key"')
    status, _, err = tritcoder("run", toy.config, "--directory", copy)
    assert status == 0, err
    assert "✓ tokens" in err
    assert err.count("✓") == 1


def _losses(training: Path) -> list[tuple[Any, ...]]:
    rows = [json.loads(line) for line in (training / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [(row["step"], row.get("loss"), row.get("held_out_loss")) for row in rows]
