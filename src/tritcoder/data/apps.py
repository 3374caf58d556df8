"""APPS problems (Hendrycks et al. 2021, arXiv:2105.09938) in every form in which people have them.

A form is a stream of rows; what follows (limits, checks, records) is the same for all.
"""

import gzip
import json
import tarfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from tritcoder.config import fingerprint
from tritcoder.data import jsonl
from tritcoder.data.config import ProblemsConfig
from tritcoder.data.embedded import embedded_identity, embedded_rows
from tritcoder.data.hub import Hub, HuggingFaceHub
from tritcoder.data.rows import Row, Split, difficulty_of, problem_id_of, problem_of
from tritcoder.data.sampling import sample
from tritcoder.data.sources import listing_digest
from tritcoder.errors import DatasetError
from tritcoder.records import DIFFICULTIES, Problem

HUB_DATASET = "codeparrot/apps"
"""Its loading script no longer runs, but train.jsonl and test.jsonl lie beside it."""

_ARCHIVES = (".tar.gz", ".tgz", ".tar")
_GZIP_MAGIC = b"\x1f\x8b"
_FOLDER_FILES = ("question.txt", "solutions.json", "input_output.json", "metadata.json", "starter_code.py")
_MAX_MEMBER_BYTES = 1 << 29
"""A larger file within an archive is an attack or an accident."""

PlacedRow = tuple[str, Row]
"""The words that name a row's place, and the row."""


def read_problems(config: ProblemsConfig, split: Split, hub: Hub | None = None) -> list[Problem]:
    """All problems of one split, or the sample of them that the configuration's limit takes.

    A problem without tests or solutions is read all the same; `count` tells how many there are.

    Args:
        config: where the problems are, and the limits.
        split: `train` or `test`.
        hub: where `source = "hub"` fetches from, the Hugging Face hub unless told otherwise.

    Raises:
        DatasetError: a file is missing, damaged or of another form, a row breaks the schema, two problems
            share an id, or there is no problem of this split; names file, line and field.
        AccessError: the hub refuses, or cannot be reached.
    """
    place = _place(config, split, hub)
    limit = config.train_limit if split == "train" else config.test_limit
    labels = ((problem_id_of(row, where), difficulty_of(row, where)) for where, row in _rows(place, split))
    chosen = sample(labels, limit, config.seed) if limit else None
    problems: dict[str, Problem] = {}
    for where, row in _rows(place, split):
        problem_id = problem_id_of(row, where)
        if problem_id in problems:
            raise DatasetError(f"{where}: a second problem with the id {problem_id}", "ids must differ")
        if chosen is None or problem_id in chosen:
            problems[problem_id] = problem_of(row, where, config.max_tests, config.max_solutions)
    if not problems:
        raise DatasetError(
            f"{place}: there is no problem of the {split} split",
            f"rows say split = '{split}', or the file is given as problems.{split}",
        )
    return list(problems.values())


def problems_identity(config: ProblemsConfig, hub: Hub | None = None) -> str:
    """A short text that changes whenever the problems may have, at the cost of a listing.

    Raises:
        DatasetError, AccessError: as `read_problems`.
    """
    parts = []
    for split in ("train", "test"):
        source = getattr(config, split) or config.source
        if source == "embedded":
            parts.append(embedded_identity())
        elif source == "hub":
            parts.append((hub or HuggingFaceHub()).commit(HUB_DATASET, ""))
        else:
            root = Path(source)
            files = [path for path in root.rglob("*") if path.is_file()] if root.is_dir() else [root]
            parts.append(listing_digest(root, files))
    return fingerprint(*parts)


def count(problems: Iterable[Problem]) -> dict[str, Any]:
    """What a report says of a set of problems: how many, of which kinds, and what they lack."""
    listed = list(problems)
    by_difficulty = Counter(problem.difficulty for problem in listed)
    return {
        "problems": len(listed),
        "by_difficulty": {name: by_difficulty[name] for name in DIFFICULTIES},
        "call_based": sum(problem.call_based for problem in listed),
        "without_tests": sum(not problem.tests and not problem.check for problem in listed),
        "without_solutions": sum(not problem.solutions for problem in listed),
        "tests": sum(len(problem.tests) for problem in listed),
        "solutions": sum(len(problem.solutions) for problem in listed),
    }


def _place(config: ProblemsConfig, split: Split, hub: Hub | None) -> str:
    """`embedded`, or the path of what holds the split's problems."""
    explicit = config.train if split == "train" else config.test
    source = explicit or config.source
    if source == "embedded":
        return source
    if source == "hub":
        return str((hub or HuggingFaceHub()).fetch(HUB_DATASET, f"{split}.jsonl", ""))
    root = Path(source)
    if root.is_dir() and not explicit:
        return str(_within(root, split))
    return source


def _within(root: Path, split: Split) -> Path:
    names = [f"{stem}{split}.jsonl{packing}" for stem in ("", "apps-") for packing in ("", ".gz")]
    for name in (*names, split, f"APPS/{split}"):
        if (root / name).exists():
            return root / name
    raise DatasetError(
        f"{root}: there is no {split} split in this folder",
        f"it should hold {split}.jsonl, {split}.jsonl.gz or a folder {split}/ of problems",
    )


def _rows(place: str, split: Split) -> Iterator[PlacedRow]:
    """The rows of a split; rows that name the other one are left out."""
    path = Path(place)
    rows: Iterator[PlacedRow]
    if place == "embedded":
        rows = iter(embedded_rows())
    elif path.is_dir():
        rows = _folder_rows(path)
    elif place.endswith(_ARCHIVES):
        rows = _archive_rows(path, split)
    else:
        rows = ((f"{path}, line {number}", row) for number, row in jsonl.rows(path))
    return ((where, row) for where, row in rows if row.get("split", split) == split)


def _folder_rows(folder: Path) -> Iterator[PlacedRow]:
    """The authors' form: a folder for each problem."""
    for problem in sorted(path for path in folder.iterdir() if path.is_dir()):
        texts = {}
        for name in _FOLDER_FILES:
            try:
                texts[name] = (problem / name).read_text(encoding="utf-8")
            except FileNotFoundError:
                continue
            except (OSError, UnicodeDecodeError) as error:
                raise DatasetError(f"{problem / name}: cannot be read ({error})", "fetch it again") from None
        yield str(problem), _folder_row(problem.name, texts, str(problem))


def _archive_rows(path: Path, split: Split) -> Iterator[PlacedRow]:
    """The authors' archive, read from end to end and never unpacked to disk."""
    name, texts, finished = "", dict[str, str](), set[str]()
    for problem, file, text in _members(path, split):
        if problem != name:
            if name:
                yield f"{path}, problem {name}", _folder_row(name, texts, f"{path}, problem {name}")
            if problem in finished:
                raise DatasetError(f"{path}: the files of problem {problem} are not together", "unpack it")
            finished.add(problem)
            name, texts = problem, {}
        texts[file] = text
    if name:
        yield f"{path}, problem {name}", _folder_row(name, texts, f"{path}, problem {name}")


def _members(path: Path, split: Split) -> Iterator[tuple[str, str, str]]:
    """Problem, file name and text of each file that belongs to the split."""
    try:
        with _unpacked(path) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                *_, folder, problem, name = ("", "", *PurePosixPath(member.name).parts)[-3:]
                if not member.isreg() or folder != split or name not in _FOLDER_FILES:
                    continue
                if member.size > _MAX_MEMBER_BYTES:
                    raise DatasetError(f"{path}: {member.name} has {member.size} bytes", "unpack it and look")
                file = archive.extractfile(member)
                yield problem, name, file.read().decode() if file else ""
            while stream.read(2**20):  # to the end, where gzip tells whether the data are whole
                pass
    except OSError as error:
        if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError):
            raise jsonl.unreadable(path, error) from None
        raise _damaged(path, error) from None
    except (tarfile.TarError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise _damaged(path, error) from None


@contextmanager
def _unpacked(path: Path) -> Iterator[IO[bytes]]:
    """The archive's bytes without their packing, which `tarfile` alone would not hold to its length and checksum."""
    with path.open("rb") as file:
        if file.peek(2)[:2] != _GZIP_MAGIC:
            yield file
            return
        with gzip.GzipFile(fileobj=file) as stream:
            yield cast(IO[bytes], stream)


def _damaged(path: Path, error: Exception) -> DatasetError:
    return DatasetError(f"{path}: the archive is damaged or cut short ({error})", "fetch it again")


def _folder_row(name: str, texts: dict[str, str], where: str) -> dict[str, Any]:
    if "question.txt" not in texts:
        raise DatasetError(f"{where}: question.txt is missing", "a problem's folder holds question.txt")
    try:
        metadata = json.loads(texts.get("metadata.json") or "{}")
        difficulty, url = metadata.get("difficulty"), metadata.get("url")
    except (ValueError, AttributeError, RecursionError):
        raise DatasetError(f"{where}, metadata.json: expected a JSON object", "fetch it again") from None
    return {
        "problem_id": str(int(name)) if name.isdecimal() else name,
        "question": texts["question.txt"],
        "solutions": texts.get("solutions.json", ""),
        "input_output": texts.get("input_output.json", ""),
        "starter_code": texts.get("starter_code.py", ""),
        "difficulty": difficulty,
        "url": url,
    }
