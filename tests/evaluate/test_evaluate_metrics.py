import itertools
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritcoder.evaluate.metrics import bootstrap_interval, paired_difference, pass_at_k, summarise
from tritcoder.records import Difficulty, Outcome, TestResult, Verdict

VERDICTS = {"P": Verdict.PASSED, "W": Verdict.WRONG_ANSWER, "L": Verdict.WRONG_ANSWER, "T": Verdict.TIME_LIMIT}
VERDICTS["X"] = Verdict.SANDBOX_FAILED


def outcome(name: str, sample: int, letters: str, difficulty: Difficulty = "introductory") -> Outcome:
    """P passed, W wrong, L wrong but accepted by the authors' comparison, T time limit, X our failure."""
    results = tuple(TestResult(VERDICTS[letter], apps_lenient=letter in "PL") for letter in letters)
    return Outcome(name, sample, difficulty, results, "full")


BY_HAND = [
    outcome("a", 0, "PPPP"),
    outcome("a", 1, "PPWT"),
    outcome("b", 0, "PL", "interview"),
    outcome("b", 1, "LL", "interview"),
    outcome("c", 0, "W", "interview"),
    outcome("c", 1, "W", "interview"),
]


def test_scores_worked_by_hand() -> None:
    found = summarise(BY_HAND, 5)
    assert (found["n_problems"], found["n_problems_total"], found["n_samples"]) == (3, 5, 6)
    assert found["n_tests"] == 14
    assert found["isolation"] == ["full"]
    table = found["table"]
    assert list(table) == ["introductory", "interview", "all"]
    assert table["introductory"]["average"]["value"] == pytest.approx(0.75)
    assert table["interview"]["average"]["value"] == pytest.approx((0.25 + 0) / 2)
    assert table["all"]["average"]["value"] == pytest.approx((0.75 + 0.25 + 0) / 3)
    assert table["all"]["strict"]["value"] == pytest.approx((0.5 + 0 + 0) / 3)
    assert table["all"]["average_apps"]["value"] == pytest.approx((0.75 + 1 + 0) / 3)
    assert table["all"]["strict_apps"]["value"] == pytest.approx((0.5 + 1 + 0) / 3)
    assert table["all"]["average_micro"] == pytest.approx(7 / 14)
    assert [table[name]["n"] for name in table] == [1, 2, 3]
    assert found["verdicts"] == {"passed": 7, "time_limit": 1, "wrong_answer": 6}
    assert found["comparers_differ"] == pytest.approx(3 / 14)
    assert list(found["pass_at_k"]) == ["1"]
    assert found["pass_at_k"]["1"]["value"] == pytest.approx(0.5 / 3)
    assert found["pass_at_k"]["1"]["n"] == 3


def test_what_says_nothing_about_the_model_is_left_out_and_counted() -> None:
    more = [outcome("d", 0, "PX"), outcome("e", 0, ""), outcome("a", 2, "X")]
    found, plain = summarise(BY_HAND + more, 5), summarise(BY_HAND, 5)
    assert found.pop("left_out") == {"without_tests": 1, "sandbox_failed": 2}
    assert plain.pop("left_out") == {"without_tests": 0, "sandbox_failed": 0}
    assert found == plain


def test_no_outcome_at_all_is_a_score_of_nothing() -> None:
    found = summarise([], 3)
    assert (found["n_problems"], found["table"], found["pass_at_k"]) == (0, {}, {})
    assert json.loads(json.dumps(found)) == found


LETTERS = st.text(alphabet="PWLT", min_size=1, max_size=4)


@given(st.lists(st.tuples(st.sampled_from("abc"), LETTERS), max_size=12), st.randoms())
def test_scores_are_shares_within_their_intervals_whatever_the_order(
    rows: list[tuple[str, str]], random: Any
) -> None:
    outcomes = [outcome(name, place, letters) for place, (name, letters) in enumerate(rows)]
    found = summarise(outcomes, 3)
    for row in found["table"].values():
        for name in ("average", "strict", "average_apps", "strict_apps"):
            cell = row[name]
            assert -1e-9 <= cell["low"] <= cell["value"] + 1e-9 <= cell["high"] + 2e-9 <= 1 + 3e-9
        assert row["strict"]["value"] <= row["average"]["value"] + 1e-9
    if found["pass_at_k"]:
        assert found["pass_at_k"]["1"]["value"] == pytest.approx(found["table"]["all"]["strict"]["value"])
    random.shuffle(outcomes)
    shuffled = summarise(outcomes, 3)
    for difficulty, row in shuffled["table"].items():
        assert row["average"]["value"] == pytest.approx(found["table"][difficulty]["average"]["value"])
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize(("n", "k"), [(1, 1), (4, 1), (4, 3), (6, 2), (7, 7)])
def test_pass_at_k_equals_drawing_every_subset(n: int, k: int) -> None:
    for correct in range(n + 1):
        subsets = list(itertools.combinations(range(n), k))
        share = sum(min(subset) < correct for subset in subsets) / len(subsets)
        assert pass_at_k(n, correct, k) == pytest.approx(share, abs=1e-12)


def test_pass_at_k_equals_its_formula_for_many_samples() -> None:
    for correct in (0, 1, 17, 100, 199, 200):
        exact = 1 - math.comb(200 - correct, 100) / math.comb(200, 100)
        assert pass_at_k(200, correct, 100) == pytest.approx(exact, abs=1e-12)


def test_pass_at_k_stands_for_every_k_that_the_samples_allow() -> None:
    outcomes = [outcome("a", k, "P" if k == 0 else "W") for k in range(10)]
    outcomes += [outcome("b", k, "W") for k in range(5)]
    found = summarise(outcomes, 2)["pass_at_k"]
    assert {k: row["n"] for k, row in found.items()} == {"1": 2, "5": 2, "10": 1}
    assert found["1"]["value"] == pytest.approx(0.05)
    assert found["5"]["value"] == pytest.approx(0.25)
    assert found["10"]["value"] == pytest.approx(1.0)


def test_the_interval_is_that_of_the_normal_law_for_many_problems() -> None:
    values = np.random.default_rng(3).random((1000, 2)) < [0.3, 0.05]
    low, high = bootstrap_interval(values.astype(float), seed=1)
    mean = values.mean(axis=0)
    half = 1.96 * np.sqrt(mean * (1 - mean) / 1000)
    np.testing.assert_allclose(low, mean - half, atol=0.003)
    np.testing.assert_allclose(high, mean + half, atol=0.003)


def test_the_interval_of_two_problems_is_that_of_all_their_resamples() -> None:
    low, high = bootstrap_interval(np.array([[0.0], [1.0]]))
    assert (low[0], high[0]) == (0.0, 1.0)
    low, high = bootstrap_interval(np.array([[0.25]]))
    assert (low[0], high[0]) == (0.25, 0.25)


def test_same_seed_same_interval_and_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random((50, 3))
    first = bootstrap_interval(values, seed=5)
    assert np.array_equal(first, bootstrap_interval(values, seed=5))
    assert not np.array_equal(first, bootstrap_interval(values, seed=6))
    monkeypatch.setattr("tritcoder.evaluate.metrics._CHUNK", 50 * 7)
    assert np.array_equal(first, bootstrap_interval(values, seed=5))


def test_a_paired_difference_is_narrower_than_two_scores_apart() -> None:
    rng = np.random.default_rng(0)
    easy = rng.random(200) < 0.5
    ours = [outcome(str(k), 0, "P" if hit else "W") for k, hit in enumerate(easy)]
    better = [outcome(str(k), 0, "P" if hit or k % 20 == 0 else "W") for k, hit in enumerate(easy)]
    found = paired_difference(better, ours)
    gained = sum(not hit for hit in easy[::20]) / 200
    assert found["n"] == 200
    assert found["strict"]["value"] == pytest.approx(gained)
    alone = summarise(ours, 200)["table"]["all"]["strict"]
    assert found["strict"]["high"] - found["strict"]["low"] < (alone["high"] - alone["low"]) / 2
    assert paired_difference(ours, [outcome("other", 0, "P")]) == {"n": 0}
