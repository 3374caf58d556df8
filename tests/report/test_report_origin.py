from typing import Any

import pytest

from tritcoder.records import Run
from tritcoder.report.cells import Table
from tritcoder.report.origin import command_line, commands_table, corpus_tables, raw_manifest
from tritcoder.report.sections import pass_at_k_table


def cells(table: Table) -> list[list[str]]:
    return [[cell.text for cell in row] for row in table.rows]


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (["/opt/x/tritcoder", "run", "a b.toml"], "tritcoder run 'a b.toml'"),
        (["/opt/x/tritcoder/__main__.py", "demo"], "tritcoder demo"),
        ("as typed", "as typed"), ([], "[]"), (None, "–"),
    ],
)  # fmt: skip
def test_a_command_is_shown_as_it_would_be_typed(command: Any, line: str) -> None:
    assert command_line({"command": command}) == (line if command != [] else "–")


def test_the_page_names_no_place_above_the_run_directory() -> None:
    absolute, relative = Run("r", "/home/somebody/runs/r", {}), Run("r", "runs/r", {})
    assert cells(commands_table(absolute, []))[-1][-1] == "tritcoder report r"
    assert cells(commands_table(relative, []))[-1][-1] == "tritcoder report runs/r"


def test_a_corpus_of_thousands_of_sources_is_listed_in_part_and_says_so() -> None:
    sources = {f"repository {i}": {"documents": 1, "bytes": 10, "licences": ["MIT"]} for i in range(1000)}
    (table,) = corpus_tables({"corpus": {"sources": sources}})
    assert len(table.rows) == 41
    assert cells(table)[0] == ["repository 0", "MIT", "1", "10 B"]
    assert cells(table)[-1][0] == "and 960 more"


def test_both_forms_of_a_split_are_read() -> None:
    part = {"documents": 3, "bytes": 2000}
    for corpus in ({"train": part, "held_out": {**part, "groups": ["g"]}},
                   {"totals": {"train": part, "held_out": part}, "held_out_groups": ["g"]}):  # fmt: skip
        split, groups = corpus_tables({"corpus": corpus})
        assert cells(split) == [["train", "3", "2.0 kB"], ["held out", "3", "2.0 kB"]]
        assert cells(groups) == [["g"]]


def test_a_long_manifest_is_cut_and_says_so() -> None:
    assert raw_manifest({}) == ""
    assert raw_manifest({"config": "x"}) == ""
    assert raw_manifest({"a": "b" * 100_000}).endswith("more characters]")


def test_pass_at_k_is_shown_only_when_there_is_more_than_pass_at_1() -> None:
    once = {"pass_at_k": {"1": {"value": 0.5}}}
    often = {"pass_at_k": {"1": {"value": 0.25, "low": 0.2, "high": 0.3}, "10": 0.5}}
    assert not pass_at_k_table(["a"], [once])
    table = pass_at_k_table(["a", "b"], [once, often])
    assert table.headings == ("model", "pass@1", "pass@10")
    assert cells(table) == [["a", "50.00", "–"], ["b", "25.00", "50.00"]]
