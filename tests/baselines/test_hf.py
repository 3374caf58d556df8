"""A GPT-2 of two layers, drawn at random, with a tokenizer of single bytes."""

import functools
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

import torch
import transformers

from tritcoder.baselines.checkpoint import HFSettings
from tritcoder.baselines.hf import WINDOW, HFGenerator
from tritcoder.baselines.prompting import apps_prompt, instruction, seed_of
from tritcoder.errors import ModelFileError, PromptError, WorkFailedError
from tritcoder.protocols import LikelihoodModel
from tritcoder.records import Completion, Prompt, Sampling

CONTEXT = 96


@pytest.fixture(scope="module")
def checkpoint(tiny_gpt2: Path) -> Path:
    return tiny_gpt2


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> HFGenerator:
    return HFGenerator(str(checkpoint), HFSettings(batch=3))


def prompts(n: int, text: str = "Add.") -> list[Prompt]:
    return [Prompt(text + "x" * sample, task_id="t", sample=sample) for sample in range(n)]


def answers(model: HFGenerator, asked: list[Prompt], **sampling: Any) -> list[Completion]:
    given = model.generate(asked, Sampling(**{"max_tokens": 12, "temperature": 1.0, "top_p": 1.0, **sampling}))
    return sorted(given, key=lambda answer: answer.sample)  # within a window the longest prompt is answered first


@functools.cache
def reference_network(checkpoint: Path) -> Any:
    network: Any = transformers.AutoModelForCausalLM.from_pretrained(checkpoint)
    return network.eval()


def reference_logits(checkpoint: Path, ids: list[int]) -> np.ndarray:
    """Logits (T, V) by transformers alone: one sequence, no cache, no padding."""
    network = reference_network(checkpoint)
    with torch.inference_mode():
        return np.asarray(network(torch.tensor([ids])).logits[0].double().numpy())


def test_greedy_text_equals_a_loop_without_cache_or_padding(model: HFGenerator, checkpoint: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)
    asked = prompts(3)
    for prompt, answer in zip(asked, answers(model, asked, temperature=0.0), strict=True):
        ids = tokenizer(apps_prompt(prompt))["input_ids"]
        written: list[int] = []
        while len(written) < 12:
            token = int(reference_logits(checkpoint, ids + written)[-1].argmax())
            if token == tokenizer.eos_token_id:
                break
            written.append(token)
        assert answer.text == tokenizer.decode(written)
        assert answer.n_prompt_tokens == len(ids)
        assert answer.n_tokens == len(written)
        assert answer.finish_reason == ("length" if len(written) == 12 else "stop")


def test_text_depends_on_seed_task_and_sample_and_on_nothing_else_in_the_batch(model: HFGenerator) -> None:
    asked = prompts(7)
    together = {answer.sample: answer.text for answer in answers(model, asked, seed=5)}
    apart = {prompt.sample: answers(model, [prompt], seed=5)[0].text for prompt in reversed(asked)}
    assert together == apart
    same_words = [Prompt("Add.", task_id="t", sample=sample) for sample in range(4)]
    assert len({answer.text for answer in answers(model, same_words)}) == 4
    assert answers(model, same_words, seed=1)[0].text != answers(model, same_words, seed=2)[0].text


def test_first_tokens_follow_the_softmax(model: HFGenerator, checkpoint: Path) -> None:
    n_drawn = 600
    asked = [Prompt("Add.", task_id="t", sample=sample) for sample in range(n_drawn)]
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)
    logits = reference_logits(checkpoint, tokenizer(apps_prompt(asked[0]))["input_ids"])[-1] / 0.5
    expected = np.exp(logits - logits.max())
    expected /= expected.sum()
    wide = HFGenerator(str(checkpoint), HFSettings(batch=n_drawn))
    drawn = [answer.text for answer in answers(wide, asked, max_tokens=1, temperature=0.5)]
    by_text: dict[str, float] = {}
    for token, share in enumerate(expected):  # bytes that are no character by themselves share one text
        text = str(tokenizer.decode([token], skip_special_tokens=True))
        by_text[text] = by_text.get(text, 0) + share
    for text, share in by_text.items():
        spread = math.sqrt(share * (1 - share) / n_drawn)
        assert drawn.count(text) / n_drawn == pytest.approx(share, abs=5 * spread + 1 / n_drawn)


def test_top_k_of_one_is_greedy_at_any_temperature(model: HFGenerator) -> None:
    greedy = [answer.text for answer in answers(model, prompts(2), temperature=0.0)]
    assert [answer.text for answer in answers(model, prompts(2), temperature=5.0, top_k=1)] == greedy
    assert [answer.text for answer in answers(model, prompts(2), temperature=5.0, top_p=1e-9)] == greedy


def test_prompt_too_long_keeps_both_ends_and_room_for_the_answer(model: HFGenerator) -> None:
    long = Prompt("first " + "middle " * 200 + "last", task_id="t")
    [answer] = answers(model, [long], max_tokens=500)
    assert answer.n_prompt_tokens == CONTEXT // 2
    assert answer.n_tokens <= CONTEXT // 2
    ids = model._prompt_ids(long, 60)
    text = model._tokenizer.decode(ids)
    assert text.startswith("\nQUESTION:\nfirst")
    assert text.endswith(" format\nANSWER:\n")


def test_answer_ends_before_a_stop_string(model: HFGenerator) -> None:
    [whole] = answers(model, prompts(1))
    stop = whole.text[3:5]
    [cut] = answers(model, prompts(1), stop=(stop,))
    assert cut.text == whole.text[: whole.text.index(stop)]
    assert cut.finish_reason == "stop"


def test_each_prompt_heeds_its_own_stop_strings(model: HFGenerator) -> None:
    whole = answers(model, prompts(3))
    asked = prompts(3)
    stop = whole[1].text[2:4]
    asked[1] = replace(asked[1], stop=(stop,))
    cut = answers(model, asked)
    assert [cut[0].text, cut[2].text] == [whole[0].text, whole[2].text]
    assert cut[1].text == whole[1].text[: whole[1].text.index(stop)]
    assert cut[1].finish_reason == "stop"


def test_full_memory_halves_the_batch_and_changes_no_answer(
    checkpoint: Path, model: HFGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = HFGenerator(str(checkpoint), HFSettings(batch=8))
    sizes: list[int] = []
    write = small._model.generate

    def full_above_two(ids: Any, **more: Any) -> Any:
        sizes.append(len(ids))
        written = write(ids, **more)
        if len(ids) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return written

    monkeypatch.setattr(small._model, "generate", full_above_two)
    asked = prompts(12)
    assert [answer.text for answer in answers(small, asked)] == [answer.text for answer in answers(model, asked)]
    assert sizes == [8, 4, 2, 2, 4, 2, 2, 2, 2]
    shown: list[str] = []
    [answer] = HFGenerator.generate(small, asked[:1], Sampling(max_tokens=9), lambda prompt, text: shown.append(text))
    assert "".join(shown) == answer.text


def test_memory_too_small_for_one_answer_is_one_sentence(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = HFGenerator(str(checkpoint))

    def full(ids: Any, **more: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(small._model, "generate", full)
    with pytest.raises(WorkFailedError, match="out of memory") as caught:
        answers(small, prompts(3))
    assert "fewer tokens" in caught.value.hint


def test_batches_hold_prompts_of_like_length(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sorting = HFGenerator(str(checkpoint), HFSettings(batch=2))
    shapes: list[tuple[int, ...]] = []
    write = sorting._model.generate

    def noted(ids: Any, **more: Any) -> Any:
        shapes.append(tuple(ids.shape))
        return write(ids, **more)

    monkeypatch.setattr(sorting._model, "generate", noted)
    asked = [Prompt("x" * n, task_id="t", sample=n) for n in (1, 30, 2, 29)]
    given = list(sorting.generate(asked, Sampling(max_tokens=2)))
    assert shapes[0][1] - shapes[1][1] == 28
    assert [answer.sample for answer in given] == [30, 29, 2, 1]


def test_shown_pieces_are_the_text(model: HFGenerator) -> None:
    shown: dict[int, str] = {}

    def show(prompt: Prompt, piece: str) -> None:
        shown[prompt.sample] = shown.get(prompt.sample, "") + piece

    asked = prompts(5)
    whole = answers(model, asked)
    stop = (whole[0].text[4:6],)
    for answer in model.generate(asked, Sampling(max_tokens=12, temperature=1.0, top_p=1.0, stop=stop), show):
        assert shown.get(answer.sample, "") == answer.text


def test_closing_cancels_the_batches_to_come(model: HFGenerator) -> None:
    taken: list[int] = []

    def stream() -> Any:
        for prompt in prompts(3 * WINDOW + 5):
            taken.append(prompt.sample)
            yield prompt

    writing = model.generate(stream(), Sampling(max_tokens=2))
    next(writing)
    writing.close()  # type: ignore[attr-defined]
    assert taken == list(range(3 * WINDOW))


def test_likelihood_equals_the_sum_over_the_answer(model: HFGenerator, checkpoint: Path) -> None:
    assert isinstance(model, LikelihoodModel)
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)
    pairs = [(Prompt("Add."), "print(1)"), (Prompt("Sub."), "\nprint('é')\n")]
    for (prompt, answer), found in zip(pairs, model.likelihoods(pairs), strict=True):
        head = model._prompt_ids(prompt, CONTEXT // 2)
        scored = answer.strip("\n") + "\n"
        tail = [*tokenizer(scored)["input_ids"], tokenizer.eos_token_id]
        logits = reference_logits(checkpoint, head + tail)
        log_probs = logits - np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1, keepdims=True))
        log_probs -= logits.max(1, keepdims=True)
        nats = -sum(log_probs[len(head) + place - 1, token] for place, token in enumerate(tail))
        assert found.nats == pytest.approx(nats, rel=1e-4)
        assert (found.n_tokens, found.n_chars) == (len(tail), len(scored))
        assert found.n_bytes == len(scored.encode())


def test_long_answer_is_cut_and_only_what_was_scored_is_counted(model: HFGenerator) -> None:
    [found] = model.likelihoods([(Prompt("middle " * 100), "y" * 1000)])
    assert found.n_tokens == found.n_bytes == CONTEXT // 2


def test_chat_template_is_used_where_there_is_one(checkpoint: Path, tmp_path: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)
    tokenizer.chat_template = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}<reply>"
    network = transformers.AutoModelForCausalLM.from_pretrained(checkpoint)
    network.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    chat = HFGenerator(str(tmp_path))
    prompt = Prompt("Add.", starter_code="def add(a):", call_based=True)
    assert chat._tokenizer.decode(chat._prompt_ids(prompt, 9999)) == f"<user>{instruction(prompt)}<reply>"
    assert chat._tokenizer.decode(chat._prompt_ids(Prompt("x = ", kind="code"), 99)) == "x = "


def test_seeds_are_those_of_all_rivals(model: HFGenerator, checkpoint: Path) -> None:
    sampling, prompt = Sampling(seed=3, max_tokens=1, temperature=1.0, top_p=1.0), prompts(1)[0]
    noise = torch.rand(257, generator=torch.Generator().manual_seed(seed_of(sampling, prompt)), dtype=torch.float64)
    logits = reference_logits(checkpoint, model._prompt_ids(prompt, 9999))[-1]
    token = int(np.argmax(logits - np.log(-np.log(noise.numpy()))))
    [answer] = model.generate([prompt], sampling)
    assert answer.text == model._tokenizer.decode([token], skip_special_tokens=True)


def test_what_cannot_be_loaded_is_one_sentence(tmp_path: Path, checkpoint: Path) -> None:
    with pytest.raises(ModelFileError, match="cannot load"):
        HFGenerator("nobody/no-such-checkpoint")
    for file in checkpoint.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelFileError, match="cannot load"):
        HFGenerator(str(tmp_path))


def test_empty_prompt_and_gap_are_refused(model: HFGenerator) -> None:
    with pytest.raises(PromptError, match="empty"):
        answers(model, [Prompt(" ")])
    with pytest.raises(PromptError, match="gap"):
        answers(model, [Prompt("x", kind="code", suffix="y")])
