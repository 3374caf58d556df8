import gzip
import json
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from tritcoder.data import the_stack
from tritcoder.data.config import CorpusConfig
from tritcoder.data.sources import Dropped
from tritcoder.errors import AccessError, DatasetError, MissingExtraError
from tritcoder.records import Document

COMMIT = "a" * 40


def dedup_row(**changes: Any) -> dict[str, Any]:
    """A row as bigcode/the-stack-dedup has it."""
    return {
        "hexsha": "0" * 40,
        "size": 6,
        "ext": "py",
        "lang": "Python",
        "max_stars_repo_path": "src/a.py",
        "max_stars_repo_name": "ann/maths",
        "max_stars_repo_licenses": ["MIT"],
        "max_stars_count": 3,
        "max_issues_repo_name": "ann/maths",
        "max_forks_repo_name": "ben/fork",
        "content": "x = 1\n",
        "avg_line_length": 6.0,
        "alphanum_fraction": 0.5,
        **changes,
    }


def smol_row(**changes: Any) -> dict[str, Any]:
    """A row as bigcode/the-stack-smol has it."""
    return {
        "content": "x = 1\n",
        "avg_line_length": 6.0,
        "licenses": ["MIT", "Apache-2.0"],
        "repository_name": "ann/maths",
        "path": "src/a.py",
        "size": 6,
        "lang": "Python",
        **changes,
    }


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write rows in the form that the file's name asks for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    else:
        data = "".join(json.dumps(row) + "\n" for row in rows).encode()
        path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def config_for(path: Path, **changes: Any) -> CorpusConfig:
    return CorpusConfig(source="the-stack", path=str(path), **changes)


@pytest.mark.parametrize("name", ["a.parquet", "a.jsonl", "a.jsonl.gz", "a.json"])
@pytest.mark.parametrize(("row", "licence"), [(dedup_row(), "MIT"), (smol_row(), "MIT AND Apache-2.0")])
def test_every_form_gives_the_same_document(tmp_path: Path, name: str, row: dict[str, Any], licence: str) -> None:
    path = write(tmp_path / name, [row])
    assert list(the_stack.documents(config_for(path))) == [
        Document("x = 1\n", "src/a.py", name, licence, "Python", "ann/maths")
    ]


def test_many_batches_are_read_in_order(tmp_path: Path) -> None:
    rows = [dedup_row(content=f"x = {number}\n", max_stars_repo_path=f"{number}.py") for number in range(600)]
    path = write(tmp_path / "a.parquet", rows)
    assert [item.path for item in the_stack.documents(config_for(path))] == [f"{n}.py" for n in range(600)]


def test_a_folder_is_read_file_by_file_in_order_of_names(tmp_path: Path) -> None:
    for name in ("python/b.parquet", "python/a.jsonl", "c.jsonl.gz"):
        write(tmp_path / name, [dedup_row(max_stars_repo_path=name.replace("/", "-") + ".py")])
    (tmp_path / "README.md").write_text("about", encoding="utf-8")
    items = list(the_stack.documents(config_for(tmp_path)))
    assert [item.source for item in items if isinstance(item, Document)] == [
        "c.jsonl.gz",
        "python/a.jsonl",
        "python/b.parquet",
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"lang": "Ruby"}, "other_language"),
        ({"lang": None, "ext": "rb"}, "other_language"),
        ({"content": None}, "no_text"),
        ({"max_stars_repo_path": "tests/test_a.py"}, "test_code"),
    ],
)
@pytest.mark.parametrize("name", ["a.parquet", "a.jsonl"])
def test_a_row_that_is_no_document_says_why(tmp_path: Path, changes: dict[str, Any], reason: str, name: str) -> None:
    path = write(tmp_path / name, [dedup_row(), dedup_row(**changes)])
    first, second = the_stack.documents(config_for(path))
    assert isinstance(first, Document)
    assert isinstance(second, Dropped)
    assert second.reason == reason


@pytest.mark.parametrize("name", ["ann", "ann/maths", "ben", "cat/other"])
def test_an_opt_out_of_any_repository_with_this_text_counts(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "a.parquet", [dedup_row(max_issues_repo_name="cat/other")])
    listed = tmp_path / "opt-out.txt"
    listed.write_text(name + "\n", encoding="utf-8")
    (item,) = the_stack.documents(config_for(path, opt_out=str(listed)))
    assert item == Dropped("src/a.py", "opted_out", 6)


@pytest.mark.parametrize(
    ("row", "licence"),
    [
        (dedup_row(max_stars_repo_licenses=[]), "unknown"),
        (smol_row(licenses=None), "unknown"),
        (smol_row(licenses="ISC"), "ISC"),
        (dedup_row(content="# SPDX-License-Identifier: MPL-2.0\n"), "MPL-2.0"),
    ],
)
def test_licences_are_all_stated_or_unknown(tmp_path: Path, row: dict[str, Any], licence: str) -> None:
    (item,) = the_stack.documents(config_for(write(tmp_path / "a.jsonl", [row])))
    assert isinstance(item, Document)
    assert item.licence == licence


def test_the_language_is_taken_from_the_ending_when_no_column_says_it(tmp_path: Path) -> None:
    rows = [{"content": "x", "path": name} for name in ("a.py", "b.rs", "c")]
    items = list(the_stack.documents(config_for(write(tmp_path / "a.jsonl", rows))))
    assert [getattr(item, "language", "") for item in items] == ["Python", "", "Python"]


def test_line_ends_and_byte_order_marks_are_made_plain(tmp_path: Path) -> None:
    (item,) = the_stack.documents(config_for(write(tmp_path / "a.jsonl", [smol_row(content="\ufeffa\r\nb\rc\n")])))
    assert isinstance(item, Document)
    assert item.text == "a\nb\nc\n"


@pytest.mark.parametrize("name", ["a.parquet", "a.jsonl"])
def test_rows_without_text_name_the_field_that_is_missing(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, [{"blob_id": "1", "path": "a.py"}])
    with pytest.raises(DatasetError, match=r"content.*found blob_id, path"):
        list(the_stack.documents(config_for(path)))


@pytest.mark.parametrize("damage", [lambda data: data[:-40], lambda data: b"PAR1 no", lambda data: b""])
def test_a_damaged_parquet_file_is_a_sentence(tmp_path: Path, damage: Any) -> None:
    path = write(tmp_path / "a.parquet", [dedup_row()] * 50)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DatasetError, match=r"a\.parquet"):
        list(the_stack.documents(config_for(path)))


def test_scrambled_parquet_is_a_sentence_or_rows(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.parquet", [dedup_row()] * 50).read_bytes()
    for place in range(4, len(whole), 61):
        path = tmp_path / "b.parquet"
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with suppress(DatasetError):
            assert all(isinstance(item, Document | Dropped) for item in the_stack.documents(config_for(path)))


def test_a_place_without_files_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no file of The Stack"):
        list(the_stack.documents(config_for(tmp_path)))


def test_parquet_without_its_library_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.parquet", [dedup_row()])
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtraError) as caught:
        list(the_stack.documents(config_for(path)))
    assert caught.value.hint == "pip install 'tritcoder[data]'"


class FolderHub:
    """A folder in the place of the hub."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.fetched: list[str] = []

    def commit(self, dataset: str, revision: str) -> str:
        return COMMIT

    def files(self, dataset: str, revision: str) -> list[str]:
        assert (dataset, revision) == ("bigcode/the-stack-dedup", COMMIT)
        return [path.relative_to(self.root).as_posix() for path in self.root.rglob("*") if path.is_file()]

    def fetch(self, dataset: str, name: str, revision: str) -> Path:
        self.fetched.append(name)
        return self.root / name


@pytest.fixture
def hub(tmp_path: Path) -> FolderHub:
    for number in range(6):
        write(tmp_path / f"data/python/data-{number}.parquet", [dedup_row(max_stars_repo_path=f"{number}.py")])
    write(tmp_path / "data/c-sharp/data-0.parquet", [dedup_row(lang="C#", max_stars_repo_path="a.cs")])
    (tmp_path / "README.md").write_text("terms", encoding="utf-8")
    return FolderHub(tmp_path)


def test_the_hub_gives_the_folders_of_the_languages(hub: FolderHub) -> None:
    items = list(the_stack.documents(CorpusConfig(source="the-stack"), hub))
    assert [item.path for item in items] == [f"{number}.py" for number in range(6)]
    assert {item.source for item in items if isinstance(item, Document)} == {"bigcode/the-stack-dedup@" + "a" * 12}
    both = CorpusConfig(source="the-stack", languages=("Python", "C#"))
    assert len(list(the_stack.documents(both, hub))) == 7


def test_only_as_many_files_are_fetched_as_were_asked_for(hub: FolderHub) -> None:
    config = CorpusConfig(source="the-stack", max_files=2)
    first = list(the_stack.documents(config, hub))
    assert len(hub.fetched) == 2
    assert list(the_stack.documents(config, hub)) == first
    chosen = {tuple(the_stack.documents(replace(config, seed=seed), hub)) for seed in range(8)}
    assert len(chosen) > 1


def test_a_language_that_the_data_set_lacks_is_a_sentence(hub: FolderHub) -> None:
    with pytest.raises(AccessError, match="no files in a folder cobol"):
        list(the_stack.documents(CorpusConfig(source="the-stack", languages=("COBOL",)), hub))


def test_the_identity_is_the_commit_or_the_files(hub: FolderHub, tmp_path: Path) -> None:
    assert the_stack.identity(CorpusConfig(source="the-stack"), hub) == f"bigcode/the-stack-dedup@{COMMIT}"
    first = the_stack.identity(config_for(tmp_path))
    write(tmp_path / "data/python/data-0.parquet", [dedup_row()] * 2)
    assert the_stack.identity(config_for(tmp_path)) != first
