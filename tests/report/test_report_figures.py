import re
from dataclasses import replace
from xml.etree import ElementTree

import matplotlib as mpl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritcoder.records import Run, Verdict
from tritcoder.report import figures
from tritcoder.report.drawing import Figure
from tritcoder.report.table import Accuracy, Percent, Row, result_rows


def every_figure(run: Run) -> list[Figure]:
    rows = result_rows(run)
    drawn = [
        figures.accuracy_figure(rows, "average"),
        figures.accuracy_figure(rows, "strict"),
        figures.references_figure(run),
        figures.training_loss_figure(run, "pretrain"),
        figures.held_out_figure(run),
        figures.training_loss_figure(run, "finetune"),
        figures.verdicts_figure([s["model"] for s in run.scores], [figures.verdict_shares(s) for s in run.scores]),
    ]
    return [figure for figure in drawn if figure]


def test_a_whole_run_has_every_figure_and_drawing_it_twice_gives_the_same(run: Run) -> None:
    first, second = every_figure(run), every_figure(run)
    assert [figure.key for figure in first] == [
        "accuracy-average", "accuracy-strict", "references", "pretrain-loss", "held-out", "finetune-loss", "verdicts",
    ]  # fmt: skip
    assert first == second


def test_a_readers_own_matplotlib_settings_change_nothing(run: Run) -> None:
    plain = figures.references_figure(run)
    with mpl.rc_context({"font.size": 30.0, "svg.fonttype": "path", "axes.grid": False, "lines.linewidth": 9.0}):
        assert figures.references_figure(run) == plain


def test_figures_share_no_name_and_bring_no_style_font_or_address(run: Run) -> None:
    names: list[str] = []
    for figure in every_figure(run):
        root = ElementTree.fromstring(figure.svg)
        own = [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
        references = re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', figure.svg)
        assert {one or other for one, other in references} == set(own)
        names += own
        assert {"style", "metadata", "image", "script"}.isdisjoint(element.tag for element in root.iter())
        assert "font-family" not in figure.svg
        assert "http" not in figure.svg
        assert root.attrib["role"] == "img"
    assert len(set(names)) == len(names)


def test_every_colour_follows_the_page(run: Run) -> None:
    for figure in every_figure(run):
        assert re.findall(r"(?:fill|stroke)(?:: |=\")#[0-9a-f]+", figure.svg) == []


def test_alt_texts_tell_the_numbers(run: Run) -> None:
    alts = {figure.key: figure.alt for figure in every_figure(run)}
    assert "ternary: introductory 5.77 [4.67, 6.87]" in alts["accuracy-average"]
    assert "twin 1.798, ternary 1.871, xz 1.913, zlib 2.106, 3-gram 2.345, unigram 4.812" in alts["references"]
    assert "3-gram: 2.345." in alts["held-out"]
    assert "passed 3.0, wrong answer 57.7" in alts["verdicts"]


def test_bars_and_verdicts_differ_without_colour() -> None:
    for fills in (figures._FILLS, figures._VERDICT_FILLS.values()):
        textures = [(hatch, colour if hatch == "" else "") for colour, hatch in fills]
        assert len(set(textures)) == len(textures)
    assert set(figures._VERDICT_FILLS) == {verdict.value for verdict in Verdict}
    assert len({(str(dashes), marker) for _, dashes, marker in figures._LINES.values()}) == len(figures._LINES)


@pytest.mark.parametrize(
    "name", ["a $b^{$", "<script>alert(1)</script>", "]]>&amp;\x00\x1b", "模型 " * 30, "\ud800", ""]
)
def test_any_model_name_is_drawn_as_text(name: str) -> None:
    share = Percent(50.0, 40.0, 60.0)
    row = Row(name, name, "hf", by_difficulty={"all": Accuracy(1, share, share, None, None, None)})
    drawn = [figures.accuracy_figure([row], "average"), figures.verdicts_figure([name], [{name: 100.0}])]
    for figure in drawn:
        assert figure is not None
        root = ElementTree.fromstring(figure.svg)
        assert "script" not in {element.tag for element in root.iter()}


def test_scores_of_zero_and_models_beyond_the_palette_are_drawn() -> None:
    nothing = Accuracy(5, Percent(0.0, 0.0, 0.0), Percent(0.0), None, None, None)
    rows = [Row(f"m{i}", f"m{i}", "hf", by_difficulty={"all": nothing}) for i in range(12)]
    figure = figures.accuracy_figure(rows, "average")
    assert figure is not None
    assert "m11: all 0.00 [0.00, 0.00]" in figure.alt


def test_a_run_without_results_has_no_figure() -> None:
    assert every_figure(Run("empty", "runs/empty", {})) == []


def test_lines_without_a_finite_number_are_left_out_of_a_curve() -> None:
    nan = float("nan")
    pairs: list[tuple[float | None, float]] = [(1, 2.0), (2, nan), (None, 1.0), (3, 1.5)]
    rows = [{"tokens": tokens, "loss": loss} for tokens, loss in pairs]
    assert figures.curve(rows, "loss") == ([1.0, 3.0], [2.0, 1.5])


@given(st.lists(st.floats(-1e6, 1e6), max_size=60), st.integers(1, 20))
def test_smoothing_is_the_mean_of_the_neighbours(values: list[float], window: int) -> None:
    width = min(window, max(1, len(values)))
    before, after = width // 2, (width - 1) // 2
    found = figures.smoothed(values, window)
    assert len(found) == len(values)
    for place, mean in enumerate(found):
        near = values[max(0, place - before) : place + after + 1]
        assert mean == pytest.approx(sum(near) / len(near), abs=1e-6)


@given(st.dictionaries(st.sampled_from([*map(str, Verdict), "unheard_of"]), st.integers(0, 10**9)))
def test_verdict_shares_sum_to_a_hundred(counts: dict[str, int]) -> None:
    shares = figures.verdict_shares({"verdicts": counts})
    assert set(shares) == (set(counts) if sum(counts.values()) else set())
    assert sum(shares.values()) == pytest.approx(100 if shares else 0)


def test_a_long_training_makes_no_heavy_figure(run: Run) -> None:
    rows = [{"tokens": i, "loss": 3.0 + i % 7} for i in range(50_000)]
    figure = figures.training_loss_figure(replace(run, metrics={"ternary/pretrain": rows}), "pretrain")
    assert figure is not None
    assert len(figure.svg) < 60_000
