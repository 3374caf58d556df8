from importlib import resources

import pytest

from tritcoder.data import embedded
from tritcoder.data.apps import read_problems
from tritcoder.data.config import ProblemsConfig
from tritcoder.data.embedded import embedded_identity, embedded_problems, embedded_rows
from tritcoder.errors import DatasetError
from tritcoder.records import DIFFICULTIES


def test_every_embedded_problem_can_be_learned_from_and_scored() -> None:
    problems = [*embedded_problems("train"), *embedded_problems("test")]
    assert problems
    for problem in problems:
        assert problem.tests, problem.problem_id
        assert problem.solutions, problem.problem_id
        for solution in problem.solutions:
            compile(solution, problem.problem_id, "exec")
            assert problem.fn_name is None or f"def {problem.fn_name}(" in solution
    questions = [problem.question for problem in problems]
    assert len(set(questions)) == len(questions)


def test_every_embedded_row_belongs_to_one_split_and_to_its_file() -> None:
    rows = dict(embedded_rows())
    assert {row["split"] for row in rows.values()} == {"train", "test"}
    for where, row in rows.items():
        assert where.startswith(f"problems/{row['difficulty']}.jsonl")
    ids = [str(row["problem_id"]) for row in rows.values()]
    assert len(set(ids)) == len(ids)


def test_the_embedded_problems_are_the_default_source() -> None:
    assert read_problems(ProblemsConfig(max_solutions=0), "test") == embedded_problems("test")


def test_every_embedded_file_is_in_the_package() -> None:
    folder = resources.files("tritcoder.data").joinpath("problems")
    names = {file.name for file in folder.iterdir() if file.name.endswith(".jsonl")}
    assert names <= {f"{difficulty}.jsonl" for difficulty in DIFFICULTIES}


def test_the_identity_follows_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    before = embedded_identity()
    assert before == embedded_identity()
    monkeypatch.setattr(embedded, "_text", lambda difficulty: "")
    assert embedded_identity() != before


def test_a_damaged_package_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_text", lambda difficulty: '{"split": "train"}\n{')
    with pytest.raises(DatasetError, match=r"introductory\.jsonl, line 2"):
        list(embedded_rows())
    with pytest.raises(DatasetError, match=r"introductory\.jsonl, line 1, field problem_id"):
        embedded_problems("train")
    monkeypatch.setattr(embedded, "_text", lambda difficulty: "[1]")
    with pytest.raises(DatasetError, match="expected a JSON object, found list"):
        list(embedded_rows())


def test_a_missing_file_of_the_package_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "DIFFICULTIES", ("impossible",))
    with pytest.raises(DatasetError, match=r"lacks its own file data/problems/impossible\.jsonl"):
        embedded_identity()


def test_a_line_separator_within_a_text_does_not_cut_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_text", lambda difficulty: '{"question": "a\u2028b\x85c"}\n\n')
    assert [row for _, row in embedded_rows()] == [{"question": "a\u2028b\x85c"}] * 3
