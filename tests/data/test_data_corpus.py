import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritcoder.data import corpus, folder
from tritcoder.data.config import CorpusConfig
from tritcoder.data.sources import Dropped, Item
from tritcoder.errors import AccessError, DatasetError, EmptyCorpusError
from tritcoder.records import Document

MIT = (
    "Permission is hereby granted, free of charge, to any person obtaining a copy ... "
    "The above copyright notice and this permission notice shall be included in all copies"
)
ANY_TEXT = st.text(st.characters(codec=None))


def _project(root: Path, n_groups: int = 6, n_files: int = 5) -> CorpusConfig:
    """A folder of small projects, each under the MIT licence."""
    for group in range(n_groups):
        place = root / f"group{group}"
        place.mkdir(parents=True)
        (place / "LICENSE").write_text(MIT, encoding="utf-8")
        for number in range(n_files):
            text = f"def function_{group}_{number}(value):\n    return value + {number}\n"
            (place / f"file{number}.py").write_text(text, encoding="utf-8")
    return CorpusConfig(source="folder", path=str(root), min_file_bytes=10)


def _documents(directory: Path, name: str) -> list[Document]:
    return list(corpus.read(directory / name))


@given(st.builds(Document, ANY_TEXT, ANY_TEXT, ANY_TEXT, ANY_TEXT, ANY_TEXT, ANY_TEXT))
def test_a_document_survives_its_line(tmp_path_factory: pytest.TempPathFactory, document: Document) -> None:
    path = tmp_path_factory.mktemp("line") / "a.jsonl"
    path.write_bytes(corpus.to_line(document) * 2)
    assert path.read_bytes().count(b"\n") == 2
    assert list(corpus.read(path)) == [document, document]


def test_every_document_is_trained_on_held_out_or_counted(tmp_path: Path) -> None:
    config = _project(tmp_path / "code")
    code = tmp_path / "code"
    (code / "group0" / "copy.py").write_text(
        (code / "group1" / "file0.py").read_text("utf-8") + "\n\n", encoding="utf-8"
    )
    (code / "group0" / "short.py").write_text("x", encoding="utf-8")
    (code / "group0" / "bad.py").write_bytes(b"x = '\xff'")
    (code / "unlicensed").mkdir()
    (code / "unlicensed" / "a.py").write_text("value = 'long enough'\n", encoding="utf-8")
    manifest = corpus.build(config, tmp_path / "out")
    train, held_out = (_documents(tmp_path / "out", name) for name in ("train.jsonl", "held_out.jsonl"))
    assert manifest["dropped"] == {"duplicate": 1, "too_short": 1, "not_utf8": 1, "licence_not_allowed": 1}
    assert manifest["files_read"] == 34 == len(train) + len(held_out) + 4
    assert len({document.text for document in (*train, *held_out)}) == 30
    assert {document.group for document in held_out} == set(manifest["held_out_groups"])
    assert not {document.group for document in train} & set(manifest["held_out_groups"])


def test_the_manifest_accounts_for_what_was_written(tmp_path: Path) -> None:
    listed = tmp_path / "opt-out.txt"
    listed.write_text("group3\n", encoding="utf-8")
    config = replace(_project(tmp_path / "code"), opt_out=str(listed))
    manifest = corpus.build(config, tmp_path / "out")
    parts = {name: _documents(tmp_path / "out", f"{name}.jsonl") for name in ("train", "held_out")}
    for name, documents in parts.items():
        data = (tmp_path / "out" / f"{name}.jsonl").read_bytes()
        assert manifest["totals"][name] == {
            "documents": len(documents),
            "bytes": sum(len(document.text.encode()) for document in documents),
            "sha256": hashlib.sha256(data).hexdigest(),
        }
    n_bytes = sum(manifest["totals"][name]["bytes"] for name in parts)
    assert manifest["licences"] == {"MIT": {"documents": 25, "bytes": n_bytes}}
    assert manifest["languages"] == {"Python": {"documents": 25, "bytes": n_bytes}}
    assert sum(source["bytes"] for source in manifest["sources"].values()) == n_bytes
    assert {tuple(source["licences"]) for source in manifest["sources"].values()} == {("MIT",)}
    assert manifest["opt_out"]["sha256"] == hashlib.sha256(b"group3\n").hexdigest()
    assert manifest["opt_out"]["names"] == 1
    assert manifest["dropped"] == {"opted_out": 5}
    assert manifest["filters"]["min_file_bytes"] == 10
    assert manifest["allowed_licences"] == list(config.licences)
    assert manifest["place"] == config.path
    assert manifest["identity"] == corpus.identity(config)
    json.dumps(manifest)


def test_the_same_settings_write_the_same_bytes(tmp_path: Path) -> None:
    config = replace(_project(tmp_path / "code"), max_bytes=900, max_bytes_per_group=200)
    first, second = corpus.build(config, tmp_path / "a"), corpus.build(config, tmp_path / "b")
    assert first == second
    assert 600 < first["totals"]["train"]["bytes"] <= 900
    other = corpus.build(replace(config, seed=1), tmp_path / "c")
    assert other["totals"]["train"]["sha256"] != first["totals"]["train"]["sha256"]


def test_files_made_in_another_order_give_the_same_corpus(tmp_path: Path) -> None:
    config = replace(_project(tmp_path / "one" / "code"), max_bytes=700)
    files = [path for path in (tmp_path / "one" / "code").rglob("*") if path.is_file()]
    for path in sorted(files, reverse=True):
        place = tmp_path / "two" / path.relative_to(tmp_path / "one")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(path.read_bytes())
    again = replace(config, path=str(tmp_path / "two" / "code"))
    first, second = corpus.build(config, tmp_path / "a"), corpus.build(again, tmp_path / "b")
    assert first["totals"] == second["totals"]
    assert first["held_out_groups"] == second["held_out_groups"]


def test_named_groups_are_held_out(tmp_path: Path) -> None:
    config = replace(_project(tmp_path / "code"), held_out=("group2", "group4"))
    manifest = corpus.build(config, tmp_path / "out")
    assert manifest["held_out_groups"] == ["group2", "group4"]
    assert {document.group for document in _documents(tmp_path / "out", "held_out.jsonl")} == {"group2", "group4"}


def test_progress_is_told_of_both_readings(tmp_path: Path) -> None:
    told: list[tuple[str, int]] = []
    corpus.build(_project(tmp_path / "code", 9, 50), tmp_path / "out", lambda doing, n: told.append((doing, n)))
    assert told == [(doing, n) for doing in ("reading", "writing") for n in (200, 400, 450)]


@pytest.mark.parametrize(
    ("changes", "reason", "hint"),
    [
        ({"licences": ("Zlib",)}, "30 licence_not_allowed", "licences"),
        ({"min_file_bytes": 10_000}, "30 too_short", "filters"),
        ({"max_bytes": 10}, "over_total_cap", "max_bytes"),
        ({"max_bytes_per_group": 10}, "over_group_cap", "max_bytes_per_group"),
        ({"held_out": ("*",), "held_out_max_bytes": 1}, "over_held_out_cap", "held_out"),
    ],
)
def test_an_empty_corpus_tells_what_was_dropped_and_what_to_change(
    tmp_path: Path, changes: dict[str, Any], reason: str, hint: str
) -> None:
    config = replace(_project(tmp_path / "code"), **changes)
    with pytest.raises(EmptyCorpusError) as caught:
        corpus.build(config, tmp_path / "out")
    assert reason in caught.value.message
    assert hint in caught.value.hint
    assert not (tmp_path / "out").exists()


def test_an_empty_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(EmptyCorpusError, match="holds no file at all"):
        corpus.build(CorpusConfig(source="folder", path=str(tmp_path)), tmp_path / "out")


@pytest.mark.parametrize("change", ["grown", "gone", "unreadable"])
def test_a_source_that_changes_between_the_readings_is_noticed(
    tmp_path: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, readings, read = _project(tmp_path / "code"), [0], folder.documents

    def changing(config: CorpusConfig) -> Any:
        readings[0] += 1
        items = list(read(config))
        if readings[0] == 2:
            first = items[0]
            assert isinstance(first, Document)
            grown = replace(first, text=first.text + "# more\n")
            unreadable = Dropped(first.path, "unreadable")
            instead: dict[str, list[Item]] = {"grown": [grown], "gone": [], "unreadable": [unreadable]}
            items[:1] = instead[change]
        return iter(items)

    monkeypatch.setattr(folder, "documents", changing)
    with pytest.raises(DatasetError, match="changed while it was read"):
        corpus.build(config, tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.jsonl"))


def test_the_identity_changes_with_the_source_and_the_opt_out_list(tmp_path: Path) -> None:
    config = _project(tmp_path / "code")
    listed = tmp_path / "opt-out.txt"
    listed.write_text("a/b\n", encoding="utf-8")
    seen = [corpus.identity(config), corpus.identity(replace(config, opt_out=str(listed)))]
    listed.write_text("a/b\nc/d\n", encoding="utf-8")
    seen.append(corpus.identity(replace(config, opt_out=str(listed))))
    (tmp_path / "code" / "group0" / "new.py").write_text("x = 1\n", encoding="utf-8")
    seen += [corpus.identity(config), corpus.identity(CorpusConfig(packages=("rich",)))]
    assert len(set(seen)) == len(seen)
    assert corpus.identity(config) == corpus.identity(replace(config, max_bytes=5))


def test_the_installed_corpus_is_built_on_this_interpreter(tmp_path: Path) -> None:
    config = CorpusConfig(
        packages=("stdlib/json", "stdlib/argparse", "stdlib/email", "rich"), held_out=("stdlib/json",)
    )
    manifest = corpus.build(config, tmp_path)
    train = _documents(tmp_path, "train.jsonl")
    assert {document.group for document in train} == {"stdlib/argparse", "stdlib/email", "rich"}
    assert set(manifest["licences"]) == {"PSF-2.0", "MIT"}
    assert manifest["totals"]["held_out"]["documents"] >= 3


def test_the_stack_is_built_at_the_commit_that_the_first_reading_saw(tmp_path: Path) -> None:
    row = {"lang": "Python", "max_stars_repo_licenses": ["MIT"]}
    texts = [
        f"def function_{number}():\n    return {number}\n" + "# words to fill the file\n" * 3 for number in range(9)
    ]
    rows = [{**row, "content": text, "max_stars_repo_name": f"ann/{n}", "max_stars_repo_path": "a.py"}
            for n, text in enumerate(texts)]  # fmt: skip
    file = tmp_path / "data.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    class MovingHub:
        commits = 0

        def commit(self, dataset: str, revision: str) -> str:
            self.commits += not revision
            return revision or "d" * 40

        def files(self, dataset: str, revision: str) -> list[str]:
            assert revision == "d" * 40
            return ["data/python/data.jsonl"]

        def fetch(self, dataset: str, name: str, revision: str) -> Path:
            return file

    hub = MovingHub()
    manifest = corpus.build(CorpusConfig(source="the-stack"), tmp_path / "out", hub=hub)
    assert hub.commits == 1
    assert manifest["revision"] == "d" * 40
    assert manifest["place"] == "bigcode/the-stack-dedup"
    assert manifest["totals"]["train"]["documents"] == 8
    assert set(manifest["sources"]) == {"bigcode/the-stack-dedup@" + "d" * 12}


def test_a_refused_hub_is_an_access_error(tmp_path: Path) -> None:
    class ClosedHub:
        def commit(self, dataset: str, revision: str) -> str:
            raise AccessError("the hub refused", "accept the terms")

        def files(self, dataset: str, revision: str) -> list[str]:
            raise AssertionError

        def fetch(self, dataset: str, name: str, revision: str) -> Path:
            raise AssertionError

    with pytest.raises(AccessError):
        corpus.build(CorpusConfig(source="the-stack"), tmp_path, hub=ClosedHub())


@pytest.mark.parametrize(
    "row", [{}, {"text": "x"}, {"text": 1, "path": "", "source": "", "licence": "", "language": "", "group": ""}]
)
def test_a_line_that_is_no_document_is_named(tmp_path: Path, row: dict[str, Any]) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="line 1"):
        list(corpus.read(path))
