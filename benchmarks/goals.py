"""What the engine set out to reach, and whether a run of `inference.py` shows it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

BASE = "tq2_0"
"""The rival that goals are put against: llama.cpp with the trits in two bits."""

Rows = Mapping[str, Mapping[str, Any]]
"""A shape's rows, by engine."""


@dataclass(frozen=True, slots=True)
class Goal:
    """One number and what it should be."""

    name: str
    shapes: tuple[str, ...]
    target: float
    found: Callable[[Mapping[str, Any]], float | None]
    """The number, out of the shape's result; None where it was not measured."""
    at_most: bool = False


def _over_base(work: str) -> Callable[[Mapping[str, Any]], float | None]:
    """The median of the rounds' ratios, or that of the two bests, whichever is smaller."""

    def found(shape: Mapping[str, Any]) -> float | None:
        ratio = _at(shape, "engines", "ours", "over", BASE, work)
        return min(ratio["median"], ratio["best_over_best"]) if ratio else None

    return found


def _at(value: Any, *path: str) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


EVERY = ("25M", "125M", "700M", "2B4T")
GOALS = (
    Goal("decode, times llama.cpp TQ2_0", ("25M", "125M"), 3.0, _over_base("decode 1")),
    Goal("decode, times llama.cpp TQ2_0", ("700M",), 2.0, _over_base("decode 1")),
    Goal("prompt of 512, times llama.cpp TQ2_0", EVERY, 4.0, _over_base("prompt")),
    Goal("decode at batch 32, times llama.cpp TQ2_0", EVERY, 4.0, _over_base("decode 32")),
    Goal(
        "share of the bandwidth measured beside it",
        ("700M", "2B4T"),
        0.85,
        lambda shape: _at(shape, "engines", "ours", "share_of_bandwidth", "median"),
    ),
    Goal(
        "peak memory over file and cache",
        EVERY,
        1.15,
        lambda shape: _at(shape, "engines", "ours", "peak_over_file_and_cache"),
        at_most=True,
    ),
    Goal(
        "the same without the interpreter",
        EVERY,
        1.15,
        lambda shape: _at(shape, "engines", "ours", "peak_without_interpreter_over_file_and_cache"),
        at_most=True,
    ),
    Goal(
        "load time, s", ("125M",), 0.2, lambda shape: _at(shape, "engines", "ours", "load_s", "median"), at_most=True
    ),
    Goal(
        "share of the speed kept beside two busy processes",
        EVERY,
        0.4,
        lambda shape: _at(shape, "engines", "ours", "kept_beside_busy"),
    ),
)


def judged(shapes: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each goal for each shape: `found`, and `met`: None where nothing was measured, or others disturbed it."""
    return list(_judged(shapes))


def _judged(shapes: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for goal in GOALS:
        for name in goal.shapes:
            if name not in shapes:
                continue
            found = goal.found(shapes[name])
            quiet = shapes[name].get("quiet", True)
            met = None if found is None or not quiet else _reaches(goal, found)
            sign = "<=" if goal.at_most else ">="
            yield {"goal": goal.name, "shape": name, "target": f"{sign} {goal.target:g}", "found": found, "met": met}


def _reaches(goal: Goal, found: float) -> bool:
    return found <= goal.target if goal.at_most else found >= goal.target


def told(rows: list[dict[str, Any]]) -> str:
    """The same for people."""
    words = {True: "met", False: "NOT met", None: "not judged"}
    return "\n".join(
        f"  {row['shape']:5} {row['goal']:52} {row['target']:>8}  "
        f"{'-' if row['found'] is None else format(row['found'], '.2f'):>7}  {words[row['met']]}"
        for row in rows
    )
