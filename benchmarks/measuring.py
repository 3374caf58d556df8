"""How benchmarks here measure: rivals in turn within one run, medians and spread, a signed result file."""

import json
import re
import resource
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tritcoder.provenance import signature, write_json

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Cost:
    """What one call took."""

    wall_s: float
    cpu_s: float
    """User's and system's time, of this process and of the children that it has waited for by the end."""


def costs(rivals: Mapping[str, Callable[[], object]], repeats: int, warm_up: int = 2) -> dict[str, list[Cost]]:
    """What each call takes, the rivals taking turns so that a drifting machine touches all alike."""
    for _ in range(warm_up):
        for run in rivals.values():
            run()
    found: dict[str, list[Cost]] = {name: [] for name in rivals}
    for _ in range(repeats):
        for name, run in rivals.items():
            began, began_cpu = time.perf_counter(), _cpu_s()
            run()
            found[name].append(Cost(time.perf_counter() - began, _cpu_s() - began_cpu))
    return found


def interleaved(rivals: Mapping[str, Callable[[], object]], repeats: int, warm_up: int = 2) -> dict[str, list[float]]:
    """Seconds of each call on the clock; see `costs`."""
    return {name: [cost.wall_s for cost in row] for name, row in costs(rivals, repeats, warm_up).items()}


def _cpu_s() -> float:
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def spread(values: list[float]) -> dict[str, float]:
    """Median, least and most."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "n": len(values)}


def write_result(topic: str, question: str, result: Mapping[str, Any], table: str = "") -> Path:
    """Write `results/<topic>_<machine>_<date>.json`, and print the result, or the table that sums it up."""
    signed = signature()
    machine = re.sub(r"[^a-z0-9]+", "-", f"{signed['machine']['processor']}-{signed['machine']['cores']}".lower())
    path = RESULTS / f"{topic}_{machine.strip('-')}_{signed['time'][:10]}.json"
    write_json(path, {"question": question, **result, "signature": signed})
    print(question)
    print(table or json.dumps(result, indent=1))
    print(f"-> {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")
    return path
