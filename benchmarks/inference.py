"""How fast does the engine write and read beside llama.cpp, and how near to what memory gives?

Ours and the rivals take turns within one run: engine by engine, round by round, each in a process of its own, with
the speed of memory measured at the beginning of every round. All read the same shapes with random weights (see
`random_files.py`), so that only speed is compared. Decoding writes positions 64 to 127 of each sequence, greedily.

    python benchmarks/inference.py [--shapes 25M,125M] [--rivals tq2_0,tq1_0,q4_0,f16] [--threads N] [--rounds N]

All of it takes about an hour where the largest shape fits: `--shapes 2B4T --rivals tq2_0 --rounds 3` is a part of it.
`--quick` takes seconds on a tiny shape, proves that it works and writes no result. A rival is a kind of llama.cpp
file: tq2_0, tq1_0, q4_0, f16, or with the embedding that llama-quantize would choose, tq2_0:q6_k.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bandwidth import read_gb_per_s
from cold_start import cold_starts
from engine_peer import reader
from goals import BASE, judged, told
from measuring import spread, write_result
from peers import POSITIONS, Peer, PeerError
from random_files import SHAPES, default_cache, ensure, tensor_bytes
from tritcoder.evaluate.efficiency import read_bandwidth
from tritcoder.ternary.shape import ModelConfig

QUESTION = "How fast does the engine write and read beside llama.cpp, and how near to what memory gives?"
OURS, OUR_FILE = "ours", "tq2_0"
RIVALS = "tq2_0,tq1_0,q4_0,f16"
SHAPES_HERE = ("25M", "125M", "700M", "2B4T")
DEPTH, WRITTEN, PROMPT, BATCHES = 64, 64, 512, (1, 8, 32)
PAUSE_S = 0.1
"""Between two turns, so that the threads of the one before have gone to sleep."""
QUIET_CORES, QUIET_SHARE = 0.3, 0.9
"""In so many of the moments between the turns others may use no more cores than this, or the run says that the
machine was not quiet. Threads of llama.cpp wait by spinning, so that a single busy process beside them can cost them
nearly all of their speed: ratios from such a run would flatter us without measure."""
BUSY = 2
"""Processes that spin beside the last measurement."""


def main() -> None:
    """Measure, print the tables and write the result."""
    asked = _asked()
    engines = available(asked.rivals.split(",") if asked.rivals else [])
    shapes: dict[str, Any] = {}
    for name in asked.shapes.split(",") if asked.shapes else fitting(engines, asked.cache):
        shapes[name] = measured_shape(name, engines, asked)
        print(table(name, shapes[name]), file=sys.stderr, flush=True)
    goals = judged(shapes)
    result = {
        "threads": asked.threads,
        "rounds": asked.rounds,
        "protocol": f"positions {DEPTH}..{DEPTH + WRITTEN - 1} of each sequence; prompt of {PROMPT} tokens",
        "shapes": shapes,
        "cold_start_s": cold_starts(asked.model, asked.rounds),
        "goals": goals,
    }
    tables = [table(name, found) for name, found in shapes.items()]
    text = "\n".join([*tables, f"\ncold start, s: {_medians(result['cold_start_s'])}", "\ngoals:", told(goals)])
    if asked.quick:
        print(text)
    else:
        write_result(f"inference-{asked.threads}-threads", QUESTION, result, text)


# ---- who takes part ----


def available(rivals: list[str]) -> dict[str, str]:
    """By name the kind of file that each engine reads: ours, then the rivals; says which cannot be had."""
    engines = {}
    if reader() and find_spec("tritcoder._native"):
        engines[OURS] = OUR_FILE
    else:
        print("our own engine is not built here: the rivals are measured alone", file=sys.stderr)
    if rivals and find_spec("llama_cpp"):
        engines |= {rival: rival for rival in rivals}
    elif rivals:
        print("llama_cpp is not installed: ours is measured alone (pip install llama-cpp-python)", file=sys.stderr)
    return engines


def fitting(engines: dict[str, str], cache: Path) -> Iterator[str]:
    """The shapes whose engines fit into memory side by side."""
    for name in SHAPES_HERE:
        needed = sum(1.5 * tensor_bytes(name, kind) + 0.5e9 for kind in engines.values())
        if needed < _available_bytes():
            yield name
        else:
            print(f"{name} is left out: it would take {needed / 1e9:.0f} GB of memory", file=sys.stderr)


def _available_bytes() -> int:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def start(engine: str, kind: str, name: str, asked: argparse.Namespace) -> Peer:
    """The engine's process, without a model yet."""
    script = "engine_peer.py" if engine == OURS else "llama_peer.py"
    return Peer(f"{engine} at {name}", script, ensure(name, kind, asked.cache), asked.threads)


# ---- one shape ----


def measured_shape(name: str, engines: dict[str, str], asked: argparse.Namespace) -> dict[str, Any]:
    """All rounds of one shape, and what they come to."""
    for kind in engines.values():
        ensure(name, kind, asked.cache)
    works = [f"decode {batch}" for batch in asked.batches] + ["prompt"]
    rates: dict[str, dict[str, list[float]]] = {engine: {work: [] for work in works} for engine in engines}
    busy: dict[str, list[float]] = {engine: [] for engine in engines}
    bandwidth: list[float] = []
    others: list[float] = []
    facts = {}
    with ExitStack() as stack:
        peers = {e: stack.enter_context(start(e, kind, name, asked)) for e, kind in engines.items()}
        for engine, peer in peers.items():
            facts[engine] = peer.ask("open")["facts"]
            facts[engine]["likeliest_after_prompt"] = peer.ask("prompt", tokens=PROMPT)["likeliest"]
        for round_ in range(asked.rounds + 1):  # the first one warms up
            print(f"{name}: round {round_} of {asked.rounds}", file=sys.stderr, flush=True)
            probed = _bandwidth(asked.threads)
            turns = []
            for work in works:
                for engine, peer in peers.items():
                    others.append(busy_cores())
                    turns.append((work, engine, _rate(peer, work, asked)))
            if round_:
                bandwidth.append(probed)
                for work, engine, rate in turns:
                    rates[engine][work].append(rate)
        if asked.busy:
            with busy_processes(BUSY):
                for _ in range(asked.rounds):
                    for engine, peer in peers.items():
                        time.sleep(PAUSE_S)
                        busy[engine].append(_rate(peer, "decode 1", asked))
    fresh = {engine: _fresh(engine, kind, name, asked) for engine, kind in engines.items()}
    rows = {}
    for engine, kind in engines.items():
        read = bytes_per_token(name, kind, runs_packed=engine == OURS)
        rows[engine] = row(rates, engine, busy[engine], bandwidth, read) | fresh[engine] | {"facts": facts[engine]}
    return {
        "bandwidth_gb_per_s": spread(bandwidth),
        "cores_busy_with_others": spread(others) if others else None,
        "quiet": is_quiet(others),
        "engines": rows,
    }


def _bandwidth(threads: int) -> float:
    found = read_gb_per_s(threads, mib=512, repetitions=5)
    if found:
        return statistics.median(found)
    beside = read_bandwidth(threads=threads)  # no compiler: numpy's XOR
    assert beside
    return beside["median"]


def _rate(peer: Peer, work: str, asked: argparse.Namespace) -> float:
    """Tokens a second of one turn."""
    if work == "prompt":
        found = peer.ask("prompt", tokens=PROMPT)
    else:
        batch = int(work.split()[1])
        found = peer.ask("decode", batch=batch, depth=DEPTH, steps=WRITTEN, budget_s=asked.budget)
    return float(found["tokens"] / found["seconds"])


def busy_cores() -> float:
    """How many cores others keep busy, the host's other guests (steal) among them, while no engine works.

    The threads of the turn before get a moment to fall asleep first. 0 where the system does not tell.
    """
    time.sleep(PAUSE_S)
    before = _busy_ticks()
    time.sleep(PAUSE_S)
    return (_busy_ticks() - before) / os.sysconf("SC_CLK_TCK") / PAUSE_S


def _busy_ticks() -> int:
    try:
        user, nice, system, _, _, irq, softirq, steal = map(
            int, Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:9]
        )
    except (OSError, ValueError):
        return 0
    return user + nice + system + irq + softirq + steal


def is_quiet(others: list[float]) -> bool:
    """Whether others left the machine alone in nearly all of the moments that were looked at."""
    return bool(others) and sum(cores <= QUIET_CORES for cores in others) >= QUIET_SHARE * len(others)


@contextmanager
def busy_processes(n: int) -> Iterator[None]:
    """So many processes that do nothing but spin."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(n)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _fresh(engine: str, kind: str, name: str, asked: argparse.Namespace) -> dict[str, Any]:
    """Load time and peak memory, in processes that do nothing else: a prompt, and 64 tokens alone."""
    loads, firsts, peaks, bases = [], [], [], []
    for _ in range(min(3, asked.rounds)):
        with start(engine, kind, name, asked) as peer:
            bases.append(peer.ask("memory")["peak_bytes"])
            began = time.perf_counter()
            loads.append(peer.ask("open")["seconds"])
            peer.ask("prompt", tokens=1)
            firsts.append(time.perf_counter() - began)
            peer.ask("prompt", tokens=PROMPT)
            peer.ask("decode", batch=1, depth=DEPTH, steps=WRITTEN, budget_s=asked.budget)
            peaks.append(peer.ask("memory")["peak_bytes"])
    file_bytes = ensure(name, kind, asked.cache).stat().st_size
    cache_bytes = POSITIONS * cache_bytes_per_position(SHAPES[name])
    peak, base = statistics.median(peaks), statistics.median(bases)
    return {
        "file_bytes": file_bytes,
        "cache_bytes": cache_bytes,
        "peak_bytes": spread(peaks),
        "interpreter_bytes": base,
        "peak_over_file_and_cache": peak / (file_bytes + cache_bytes),
        "peak_without_interpreter_over_file_and_cache": (peak - base) / (file_bytes + cache_bytes),
        "load_s": spread(loads),
        "load_to_first_token_s": spread(firsts),
    }


# ---- what follows ----


def cache_bytes_per_position(shape: ModelConfig) -> int:
    """Keys and values of all layers in float16."""
    return 2 * 2 * shape.n_layers * shape.n_kv_heads * shape.head_dim


def bytes_per_token(name: str, kind: str, *, runs_packed: bool) -> int:
    """What a token at batch 1 reads at the least: every weight (the embedding as the head), and the mean cache.

    Ours runs from two bits a trit and int8 rows of the head with a float32 scale each; llama.cpp from the file.
    """
    shape = SHAPES[name]
    weights = shape.ternary_parameters // 4 + shape.vocab_size * (shape.dim + 4)
    weights = weights if runs_packed else tensor_bytes(name, kind)
    return weights + (DEPTH + WRITTEN // 2) * cache_bytes_per_position(shape)


def row(
    rates: dict[str, dict[str, list[float]]], engine: str, busy: list[float], bandwidth: list[float], n_bytes: int
) -> dict[str, Any]:
    """One engine's numbers: speeds, ratios round by round to each rival, share of the bandwidth, what load leaves."""
    own = rates[engine]
    effective = [n_bytes * rate / 1e9 for rate in own["decode 1"]]
    over = {
        other: {work: ratio(own[work], theirs[work]) for work in own}
        for other, theirs in rates.items()
        if other != engine
    }
    return {
        "tokens_per_second": {work: spread(values) for work, values in own.items()},
        "over": over,
        "bytes_per_token": n_bytes,
        "effective_gb_per_s": spread(effective),
        "share_of_bandwidth": spread([rate / beside for rate, beside in zip(effective, bandwidth, strict=True)]),
        "beside_busy_tokens_per_second": spread(busy) if busy else None,
        "kept_beside_busy": statistics.median(busy) / statistics.median(own["decode 1"]) if busy else None,
    }


def ratio(ours: list[float], theirs: list[float]) -> dict[str, float]:
    """Round by round; and the one's best over the other's, which a passing disturbance changes least."""
    rounds = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    return spread(rounds) | {"best_over_best": max(ours) / max(theirs)}


def table(name: str, found: dict[str, Any]) -> str:
    """One shape's rows for people: medians, with best and spread of decoding alone."""
    engines = found["engines"]
    works = list(next(iter(engines.values()))["tokens_per_second"]) if engines else []
    lines = [f"\n{name}: memory gives {found['bandwidth_gb_per_s']['median']:.1f} GB/s; tokens/s, medians"]
    if not found["quiet"]:
        others = (found["cores_busy_with_others"] or {}).get("median", 0.0)
        lines.append(
            f"NOT QUIET: others kept {others:.1f} cores busy in the median; no ratio of this run is to be quoted"
        )
    columns = "".join(f"{work:>11}" for work in works)
    lines.append(
        f"{'':12}{columns}  {'least..most of decode 1':>23} {'x ' + BASE:>8} {'GB/s':>6} {'share':>6}"
        f" {'load s':>7} {'peak MB':>8} {'/file+KV':>8} {'busy tok/s':>10} {'kept':>5}"
    )
    for engine, it in engines.items():
        speed = it["tokens_per_second"]
        alone, base = speed["decode 1"], it["over"].get(BASE)
        kept = f"{it['kept_beside_busy']:.2f}" if it["kept_beside_busy"] is not None else "-"
        beside = it["beside_busy_tokens_per_second"]
        medians = "".join(f"{speed[work]['median']:>11,.1f}" for work in works)
        lines.append(
            f"{engine:12}{medians}"
            f"  {format(alone['min'], ',.1f') + '..' + format(alone['max'], ',.1f'):>23}"
            f" {format(base['decode 1']['median'], '.2f') if base else '-':>8}"
            f" {it['effective_gb_per_s']['median']:>6.1f} {it['share_of_bandwidth']['median']:>6.2f}"
            f" {it['load_s']['median']:>7.3f} {it['peak_bytes']['median'] / 1e6:>8.0f}"
            f" {it['peak_over_file_and_cache']:>8.2f} {beside['median'] if beside else 0:>10.1f} {kept:>5}"
        )
    return "\n".join(lines)


def _medians(found: dict[str, Any]) -> str:
    return ", ".join(f"{name} {it['median']:.3f}" if it else f"{name} -" for name, it in found.items())


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=QUESTION)
    parser.add_argument("--quick", action="store_true", help="a tiny shape, one round; writes no result")
    parser.add_argument("--shapes", default="", help=f"such as 25M,125M (default: what fits of {SHAPES_HERE})")
    parser.add_argument("--rivals", default=RIVALS, help=f"kinds of llama.cpp files (default: {RIVALS}); '' for none")
    parser.add_argument("--batches", default="", help="sequences at once (default: 1,8,32); 1 is always among them")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: all cores")
    parser.add_argument("--rounds", type=int, default=0, help="how often each has its turn (default: 7)")
    parser.add_argument("--budget", type=float, default=20.0, help="seconds that one turn may take at the most")
    parser.add_argument("--model", default="", help="a model for the cold `tritcoder generate`")
    parser.add_argument("--cache", type=Path, default=default_cache(), help="where the files with random weights lie")
    parser.add_argument("--no-busy", dest="busy", action="store_false", help="without the row beside busy processes")
    asked = parser.parse_args()
    given = tuple(map(int, asked.batches.split(","))) if asked.batches else (8,) if asked.quick else BATCHES
    asked.batches = tuple(sorted({1, *given}))
    asked.budget = min(asked.budget, 1.0) if asked.quick else asked.budget
    asked.rounds = asked.rounds or (1 if asked.quick else 7)
    asked.shapes = asked.shapes or ("tiny" if asked.quick else "")
    return asked


if __name__ == "__main__":
    try:
        main()
    except PeerError as error:
        sys.exit(f"error: {error}")
