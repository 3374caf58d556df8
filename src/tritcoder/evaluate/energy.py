"""The energy of arithmetic, as a model; and the energy that the machine's own counters measured, where there are any.

The model is that of BitNet (arXiv:2310.11453): so many additions and multiplications, each at the published energy of
one such operation. It is no measurement, and no watt follows from it: it leaves out every movement of data, which
at batch 1 costs far more than the arithmetic. What carries it is therefore named `modelled_arithmetic_energy`.

A product is (m, n) times (n, p): m tokens, n inputs, p outputs. Energies are in picojoules.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Precision = Literal["fp32", "fp16", "int32", "int8"]
Node = Literal["45nm", "7nm"]

PICOJOULES: Mapping[Node, Mapping[Precision, tuple[float, float]]] = {
    "45nm": {"fp32": (0.9, 3.7), "fp16": (0.4, 1.1), "int32": (0.1, 3.1), "int8": (0.03, 0.2)},
    "7nm": {"fp32": (0.38, 1.31), "fp16": (0.16, 0.34), "int32": (0.03, 1.48), "int8": (0.007, 0.07)},
}
"""By process node and number format: one addition, one multiplication."""

SOURCE = (
    "formulas: Wang et al. 2023, arXiv:2310.11453; pJ an operation: Horowitz 2014 (45 nm), Zhang et al. 2022,"
    " PokeBNN, arXiv:2112.00133 (7 nm)"
)
LEAVES_OUT = (
    "reading weights and activations from memory (about 640 pJ for 32 bits of DRAM at 45 nm)",
    "accumulators wider than 8 bits",
    "attention, norms, sampling",
    "everything that the machine does besides",
)


@dataclass(frozen=True, slots=True)
class Matrix:
    """Weights that each token is multiplied with."""

    outputs: int
    inputs: int
    ternary: bool = False
    head: bool = False
    """Whether it is the output head, which stays dense in every arm."""


def dense_picojoules(m: int, n: int, p: int, precision: Precision, node: Node) -> float:
    """A plain product: m n p multiplications and m (n - 1) p additions."""
    add, multiply = PICOJOULES[node][precision]
    return m * n * p * multiply + m * (n - 1) * p * add


def ternary_picojoules(m: int, n: int, p: int, node: Node) -> float:
    """A product with trits: m (n - 1) p additions of int8, and m p + m n multiplications of fp16 for the scales."""
    return m * (n - 1) * p * PICOJOULES[node]["int8"][0] + (m * p + m * n) * PICOJOULES[node]["fp16"][1]


def modelled_arithmetic_energy(matrices: Iterable[Matrix]) -> dict[str, Any]:
    """What the matrices of a model cost for one token, as they are and if all were dense.

    Returns:
        by process node `picojoules_per_token` of `as_is`, `dense_fp16` and `dense_fp32`, without the head and with it
        (`as_is` counts matrices that are not ternary as fp16), and the ratios of dense fp16 to `as_is`.
    """
    every = list(matrices)
    blocks = [matrix for matrix in every if not matrix.head]
    found = {}
    for node in PICOJOULES:
        with_head, without = _costs(every, node), _costs(blocks, node)
        found[node] = {
            "picojoules_per_token": without,
            "picojoules_per_token_with_head": with_head,
            "dense_fp16_over_as_is": _ratio(without),
            "dense_fp16_over_as_is_with_head": _ratio(with_head),
        }
    return {
        "what_it_is": "a model, not a measurement",
        "source": SOURCE,
        "picojoules_add_multiply": {node: dict(table) for node, table in PICOJOULES.items()},
        "leaves_out": list(LEAVES_OUT),
        "by_node": found,
    }


def _costs(matrices: Iterable[Matrix], node: Node) -> dict[str, float]:
    costs = {"as_is": 0.0, "dense_fp16": 0.0, "dense_fp32": 0.0}
    for matrix in matrices:
        n, p = matrix.inputs, matrix.outputs
        dense = dense_picojoules(1, n, p, "fp16", node)
        costs["as_is"] += ternary_picojoules(1, n, p, node) if matrix.ternary else dense
        costs["dense_fp16"] += dense
        costs["dense_fp32"] += dense_picojoules(1, n, p, "fp32", node)
    return costs


def _ratio(costs: Mapping[str, float]) -> float | None:
    return costs["dense_fp16"] / costs["as_is"] if costs["as_is"] else None


# ---- measured ----

RAPL = Path("/sys/class/powercap")


class EnergyCounter:
    """The processors' own energy counters (RAPL), from the moment it is made; for everything that runs on them."""

    def __init__(self, folder: Path = RAPL) -> None:
        self.why_not = ""
        """Why there is nothing to read; empty if there is."""
        self._packages = sorted(folder.glob("intel-rapl:[0-9]")) if folder.is_dir() else []
        try:
            self._began = [_microjoules(package) for package in self._packages]
        except OSError as error:
            self.why_not, self._packages = f"{error.filename} cannot be read: {error.strerror}", []
        if not self._packages and not self.why_not:
            self.why_not = f"this machine shows no energy counter (RAPL) in {folder}"

    def joules(self) -> float | None:
        """Since it was made; None where nothing can be read."""
        if not self._packages:
            return None
        total = 0
        for package, began in zip(self._packages, self._began, strict=True):
            gone = _microjoules(package) - began
            total += gone if gone >= 0 else gone + _microjoules(package, "max_energy_range_uj")
        return total / 1e6


def _microjoules(package: Path, name: str = "energy_uj") -> int:
    return int((package / name).read_text(encoding="ascii"))
