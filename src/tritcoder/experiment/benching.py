"""What a model needs and how fast it writes, measured in a process of its own, and all that follows from it.

The process is fresh so that its peak memory is the model's, and nothing that this one has done counts.
"""

import gc
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict
from math import prod
from pathlib import Path
from typing import Any

from tritcoder import errors
from tritcoder.data.apps import read_problems
from tritcoder.data.config import ProblemsConfig
from tritcoder.errors import AskedWronglyError, ModelFileError, TritcoderError, WorkFailedError
from tritcoder.evaluate.efficiency import Plan, bytes_of, measure, peak_memory_bytes, read_bandwidth, timed
from tritcoder.evaluate.energy import Matrix, modelled_arithmetic_energy
from tritcoder.experiment.opening import is_baseline, model_directory, open_generator
from tritcoder.protocols import Generator
from tritcoder.provenance import signature
from tritcoder.ternary.shape import ModelConfig

REMOTE = ("gemini", "openai")
WEIGHTS = (".safetensors", ".gguf", ".bin")
_RUN = "from tritcoder.experiment.benching import main; main()"
_MARK = "tritcoder-bench "
"""Begins the line that holds the result, whatever a library prints besides."""


def bench(model: str, plan: Plan) -> dict[str, Any]:
    """Every number of one model, signed; what cannot be had is None, and `why_null` says why.

    Raises:
        TritcoderError: the model cannot be opened, or it gave no answer.
    """
    if min(plan.batches, default=0) < 1 or plan.repeats < 1:
        raise AskedWronglyError("batches and repeats must be at least 1")
    if not is_baseline(model):
        _weights(model)  # which says at once that there is none
    bandwidth = read_bandwidth()
    found = _in_fresh_process(model, plan)
    why: dict[str, str] = found.pop("why_null")
    files = _file(model, found.pop("parameters"), why)
    return {
        "model": model,
        "settings": asdict(plan),
        "file": files,
        **found,
        "bandwidth": _bandwidth(bandwidth, files, found["decode"].get("1"), why),
        "why_null": why,
        "signature": signature(),
    }


def _in_fresh_process(model: str, plan: Plan) -> dict[str, Any]:
    request = json.dumps({"model": model, "plan": asdict(plan)})
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", _RUN], input=request, stdout=subprocess.PIPE, text=True, env=environment, check=False
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith(_MARK)]
    if not lines:
        raise WorkFailedError(
            f"the process that measured {model} ended with {done.returncode}",
            "-9 means that memory was full: try fewer --batches",
        )
    found: dict[str, Any] = json.loads(lines[-1].removeprefix(_MARK))
    if "error" in found:
        kind = getattr(errors, found["error"], WorkFailedError)
        raise kind(found["message"], found["hint"])
    return found


# ---- in the fresh process ----


def main() -> None:
    """Measure what standard input asks for; the answer is one marked line."""
    request = json.load(sys.stdin)
    plan = request["plan"]
    try:
        found = measured(request["model"], Plan(tuple(plan["batches"]), plan["max_tokens"], plan["repeats"]))
    except TritcoderError as error:
        found = {"error": type(error).__name__, "message": error.message, "hint": error.hint}
    print("\n" + _MARK + json.dumps(found), flush=True)


def measured(model: str, plan: Plan) -> dict[str, Any]:
    """Open and measure, in this process."""
    training = read_problems(ProblemsConfig(), "train") if model.startswith("naive:") else []
    spec, before = _together(model, max(plan.batches)), peak_memory_bytes()
    batch = max(plan.batches)
    generator, load_s = timed(lambda: open_generator(spec, training, batch))
    found = {"load_s": load_s, "memory_before_load_bytes": before, **measure(generator, plan)}
    matrices = list(_matrices(generator))
    found["parameters"] = _n_parameters(generator)
    found["modelled_arithmetic_energy"] = modelled_arithmetic_energy(matrices) if matrices else None
    if not matrices:
        found["why_null"]["modelled_arithmetic_energy"] = "the model's matrices cannot be seen from here"
    del generator
    gc.collect()
    _, found["load_again_s"] = timed(lambda: open_generator(spec, training, batch))
    return found


def _together(model: str, batch: int) -> str:
    """A checkpoint's string with the batch in it, as it comes with one of its own."""
    if not model.startswith("hf:") or "batch=" in model:
        return model
    return f"{model}{'&' if '?' in model else '?'}batch={batch}"


def _network(generator: Generator) -> Any:
    """The torch module behind a generator, ours or a checkpoint's; None where there is none."""
    own = getattr(generator, "model", None)
    found = getattr(own if own is not None else generator, "_model", None)
    return found if hasattr(found, "named_parameters") else None


def _shape(generator: Generator) -> ModelConfig | None:
    """The shape behind a generator that runs on the engine's core; None elsewhere."""
    found = getattr(getattr(getattr(generator, "model", None), "core", None), "shape", None)
    return found if isinstance(found, ModelConfig) else None


def _matrices(generator: Generator) -> Iterable[Matrix]:
    """The matrices that each token is multiplied with, the head among them."""
    network, shape = _network(generator), _shape(generator)
    if shape is not None:
        yield from _matrices_of(shape)
    if network is None:
        return
    ternary = getattr(getattr(network, "config", None), "quantization", "none") == "ternary"
    matrices = {name: p.shape for name, p in network.named_parameters() if len(p.shape) == 2}
    inside = {name for name in matrices if any(part.isdigit() for part in name.split("."))}  # of a numbered block
    outside = [name for name in matrices if name not in inside]
    heads = [name for name in outside if "head" in name] or outside[:1]  # tied: the embedding, which comes first
    for name in (*inside, *heads):
        rows, columns = map(int, matrices[name])
        yield Matrix(rows, columns, ternary and name in inside, head=name not in inside)


def _matrices_of(shape: ModelConfig) -> Iterable[Matrix]:
    ternary, kv_dim = shape.quantization == "ternary", shape.n_kv_heads * shape.head_dim
    for rows in (shape.dim, kv_dim, kv_dim, shape.dim, shape.hidden_dim, shape.hidden_dim):
        yield from [Matrix(rows, shape.dim, ternary)] * shape.n_layers
    yield from [Matrix(shape.dim, shape.hidden_dim, ternary)] * shape.n_layers
    yield Matrix(shape.vocab_size, shape.dim, head=True)


def _n_parameters(generator: Generator) -> int | None:
    network, shape = _network(generator), _shape(generator)
    if shape is not None:
        return shape.parameters
    return sum(prod(map(int, parameter.shape)) for parameter in network.parameters()) if network is not None else None


# ---- what follows from it ----


def _weights(model: str) -> list[Path]:
    """The files that hold a model's weights; none where they are not on this machine, or cannot be named."""
    if is_baseline(model):
        family, _, rest = model.partition(":")
        place = Path(rest.partition("?")[0])
        if family != "hf" or not place.is_dir():
            return []
    elif Path(model).is_file():
        return [Path(model)]
    else:
        place = model_directory(Path(model))
    found = [path for path in sorted(place.iterdir()) if path.suffix in WEIGHTS]
    kinds = {path.suffix for path in found}  # a checkpoint may lie there in two forms: the first one counts
    chosen = next((kind for kind in WEIGHTS if kind in kinds), "")
    return [path for path in found if path.suffix == chosen]


def _file(model: str, parameters: int | None, why: dict[str, str]) -> dict[str, Any]:
    try:
        paths = _weights(model)
    except ModelFileError:  # gone since it was opened
        paths = []
    n_bytes = bytes_of(paths) if paths else None
    if not paths:
        why["file.bytes"] = "the model is no file on this machine"
    if not parameters:
        why["file.parameters"] = "the model's weights cannot be counted from here"
    if not paths or not parameters:
        why["file.bits_per_weight"] = why.get("file.bytes") or why["file.parameters"]
    return {
        "names": [path.name for path in paths],
        "bytes": n_bytes,
        "parameters": parameters,
        "bits_per_weight": 8 * n_bytes / parameters if n_bytes and parameters else None,
    }


def _bandwidth(
    read: dict[str, float] | None, files: dict[str, Any], alone: dict[str, Any] | None, why: dict[str, str]
) -> dict[str, Any]:
    """The file's bytes times tokens a second at batch 1, beside what the machine's memory gives."""
    rate = alone["tokens_per_second"] if alone else None
    effective = files["bytes"] * rate["median"] / 1e9 if files["bytes"] and rate else None
    if effective is None:
        missing = "no file whose bytes could be counted" if not files["bytes"] else "no decoding speed at batch 1"
        why["bandwidth.effective_gb_per_s"] = why["bandwidth.share"] = missing
    return {
        "machine_gb_per_s": read,
        "effective_gb_per_s": effective,
        "share": effective / read["median"] if effective and read else None,
    }
