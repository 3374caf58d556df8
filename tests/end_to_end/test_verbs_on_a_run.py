"""What can be done with a run directory: generate, evaluate, score, report."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tritcoder.data.embedded import embedded_problems

Command = Callable[..., tuple[int, str, str]]

SHORT = ("--max-tokens", "24")


def test_generate_repeats_itself_for_a_seed(toy: Any, tritcoder: Command) -> None:
    ask = ("generate", "Print the sum of two integers.", "--model", toy.directory, *SHORT, "--temperature", "1.2")
    first, again, other = (tritcoder(*ask, "--seed", seed) for seed in (3, 3, 4))
    assert first[0] == 0, first[2]
    assert first[1].strip()
    assert first[1] == again[1]
    assert first[1] != other[1]
    assert "tokens/s" in first[2]


def test_generate_at_temperature_0_needs_no_seed(toy: Any, tritcoder: Command) -> None:
    ask = ("generate", "Print the sum.", "--model", toy.directory / "twin", *SHORT, "--temperature", "0")
    assert tritcoder(*ask, "--seed", 1)[:2] == tritcoder(*ask, "--seed", 2)[:2]


def test_streamed_text_equals_the_text_of_json(toy: Any, tritcoder: Command) -> None:
    ask = ("generate", "Print the sum.", "--model", toy.directory, *SHORT)
    streamed, as_json = tritcoder(*ask)[1], tritcoder(*ask, "--json")[1]
    answer = json.loads(as_json)
    assert answer["text"].rstrip("\n") == streamed.rstrip("\n")
    assert answer["model"] == str(toy.directory)
    assert 0 < answer["n_tokens"] <= 24
    assert answer["finish_reason"] in ("stop", "length")


def test_generate_writes_one_json_line_for_each_sample(toy: Any, tritcoder: Command) -> None:
    ask = ("generate", "Print the sum.", "--model", toy.directory, *SHORT, "-n", 3, "--json", "--temperature", "1.5")
    answers = [json.loads(line) for line in tritcoder(*ask)[1].splitlines()]
    assert sorted(answer["sample"] for answer in answers) == [0, 1, 2]
    assert len({answer["text"] for answer in answers}) > 1


def test_prompt_may_lie_in_a_file_or_be_long(toy: Any, tmp_path: Path, tritcoder: Command) -> None:
    words = "Print the sum of " + "a number and " * 40 + "another number."
    (tmp_path / "problem.txt").write_text(words)
    ask = ("--model", toy.directory, *SHORT)
    said = tritcoder("generate", words, *ask)
    assert said[0] == 0, said[2]
    assert tritcoder("generate", tmp_path / "problem.txt", *ask)[1] == said[1]


def test_generate_fills_a_gap_between_code(toy: Any, tritcoder: Command) -> None:
    ask = ("generate", "def add(a, b):\n", "--code", "--suffix", "\nprint(add(1, 2))", "--model", toy.directory)
    status, out, err = tritcoder(*ask, *SHORT)
    assert status == 0, err
    assert out.strip()


@pytest.mark.parametrize("model", ["run", "naive:constant"])
def test_evaluate_measures_once(toy: Any, tmp_path: Path, tritcoder: Command, model: str) -> None:
    named, output = toy.directory if model == "run" else model, tmp_path / "measured"
    ask = ("evaluate", "embedded", "--model", named, "--limit", 3, "--max-tokens", 8, "--output", output)
    status, out, err = tritcoder(*ask)
    assert status == 0, err
    assert "problems kept: 3 of 3 (100.00 %); no exclusion list\n" in out
    assert "all " in out
    assert "sandbox level: " in out
    (path,) = (output / "scores").glob("*[!s].json")
    score = json.loads(path.read_text())
    assert score["table"]["all"]["n"] == 3
    assert score["kind"] == ("model" if model == "run" else "naive")
    before = _times(output)
    status, out, err = tritcoder(*ask, "--json")
    assert (status, json.loads(out)) == (0, score)
    assert err.count("unchanged") == 2
    assert "✓" not in err
    assert _times(output) == before


def test_evaluate_goes_on_where_it_was_interrupted(
    tmp_path: Path, tritcoder: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tritcoder.cli.view import LiveView
    from tritcoder.evaluate.judging import Judge

    def interrupted_at_2(self: LiveView, done: float, total: float, note: str) -> None:
        if done == 2 and "samples/s" in note:
            raise KeyboardInterrupt

    judge, judged = Judge.judge, []

    def noted(self: Judge, problem: Any, program: str) -> Any:
        judged.append(problem.problem_id)
        return judge(self, problem, program)

    ask = ("evaluate", "embedded", "--model", "naive:constant", "--limit", 5, "--output", tmp_path / "measured")
    with monkeypatch.context() as patch:
        patch.setattr(LiveView, "stage_moved", interrupted_at_2)
        assert tritcoder(*ask)[0] == 130
    (path,) = (tmp_path / "measured").glob("scores/*.outcomes.jsonl")
    known = {json.loads(line)["problem_id"] for line in path.read_text().splitlines()}
    assert len(known) == 2
    monkeypatch.setattr(Judge, "judge", noted)
    status, _, err = tritcoder(*ask)
    assert status == 0, err
    assert len(judged) == 3
    assert known.isdisjoint(judged)


def test_score_gives_hand_made_samples_what_they_deserve(tmp_path: Path, tritcoder: Command) -> None:
    right, wrong, partly = _three_problems()
    guess = partly.tests[0].output
    samples = [
        {"task_id": right.problem_id, "completion": right.solutions[0]},
        {"task_id": wrong.problem_id, "completion": "print('no such answer')"},
        {"task_id": partly.problem_id, "completion": f"print({guess!r}, end='')"},
    ]
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in samples))
    hits = sum(test.output.split() == guess.split() for test in partly.tests)
    assert 0 < hits < len(partly.tests)

    status, out, err = tritcoder("score", path, "--json")
    assert status == 0, err
    score = json.loads(out)
    overall = score["table"]["all"]
    assert overall["n"] == 3
    assert overall["average"]["value"] == pytest.approx((1 + 0 + hits / len(partly.tests)) / 3)
    assert overall["strict"]["value"] == pytest.approx(1 / 3)
    assert score["model"] == "mine"
    assert score["verdicts"]["passed"] == len(right.tests) + hits
    assert sum(score["verdicts"].values()) == sum(len(problem.tests) for problem in (right, wrong, partly))

    before = path.with_suffix(".outcomes.jsonl").read_bytes()
    status, out, err = tritcoder("score", path)
    assert status == 0, err
    assert "33.33 [0.00, 100.00]" in out
    assert path.with_suffix(".outcomes.jsonl").read_bytes() == before


def test_gold_finds_the_problems_that_reject_their_own_solutions_and_score_leaves_them_out(
    tmp_path: Path, tritcoder: Command
) -> None:
    sound = {"problem_id": "1", "question": "Add.", "input_output": {"inputs": ["1\n"], "outputs": ["2\n"]}}
    rows = [
        {**sound, "solutions": ["print(int(input()) + 1)"]},
        {**sound, "problem_id": "2", "solutions": ["print(0)", "print(1)"], "difficulty": "interview"},
        {**sound, "problem_id": "3", "solutions": [], "input_output": None},
        {**sound, "problem_id": "4", "solutions": []},
    ]
    data, output = tmp_path / "problems.jsonl", tmp_path / "gold"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    status, out, err = tritcoder("evaluate", "apps", "--gold", "--problems", data, "--output", output)
    assert status == 0, err
    assert "problems kept: 2 of 4 (50.00 %)" in out
    assert "2 (interview): the best of 2 solutions: 1 wrong_answer" in out
    listed = json.loads((output / "exclusions.json").read_text())
    assert {name: row["reason"] for name, row in listed["excluded"].items()} == {
        "2": "solutions_fail",
        "3": "no_tests",
    }

    samples = tmp_path / "mine.jsonl"
    answers = [{"task_id": str(n), "completion": "print(int(input()) + 1)"} for n in range(1, 5)]
    samples.write_text("".join(json.dumps(row) + "\n" for row in answers))
    ask = ("score", samples, "--benchmark", "apps", "--problems", data)
    status, out, err = tritcoder(*ask, "--exclude", output / "exclusions.json")
    assert status == 0, err
    assert "problems kept: 2 of 4 (50.00 %); left out: 1 no tests, 1 solutions fail; exclusion list" in out
    assert "all" in out
    assert json.loads(tritcoder(*ask, "--json")[1])["table"]["all"]["n"] == 3
    assert tritcoder("score", samples, "--exclude", output / "exclusions.json")[0] == 2


def test_fresh_runs_everything_again(tmp_path: Path, tritcoder: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from tritcoder.evaluate.judging import Judge

    judge, judged = Judge.judge, []

    def noted(self: Judge, problem: Any, program: str) -> Any:
        judged.append(problem.problem_id)
        return judge(self, problem, program)

    monkeypatch.setattr(Judge, "judge", noted)
    samples = tmp_path / "mine.jsonl"
    samples.write_text(json.dumps({"task_id": _three_problems()[0].problem_id, "completion": "print(1)"}) + "\n")
    for extra, times in (([], 1), ([], 1), (["--resume"], 1), (["--fresh"], 2)):
        assert tritcoder("score", samples, *extra)[0] == 0
        assert len(judged) == times


def test_fresh_forgets_this_model_and_nothing_else(tmp_path: Path, tritcoder: Command) -> None:
    output = tmp_path / "measured"
    ask = ("evaluate", "embedded", "--limit", 2, "--output", output)
    for model in ("naive:constant", "naive:retrieval"):
        assert tritcoder(*ask, "--model", model)[0] == 0
    assert tritcoder(*ask, "--gold")[0] == 0
    (output / "samples" / "mine.jsonl").write_text("{}")
    before = _times(output)
    assert tritcoder(*ask, "--model", "naive:constant", "--fresh", "--sandbox", "ful")[0] == 2
    assert _times(output) == before
    status, _, err = tritcoder(*ask, "--model", "naive:constant", "--fresh")
    assert status == 0, err
    after = _times(output)
    changed = {path for path in before if after.get(path) != before[path]}
    assert all("naive-constant" in path.name for path in changed)
    assert output / "samples" / "naive-constant.jsonl" in changed
    assert output / "scores" / "naive-constant.outcomes.jsonl" in changed


def test_programs_run_without_a_jail_only_when_both_words_are_said(tmp_path: Path, tritcoder: Command) -> None:
    samples = tmp_path / "mine.jsonl"
    samples.write_text(json.dumps({"task_id": _three_problems()[0].problem_id, "completion": "print(1)"}) + "\n")
    assert tritcoder("score", samples, "--sandbox", "none")[0] == 2
    status, out, err = tritcoder("score", samples, "--sandbox", "none", "--unsafe")
    assert status == 0, err
    assert "sandbox level: none;" in out


def test_where_no_level_works_it_refuses_and_unsafe_is_recorded(
    tmp_path: Path, tritcoder: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tritcoder.errors import SandboxError
    from tritcoder.sandbox import jail

    def refuse() -> str:
        raise SandboxError("no safe place to run untrusted programs on this machine", "apt-get install bubblewrap")

    monkeypatch.setattr(jail, "best_level", refuse)
    samples = tmp_path / "mine.jsonl"
    samples.write_text(json.dumps({"task_id": _three_problems()[0].problem_id, "completion": "print(1)"}) + "\n")
    status, out, err = tritcoder("score", samples)
    assert (status, out) == (1, "")
    assert "no safe place" in err
    assert "--unsafe" in err
    status, out, err = tritcoder("score", samples, "--unsafe", "--json")
    assert status == 0, err
    assert json.loads(out)["isolation"] == ["none"]


def test_report_is_written_anew(toy: Any, copy: Path, tritcoder: Command) -> None:
    (copy / "report.html").write_text("spoilt")
    status, out, err = tritcoder("report", copy)
    assert (status, err) == (0, "")
    assert out.strip() == str(copy / "report.html")
    pages = [(place / "report.html").read_text(encoding="utf-8") for place in (copy, toy.directory)]
    assert pages[0].replace(str(copy), "RUN") == pages[1].replace(str(toy.directory), "RUN")


def _three_problems() -> tuple[Any, Any, Any]:
    """Problems on standard input; the last has an output that some of its tests share, but not all."""
    problems = [problem for problem in embedded_problems("test") if not problem.call_based and problem.solutions]
    shared = next(
        problem for problem in problems[2:] if 0 < sum(t.output == problem.tests[0].output for t in problem.tests[1:])
        < len(problem.tests) - 1
    )  # fmt: skip
    return problems[0], problems[1], shared


def _times(directory: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in directory.rglob("*") if path.is_file()}
