"""`tritcoder bench`: how fast a model writes, and what it needs."""

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def bench(
    model: str,
    /,
    *,
    batches: str = "",
    max_tokens: int = 64,
    repeats: int = 3,
    out: Path | None = None,
    json_: Annotated[bool, Parameter(name="--json")] = False,
) -> None:
    """Measure a model's speed, memory and size on this machine, in a fresh process.

    Latency, tokens a second for reading and for writing alone and in batches, load time, peak memory, size, bits a
    weight, and the share of the memory's bandwidth. What cannot be had is null, with the reason. docs/metrics.md says
    what each number is and is not.

    Args:
        model: a run or model directory, a GGUF file, or a rival such as naive:constant, hf:PATH, gemini:NAME.
        batches: answers written at once, such as 1,8,32 (the default; for services behind an API, which cost, 1).
        max_tokens: written for each answer at the most.
        repeats: how often each measurement is taken.
        out: where the result goes; default evaluations/bench/MODEL.json.
        json_: print the result instead of a table.
    """
    from tritcoder.cli.bench_table import as_table
    from tritcoder.evaluate.efficiency import Plan
    from tritcoder.experiment.benching import REMOTE, bench
    from tritcoder.experiment.measuring import file_name
    from tritcoder.provenance import write_json

    remote = model.partition(":")[0] in REMOTE
    chosen = _numbers(batches) if batches else (1,) if remote else (1, 8, 32)
    found = bench(model, Plan(chosen, max_tokens, repeats))
    path = out or Path("evaluations") / "bench" / f"{file_name(model).strip('-.')}.json"
    write_json(path, found)
    print(json.dumps(found, indent=1, ensure_ascii=False) if json_ else f"{as_table(found)}\n-> {path}")


def _numbers(text: str) -> tuple[int, ...]:
    from tritcoder.errors import AskedWronglyError

    try:
        return tuple(sorted({int(word) for word in text.split(",")}))
    except ValueError:
        raise AskedWronglyError(f"--batches takes numbers such as 1,8,32, found {text}") from None
