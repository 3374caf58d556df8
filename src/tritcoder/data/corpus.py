"""The corpus: one source read, cleaned, capped and split into training and held-out text, with its accounts.

The source is read twice. The first reading decides: a few numbers are remembered of each document that passes the
filters, and its digest. The second reading writes. So memory is bounded whatever the size of the text, and which
files are taken depends on their names, their text and the seed alone, never on the order in which a disk lists them.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import IO, Any

from tritcoder.config import fingerprint, plain
from tritcoder.data import folder, installed, jsonl, the_stack
from tritcoder.data.config import CorpusConfig
from tritcoder.data.filters import OptOut, digest, keep, read_opt_out
from tritcoder.data.hub import Hub, HuggingFaceHub
from tritcoder.data.selection import DROPPED, HELD_OUT, TRAIN, Candidates, Selection, hash_order, select
from tritcoder.data.sources import Dropped, Item
from tritcoder.errors import DatasetError, EmptyCorpusError
from tritcoder.provenance import whole_file
from tritcoder.records import Document

TRAIN_FILE, HELD_OUT_FILE = "train.jsonl", "held_out.jsonl"

OnProgress = Callable[[str, int], None]
"""Called with what is being done (`reading`, then `writing`) and how many files have been seen."""

_PROGRESS_EVERY = 200
_FILTER_SETTINGS = (
    "include_tests", "require_parse", "min_file_bytes", "max_file_bytes", "max_mean_line", "max_line",
    "min_alphanumeric", "max_bytes", "max_bytes_per_group", "held_out_max_bytes", "held_out_share",
)  # fmt: skip
_DOCUMENT_FIELDS = [one.name for one in fields(Document)]
_HINTS = {
    "licence_not_allowed": "add the licence to corpus.licences, or 'unknown' if you hold the rights",
    "opted_out": "every repository is on the opt-out list: read another source",
    "other_language": "check corpus.languages against the data",
    "test_code": "set corpus.include_tests = true",
    "over_total_cap": "raise corpus.max_bytes",
    "over_group_cap": "raise corpus.max_bytes_per_group",
    "over_held_out_cap": "corpus.held_out names every group that is left",
}


@dataclass(slots=True)
class _Survey:
    """What the first reading learned."""

    candidates: Candidates = field(default_factory=Candidates)
    n_read: int = 0
    dropped: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class _Part:
    """One of the two files, while it is written."""

    file: IO[bytes]
    documents: int = 0
    n_bytes: int = 0
    """Of the documents' text, as UTF-8."""
    sha256: Any = field(default_factory=hashlib.sha256)

    def write(self, document: Document, size: int) -> None:
        """Add one document."""
        line = to_line(document)
        self.file.write(line)
        self.sha256.update(line)
        self.documents += 1
        self.n_bytes += size

    def facts(self) -> dict[str, Any]:
        """What the manifest says of the file."""
        return {"documents": self.documents, "bytes": self.n_bytes, "sha256": self.sha256.hexdigest()}


@dataclass(slots=True)
class _Tally:
    """Documents and bytes by some property."""

    counts: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, name: str, size: int) -> dict[str, Any]:
        """Count one document; returns what is known under this name."""
        entry = self.counts.setdefault(name, {"documents": 0, "bytes": 0})
        entry["documents"] += 1
        entry["bytes"] += size
        return entry

    def by_bytes(self) -> dict[str, dict[str, Any]]:
        """The largest first."""
        return dict(sorted(self.counts.items(), key=lambda item: (-item[1]["bytes"], item[0])))


def build(
    config: CorpusConfig, directory: Path, on_progress: OnProgress | None = None, hub: Hub | None = None
) -> dict[str, Any]:
    """Write `train.jsonl` and `held_out.jsonl`, one Document a line, each whole or not at all.

    Args:
        config: the source and what is kept of it.
        directory: where the two files go; made when it is missing.
        on_progress: told of every few hundred files.
        hub: where The Stack is fetched from, the Hugging Face hub unless told otherwise.

    Returns:
        the manifest: what was read, kept and dropped, under which licences, and the files' digests; docs/data.md
        describes its fields.

    Raises:
        EmptyCorpusError: nothing is left to train on; tells the reasons and their counts.
        DatasetError, AccessError, ConfigError: as the source says.
        StorageError: the directory cannot be written.
    """
    if config.source == "the-stack" and not config.path:  # both readings must see the same commit
        hub = hub or HuggingFaceHub()
        config = replace(config, revision=hub.commit(config.dataset, config.revision))
    opted_out = read_opt_out(config.opt_out)
    survey = _survey(_watched(documents(config, hub), "reading", on_progress), config, opted_out)
    selection = select(survey.candidates, config)
    survey.dropped += selection.over_caps
    if TRAIN not in selection.fates:
        raise _empty(survey)
    items = _watched(documents(config, hub), "writing", on_progress)
    written = _write(items, survey.candidates, selection, directory)
    return {**_account(config, hub, opted_out, survey, selection), **written}


def documents(config: CorpusConfig, hub: Hub | None = None) -> Iterator[Item]:
    """What the configured source holds, before any filter.

    Raises:
        DatasetError, AccessError, ConfigError: as the source says.
    """
    if config.source == "installed":
        return installed.documents(config)
    if config.source == "folder":
        return folder.documents(config)
    return the_stack.documents(config, hub)


def identity(config: CorpusConfig, hub: Hub | None = None) -> str:
    """A short text that changes whenever the source or the opt-out list may have, at the cost of a listing.

    Raises:
        DatasetError, AccessError: as the source says.
    """
    if config.source == "installed":
        source = installed.identity(config)
    elif config.source == "folder":
        source = folder.identity(config)
    else:
        source = the_stack.identity(config, hub)
    return f"{config.source}:{fingerprint(source, read_opt_out(config.opt_out).sha256)}"


def read(path: Path) -> Iterator[Document]:
    """The documents of a file that `build` wrote.

    Raises:
        DatasetError: the file is missing or damaged, or a line is no document; names the line.
    """
    for number, row in jsonl.rows(path):
        if set(row) != set(_DOCUMENT_FIELDS) or not all(isinstance(value, str) for value in row.values()):
            raise DatasetError(
                f"{path}, line {number}: expected the text fields {', '.join(_DOCUMENT_FIELDS)}, "
                f"found {', '.join(row) or 'none'}",
                "build the corpus again",
            )
        yield Document(**row)


def to_line(document: Document) -> bytes:
    """A document as one line of JSON, which `read` turns back into an equal one."""
    row = asdict(document)
    try:
        return (json.dumps(row, ensure_ascii=False) + "\n").encode()
    except UnicodeEncodeError:  # a lone surrogate, which UTF-8 cannot hold but a JSON escape can
        return (json.dumps(row) + "\n").encode()


def _watched(items: Iterable[Item], doing: str, on_progress: OnProgress | None) -> Iterator[Item]:
    seen = 0
    for seen, item in enumerate(items, start=1):
        if on_progress and seen % _PROGRESS_EVERY == 0:
            on_progress(doing, seen)
        yield item
    if on_progress:
        on_progress(doing, seen)


def _survey(items: Iterable[Item], config: CorpusConfig, opted_out: OptOut) -> _Survey:
    survey, digests = _Survey(), set[bytes]()
    for position, item in enumerate(items):
        survey.n_read += 1
        if isinstance(item, Dropped):
            survey.dropped[item.reason] += 1
        elif reason := keep(item, config, opted_out):
            survey.dropped[reason] += 1
        elif (mark := digest(item.text)) in digests:
            survey.dropped["duplicate"] += 1
        else:
            digests.add(mark)
            order = hash_order(config.seed, item.group, item.path)
            survey.candidates.add(item.group, len(item.text.encode()), order, position)
    return survey


def _empty(survey: _Survey) -> EmptyCorpusError:
    reasons = ", ".join(f"{count} {reason}" for reason, count in survey.dropped.most_common())
    found = f"of {survey.n_read} files read: {reasons}" if survey.n_read else "the source holds no file at all"
    most = survey.dropped.most_common(1)[0][0] if survey.dropped else ""
    return EmptyCorpusError(
        f"nothing is left to train on; {found}",
        _HINTS.get(most, "loosen the filters under [corpus], or read another source"),
    )


def _write(items: Iterable[Item], candidates: Candidates, selection: Selection, directory: Path) -> dict[str, Any]:
    """Write what was selected, and count it."""
    sources, licences, languages = _Tally(), _Tally(), _Tally()
    train_path, held_out_path = directory / TRAIN_FILE, directory / HELD_OUT_FILE
    with whole_file(train_path, "wb") as train_file, whole_file(held_out_path, "wb") as held_out_file:
        parts = {TRAIN: _Part(train_file), HELD_OUT: _Part(held_out_file)}
        for document, size, fate in _selected(items, candidates, selection.fates):
            parts[fate].write(document, size)
            stated = sources.add(document.source, size).setdefault("licences", [])
            if document.licence not in stated:
                stated.append(document.licence)
            licences.add(document.licence, size)
            languages.add(document.language, size)
    return {
        "totals": {"train": parts[TRAIN].facts(), "held_out": parts[HELD_OUT].facts()},
        "sources": sources.by_bytes(),
        "licences": licences.by_bytes(),
        "languages": languages.by_bytes(),
    }


def _selected(items: Iterable[Item], candidates: Candidates, fates: bytearray) -> Iterator[tuple[Document, int, int]]:
    """The documents that have a part to go to, their bytes and that part."""
    index, n = 0, len(fates)
    for position, item in enumerate(items):
        if index == n or position != candidates.position[index]:
            continue
        size = len(item.text.encode("utf-8", "replace")) if isinstance(item, Document) else -1
        if size != candidates.size[index] or not isinstance(item, Document):
            raise _changed(item.path)
        if fates[index] != DROPPED:
            yield item, size, fates[index]
        index += 1
    if index != n:
        raise _changed("its list of files")


def _changed(what: str) -> DatasetError:
    return DatasetError(f"the source changed while it was read: {what}", "give the same command again")


def _account(
    config: CorpusConfig, hub: Hub | None, opted_out: OptOut, survey: _Survey, selection: Selection
) -> dict[str, Any]:
    place = config.path or (config.dataset if config.source == "the-stack" else "")
    return {
        "source": config.source,
        "place": place,
        "revision": config.revision if place == config.dataset else "",
        "identity": identity(config, hub),
        "files_read": survey.n_read,
        "dropped": dict(survey.dropped.most_common()),
        "opt_out": opted_out.facts() if config.opt_out else None,
        "allowed_licences": list(config.licences),
        "filters": {name: plain(getattr(config, name)) for name in _FILTER_SETTINGS},
        "seed": config.seed,
        "held_out_by": selection.held_out_by,
        "held_out_groups": list(selection.held_out_groups),
    }
