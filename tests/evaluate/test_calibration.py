"""Which problems a benchmark has to leave out, worked by hand on problems with right, wrong and broken solutions."""

import json
from pathlib import Path
from typing import Any

import pytest

from tritcoder.errors import DatasetError
from tritcoder.evaluate.calibration import (
    Calibration,
    Exclusion,
    Exclusions,
    calibrate,
    read_exclusions,
    shares_kept,
    write_exclusions,
)
from tritcoder.records import Problem, TestCase
from tritcoder.sandbox.limits import Limits

TESTS = (TestCase("1", "2"), TestCase("5", "6"))
RIGHT, WRONG, HALF = "print(int(input()) + 1)", "print(0)", "print(2)"


def problem(name: str, *solutions: str, **more: Any) -> Problem:
    return Problem(name, "Add one.", solutions=solutions, **{"tests": TESTS, **more})


PROBLEMS = {
    row.problem_id: row
    for row in (
        problem("sound", RIGHT),
        problem("second is right", WRONG, RIGHT),
        problem("sixth is right", *(f"{WRONG}#{k}" for k in range(5)), RIGHT),
        problem("none is right", WRONG, HALF, "print(", difficulty="interview"),
        problem("no tests", RIGHT, tests=(), difficulty="competition"),
        problem("no solutions"),
        problem("blank solution", "  \n"),
        problem("checked", "def f(): return 1", tests=(), check="assert f() == 1"),
        problem("checked, fails", "def f(): return 2", tests=(), check="assert f() == 1"),
        problem("unfit by the data", RIGHT, unsuitable="only examples"),
    )
}


def run(jails: Any, **more: Any) -> Calibration:
    return calibrate(PROBLEMS, "made up", open_jail=jails, **more)


def test_problems_are_left_out_for_the_reason_that_applies(jails: Any) -> None:
    found = run(jails)
    assert {name: row.reason for name, row in found.exclusions.excluded.items()} == {
        "sixth is right": "solutions_fail",
        "none is right": "solutions_fail",
        "no tests": "no_tests",
        "checked, fails": "solutions_fail",
        "unfit by the data": "unsuitable",
    }
    assert found.exclusions.excluded["none is right"] == Exclusion(
        "solutions_fail", "interview", "the best of 3 solutions: 1 passed, 1 wrong_answer"
    )
    assert found.exclusions.excluded["unfit by the data"].detail == "only examples"
    assert (found.verified, found.unverified) == (3, 2)
    assert sorted(outcome.problem_id for outcome in found.failing) == [
        "checked, fails",
        "none is right",
        "sixth is right",
    ]


def test_more_attempts_find_the_solution_that_passes(jails: Any) -> None:
    assert "sixth is right" not in run(jails, attempts=6).exclusions.excluded
    assert "second is right" in run(jails, attempts=1).exclusions.excluded


def test_no_further_solution_is_run_once_one_has_passed(jails: Any) -> None:
    calibrate({"p": problem("p", RIGHT, WRONG, HALF)}, "made up", open_jail=jails)
    assert {program for program, _ in jails.log} == {RIGHT}


def test_scores_are_those_of_first_solutions(jails: Any) -> None:
    table = run(jails).first_solutions["table"]["all"]
    assert table["n"] == 7  # those with a solution and tests
    assert table["strict"]["value"] == pytest.approx(3 / 7)


def test_a_solution_is_a_program_and_not_an_answer_in_prose(jails: Any) -> None:
    fenced = 'x = """\n```python\nprint(0)\n```\n"""\n' + RIGHT
    found = calibrate({"p": problem("p", "# about\n" + fenced)}, "made up", open_jail=jails)
    assert found.verified == 1


def test_a_jail_that_breaks_down_proves_nothing(jails: Any) -> None:
    found = calibrate({"p": problem("p", "end('sandbox_failed')")}, "made up", open_jail=jails)
    assert not found.exclusions.excluded
    assert (found.verified, found.unverified) == (0, 1)


def test_calibration_goes_on_where_it_stopped(jails: Any, tmp_path: Path) -> None:
    path = tmp_path / "outcomes.jsonl"
    first = run(jails, path=path)
    ran = len(jails.log)
    again = run(jails, path=path)
    assert len(jails.log) == ran
    assert again.exclusions == first.exclusions


def test_the_list_survives_its_file(jails: Any, tmp_path: Path) -> None:
    found = run(jails)
    path = tmp_path / "exclusions.json"
    write_exclusions(path, found, Limits(), 5, len(PROBLEMS))
    back = read_exclusions(path)
    assert back.excluded == found.exclusions.excluded
    assert back.digest == found.exclusions.digest
    assert back.source == str(path)
    told = json.loads(path.read_text())
    assert (told["n_problems"], told["n_kept"], told["verified"], told["unverified"]) == (10, 5, 3, 2)
    assert told["reasons"] == {"no_tests": 1, "solutions_fail": 3, "unsuitable": 1}
    assert told["signature"]["machine"]


def test_a_list_written_by_hand_will_do(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text('{"excluded": {"12": {}, "7": {"reason": "ambiguous"}}}')
    assert read_exclusions(path).excluded == {"12": Exclusion("", ""), "7": Exclusion("ambiguous", "")}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"excluded": []}', '{"excluded": {"1": 2}}', "[" * 100_000])
def test_a_file_that_is_no_list_is_refused_in_one_sentence(text: str, tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_text(text)
    with pytest.raises(DatasetError, match=r"list\.json") as caught:
        read_exclusions(path)
    assert "--gold" in caught.value.hint


def test_a_missing_list_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be read"):
        read_exclusions(tmp_path / "nowhere.json")


def test_shares_kept_counts_by_difficulty_and_names_reasons(jails: Any) -> None:
    without = shares_kept(PROBLEMS.values(), None)
    assert without["problems"]["all"] == {"n": 8, "of": 10}
    assert without["problems"]["competition"] == {"n": 0, "of": 1}
    assert without["reasons"] == {"no_tests": 1, "unsuitable": 1}
    assert without["list"] is None
    with_list = shares_kept(PROBLEMS.values(), run(jails).exclusions)
    assert with_list["problems"]["all"] == {"n": 5, "of": 10}
    assert with_list["problems"]["interview"] == {"n": 0, "of": 1}
    assert with_list["reasons"] == {"no_tests": 1, "solutions_fail": 3, "unsuitable": 1}


def test_digest_depends_on_the_ids_alone() -> None:
    one = Exclusions("a", {"1": Exclusion("no_tests", ""), "2": Exclusion("no_tests", "")})
    same = Exclusions("b", {"2": Exclusion("solutions_fail", "x"), "1": Exclusion("", "")}, "file")
    assert one.digest == same.digest
    assert one.digest != Exclusions("a", {"1": Exclusion("no_tests", "")}).digest
