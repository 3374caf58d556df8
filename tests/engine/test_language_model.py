"""The engine behind a TextModel: the running batch writes what the plain way writes."""

import gc
import json
import threading
from dataclasses import replace

import numpy as np
import pytest
from random_models import SMALL, random_weights

from tritcoder.engine.language_model import EngineModel, block_bytes, blocks_for
from tritcoder.engine.reference import ReferenceCore
from tritcoder.errors import AskedWronglyError, ConfigError, PromptError
from tritcoder.generate import TextModel
from tritcoder.protocols import LanguageModel, RunningModel
from tritcoder.records import Completion, Prompt, Sampling
from tritcoder.tokenizer.bpe import Tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(["def add(a, b):\n    return a + b\n", "for i in range(10):\n    print(i)\n"] * 3, 300)


@pytest.fixture(scope="module")
def core() -> ReferenceCore:
    return ReferenceCore(random_weights(replace(SMALL, n_layers=1)))


class Plain:
    """The same model without its running batch; see protocols.LanguageModel."""

    def __init__(self, model: EngineModel) -> None:
        self.name, self.vocab_size, self.max_seq_len = model.name, model.vocab_size, model.max_seq_len
        self.start, self.log_probs = model.start, model.log_probs


def engine(core: ReferenceCore, **settings: int) -> EngineModel:
    return EngineModel(core, "engine", **settings)  # type: ignore[arg-type]


PROMPTS = [
    Prompt("Add two numbers.", task_id="a"),
    Prompt("Add two numbers.", task_id="a", sample=1),
    Prompt("def add(", kind="code", task_id="b"),
    Prompt("def add(", kind="code", suffix="return a", task_id="c", stop=("e", "1")),
    Prompt("x", task_id="d"),
]


def comparable(completion: Completion) -> Completion:
    return replace(completion, first_token_s=0, seconds=0)


def answers(model: LanguageModel, tokenizer: Tokenizer, sampling: Sampling, batch: int = 32) -> dict[str, Completion]:
    found = TextModel(model, tokenizer, batch).generate(PROMPTS, sampling)
    return {f"{one.task_id}{one.sample}": comparable(one) for one in found}


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=0, max_tokens=12),
        Sampling(temperature=1, max_tokens=20, seed=3, logprobs=2),
        Sampling(temperature=1, top_k=9, min_p=0.1, repetition_penalty=1.2, logit_bias=((40, 3.0),), max_tokens=9),
        Sampling(temperature=1, regex="(ab|cd)+[0-9]{2}", max_tokens=15, logprobs=1),
    ],
    ids=str,
)
def test_the_running_batch_writes_what_the_plain_way_writes(
    core: ReferenceCore, tokenizer: Tokenizer, sampling: Sampling
) -> None:
    wanted = answers(Plain(engine(core)), tokenizer, sampling)
    assert len(wanted) == len(PROMPTS)
    ways: list[tuple[dict[str, int], int]] = [({}, 32), ({"speculate": 3, "chunk": 5}, 2)]
    for settings, batch in [*ways, ({"max_running": 2, "cache_bytes": 200_000}, 9)]:
        model = engine(core, **settings)
        assert isinstance(model, RunningModel)
        assert not isinstance(Plain(model), RunningModel)
        assert answers(model, tokenizer, sampling, batch) == wanted
        assert model.batch.idle
        model.batch.check()
    for one in wanted.values():
        assert len(one.scores) == (one.n_tokens if sampling.logprobs else 0)
        assert all(len(score.top) == sampling.logprobs for score in one.scores)


def test_pieces_of_a_stream_are_the_text_and_closing_it_cancels(core: ReferenceCore, tokenizer: Tokenizer) -> None:
    model = engine(core)
    text, sampling = TextModel(model, tokenizer), Sampling(temperature=1, max_tokens=30)
    (completion,) = text.generate([PROMPTS[0]], sampling)
    assert "".join(text.stream(PROMPTS[0], sampling)) == completion.text
    assert "".join(TextModel(Plain(model), tokenizer).stream(PROMPTS[0], sampling)) == completion.text
    stream = text.stream(PROMPTS[0], sampling)
    next(stream)
    assert not model.batch.idle
    stream.close()
    assert model.batch.idle
    some = text.generate(PROMPTS, sampling)
    next(some)
    del some
    gc.collect()
    assert model.batch.idle
    model.batch.check()


def test_threads_share_the_running_batch(core: ReferenceCore, tokenizer: Tokenizer) -> None:
    sampling = Sampling(temperature=1, max_tokens=15)
    model = engine(core)
    wanted = answers(model, tokenizer, sampling)
    found: list[dict[str, Completion]] = []
    threads = [
        threading.Thread(target=lambda: found.append(answers(model, tokenizer, sampling, 2))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [wanted] * 4
    assert model.batch.idle
    model.batch.check()


def test_an_empty_prompt_ends_the_others_too(core: ReferenceCore, tokenizer: Tokenizer) -> None:
    model = engine(core)
    with pytest.raises(PromptError, match="empty"):
        list(TextModel(model, tokenizer).generate([Prompt("a"), Prompt(" ")], Sampling()))
    assert model.batch.idle


def test_log_probabilities_are_those_of_the_logits(core: ReferenceCore) -> None:
    model = engine(core)
    ids = np.random.default_rng(0).integers(0, 300, 90).tolist()
    logits = model.logits(ids).astype(np.float64)
    assert logits.shape == (90, SMALL.vocab_size)
    log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    first, second = model.log_probs([ids, ids[:1]])
    np.testing.assert_allclose(first, [0, *(log_probs[n, ids[n + 1]] for n in range(89))], rtol=1e-5)
    assert second.tolist() == [0]
    decoding = model.start([ids[:40], ids])
    np.testing.assert_array_equal(decoding.logits, logits[[39, 89]].astype(np.float32))
    decoding.keep([0])
    decoding.append(np.array([ids[40]]))
    np.testing.assert_array_equal(decoding.logits, logits[[40]].astype(np.float32))


def test_memory_is_what_was_asked_for(core: ReferenceCore) -> None:
    for kv_dtype in ("float16", "int8"):
        size = block_bytes(core.shape, kv_dtype)
        assert core.new_pool(3, kv_dtype).block_bytes == size
        assert blocks_for(core.shape, kv_dtype, 10 * size + 1) == 10
        assert blocks_for(core.shape, kv_dtype, None) >= 5
        with pytest.raises(ConfigError, match="positions take"):
            blocks_for(core.shape, kv_dtype, size - 1)
    with pytest.raises(ConfigError, match="speculate"):
        engine(core, speculate=-1)
    for ids in ([], [400], [1] * 161):
        with pytest.raises(PromptError):
            engine(core).logits(ids)


# Grammars


def test_an_answer_keeps_to_its_schema(core: ReferenceCore, tokenizer: Tokenizer) -> None:
    properties = {"n": {"type": "integer", "minimum": 0, "maximum": 9}, "ok": {"type": "boolean"}}
    schema = {"type": "object", "properties": properties, "required": ["n", "ok"], "additionalProperties": False}
    schema["x-guidance"] = {"whitespace_flexible": False}
    for seed in range(3):
        sampling = Sampling(temperature=1, max_tokens=60, json_schema=json.dumps(schema), seed=seed)
        (one,) = TextModel(engine(core, speculate=2), tokenizer).generate([PROMPTS[0]], sampling)
        assert one.finish_reason == "stop"
        assert set(json.loads(one.text)) == {"n", "ok"}


def test_an_answer_keeps_to_its_grammar(core: ReferenceCore, tokenizer: Tokenizer) -> None:
    sampling = Sampling(temperature=1, max_tokens=60, grammar='start: "é" ("x" | "y") "\\n"')
    (one,) = TextModel(engine(core), tokenizer).generate([PROMPTS[0]], sampling)
    assert one.text in ("éx\n", "éy\n")


@pytest.mark.parametrize(
    "sampling", [Sampling(json_schema="{"), Sampling(regex="(("), Sampling(grammar="start: nothing")], ids=str
)
def test_what_is_no_grammar_is_refused(core: ReferenceCore, tokenizer: Tokenizer, sampling: Sampling) -> None:
    model = engine(core)
    with pytest.raises(AskedWronglyError):
        list(TextModel(model, tokenizer).generate(PROMPTS, sampling))
    assert model.batch.idle
