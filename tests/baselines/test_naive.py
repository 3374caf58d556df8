import contextlib
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritcoder.baselines.naive import ConstantBaseline, RetrievalBaseline
from tritcoder.errors import EmptyCorpusError
from tritcoder.protocols import Generator
from tritcoder.records import Problem, Prompt, Sampling, TestCase


def printing(problem_id: str, *outputs: str) -> Problem:
    return Problem(problem_id, "q", tests=tuple(TestCase("", output) for output in outputs))


def calling(problem_id: str, *outputs: Any) -> Problem:
    return Problem(problem_id, "q", tests=tuple(TestCase([], output) for output in outputs), fn_name="f")


def texts(generator: Generator, *prompts: Prompt, sampling: Sampling | None = None) -> list[str]:
    return [answer.text for answer in generator.generate(prompts, sampling or Sampling())]


def printed(program: str) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(program, {})
    return out.getvalue()


def test_each_problem_counts_once() -> None:
    # "9" fills one problem of many tests; "YES" is half of two problems and weighs as much as two halves: 1 < 3/2.
    problems = [printing("a", *["9"] * 50), printing("b", "YES", "NO"), printing("c", "YES"), printing("d", "NO")]
    baseline = ConstantBaseline.fit(problems)
    assert baseline.texts == ("NO", "YES", "9")  # NO and YES weigh 3/2 each: the shorter first


def test_ties_are_exact() -> None:
    # Three thirds and one whole are equal, which a float sum need not see; then the alphabet decides.
    problems = [printing(str(i), "b", "x1"[i % 2] * (i + 5), "y" * (i + 9)) for i in range(3)] + [printing("z", "a")]
    assert ConstantBaseline.fit(problems).texts[:2] == ("a", "b")


@given(st.text())
def test_constant_program_prints_its_text(output: str) -> None:
    baseline = ConstantBaseline.fit([printing("a", output)])
    assert printed(texts(baseline, Prompt("q"))[0]) == output.rstrip() + "\n"


def test_sample_i_is_the_ith_commonest_and_then_starts_again() -> None:
    baseline = ConstantBaseline.fit([printing("a", "1"), printing("b", "1"), printing("c", "2\n3")])
    answers = texts(baseline, *[Prompt("q", sample=i) for i in range(3)])
    assert [printed(answer) for answer in answers] == ["1\n", "2\n3\n", "1\n"]


def test_wrapped_values_are_unwrapped_and_kinds_kept_apart() -> None:
    problems = [calling("a", [True], [1]), calling("b", [True], [1.5]), calling("c", [2], [True]), printing("d", "P")]
    baseline = ConstantBaseline.fit(problems)
    assert baseline.values[0] is True
    assert baseline.texts == ("P",)
    assert sorted(map(repr, baseline.values)) == ["1", "1.5", "2", "True"]


def test_lists_of_several_lengths_are_values_themselves() -> None:
    assert ConstantBaseline.fit([calling("a", [1], [1, 2])]).values == ([1], [1, 2])


def test_what_json_lacks_is_no_constant() -> None:
    assert ConstantBaseline.fit([calling("a", float("nan"), float("inf"), 3)]).values == (3,)


def test_function_is_written_as_the_starter_code_asks() -> None:
    baseline = ConstantBaseline.fit([calling("a", [0])])
    starter = "class Solution:\n    def maxIt(self, nums):\n        "
    found: dict[str, Any] = {}
    exec(texts(baseline, Prompt("q", starter_code=starter, call_based=True))[0], found)
    assert found["Solution"]().maxIt([1]) == 0


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt("q", call_based=True),
        Prompt("q", call_based=True, starter_code="solve it"),
        Prompt("def f():", kind="code"),
        Prompt("q", call_based=True, starter_code="def f():"),  # no training problem returns anything
    ],
)
def test_where_nothing_is_known_the_program_is_empty(prompt: Prompt) -> None:
    assert texts(ConstantBaseline.fit([printing("a", "1")]), prompt) == [""]


KNOWN = [
    Problem("sum", "add two numbers", solutions=("print(1 + 1)  # long", "print(2)", "print(2)")),
    Problem("max", "largest of the numbers", solutions=("print(max(a))",)),
    Problem("rev", "reverse a word", solutions=("def rev(s): return s[::-1]",), fn_name="rev"),
    Problem("none", "add two numbers exactly so"),
]


def test_nearest_problem_answers_shortest_solution_first() -> None:
    baseline = RetrievalBaseline.fit(KNOWN)
    prompts = [Prompt("Add two numbers.", sample=i) for i in range(5)]
    assert texts(baseline, *prompts) == [
        "print(2)",
        "print(1 + 1)  # long",
        "print(max(a))",
        "def rev(s): return s[::-1]",
        "print(2)",
    ]


def test_asked_kind_comes_before_similarity() -> None:
    prompt = Prompt("add two numbers", starter_code="def add_up(a, b):", call_based=True)
    assert texts(RetrievalBaseline.fit(KNOWN), prompt) == ["def add_up(s): return s[::-1]"]


def test_program_for_a_function_is_left_as_it_is() -> None:
    prompt = Prompt("add", starter_code="def add_up(a, b):", call_based=True)
    assert texts(RetrievalBaseline.fit(KNOWN[:1]), prompt) == ["print(2)"]


def test_equally_similar_problems_answer_in_training_order() -> None:
    known = [Problem(str(i), "same words", solutions=(f"print({i})",)) for i in range(20)]
    prompts = [Prompt("same", sample=i) for i in range(20)]
    assert texts(RetrievalBaseline.fit(known), *prompts) == [f"print({i})" for i in range(20)]


@given(st.text(), st.integers(0, 10_000))
def test_any_question_gets_a_known_solution(question: str, sample: int) -> None:
    known = {solution for problem in KNOWN for solution in problem.solutions}
    assert texts(RetrievalBaseline.fit(KNOWN), Prompt(question, sample=sample))[0] in known


def test_retrieval_does_not_continue_code() -> None:
    assert texts(RetrievalBaseline.fit(KNOWN), Prompt("add two numbers", kind="code")) == [""]


def test_nothing_to_learn_from_is_said() -> None:
    with pytest.raises(EmptyCorpusError, match="none of 1 training problems has one"):
        ConstantBaseline.fit([Problem("a", "q", solutions=("x",))])
    with pytest.raises(EmptyCorpusError, match="none of 0 training problems has one"):
        RetrievalBaseline.fit([])


@pytest.mark.parametrize("baseline", [ConstantBaseline.fit([printing("a", "YES")]), RetrievalBaseline.fit(KNOWN)])
def test_completions_carry_their_prompt_and_no_tokens(baseline: Generator) -> None:
    shown: list[tuple[str, str]] = []
    [answer] = baseline.generate(
        [Prompt("add", task_id="t", sample=3)], Sampling(), lambda prompt, text: shown.append((prompt.task_id, text))
    )
    assert (answer.task_id, answer.sample, answer.model) == ("t", 3, baseline.name)
    assert (answer.finish_reason, answer.n_tokens, answer.n_prompt_tokens) == ("stop", 0, 0)
    assert shown == [("t", answer.text)]


def test_stop_strings_cut_the_program() -> None:
    baseline = ConstantBaseline.fit([printing("a", "YES")])
    assert texts(baseline, Prompt("q"), sampling=Sampling(stop=("ES", "Y"))) == ["print('"]


def test_closing_the_iterator_answers_no_more() -> None:
    asked = []

    def prompts() -> Any:
        for sample in range(5):
            asked.append(sample)
            yield Prompt("q", sample=sample)

    answers = ConstantBaseline.fit([printing("a", "YES")]).generate(prompts(), Sampling())
    next(answers)
    answers.close()  # type: ignore[attr-defined]
    assert asked == [0]
