"""What the benchmarks of the scorer rest on, without a clock."""

import os
import subprocess
import sys

import pytest

import workloads
from measuring import costs, spread
from scoring import default_workers
from scoring_at_scale import Sample, course, descendants
from tritcoder.errors import SandboxError
from tritcoder.evaluate.scoring import score
from tritcoder.records import Problem, Verdict
from tritcoder.sandbox.jail import best_level
from tritcoder.sandbox.limits import Limits
from verdict_stability import differences, programs

WORKLOADS = {
    "trivial": workloads.trivial(2, 2),
    "calls": workloads.trivial_calls(2, 2),
    "numpy": workloads.with_numpy(2, 2),
    "embedded": workloads.embedded(3, 2),
}


@pytest.mark.parametrize("problems", WORKLOADS.values(), ids=WORKLOADS)
def test_every_program_of_a_workload_is_right(problems: list[Problem]) -> None:
    try:
        best_level()
    except SandboxError as error:
        pytest.skip(error.message)
    outcomes = score({problem.problem_id: problem for problem in problems}, workloads.completions(problems))
    assert {result.verdict for outcome in outcomes for result in outcome.results} == {Verdict.PASSED}


def test_rivals_take_turns() -> None:
    turns: list[str] = []
    found = costs({name: lambda name=name: turns.append(name) for name in "ab"}, repeats=2, warm_up=1)  # type: ignore[misc]
    assert turns == list("ababab")
    assert {name: len(row) for name, row in found.items()} == {"a": 2, "b": 2}


def test_the_spread_is_median_least_and_most() -> None:
    assert spread([3.0, 1.0, 2.0]) == {"median": 2.0, "min": 1.0, "max": 3.0, "n": 3}


def test_workers_double_up_to_all_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, expected in {1: [1], 2: [1, 2], 6: [1, 2, 4, 6], 8: [1, 2, 4, 8]}.items():
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        assert default_workers() == expected


def test_a_child_of_a_child_is_a_descendant() -> None:
    command = [sys.executable, "-c", "import subprocess, sys; subprocess.run(['cat'])"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        while not (below := descendants(process.pid)):
            assert process.poll() is None
        assert {process.pid, *below} <= set(descendants(os.getpid()))


def test_memory_that_grows_is_seen_to_grow() -> None:
    grows = [Sample(float(second), 2**20 * second, 0, 0) for second in range(100)]
    found = course(grows, lambda sample: sample.scorer_bytes, tests_per_second=500.0)
    assert found["slope_kib_per_1000_tests"] == pytest.approx(2048.0)
    assert (found["first_mib"], found["last_mib"], found["peak_mib"]) == (4.5, 94.5, 99.0)
    assert course(grows[:8], lambda sample: sample.scorer_bytes, 500.0)["slope_kib_per_1000_tests"] is None


def test_verdicts_that_differ_are_named() -> None:
    one = [("loops", 0, [("time_limit", False)]), ("right", 0, [("passed", True)])]
    other = [("loops", 0, [("time_limit", False)]), ("right", 0, [("wrong_answer", True)])]
    assert differences(one, one) == []
    assert differences(one, other) == ["right: passed; then wrong_answer (APPS: right)"]
    assert differences(one, one[::-1]) == ["the outcomes come in another order"]


def test_every_program_of_the_stability_benchmark_but_one_compiles() -> None:
    broken = []
    for name, text in programs(Limits(), 1e6).items():
        try:
            compile(text, name, "exec")
        except SyntaxError:
            broken.append(name)
    assert broken == ["does not compile"]
