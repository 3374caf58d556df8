"""The log of a resumed run is that of an unbroken one, and a full disk is said in one sentence."""

import json
from pathlib import Path

import pytest

from tritcoder.errors import StorageError
from tritcoder.train.metrics import MetricsLog


def rows_of(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_no_line_beyond_the_resumed_step_stays(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path, 0)
    for step in range(1, 8):
        log.write({"step": step, "loss": 1 / step})
    log.close()
    MetricsLog(path, 4).close()
    assert rows_of(path) == [{"step": step, "loss": 1 / step} for step in range(1, 5)]
    MetricsLog(path, 0).close()
    assert rows_of(path) == []


@pytest.mark.parametrize("tail", [b'{"step": 3, "lo', b"\0\0\0\0", b"\n", b"[", b'{"step": 3'])
def test_a_line_cut_by_a_crash_is_dropped(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n{"step": 2}\n' + tail)
    log = MetricsLog(path, 2)
    log.write({"step": 3})
    log.close()
    assert rows_of(path) == [{"step": 1}, {"step": 2}, {"step": 3}]


def test_a_line_is_visible_at_once(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl", 0)
    log.write({"step": 1, "loss": 0.1})
    assert rows_of(tmp_path / "metrics.jsonl") == [{"step": 1, "loss": 0.1}]
    log.close()


def test_a_full_disk_is_a_storage_error_also_on_closing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl", 0)
    log.close()
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        monkeypatch.setattr(log, "_file", full)
        with pytest.raises(StorageError, match="no space left"):
            log.write({"step": 1})
        with pytest.raises(StorageError, match="no space left"):
            log.close()
