import math
import sys

import pytest
import sacrebleu

from tritcoder.errors import MissingExtraError
from tritcoder.evaluate.bleu import MAX_REFERENCES, bleu


def test_a_copy_of_one_solution_has_the_full_score() -> None:
    program = "n = int(input())\nprint(n * 2 + 1)\n"
    found = bleu([(program, ["import sys\nprint(sys.argv)\n", program])])
    assert found["corpus"] == pytest.approx(100)
    assert found["best_single"] == pytest.approx(100)
    assert (found["n"], found["without_references"]) == (1, 0)


def test_nothing_in_common_scores_nothing() -> None:
    found = bleu([("alpha beta gamma delta epsilon", ["one two three four five"])])
    assert found["corpus"] < 10
    assert bleu([("", ["one two three four five"])])["corpus"] == 0


def test_a_score_worked_by_hand() -> None:
    # 4 of 5 words, 3 of 4 pairs, 2 of 3 triples, 1 of 2 quadruples match; the lengths are equal.
    found = bleu([("a b c d x", ["a b c d e"])])
    expected = 100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25
    assert found["corpus"] == pytest.approx(expected)


def test_brevity_is_punished_as_worked_by_hand() -> None:
    found = bleu([("a b c d", ["a b c d e f g h"])])
    assert found["corpus"] == pytest.approx(100 * math.exp(1 - 8 / 4))


def test_n_grams_are_clipped_against_all_references_of_a_problem_together() -> None:
    both = bleu([("a b c d e f g h", ["a b c d", "e f g h"])])
    # All words match one reference or the other; of pairs only "d e" does not, and so on.
    expected = 100 * (8 / 8 * 6 / 7 * 4 / 6 * 2 / 5) ** 0.25
    assert both["corpus"] == pytest.approx(expected)
    assert both["best_single"] < both["corpus"]


def test_problems_with_fewer_references_are_not_punished_for_it() -> None:
    one, many = ("a b c d e", ["a b c d e"]), ("q r s t u", ["q r s t u", "x", "y", "z"])
    assert bleu([one, many])["corpus"] == pytest.approx(100)
    assert bleu([many, one])["corpus"] == pytest.approx(100)


def test_the_corpus_score_is_sacrebleus_own_when_counts_are_equal() -> None:
    rows = [("a b c d f", ["a b c d e", "a c d f b"]), ("u v w x", ["u v w y z", "u w x v"])]
    streams = [[references[k] for _, references in rows] for k in range(2)]
    own = sacrebleu.corpus_bleu([text for text, _ in rows], streams)
    assert bleu(rows)["corpus"] == pytest.approx(own.score)


def test_problems_without_solutions_are_left_out_and_counted() -> None:
    row = ("a b c d e", ["a b c d f"])
    found = bleu([row, ("a", []), ("b", ["  \n"])])
    assert (found["n"], found["without_references"]) == (1, 2)
    assert found["corpus"] == bleu([row])["corpus"]


def test_nothing_to_compare_is_no_score() -> None:
    none: list[tuple[str, list[str]]] = []
    for pairs in (none, [("a", list[str]())]):
        found = bleu(pairs)
        assert (found["corpus"], found["best_single"], found["n"]) == (None, None, 0)


def test_references_are_capped_and_the_cap_is_recorded() -> None:
    solutions = [f"x {k} y z w" for k in range(MAX_REFERENCES)] + ["right answer it is indeed"]
    found = bleu([("right answer it is indeed", solutions)])
    assert found["max_references"] == MAX_REFERENCES
    assert found["corpus"] < 100
    assert bleu([("right answer it is indeed", solutions[:1] * 30 + solutions[-1:])])["corpus"] == pytest.approx(100)


def test_the_signature_names_tokeniser_and_version() -> None:
    signature = bleu([("a b c d e", ["a b c d f"]), ("a b c d e", ["a b", "a c"])])["signature"]
    assert "tok:13a" in signature
    assert f"version:{sacrebleu.__version__}" in signature
    assert "nrefs:var" in signature


def test_without_sacrebleu_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics.bleu", None)
    with pytest.raises(MissingExtraError) as caught:
        bleu([])
    assert "tritcoder[eval]" in caught.value.hint
