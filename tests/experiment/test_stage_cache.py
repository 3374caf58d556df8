"""What is done once is not done again, what was interrupted goes on, what changed begins afresh."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tritcoder.errors import WorkFailedError
from tritcoder.experiment.stage import Facts, Stage, StageCache, Watcher


class Told:
    """A watcher that remembers."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.cached: list[str] = []

    def stage_began(self, name: str) -> None:
        """Remember."""
        self.began.append(name)

    def stage_moved(self, done: float, total: float, note: str) -> None:
        """Of no interest here."""

    def stage_ended(self, name: str, seconds: float, cached: bool) -> None:
        """Remember."""
        if cached:
            self.cached.append(name)


def stage(
    name: str,
    directory: Path,
    needs: tuple[str, ...] = (),
    settings: Any = None,
    work: Callable[[Path], Facts] | None = None,
) -> Stage:
    """A stage with one output, `<name>.txt`, whose work appends a letter to it."""
    output = directory / f"{name.replace('/', '-')}.txt"

    def append(_: Watcher) -> Facts:
        if work:
            return work(output)
        with output.open("a") as file:
            file.write("x")
        return {"size": output.stat().st_size}

    return Stage(name, needs, settings, (output.name,), append)


def run(directory: Path, *stages: Stage) -> tuple[StageCache, Told]:
    """Run stages in a cache of their own, as one command does."""
    told = Told()
    cache = StageCache(directory, told)
    cache.run(stages)
    return cache, told


def chain(directory: Path, settings: dict[str, int]) -> list[Stage]:
    """A -> b -> c, and d, which needs nothing."""
    needs = {"a": (), "b": ("a",), "c": ("b",), "d": ()}
    return [stage(name, directory, needs[name], settings[name]) for name in settings]


START = {"a": 0, "b": 0, "c": 0, "d": 0}


def test_work_is_done_once_and_its_facts_are_kept(tmp_path: Path) -> None:
    first, told = run(tmp_path, *chain(tmp_path, START))
    assert told.began == ["a", "b", "c", "d"]
    again, told = run(tmp_path, *chain(tmp_path, START))
    assert (told.began, told.cached) == ([], ["a", "b", "c", "d"])
    assert again.facts == first.facts == {name: {"size": 1} for name in "abcd"}
    assert [record["cached"] for record in first.records] == [False] * 4
    assert [record["cached"] for record in again.records] == [True] * 4


@pytest.mark.parametrize(("changed", "redone"), [("a", "abc"), ("b", "bc"), ("c", "c"), ("d", "d")])
def test_change_reaches_what_hangs_on_it_and_nothing_else(tmp_path: Path, changed: str, redone: str) -> None:
    run(tmp_path, *chain(tmp_path, START))
    _, told = run(tmp_path, *chain(tmp_path, START | {changed: 1}))
    assert told.began == list(redone)
    assert told.cached == [name for name in "abcd" if name not in redone]


@hypothesis_settings(max_examples=25)
@given(st.data())
def test_redone_are_exactly_the_changed_and_those_below_them(data: st.DataObject) -> None:
    names = [f"s{place}" for place in range(data.draw(st.integers(1, 6)))]
    needs = {
        name: tuple(data.draw(st.sets(st.sampled_from(names[:place])))) if place else ()
        for place, name in enumerate(names)
    }
    before = {name: data.draw(st.integers(0, 1)) for name in names}
    after = {name: data.draw(st.integers(0, 1)) for name in names}
    expected: list[str] = []
    for name in names:
        if before[name] != after[name] or any(need in expected for need in needs[name]):
            expected.append(name)
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        run(directory, *(stage(name, directory, needs[name], before[name]) for name in names))
        _, told = run(directory, *(stage(name, directory, needs[name], after[name]) for name in names))
    assert told.began == expected


def test_outputs_of_other_settings_are_gone_before_work_begins(tmp_path: Path) -> None:
    run(tmp_path, *chain(tmp_path, START))
    run(tmp_path, *chain(tmp_path, START | {"a": 1}))
    assert (tmp_path / "a.txt").read_text() == "x", "the first run's letter is still there"


def test_folder_of_other_settings_is_gone_with_all_that_is_in_it(tmp_path: Path) -> None:
    def fill(_: Watcher) -> Facts:
        (tmp_path / "tree" / "deep").mkdir(parents=True)
        return {}

    for settings in (0, 1):
        run(tmp_path, Stage("grow", (), settings, ("tree",), fill))
    assert (tmp_path / "tree" / "deep").is_dir()


def test_interrupted_work_finds_what_it_has_left(tmp_path: Path) -> None:
    def interrupted(output: Path) -> Facts:
        output.write_text("half")
        raise KeyboardInterrupt

    def goes_on(output: Path) -> Facts:
        assert output.read_text() == "half"
        output.write_text("whole")
        return {}

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, stage("a", tmp_path, work=interrupted))
    run(tmp_path, stage("a", tmp_path, work=goes_on))
    assert (tmp_path / "a.txt").read_text() == "whole"


def test_interrupted_work_under_other_settings_begins_afresh(tmp_path: Path) -> None:
    def interrupted(output: Path) -> Facts:
        output.write_text("half")
        raise KeyboardInterrupt

    def begins(output: Path) -> Facts:
        assert not output.exists()
        output.write_text("whole")
        return {}

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, stage("a", tmp_path, settings=0, work=interrupted))
    run(tmp_path, stage("a", tmp_path, settings=1, work=begins))


def test_change_taken_back_before_it_was_done_begins_afresh(tmp_path: Path) -> None:
    def interrupted(output: Path) -> Facts:
        output.write_text("half")
        raise KeyboardInterrupt

    run(tmp_path, stage("a", tmp_path, settings=0))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, stage("a", tmp_path, settings=1, work=interrupted))
    _, told = run(tmp_path, stage("a", tmp_path, settings=0))
    assert told.began == ["a"], "the outputs are those of settings 1, and half done"
    assert (tmp_path / "a.txt").read_text() == "x"


def test_missing_output_is_made_again(tmp_path: Path) -> None:
    run(tmp_path, *chain(tmp_path, START))
    (tmp_path / "b.txt").unlink()
    _, told = run(tmp_path, *chain(tmp_path, START))
    assert told.began == ["b"]


def test_failure_leaves_what_was_done_and_no_word_of_success(tmp_path: Path) -> None:
    def fail(_: Path) -> Facts:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        run(tmp_path, stage("a", tmp_path), stage("b", tmp_path, work=fail), stage("c", tmp_path))
    records = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "stages").glob("*.json")}
    assert {name: "finished" in record for name, record in records.items()} == {"a": True, "b": False}
    _, told = run(tmp_path, stage("a", tmp_path), stage("b", tmp_path), stage("c", tmp_path))
    assert told.began == ["b", "c"]


def test_stage_at_work_elsewhere_is_left_alone(tmp_path: Path) -> None:
    def at_work(output: Path) -> Facts:
        output.write_text("half")
        with pytest.raises(WorkFailedError, match="another run is at work on stage a"):
            run(tmp_path, stage("a", tmp_path, settings=1))
        assert output.read_text() == "half"
        return {}

    run(tmp_path, stage("a", tmp_path, work=at_work))
    _, told = run(tmp_path, stage("a", tmp_path))
    assert told.cached == ["a"], "the lock is let go of, and the record is that of the run that did the work"


def test_seconds_add_up_over_interruptions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("tritcoder.experiment.stage.time.monotonic", lambda: clock[0])

    def interrupted(_: Path) -> Facts:
        clock[0] += 5
        raise KeyboardInterrupt

    def goes_on(output: Path) -> Facts:
        clock[0] += 2
        output.touch()
        return {}

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, stage("a", tmp_path, work=interrupted))
    clock[0] += 1000
    cache, _ = run(tmp_path, stage("a", tmp_path, work=goes_on))
    assert cache.records[0]["seconds"] == 7


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"key": 3}', "\ufeff{}"])
def test_record_that_says_nothing_counts_as_none(tmp_path: Path, text: str) -> None:
    run(tmp_path, stage("a", tmp_path))
    (tmp_path / "stages" / "a.json").write_text(text, encoding="utf-8")
    _, told = run(tmp_path, stage("a", tmp_path))
    assert told.began == ["a"]
    assert (tmp_path / "a.txt").read_text() == "x"


def test_names_with_slash_and_colon_have_records_of_their_own(tmp_path: Path) -> None:
    names = ["answers/naive:constant", "answers/naive:retrieval", "scores/naive:constant"]
    run(tmp_path, *(Stage(name, (), None, (), lambda _: {}) for name in names))
    _, told = run(tmp_path, *(Stage(name, (), None, (), lambda _: {}) for name in names))
    assert told.cached == names


def test_two_runs_do_not_work_on_one_stage_at_once(tmp_path: Path) -> None:
    def interfere(output: Path) -> Facts:
        with pytest.raises(WorkFailedError, match="another run is at work on stage a") as caught:
            run(tmp_path, stage("a", tmp_path))
        assert caught.value.hint
        output.write_text("x")
        return {}

    run(tmp_path, stage("a", tmp_path, work=interfere))
    assert run(tmp_path, stage("a", tmp_path))[1].cached == ["a"]
