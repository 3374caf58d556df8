import json
from pathlib import Path
from typing import Any

import pytest

from tritcoder.data.contests import read_contests
from tritcoder.errors import DatasetError
from tritcoder.records import TestCase

ROW = {
    "id": "codeforces-0",
    "question": "Print the smaller, then the larger.",
    "input_output": {"inputs": ["2 1\n", "3 4"], "outputs": ["1 2 \n", "3 4"]},
    "train_overlap": False,
}


def _write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_contest_problem_reads_standard_input(tmp_path: Path) -> None:
    (problem,) = read_contests(_write(tmp_path / "a.jsonl", ROW))
    assert problem.tests == (TestCase("2 1\n", "1 2 \n"), TestCase("3 4", "3 4"))
    assert (problem.problem_id, problem.call_based, problem.difficulty) == ("codeforces-0", False, "competition")
    assert (problem.solutions, problem.note, problem.unsuitable) == ((), "", "")


def test_problems_of_training_data_can_be_counted(tmp_path: Path) -> None:
    rows = [{**ROW, "train_overlap": True}, {**ROW, "id": "b", "apps_train_id": 0}, {**ROW, "id": "c"}]
    notes = [problem.note for problem in read_contests(_write(tmp_path / "a.jsonl", *rows))]
    assert notes == ["it also occurs in a training file", "it is APPS training problem 0", ""]


def test_what_the_carrying_repository_appends_is_cut_off(tmp_path: Path) -> None:
    question = f"{ROW['question']}\n\n## Categories\n\n- sortings\n\n## Examples\n\n2 1\n\n## Testing\n\n./run.sh"
    (problem,) = read_contests(_write(tmp_path / "a.jsonl", {**ROW, "question": question, "difficulty": "11"}))
    assert problem.question.strip() == ROW["question"]
    assert problem.difficulty == "competition"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"id": None}, "id"),
        ({"id": 7}, "id"),
        ({"question": ""}, "question"),
        ({"question": "\n## Categories\n"}, "question"),
        ({"input_output": {"inputs": ["1"], "outputs": []}}, "input_output.outputs"),
        ({"input_output": {"inputs": [1], "outputs": ["1"]}}, "input_output.inputs"),
        ({"solutions": "print(1)"}, "solutions"),
    ],
)
def test_a_broken_field_is_named(tmp_path: Path, changes: dict[str, Any], field: str) -> None:
    path = _write(tmp_path / "a.jsonl", ROW, {**ROW, "id": "b", **changes})
    with pytest.raises(DatasetError, match=f"line 2, field {field}: expected .*, found"):
        read_contests(path)
