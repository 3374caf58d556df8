import os
from dataclasses import replace
from pathlib import Path

import pytest

from tritcoder.data import folder
from tritcoder.data.config import CorpusConfig
from tritcoder.data.sources import Dropped
from tritcoder.errors import ConfigError, DatasetError
from tritcoder.records import Document

MIT = (
    "Permission is hereby granted, free of charge, to any person obtaining a copy ... "
    "The above copyright notice and this permission notice shall be included in all copies"
)
GPL = "GNU GENERAL PUBLIC LICENSE\nVersion 3, 29 June 2007"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def _lay(root: Path, files: dict[str, str]) -> CorpusConfig:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return CorpusConfig(source="folder", path=str(root))


def _read(config: CorpusConfig) -> dict[str, Document]:
    return {item.path: item for item in folder.documents(config) if isinstance(item, Document)}


def _dropped(config: CorpusConfig) -> dict[str, str]:
    return {item.path: item.reason for item in folder.documents(config) if isinstance(item, Dropped)}


def test_a_checkout_is_a_group_with_its_origin_commit_and_licence(tmp_path: Path) -> None:
    config = _lay(
        tmp_path,
        {
            "maths/.git/HEAD": "ref: refs/heads/main\n",
            "maths/.git/refs/heads/main": COMMIT + "\n",
            "maths/.git/config": '[core]\n\tbare = false\n[remote "origin"]\n\turl = git@github.com:Ann/maths.git\n',
            "maths/LICENSE": MIT,
            "maths/src/add.py": "x = 1\n",
            "other/.git/HEAD": COMMIT + "\n",
            "other/COPYING": GPL,
            "other/sub.py": "y = 1\n",
        },
    )
    documents = _read(config)
    assert documents["maths/src/add.py"] == Document(
        text="x = 1\n",
        path="maths/src/add.py",
        source=f"Ann/maths@{COMMIT[:12]}",
        licence="MIT",
        group="Ann/maths",
    )
    assert documents["other/sub.py"].group == "other"
    assert documents["other/sub.py"].source == f"other@{COMMIT[:12]}"
    assert documents["other/sub.py"].licence == "GPL-3.0"


@pytest.mark.parametrize(
    ("head", "packed", "source"),
    [
        ("ref: refs/heads/main", f"# pack-refs\n{COMMIT} refs/heads/main\n", f"a@{COMMIT[:12]}"),
        ("ref: refs/heads/main", "", "a"),
        ("ref: ../../../secret", "", "a"),
        ("nonsense", "", "a"),
    ],
)
def test_a_commit_is_found_or_left_out(tmp_path: Path, head: str, packed: str, source: str) -> None:
    config = _lay(tmp_path / "code", {"a/.git/HEAD": head, "a/.git/packed-refs": packed, "a/x.py": "x = 1\n"})
    (tmp_path / "secret").write_text(COMMIT, encoding="utf-8")
    assert _read(config)["a/x.py"].source == source


def test_the_nearest_licence_counts_and_a_checkout_inherits_none(tmp_path: Path) -> None:
    config = _lay(
        tmp_path,
        {
            "LICENSE": MIT,
            "top.py": "x = 1\n",
            "a/one.py": "x = 2\n",
            "a/vendored/LICENSE.txt": GPL,
            "a/vendored/two.py": "x = 3\n",
            "b/LICENCE": "Ask me first.",
            "b/three.py": "x = 4\n",
            "c/.git/HEAD": "",
            "c/four.py": "x = 5\n",
            "d/LICENSE-MIT": MIT,
            "d/LICENSE-GPL": GPL,
            "d/five.py": "x = 6\n",
        },
    )
    assert {path: document.licence for path, document in _read(config).items()} == {
        "top.py": "MIT",
        "a/one.py": "MIT",
        "a/vendored/two.py": "GPL-3.0",
        "b/three.py": "unknown",
        "c/four.py": "unknown",
        "d/five.py": "GPL-3.0 AND MIT",
    }


def test_plain_folders_are_groups(tmp_path: Path) -> None:
    config = _lay(tmp_path / "code", {"top.py": "a", "one/a.py": "a", "one/deep/b.py": "b", "two/c.py": "c"})
    groups = {path: document.group for path, document in _read(config).items()}
    assert groups == {"top.py": "code", "one/a.py": "one", "one/deep/b.py": "one", "two/c.py": "two"}


def test_languages_are_told_by_their_endings(tmp_path: Path) -> None:
    config = _lay(tmp_path, {"a.py": "a", "b.cc": "b", "c.rs": "c", "d.txt": "d", "Makefile": "e"})
    assert set(_read(config)) == {"a.py"}
    both = _read(replace(config, languages=("C++", "Rust")))
    assert {path: document.language for path, document in both.items()} == {"b.cc": "C++", "c.rs": "Rust"}


def test_links_and_other_kinds_of_files_are_never_opened(tmp_path: Path) -> None:
    config = _lay(tmp_path / "code", {"a/real.py": "x = 1\n"})
    (tmp_path / "secret.py").write_text("password = 1\n", encoding="utf-8")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "b.py").write_text("b = 1\n", encoding="utf-8")
    code = tmp_path / "code"
    (code / "link.py").symlink_to(tmp_path / "secret.py")
    (code / "folder").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (code / "loop").symlink_to(code, target_is_directory=True)
    (code / "LICENSE").symlink_to(tmp_path / "secret.py")
    os.mkfifo(code / "pipe.py")
    (code / "folder.py").mkdir()
    assert set(_read(config)) == {"a/real.py"}
    assert _dropped(config) == {"link.py": "link", "pipe.py": "not_a_file"}


def test_what_cannot_be_read_is_dropped_with_its_reason(tmp_path: Path) -> None:
    config = _lay(tmp_path, {"good.py": "x = 1\n", "tests/test_a.py": "x = 1\n", "large.py": "x" * 2000})
    (tmp_path / "bad.py").write_bytes(b"x = '\xff'\n")
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "c.py").write_text("x = 1\n", encoding="utf-8")
    config = replace(config, max_file_bytes=1000)
    assert _dropped(config) == {"bad.py": "not_utf8", "tests/test_a.py": "test_code", "large.py": "too_large"}
    assert set(_read(replace(config, include_tests=True))) == {"good.py", "tests/test_a.py"}


def test_the_order_is_that_of_names(tmp_path: Path) -> None:
    names = ["b.py", "a/z.py", "a.py", "c/a.py", "a/a.py"]
    config = _lay(tmp_path, dict.fromkeys(names, "x"))
    assert [item.path for item in folder.documents(config)] == ["a/a.py", "a/z.py", "a.py", "b.py", "c/a.py"]


def test_the_identity_changes_with_files_and_licences_only(tmp_path: Path) -> None:
    config = _lay(tmp_path, {"a.py": "x = 1\n", "LICENSE": MIT, "notes.txt": "n"})
    first = folder.identity(config)
    (tmp_path / "notes.txt").write_text("other", encoding="utf-8")
    assert folder.identity(config) == first
    (tmp_path / "a.py").write_text("x = 10\n", encoding="utf-8")
    second = folder.identity(config)
    (tmp_path / "LICENSE").write_text(GPL, encoding="utf-8")
    assert len({first, second, folder.identity(config)}) == 3


def test_what_cannot_be_asked_of_a_folder_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="there is no folder"):
        list(folder.documents(CorpusConfig(source="folder", path=str(tmp_path / "none"))))
    with pytest.raises(ConfigError, match="Klingon"):
        list(folder.documents(CorpusConfig(source="folder", path=str(tmp_path), languages=("Klingon",))))
