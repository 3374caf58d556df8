from dataclasses import replace
from typing import Any

import pytest

from tritcoder.records import Run
from tritcoder.report.table import as_markdown, as_text, columns, held_out_bits_per_byte, result_rows, score_titles


def test_rows_stand_in_order_ours_twin_naive_published(run: Run) -> None:
    shuffled = replace(run, scores=run.scores[::-1])
    assert [row.model for row in result_rows(shuffled)] == [
        "ternary", "twin", "naive:constant", "naive:retrieval", "GPT-2 0.1B", "GPT-Neo 2.7B",
    ]  # fmt: skip


def test_a_scored_row_holds_what_its_records_say(run: Run) -> None:
    row = result_rows(run)[0]
    assert (row.parameters, row.n_problems, row.problems_total) == (5_243_904, 200, 5000)
    assert (row.held_out_bits_per_byte, row.perplexity_per_token, row.bits_per_byte) == (1.871, 12.34, 1.234)
    assert (row.bits_per_char, row.bleu, row.tokens_per_second) == (1.239, 3.456, 87.65)
    overall = row.accuracy()
    assert overall is not None
    assert str(overall.average) == "4.12 [3.02, 5.22]"
    assert overall.average_micro == pytest.approx(100 * 0.0412 * 0.9)


def test_a_published_row_is_marked_and_stands_under_the_authors_comparison(run: Run) -> None:
    row = result_rows(run)[-2]
    overall = row.accuracy()
    assert overall is not None
    assert row.published
    assert (row.source, row.how) == ("arXiv 2105.09938", "fine-tuned")
    assert (overall.average, overall.strict) == (None, None)
    assert (str(overall.average_apps), str(overall.strict_apps)) == ("6.16", "0.40")


def test_the_terminal_table_holds_every_cell_whatever_its_width(run: Run) -> None:
    rows = result_rows(run)
    cells = {column.cell(row) for column in columns(rows) for row in rows}
    for width in (20, 80, 110, 400):
        text = as_text(rows, width)
        assert [cell for cell in cells if cell not in text] == []
    lines = as_text(rows, 110).splitlines()
    assert max(len(line) for line in lines) <= 110
    assert lines[-1] == "published, not run here: GPT-2 0.1B, GPT-Neo 2.7B (arXiv 2105.09938)"


def test_the_markdown_table_has_as_many_cells_in_every_line(run: Run) -> None:
    run.scores[0]["model"] = "a|b\\|c<script>"
    rows = result_rows(run)
    table, _, footnote = as_markdown(rows).partition("\n\n")
    lines = table.replace("\\\\", "").replace("\\|", "").splitlines()
    assert {line.count("|") for line in lines} == {len(columns(rows)) + 1}
    assert len(lines) == len(rows) + 2
    assert "<script>" not in table.replace("\\<", "")
    assert footnote.startswith("published, not run here")


def test_a_column_that_no_row_fills_is_left_out(run: Run) -> None:
    for score in run.scores:
        score |= {"bleu": None, "perplexity": None, "speed": None}
    headings = [column.heading for column in columns(result_rows(run))]
    assert "BLEU" not in headings
    assert "tokens/s" not in headings
    assert "perplexity per token" not in headings


def test_a_model_trained_and_not_scored_yet_has_a_row(run: Run) -> None:
    rows = result_rows(replace(run, scores=[], references={}, manifest={}))
    assert [(row.model, row.n_problems) for row in rows] == [("ternary", None), ("twin", None)]
    assert rows[0].held_out_bits_per_byte is not None


def test_several_benchmarks_are_told_apart(run: Run) -> None:
    other = [{**score, "benchmark": "humaneval"} for score in run.scores[:1]]
    titles = score_titles(replace(run, scores=run.scores + other))
    assert len(set(titles)) == len(titles)
    assert titles[-1].endswith(", humaneval")


def test_held_out_bits_come_from_the_nearest_record(run: Run) -> None:
    logged = {"ternary/pretrain": [{"held_out_bits_per_byte": 4.0}, {"loss": 1.0}, {"held_out_bits_per_byte": 3.0}]}
    stated = {"models": {"ternary": {"held_out": {"held_out_bits_per_byte": 2.0}}}}
    bare = replace(run, metrics=logged, manifest={}, references={})
    assert held_out_bits_per_byte(bare) == {"ternary": 3.0}
    assert held_out_bits_per_byte(replace(bare, manifest=stated)) == {"ternary": 2.0}
    measured = replace(bare, manifest=stated, references={"held_out": {"ternary": 1.0, "twin": None}})
    assert held_out_bits_per_byte(measured) == {"ternary": 1.0}


@pytest.mark.parametrize(
    "broken",
    [
        {}, {"table": None}, {"table": {"all": None}}, {"table": {"all": {"average": "x", "n": None}}},
        {"table": {"all": {"average": {"value": float("nan")}}}}, {"bleu": 3, "perplexity": [], "speed": "fast"},
        {"kind": None, "n_problems": "many", "verdicts": [], "benchmark": None},
    ],
)  # fmt: skip
def test_fields_missing_or_of_another_kind_become_dashes(run: Run, broken: dict[str, Any]) -> None:
    rows = result_rows(replace(run, scores=[{"model": "odd", **broken}], manifest={}, references={}, metrics={}))
    assert [row.model for row in rows] == ["odd"]
    assert "odd" in as_text(rows)
    assert "odd" in as_markdown(rows)


def test_a_table_without_rows_says_so() -> None:
    assert as_text([]) == as_markdown([]) == "no result yet"
