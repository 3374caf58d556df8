"""The Python that this interpreter runs on: its standard library, and the packages installed beside it.

A corpus that is on every machine already: tens of megabytes without a download, each package with its licence.
"""

import difflib
import json
import os
import platform
import re
import sysconfig
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path

from tritcoder.data import licences
from tritcoder.data.config import CorpusConfig
from tritcoder.data.sources import Item, read_document
from tritcoder.errors import ConfigError

STDLIB = "stdlib"
STDLIB_LICENCE = "PSF-2.0"
_SELF = "tritcoder"
_NOT_STDLIB = {"site-packages", "dist-packages", "__pycache__", "lib-dynload"}
_SHIM = re.compile(r"_+(editable|virtualenv)")
"""Names of the files that installers lay beside packages, to reach a checkout or to patch the interpreter."""


def documents(config: CorpusConfig) -> Iterator[Item]:
    """Every Python file of the chosen packages: the standard library first, then packages by name.

    Raises:
        ConfigError: `packages` or `exclude_packages` names what is not installed.
    """
    modules, distributions = _chosen(config)
    for group, files in modules.items():
        yield from _stdlib_documents(group, files, config)
    for name, distribution in distributions.items():
        yield from _package_documents(name, distribution, config)


def identity(config: CorpusConfig) -> str:
    """The interpreter's version and those of the chosen packages, which together decide what `documents` reads.

    Raises:
        ConfigError: as `documents`.
    """
    modules, distributions = _chosen(config)
    packages = [f"{name}=={_fact(one, 'Version')}" for name, one in distributions.items()]
    return " ".join([f"{platform.python_implementation()}-{platform.python_version()}", *modules, *packages])


def _chosen(config: CorpusConfig) -> tuple[dict[str, list[Path]], dict[str, metadata.Distribution]]:
    """The modules of the standard library and the distributions that the configuration asks for."""
    modules, distributions = _stdlib_modules(), _distributions()
    wanted = {_normal(name) for name in config.packages}
    unwanted = {_normal(name) for name in config.exclude_packages}
    known = {*distributions, *modules, STDLIB, _SELF}
    for name in sorted((wanted | unwanted) - known):
        near = difflib.get_close_matches(name, known, n=1)
        raise ConfigError(
            f"packages names {name!r}, which is not installed here",
            f"did you mean {near[0]!r}?" if near else "pip list shows what is; the standard library is 'stdlib'",
        )

    def is_chosen(group: str) -> bool:
        names = {group, group.partition("/")[0]}
        return (not wanted or not wanted.isdisjoint(names)) and unwanted.isdisjoint(names)

    return (
        {group: files for group, files in modules.items() if is_chosen(group)},
        {name: one for name, one in distributions.items() if is_chosen(name)},
    )


def _normal(name: str) -> str:
    """A distribution's name as PEP 503 compares them; a module of the standard library keeps its own."""
    return name if name.startswith(f"{STDLIB}/") else re.sub(r"[-_.]+", "-", name).lower()


def _stdlib_modules() -> dict[str, list[Path]]:
    """Groups (`stdlib/json`) and the files of each, in order."""
    root = Path(sysconfig.get_path("stdlib"))
    groups: dict[str, list[Path]] = {}
    for entry in sorted(root.iterdir()) if root.is_dir() else []:
        if entry.is_dir() and entry.name not in _NOT_STDLIB:
            groups.setdefault(f"{STDLIB}/{entry.name}", []).extend(_python_files(entry))
        elif entry.suffix == ".py":
            groups.setdefault(f"{STDLIB}/{entry.stem}", []).append(entry)
    return {group: files for group, files in groups.items() if files}


def _python_files(folder: Path) -> list[Path]:
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in _NOT_STDLIB]
        found += [Path(place, name) for name in names if name.endswith(".py")]
    return sorted(found)


def _stdlib_documents(group: str, files: Sequence[Path], config: CorpusConfig) -> Iterator[Item]:
    root = Path(sysconfig.get_path("stdlib"))
    source = f"{platform.python_implementation()} {platform.python_version()}"
    for path in files:
        yield read_document(path, path.relative_to(root).as_posix(), source, STDLIB_LICENCE, group, config)


def _distributions() -> dict[str, metadata.Distribution]:
    """Every installed distribution but our own, by normal name; the first on the path hides later ones."""
    found: dict[str, metadata.Distribution] = {}
    for distribution in metadata.distributions():
        name = _normal(_fact(distribution, "Name"))
        if name and name != _SELF:
            found.setdefault(name, distribution)
    return dict(sorted(found.items()))


def _package_documents(name: str, distribution: metadata.Distribution, config: CorpusConfig) -> Iterator[Item]:
    if _is_editable(distribution):
        return
    source = f"{_fact(distribution, 'Name')} {_fact(distribution, 'Version')}"
    licence = _licence(distribution)
    for path, inner in _package_files(distribution):
        yield read_document(path, inner, source, licence, name, config)


def _is_editable(distribution: metadata.Distribution) -> bool:
    """Whether the package's code lies somewhere else: a checkout, whose owner did not offer it (PEP 610)."""
    try:
        origin = json.loads(distribution.read_text("direct_url.json") or "{}")
        return bool(origin.get("dir_info", {}).get("editable"))
    except (ValueError, AttributeError):
        return True


def _fact(distribution: metadata.Distribution, name: str) -> str:
    """The first value of a metadata field; empty when the package does not state it."""
    return str((distribution.metadata.get_all(name) or [""])[0])


def _licence(distribution: metadata.Distribution) -> str:
    files = distribution.metadata.get_all("License-File") or []
    texts = [distribution.read_text(f"licenses/{file}") or distribution.read_text(file) for file in files]
    return licences.of_package(
        _fact(distribution, "License-Expression"),
        _fact(distribution, "License"),
        distribution.metadata.get_all("Classifier") or [],
        [text for text in texts if text],
    )


def _package_files(distribution: metadata.Distribution) -> list[tuple[Path, str]]:
    """The distribution's Python files within its own site-packages folder: where they are, and their names."""
    root = Path(str(distribution.locate_file("")))
    if distribution.files is not None:
        names = {str(file) for file in distribution.files if file.suffix == ".py"}
    else:  # some systems' packagers leave the file list out
        names = set()
        for top in (distribution.read_text("top_level.txt") or "").split():
            places = [root / f"{top}.py", *_python_files(root / top)]
            names |= {place.relative_to(root).as_posix() for place in places if place.is_file()}
    return [(root / name, name) for name in sorted(names) if _is_inside(root, name)]


def _is_inside(root: Path, name: str) -> bool:
    if Path(name).is_absolute() or ".." in Path(name).parts or _SHIM.match(name):
        return False
    parent = _real(root / Path(name).parent)
    return parent == _real(root) or _real(root) in parent.parents


@cache
def _real(folder: Path) -> Path:
    return folder.resolve()
