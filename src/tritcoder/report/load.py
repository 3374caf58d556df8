"""A run directory in, a Run out: what is missing is left empty, what is broken is an error."""

import json
from pathlib import Path
from typing import Any

from tritcoder.errors import DatasetError
from tritcoder.provenance import read_jsonl
from tritcoder.records import Run


def load_run(directory: Path) -> Run:
    """Read what a run has written so far.

    Parts that are not there yet (a run in progress, a verb never given) come back empty. The text of
    `config.toml` is put beside the manifest's own keys, under `config`.

    Raises:
        DatasetError: `directory` is no run directory, or one of its files cannot be understood.
    """
    if not directory.is_dir():
        found = "a file" if directory.exists() else "nothing"
        raise DatasetError(
            f"{directory} should be a run directory, found {found}",
            "name the directory that holds the run's manifest.json",
        )
    if not any((directory / name).is_file() for name in ("manifest.json", "config.toml")):
        raise DatasetError(
            f"{directory} should be a run directory, found neither manifest.json nor config.toml in it",
            "name the directory that holds the run's manifest.json",
        )
    manifest = _read_object(directory / "manifest.json")
    config = _read_text(directory / "config.toml")
    return Run(
        name=str(manifest.get("name") or directory.resolve().name),
        directory=str(directory),
        manifest={**manifest, "config": config} if config else manifest,
        metrics=_read_metrics(directory),
        scores=[_read_score(path) for path in sorted((directory / "scores").glob("*.json"))],
        references=_read_object(directory / "references.json"),
        examples=_read_examples(directory / "examples.json"),
    )


def _read_metrics(directory: Path) -> dict[str, list[dict[str, Any]]]:
    """The metrics of every training, by `model/stage`; a last line cut short is left out."""
    metrics = {}
    for path in sorted(directory.glob("*/*/metrics.jsonl")):
        try:
            rows = read_jsonl(path)
        except (OSError, UnicodeDecodeError) as error:
            raise _not_understood(path, "one JSON object a line", error) from error
        metrics[f"{path.parent.parent.name}/{path.parent.name}"] = [row for row in rows if isinstance(row, dict)]
    return metrics


def _read_score(path: Path) -> dict[str, Any]:
    score = _read_object(path)
    if not isinstance(score.get("model"), str):
        raise DatasetError(
            f"{path} should name its `model`, found {type(score.get('model')).__name__}",
            "score that model again, or remove the file",
        )
    return score


def _read_examples(path: Path) -> list[dict[str, Any]]:
    value = _read_json(path)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise DatasetError(
            f"{path} should hold a list of objects, found {type(value).__name__}",
            "run that stage again, or remove the file",
        )
    return value


def _read_object(path: Path) -> dict[str, Any]:
    value = _read_json(path)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise DatasetError(
            f"{path} should hold one JSON object, found {type(value).__name__}",
            "run that stage again, or remove the file",
        )
    return value


def _read_json(path: Path) -> Any:
    """The value in a file; None when there is no file."""
    text = _read_text(path)
    if not text:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _not_understood(path, "JSON", error) from error


def _read_text(path: Path) -> str:
    if not path.is_file():
        return ""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _not_understood(path, "UTF-8 text", error) from error


def _not_understood(path: Path, expected: str, error: Exception) -> DatasetError:
    return DatasetError(
        f"{path} should hold {expected}, and cannot be read ({error})",
        "run that stage again, or remove the file",
    )
