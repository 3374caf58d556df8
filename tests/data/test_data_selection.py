from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritcoder.data.config import CorpusConfig
from tritcoder.data.selection import DROPPED, HELD_OUT, TRAIN, Candidates, hash_order, select
from tritcoder.errors import ConfigError

FREE = CorpusConfig(held_out_share=0.0, held_out_max_bytes=0, max_bytes_per_group=0)

File = tuple[str, str, int]
FILES = st.lists(
    st.tuples(st.sampled_from("abcde"), st.text("xyz", min_size=1, max_size=6), st.integers(1, 50)),
    min_size=1,
    max_size=40,
    unique_by=lambda file: file[:2],
)


def _candidates(files: list[File], seed: int = 0) -> Candidates:
    candidates = Candidates()
    for position, (group, path, size) in enumerate(files):
        candidates.add(group, size, hash_order(seed, group, path), position)
    return candidates


def _fates(files: list[File], config: CorpusConfig) -> dict[File, int]:
    selection = select(_candidates(files, config.seed), config)
    return dict(zip(files, selection.fates, strict=True))


def _bytes(fates: dict[File, int], fate: int) -> int:
    return sum(file[2] for file, found in fates.items() if found == fate)


@given(FILES, st.randoms(), st.integers(1, 300), st.integers(1, 100), st.integers(0, 60))
def test_the_choice_does_not_depend_on_the_order_of_files(
    files: list[File], random: Random, cap: int, group_cap: int, held_out_cap: int
) -> None:
    config = CorpusConfig(
        max_bytes=cap, max_bytes_per_group=group_cap, held_out_max_bytes=held_out_cap, held_out_share=0.3
    )
    shuffled = list(files)
    random.shuffle(shuffled)
    assert _fates(files, config) == _fates(shuffled, config)


@given(FILES, st.integers(1, 300), st.integers(1, 100), st.integers(1, 60), st.integers(0, 5))
def test_caps_are_kept_and_groups_stay_whole(
    files: list[File], cap: int, group_cap: int, held_out_cap: int, seed: int
) -> None:
    config = CorpusConfig(
        max_bytes=cap,
        max_bytes_per_group=group_cap,
        held_out_max_bytes=held_out_cap,
        held_out_share=0.3,
        seed=seed,
    )
    fates = _fates(files, config)
    selection = select(_candidates(files, seed), config)
    assert _bytes(fates, TRAIN) <= cap
    assert _bytes(fates, HELD_OUT) <= held_out_cap
    groups = {group for group, _, _ in files}
    for group in groups:
        mine = {file: fate for file, fate in fates.items() if file[0] == group}
        assert _bytes(mine, TRAIN) <= group_cap
        if len(groups) > 1:
            assert not {TRAIN, HELD_OUT} <= set(mine.values())
    assert sum(selection.over_caps.values()) == list(fates.values()).count(DROPPED)


@given(FILES)
def test_without_caps_nothing_is_lost(files: list[File]) -> None:
    assert set(_fates(files, FREE).values()) == {TRAIN}
    fates = _fates(files, replace(FREE, held_out_share=0.2))
    assert DROPPED not in fates.values()
    assert TRAIN in fates.values()
    assert HELD_OUT in fates.values() or len(files) == 1


@given(FILES, st.integers(1, 200))
def test_a_larger_cap_only_adds_when_files_are_of_one_size(files: list[File], cap: int) -> None:
    even = [(group, path, 7) for group, path, _ in files]
    small, large = (_fates(even, replace(FREE, max_bytes=limit)) for limit in (cap, cap + 7))
    assert {file for file, fate in small.items() if fate == TRAIN} <= {
        file for file, fate in large.items() if fate == TRAIN
    }


def test_a_cap_takes_files_spread_over_groups() -> None:
    files = [(group, f"{number}.py", 10) for group in "abcd" for number in range(100)]
    fates = _fates(files, replace(FREE, max_bytes=1000))
    taken = [file[0] for file, fate in fates.items() if fate == TRAIN]
    assert len(taken) == 100
    assert all(10 <= taken.count(group) <= 45 for group in "abcd")


def test_held_out_groups_fill_the_share_and_no_more() -> None:
    files = [(f"group{number}", "a.py", 10 + number % 7) for number in range(200)]
    total = sum(size for _, _, size in files)
    fates = _fates(files, replace(FREE, held_out_share=0.1))
    assert 0.09 * total < _bytes(fates, HELD_OUT) <= 0.1 * total


def test_another_seed_holds_out_other_groups() -> None:
    files = [(f"group{number}", "a.py", 10) for number in range(100)]
    first, second = (
        select(_candidates(files, seed), replace(FREE, held_out_share=0.1, seed=seed)) for seed in (0, 1)
    )
    assert len(first.held_out_groups) == len(second.held_out_groups) == 10
    assert first.held_out_groups != second.held_out_groups


def test_the_smallest_group_is_held_out_when_none_fits_the_share() -> None:
    selection = select(_candidates([("large", "a", 90), ("small", "b", 10)]), replace(FREE, held_out_share=0.01))
    assert (selection.held_out_by, selection.held_out_groups) == ("group", ("small",))


def test_files_are_held_out_of_a_single_group() -> None:
    files = [("only", f"{number}.py", 10) for number in range(100)]
    selection = select(_candidates(files), replace(FREE, held_out_share=0.1))
    assert (selection.held_out_by, selection.held_out_groups) == ("file", ())
    assert selection.fates.count(HELD_OUT) == 10
    assert selection.fates.count(TRAIN) == 90


def test_a_single_file_is_never_held_out() -> None:
    assert list(select(_candidates([("only", "a.py", 10)]), replace(FREE, held_out_share=0.5)).fates) == [TRAIN]


def test_named_groups_are_held_out_whole_or_up_to_their_cap() -> None:
    files = [(group, f"{number}.py", 10) for group in ("stdlib/json", "stdlib/re", "rich") for number in range(5)]
    config = replace(FREE, held_out=("stdlib/*",))
    selection = select(_candidates(files), config)
    assert selection.held_out_groups == ("stdlib/json", "stdlib/re")
    assert selection.fates.count(HELD_OUT) == 10
    capped = select(_candidates(files), replace(config, held_out_max_bytes=35))
    assert capped.fates.count(HELD_OUT) == 3
    assert capped.over_caps == {"over_held_out_cap": 7}
    assert all(fate != TRAIN for fate in capped.fates[:10])


def test_a_group_that_is_not_there_is_named_with_its_neighbour() -> None:
    with pytest.raises(ConfigError) as caught:
        select(_candidates([("numpy", "a.py", 10)]), replace(FREE, held_out=("numpi",)))
    assert "numpi" in caught.value.message
    assert "numpy" in caught.value.hint


def test_nothing_at_all_selects_nothing() -> None:
    assert select(Candidates(), CorpusConfig()).fates == bytearray()
