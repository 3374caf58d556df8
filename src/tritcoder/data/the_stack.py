"""The Stack: rows of a file's text, its repository and the repository's licences, from parquet or JSONL.

Local files are read as they are. From the hub they are fetched one by one with the user's own token: the data set is
gated, and its terms ask everyone who keeps a copy to remove what its authors have opted out.
"""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from tritcoder.data import jsonl, licences
from tritcoder.data.config import CorpusConfig
from tritcoder.data.filters import OptOut, is_test_path, read_opt_out
from tritcoder.data.hub import Hub, HuggingFaceHub
from tritcoder.data.sources import Dropped, Item, language_of, listing_digest, require
from tritcoder.errors import AccessError, DatasetError
from tritcoder.records import Document

_COLUMNS: dict[str, tuple[str, ...]] = {
    "text": ("content",),
    "path": ("max_stars_repo_path", "path"),
    "repository": ("max_stars_repo_name", "repository_name", "repo_name"),
    "licences": ("max_stars_repo_licenses", "licenses", "license"),
    "language": ("lang", "language", "langs"),
    "ext": ("ext",),
}
"""What we need, and the columns that hold it: the-stack and the-stack-dedup, then the-stack-smol."""
_OTHER_REPOSITORIES = ("max_issues_repo_name", "max_forks_repo_name")
"""The same text in other repositories: their owners' wish counts as well."""
_BATCH_ROWS = 256
_SUFFIXES = (".parquet", ".jsonl", ".jsonl.gz", ".json", ".json.gz")


def documents(config: CorpusConfig, hub: Hub | None = None) -> Iterator[Item]:
    """Every row in the configured languages, file by file.

    Args:
        config: `path` for local files; else `dataset`, `revision`, `languages` and `max_files` for the hub.
        hub: where to fetch from, the Hugging Face hub unless told otherwise.

    Raises:
        DatasetError: a file is missing or damaged, or lacks a column; names it.
        AccessError: the hub refuses, or cannot be reached.
    """
    opted_out = read_opt_out(config.opt_out)
    if config.path:
        root = Path(config.path)
        files = iter([(path, _inner(root, path)) for path in _local_files(root)])
    else:
        files = _hub_files(config, hub or HuggingFaceHub())
    for path, source in files:
        for row in _rows(path):
            yield _item(row, source, config, opted_out)


def identity(config: CorpusConfig, hub: Hub | None = None) -> str:
    """A digest of the local files' names, sizes and times, or the data set and its commit."""
    if config.path:
        root = Path(config.path)
        return listing_digest(root, _local_files(root))
    return f"{config.dataset}@{(hub or HuggingFaceHub()).commit(config.dataset, config.revision)}"


def _local_files(root: Path) -> list[Path]:
    if root.is_file():
        return [root]
    found = [path for path in sorted(root.rglob("*")) if path.name.endswith(_SUFFIXES) and path.is_file()]
    if not found:
        raise DatasetError(
            f"there is no file of The Stack at {root}",
            f"path names a file or a folder of files that end in {', '.join(_SUFFIXES)}",
        )
    return found


def _inner(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix() if path != root else path.name


def _hub_files(config: CorpusConfig, hub: Hub) -> Iterator[tuple[Path, str]]:
    commit = hub.commit(config.dataset, config.revision)
    folders = {_folder(language) for language in config.languages}
    names = [
        name
        for name in hub.files(config.dataset, commit)
        if name.endswith(_SUFFIXES) and not folders.isdisjoint(PurePosixPath(name).parts[:-1])
    ]
    if not names:
        raise AccessError(
            f"{config.dataset} has no files in a folder {' or '.join(sorted(folders))}",
            "check languages against the data set's page: each is a folder there",
        )
    names.sort(key=lambda name: hashlib.blake2b(f"{config.seed}\0{name}".encode()).digest())
    chosen = sorted(names[: config.max_files or None])
    for name in chosen:
        yield hub.fetch(config.dataset, name, commit), f"{config.dataset}@{commit[:12]}"


def _folder(language: str) -> str:
    return language.lower().replace("#", "-sharp").replace(" ", "-")


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    if path.suffix == ".parquet":
        yield from _parquet_rows(path)
        return
    for number, row in jsonl.rows(path):
        if "content" not in row:
            raise DatasetError(
                f"{path}, line {number}: expected the field content, found {', '.join(row) or 'none'}",
                "the rows must have The Stack's own fields, see docs/data.md",
            )
        yield row


def _parquet_rows(path: Path) -> Iterator[dict[str, Any]]:
    parquet, arrow = require("pyarrow.parquet"), require("pyarrow")
    wanted = {*(name for names in _COLUMNS.values() for name in names), *_OTHER_REPOSITORIES}
    try:
        with parquet.ParquetFile(path) as file:
            columns = [name for name in file.schema_arrow.names if name in wanted]
            if "content" not in columns:
                raise DatasetError(
                    f"{path}: expected the column content, found {', '.join(file.schema_arrow.names)}",
                    "the columns must be The Stack's own, see docs/data.md",
                )
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=columns):
                yield from batch.to_pylist()
    except OSError as error:
        if isinstance(error, FileNotFoundError | PermissionError):
            raise jsonl.unreadable(path, error) from None
        raise DatasetError(f"{path} is damaged or cut short ({error})", "fetch the file again") from None
    except (arrow.ArrowException, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} is not a sound parquet file ({error})", "fetch the file again") from None


def _item(row: Mapping[str, Any], source: str, config: CorpusConfig, opted_out: OptOut) -> Item:
    repository, path = _text(row, "repository"), _text(row, "path") or "unnamed"
    text = row["content"]
    size = len(text) if isinstance(text, str) else 0
    language = _language(row, path, config)
    if language not in config.languages:
        return Dropped(path, "other_language", size)
    if any(opted_out.covers(name) for name in (repository, *_others(row)) if name):
        return Dropped(path, "opted_out", size)
    if not config.include_tests and is_test_path(path):
        return Dropped(path, "test_code", size)
    if not isinstance(text, str):
        return Dropped(path, "no_text")
    return Document(
        text=text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n"),
        path=path,
        source=source,
        licence=licences.of_header(text) or _licence(row),
        language=language,
        group=repository or source,
    )


def _first(row: Mapping[str, Any], what: str) -> Any:
    return next((row[name] for name in _COLUMNS[what] if row.get(name) is not None), None)


def _text(row: Mapping[str, Any], what: str) -> str:
    value = _first(row, what)
    return value if isinstance(value, str) else ""


def _others(row: Mapping[str, Any]) -> list[str]:
    return [name for column in _OTHER_REPOSITORIES if isinstance(name := row.get(column), str)]


def _licence(row: Mapping[str, Any]) -> str:
    """All of the licences that were found in the repository, at once: which file is under which is not known."""
    value = _first(row, "licences")
    names = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return licences.conjunction([name for name in names if isinstance(name, str)])


def _language(row: Mapping[str, Any], path: str, config: CorpusConfig) -> str:
    """As the row says, else as the file's name ends, else the one language that was asked for."""
    if stated := _text(row, "language"):
        return stated
    ext = _text(row, "ext").lstrip(".")
    guessed = language_of(f"x.{ext}" if ext else PurePosixPath(path).name)
    return guessed or (config.languages[0] if len(config.languages) == 1 else "")
