"""The proposal as a list of stages: what needs what, and what shares what."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritcoder.data.config import CorpusConfig
from tritcoder.errors import ConfigError, DatasetError, ModelFileError
from tritcoder.experiment.config import EvaluateConfig, ExperimentConfig, TwinConfig
from tritcoder.experiment.learning import split_problems
from tritcoder.experiment.plan import measured_models, needed, stages
from tritcoder.experiment.stage import Facts, Stage, StageCache, Watcher
from tritcoder.records import Problem
from tritcoder.train.config import TrainConfig

CONFIG = ExperimentConfig(name="plan", corpus=CorpusConfig(packages=("stdlib/json",)))


class NoWatcher:
    """A list of stages is made, none is run."""

    def stage_began(self, name: str) -> None:
        """Never."""
        raise AssertionError(name)

    def stage_moved(self, done: float, total: float, note: str) -> None:
        """Never."""
        raise AssertionError(note)

    def stage_ended(self, name: str, seconds: float, cached: bool) -> None:
        """Never."""
        raise AssertionError(name)


def listed(config: ExperimentConfig, directory: Path) -> dict[str, Stage]:
    """The stages of an experiment by name."""
    found = stages(config, directory, StageCache(directory, NoWatcher()))
    assert len({stage.name for stage in found}) == len(found)
    return {stage.name: stage for stage in found}


def changed(before: dict[str, Stage], after: dict[str, Stage]) -> set[str]:
    """The stages whose own settings differ."""
    assert before.keys() == after.keys()
    return {name for name, stage in before.items() if stage.settings != after[name].settings}


def test_every_stage_comes_after_those_it_needs(tmp_path: Path) -> None:
    seen: set[str] = set()
    for name, stage in listed(CONFIG, tmp_path).items():
        assert seen.issuperset(stage.needs), name
        seen.add(name)


def test_an_exclusion_list_changes_the_scores_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_text('{"excluded": {"35": {}}}')
    evaluate = replace(CONFIG.evaluate, exclude=str(path))
    before = listed(CONFIG, tmp_path)
    with_list = listed(replace(CONFIG, evaluate=evaluate), tmp_path)
    assert changed(before, with_list) == {name for name in before if name.startswith("scores/")}
    path.write_text('{"excluded": {"36": {}}}')
    assert changed(with_list, listed(replace(CONFIG, evaluate=evaluate), tmp_path)) != set()
    path.unlink()
    with pytest.raises(DatasetError, match=r"list\.json cannot be read"):
        listed(replace(CONFIG, evaluate=evaluate), tmp_path)


def test_no_two_stages_own_one_output(tmp_path: Path) -> None:
    outputs = [output for stage in listed(CONFIG, tmp_path).values() for output in stage.outputs]
    assert len(set(outputs)) == len(outputs)
    assert not any(a != b and b.startswith(f"{a}/") for a in outputs for b in outputs)


def test_twin_learns_from_the_very_tokens_of_the_ternary_model(tmp_path: Path) -> None:
    found = listed(CONFIG, tmp_path)
    for part in ("pretrain", "finetune"):
        shared = [set(found[f"{arm}/{part}"].needs) - {f"{arm}/pretrain"} for arm in ("ternary", "twin")]
        assert shared[0] == shared[1] != set()
    kept = [
        [setting for setting in found[f"{arm}/pretrain"].settings if setting != arm] for arm in ("ternary", "twin")
    ]
    assert kept[0] == kept[1], "the arms differ in nothing but their name"


def test_lr_scale_moves_the_twins_rates_and_nothing_else(tmp_path: Path) -> None:
    scaled = replace(CONFIG, twin=TwinConfig(lr_scale=0.25))
    for part in ("pretrain", "finetune"):
        ours: TrainConfig = getattr(CONFIG, part)
        assert scaled.training("ternary", part) == ours
        assert scaled.training("twin", part) == replace(ours, lr=ours.lr / 4, matrix_lr=ours.matrix_lr / 4)
    assert changed(listed(CONFIG, tmp_path), listed(scaled, tmp_path)) == {"twin/pretrain", "twin/finetune"}


def test_without_twin_no_stage_speaks_of_it(tmp_path: Path) -> None:
    alone = replace(CONFIG, twin=TwinConfig(enabled=False))
    assert alone.arms == ("ternary",)
    assert measured_models(alone) == ("ternary", "naive:constant", "naive:retrieval")
    assert not any("twin" in name for name in listed(alone, tmp_path))


def test_batch_size_of_answers_changes_no_stage(tmp_path: Path) -> None:
    faster = replace(CONFIG, evaluate=EvaluateConfig(batch_size=7, workers=3))
    assert changed(listed(CONFIG, tmp_path), listed(faster, tmp_path)) == set()


def test_title_and_notes_change_no_stage(tmp_path: Path) -> None:
    told = replace(CONFIG, title="Other", notes=("words",))
    assert changed(listed(CONFIG, tmp_path), listed(told, tmp_path)) == set()


def test_rival_that_is_not_there_is_refused_before_any_stage(untrained: Path, tmp_path: Path) -> None:
    def with_rival(name: str) -> ExperimentConfig:
        return replace(CONFIG, evaluate=EvaluateConfig(baselines=(name,)))

    with pytest.raises(ConfigError, match="no rival called 'naive:constnt'"):
        listed(with_rival("naive:constnt"), tmp_path)
    with pytest.raises(ModelFileError, match="does not exist"):
        listed(with_rival("runs/nowhere"), tmp_path)
    assert f"scores/{untrained}" in listed(with_rival(str(untrained)), tmp_path)


def test_only_takes_what_a_stage_needs_in_order(tmp_path: Path) -> None:
    found = list(listed(CONFIG, tmp_path).values())
    assert [stage.name for stage in needed(found, "twin/pretrain")] == [
        "problems", "corpus", "tokenizer", "tokens", "twin/pretrain",
    ]  # fmt: skip
    assert [stage.name for stage in needed(found, "scores/naive:constant")] == [
        "problems", "answers/naive:constant", "scores/naive:constant",
    ]  # fmt: skip
    assert needed(found, "") == found
    assert {stage.name for stage in needed(found, "examples")} == {stage.name for stage in found} - {"references"}


def test_unknown_stage_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        needed(list(listed(CONFIG, tmp_path).values()), "ternary/pretrian")
    assert caught.value.hint.startswith("did you mean ternary/pretrain?")


def nothing(_: Watcher) -> Facts:
    """Work that is never done."""
    raise AssertionError


@given(st.data())
def test_needed_is_closed_and_holds_nothing_else(data: st.DataObject) -> None:
    names = [f"s{place}" for place in range(data.draw(st.integers(1, 7)))]
    found = [
        Stage(name, tuple(data.draw(st.sets(st.sampled_from(names[:place])))) if place else (), None, (), nothing)
        for place, name in enumerate(names)
    ]
    wanted = data.draw(st.sampled_from(names))
    needs = {stage.name: set(stage.needs) for stage in found}
    closed = {wanted}
    while more := {need for name in closed for need in needs[name]} - closed:
        closed |= more
    assert [stage.name for stage in needed(found, wanted)] == [name for name in names if name in closed]


def problems(ids: Sequence[str]) -> list[Problem]:
    """Problems of which only the id matters."""
    return [Problem(name, "?") for name in ids]


@given(st.lists(st.text(max_size=5), unique=True, max_size=30), st.floats(0, 0.99), st.randoms())
def test_held_out_problems_are_a_partition_that_order_does_not_move(
    ids: list[str], share: float, random: object
) -> None:
    seen, kept_back = split_problems(problems(ids), share)
    assert sorted(p.problem_id for p in [*seen, *kept_back]) == sorted(ids)
    again = split_problems(problems(ids[::-1]), share)
    assert [{p.problem_id for p in part} for part in again] == [
        {p.problem_id for p in part} for part in (seen, kept_back)
    ]
    assert [p.problem_id for p in seen] == [name for name in ids if name in {p.problem_id for p in seen}]


@given(st.lists(st.text(max_size=5), unique=True, max_size=30), st.floats(0, 0.9), st.floats(0, 0.09))
def test_larger_share_keeps_back_the_same_problems_and_more(ids: list[str], share: float, more: float) -> None:
    smaller, larger = ({p.problem_id for p in split_problems(problems(ids), s)[1]} for s in (share, share + more))
    assert smaller <= larger


def test_share_kept_back_is_about_what_was_asked() -> None:
    ids = [str(number) for number in range(4000)]
    assert split_problems(problems(ids), 0)[1] == []
    assert len(split_problems(problems(ids), 0.05)[1]) == pytest.approx(200, abs=60)  # four standard deviations
