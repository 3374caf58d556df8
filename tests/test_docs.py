"""The pages say what is there: files, symbols, stages, verbs, fields and links, held to the code.

A check is a function of a page's text (and of a source tree), so that the tests can hand it pages that are wrong.
"""

import ast
import json
import re
import runpy
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import torch
from tests.ternary.made_up import made_up_weights

from tritcoder.cli.app import VERBS
from tritcoder.data.batch import Batch
from tritcoder.data.shards import TokenShards, write_shards
from tritcoder.evaluate import score_file
from tritcoder.evaluate.efficiency import Plan
from tritcoder.evaluate.outcomes import outcome_to_json
from tritcoder.evaluate.samples import sample_to_json
from tritcoder.experiment.benching import bench
from tritcoder.experiment.config import ExperimentConfig
from tritcoder.experiment.plan import measured_models, stages
from tritcoder.experiment.reporting import manifest
from tritcoder.experiment.stage import Facts, Stage, StageCache
from tritcoder.model.transformer import Transformer
from tritcoder.records import Completion, Document, Outcome, TestResult
from tritcoder.ternary.format import write_gguf
from tritcoder.ternary.gguf_file import open_gguf
from tritcoder.ternary.hugging_face_names import to_their_config
from tritcoder.ternary.shape import ModelConfig
from tritcoder.tokenizer.bpe import Tokenizer
from tritcoder.train.config import TrainConfig
from tritcoder.train.held_out import HeldOutText
from tritcoder.train.loop import train

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "tritcoder"
FOLDERS = ("docs", "src", "tests", "benchmarks", "configs", "native")
PAGES = sorted([*ROOT.glob("*.md"), *(path for name in FOLDERS for path in (ROOT / name).rglob("*.md"))])
LIVING = [path for path in PAGES if path.name not in ("log.md", "CHANGELOG.md")]
"""Pages about what is there now; the others tell of their day."""
DESCRIBED = {"": (".py", ".css", ".j2"), "native/": (".cpp", ".h", ".cmake")}
"""The files that have a row: in the package, and in a folder beside it that is a room."""
NOT_YET = ("serve/",)
"""Named under "Not there yet"; when one of them comes, it moves to the rooms."""


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def prose(text: str) -> str:
    """The page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def spans(text: str) -> list[str]:
    """What stands between backticks."""
    return re.findall(r"`([^`\n]+)`", prose(text))


def sections(text: str) -> dict[str, str]:
    """The text below each heading, up to the next one."""
    parts = re.split(r"^#+ (.+)$", prose(text), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def tables(text: str) -> Iterator[list[list[str]]]:
    """The rows of each table, headings first, without the rule."""
    for block in re.findall(r"(?:^\|.*\|\n)+", prose(text) + "\n", flags=re.MULTILINE):
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()]
        yield [rows[0], *rows[2:]]


def first_column(text: str, nth: int = 0) -> list[str]:
    """What the first cells of a section's table name, in order."""
    return [name for row in list(tables(text))[nth][1:] for name in spans(row[0])]


# ---- files and symbols ----


def described_files(text: str) -> list[str]:
    """The files that the rooms' tables describe, below the package."""
    found: list[str] = []
    for heading, body in sections(text).items():
        room = re.fullmatch(r"`(\w+/)`|The ground", heading)
        if room:
            found += [(room[1] or "") + name for name in first_column(body)]
    return found


def files_amiss(source: Path, text: str, room: str = "") -> list[str]:
    """Files that the page does not describe, and files that it describes and that are not there."""
    paths = {room + path.relative_to(source).as_posix(): path for path in source.rglob("*")}
    there = {name for name, path in paths.items() if path.suffix in DESCRIBED[room]}
    silent = {name for name in there if paths[name].name == "__init__.py" and is_bare(paths[name])}
    beside = tuple(other for other in DESCRIBED if other)
    described = {name for name in described_files(text) if name.startswith(room or beside) == bool(room)}
    missing = [f"{name}: docs/architecture.md does not say what it holds" for name in there - silent - described]
    twice = [
        f"{name}: described twice" for name, n in Counter(described_files(text)).items() if n > 1 and name in there
    ]
    return sorted(missing + twice + [f"{name}: described, but not there" for name in described - there])


def is_bare(path: Path) -> bool:
    """Whether a file holds a docstring and nothing else."""
    return all(isinstance(node, ast.Expr) for node in ast.parse(path.read_text(encoding="utf-8")).body)


@cache
def symbols(path: Path) -> frozenset[str]:
    """Names that a module defines at its top, and within its classes as `Class.name`; of C++, every word."""
    if path.suffix != ".py":
        return frozenset(re.findall(r"\w+", path.read_text(encoding="utf-8")))
    return frozenset(_names(ast.parse(path.read_text(encoding="utf-8")).body, ""))


def _names(body: Iterable[ast.stmt], prefix: str) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield prefix + node.name
        if isinstance(node, ast.ClassDef):
            yield from _names(node.body, f"{prefix}{node.name}.")
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        yield from (prefix + name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name))


@cache
def spelt() -> frozenset[str]:
    """The parts of every path-like text that the package's code spells: among them the files that it writes."""
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in SOURCE.rglob("*.py"))
    texts = (
        n.value for tree in trees for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)
    )
    return frozenset(part for text in texts if not re.search(r"\s", text) for part in text.split("/"))


def places_amiss(text: str) -> list[str]:
    """Files, folders and `file:symbol` that a page names and that are not there."""
    return [span for span in spans(text) if not _is_there(span)]


def _is_there(span: str) -> bool:
    found = re.fullmatch(r"([\w./-]+\.(?:py|md|toml|css|j2|cpp|h|cmake)|[\w./-]+/)(?::([\w.]+))?", span)
    if not found or span.startswith(("runs/", "/")):
        return True
    name, symbol = found[1].strip("/"), found[2]
    paths = [path for path in entries() if path == ROOT / name or path.as_posix().endswith(f"/{name}")]
    if symbol:
        return any(symbol in symbols(path) for path in paths)
    return bool(paths) or name.rpartition("/")[2] in spelt()


@cache
def entries() -> tuple[Path, ...]:
    """Every file and folder of the repository that a page may name."""
    return (*ROOT.iterdir(), *(path for name in FOLDERS for path in (ROOT / name).rglob("*")))


def test_every_file_is_described_and_every_described_file_is_there() -> None:
    assert files_amiss(SOURCE, page("docs/architecture.md")) == []
    assert files_amiss(ROOT / "native", page("docs/architecture.md"), "native/") == []


def test_a_file_that_is_added_and_not_described_is_found(tmp_path: Path) -> None:
    for name in ("data/__init__.py", "data/corpus.py", "data/parquet.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text('"""What it is."""\n' + "x = 1\n" * name.endswith("s.py"), encoding="utf-8")
    text = (
        "### `data/`\n\n| file | idea |\n| --- | --- |\n| `corpus.py` | a |\n| `gone.py` | b |\n| `corpus.py` | c |\n"
    )
    assert files_amiss(tmp_path, text) == [
        "data/corpus.py: described twice",
        "data/gone.py: described, but not there",
        "data/parquet.py: docs/architecture.md does not say what it holds",
    ]


@pytest.mark.parametrize("path", LIVING, ids=lambda path: path.name)
def test_every_place_that_a_page_names_is_there(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    amiss = places_amiss(text)
    assert [span for span in amiss if not (path.name == "architecture.md" and span in NOT_YET)] == []


@pytest.mark.parametrize("span", ["data/gone.py", "config.py:lode", "records.py:Problem.gone", "gone/", "gone.toml"])
def test_a_place_that_is_not_there_is_found(span: str) -> None:
    assert places_amiss(f"It is in `{span}`, beside `records.py:Problem.question`.") == [span]


def test_what_is_said_not_to_be_there_is_not_there() -> None:
    named = spans(sections(page("docs/architecture.md"))["Not there yet"])
    assert [
        place for place in NOT_YET if place not in named or (ROOT / place).exists() or (SOURCE / place).exists()
    ] == []


def test_every_test_that_a_page_names_is_there() -> None:
    defined = {name for path in (ROOT / "tests").rglob("test_*.py") for name in symbols(path)}
    assert {span for span in spans(page("CONTRIBUTING.md")) if re.fullmatch(r"test_\w+", span)} <= defined


# ---- links ----


def links_amiss(text: str, path: Path) -> list[str]:
    """Relative links of the page at `path` that lead nowhere."""
    targets = re.findall(r"\]\(([^)\s]+)\)", prose(text))
    return [
        target for target in targets if not re.match(r"[a-z]+:", target) and not _leads_somewhere(target, text, path)
    ]


def _leads_somewhere(target: str, text: str, path: Path) -> bool:
    name, _, anchor = target.partition("#")
    if name and not (path.parent / name).exists():
        return False
    there = (path.parent / name).read_text(encoding="utf-8") if name and anchor else text
    return not anchor or anchor in map(_slug, sections(there))


def _slug(heading: str) -> str:
    """A heading's anchor, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    assert links_amiss(path.read_text(encoding="utf-8"), path) == []


def test_a_link_that_leads_nowhere_is_found() -> None:
    text = "# A b\n[a](#a-b) [b](#b) [c](https://example.org/x) [d](gone.md) [e](metrics.md#gone) [f](metrics.md)\n"
    assert links_amiss(text, ROOT / "docs" / "made-up.md") == ["#b", "gone.md", "metrics.md#gone"]


# ---- stages, verbs, targets, imports ----


class Silence:
    """A watcher that tells nobody."""

    def stage_began(self, name: str) -> None: ...
    def stage_moved(self, done: float, total: float, note: str) -> None: ...
    def stage_ended(self, name: str, seconds: float, cached: bool) -> None: ...


def planned(text: str, config: ExperimentConfig) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """The stages of the page's table, written out for the arms and models of a run: what each needs and writes."""
    rivals, models = config.evaluate.baselines, measured_models(config)
    columns = next(table for table in tables(text) if table[0] == ["stage", "needs", "writes"])[1:]
    found = {}
    for row in columns:
        name, needs, writes = (spans(cell) for cell in row)
        kind = re.search(r"<(\w+)>", name[0])
        for model in {"arm": config.arms, "rival": rivals, "model": models}[kind[1]] if kind else ("",):
            file = model.replace(":", "-")
            wanted = (
                [f"scores/{each}" for each in models] if "every model" in row[1] else [_put(n, model) for n in needs]
            )
            found[_put(name[0], model)] = (tuple(wanted), tuple(_put(place, file) for place in writes))
    return found


def _put(text: str, model: str) -> str:
    return re.sub(r"<\w+>", model, text)


def test_the_stages_are_those_of_the_plan(tmp_path: Path) -> None:
    config = ExperimentConfig(name="made-up")
    plan = stages(config, tmp_path, StageCache(tmp_path, Silence()))
    described = planned(page("docs/architecture.md"), config)
    assert described == {stage.name: (tuple(dict.fromkeys(stage.needs)), stage.outputs) for stage in plan}


def test_the_verbs_are_those_of_the_command_line() -> None:
    table = next(table for table in tables(page("docs/architecture.md")) if table[0][0] == "verb")
    assert [spans(row[0])[0].split()[1] for row in table[1:]] == list(VERBS)


def commands(text: str, program: str) -> set[str]:
    """The second words of commands in a page's code."""
    code = re.findall(r"`([^`\n]+)`", text) + re.findall(r"^```[\s\S]*?^```|^    .*$", text, re.MULTILINE)
    return set(re.findall(rf"(?:^|(?<!from)[\s=]){program} ([a-z][\w-]*)", "\n".join(code), re.MULTILINE))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_command_that_a_page_names_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    targets = set(re.findall(r"^([\w-]+):", page("Makefile"), re.MULTILINE))
    assert commands(text, "tritcoder") <= set(VERBS)
    assert commands(text, "make") <= targets


def test_a_command_that_does_not_exist_is_found() -> None:
    assert commands("`tritcoder trian x` and\n\n```\nA=b tritcoder run c\n```\n", "tritcoder") == {"trian", "run"}


def test_the_import_table_is_the_one_that_is_held() -> None:
    held = runpy.run_path(str(ROOT / "tests" / "test_architecture.py"))
    rooms = {name for name in set(held["ROOMS"]) - held["GROUND"] if {f"{name}/", name} & set(_rooms_there())}
    table = next(table for table in tables(page("docs/architecture.md")) if table[0][0] == "room")
    told = {spans(row[0])[0]: row[1] for row in table[1:]}
    assert set(told) == rooms
    for name, cell in told.items():
        listed = set(spans(cell)) if "every room" not in cell else rooms - {name} - set(spans(cell))
        assert listed == held["ROOMS"][name].rooms & rooms, name


def _rooms_there() -> Iterator[str]:
    for path in SOURCE.iterdir():
        yield f"{path.name}/" if (path / "__init__.py").exists() else path.stem


# ---- the glossary ----


def test_the_glossary_is_sorted_and_says_each_thing_once() -> None:
    rows = next(tables(page("docs/glossary.md")))[1:]
    terms = [row[0].replace("`", "").casefold() for row in rows]
    assert terms == sorted(set(terms))
    assert [row for row in rows if len(row) != 3 or not row[1]] == []


# ---- file formats ----


def format_table(heading: str, nth: int = 0) -> list[str]:
    return first_column(sections(page("docs/file-formats.md"))[heading], nth)


class AnyFacts(dict[str, Any]):
    """Facts that hold whatever is asked for."""

    def __missing__(self, key: str) -> "AnyFacts":
        return AnyFacts()


def written_manifest() -> Facts:
    cache = StageCache(Path(), Silence())
    cache.facts = AnyFacts()
    return manifest(ExperimentConfig(name="made-up"), cache, "now")


def benched() -> Facts:
    return bench("naive:constant", Plan((1,), 2, 1))


def written_gguf_keys() -> list[str]:
    with TemporaryDirectory() as folder:
        write_gguf(Path(folder) / "x.gguf", made_up_weights())
        return list(open_gguf(Path(folder) / "x.gguf").keys)


FORMATS: dict[str, tuple[str, int, Callable[[], Iterable[str]]]] = {
    "documents": ("Corpus", 0, lambda: [field.name for field in fields(Document)]),
    "samples": ("Samples", 0, lambda: sample_to_json(Completion("1", 0, "", "stop"))),
    "outcomes": ("Outcomes", 0, lambda: ["key", *outcome_to_json(Outcome("1", 0, "interview", (), ""))]),
    "results": ("Outcomes", 1, lambda: [field.name for field in fields(TestResult)]),
    "scores": ("Scores", 0, lambda: [*score_file.evaluate({}, [], model="m", kind="k", benchmark="b"), "speed"]),
    "efficiency": ("Efficiency", 0, benched),
    "config.json": ("The Hugging Face directory", 0, lambda: to_their_config(ModelConfig())),
    "gguf": ("GGUF", 0, written_gguf_keys),
    "the manifest": ("The manifest", 0, written_manifest),
}


@pytest.mark.parametrize(("heading", "nth", "written"), FORMATS.values(), ids=FORMATS.keys())
def test_a_format_has_the_fields_that_are_written(
    heading: str, nth: int, written: Callable[[], Iterable[str]]
) -> None:
    assert sorted(format_table(heading, nth)) == sorted(written())


def test_stage_records_have_the_fields_that_are_written(tmp_path: Path) -> None:
    StageCache(tmp_path, Silence()).run([Stage("corpus", (), None, (), lambda _: {})])
    assert format_table("Stage records") == list(json.loads((tmp_path / "stages" / "corpus.json").read_text()))


class Zeros:
    """Batches of one token."""

    seq_len = 8

    def batch(self, step: int, size: int, rank: int = 0, ranks: int = 1) -> Batch:
        return Batch(np.zeros((size, 8), np.int64), np.zeros((size, 8), np.int64))


def test_tokens_metrics_and_checkpoints_have_the_fields_that_are_written(tmp_path: Path) -> None:
    tokenizer = Tokenizer.train(["a b"], 264)
    index = write_shards(["some text of more than nine bytes"], tokenizer, tmp_path)
    assert format_table("Token shards") == list(index)
    held_out = HeldOutText(TokenShards(tmp_path), tokenizer.token_lengths, seq_len=8, batch_size=1, max_tokens=8)
    model = Transformer(ModelConfig(vocab_size=264, n_layers=1, hidden_dim=256, max_seq_len=8)).initialise(0)
    config = TrainConfig(steps=1, seq_len=8, batch_size=1, compile="off")
    train(model, Zeros(), config, tmp_path, "key", evaluate=held_out)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert format_table("Metrics") == list(dict.fromkeys(name for row in rows for name in row))
    state = torch.load(tmp_path / "checkpoints" / "step-00000001.pt", weights_only=True)
    assert format_table("Checkpoints") == list(state)
