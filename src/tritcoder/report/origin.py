"""Where a run comes from: its corpus, its settings, its machine, and the commands that made it."""

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from tritcoder.records import Run
from tritcoder.report.cells import Table, table
from tritcoder.report.drawing import Figure
from tritcoder.report.wording import (
    NOTHING,
    byte_size,
    count,
    duration,
    flattened,
    items,
    mapping,
    number,
    one_line,
    plain,
    shortened,
    words,
)

_MOST_NAMES = 40
"""Sources, or groups held out, that a table lists; there may be thousands of repositories."""
_MANIFEST_CHARS = 60_000
_CORPUS_TABLES = ("sources", "licences", "languages", "dropped", "totals", "train", "held_out", "held_out_groups")
"""Parts of the manifest's `corpus` that have a table of their own."""


def command_line(signature: Mapping[str, Any]) -> str:
    """The recorded command as it would be typed; the program by its name, not its place."""
    command = signature.get("command")
    if not isinstance(command, list) or not command:
        return plain(command)
    program, *arguments = map(str, command)
    name = PurePath(program).name
    return shlex.join(["tritcoder" if name == "__main__.py" else name, *arguments])


def commands_table(run: Run, figures: Iterable[Figure]) -> Table:
    """For each figure: the files it is drawn from and the command that wrote them."""
    own = mapping(run.manifest.get("commands"))
    whole = command_line(mapping(run.manifest.get("signature")))
    scoring = dict.fromkeys(command_line(mapping(score.get("signature"))) for score in run.scores)
    scored = "\n".join(command for command in scoring if command != NOTHING) or whole
    rows = [
        (
            figure.title,
            "\n".join(figure.sources),
            plain(own.get(figure.key) or (scored if "scores/*.json" in figure.sources else whole)),
        )
        for figure in figures
    ]
    directory = run.directory if not PurePath(run.directory).is_absolute() else PurePath(run.directory).name
    rows.append(("This page", "the run directory", shlex.join(["tritcoder", "report", directory])))
    return table("What each figure is drawn from.", ("figure", "files", "command"), rows, text_columns=3)


def corpus_tables(manifest: Mapping[str, Any]) -> list[Table]:
    """Sources, licences, what was dropped and why, what was held out, and how all that was chosen."""
    corpus = mapping(manifest.get("corpus"))
    held_out, totals = mapping(corpus.get("held_out")), mapping(corpus.get("totals"))
    splits = {part: mapping(corpus.get(part)) or mapping(totals.get(part)) for part in ("train", "held_out")}
    dropped = sorted(mapping(corpus.get("dropped")).items(), key=lambda item: (-(number(item[1]) or 0), item[0]))
    groups = items(held_out.get("groups")) or items(corpus.get("held_out_groups"))
    others = {
        key: value for key, value in corpus.items() if key not in _CORPUS_TABLES and value not in (None, "", [])
    }
    tables = (
        _sources(mapping(corpus.get("sources"))),
        _amounts_table("Licences.", "licence (SPDX)", mapping(corpus.get("licences"))),
        _amounts_table("Languages.", "language", mapping(corpus.get("languages"))),
        table("Files dropped.", ("reason", "files"), ((words(name), count(n)) for name, n in dropped)),
        _amounts_table("Split.", "part", {words(part): facts for part, facts in splits.items() if facts}),
        table("Held out as a whole.", ("group",), _within([(plain(group),) for group in groups])),
        _facts("How it was chosen.", {"": others}),
    )
    return [found for found in tables if found]


def _sources(sources: dict[str, Any]) -> Table:
    rows = []
    for name, value in sources.items():
        facts = mapping(value)
        licence = plain(facts.get("licence") or facts.get("licences"))
        rows.append((one_line(name, 80), licence, *_amounts(facts)))
    return table("Sources of the corpus.", ("source", "licence", "documents", "bytes"), _within(rows), 2)


def _within(rows: Sequence[tuple[str, ...]]) -> Sequence[tuple[str, ...]]:
    """The first rows of many, and one that tells how many are left out."""
    left = len(rows) - _MOST_NAMES
    if left <= 0:
        return rows
    return [*rows[:_MOST_NAMES], (f"and {left:,} more", *("" for _ in rows[0][1:]))]


def _amounts_table(caption: str, what: str, named: dict[str, Any]) -> Table:
    rows = [(one_line(name, 80), *_amounts(mapping(facts))) for name, facts in named.items()]
    return table(caption, (what, "documents", "bytes"), _within(rows))


def _amounts(facts: dict[str, Any]) -> tuple[str, str]:
    return count(facts.get("documents")), byte_size(facts.get("bytes"))


def run_tables(manifest: Mapping[str, Any]) -> list[Table]:
    """Tokenizer and data, the models' settings, the stages, the machine and the versions."""
    signature = mapping(manifest.get("signature"))
    machine = {**mapping(signature.get("machine"))}
    if "memory_bytes" in machine:
        machine["memory"] = byte_size(machine.pop("memory_bytes"))
    tables = (
        _facts("Data.", {part: manifest.get(part) for part in ("tokenizer", "tokens", "problems")}),
        _side_by_side("Models.", mapping(manifest.get("models"))),
        _side_by_side("Fine-tuning.", mapping(manifest.get("fine_tuning"))),
        _stages(manifest),
        _facts("Machine.", {"": machine}),
        _facts("Versions.", {"": mapping(signature.get("versions"))}),
    )
    return [found for found in tables if found]


def _side_by_side(caption: str, models: dict[str, Any]) -> Table:
    """One column a model, one line a setting that any of them has."""
    facts = [flattened(mapping(model)) for model in models.values()]
    settings = dict.fromkeys(name for model in facts for name in model)
    rows = ((name, *(plain(model.get(name)) for model in facts)) for name in settings)
    return table(caption, ("setting", *map(one_line, models)), rows)


def _facts(caption: str, groups: Mapping[str, Any]) -> Table:
    rows = (
        (f"{group} {key}".strip(), plain(value))
        for group, facts in groups.items()
        for key, value in flattened(mapping(facts)).items()
    )
    return table(caption, ("what", "value"), rows, text_columns=2)


def _stages(manifest: Mapping[str, Any]) -> Table:
    stages = [mapping(stage) for stage in items(manifest.get("stages"))]
    rows = (
        (plain(s.get("name")), plain(s.get("key")), "kept from before" if s.get("cached") else "done",
         duration(s.get("seconds")))
        for s in stages
    )  # fmt: skip
    return table("Stages.", ("stage", "cache key", "state", "time"), rows, text_columns=3)


def raw_manifest(manifest: Mapping[str, Any]) -> str:
    """The manifest as JSON, without the text of the configuration; cut when it is very long."""
    kept = {key: value for key, value in manifest.items() if key != "config"}
    return shortened(json.dumps(kept, ensure_ascii=False, indent=1), _MANIFEST_CHARS) if kept else ""
