"""What a run leaves for its reader: the manifest and the page."""

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
