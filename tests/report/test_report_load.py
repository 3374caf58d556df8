import json
from pathlib import Path

import pytest

from tritcoder.errors import DatasetError
from tritcoder.report.load import load_run


def test_every_part_of_a_run_directory_comes_back(run_directory: Path) -> None:
    run = load_run(run_directory)
    assert run.name == "demo"
    assert run.manifest["config"].startswith("# demo")
    assert sorted(run.metrics) == ["ternary/finetune", "ternary/pretrain", "twin/finetune", "twin/pretrain"]
    assert sorted(score["model"] for score in run.scores) == ["naive:constant", "naive:retrieval", "ternary", "twin"]
    assert run.references["xz"] == 1.913
    assert [example["problem_id"] for example in run.examples] == ["4001", "4002"]


def test_a_run_in_progress_has_empty_parts(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[model]\n", encoding="utf-8")
    run = load_run(tmp_path)
    assert (run.name, run.metrics, run.scores, run.references, run.examples) == (tmp_path.name, {}, [], {}, [])


def test_a_metrics_line_cut_short_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}", encoding="utf-8")
    metrics = tmp_path / "ternary" / "pretrain" / "metrics.jsonl"
    metrics.parent.mkdir(parents=True)
    metrics.write_bytes(b'{"step": 1, "loss": 2.5}\n17\n{"step": 2, "lo\xff')
    assert load_run(tmp_path).metrics == {"ternary/pretrain": [{"step": 1, "loss": 2.5}]}


@pytest.mark.parametrize("kind", ["missing", "file", "other"])
def test_what_is_no_run_directory_is_refused_with_a_sentence(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "place"
    if kind == "file":
        place.write_text("not a directory", encoding="utf-8")
    if kind == "other":
        place.mkdir()
        (place / "holiday.jpg").write_bytes(b"")
    with pytest.raises(DatasetError, match="should be a run directory, found") as caught:
        load_run(place)
    assert str(place) in caught.value.message
    assert caught.value.hint


BROKEN = {
    "manifest.json": [b"{", b"[]", b'"text"', b"\xff\xfe", b"9" * 5000, b"[" * 100_000],
    "references.json": [b"nonsense", b"[1]"],
    "examples.json": [b"{}", b"[1, 2]"],
    "scores/x.json": [b"{}", b'{"model": 3}', b"[]"],
    "config.toml": [b"\xff\xfe"],
}


@pytest.mark.parametrize(("name", "content"), [(name, bad) for name, bads in BROKEN.items() for bad in bads])
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"name": "x"}), encoding="utf-8")
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    with pytest.raises(DatasetError) as caught:
        load_run(tmp_path)
    assert str(path) in caught.value.message
    assert caught.value.hint
