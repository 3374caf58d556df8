"""What a run leaves for its reader: the manifest and the page."""

import json
from pathlib import Path
from typing import Any

from tritcoder.experiment.config import ExperimentConfig
from tritcoder.experiment.stage import Facts, StageCache
from tritcoder.provenance import now, signature, whole_file
from tritcoder.report.load import load_run
from tritcoder.report.render import render


def write_report(directory: Path) -> Path:
    """Render `report.html` from what the run directory holds."""
    path = directory / "report.html"
    page = render(load_run(directory))
    with whole_file(path) as file:
        file.write(page)
    return path


def is_told(directory: Path, story: Facts) -> bool:
    """Whether the manifest and the page on disk tell this very story: the same stages, ended at the same times."""
    try:
        told = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))
        return _essence(told) == _essence(story) and (directory / "report.html").exists()
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return False


def _essence(story: Facts) -> list[Any]:
    stages = [[stage["name"], stage["key"], stage["finished"]] for stage in story["stages"]]
    return [story["name"], story["title"], story["notes"], stages]


def manifest(config: ExperimentConfig, cache: StageCache, started: str) -> Facts:
    """What the run used and did: the data with its licences, the tokens, the models, the stages, the machine."""
    facts = cache.facts
    models: dict[str, Any] = {arm: facts[f"{arm}/pretrain"] for arm in config.arms}
    return {
        "name": config.name,
        "title": config.title or config.name,
        "notes": list(config.notes),
        "started": started,
        "finished": now(),
        "signature": signature(),
        "corpus": facts["corpus"],
        "tokenizer": {
            "vocab_size": facts["tokenizer"]["vocab_size"],
            "bytes_per_token": facts["tokens"]["held_out"]["bytes_per_token"],
        },
        "tokens": {part: facts["tokens"][part]["tokens"] for part in ("train", "held_out")},
        "problems": {"source": config.problems.test or config.problems.source, **facts["problems"]},
        "models": models,
        "fine_tuning": {arm: facts[f"{arm}/finetune"] for arm in config.arms},
        "stages": cache.records,
    }
