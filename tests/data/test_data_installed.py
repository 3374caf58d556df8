import json
import platform
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from tritcoder.data import installed
from tritcoder.data.config import CorpusConfig
from tritcoder.data.sources import Dropped, Item
from tritcoder.errors import ConfigError
from tritcoder.records import Document


def _documents(config: CorpusConfig) -> list[Document]:
    return [item for item in installed.documents(config) if isinstance(item, Document)]


def test_a_module_of_the_standard_library_is_read_with_its_licence() -> None:
    documents = _documents(CorpusConfig(packages=("stdlib/json",)))
    assert {document.path for document in documents} >= {"json/__init__.py", "json/decoder.py"}
    for document in documents:
        assert document.text == Path(json.__file__).parent.parent.joinpath(document.path).read_text("utf-8")
        assert (document.licence, document.group) == ("PSF-2.0", "stdlib/json")
        assert document.source == f"CPython {platform.python_version()}"


def test_a_package_is_read_with_its_version_and_licence() -> None:
    documents = _documents(CorpusConfig(packages=("Rich",)))
    assert len(documents) > 20
    assert {document.source for document in documents} == {f"rich {metadata.version('rich')}"}
    assert {document.licence for document in documents} == {"MIT"}
    assert {document.group for document in documents} == {"rich"}
    assert all(document.path.startswith("rich/") for document in documents)


def test_the_standard_library_is_read_without_its_tests_and_without_site_packages() -> None:
    items = list(installed.documents(CorpusConfig(packages=("stdlib",))))
    paths = [item.path for item in items if isinstance(item, Document)]
    assert len(paths) > 500
    assert "argparse.py" in paths
    assert not [path for path in paths if path.startswith(("test/", "site-packages/")) or "/tests/" in path]
    dropped = [item for item in items if isinstance(item, Dropped)]
    assert {item.reason for item in dropped} >= {"test_code"}
    assert all(item.n_bytes >= 0 for item in dropped)


def test_packages_may_be_left_out() -> None:
    config = CorpusConfig(packages=("stdlib/json", "stdlib/email"), exclude_packages=("stdlib/email",))
    assert {document.group for document in _documents(config)} == {"stdlib/json"}


def test_a_package_that_is_not_installed_is_named_with_its_neighbour() -> None:
    with pytest.raises(ConfigError) as caught:
        list(installed.documents(CorpusConfig(packages=("richh",))))
    assert "richh" in caught.value.message
    assert "rich" in caught.value.hint


def test_our_own_code_is_never_read() -> None:
    assert list(installed.documents(CorpusConfig(packages=("tritcoder",)))) == []


def test_the_identity_names_what_would_be_read() -> None:
    identity = installed.identity(CorpusConfig(packages=("rich",)))
    assert f"rich=={metadata.version('rich')}" in identity
    assert platform.python_version() in identity
    assert identity != installed.identity(CorpusConfig(packages=("numpy",)))


class _Site:
    """A site-packages folder made by hand."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def add(self, name: str, files: dict[str, str], facts: str = "License: MIT", **extra: str) -> None:
        """Install a package."""
        info = self.root / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{facts}\n", "utf-8")
        for path, text in files.items():
            place = self.root / path
            if not Path(path).is_absolute() and ".." not in Path(path).parts:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(text, encoding="utf-8")
        (info / "RECORD").write_text("".join(f"{path},,\n" for path in files), encoding="utf-8")
        for file, text in extra.items():
            (info / file).write_text(text, encoding="utf-8")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Site]:
    root = tmp_path / "site-packages"
    root.mkdir()
    everywhere = metadata.distributions
    monkeypatch.setattr(metadata, "distributions", lambda: everywhere(path=[str(root)]))
    yield _Site(root)
    installed._real.cache_clear()


def _items(*packages: str) -> list[Item]:
    return list(installed.documents(CorpusConfig(packages=packages)))


def test_only_a_packages_own_files_are_read(site: _Site, tmp_path: Path) -> None:
    secret = tmp_path / "outside" / "secret.py"
    secret.parent.mkdir()
    secret.write_text("password = 'x'\n", encoding="utf-8")
    (site.root / "linked").symlink_to(secret.parent, target_is_directory=True)
    site.add("good", {"good/a.py": "a = 1\n", "../outside/secret.py": "", str(secret): "", "good/b.txt": "b"})
    site.add("other", {"other/c.py": "c = 3\n"})
    record = site.root / "good-1.0.dist-info" / "RECORD"
    record.write_text(record.read_text("utf-8") + "linked/secret.py,,\n", encoding="utf-8")
    (site.root / "good" / "link.py").symlink_to(secret)
    record.write_text(record.read_text("utf-8") + "good/link.py,,\n", encoding="utf-8")
    items = _items("good")
    assert [item.path for item in items if isinstance(item, Document)] == ["good/a.py"]
    assert [(item.path, item.reason) for item in items if isinstance(item, Dropped)] == [("good/link.py", "link")]


def test_an_editable_package_is_not_read(site: _Site) -> None:
    origin = json.dumps({"url": "file:///home/me/mine", "dir_info": {"editable": True}})
    site.add("mine", {"__editable___mine_finder.py": "x = 1\n", "mine.py": "y = 1\n"}, **{"direct_url.json": origin})
    assert _items("mine") == []


def test_the_shims_of_installers_are_not_read(site: _Site) -> None:
    site.add("a", {"_editable_impl_a.py": "x = 1\n", "_virtualenv.py": "x = 1\n", "a.py": "x = 2\n"})
    assert [item.path for item in _items("a")] == ["a.py"]


def test_a_file_that_is_recorded_but_gone_is_counted(site: _Site) -> None:
    site.add("a", {"a.py": "x = 1\n"})
    (site.root / "a.py").unlink()
    assert _items("a") == [Dropped("a.py", "unreadable")]


def test_files_are_found_without_a_record(site: _Site) -> None:
    site.add("a", {"a/one.py": "x = 1\n", "a/two.py": "y = 1\n", "b.py": "z = 1\n"}, **{"top_level.txt": "a\nb\n"})
    (site.root / "a-1.0.dist-info" / "RECORD").unlink()
    assert [item.path for item in _items("a")] == ["a/one.py", "a/two.py", "b.py"]


def test_the_licence_file_settles_what_the_classifier_leaves_open(site: _Site) -> None:
    text = "Redistribution and use in source and binary forms ... Redistributions in binary form must reproduce"
    facts = "Classifier: License :: OSI Approved :: BSD License\nLicense-File: LICENSE"
    site.add("a", {"a.py": "x = 1\n"}, facts, LICENSE=text)
    site.add("b", {"b.py": "x = 1\n"}, facts)
    site.add("c", {"c.py": "x = 1\n"}, "Summary: none")
    site.add("d", {"d.py": "# SPDX-License-Identifier: GPL-3.0-only\nx = 1\n"})
    found = {item.path: item.licence for item in _items("a", "b", "c", "d") if isinstance(item, Document)}
    assert found == {
        "a.py": "BSD-2-Clause",
        "b.py": "LicenseRef-BSD",
        "c.py": "unknown",
        "d.py": "GPL-3.0-only",
    }


def test_what_is_no_utf8_text_is_dropped_and_line_ends_are_made_plain(site: _Site) -> None:
    site.add("a", {"a.py": "", "b.py": "", "c.py": "x = 1\n"})
    (site.root / "a.py").write_bytes("name = 'é'\n".encode("latin-1"))
    (site.root / "b.py").write_bytes(b"\xef\xbb\xbfx = 1\r\ny = 2\rz = 3\n")
    dropped, plain, _ = _items("a")
    assert dropped == Dropped("a.py", "not_utf8", 11)
    assert isinstance(plain, Document)
    assert plain.text == "x = 1\ny = 2\nz = 3\n"


def test_a_file_too_large_is_never_opened(site: _Site) -> None:
    site.add("a", {"a.py": "x = 1\n" * 100})
    (site.root / "a.py").chmod(0)
    items = list(installed.documents(CorpusConfig(packages=("a",), max_file_bytes=100)))
    assert items == [Dropped("a.py", "too_large", 600)]
