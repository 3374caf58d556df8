import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tritcoder.evaluate.calibration import Exclusion, Exclusions
from tritcoder.evaluate.samples import read_samples, write_samples
from tritcoder.evaluate.score_file import evaluate
from tritcoder.records import Completion, Likelihood, Problem, TestCase
from tritcoder.sandbox.limits import Limits

RIGHT = "print(int(input()) + 1)"
PROBLEMS = {
    "a": Problem("a", "Add one.", (RIGHT,), (TestCase("1", "2"), TestCase("4", "5"))),
    "b": Problem("b", "Add one.", (), (TestCase("1", "2"),), difficulty="interview"),
    "c": Problem("c", "Double.", ("def f(x):\n    return 2 * x",), (TestCase([2], [4]), TestCase([3], [6])), "f"),
}
GIVEN = [
    Completion("a", 0, RIGHT, "stop"),
    Completion("b", 0, "print(2)", "length"),
    Completion("c", 0, "```python\ndef f(x):\n    return 4\n```", "stop"),
    Completion("c", 1, "", "error", error="quota"),
]


class Flat:
    def likelihoods(self, pairs: Any) -> Iterator[Likelihood]:
        for _, answer in pairs:
            yield Likelihood(len(answer) * math.log(2), len(answer), len(answer), len(answer))


def test_a_score_file_holds_every_measure(jails: Any, tmp_path: Path) -> None:
    found = evaluate(
        PROBLEMS,
        GIVEN,
        model="m",
        kind="ternary",
        benchmark="apps",
        path=tmp_path / "outcomes.jsonl",
        workers=2,
        limits=Limits(cpu_s=2.0),
        likelihood_model=Flat(),
        open_jail=jails,
    )
    assert (found["model"], found["kind"], found["benchmark"]) == ("m", "ternary", "apps")
    assert (found["n_problems"], found["n_problems_total"], found["n_samples"]) == (3, 3, 3)
    assert found["table"]["all"]["average"]["value"] == pytest.approx((1 + 1 + 0.5) / 3)
    assert found["table"]["all"]["strict"]["value"] == pytest.approx(2 / 3)
    assert found["finish_reasons"] == {"error": 1, "length": 1, "stop": 2}
    assert (found["bleu"]["n"], found["bleu"]["without_references"]) == (2, 1)
    assert found["perplexity"]["bits_per_byte"] == pytest.approx(1.0)
    assert found["limits"]["cpu_s"] == 2.0
    assert found["isolation"] == ["fake"]
    assert {"commit", "versions", "machine"} <= found["signature"].keys()
    assert json.loads(json.dumps(found, allow_nan=False)) == json.loads(json.dumps(found))


def test_without_a_model_or_solutions_there_is_no_perplexity(jails: Any) -> None:
    named = {"model": "m", "kind": "baseline", "benchmark": "apps", "open_jail": jails}
    assert evaluate(PROBLEMS, GIVEN, **named)["perplexity"] is None
    bare = {"b": PROBLEMS["b"]}
    assert evaluate(bare, GIVEN[1:2], likelihood_model=Flat(), **named)["perplexity"] is None


def test_a_model_that_wrote_nothing_has_a_score_file_too(jails: Any) -> None:
    found = evaluate(PROBLEMS, [], model="m", kind="x", benchmark="apps", open_jail=jails)
    assert (found["n_problems"], found["table"], found["bleu"]["corpus"]) == (0, {}, None)
    assert not jails.opened


def test_problems_that_do_not_count_are_left_out_and_told(jails: Any) -> None:
    named = {"model": "m", "kind": "x", "benchmark": "apps", "open_jail": jails}
    listed = Exclusions("apps", {"b": Exclusion("solutions_fail", "interview")}, "list.json")
    found = evaluate(PROBLEMS, GIVEN, exclusions=listed, **named)
    assert found["left_out"]["excluded"] == 1
    assert (found["n_problems"], found["kept"]["problems"]["all"]) == (2, {"n": 2, "of": 3})
    assert (found["kept"]["list"], found["kept"]["source"]) == (listed.digest, "list.json")
    unfit = {name: replace(row, unsuitable="half of the tests") for name, row in PROBLEMS.items()}
    found = evaluate(unfit, GIVEN, **named)
    assert (found["n_problems"], found["kept"]["reasons"]) == (0, {"unsuitable": 3})
    assert found["bleu"]["n"] == 0


def test_code_that_was_given_counts_for_no_likeness(jails: Any) -> None:
    head = 'def twice(number):\n    """Give back the double of a number, whatever it is."""\n'
    problem = Problem(
        "h", "?", (f"{head}    return 2 * number\n",), fn_name="twice", starter_code=head, check="twice(1)"
    )
    for text, expected in (("    return 2 * number\n", 100), (f"{head}    return 2 * number\n", 100), (head, 0)):
        found = evaluate({"h": problem}, [Completion("h", 0, text, "stop")], model="m", kind="x", benchmark="h",
                         open_jail=jails)  # fmt: skip
        assert found["bleu"]["corpus"] == pytest.approx(expected)


def test_programs_need_no_extracting(jails: Any) -> None:
    named = {"model": "m", "kind": "x", "benchmark": "apps", "open_jail": jails}
    program = Completion("b", 0, "# ```python\n# print(0)\n# ```\n" + GIVEN[1].text, "stop")
    found, expected = evaluate(PROBLEMS, [program], extract=False, **named), evaluate(PROBLEMS, GIVEN[1:2], **named)
    assert found["table"] == expected["table"]


def test_samples_written_by_one_step_are_scored_by_another(jails: Any, tmp_path: Path) -> None:
    write_samples(tmp_path / "s.jsonl", GIVEN)
    named = {"model": "m", "kind": "x", "benchmark": "apps", "open_jail": jails}
    first, second = (evaluate(PROBLEMS, rows, **named) for rows in (GIVEN, read_samples(tmp_path / "s.jsonl")))
    assert first["table"] == second["table"]
