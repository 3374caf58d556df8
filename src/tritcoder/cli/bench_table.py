"""The terminal's picture of what `tritcoder bench` measured."""

from typing import Any


def as_table(found: dict[str, Any]) -> str:
    """A line for each number; `-` where there is none, and below the reasons."""
    latency, file, bandwidth = found["latency"], found["file"], found["bandwidth"]
    pieces, first = latency["between_pieces_s"] or {}, latency["first_text_s"] or {}
    rows = [
        ("first text, ms", _milli(first.get("median"))),
        ("between pieces of text, ms", f"p50 {_milli(pieces.get('p50'))}, p95 {_milli(pieces.get('p95'))}"),
        ("prompt, tokens/s", f"{_rate(found['prompt'])} ({found['prompt']['n_tokens'] or '-'} tokens)"),
    ]
    rows += [(f"decode at batch {batch}, tokens/s", _rate(row)) for batch, row in found["decode"].items()]
    rows += [
        (f"peak memory at batch {batch}, MB", _mega(value)) for batch, value in found["peak_memory_bytes"].items()
    ]
    share = f"{100 * bandwidth['share']:.1f} %" if bandwidth["share"] is not None else "-"
    machine = (bandwidth["machine_gb_per_s"] or {}).get("median")
    bits = file["bits_per_weight"]
    rows += [
        ("of it before the model was opened, MB", _mega(found["memory_before_load_bytes"])),
        ("file, MB", _mega(file["bytes"])),
        ("bits a weight, in the file", f"{bits:.2f}" if bits else "-"),
        ("opening, s", f"{found['load_s']:.2f}, again {found['load_again_s']:.2f}"),
        (
            "file's bytes x tokens/s, GB/s",
            f"{_number(bandwidth['effective_gb_per_s'])}, {share} of {_number(machine)}",
        ),
        ("measured energy, mJ/token", _energy(found["measured_energy"])),
    ]
    modelled = found["modelled_arithmetic_energy"]
    if modelled:
        ratios = [f"{row['dense_fp16_over_as_is']:.1f} x at {node}" for node, row in modelled["by_node"].items()]
        rows.append(("modelled (!) arithmetic energy", f"dense fp16 needs {', '.join(ratios)}, in the blocks"))
    width = max(len(name) for name, _ in rows)
    lines = [found["model"], "", *(f"{name:<{width}}  {value}" for name, value in rows)]
    return "\n".join([*lines, *(f"no {name}: {reason}" for name, reason in found["why_null"].items())])


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _milli(value: float | None) -> str:
    return "-" if value is None else f"{1000 * value:.2f}"


def _mega(value: int | None) -> str:
    return "-" if value is None else f"{value / 1e6:,.1f}"


def _rate(row: dict[str, Any]) -> str:
    speed = row["tokens_per_second"]
    return f"{speed['median']:,.1f} [{speed['min']:,.1f}, {speed['max']:,.1f}]" if speed else "-"


def _energy(found: dict[str, Any] | None) -> str:
    if not found:
        return "-"
    told = (f"batch {b}: {1000 * row['median']:.2f}" for b, row in found["joules_per_token"].items() if row)
    return ", ".join(told)
