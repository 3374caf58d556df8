"""`tritcoder export`: what is written, where, and what is said of it."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tritcoder.experiment.exporting import read_weights
from tritcoder.ternary.decoding import trits_of
from tritcoder.ternary.format import read_gguf, read_hugging_face, read_model
from tritcoder.ternary.weights import ModelWeights, TernaryWeight

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(model: Path, tmp_path: Path) -> Path:
    """A run directory with one trained arm and its twin."""
    arm = tmp_path / "runs" / "toy" / "ternary" / "model"
    shutil.copytree(model, arm)
    twin = shutil.copytree(model, tmp_path / "runs" / "toy" / "twin" / "model")
    config = json.loads((twin / "config.json").read_text())
    del config["quantization_config"]
    (twin / "config.json").write_text(json.dumps(config))
    return tmp_path / "runs" / "toy"


def same(one: ModelWeights, other: ModelWeights) -> bool:
    for mine, theirs in zip(one.blocks, other.blocks, strict=True):
        for name, weight in mine.linear.items():
            there = theirs.linear[name]
            assert isinstance(weight, TernaryWeight)
            assert isinstance(there, TernaryWeight)
            if weight.scale != there.scale or (trits_of(weight) != trits_of(there)).any():
                return False
    return one.shape == other.shape and one.tokenizer_json == other.tokenizer_json


def test_a_run_becomes_a_gguf_file_beside_its_model(run: Path, tritcoder: Command) -> None:
    status, out, err = tritcoder("export", run, "--to", "gguf")
    path = run / "ternary" / "model-tq2_0.gguf"
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == str(path)
    found = read_gguf(path)
    assert lines[1].startswith(f"{path.stat().st_size:,} bytes, ")
    bits = re.search(r"([\d.]+) bits a weight", lines[1])
    assert bits
    assert float(bits[1]) == pytest.approx(8 * path.stat().st_size / found.shape.parameters, abs=0.01)
    assert lines[2] == "linear layers tq2_0, embedding q8_0, with its tokenizer"
    assert found.name == "toy"
    assert same(found, read_hugging_face(run / "ternary" / "model"))


def test_every_form_leads_to_every_other(run: Path, tritcoder: Command, tmp_path: Path) -> None:
    first = read_hugging_face(run / "ternary" / "model")
    steps = [
        (run, "gguf", "a.gguf", "tq1_0"),
        (tmp_path / "a.gguf", "hf", "b", None),
        (tmp_path / "b", "gguf", "c.gguf", "f16"),
        (tmp_path / "c.gguf", "gguf", "c.gguf", None),  # onto itself
        (tmp_path / "c.gguf", "hf", "b", None),  # onto what is there
    ]
    for source, target, name, layout in steps:
        chosen = ("--ternary", layout) if layout else ()
        status, _, err = tritcoder("export", source, "--to", target, "--out", tmp_path / name, *chosen)
        assert status == 0, err
        assert same(read_model(tmp_path / name), first)


def test_the_twin_is_written_as_floats(run: Path, tritcoder: Command) -> None:
    status, out, _ = tritcoder("export", run / "twin", "--to", "gguf")
    assert status == 0
    assert out.splitlines()[0] == str(run / "twin" / "model-f16.gguf")
    assert "trits" not in out
    assert read_gguf(run / "twin" / "model-f16.gguf").shape.quantization == "none"
    status, _, err = tritcoder("export", run / "twin", "--to", "gguf", "--ternary", "tq2_0")
    assert status == 2
    assert "the full-precision twin has no trits to write as tq2_0" in err
    assert "--ternary f16" in err


def test_a_directory_is_written_beside_the_model(run: Path, tritcoder: Command) -> None:
    status, out, _ = tritcoder("export", run / "ternary", "--to", "hf", "--embedding", "f16")
    assert status == 0
    packed = run / "ternary" / "model-packed"
    assert out.splitlines()[0] == str(packed)
    assert read_hugging_face(packed).embedding.layout == "f16"


def test_what_llama_cpp_will_not_run_is_said(run: Path, tritcoder: Command) -> None:
    model = run / "ternary" / "model"
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"hidden_act": "relu2"}))
    (model / "tokenizer.json").unlink()
    status, out, err = tritcoder("export", model, "--to", "gguf")
    assert status == 0
    assert "without a tokenizer" in out
    assert "relu2 runs here alone" in err
    assert "llama.cpp loads no model without a tokenizer" in err


def test_a_run_gives_its_weights_its_name(run: Path) -> None:
    assert read_weights(run)[0].name == "toy"
    assert read_weights(run / "ternary" / "model")[0].name == "model"


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_damaged_model_is_one_sentence_and_leaves_nothing(run: Path, tritcoder: Command, file: str) -> None:
    damaged = run / "ternary" / "model" / file
    damaged.write_bytes(damaged.read_bytes()[: damaged.stat().st_size // 2])
    before = sorted(run.rglob("*"))
    for target in ("gguf", "hf"):
        status, out, err = tritcoder("export", run, "--to", target)
        assert (status, out) == (2, "")
        assert err.startswith("error: ")
        assert "Traceback" not in err
        assert sorted(path for path in run.rglob("*") if path.is_file()) == [p for p in before if p.is_file()]


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 100 KiB."""
    mounted = tmp_path / "tiny"
    mounted.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(mounted)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root can mount a small file system")
    yield mounted
    subprocess.run(["umount", "-l", str(mounted)], check=True)


@pytest.mark.parametrize(("target", "name"), [("gguf", "x.gguf"), ("hf", "x")])
def test_a_full_disk_is_one_sentence_and_leaves_no_file(
    run: Path, tritcoder: Command, tiny_disk: Path, target: str, name: str
) -> None:
    status, out, err = tritcoder("export", run, "--to", target, "--out", tiny_disk / name)
    assert (status, out) == (1, "")
    assert "no space left on the disk" in err
    assert [path for path in tiny_disk.rglob("*") if path.is_file()] == []
