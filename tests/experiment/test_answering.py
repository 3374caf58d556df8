"""Answers are appended one by one: whatever cuts a run short, each is written once and none is lost."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tritcoder.coder import model_place
from tritcoder.data.benchmarks import open_benchmark
from tritcoder.errors import DatasetError, StorageError
from tritcoder.experiment.benchmarking import Exam, measure
from tritcoder.experiment.config import EvaluateConfig
from tritcoder.experiment.measuring import file_name, write_answers
from tritcoder.protocols import OnText
from tritcoder.records import Completion, Prompt, Sampling
from tritcoder.sandbox.jail import open_jail


class Silent:
    """A watcher that does not mind."""

    def stage_began(self, name: str) -> None:
        """Not."""

    def stage_moved(self, done: float, total: float, note: str) -> None:
        """Not."""

    def stage_ended(self, name: str, seconds: float, cached: bool) -> None:
        """Not."""


class Echo:
    """Answers with the prompt's own words, and remembers whom it answered."""

    name = "echo"

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    def generate(
        self, prompts: Iterable[Prompt], sampling: Sampling, on_text: OnText | None = None
    ) -> Iterator[Completion]:
        """Answer in turn."""
        for prompt in prompts:
            self.asked.append((prompt.task_id, prompt.sample))
            yield Completion(prompt.task_id, prompt.sample, f"{prompt.text} é\n", "stop", n_tokens=2, model="echo")


PROMPTS = [Prompt(f"answer {task}", task_id=task, sample=sample) for task in ("1", "b", "ü") for sample in range(2)]
SETTINGS = EvaluateConfig(samples=2)


def answer(path: Path, prompts: Sequence[Prompt] = PROMPTS) -> list[tuple[str, int]]:
    """Write what is missing; returns for which prompts the generator was asked."""
    echo = Echo()
    facts = write_answers(echo, prompts, SETTINGS, path, Silent())
    assert facts["samples"] == len(prompts)
    return echo.asked


def written(path: Path) -> list[tuple[str, int]]:
    """Task and number of each answer in a file."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert all(row["completion"] == f"answer {row['task_id']} é\n" for row in rows)
    return [(row["task_id"], row["sample"]) for row in rows]


ALL = [(prompt.task_id, prompt.sample) for prompt in PROMPTS]


def test_every_prompt_is_answered_once(tmp_path: Path) -> None:
    path = tmp_path / "samples" / "echo.jsonl"
    assert answer(path) == ALL
    assert written(path) == ALL
    assert answer(path) == []
    assert written(path) == ALL


@hypothesis_settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kept=st.integers(0, 900))
def test_file_cut_at_any_byte_is_completed(tmp_path: Path, kept: int) -> None:
    path = tmp_path / f"{kept}.jsonl"
    answer(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:kept])
    survived = whole[:kept].count(b"\n")
    assert answer(path) == ALL[survived:]
    assert path.read_bytes() == whole


def test_answer_that_lacks_only_its_line_end_is_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "echo.jsonl"
    answer(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    answer(path)
    assert path.read_bytes() == whole


def test_damage_in_the_middle_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / "echo.jsonl"
    answer(path)
    damaged = path.read_bytes().replace(b"{", b"#", 1)
    path.write_bytes(damaged)
    with pytest.raises(DatasetError, match="line 1"):
        answer(path)
    assert path.read_bytes() == damaged


def test_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "samples").write_text("a file, where a folder should be")
    with pytest.raises(StorageError, match="a file stands where a folder should be"):
        answer(tmp_path / "samples" / "echo.jsonl")


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("ternary", "ternary"),
        ("naive:constant", "naive-constant"),
        ("hf:openai-community/gpt2", "hf-openai-community-gpt2"),
        ("openai:a b@http://[::1]:80/v1", "openai-a-b-http------1--80-v1"),
    ],
)
def test_file_names_hold_no_separator(model: str, name: str) -> None:
    assert file_name(model) == name


def test_directory_called_like_an_arm_is_a_directory(
    untrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`cd runs/demo; tritcoder evaluate embedded --model ternary`."""
    (tmp_path / "ternary").mkdir()
    (tmp_path / "ternary" / "model").symlink_to(untrained)
    monkeypatch.chdir(tmp_path)
    assert model_place(Path("ternary")) == Path("ternary/model")
    settings = EvaluateConfig(sampling=Sampling(max_tokens=2), workers=1)
    exam = Exam(open_benchmark("embedded", limit=1), "ternary", settings, open_jail)
    score = measure(exam, tmp_path / "measured", Silent())
    assert (score["kind"], score["table"]["all"]["n"]) == ("model", 1)
