"""A GPT-2 of two layers, drawn at random, with a tokenizer of single bytes."""

import functools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

import torch
import transformers

from tritcoder.baselines.hf import HFGenerator
from tritcoder.baselines.prompting import apps_prompt, instruction, seed_of
from tritcoder.errors import ModelFileError, PromptError
from tritcoder.protocols import LikelihoodModel
from tritcoder.records import Completion, Prompt, Sampling

CONTEXT = 96
END = "<|endoftext|>"


def byte_tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({char: place for place, char in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    wrap: Any = transformers.PreTrainedTokenizerFast
    return wrap(tokenizer_object=tokenizer, eos_token=END, bos_token=END)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gpt2")
    tokenizer = byte_tokenizer()
    tokenizer.save_pretrained(path)
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=CONTEXT,
        n_embd=16,
        n_layer=2,
        n_head=2,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.eos_token_id,
        initializer_range=0.5,
    )
    transformers.GPT2LMHeadModel(config).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> HFGenerator:
    return HFGenerator(str(checkpoint), batch_size=3)


def prompts(n: int, text: str = "Add.") -> list[Prompt]:
    return [Prompt(text + "x" * sample, task_id="t", sample=sample) for sample in range(n)]


def answers(model: HFGenerator, asked: list[Prompt], **sampling: Any) -> list[Completion]:
    return list(model.generate(asked, Sampling(**{"max_tokens": 12, "temperature": 1.0, "top_p": 1.0, **sampling})))


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
    wide = HFGenerator(str(checkpoint), batch_size=n_drawn)
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
        for prompt in prompts(9):
            taken.append(prompt.sample)
            yield prompt

    writing = model.generate(stream(), Sampling(max_tokens=2))
    next(writing)
    writing.close()  # type: ignore[attr-defined]
    assert taken == [0, 1, 2]


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
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}<reply>"
    network = transformers.AutoModelForCausalLM.from_pretrained(checkpoint)
    network.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    chat = HFGenerator(str(tmp_path))
    prompt = Prompt("Add.", starter_code="def add(a):", call_based=True)
    assert chat._tokenizer.decode(chat._prompt_ids(prompt, 9999)) == f"<user>{instruction(prompt)}<reply>"
    assert chat._tokenizer.decode(chat._prompt_ids(Prompt("x = ", kind="code"), 99)) == "x = "


def test_seeds_are_those_of_all_rivals(model: HFGenerator) -> None:
    sampling, prompt = Sampling(seed=3, max_tokens=1, temperature=1.0, top_p=1.0), prompts(1)[0]
    noise = torch.rand(257, generator=torch.Generator().manual_seed(seed_of(sampling, prompt)), dtype=torch.float64)
    logits = reference_logits(Path(model.name.removeprefix("hf:")), model._prompt_ids(prompt, 9999))[-1]
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
