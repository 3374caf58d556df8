"""How benchmarks here measure: rivals in turn within one run, medians and spread, a signed result file."""

import json
import re
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tritcoder.provenance import signature, write_json

RESULTS = Path(__file__).parent / "results"


def interleaved(rivals: Mapping[str, Callable[[], object]], repeats: int, warm_up: int = 2) -> dict[str, list[float]]:
    """Seconds of each call, the rivals taking turns so that a drifting machine touches all alike."""
    for _ in range(warm_up):
        for run in rivals.values():
            run()
    seconds: dict[str, list[float]] = {name: [] for name in rivals}
    for _ in range(repeats):
        for name, run in rivals.items():
            began = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - began)
    return seconds


def spread(values: list[float]) -> dict[str, float]:
    """Median, least and most."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "n": len(values)}


def write_result(topic: str, question: str, result: Mapping[str, Any]) -> Path:
    """Write `results/<topic>_<machine>_<date>.json`, and print the result."""
    signed = signature()
    machine = re.sub(r"[^a-z0-9]+", "-", f"{signed['machine']['processor']}-{signed['machine']['cores']}".lower())
    path = RESULTS / f"{topic}_{machine.strip('-')}_{signed['time'][:10]}.json"
    write_json(path, {"question": question, **result, "signature": signed})
    print(question)
    print(json.dumps(result, indent=1))
    print(f"-> {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")
    return path
