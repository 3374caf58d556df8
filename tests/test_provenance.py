import errno
import json
import os
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritcoder import provenance
from tritcoder.errors import StorageError
from tritcoder.provenance import read_jsonl, whole_file, write_json, write_jsonl

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner, max_size=3),
)


def test_a_writer_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("old", encoding="utf-8")

    def fail_half_way() -> None:
        with whole_file(path) as file:
            file.write("new")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        fail_half_way()
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_name_shows_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "x.bin"
    with whole_file(path, "wb") as file:
        file.write(b"one")
        file.flush()
        assert not path.exists()
    with whole_file(path, "wb") as file:
        file.write(b"two")
        file.flush()
        assert path.read_bytes() == b"one"
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def test_rows_that_cannot_be_written_leave_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    write_jsonl(path, [1])

    def rows() -> Iterator[Any]:
        yield 2
        yield object()

    with pytest.raises(TypeError):
        write_jsonl(path, rows())
    assert read_jsonl(path) == [1]


@pytest.mark.parametrize(("owner", "call"), [(os, "fsync"), (Path, "replace")])
def test_a_full_disk_is_a_storage_error(
    owner: object, call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.json"
    path.write_text("old", encoding="utf-8")

    def refuse(*_: Any) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(owner, call, refuse)
    with pytest.raises(StorageError, match="no space left on the disk") as caught:
        write_json(path, {"a": 1})
    assert "free some space" in caught.value.hint
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real disk of 64 KiB, where this user may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    try:
        command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a tmpfs needs root and the right to mount")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_fills_up_keeps_the_old_file(small_disk: Path) -> None:
    path = small_disk / "x.json"
    write_json(path, "old")
    with pytest.raises(StorageError, match="no space left on the disk"):
        write_json(path, "x" * 200_000)
    assert json.loads(path.read_text(encoding="utf-8")) == "old"
    assert list(small_disk.iterdir()) == [path]
    with pytest.raises(StorageError, match="no space left on the disk"), whole_file(path, "wb") as file:
        file.write(bytes(200_000))
    write_json(path, "new")
    assert json.loads(path.read_text(encoding="utf-8")) == "new"


@given(st.lists(json_values))
def test_rows_are_read_back_as_they_were_written(tmp_path_factory: pytest.TempPathFactory, rows: list[Any]) -> None:
    path = tmp_path_factory.getbasetemp() / "rows-x.jsonl"
    write_jsonl(path, rows)
    assert read_jsonl(path) == rows


@given(json_values)
def test_json_is_read_back_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "value-x.json"
    write_json(path, value)
    assert json.loads(path.read_text(encoding="utf-8")) == value


@given(st.integers(0, 60))
def test_a_file_cut_anywhere_gives_its_whole_rows(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    rows = [{"step": 1, "word": "é"}, {"step": 22}, {"step": 333}]
    path = tmp_path_factory.getbasetemp() / "cut-x.jsonl"
    write_jsonl(path, rows)
    data = path.read_bytes()[:cut]
    path.write_bytes(data)
    n_whole = data.count(b"\n")
    assert read_jsonl(path)[:n_whole] == rows[:n_whole]
    assert read_jsonl(path) in (rows[:n_whole], rows[: n_whole + 1])  # the last row, short of its line break only


def test_a_missing_file_has_no_rows(tmp_path: Path) -> None:
    assert read_jsonl(tmp_path / "none.jsonl") == []


def test_a_result_is_signed_with_commit_machine_and_versions() -> None:
    signed = provenance.signature()
    assert re.fullmatch(r"[0-9a-f]{12}\+?|unknown", signed["commit"])
    assert datetime.fromisoformat(signed["time"]).tzinfo == UTC
    assert {"python", "tritcoder", "numpy"} <= set(signed["versions"])
    assert signed["machine"]["processor"]
    assert json.loads(json.dumps(signed)) == signed


def test_outside_a_checkout_the_commit_is_unknown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "provenance.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert provenance.commit() == "unknown"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance.commit() == "unknown"
