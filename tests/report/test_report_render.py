import builtins
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tritcoder.errors import MissingExtraError
from tritcoder.records import Run
from tritcoder.report.load import load_run
from tritcoder.report.render import render
from tritcoder.report.table import Percent, columns, result_rows

LOADING = ("src", "srcset", "data", "poster", "background", "action", "formaction", "xlink:href", "ping", "manifest")
HOSTILE = (
    "</style></title></pre><script>alert(1)</script><img src=http://evil.example/x onerror=alert(2)>\"'&{{7*7}}\u202e"
)


@pytest.fixture(scope="module")
def html(run_directory: Path) -> str:
    return render(load_run(run_directory))


def test_the_page_is_well_formed_and_its_links_lead_somewhere(html: str, read_page: Any) -> None:
    page = read_page(html)
    assert page.declarations == ["DOCTYPE html"]
    names = page.attributes("id")
    assert len(set(names)) == len(names)
    assert {link.removeprefix("#") for link in page.attributes("href")} <= set(names)


def test_the_page_loads_nothing_and_runs_nothing(html: str, read_page: Any) -> None:
    page = read_page(html)
    assert [page.attributes(name) for name in LOADING if page.attributes(name)] == []
    assert {"script", "link", "img", "iframe", "object", "embed", "form", "base"}.isdisjoint(t for t, _ in page.tags)
    assert [name for _, attributes in page.tags for name in attributes if name.startswith("on")] == []
    assert re.findall(r"@import|url\((?!#)", html) == []
    assert "default-src 'none'" in page.attributes("content")[0]


def test_every_number_of_the_result_table_is_on_the_page(html: str, run: Run, read_page: Any) -> None:
    text = read_page(html).text
    rows = result_rows(run)
    for row in rows:
        for column in columns(rows):
            cell = column.cell(row)
            assert cell in text, (row.model, column.full_heading, cell)
        for accuracy in (row.by_difficulty or {}).values():
            shares = (accuracy.average, accuracy.strict, accuracy.average_apps, accuracy.strict_apps)
            assert [share for share in shares if isinstance(share, Percent) and str(share) not in text] == []
    for value in ("4.812", "2.345", "2.106", "1.913", "2,345", "57.7 %", "nrefs:var|tok:13a", "45,678", "1.23 %"):
        assert value in text


def test_the_page_states_the_share_of_problems_kept(html: str, read_page: Any) -> None:
    assert "4,500 of 5,000 (90.0 %); left out: no tests 500; list 0123456789ab" in read_page(html).text


def test_the_page_tells_where_the_run_comes_from(html: str, read_page: Any) -> None:
    text = read_page(html).text
    for told in (
        "A model trained for two minutes shows the road and is not useful yet.",
        "BSD-3-Clause", "PSF-2.0", "licence unknown", "jinja2", "0123456789ab", "Example CPU 9000", "16.0 GB",
        "tritcoder run configs/demo.toml --set train.seed=1", "1 min 23 s", "cc33dd44", "6,797,430",
        "kept from before",
        "published, not run here", "arXiv 2105.09938", "dim = 256", "stop 180", "without tests 3",
    ):  # fmt: skip
        assert told in text, told
    assert "/home/somebody" not in re.sub(r'"command": \[.*?\]', "", text)


def test_examples_show_code_and_the_verdict_of_each_test(html: str, read_page: Any) -> None:
    text = read_page(html).text
    assert "print('small & <odd>')" in text
    assert "✗ 14 syntax error" in text
    assert "2 more tests are counted above and not shown." in text
    assert '[[1, 2], "a"]' in text
    assert "EOFError: EOF when reading a line" in text


def test_the_same_run_gives_the_same_page(html: str, run_directory: Path) -> None:
    assert render(load_run(run_directory)) == html


def poisoned(value: Any) -> Any:
    """Every text of some JSON data, keys that are names included, made hostile."""
    if isinstance(value, str):
        return value + HOSTILE
    if isinstance(value, list):
        return [poisoned(item) for item in value]
    if isinstance(value, dict):
        return {key: poisoned(item) for key, item in value.items()}
    return value


def test_hostile_text_anywhere_stays_text(run: Run, read_page: Any) -> None:
    scores = [
        {**poisoned(score), "kind": score["kind"], "verdicts": {**score["verdicts"], HOSTILE: 5}}
        for score in run.scores
    ]
    manifest = poisoned(run.manifest)
    manifest["corpus"]["licences"][HOSTILE] = {"documents": 1, "bytes": 1}
    hostile = replace(
        run, name=HOSTILE, manifest=manifest, scores=scores, references=poisoned(run.references),
        examples=poisoned(run.examples),
    )  # fmt: skip
    html = render(hostile)
    page = read_page(html)
    assert {"script", "img"}.isdisjoint(tag for tag, _ in page.tags)
    assert [name for _, attributes in page.tags for name in attributes if name.startswith("on")] == []
    assert "<script>alert(1)</script>" in page.text
    assert "{{7*7}}" in page.text
    assert "\u202e" not in html
    assert "<U+202E>" in page.text


def test_text_that_no_file_can_hold_is_made_writable(run: Run) -> None:
    run.examples[0]["answers"][0]["completion"] = "print('\ud800\x00\x1b[31m')"
    page = render(run)
    assert "print(&#39;\ufffd␀␛[31m&#39;)" in page
    page.encode()


PARTS = ["manifest.json", "references.json", "examples.json", "scores", "ternary", "twin", "config.toml"]
MISSING = [["manifest.json", "references.json"], ["scores", "twin"], ["examples.json", "ternary"]]


@pytest.mark.parametrize("missing", [*MISSING, PARTS[1:], PARTS[:-1]])
def test_a_page_is_made_of_whatever_is_there(
    run_directory: Path, tmp_path: Path, missing: list[str], read_page: Any
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run_directory, copy)
    for name in missing:
        shutil.rmtree(copy / name) if (copy / name).is_dir() else (copy / name).unlink()
    page = read_page(render(load_run(copy)))
    names = page.attributes("id")
    assert {link.removeprefix("#") for link in page.attributes("href")} <= set(names)
    assert ("This run is not finished" in page.text) == ("manifest.json" in missing)


def test_records_of_the_wrong_kind_make_a_page_all_the_same(read_page: Any) -> None:
    odd = dict.fromkeys(
        ("corpus", "tokenizer", "tokens", "problems", "models", "stages", "notes", "signature"), "text"
    )
    scores = [
        {"model": "m", "table": 3, "verdicts": [], "pass_at_k": "x", "signature": 1, "isolation": 4, "bleu": [1]}
    ]
    answers = [None, {"results": [None, {"verdict": None}]}]
    examples: list[dict[str, Any]] = [{}, {"answers": 3, "question": 4}, {"answers": answers}]
    run = Run("odd", "runs/odd", odd, {"ternary/pretrain": [{}]}, scores, {"published": 3, "held_out": 1}, examples)
    assert "odd" in read_page(render(run)).text


@pytest.mark.parametrize("package", ["matplotlib", "jinja2"])
def test_a_missing_extra_is_named(run: Run, monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    honest = builtins.__import__

    def refuse(name: str, *rest: Any, **more: Any) -> Any:
        if name.partition(".")[0] == package:
            raise ImportError(name)
        return honest(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingExtraError, match=package) as caught:
        render(run)
    assert "tritcoder[report]" in caught.value.hint


def test_rendering_changes_no_record(run: Run) -> None:
    before = json.dumps([run.manifest, run.scores, run.references, run.examples, run.metrics])
    render(run)
    assert json.dumps([run.manifest, run.scores, run.references, run.examples, run.metrics]) == before
