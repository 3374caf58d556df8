"""Who imports whom: the plan of the rooms, read from the source and held.

`violations` is a function of a source tree, so that the tests can hand it small trees that break each rule.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "tritcoder"

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 80
GROUND = frozenset({"", "errors", "records", "protocols", "config", "provenance"})
NAMELESS = re.compile(r"utils?|common|helpers?|misc|tools?")


@dataclass(frozen=True)
class Room:
    """What a room may import, besides the ground and the standard library."""

    rooms: frozenset[str] = frozenset()
    eager: frozenset[str] = frozenset()
    """Libraries, anywhere in its files."""
    lazy: frozenset[str] = frozenset()
    """Libraries, only inside functions or for type checking."""
    one_file: dict[str, str] = field(default_factory=dict)
    """Libraries that a single file may import."""


def room(rooms: str = "", eager: str = "", lazy: str = "", one_file: dict[str, str] | None = None) -> Room:
    return Room(frozenset(rooms.split()), frozenset(eager.split()), frozenset(lazy.split()), one_file or {})


PARTS = "ternary tokenizer sandbox data model engine generate train baselines evaluate serve report"
ROOMS = {
    **dict.fromkeys(GROUND, room(eager="numpy jaxtyping")),
    "ternary": room(eager="numpy jaxtyping", one_file={"gguf": "gguf_writing.py"}),
    "tokenizer": room(eager="numpy jaxtyping tokenizers"),
    "sandbox": room(lazy="pyseccomp"),
    "data": room("tokenizer", eager="numpy jaxtyping", lazy="pyarrow huggingface_hub datatrove"),
    "model": room("ternary", eager="numpy jaxtyping torch safetensors"),
    "engine": room("ternary native", eager="numpy jaxtyping"),
    "generate": room("tokenizer", eager="numpy jaxtyping"),
    "train": room("data model", eager="numpy jaxtyping torch"),
    "baselines": room("data tokenizer", eager="numpy jaxtyping", lazy="torch transformers tokenizers google openai"),
    "evaluate": room("sandbox", eager="numpy jaxtyping", lazy="sacrebleu codebleu pynvml"),
    "serve": room(eager="starlette uvicorn"),
    "report": room(eager="numpy jaxtyping", lazy="matplotlib jinja2 markupsafe"),
    "experiment": room(PARTS, eager="numpy jaxtyping rich"),
    "cli": room(f"{PARTS} experiment", eager="numpy jaxtyping rich cyclopts", lazy="uvicorn"),
}


@dataclass(frozen=True)
class Import:
    """One import statement's one target."""

    importer: str
    """Dotted name within the package: `sandbox.jail`."""
    target: str
    """Dotted name, absolute."""
    lazy: bool
    place: str


class _Imports(ast.NodeVisitor):
    """Every import of a module, also those in functions and those spelt as calls."""

    def __init__(self, module: str, path: Path, known: set[str]) -> None:
        self.module, self.path, self.known = module, path, known
        self.found: list[Import] = []
        self._depth = 0

    def _add(self, target: str, node: ast.AST) -> None:
        place = f"{self.path.name}:{getattr(node, 'lineno', 0)}"
        self.found.append(Import(self.module, target, self._depth > 0, place))

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._add(alias.name, node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = node.module or ""
        if node.level:
            here = ["tritcoder", *filter(None, self.module.split("."))]
            keep = len(here) - node.level + (self.path.name == "__init__.py")
            base = ".".join([*here[:keep], *filter(None, [node.module])])
        for alias in node.names:
            whole = f"{base}.{alias.name}"
            self._add(whole if whole in self.known else base, node)

    def visit_Call(self, node: ast.Call) -> None:
        name = ast.unparse(node.func).rpartition(".")[2]
        if name in ("import_module", "__import__") and node.args and isinstance(node.args[0], ast.Constant):
            self._add(str(node.args[0].value), node)
        self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        typing_only = ast.unparse(node.test).endswith("TYPE_CHECKING")
        self._within(node) if typing_only else self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._within(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._within(node)

    def _within(self, node: ast.AST) -> None:
        self._depth += 1
        self.generic_visit(node)
        self._depth -= 1


def modules_of(root: Path) -> dict[str, Path]:
    """Every module of the package at `root`, by its dotted name within the package."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def violations(root: Path) -> list[str]:
    """Every breach of the plan in the package at `root`, a sentence each."""
    modules = modules_of(root)
    known = {f"tritcoder.{name}".rstrip(".") for name in modules}
    imports: list[Import] = []
    found: list[str] = []
    for name, path in modules.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        visitor = _Imports(name, path, known)
        visitor.visit(tree)
        imports += visitor.found
        found += _placed(name, path) + list(_measured(name, path, tree))
    found += [sentence for one in imports for sentence in _forbidden(one)]
    return sorted(set(found)) + _circles(imports, modules)


def _room_of(module: str) -> str:
    return "cli" if module == "__main__" else module.partition(".")[0]


def _placed(name: str, path: Path) -> list[str]:
    wrong = [f"{name}: not a room of the plan"] if _room_of(name) not in ROOMS else []
    nameless = any(NAMELESS.fullmatch(part) for part in name.split("."))
    return [*wrong, f"{name}: a name that says nothing ({path.name})"] if nameless else wrong


def _forbidden(one: Import) -> Iterator[str]:
    """Why this import may not be there, if it may not."""
    own = _room_of(one.importer)
    rules = ROOMS.get(own, Room())
    top, _, rest = one.target.partition(".")
    if top == "tritcoder":
        other = _room_of(rest)
        if other != own and other not in GROUND and (own in GROUND or other not in rules.rooms):
            yield f"{one.importer} imports {one.target} ({one.place}): {own or 'the ground'} may not know {other}"
    elif top not in sys.stdlib_module_names:
        file = rules.one_file.get(top)
        allowed = top in rules.eager or (one.lazy and top in rules.lazy) or file == one.place.partition(":")[0]
        if not allowed:
            where = "outside a function" if top in rules.lazy else "at all"
            yield f"{one.importer} imports {top} ({one.place}): {own or 'the ground'} may not, {where}"


def _circles(imports: list[Import], modules: dict[str, Path]) -> list[str]:
    graph: dict[str, set[str]] = {name: set() for name in modules}
    for one in imports:
        target = one.target.removeprefix("tritcoder").removeprefix(".")
        if one.target.partition(".")[0] == "tritcoder" and target in modules and target != one.importer:
            graph[one.importer].add(target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [f"a circle of imports: {' -> '.join(error.args[1])}"]
    return []


def _measured(name: str, path: Path, tree: ast.Module) -> Iterator[str]:
    n_lines = len(path.read_text(encoding="utf-8").splitlines())
    if n_lines >= MAX_FILE_LINES:
        yield f"{name}: {n_lines} lines in a file"
    if not ast.get_docstring(tree):
        yield f"{name}: no docstring"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            n_lines = (node.end_lineno or 0) - node.lineno + 1
            if n_lines > MAX_FUNCTION_LINES:
                yield f"{name}.{node.name}: {n_lines} lines in a function"
    yield from (f"{name}.{public}: no docstring" for public in _undocumented(tree.body))


def _undocumented(body: list[ast.stmt], prefix: str = "") -> Iterator[str]:
    for node in body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or node.name[0] == "_":
            continue
        decorators = {ast.unparse(decorator).rpartition(".")[2] for decorator in node.decorator_list}
        if not ast.get_docstring(node) and not decorators & {"overload", "override", "setter"}:
            yield prefix + node.name
        if isinstance(node, ast.ClassDef):
            yield from _undocumented(node.body, f"{prefix}{node.name}.")


def test_the_package_keeps_its_plan() -> None:
    assert violations(SOURCE) == []


def test_generating_serving_and_scoring_import_no_torch() -> None:
    light = [name for name in modules_of(SOURCE) if _room_of(name) not in ("model", "train", "experiment")]
    light = [f"tritcoder.{name}".rstrip(".") for name in light if not name.endswith("__main__")]
    assert {"tritcoder", "tritcoder.generate", "tritcoder.records"} <= set(light)
    code = (
        "import importlib, sys\n"
        "heavy = {'torch', 'transformers', 'matplotlib', 'pyarrow', 'google.genai', 'openai'}\n"
        f"for name in {light!r}:\n"
        "    importlib.import_module(name)\n"
        "    found = heavy & set(sys.modules)\n"
        "    assert not found, f'{name} imports {found}'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


MADE_UP = [
    ("a room outside the plan", {"cloud.py": ""}, "cloud: not a room of the plan"),
    ("a nameless file", {"data/utils.py": ""}, "data.utils: a name that says nothing"),
    ("a nameless room", {"common/x.py": ""}, "common.x: a name that says nothing"),
    ("torch in the tokenizer", {"tokenizer/bpe.py": "import torch.nn as nn"}, "tokenizer may not, at all"),
    ("torch in a function", {"evaluate/x.py": "def _f():\n    from torch import nn"}, "evaluate may not, at all"),
    ("torch by call", {"data/x.py": "import importlib\nimportlib.import_module('torch')"}, "data may not, at all"),
    ("a vendor at import", {"baselines/x.py": "import openai"}, "baselines may not, outside a function"),
    ("a vendor in a class", {"baselines/x.py": "class _A:\n    import openai"}, "outside a function"),
    ("an unknown library", {"report/x.py": "import pandas"}, "report may not, at all"),
    ("gguf elsewhere", {"ternary/packing.py": "import gguf"}, "ternary may not, at all"),
    ("report looks at a room", {"report/x.py": "from tritcoder.data import y"}, "report may not know data"),
    ("engine looks at the model", {"engine/x.py": "from ..model import y"}, "engine may not know model"),
    ("the sandbox looks out", {"sandbox/x.py": "def _f():\n    import tritcoder.data"}, "sandbox may not know data"),
    ("the ground looks up", {"records.py": "from tritcoder import data"}, "records may not know data"),
    (
        "a rival evaluates",
        {"baselines/x.py": "import tritcoder.evaluate.score_file"},
        "baselines may not know evaluate",
    ),
    ("somebody imports cli", {"experiment/x.py": "import tritcoder.cli"}, "experiment may not know cli"),
    ("somebody imports experiment", {"data/x.py": "import tritcoder.experiment"}, "data may not know experiment"),
    (
        "a circle",
        {"data/a.py": "from tritcoder.data import b", "data/b.py": "def _f():\n    from .a import x"},
        "a circle of imports",
    ),
    ("a long file", {"data/x.py": "x = 1\n" * MAX_FILE_LINES}, "lines in a file"),
    ("a long function", {"data/x.py": "def _f():\n" + "    x = 1\n" * MAX_FUNCTION_LINES}, "81 lines in a function"),
    ("an undescribed function", {"data/x.py": "def f(): ..."}, "data.x.f: no docstring"),
    ("an undescribed class", {"data/x.py": "class A: ..."}, "data.x.A: no docstring"),
    ("an undescribed method", {"data/x.py": "class A:\n    'a'\n    def f(self): ..."}, "data.x.A.f: no docstring"),
]
SOUND = {
    "__init__.py": "",
    "__main__.py": "import tritcoder.cli",
    "errors.py": "import os\nimport numpy",
    "cli/__init__.py": "import tritcoder.experiment",
    "experiment/__init__.py": "from tritcoder import data, train",
    "data/__init__.py": "from tritcoder.errors import x\nfrom tritcoder.tokenizer import y",
    "data/hub.py": "def _f():\n    import pyarrow",
    "tokenizer/__init__.py": "from . import bpe",
    "tokenizer/bpe.py": "from .. import errors",
    "train/__init__.py": "import torch\nfrom tritcoder.data import hub",
    "ternary/gguf_writing.py": "import gguf",
    "baselines/x.py": "import typing\nif typing.TYPE_CHECKING:\n    import torch\nclass _A:\n"
    "    def f(self):\n        import openai",
}


def _write_tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'"""What it is."""\n{text}\n', encoding="utf-8")
    return root


def test_a_sound_tree_has_no_violation(tmp_path: Path) -> None:
    assert violations(_write_tree(tmp_path, SOUND)) == []


@pytest.mark.parametrize(("files", "sentence"), [made[1:] for made in MADE_UP], ids=[made[0] for made in MADE_UP])
def test_each_breach_is_found(files: dict[str, str], sentence: str, tmp_path: Path) -> None:
    found = violations(_write_tree(tmp_path, SOUND | files))
    assert any(sentence in one for one in found), found


def test_a_module_without_a_docstring_is_found(tmp_path: Path) -> None:
    (_write_tree(tmp_path, SOUND) / "data" / "bare.py").write_text("x = 1\n", encoding="utf-8")
    assert violations(tmp_path) == ["data.bare: no docstring"]
