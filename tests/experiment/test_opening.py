"""A model is named by one string, and each string opens what it says or tells why not."""

import json
from pathlib import Path

import pytest

from tritcoder.baselines.naive import ConstantBaseline, RetrievalBaseline
from tritcoder.coder import model_place
from tritcoder.data.embedded import embedded_problems
from tritcoder.errors import AskedWronglyError, ConfigError, EmptyCorpusError, ModelFileError
from tritcoder.experiment.exporting import export
from tritcoder.experiment.opening import (
    is_baseline,
    model_identity,
    open_generator,
    open_text_model,
)
from tritcoder.generate import TextModel
from tritcoder.records import Prompt, Sampling


@pytest.mark.parametrize("where", ["", "model", "base", "ternary/model", "ternary/base"])
def test_directory_run_and_arm_stand_for_their_model(tmp_path: Path, where: str) -> None:
    (tmp_path / where).mkdir(parents=True, exist_ok=True)
    (tmp_path / where / "config.json").write_text("{}")
    assert model_place(tmp_path) == tmp_path / where


def test_fine_tuned_model_comes_before_the_pretrained_one(tmp_path: Path) -> None:
    for where in ("ternary/base", "ternary/model", "twin/model"):
        (tmp_path / where).mkdir(parents=True)
        (tmp_path / where / "config.json").write_text("{}")
    assert model_place(tmp_path) == tmp_path / "ternary" / "model"
    assert model_place(tmp_path / "ternary") == tmp_path / "ternary" / "model"
    assert model_place(tmp_path / "twin") == tmp_path / "twin" / "model"


@pytest.mark.parametrize(("name", "told"), [("empty", "holds no model yet"), ("nothing", "does not exist")])
def test_place_without_a_model_says_what_it_is(tmp_path: Path, name: str, told: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelFileError, match=told) as caught:
        open_generator(str(tmp_path / name), [])
    assert str(tmp_path / name) in caught.value.message
    assert "naive:retrieval" in caught.value.hint


@pytest.mark.parametrize(
    ("spec", "baseline"),
    [
        ("naive:constant", True),
        ("hf:gpt2", True),
        ("gemini:gemini-2.5-flash", True),
        ("openai:m@http://localhost:1/v1", True),
        ("runs/demo", False),
        ("naive", False),
        ("hf", False),
        ("gpt:2", False),
        ("./naive:constant", False),
        ("", False),
    ],
)
def test_rivals_are_told_from_directories(spec: str, baseline: bool) -> None:
    assert is_baseline(spec) == baseline


def test_naive_rivals_learn_from_the_training_problems() -> None:
    problems = embedded_problems("train")
    assert isinstance(open_generator("naive:constant", problems), ConstantBaseline)
    assert isinstance(open_generator("naive:retrieval", problems), RetrievalBaseline)
    with pytest.raises(EmptyCorpusError):
        open_generator("naive:constant", [])


@pytest.mark.parametrize(
    "spec", ["naive:retreival", "naive:", "hf:", "gemini:", "openai:", "openai:@http://localhost"]
)
def test_unknown_rival_is_refused(spec: str) -> None:
    with pytest.raises(ConfigError, match="no rival called"):
        open_generator(spec, embedded_problems("train"))


def test_misspelt_naive_rival_is_refused_before_any_work() -> None:
    with pytest.raises(ConfigError) as caught:
        model_identity("naive:retreival")
    assert caught.value.hint == "did you mean naive:retrieval?"
    assert model_identity("naive:retrieval") == "naive:retrieval"


def test_identity_of_a_directory_follows_its_files(model: Path) -> None:
    before = model_identity(str(model))
    assert model_identity(str(model)) == before
    (model / "model.safetensors").write_bytes((model / "model.safetensors").read_bytes() + b" ")
    assert model_identity(str(model)) != before


def test_model_directory_opens_as_a_generator(model: Path) -> None:
    generator = open_generator(str(model), [], batch_size=2)
    assert isinstance(generator, TextModel)
    assert (generator.name, generator.batch_size) == (str(model), 2)
    assert open_text_model(model, "mine").name == "mine"
    (answer,) = generator.generate([Prompt("Add two numbers.")], Sampling(max_tokens=4, temperature=0))
    assert 0 <= answer.n_tokens <= 4


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json"])
def test_damaged_directory_is_named(model: Path, file: str) -> None:
    path = model / file
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ModelFileError) as caught:
        open_generator(str(model), [])
    assert str(model) in caught.value.message


def test_model_of_another_kind_is_pointed_to_its_rival(model: Path) -> None:
    (model / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    with pytest.raises(ModelFileError, match="gpt2") as caught:
        open_generator(str(model), [])
    assert f"hf:{model}" in caught.value.hint


def test_every_refusal_is_the_callers_to_mend() -> None:
    for spec in ("nowhere", "naive:x", "hf:"):
        with pytest.raises(AskedWronglyError):
            open_generator(spec, embedded_problems("train"))


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("This is no model, though it is long enough to be the head of one.")
    with pytest.raises(ModelFileError, match=r"notes\.txt"):
        open_generator(str(tmp_path / "notes.txt"), [])


def test_a_gguf_file_answers_as_the_directory_it_was_made_of(model: Path, tmp_path: Path) -> None:
    path = export(model, "gguf", embedding="f32", out=tmp_path / "model.gguf").path
    asked, sampling = [Prompt("Add two numbers."), Prompt("Print n.")], Sampling(max_tokens=12, seed=3)
    ours, theirs = (open_generator(str(place), []).generate(asked, sampling) for place in (path, model))
    assert sorted(one.text for one in ours) == sorted(one.text for one in theirs)
