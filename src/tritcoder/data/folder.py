"""A folder of source files, or of git checkouts: each checkout is a group, and its licence is read from its text."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tritcoder.data import licences
from tritcoder.data.config import CorpusConfig
from tritcoder.data.sources import (
    LANGUAGE_SUFFIXES,
    Dropped,
    Item,
    language_of,
    listing_digest,
    read_document,
)
from tritcoder.errors import ConfigError, DatasetError

_NOT_SOURCE = {".git", ".hg", ".svn", ".tox", ".venv", "__pycache__", "node_modules", "site-packages", "venv"}
_LICENCE_FILE = re.compile(r"(un)?licen[cs]e|copying", re.IGNORECASE)
_REMOTE = re.compile(r"^\s*url\s*=\s*\S*[:/]([\w.-]+/[\w.-]+?)(?:\.git)?/?\s*$", re.MULTILINE)
_SMALL_FILE_BYTES = 200_000


@dataclass(frozen=True, slots=True)
class _Place:
    """What a folder inherits from those above it."""

    group: str
    source: str
    licence: str


def documents(config: CorpusConfig) -> Iterator[Item]:
    """Every source file of the folder in the configured languages, in the order of their names.

    Raises:
        ConfigError: a language whose file names are not known here.
        DatasetError: there is no such folder.
    """
    root = Path(config.path)
    _check(root, config)
    yield from _walk(root, root, _Place(_group_name(root), _group_name(root), licences.UNKNOWN), config)


def identity(config: CorpusConfig) -> str:
    """A digest of the names, sizes and times of every file that `documents` may read or take a licence from."""
    root = Path(config.path)
    _check(root, config)
    files = []
    for place, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in _NOT_SOURCE]
        files += [Path(place, name) for name in names if _is_wanted(name, config) or _LICENCE_FILE.match(name)]
    return listing_digest(root, files)


def _check(root: Path, config: CorpusConfig) -> None:
    if unknown := [name for name in config.languages if name not in LANGUAGE_SUFFIXES]:
        raise ConfigError(
            f"a folder's files cannot be told to be {unknown[0]!r}",
            f"known languages: {', '.join(sorted(LANGUAGE_SUFFIXES))}",
        )
    if not root.is_dir():
        raise DatasetError(f"there is no folder of source files at {root}", "check path in the configuration")


def _group_name(folder: Path) -> str:
    return folder.resolve().name or "root"


def _is_wanted(name: str, config: CorpusConfig) -> bool:
    return language_of(name) in config.languages


def _walk(root: Path, folder: Path, above: _Place, config: CorpusConfig) -> Iterator[Item]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        yield Dropped(folder.relative_to(root).as_posix(), "unreadable")
        return
    here = _place(root, folder, {entry.name for entry in entries}, above)
    for entry in entries:
        path = folder / entry.name
        if entry.is_dir(follow_symlinks=False):
            if entry.name not in _NOT_SOURCE:
                yield from _walk(root, path, here, config)
        elif _is_wanted(entry.name, config):
            name = path.relative_to(root).as_posix()
            yield read_document(path, name, here.source, here.licence, here.group, config)


def _place(root: Path, folder: Path, names: set[str], above: _Place) -> _Place:
    group, source, licence = above.group, above.source, above.licence
    if ".git" in names:
        group, commit = _checkout(folder)
        source, licence = (f"{group}@{commit}" if commit else group), licences.UNKNOWN
    elif folder.parent == root and above.source == _group_name(root):
        group = folder.name  # a plain folder's own folders are as good as projects
    texts = [licences.of_text(_small_text(folder / name)) for name in sorted(names) if _LICENCE_FILE.match(name)]
    if any(text is not None for text in texts):
        licence = licences.conjunction([text or licences.UNKNOWN for text in texts])
    return _Place(group, source, licence)


def _checkout(folder: Path) -> tuple[str, str]:
    """A checkout's repository (`owner/name` as its origin says, else the folder's name) and commit, if known."""
    remote = _REMOTE.search(_small_text(folder / ".git" / "config"))
    head = _small_text(folder / ".git" / "HEAD").strip()
    if head.startswith("ref: "):
        reference = head.removeprefix("ref: ")
        packed = re.search(rf"^(\w+) {re.escape(reference)}$", _small_text(folder / ".git" / "packed-refs"), re.M)
        inside = ".." not in Path(reference).parts
        head = (_small_text(folder / ".git" / reference).strip() if inside else "") or (packed[1] if packed else "")
    commit = head[:12] if re.fullmatch(r"[0-9a-f]{40,64}", head) else ""
    return (remote[1] if remote else _group_name(folder)), commit


def _small_text(path: Path) -> str:
    """The beginning of a small text file; empty when there is none, or it is a link."""
    try:
        if path.is_symlink() or not path.is_file():
            return ""
        with path.open("rb") as file:
            return file.read(_SMALL_FILE_BYTES).decode(errors="replace")
    except OSError:
        return ""
