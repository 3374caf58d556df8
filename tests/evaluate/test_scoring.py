import json
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritcoder.errors import DatasetError, SandboxError, StorageError
from tritcoder.evaluate.outcomes import outcome_from_json, outcome_to_json
from tritcoder.evaluate.scoring import Standing, score
from tritcoder.records import DIFFICULTIES, Completion, Difficulty, Outcome, Problem, TestCase, TestResult, Verdict
from tritcoder.sandbox.limits import Limits

RIGHT = "print(int(input()) + 1)"
WRONG = "print(0)"
PROBLEMS = {
    name: Problem(name, "Add one.", tests=(TestCase("1", "2"), TestCase("5", "6")), difficulty=difficulty)
    for name, difficulty in zip("abc", DIFFICULTIES, strict=True)
}


def completion(name: str, text: str, sample: int = 0) -> Completion:
    return Completion(name, sample, text, "stop")


def shares(outcomes: Any) -> list[tuple[str, int, float]]:
    return [(outcome.problem_id, outcome.sample, outcome.share_passed) for outcome in outcomes]


def bare(outcome: Outcome) -> Outcome:
    """Verdicts alone."""
    results = tuple(TestResult(row.verdict, apps_lenient=row.apps_lenient) for row in outcome.results)
    return replace(outcome, results=results)


GIVEN = [completion("a", RIGHT), completion("b", WRONG), completion("a", WRONG, 1), completion("b", RIGHT, 1)]
EXPECTED = [("a", 0, 1.0), ("b", 0, 0.0), ("a", 1, 0.0), ("b", 1, 1.0)]


@pytest.mark.parametrize("workers", [1, 3, 50])
def test_outcomes_come_in_the_order_of_the_completions(workers: int, jails: Any) -> None:
    outcomes = score(PROBLEMS, iter(GIVEN), workers=workers, open_jail=jails)
    assert shares(outcomes) == EXPECTED
    assert [outcome.difficulty for outcome in outcomes] == ["introductory", "interview"] * 2
    assert {outcome.isolation for outcome in outcomes} == {"fake"}
    assert len(jails.opened) <= min(workers, 4)
    assert all(jail.closed for jail in jails.opened)


def test_equal_programs_for_one_problem_are_run_once(jails: Any) -> None:
    same = [completion("a", RIGHT, k) for k in range(5)] + [completion("b", RIGHT)]
    outcomes = score(PROBLEMS, same, open_jail=jails)
    assert [outcome.share_passed for outcome in outcomes] == [1.0] * 6
    assert len(jails.log) == 4
    fenced = completion("a", f"Look:\n```python\n{RIGHT}\n```", 9)
    score(PROBLEMS, [completion("a", RIGHT + "\n"), fenced], open_jail=jails)
    assert len(jails.log) == 6


def test_scoring_resumes_where_it_stopped(jails: Any, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "outcomes.jsonl"
    score(PROBLEMS, GIVEN[:2], path=path, open_jail=jails)
    ran = len(jails.log)
    outcomes = score(PROBLEMS, GIVEN, path=path, open_jail=jails)
    assert shares(outcomes) == EXPECTED
    assert len(jails.log) == ran + 4
    again = score(PROBLEMS, GIVEN, path=path, open_jail=jails)
    assert again == outcomes
    assert len(jails.log) == ran + 4
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    told = [outcome_from_json(line) for line in lines]
    assert [result.output for result in told[0].results] == ["2\n", "6\n"]
    assert [bare(outcome) for outcome in told] == outcomes
    assert all({"key", "problem_id", "sample", "isolation", "results"} <= line.keys() for line in lines)


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_cut_last_line_is_run_again_and_nothing_else(cut: int, jails: Any, tmp_path: Path) -> None:
    path = tmp_path / "outcomes.jsonl"
    outcomes = score(PROBLEMS, GIVEN, path=path, open_jail=jails)
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    ran = len(jails.log)
    assert score(PROBLEMS, GIVEN, path=path, open_jail=jails) == outcomes
    assert len(jails.log) == ran + 2
    assert path.read_bytes() == whole


def test_damaged_lines_are_run_again(jails: Any, tmp_path: Path) -> None:
    path = tmp_path / "outcomes.jsonl"
    outcomes = score(PROBLEMS, GIVEN, path=path, open_jail=jails)
    lines = path.read_bytes().splitlines(keepends=True)
    hostile = [b"\xff\xfe\n", b"[]\n", b"{}\n", b'{"key": 1, "results": 7}\n', b"[" * 100_000 + b"\n", b"\n"]
    path.write_bytes(b"".join([lines[0], *hostile, *lines[2:]]))
    ran = len(jails.log)
    assert score(PROBLEMS, GIVEN, path=path, open_jail=jails) == outcomes
    assert len(jails.log) == ran + 2
    assert score(PROBLEMS, GIVEN, path=path, open_jail=jails) == outcomes
    assert len(jails.log) == ran + 2


def test_a_change_of_program_tests_or_limits_is_run_again(jails: Any, tmp_path: Path) -> None:
    path = tmp_path / "outcomes.jsonl"

    def runs(problems: Any, text: str, limits: Limits) -> int:
        before = len(jails.log)
        score(problems, [completion("a", text)], path=path, limits=limits, open_jail=jails)
        return len(jails.log) - before

    changed = {"a": replace(PROBLEMS["a"], tests=(TestCase("1", "2"), TestCase("5", "7")))}
    assert runs(PROBLEMS, RIGHT, Limits()) == 2
    assert runs(PROBLEMS, RIGHT, Limits()) == 0
    assert runs(PROBLEMS, WRONG, Limits()) == 2
    assert runs(changed, RIGHT, Limits()) == 2
    assert runs(PROBLEMS, RIGHT, Limits(cpu_s=2.0)) == 2
    assert runs(PROBLEMS, RIGHT, Limits()) == 0


def test_our_own_failures_are_recorded_and_run_again_next_time(jails: Any, tmp_path: Path) -> None:
    path = tmp_path / "outcomes.jsonl"
    given = [completion("a", "end('sandbox_failed')")]
    outcomes = score(PROBLEMS, given, path=path, open_jail=jails)
    assert [result.verdict for result in outcomes[0].results] == [Verdict.SANDBOX_FAILED] * 2
    assert len(path.read_text().splitlines()) == 1
    ran = len(jails.log)
    score(PROBLEMS, given, path=path, open_jail=jails)
    assert len(jails.log) == 2 * ran


def test_progress_counts_every_completion_and_tells_how_they_stand(jails: Any, tmp_path: Path) -> None:
    seen: list[Standing] = []
    path = tmp_path / "outcomes.jsonl"
    score(PROBLEMS, GIVEN, path=path, open_jail=jails, on_progress=seen.append)
    assert [(now.done, now.total) for now in seen] == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    assert (seen[0].average, seen[0].strict, seen[0].per_second) == (0, 0, 0)
    assert (seen[-1].average, seen[-1].strict) == (0.5, 0.5)
    assert seen[-1].per_second > 0
    seen.clear()
    score(PROBLEMS, GIVEN, path=path, open_jail=jails, on_progress=seen.append)
    assert [(now.done, now.total, now.per_second) for now in seen] == [(4, 4, 0)]
    assert seen[-1].average == 0.5


def test_a_problem_without_tests_has_an_empty_outcome_and_no_jail(jails: Any) -> None:
    outcomes = score({"x": Problem("x", "?")}, [completion("x", RIGHT)], open_jail=jails)
    assert outcomes[0].results == ()
    assert not jails.opened


def test_nothing_to_score_is_no_outcome(jails: Any) -> None:
    assert score(PROBLEMS, [], workers=4, open_jail=jails) == []


def test_a_completion_for_no_problem_is_refused(jails: Any) -> None:
    with pytest.raises(DatasetError, match="'z'"):
        score(PROBLEMS, [completion("z", RIGHT)], open_jail=jails)


def test_one_sample_given_twice_is_refused(jails: Any) -> None:
    with pytest.raises(DatasetError, match="twice"):
        score(PROBLEMS, [completion("a", RIGHT), completion("a", WRONG)], open_jail=jails)


def test_no_jail_is_an_error_that_keeps_what_was_done(jails: Any, tmp_path: Path) -> None:
    path = tmp_path / "outcomes.jsonl"
    score(PROBLEMS, GIVEN[:1], path=path, open_jail=jails)

    def refuse() -> NoReturn:
        raise SandboxError("no safe place")

    with pytest.raises(SandboxError):
        score(PROBLEMS, GIVEN, path=path, workers=3, open_jail=refuse)
    assert len(path.read_text().splitlines()) == 1


def test_an_interrupt_ends_the_workers_and_keeps_what_was_done(jails: Any, tmp_path: Path) -> None:
    path = tmp_path / "outcomes.jsonl"

    def interrupt(now: Standing) -> None:
        if now.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score(PROBLEMS, GIVEN, path=path, open_jail=jails, on_progress=interrupt)
    assert len(path.read_text().splitlines()) == 2
    assert all(jail.closed for jail in jails.opened)
    assert shares(score(PROBLEMS, GIVEN, path=path, open_jail=jails)) == EXPECTED


def test_an_outcomes_file_that_cannot_be_written_is_one_sentence(jails: Any, tmp_path: Path) -> None:
    path = tmp_path / "outcomes.jsonl"
    path.mkdir()
    with pytest.raises(StorageError):
        score(PROBLEMS, GIVEN, path=path, open_jail=jails)


RESULTS = st.builds(
    TestResult,
    verdict=st.sampled_from(Verdict),
    cpu_s=st.integers(0, 10**7).map(lambda us: us / 1e6),
    wall_s=st.integers(0, 10**7).map(lambda us: us / 1e6),
    peak_memory_bytes=st.integers(0, 2**40),
    output=st.text(max_size=5) | st.just("\ud800"),
    error=st.text(max_size=5),
    apps_lenient=st.booleans(),
)


@given(st.lists(RESULTS, max_size=3), st.sampled_from(DIFFICULTIES), st.integers(0, 100))
def test_an_outcome_survives_json(results: list[TestResult], difficulty: Difficulty, sample: int) -> None:
    outcome = Outcome("p", sample, difficulty, tuple(results), "full")
    assert outcome_from_json(json.loads(json.dumps(outcome_to_json(outcome)))) == outcome


ROW = outcome_to_json(Outcome("p", 0, "interview", (TestResult(Verdict.PASSED),), "full"))


@pytest.mark.parametrize(
    "broken",
    [
        {},
        [],
        None,
        {**ROW, "difficulty": "easy"},
        {**ROW, "difficulty": []},
        {**ROW, "sample": "x"},
        {**ROW, "results": None},
        {**ROW, "results": [1]},
        {**ROW, "results": [{}]},
        {**ROW, "results": [{"verdict": "fine"}]},
        {**ROW, "results": [{"verdict": "passed", "cpu_s": "x"}]},
    ],
)
def test_a_broken_outcome_is_refused_in_one_sentence(broken: Any) -> None:
    with pytest.raises(DatasetError):
        outcome_from_json(broken)
