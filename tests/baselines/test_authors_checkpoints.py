"""GPT-2 and GPT-Neo as the APPS authors published and ran them: folders, beams, lengths; held to `transformers`."""

import pickle
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

import torch
import transformers

from tritcoder.baselines.checkpoint import HFSettings, load_checkpoint
from tritcoder.baselines.hf import HFGenerator
from tritcoder.baselines.prompting import apps_prompt
from tritcoder.baselines.registry import open_baseline
from tritcoder.errors import ConfigError, ModelFileError
from tritcoder.records import Completion, Prompt, Sampling

FAMILIES = ("tiny_gpt2", "tiny_gpt_neo")
ASKED = [Prompt("Add " + "1 2 " * (sample % 4), task_id="t", sample=sample) for sample in range(7)]


@pytest.fixture(params=FAMILIES)
def folder(request: pytest.FixtureRequest) -> Path:
    path: Path = request.getfixturevalue(request.param)
    return path


def answers(model: HFGenerator, asked: list[Prompt], **sampling: Any) -> list[Completion]:
    given = model.generate(asked, Sampling(**{"max_tokens": 14, "temperature": 0.0, **sampling}))
    return sorted(given, key=lambda answer: answer.sample)


def searched_alone(folder: Path, prompt: Prompt, beams: int, **more: Any) -> list[int]:
    """What `transformers` writes for one prompt: no batch, no padding, no code of ours."""
    network: Any = transformers.AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ids = torch.tensor([tokenizer(apps_prompt(prompt))["input_ids"]])
    with torch.inference_mode():
        found = network.eval().generate(
            ids,
            attention_mask=torch.ones_like(ids),
            num_beams=beams,
            early_stopping=True,
            do_sample=False,
            pad_token_id=256,
            **more,
        )
    written: list[int] = found[0, ids.shape[1] :].tolist()
    return written[: written.index(256)] if 256 in written else written


@pytest.mark.parametrize("beams", [2, 5])
def test_beams_in_a_batch_find_what_transformers_finds_for_each_prompt(folder: Path, beams: int) -> None:
    model = HFGenerator(str(folder), HFSettings(beams=beams, batch=3))
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    for prompt, answer in zip(ASKED, answers(model, ASKED), strict=True):
        ids = searched_alone(folder, prompt, beams, max_new_tokens=14)
        assert answer.text == tokenizer.decode(ids)
        assert answer.n_tokens == len(ids)
        assert answer.finish_reason == ("length" if len(ids) == 14 else "stop")


def test_one_token_after_another_is_alike_alone_and_in_a_batch(folder: Path) -> None:
    together = answers(HFGenerator(str(folder), HFSettings(batch=7)), ASKED, temperature=1.0)
    alone = answers(HFGenerator(str(folder), HFSettings(batch=1)), ASKED, temperature=1.0)
    assert [answer.text for answer in together] == [answer.text for answer in alone]


def test_beams_are_the_same_each_time_and_for_every_sample(folder: Path) -> None:
    model = HFGenerator(str(folder), HFSettings(beams=3, batch=2))
    asked = [Prompt("Add.", task_id="t", sample=sample) for sample in range(3)]
    texts = {answer.text for seed in (1, 2) for answer in answers(model, asked, seed=seed, temperature=1.0)}
    assert len(texts) == 1


def test_beams_end_before_stop_strings_of_their_row(folder: Path) -> None:
    model = HFGenerator(str(folder), HFSettings(beams=3, batch=4))
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    [whole] = answers(model, ASKED[1:2])
    stop = next(char for char in whole.text[2:] if char.isascii())  # a byte that is a character by itself
    other = answers(model, ASKED[2:3])[0]
    cut, untouched = answers(model, [replace(ASKED[1], stop=(stop,)), ASKED[2]])
    ids = searched_alone(folder, ASKED[1], 3, max_new_tokens=14, stop_strings=[stop], tokenizer=tokenizer)
    found = tokenizer.decode(ids)
    assert cut.text == (found[: found.index(stop)] if stop in found else found)
    assert stop not in cut.text
    assert untouched.text == other.text
    assert answers(model, ASKED[1:2], stop=(stop,))[0].text == cut.text


def test_beams_show_the_whole_text_once(folder: Path) -> None:
    shown: list[tuple[int, str]] = []
    model = HFGenerator(str(folder), HFSettings(beams=2))
    given = list(
        model.generate(ASKED[:2], Sampling(max_tokens=5), lambda prompt, text: shown.append((prompt.sample, text)))
    )
    assert sorted(shown) == sorted((answer.sample, answer.text) for answer in given)


def test_authors_recipe_fills_the_context_and_leaves_long_prompts_without_an_answer(tiny_gpt2: Path) -> None:
    model = HFGenerator(str(tiny_gpt2), HFSettings(recipe="authors", batch=4))
    longest = 96 - len(apps_prompt(Prompt("x")))
    asked = [Prompt("x" * n, task_id="t", sample=n) for n in (1, longest, longest + 1, 300)]
    given = answers(model, asked, max_tokens=1023)
    assert [answer.n_prompt_tokens for answer in given] == [len(apps_prompt(prompt)) for prompt in asked]
    assert [answer.finish_reason for answer in given[2:]] == ["error", "error"]
    assert "leaves no room" in given[3].error
    assert given[1].n_tokens <= 1
    for prompt, answer in zip(asked[:2], given[:2], strict=True):
        ids = searched_alone(tiny_gpt2, prompt, 5, max_length=96)
        assert answer.n_tokens == len(ids)
    assert model.name == f"hf:{tiny_gpt2}?recipe=authors&batch=4"


def test_authors_length_is_1023_tokens() -> None:
    from tritcoder.baselines.hf import AUTHORS_LENGTH

    input_ids = torch.zeros((1, 700))
    assert 1024 - len(input_ids) == AUTHORS_LENGTH  # the expression of their script, whatever the prompt's length


def old_folder(source: Path, to: Path) -> Path:
    """A folder as the authors' archive holds it: config.json and pytorch_model.bin, with masks among the weights."""
    to.mkdir()
    shutil.copy(source / "config.json", to)
    weights = dict(transformers.AutoModelForCausalLM.from_pretrained(source).state_dict())
    if "transformer.h.0.attn.c_attn.weight" in weights:
        weights["transformer.h.0.attn.bias"] = torch.ones(1, 1, 96, 96, dtype=torch.uint8).tril()
        weights["transformer.h.0.attn.masked_bias"] = torch.tensor(-1e4)
    torch.save(weights, to / "pytorch_model.bin")
    return to


@pytest.mark.parametrize("place", [".", "tokenizer", "../tokenizer"])
def test_tokenizer_may_lie_in_the_folder_below_it_or_beside_it(folder: Path, place: str, tmp_path: Path) -> None:
    old = old_folder(folder, tmp_path / "1.5B")
    (old / place).mkdir(exist_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(folder / name, old / place)
    new, model = HFGenerator(str(folder)), HFGenerator(str(old))
    assert [answer.text for answer in answers(model, ASKED)] == [answer.text for answer in answers(new, ASKED)]


def test_tokenizer_may_be_named_and_must_fit(folder: Path, tmp_path: Path) -> None:
    old = old_folder(folder, tmp_path / "old")
    assert load_checkpoint(str(old), HFSettings(tokenizer=str(folder))).tokenizer.eos_token_id == 256
    larger = transformers.AutoTokenizer.from_pretrained(folder)
    larger.add_tokens(["more"])
    larger.save_pretrained(old / "tokenizer")
    with pytest.raises(ModelFileError, match="holds 258 tokens, the network only 257"):
        HFGenerator(str(old))


def test_familys_tokenizer_is_taken_from_the_hubs_cache(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = old_folder(folder, tmp_path / "old")
    load = transformers.AutoTokenizer.from_pretrained
    asked: list[str] = []

    def cached(name: Any, **more: Any) -> Any:
        asked.append(str(name))
        if name != "openai-community/gpt2":
            raise OSError("not in the cache")
        return load(folder, **more)

    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", cached)
    assert load_checkpoint(str(old), HFSettings()).tokenizer.eos_token_id == 256
    assert asked == ["gpt2", "openai-community/gpt2"]


def test_folder_without_a_tokenizer_is_told_what_to_copy(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tritcoder.baselines.checkpoint.GPT2_TOKENIZER", ())
    old = old_folder(folder, tmp_path / "old")
    with pytest.raises(ModelFileError, match="holds weights but no tokenizer") as caught:
        HFGenerator(str(old))
    assert f"copy vocab.json and merges.txt of gpt2 to {old / 'tokenizer'}" in caught.value.hint


class Trap:
    """Runs a command when it is read as a pickle."""

    def __init__(self, touched: Path) -> None:
        self.touched = touched

    def __reduce__(self) -> Any:
        return Path.touch, (self.touched,)


def test_weights_are_read_as_data_and_never_run(tiny_gpt2: Path, tmp_path: Path) -> None:
    old = old_folder(tiny_gpt2, tmp_path / "old")
    byproduct = tmp_path / "touched"
    (old / "pytorch_model.bin").write_bytes(pickle.dumps({"transformer.wte.weight": Trap(byproduct)}))
    with pytest.raises(ModelFileError, match="cannot load"):
        HFGenerator(str(old), HFSettings(tokenizer=str(tiny_gpt2)))
    torch.save({"transformer.wte.weight": Trap(byproduct)}, old / "pytorch_model.bin")
    with pytest.raises(ModelFileError, match="cannot load"):
        HFGenerator(str(old), HFSettings(tokenizer=str(tiny_gpt2)))
    assert not byproduct.exists()


def test_dtype_is_single_on_the_cpu_and_what_was_asked_elsewhere(tiny_gpt2: Path) -> None:
    assert load_checkpoint(str(tiny_gpt2), HFSettings(device="cpu")).network.dtype is torch.float32
    asked = HFSettings(device="cpu", dtype="bfloat16")
    assert load_checkpoint(str(tiny_gpt2), asked).network.dtype is torch.bfloat16
    assert answers(HFGenerator(str(tiny_gpt2), asked), ASKED[:2])


@pytest.mark.parametrize(
    ("bf16", "recipe", "dtype"),
    [(True, "own", "bfloat16"), (False, "own", "float16"), (True, "authors", "float32")],
)
def test_gpu_takes_a_half_precision_unless_the_authors_did_not(
    bf16: bool, recipe: Any, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tritcoder.baselines.checkpoint import _dtype

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: bf16)
    assert _dtype(HFSettings(recipe=recipe), "cuda") == dtype


def test_absent_gpu_is_one_sentence(tiny_gpt2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="finds no CUDA device"):
        open_baseline(f"hf:{tiny_gpt2}?device=cuda:1", [])


def test_settings_follow_the_path(tiny_gpt2: Path) -> None:
    name = f"hf:{tiny_gpt2}?beams=2&dtype=float32&batch=3"
    model = open_baseline(name, [])
    assert model.name == name


@pytest.mark.parametrize(
    ("query", "sentence", "hint"),
    [
        ("beam=5", "unknown key beam", "did you mean beams?"),
        ("beams=-1", "beams must be int, found '-1'", ""),
        ("batch=0", "batch must be at least 1", ""),
        ("batch=two", "batch must be int", ""),
        ("dtype=int8", "dtype must be one of", ""),
        ("device=gpu", "device must be", ""),
        ("recipe=author", "recipe must be one of", ""),
        ("beams=2&beams=3", "gives beams twice", ""),
        ("beams", "followed by key=value, found 'beams'", "for example"),
        ("beams=", "followed by key=value", ""),
        ("", "followed by key=value, found ''", ""),
    ],
)
def test_settings_that_make_no_sense_are_refused(query: str, sentence: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_baseline(f"hf:x?{query}", [])
    assert sentence in caught.value.message
    assert hint in caught.value.hint
