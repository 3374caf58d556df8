"""An experiment that cannot work is refused before it begins."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tritcoder.config import build, fingerprint, load, to_toml
from tritcoder.errors import ConfigError
from tritcoder.experiment.config import ExperimentConfig
from tritcoder.records import Sampling
from tritcoder.train.config import TrainConfig


@pytest.mark.parametrize(
    ("tree", "told"),
    [
        ({}, "lacks a value"),
        ({"name": ""}, "name must be a plain folder name"),
        ({"name": "a/b"}, "name must be a plain folder name"),
        ({"name": ".."}, "name must be a plain folder name"),
        ({"name": "."}, "name must be a plain folder name"),
        ({"tokenizer": {"vocab_size": 100}}, "vocab_size must be at least 264"),
        ({"twin": {"lr_scale": 0}}, "lr_scale must be above 0"),
        ({"twin": {"lr_scale": float("nan")}}, "lr_scale must be above 0"),
        ({"pretrain": {"seq_len": 1024}}, "pretrain.seq_len (1024) is above model.max_seq_len (512)"),
        ({"finetune": {"seq_len": 513}}, "finetune.seq_len (513) is above model.max_seq_len (512)"),
        ({"evaluate": {"samples": 0}}, "samples must be at least 1, found 0"),
        ({"evaluate": {"workers": -1}}, "workers must be 0 or more, found -1"),
        ({"evaluate": {"held_out_problems": 1.0}}, "held_out_problems must be 0 or more and below 1, found 1.0"),
        ({"evaluate": {"baselines": ["naive:constant"] * 2}}, "name each rival once"),
        ({"evaluate": {"baselines": ["twin"]}}, "no model of the run; found 'twin'"),
        ({"evaluate": {"sampling": {"temperature": -1}}}, "temperature must be 0 or more"),
        ({"evaluate": {"limits": {"memory_bytes": 1}}}, "memory_bytes must be at least 16 MiB"),
    ],
)
def test_settings_that_cannot_work_are_named(tree: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build(ExperimentConfig, ({"name": "x"} | tree) if tree else tree)
    assert told in caught.value.message


def test_resolved_settings_have_the_fingerprint_of_the_given_ones(tmp_path: Path) -> None:
    """Else a run directory's own config.toml would train everything anew."""
    given = build(ExperimentConfig, {"name": "x", "evaluate": {"sampling": {"max_tokens": 16}}})
    (tmp_path / "x.toml").write_text(to_toml(given))
    stored = load(tmp_path / "x.toml", ExperimentConfig)
    assert stored == given
    assert fingerprint(stored) == fingerprint(given)


def test_override_reaches_the_deepest_table(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text('name = "x"\n')
    found = load(tmp_path / "x.toml", ExperimentConfig, ["evaluate.sampling.top_k=7", "evaluate.baselines=[]"])
    assert found.evaluate.sampling == Sampling(max_tokens=256, top_k=7)
    assert found.evaluate.baselines == ()


def test_table_says_only_what_differs_from_its_default_in_that_place() -> None:
    default = ExperimentConfig(name="x").finetune
    found = build(ExperimentConfig, {"name": "x", "finetune": {"batch_size": 3}}).finetune
    assert found == replace(default, batch_size=3)
    assert found.matrix_lr != TrainConfig().matrix_lr


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[2] / "configs").glob("*.toml")), ids=lambda p: p.stem)
def test_configurations_that_we_ship_are_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITCODER_DATA", "data")
    assert load(path, ExperimentConfig).name == path.stem
