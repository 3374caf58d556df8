"""One command walks from a corpus to a report; given again it does what is missing, and nothing else."""

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tritcoder.config import fingerprint, load
from tritcoder.data.embedded import embedded_problems
from tritcoder.data.shards import TokenShards
from tritcoder.experiment.config import ExperimentConfig
from tritcoder.model import hugging_face
from tritcoder.tokenizer.bpe import Tokenizer

Command = Callable[..., tuple[int, str, str]]

ARMS = ("ternary", "twin")
MODELS = {
    "ternary": "ternary",
    "twin": "twin",
    "naive:constant": "naive-constant",
    "naive:retrieval": "naive-retrieval",
}
STAGES = (
    "problems", "corpus", "tokenizer", "tokens", "references",
    "ternary/pretrain", "ternary/finetune", "twin/pretrain", "twin/finetune",
    *(f"{step}/{model}" for model in MODELS for step in ("answers", "scores")),
    "examples",
)  # fmt: skip


def test_one_command_prints_table_program_and_report(toy: Any) -> None:
    for model in MODELS:
        assert re.search(rf"^{model} ", toy.out, re.M), f"no row for {model}"
    assert "published, not run here" in toy.out
    assert "problem " in toy.out
    assert re.search(r"ternary: \d of 3 tests passed", toy.out)
    assert toy.out.rstrip().endswith(f"Report: {toy.directory / 'report.html'}")


def test_titles_and_notes_are_printed_letter_by_letter(toy: Any) -> None:
    assert "A toy [of everything] :smile:" in toy.err
    assert "It learns nothing, and [says] so." in toy.out


def test_every_stage_is_told_once_on_standard_error(toy: Any) -> None:
    told = re.findall(r"✓ (\S+)", toy.err)
    assert told == list(STAGES)


def test_stored_config_means_the_same_experiment(toy: Any) -> None:
    given, stored = (load(path, ExperimentConfig) for path in (toy.config, toy.directory / "config.toml"))
    assert given == stored
    assert fingerprint(given) == fingerprint(stored)


def test_manifest_says_what_the_run_is_made_of(toy: Any) -> None:
    manifest = _json(toy.directory / "manifest.json")
    assert manifest["name"] == "toy"
    assert manifest["corpus"]["licences"].keys() == {"MIT"}
    assert manifest["corpus"]["licences"]["MIT"]["documents"] == 12
    assert manifest["corpus"]["held_out_groups"] == ["beta"]
    assert [stage["name"] for stage in manifest["stages"]] == list(STAGES)
    assert all(stage["finished"] and not stage["cached"] for stage in manifest["stages"])
    assert {"python", "torch", "numpy", "tokenizers", "tritcoder"} <= manifest["signature"]["versions"].keys()
    assert manifest["problems"]["source"] == "embedded"
    assert manifest["problems"]["test"]["tests"] == 6 * 3
    assert manifest["models"].keys() == manifest["fine_tuning"].keys() == set(ARMS)


def test_manifest_counts_the_tokens_that_lie_on_disk(toy: Any) -> None:
    manifest = _json(toy.directory / "manifest.json")
    for part in ("train", "held_out"):
        assert manifest["tokens"][part] == len(TokenShards(toy.directory / "tokens" / part))
    assert manifest["tokenizer"]["vocab_size"] == Tokenizer.load(toy.directory / "tokenizer.json").vocab_size == 512


def test_arms_differ_in_their_weights_format_alone(toy: Any) -> None:
    ternary, twin = (hugging_face.load(toy.directory / arm / "model").config for arm in ARMS)
    assert (ternary.quantization, twin.quantization) == ("ternary", "none")
    assert (ternary.dim, ternary.n_layers, ternary.vocab_size) == (twin.dim, twin.n_layers, twin.vocab_size)
    assert ternary.parameters == twin.parameters


@pytest.mark.parametrize("arm", ARMS)
def test_training_leaves_a_line_for_every_step_and_a_checkpoint_of_the_last(toy: Any, arm: str) -> None:
    for part, steps, evaluated in (("pretrain", 8, [4, 8]), ("finetune", 4, [2, 4])):
        rows = _lines(toy.directory / arm / part / "metrics.jsonl")
        assert [row["step"] for row in rows if "loss" in row] == list(range(1, steps + 1))
        assert [row["step"] for row in rows if "held_out_loss" in row] == evaluated
        assert (toy.directory / arm / part / "checkpoints" / f"step-{steps:08}.pt").is_file()
        assert (toy.directory / arm / ("base" if part == "pretrain" else "model") / "model.safetensors").is_file()


@pytest.mark.parametrize(("model", "file"), MODELS.items())
def test_every_model_answers_every_test_problem_and_is_scored(toy: Any, model: str, file: str) -> None:
    samples = _lines(toy.directory / "samples" / f"{file}.jsonl")
    asked = {row["task_id"] for row in samples}
    assert len(samples) == len(asked) == 6
    assert asked <= {problem.problem_id for problem in embedded_problems("test")}
    assert {row["model"] for row in samples} == {model}
    outcomes = _lines(toy.directory / "scores" / f"{file}.outcomes.jsonl")
    assert {row["problem_id"] for row in outcomes} == asked
    shares = [[result["verdict"] == "passed" for result in row["results"]] for row in outcomes]
    assert all(len(share) == 3 for share in shares)
    score = _json(toy.directory / "scores" / f"{file}.json")
    overall = score["table"]["all"]
    assert score["model"] == model
    assert overall["n"] == 6
    assert overall["average"]["value"] == pytest.approx(sum(sum(share) / 3 for share in shares) / 6)
    assert overall["strict"]["value"] == pytest.approx(sum(all(share) for share in shares) / 6)
    assert (score["perplexity"] is not None) == (model in ARMS)


def test_references_stand_on_the_same_held_out_text(toy: Any) -> None:
    found = _json(toy.directory / "references.json")
    held_out = _json(toy.directory / "manifest.json")["models"]["ternary"]["held_out"]
    assert 0 < held_out["held_out_bits_per_byte"] < 8
    assert all(0 < found[name] < 9 for name in ("unigram", "3-gram", "zlib", "xz"))
    assert found["held_out_tokens"] == 512
    assert found["counted_tokens"] == pytest.approx(8 * 2 * 64, abs=8 * 2)


def test_examples_show_what_every_model_answered(toy: Any) -> None:
    examples = _json(toy.directory / "examples.json")
    assert len(examples) == 3
    assert [example["difficulty"] for example in examples] == ["introductory", "interview", "competition"]
    for example in examples:
        assert [answer["model"] for answer in example["answers"]] == list(MODELS)
        assert all(len(answer["results"]) == 3 for answer in example["answers"])


def test_report_needs_no_other_file(toy: Any) -> None:
    page = (toy.directory / "report.html").read_text(encoding="utf-8")
    seen = _Loads()
    seen.feed(page)
    assert seen.places
    assert all(place.startswith(("data:", "#")) for place in seen.places)
    assert all(url.strip("'\"").startswith(("data:", "#")) for url in re.findall(r"url\(([^)]*)\)", page))
    assert "@import" not in page


def test_given_again_it_does_nothing_and_says_so(toy: Any, tritcoder: Command) -> None:
    before = _times(toy.directory)
    status, out, err = tritcoder("run", toy.config, "--directory", toy.directory)
    assert status == 0
    assert "nothing to do: every stage is up to date" in err
    assert re.findall(r"= (\S+) +unchanged", err) == list(STAGES)
    assert out == toy.out
    assert _times(toy.directory) == before


def test_changed_sampling_redoes_answers_and_leaves_trainings(toy: Any, copy: Path, tritcoder: Command) -> None:
    trained = _times(copy / "ternary") | _times(copy / "twin") | _times(copy / "corpus") | _times(copy / "tokens")
    status, _, err = tritcoder("run", toy.config, "--directory", copy, "--set", "evaluate.sampling.temperature=0.0")
    assert status == 0, err
    redone = {name for name in STAGES if name.startswith(("answers/", "scores/")) or name == "examples"}
    assert set(re.findall(r"✓ (\S+)", err)) == redone
    old, new = (_json(place / "manifest.json")["stages"] for place in (toy.directory, copy))
    assert {a["name"] for a, b in zip(old, new, strict=True) if a["key"] != b["key"]} == redone
    assert {stage["name"] for stage in new if not stage["cached"]} == redone
    assert trained == _times(copy / "ternary") | _times(copy / "twin") | _times(copy / "corpus") | _times(
        copy / "tokens"
    )


def test_changed_twin_leaves_the_ternary_model(toy: Any, copy: Path, tritcoder: Command) -> None:
    trained = _times(copy / "ternary")
    status, _, err = tritcoder(
        "run", toy.config, "--directory", copy, "--set", "twin.lr_scale=0.5", "--only", "twin/pretrain"
    )
    assert status == 0, err
    assert re.findall(r"✓ (\S+)", err) == ["twin/pretrain"]
    assert _times(copy / "ternary") == trained


def test_new_title_is_told_without_any_work(toy: Any, copy: Path, tritcoder: Command) -> None:
    status, _, err = tritcoder("run", toy.config, "--directory", copy, "--set", "title='Another <title>'")
    assert status == 0, err
    assert "✓" not in err
    assert _json(copy / "manifest.json")["title"] == "Another <title>"
    assert "Another &lt;title&gt;" in (copy / "report.html").read_text(encoding="utf-8")


class _Loads(HTMLParser):
    """What a browser would fetch to show a page."""

    def __init__(self) -> None:
        super().__init__()
        self.places: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note sources, style sheets and the like; a link to click on is no load."""
        names = {"src", "srcset", "data", "poster"} | ({"href"} if tag in ("link", "image", "use") else set())
        self.places += [value or "" for name, value in attrs if name in names]


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _times(directory: Path) -> dict[Path, int]:
    """When each file was last written, but for the settings, which every run states anew."""
    files = (path for path in directory.rglob("*") if path.is_file() and path.name != "config.toml")
    return {path: path.stat().st_mtime_ns for path in files}
