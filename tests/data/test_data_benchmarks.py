import gzip
import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tritcoder.data.benchmarks import NAMES, Benchmark, open_benchmark
from tritcoder.errors import ConfigError, DatasetError
from tritcoder.records import Problem

HUMANEVAL = {
    "task_id": "HumanEval/53",
    "prompt": '\n\ndef add(x: int, y: int):\n    """Add two numbers x and y\n    >>> add(2, 3)\n    5\n    """\n',
    "entry_point": "add",
    "canonical_solution": "    return x + y\n",
    "test": "\n\nMETADATA = {}\n\n\ndef check(candidate):\n    assert candidate(0, 1) == 1\n",
}
APPS = {"problem_id": 7, "question": "Add.", "input_output": {"inputs": ["1 2"], "outputs": ["3"]}}


def mbpp(number: int, **changes: object) -> dict[str, Any]:
    return {
        "task_id": number,
        "text": f"Write a function to add {number}.",
        "code": f"def add(n):\r\n  return n + {number} ",
        "test_list": [f"assert add(0) == {number}", f"assert add(1) == {number + 1} "],
        **changes,
    }


def write(path: Path, *rows: dict[str, Any]) -> str:
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return str(path)


@pytest.fixture(autouse=True)
def _no_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITCODER_DATA", raising=False)


# ---- where a benchmark is read from ----


def test_the_embedded_problems_need_no_place() -> None:
    opened = open_benchmark("embedded")
    assert (opened.name, opened.source, opened.judged_by) == ("embedded", "embedded", "tests")
    assert opened.problems
    assert not opened.unsuitable
    prompt = opened.prompt(opened.problems[0], 3)
    assert prompt == opened.problems[0].prompt(3)
    with pytest.raises(ConfigError, match="come with tritcoder"):
        open_benchmark("embedded", "a.jsonl")


def test_a_file_a_folder_and_the_named_folder_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / "humaneval.jsonl.gz", HUMANEVAL)
    monkeypatch.setenv("TRITCODER_DATA", str(tmp_path))
    opened = [open_benchmark("humaneval", path) for path in (file, str(tmp_path), "")]
    assert {one.source for one in opened} == {file}
    assert len({one.problems for one in opened}) == len({one.identity for one in opened}) == 1


def test_a_path_wins_over_the_named_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITCODER_DATA", str(tmp_path / "elsewhere"))
    file = write(tmp_path / "mine.jsonl", HUMANEVAL)
    assert open_benchmark("humaneval", file).source == file


@pytest.mark.parametrize("packed", ["", ".gz"])
def test_apps_is_found_packed_or_not(packed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITCODER_DATA", str(tmp_path))
    for split, name in (("test", "apps"), ("train", "apps-train")):
        file = write(tmp_path / f"apps-{split}.jsonl{packed}", {**APPS, "url": split})
        opened = open_benchmark(name)
        assert (opened.source, [problem.url for problem in opened.problems]) == (file, [split])


class FolderHub:
    """A hub that is a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def commit(self, dataset: str, revision: str) -> str:
        return "c" * 40

    def files(self, dataset: str, revision: str) -> list[str]:
        return [path.name for path in self.folder.iterdir()]

    def fetch(self, dataset: str, name: str, revision: str) -> Path:
        return self.folder / name


def test_apps_alone_comes_from_the_hub(tmp_path: Path) -> None:
    write(tmp_path / "test.jsonl", APPS)
    opened = open_benchmark("apps", "hub", hub=FolderHub(tmp_path))
    assert (opened.source, len(opened.problems)) == ("hub", 1)
    with pytest.raises(ConfigError, match="is read from a file, found 'hub'"):
        open_benchmark("humaneval", "hub", hub=FolderHub(tmp_path))


def test_without_a_place_every_way_is_told() -> None:
    with pytest.raises(ConfigError, match="a place to read APPS from, found none") as caught:
        open_benchmark("apps")
    for way in ("--problems PATH", "TRITCODER_DATA=FOLDER with apps-test.jsonl", "--problems hub"):
        assert way in caught.value.hint
    with pytest.raises(ConfigError, match="a place to read ODEX from") as caught:
        open_benchmark("odex")
    assert "odex-en.jsonl.gz" in caught.value.hint
    assert "hub" not in caught.value.hint


def test_a_folder_without_the_file_says_what_should_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITCODER_DATA", str(tmp_path))
    with pytest.raises(DatasetError, match=r"expected humaneval-plus\.jsonl or humaneval-plus\.jsonl\.gz"):
        open_benchmark("humaneval+")


@pytest.mark.parametrize(("name", "near"), [("HumanEval", "humaneval"), ("mbpp-plus", "mbpp"), ("leet", "leetcode")])
def test_an_unknown_name_is_told_its_nearest(name: str, near: str) -> None:
    with pytest.raises(ConfigError, match="the name of a benchmark") as caught:
        open_benchmark(name)
    assert f"did you mean {near}" in caught.value.hint
    assert all(known in caught.value.hint for known in NAMES)


# ---- which problems, and under which identity ----


def test_the_identity_changes_with_the_file_and_with_the_name(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    seen = set()
    for rows in (1, 2):
        write(path, *({**HUMANEVAL, "task_id": f"HumanEval/{row}"} for row in range(rows)))
        seen |= {open_benchmark(name, str(path)).identity for name in ("humaneval", "humaneval+")}
    assert len(seen) == 4


def test_a_limit_takes_each_difficulty_in_its_proportion(tmp_path: Path) -> None:
    rows = [{**APPS, "problem_id": n, "difficulty": ("introductory", "interview")[n % 4 == 0]} for n in range(40)]
    file = write(tmp_path / "a.jsonl", *rows)
    taken = [open_benchmark("apps", file, limit=8, seed=seed) for seed in (0, 0, 1)]
    for one in taken:
        assert Counter(problem.difficulty for problem in one.problems) == {"introductory": 6, "interview": 2}
    assert taken[0].problems == taken[1].problems != taken[2].problems
    assert len(open_benchmark("apps", file, limit=99).problems) == 40
    with pytest.raises(ConfigError, match="limit must be 0 or more"):
        open_benchmark("apps", file, limit=-1)


def test_a_limit_means_the_same_for_every_reader(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", *({**HUMANEVAL, "task_id": f"HumanEval/{row}"} for row in range(20)))
    whole, part = open_benchmark("humaneval", file), open_benchmark("humaneval", file, limit=5)
    assert len(part.problems) == 5
    assert [one for one in whole.problems if one in part.problems] == list(part.problems)


def test_ids_must_differ_and_a_file_must_hold_problems(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="a second problem with the id HumanEval/53"):
        open_benchmark("humaneval", write(tmp_path / "a.jsonl", HUMANEVAL, HUMANEVAL))
    with pytest.raises(DatasetError, match="expected problems, found none"):
        open_benchmark("humaneval", write(tmp_path / "b.jsonl"))


def test_rows_with_the_statements_examples_only_are_no_apps_result(tmp_path: Path) -> None:
    rows = [
        {**APPS, "problem_id": 1, "tests": "full"},
        {**APPS, "problem_id": 2, "tests": "example-only"},
        {**APPS, "problem_id": 3, "tests": "none", "input_output": None},
    ]
    opened = open_benchmark("apps", write(tmp_path / "a.jsonl", *rows))
    assert opened.unsuitable == {"2": "its tests are the statement's examples only", "3": "it has no tests"}
    assert len(opened.problems) == 3


# ---- the published prompts, typed out ----


def test_humaneval_is_continued_as_it_stands(tmp_path: Path) -> None:
    opened = open_benchmark("humaneval", write(tmp_path / "a.jsonl", HUMANEVAL))
    prompt = opened.prompt(opened.problems[0], 2)
    assert prompt.text == (
        '\n\ndef add(x: int, y: int):\n    """Add two numbers x and y\n    >>> add(2, 3)\n    5\n    """\n'
    )
    assert (prompt.kind, prompt.task_id, prompt.sample) == ("code", "HumanEval/53", 2)
    assert prompt.stop == ("\nclass", "\ndef", "\n#", "\n@", "\nprint", "\nif", "\n```")


def test_humaneval_plus_is_continued_without_blank_lines(tmp_path: Path) -> None:
    opened = open_benchmark("humaneval+", write(tmp_path / "a.jsonl", HUMANEVAL))
    prompt = opened.prompt(opened.problems[0], 0)
    assert prompt.text == (
        'def add(x: int, y: int):\n    """Add two numbers x and y\n    >>> add(2, 3)\n    5\n    """\n'
    )
    assert set(prompt.stop) == {
        *("\nif __name__", "\ndef main(", "\nprint("),
        *("\ndef ", "\nclass ", "\nimport ", "\nfrom ", "\nassert "),
    }


MBPP_PROMPT = """You are an expert Python programmer, and here is your task: Write a function to add 2. \
Your code should pass these tests:

assert add(0) == 2
assert add(1) == 3\x20
[BEGIN]
def add(n):
  return n + 2\x20
[DONE]

You are an expert Python programmer, and here is your task: Write a function to add 3. \
Your code should pass these tests:

assert add(0) == 3
assert add(1) == 4\x20
[BEGIN]
def add(n):
  return n + 3\x20
[DONE]

You are an expert Python programmer, and here is your task: Write a function to add 4. \
Your code should pass these tests:

assert add(0) == 4
assert add(1) == 5\x20
[BEGIN]
def add(n):
  return n + 4\x20
[DONE]

You are an expert Python programmer, and here is your task: Write a function to add 11. \
Your code should pass these tests:

assert add(0) == 11
assert add(1) == 12\x20
[BEGIN]
"""


@pytest.mark.parametrize("name", ["mbpp", "mbpp-sanitized"])
def test_mbpp_is_asked_after_tasks_2_3_and_4(name: str, tmp_path: Path) -> None:
    rows = [mbpp(number) for number in (1, 2, 3, 4, 10, 11, 510, 511, 601)]
    opened = open_benchmark(name, write(tmp_path / "a.jsonl", *rows))
    assert [problem.problem_id for problem in opened.problems] == ["MBPP/11", "MBPP/510"]
    prompt = opened.prompt(opened.problems[0], 1)
    assert prompt.text == MBPP_PROMPT
    assert (prompt.kind, prompt.stop, prompt.task_id, prompt.sample) == ("message", ("[DONE]",), "MBPP/11", 1)


def test_mbpp_without_its_shown_tasks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"tasks 2, 3 and 4, .* found no MBPP/3"):
        open_benchmark("mbpp", write(tmp_path / "a.jsonl", mbpp(2), mbpp(4), mbpp(11)))


def test_mbpp_plus_is_a_docstring_with_the_first_test(tmp_path: Path) -> None:
    opened = open_benchmark("mbpp+", write(tmp_path / "a.jsonl", mbpp(2), mbpp(601)))
    assert [problem.problem_id for problem in opened.problems] == ["MBPP/2", "MBPP/601"]
    prompt = opened.prompt(opened.problems[0], 0)
    assert prompt.text == '"""\nWrite a function to add 2.\nassert add(0) == 2\n"""\n'
    assert prompt.kind == "code"
    assert set(prompt.stop) == {"\nif __name__", "\ndef main(", "\nprint(", '\n"""', "\nassert"}


# ---- the real files ----

REAL = os.environ.get("TRITCODER_DATA", "")
SIZES = {
    "apps": 4000,
    "apps-train": 5000,
    "humaneval": 164,
    "humaneval+": 164,
    "mbpp": 500,
    "mbpp-sanitized": 257,
    "mbpp+": 378,
    "leetcode": 228,
    "codeforces": 408,
    "codecontests": 165,
    "codecontests-train": 137,
    "odex": 439,
    "p3": 233,
    "conala": 500,
}
UNSUITABLE = {"apps": 51, "apps-train": 552, "odex": 113 + ("imp" not in sys.stdlib_module_names)}
NOTED = {"leetcode": 17, "codeforces": 9, "codecontests": 73, "codecontests-train": 33}


def test_every_benchmark_has_its_number() -> None:
    assert set(SIZES) == set(NAMES) - {"embedded"}


def hidden(problem: Problem) -> list[str]:
    """What must not be told: what people answered, unless it is so short that a statement may hold it by chance."""
    answers = [solution.removeprefix(problem.starter_code).strip() for solution in problem.solutions]
    return [answer for answer in answers if len(answer) > 40]


@pytest.mark.skipif(not REAL, reason="TRITCODER_DATA names no folder of the real data sets")
@pytest.mark.parametrize("name", SIZES)
def test_the_real_file_holds_the_published_problems(name: str) -> None:
    opened: Benchmark = open_benchmark(name, str(_file(name)))
    assert len(opened.problems) == SIZES[name]
    assert len(opened.unsuitable) == UNSUITABLE.get(name, 0)
    if name != "p3":
        assert len(opened.notes) == NOTED.get(name, 0)
    for problem in opened.problems:
        prompt = opened.prompt(problem, 1)
        assert prompt.text.strip()
        assert (prompt.task_id, prompt.sample) == (problem.problem_id, 1)
        if name != "p3":  # there the puzzle is the test, and may be written like its answer
            assert not [text for text in hidden(problem) if text in prompt.text]


def _file(name: str) -> Path:
    stems = {"apps": "apps-test", "humaneval+": "humaneval-plus", "mbpp+": "mbpp-plus", "odex": "odex-en"}
    stems |= {"leetcode": "leetcode-test", "p3": "p3-puzzles", "conala": "conala-test"}
    stems |= {"codeforces": "codeforces-eval", "codecontests": "codecontests-eval"}
    stems |= {"codecontests-train": "codecontests-train-sample"}
    return next(Path(REAL).glob(f"{stems.get(name, name)}.jsonl*"))


@pytest.mark.skipif(not REAL, reason="TRITCODER_DATA names no folder of the real data sets")
def test_no_prompt_holds_the_tests_that_a_statement_does_not_show() -> None:
    for name in ("humaneval", "humaneval+", "leetcode", "odex"):
        opened = open_benchmark(name, str(_file(name)))
        for problem in opened.problems:
            asserts = [line.strip() for line in problem.check.splitlines() if line.strip().startswith("assert")]
            assert not [line for line in asserts if line in opened.prompt(problem, 0).text], problem.problem_id
    for name in ("codeforces", "codecontests", "codecontests-train"):
        opened = open_benchmark(name, str(_file(name)))
        long = [(p, test.input) for p in opened.problems for test in p.tests if len(test.input) > 400]
        assert long
        assert not [p.problem_id for p, given in long if given.strip() in opened.prompt(p, 0).text]
