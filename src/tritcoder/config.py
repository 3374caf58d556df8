"""One TOML file becomes one frozen dataclass; unknown keys are refused, and every value has a fingerprint.

The dataclasses themselves live in the rooms that read them, with a docstring under each field.
"""

import dataclasses
import difflib
import hashlib
import json
import os
import re
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

from tritcoder.errors import ConfigError

T = TypeVar("T")


def load(path: Path, schema: type[T], overrides: Sequence[str] = ()) -> T:
    """Read a TOML file, apply `key.path=value` overrides, and check it against a frozen dataclass.

    Args:
        path: the TOML file.
        schema: a frozen dataclass; nested dataclasses are tables.
        overrides: such as `pretrain.lr=1e-3`; values are TOML, bare words are text.

    Raises:
        ConfigError: no such file, not TOML, an unknown key (names its nearest neighbour), a wrong type.
    """
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"no configuration file at {path}", "give the path of a .toml file, see configs/") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror})", "give the path of a .toml file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from None
    for override in overrides:
        _apply(tree, override)
    return build(schema, tree, where=str(path))


def build(schema: type[T], tree: Mapping[str, Any], where: str = "configuration") -> T:
    """Turn nested tables into `schema`, refusing what it does not know.

    Raises:
        ConfigError: names the place, what was expected and what was found.
    """
    value = _convert(schema, tree, where, "")
    assert isinstance(value, schema)
    return value


def _apply(tree: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key.strip():
        raise ConfigError(f"an override reads key=value, found {override!r}", "for example --set pretrain.lr=1e-3")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    *tables, leaf = key.strip().split(".")
    for table in tables:
        tree = tree.setdefault(table, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"{key!r} is not a place in the configuration: {table!r} is a value, not a table")
    tree[leaf] = value


def _convert(kind: Any, value: Any, where: str, key: str) -> Any:
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _convert_table(kind, value, where, key)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType):
        return _convert_union(arguments, value, where, key)
    if origin is Literal:
        if value in arguments:
            return value
        choices = ", ".join(map(repr, arguments))
        raise ConfigError(f"{where}: {key} must be one of {choices}; found {value!r}")
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(_convert(arguments[0], item, where, f"{key}[{i}]") for i, item in enumerate(value))
    if origin is dict and isinstance(value, Mapping):
        return {name: _convert(arguments[1], item, where, f"{key}.{name}") for name, item in value.items()}
    if kind is str and isinstance(value, str) and value.startswith("$"):
        return _expand(value, where, key)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(kind, type) and isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    expected = getattr(origin or kind, "__name__", str(kind))
    raise ConfigError(f"{where}: {key} must be {expected}, found {value!r} ({type(value).__name__})")


def _expand(value: str, where: str, key: str) -> str:
    """A value that begins with an environment variable, as in `$TRITCODER_DATA/apps-train.jsonl.gz`."""
    name, slash, rest = value[1:].partition("/")
    try:
        return os.environ[name] + slash + rest
    except KeyError:
        raise ConfigError(
            f"{where}: {key} is {value!r}, but the environment variable {name} is not set",
            f"export {name}=FOLDER, or give another value: --set {key}=PATH",
        ) from None


def _convert_union(arguments: tuple[Any, ...], value: Any, where: str, key: str) -> Any:
    if value is None and type(None) in arguments:
        return None
    choices = [argument for argument in arguments if argument is not type(None)]
    for choice in choices[:-1]:
        try:
            return _convert(choice, value, where, key)
        except ConfigError:
            continue
    return _convert(choices[-1], value, where, key)


def _convert_table(kind: type[Any], value: Any, where: str, key: str) -> Any:
    if isinstance(value, kind):
        return value
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where}: {key or 'the file'} must be a table, found {value!r}")
    hints = typing.get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]
    prefix = f"{key}." if key else ""
    for name in value:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"valid keys here: {', '.join(names)}"
            raise ConfigError(f"{where}: unknown key {prefix}{name}", hint)
    value = _over_defaults(kind, value)
    given = {name: _convert(hints[name], item, where, prefix + name) for name, item in value.items()}
    defaults = {field.name: field.default for field in dataclasses.fields(kind)}
    try:  # what equals the default is the default: 100 and 100.0 must have one fingerprint
        return kind(**{name: defaults[name] if defaults[name] == item else item for name, item in given.items()})
    except ConfigError as error:
        if error.message.startswith(where):
            raise
        table = f"[{key}] " if key else ""
        raise ConfigError(f"{where}: {table}{error.message}", error.hint) from None
    except TypeError as error:
        raise ConfigError(f"{where}: table [{key}] lacks a value: {error}") from None


def _over_defaults(kind: type[Any], table: Mapping[str, Any]) -> dict[str, Any]:
    """The table with its own tables filled up: from their default in this place, which need not be their kind's."""
    filled = dict(table)
    for field in dataclasses.fields(kind):
        item, make = table.get(field.name), field.default_factory
        if isinstance(item, Mapping) and make is not dataclasses.MISSING and dataclasses.is_dataclass(make()):
            filled[field.name] = {**_shallow(make()), **item}
    return filled


def _shallow(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


def plain(value: Any) -> Any:
    """The value as JSON data: dataclasses become objects, tuples lists, paths text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def fingerprint(*values: Any) -> str:
    """16 hexadecimal digits that change whenever any of the values does."""
    text = json.dumps([plain(value) for value in values], sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def to_toml(value: Any) -> str:
    """The value as TOML that `load` reads back to an equal one (None is left out)."""
    lines: list[str] = []
    _write_table(plain(value), (), lines)
    return "\n".join(lines).strip() + "\n"


def _write_table(table: Mapping[str, Any], path: tuple[str, ...], lines: list[str]) -> None:
    if path:
        lines.extend(["", f"[{'.'.join(map(_toml_key, path))}]"])
    nested = {name: item for name, item in table.items() if isinstance(item, Mapping)}
    lines.extend(
        f"{_toml_key(name)} = {_toml_value(item)}"
        for name, item in table.items()
        if item is not None and name not in nested
    )
    for name, item in nested.items():
        _write_table(item, (*path, name), lines)


def _toml_value(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml_value, value)) + "]"
    if isinstance(value, Mapping):
        items = (f"{_toml_key(name)} = {_toml_value(item)}" for name, item in value.items() if item is not None)
        return "{ " + ", ".join(items) + " }"
    if isinstance(value, float):
        return repr(value)
    # What JSON escapes, TOML reads alike; DEL alone is plain in JSON and forbidden in TOML.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _toml_key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _toml_value(name)
