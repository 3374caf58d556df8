"""`tritcoder bench`: the numbers of a model, each measured or null with its reason."""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tritcoder.errors import ModelFileError, WorkFailedError
from tritcoder.evaluate.efficiency import Plan
from tritcoder.experiment import benching
from tritcoder.experiment.opening import open_generator
from tritcoder.ternary.shape import ModelConfig

Command = Callable[..., tuple[int, str, str]]
QUICK = ("--batches", "1,2", "--max-tokens", 4, "--repeats", 1)


@pytest.fixture(autouse=True)
def small_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benching, "read_bandwidth", lambda: {"median": 10.0, "min": 9.0, "max": 11.0, "n": 3})


def nulls(value: Any, place: str = "") -> Iterator[str]:
    """The places at which nothing stands."""
    if value is None:
        yield place
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from nulls(inner, f"{place}.{name}".lstrip("."))


def test_a_model_directory_is_measured_from_end_to_end(untrained: Path, tmp_path: Path, tritcoder: Command) -> None:
    status, out, err = tritcoder("bench", untrained, *QUICK, "--json", "--out", tmp_path / "b.json")
    assert status == 0, err
    found = json.loads(out)
    assert found == json.loads((tmp_path / "b.json").read_text())
    assert found["settings"] == {"batches": [1, 2], "max_tokens": 4, "repeats": 1}
    vocab_size = json.loads((untrained / "config.json").read_text())["vocab_size"]
    # one block of width 256, feed-forward 256, two of four key heads; and the embedding
    trits = 256 * 256 * 2 + 2 * 256 * 128 + 3 * 256 * 256
    assert found["file"]["parameters"] == trits + vocab_size * 256 + 256 * 4 + 256
    assert found["file"]["bytes"] == (untrained / "model.safetensors").stat().st_size
    assert 32 <= found["file"]["bits_per_weight"] < 33  # latent weights are float32
    assert found["peak_memory_bytes"]["2"] >= found["peak_memory_bytes"]["1"] > found["memory_before_load_bytes"]
    assert found["load_s"] > 0
    assert found["load_again_s"] > 0
    assert set(nulls(found)) <= {*found["why_null"], "measured_energy"}
    speed = found["decode"]["1"]["tokens_per_second"]
    if speed:  # an untrained model may end at once
        expected = found["file"]["bytes"] * speed["median"] / 1e9
        assert found["bandwidth"]["effective_gb_per_s"] == pytest.approx(expected)
        assert found["bandwidth"]["share"] == pytest.approx(expected / 10)


def test_the_modelled_energy_is_that_of_the_models_matrices(untrained: Path) -> None:
    row = benching.measured(str(untrained), Plan((1,), 2, 1))["modelled_arithmetic_energy"]["by_node"]["7nm"]
    sizes = [(256, 256), (128, 256), (128, 256), (256, 256), (256, 256), (256, 256), (256, 256)]
    dense = sum(p * n * 0.34 + p * (n - 1) * 0.16 for p, n in sizes)
    trits = sum(p * (n - 1) * 0.007 + (p + n) * 0.34 for p, n in sizes)
    vocab_size = json.loads((untrained / "config.json").read_text())["vocab_size"]
    head = vocab_size * (256 * 0.34 + 255 * 0.16)
    assert row["dense_fp16_over_as_is"] == pytest.approx(dense / trits)
    assert row["dense_fp16_over_as_is_with_head"] == pytest.approx((dense + head) / (trits + head))


def test_a_core_and_a_network_of_one_shape_have_the_same_matrices(untrained: Path) -> None:
    network = open_generator(str(untrained), [])
    shape = ModelConfig(network.model.vocab_size, n_layers=1, n_kv_heads=2, hidden_dim=256, max_seq_len=64)  # type: ignore[attr-defined]
    core: Any = SimpleNamespace(model=SimpleNamespace(core=SimpleNamespace(shape=shape)))
    assert Counter(benching._matrices(core)) == Counter(benching._matrices(network))
    assert benching._n_parameters(core) == benching._n_parameters(network)


def test_a_rule_without_a_model_has_reasons_instead_of_numbers(tmp_path: Path, tritcoder: Command) -> None:
    status, out, err = tritcoder("bench", "naive:constant", *QUICK, "--out", tmp_path / "b.json")
    assert status == 0, err
    found = json.loads((tmp_path / "b.json").read_text())
    assert found["latency"]["first_text_s"]["median"] >= 0
    assert set(nulls(found)) <= set(found["why_null"])
    for reason in found["why_null"].values():
        assert reason in out
    assert str(tmp_path / "b.json") in out.replace("\n", "")


def test_a_checkpoint_writes_the_whole_batch_at_once() -> None:
    assert benching._together("hf:some/path", 32) == "hf:some/path?batch=32"
    assert benching._together("hf:some/path?dtype=float32", 32) == "hf:some/path?dtype=float32&batch=32"
    assert benching._together("hf:some/path?batch=4", 32) == "hf:some/path?batch=4"
    assert benching._together("runs/demo", 32) == "runs/demo"


def test_a_checkpoint_that_lies_there_twice_is_counted_once(untrained: Path, tmp_path: Path) -> None:
    shutil.copytree(untrained, tmp_path / "m")
    (tmp_path / "m" / "pytorch_model.bin").write_bytes(b"x")
    assert [path.name for path in benching._weights(f"hf:{tmp_path / 'm'}")] == ["model.safetensors"]
    assert benching._weights("openai:x@http://localhost") == []


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("runs/nowhere",), 2, "does not exist"),
        (("naive:constnat", *QUICK), 2, "did you mean naive:constant?"),
        (("naive:constant", "--batches", "1,x"), 2, "found 1,x"),
        (("naive:constant", "--batches", "0"), 2, "at least 1"),
        (("naive:constant", "--max-tokens", "0"), 2, "max_tokens must be at least 1"),
    ],
)
def test_what_cannot_be_measured_is_said_in_a_sentence(
    words: tuple[object, ...], status: int, said: str, tmp_path: Path, tritcoder: Command
) -> None:
    found, _, err = tritcoder("bench", *words, "--out", tmp_path / "b.json")
    assert (found, said in err.replace("\n", " ")) == (status, True), err
    assert not (tmp_path / "b.json").exists()


def test_an_error_of_the_fresh_process_is_the_same_error_here(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="does not exist"):
        benching._in_fresh_process(str(tmp_path / "nowhere"), Plan((1,), 2, 1))


def test_a_process_that_dies_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benching, "_RUN", "import os; print('half'); os._exit(9)")
    with pytest.raises(WorkFailedError, match="ended with 9"):
        benching._in_fresh_process("naive:constant", Plan((1,), 2, 1))
