"""What all sources share: a stream of documents and of files that could not become one, with the reason."""

import codecs
import hashlib
import importlib
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from tritcoder.data import licences
from tritcoder.data.config import CorpusConfig
from tritcoder.data.filters import is_test_path
from tritcoder.errors import MissingExtraError
from tritcoder.records import Document


@dataclass(frozen=True, slots=True)
class Dropped:
    """A file that never became a document."""

    path: str
    reason: str
    n_bytes: int = 0
    """Its size on disk, as far as it is known."""


Item = Document | Dropped

LANGUAGE_SUFFIXES: dict[str, tuple[str, ...]] = {
    "C": (".c", ".h"),
    "C#": (".cs",),
    "C++": (".cpp", ".cc", ".cxx", ".hpp", ".hh", ".hxx"),
    "Go": (".go",),
    "Java": (".java",),
    "JavaScript": (".js", ".mjs", ".cjs", ".jsx"),
    "Julia": (".jl",),
    "Kotlin": (".kt", ".kts"),
    "Lua": (".lua",),
    "PHP": (".php",),
    "Perl": (".pl", ".pm"),
    "Python": (".py",),
    "R": (".r", ".R"),
    "Ruby": (".rb",),
    "Rust": (".rs",),
    "Scala": (".scala",),
    "Shell": (".sh", ".bash"),
    "Swift": (".swift",),
    "TypeScript": (".ts", ".tsx"),
}
"""The endings by which a folder's files are told apart; names as The Stack spells them."""


def language_of(name: str) -> str:
    """The language of a file by its name's ending; empty when it is not in the table."""
    suffix = os.path.splitext(name)[1]  # noqa: PTH122 (a name from a data set, not a path here)
    return next((language for language, endings in LANGUAGE_SUFFIXES.items() if suffix in endings), "")


def read_text(path: Path, name: str, config: CorpusConfig) -> str | Dropped:
    """The text of a source file with its line ends made plain line feeds, or why it has none.

    Links are not followed, and nothing larger than `config.max_file_bytes` is read.
    """
    try:
        facts = path.lstat()
        if not stat.S_ISREG(facts.st_mode):
            return Dropped(name, "link" if stat.S_ISLNK(facts.st_mode) else "not_a_file")
        if facts.st_size > config.max_file_bytes:
            return Dropped(name, "too_large", facts.st_size)
        data = path.read_bytes().removeprefix(codecs.BOM_UTF8)
        return data.decode().replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError:
        return Dropped(name, "not_utf8", facts.st_size)
    except OSError:
        return Dropped(name, "unreadable")


def read_document(path: Path, name: str, source: str, licence: str, group: str, config: CorpusConfig) -> Item:
    """A source file as a document, or why it is none; an SPDX line in it overrules the licence of its package."""
    if not config.include_tests and is_test_path(name):
        return Dropped(name, "test_code", _size(path))
    text = read_text(path, name, config)
    if isinstance(text, Dropped):
        return text
    return Document(
        text=text,
        path=name,
        source=source,
        licence=licences.of_header(text) or licence,
        language=language_of(path.name),
        group=group,
    )


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def listing_digest(root: Path, files: Iterable[Path]) -> str:
    """16 hexadecimal digits that change with any file's name below `root`, size or time of change."""
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(files):
        try:
            facts = path.lstat()
        except OSError:
            continue
        name = os.fsencode(path.relative_to(root) if path != root else path.name)
        digest.update(name + f"\0{facts.st_size}\0{facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def require(module: str) -> ModuleType:
    """Import a module of the `data` extra.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        package = module.partition(".")[0]
        raise MissingExtraError(
            f"this source needs the package {package}, which is not installed", "pip install 'tritcoder[data]'"
        ) from None
