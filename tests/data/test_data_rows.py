import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritcoder.data.rows import problem_of
from tritcoder.errors import DatasetError
from tritcoder.records import Problem, TestCase

ROW: dict[str, Any] = {
    "problem_id": 7,
    "question": "Add two numbers.",
    "solutions": ["print(sum(map(int, input().split())))", "a, b = map(int, input().split())\nprint(a + b)"],
    "input_output": {"inputs": ["1 2\n", "3 4\n"], "outputs": ["3\n", "7\n"]},
    "difficulty": "interview",
    "url": "https://example.org/7",
    "starter_code": "",
}
CALLED = {"fn_name": "add", "inputs": [[1, 2], [[3], 4]], "outputs": [[3], 7]}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def test_a_row_with_json_values_becomes_a_problem() -> None:
    assert problem_of(ROW, "here") == Problem(
        problem_id="7",
        question="Add two numbers.",
        solutions=tuple(ROW["solutions"]),
        tests=(TestCase("1 2\n", "3\n"), TestCase("3 4\n", "7\n")),
        difficulty="interview",
        url="https://example.org/7",
    )


@pytest.mark.parametrize("tests", [ROW["input_output"], CALLED, {"inputs": [], "outputs": []}])
def test_json_in_strings_means_the_same_as_json_values(tests: dict[str, Any]) -> None:
    row = {**ROW, "input_output": tests}
    dressed = {**row, "solutions": json.dumps(row["solutions"]), "input_output": json.dumps(tests)}
    assert problem_of(dressed, "here") == problem_of(row, "here")


def test_call_based_values_stay_as_they_are_in_the_file() -> None:
    problem = problem_of({**ROW, "input_output": CALLED}, "here")
    assert problem.fn_name == "add"
    assert problem.tests == (TestCase([1, 2], [3]), TestCase([[3], 4], 7))


def test_lists_of_lines_become_text() -> None:
    tests = {"inputs": [["2", "1 2"]], "outputs": [["3"]]}
    assert problem_of({**ROW, "input_output": tests}, "here").tests == (TestCase("2\n1 2", "3"),)


@pytest.mark.parametrize("name", ["solutions", "input_output"])
@pytest.mark.parametrize("value", ["", "  ", None])
def test_empty_fields_mean_none_of_them(name: str, value: str | None) -> None:
    problem = problem_of({**ROW, name: value}, "here")
    assert (problem.solutions if name == "solutions" else problem.tests) == ()


@pytest.mark.parametrize("name", ["solutions", "input_output", "difficulty", "url", "starter_code"])
def test_a_row_may_lack_what_not_every_benchmark_has(name: str) -> None:
    row = {key: value for key, value in ROW.items() if key != name}
    assert problem_of(row, "here").question == ROW["question"]


def test_a_function_without_tests_is_still_call_based() -> None:
    problem = problem_of({**ROW, "input_output": {"fn_name": "add", "inputs": [], "outputs": []}}, "here")
    assert problem.call_based
    assert problem.tests == ()


def test_the_first_tests_and_solutions_are_kept() -> None:
    problem = problem_of(ROW, "here", max_tests=1, max_solutions=1)
    assert problem.tests == (TestCase("1 2\n", "3\n"),)
    assert problem.solutions == (ROW["solutions"][0],)


@pytest.mark.parametrize(
    ("changes", "field", "found"),
    [
        ({"problem_id": None}, "problem_id", "found nothing"),
        ({"problem_id": True}, "problem_id", "found bool True"),
        ({"problem_id": 1.5}, "problem_id", "found float 1.5"),
        ({"problem_id": " "}, "problem_id", "found  "),
        ({"question": ""}, "question", "found nothing"),
        ({"question": ["a"]}, "question", "found list ['a']"),
        ({"question": "a\ud800"}, "question", "'\\ud800'"),
        ({"solutions": {"a": 1}}, "solutions", "found dict"),
        ({"solutions": ["a", 1]}, "solutions", "found list"),
        ({"solutions": "[1"}, "solutions", "Expecting ',' delimiter"),
        ({"solutions": '"text"'}, "solutions", "found text"),
        ({"solutions": ["\udfff"]}, "solutions", "surrogate"),
        ({"difficulty": "hard"}, "difficulty", "found hard"),
        ({"difficulty": 3}, "difficulty", "found int 3"),
        ({"url": 3}, "url", "found int 3"),
        ({"starter_code": ["def"]}, "starter_code", "found list"),
        ({"input_output": []}, "input_output", "found list"),
        ({"input_output": "[1, 2]"}, "input_output", "found list [1, 2]"),
        ({"input_output": "{"}, "input_output", "JSON in a string"),
        ({"input_output": "[" * 100_000}, "input_output", "nested too deeply"),
        ({"input_output": {"inputs": ["1"]}}, "input_output.outputs", "found nothing"),
        ({"input_output": {"inputs": "1", "outputs": ["1"]}}, "input_output.inputs", "found 1"),
        ({"input_output": {"inputs": ["1", "2"], "outputs": ["1"]}}, "input_output.outputs", "found 1 outputs"),
        ({"input_output": {"inputs": [1], "outputs": ["1"]}}, "input_output.inputs", "found int 1"),
        ({"input_output": {"inputs": ["1"], "outputs": [[1]]}}, "input_output.outputs", "found list [1]"),
        ({"input_output": {**CALLED, "fn_name": 3}}, "input_output.fn_name", "found int 3"),
        ({"input_output": {**CALLED, "inputs": ["ab", [1]]}}, "input_output.inputs", "found ab"),
        ({"input_output": {**CALLED, "inputs": [[["\ud8ff"]], [1]]}}, "input_output", "surrogate"),
        ({"input_output": {**CALLED, "outputs": [{"\ud8ff": 1}, 7]}}, "input_output", "surrogate"),
        ({"solutions": {"a": 10**5000}}, "solutions", "too large to show"),
    ],
)  # fmt: skip
def test_each_broken_field_is_named_with_what_was_found(changes: dict[str, Any], field: str, found: str) -> None:
    with pytest.raises(DatasetError) as caught:
        problem_of({**ROW, **changes}, "train.jsonl, line 3")
    assert caught.value.message.startswith(f"train.jsonl, line 3, field {field}: expected ")
    assert found in caught.value.message
    assert len(caught.value.message) < 400


@given(st.dictionaries(st.sampled_from([*ROW, "other"]), ANYTHING))
def test_any_row_is_a_problem_or_a_sentence(row: dict[str, Any]) -> None:
    try:
        problem = problem_of({**ROW, **row}, "here")
    except DatasetError:
        return
    assert problem.question.strip()
    assert all(isinstance(test.input, str) or problem.call_based for test in problem.tests)
