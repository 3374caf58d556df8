from dataclasses import replace

from tritcoder.records import Run
from tritcoder.report.findings import caveats, findings, summary
from tritcoder.report.table import Accuracy, Percent, Row, result_rows


def row(kind: str, average: Percent, bits: float | None = None) -> Row:
    return Row(
        kind, kind, kind, held_out_bits_per_byte=bits,
        by_difficulty={"all": Accuracy(10, average, None, None, None, None)},
    )  # fmt: skip


def test_the_summary_says_what_was_run(run: Run) -> None:
    assert summary(run, result_rows(run)) == (
        "A language model with ternary weights of 5.24 M parameters and its full-precision twin, pre-trained on "
        "6.80 M tokens of code from 3 sources, fine-tuned on 300 problems and scored on 200 problems of APPS, "
        "beside 2 naive baselines."
    )
    empty = Run("empty", "runs/empty", {})
    assert summary(empty, result_rows(empty)) == "This run has not written any result yet."


def test_findings_follow_from_the_numbers(run: Run) -> None:
    said = " ".join(findings(run, result_rows(run))).replace("\u00a0", " ")
    assert "ternary model needs 1.871 bits per byte and its full-precision twin 1.798: 4.1 % more" in said
    assert "better than xz (1.913), zlib (2.106), 3-gram (2.345) and unigram (4.812)" in said
    assert "this run does not tell the two apart" in said
    assert "above the best answer without a model, naive:constant (3.57 %)" in said


def test_intervals_that_touch_nowhere_are_told_apart(run: Run) -> None:
    bare = replace(run, references={})
    apart = findings(bare, [row("ternary", Percent(5, 4, 6)), row("twin", Percent(8, 7, 9))])
    assert apart[0].endswith("The 95\u00a0% intervals do not overlap.")
    unknown = findings(bare, [row("ternary", Percent(5)), row("twin", Percent(8, 7, 9))])
    assert unknown[0].endswith("nothing can be said of that difference.")


def test_a_model_that_loses_is_said_to_lose(run: Run) -> None:
    rows = [row("ternary", Percent(3, 2, 4), bits=3.0), row("naive", Percent(3, 2, 4))]
    said = " ".join(findings(replace(run, references={"xz": 2.0, "unigram": 5.0}), rows))
    assert "better than unigram (5.000), but not better than xz (2.000)" in said
    assert "not above the best answer without a model" in said


def test_caveats_begin_with_the_runs_own_notes_and_follow_the_records(run: Run) -> None:
    rows = result_rows(run)
    said = caveats(run, rows)
    assert said[0] == "A model trained for two minutes shows the road and is not useful yet."
    text = " ".join(said)
    assert "200 of 5,000 problems" in text
    assert "answered each problem once" in text
    assert "not the full jail" not in text
    run.scores[0]["isolation"] = ["full", "no-namespaces"]
    run.scores[0]["pass_at_k"] = {"1": 0.1, "5": 0.2}
    text = " ".join(caveats(run, rows))
    assert "isolation level no-namespaces, which is not the full jail" in text
    assert "answered each problem once" not in text
