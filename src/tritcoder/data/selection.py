"""Which of the clean documents are trained on, which are held out, and which exceed a cap: numbers in, fates out.

Everything goes by hash order: a document's place is a hash of the seed, its group and its path, so a cap takes files
spread over all packages, and takes the same ones on every machine.
"""

import difflib
import hashlib
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

import numpy as np

from tritcoder.data.config import CorpusConfig
from tritcoder.errors import ConfigError

DROPPED, TRAIN, HELD_OUT = 0, 1, 2

HeldOutBy = Literal["group", "file", "none"]


@dataclass(slots=True)
class Candidates:
    """The documents that passed the filters, as parallel columns of numbers."""

    groups: dict[str, int] = field(default_factory=dict)
    """Each group's number."""
    group: "array[int]" = field(default_factory=lambda: array("L"))
    size: "array[int]" = field(default_factory=lambda: array("Q"))
    """Bytes of UTF-8."""
    order: "array[int]" = field(default_factory=lambda: array("Q"))
    """The hash that orders them."""
    position: "array[int]" = field(default_factory=lambda: array("Q"))
    """Which item of the source it was."""

    def add(self, group: str, size: int, order: int, position: int) -> None:
        """Remember one document."""
        self.group.append(self.groups.setdefault(group, len(self.groups)))
        self.size.append(size)
        self.order.append(order)
        self.position.append(position)


@dataclass(frozen=True, slots=True)
class Selection:
    """The fate of each candidate."""

    fates: bytearray
    """DROPPED, TRAIN or HELD_OUT."""
    held_out_groups: tuple[str, ...]
    held_out_by: HeldOutBy
    """`file`: the corpus is a single group, so that files of it had to be held out."""
    over_caps: Counter[str]
    """How many candidates each cap dropped, by reason."""


def hash_order(seed: int, group: str, path: str = "") -> int:
    """A number below 2**64 that decides the place of a document or, without path, of a group."""
    text = f"{seed}\0{group}\0{path}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest())


def select(candidates: Candidates, config: CorpusConfig) -> Selection:
    """Choose what is held out, then take documents in hash order until the caps are met.

    Raises:
        ConfigError: `held_out` names a group that the corpus does not have.
    """
    sizes = _group_sizes(candidates)
    budget = _held_out_budget(sizes, config)
    by, names = _held_out_groups(sizes, budget, config)
    order = np.argsort(np.frombuffer(candidates.order, dtype=np.uint64), kind="stable").tolist()
    if by == "file":
        held_out = _until(budget, order, candidates.size)
    else:
        numbers = {candidates.groups[name] for name in names}
        held_out = [index for index in order if candidates.group[index] in numbers]
    apart = set(held_out)
    train = [index for index in order if index not in apart]
    fates, over_caps = bytearray(len(order)), Counter[str]()
    one_bucket = bytes(len(order))

    held_out = _under_cap(held_out, candidates.size, one_bucket, config.held_out_max_bytes)
    over_caps["over_held_out_cap"] = len(apart) - len(held_out)
    within_groups = _under_cap(train, candidates.size, candidates.group, config.max_bytes_per_group)
    over_caps["over_group_cap"] = len(train) - len(within_groups)
    train = _under_cap(within_groups, candidates.size, one_bucket, config.max_bytes)
    over_caps["over_total_cap"] = len(within_groups) - len(train)
    for fate, indices in ((HELD_OUT, held_out), (TRAIN, train)):
        for index in indices:
            fates[index] = fate
    return Selection(fates, tuple(sorted(names)), by, +over_caps)


def _under_cap(indices: list[int], sizes: Sequence[int], buckets: Sequence[int], cap: int) -> list[int]:
    """The indices whose sizes, taken in order, fit into their bucket's cap (0: no limit)."""
    used: Counter[int] = Counter()
    taken = []
    for index in indices:
        if not cap or used[buckets[index]] + sizes[index] <= cap:
            used[buckets[index]] += sizes[index]
            taken.append(index)
    return taken


def _until(budget: float, indices: list[int], sizes: Sequence[int]) -> list[int]:
    """The first index, and those after it as long as the budget is not reached."""
    used, taken = 0, list[int]()
    for index in indices[:-1]:
        if taken and used + sizes[index] > budget:
            break
        used += sizes[index]
        taken.append(index)
    return taken


def _held_out_groups(sizes: dict[str, int], budget: float, config: CorpusConfig) -> tuple[HeldOutBy, set[str]]:
    if config.held_out:
        return "group", _named_groups(config.held_out, list(sizes))
    if not config.held_out_share or not sizes:
        return "none", set()
    if len(sizes) == 1:
        return "file", set()
    return "group", _groups_within(budget, sizes, config.seed)


def _group_sizes(candidates: Candidates) -> dict[str, int]:
    totals: Counter[int] = Counter()
    for group, size in zip(candidates.group, candidates.size, strict=True):
        totals[group] += size
    return {name: totals[number] for name, number in candidates.groups.items()}


def _held_out_budget(sizes: dict[str, int], config: CorpusConfig) -> float:
    """The share is one of the text that could be trained on, caps and all."""
    cap = config.max_bytes_per_group
    total = sum(min(size, cap) if cap else size for size in sizes.values())
    budget = config.held_out_share * (min(total, config.max_bytes) if config.max_bytes else total)
    return min(budget, config.held_out_max_bytes) if config.held_out_max_bytes else budget


def _named_groups(patterns: Sequence[str], groups: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for pattern in patterns:
        matching = {group for group in groups if fnmatchcase(group, pattern)}
        if not matching:
            near = difflib.get_close_matches(pattern, groups, n=1)
            raise ConfigError(
                f"held_out names {pattern!r}, but no such group is left after the filters",
                f"did you mean {near[0]!r}?"
                if near
                else "groups are package or repository names; * matches any text",
            )
        found |= matching
    return found


def _groups_within(budget: float, sizes: dict[str, int], seed: int) -> set[str]:
    """Groups in hash order, each that still fits; the smallest of all when none does."""
    chosen, used = set(), 0
    for name in sorted(sizes, key=lambda name: hash_order(seed, name)):
        if used + sizes[name] <= budget:
            chosen.add(name)
            used += sizes[name]
    return chosen or {min(sizes, key=lambda name: (sizes[name], name))}
