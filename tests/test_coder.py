"""The face: what a person would type does what it says, and says what is wrong."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tritcoder as package
from tritcoder import TritCoder
from tritcoder.errors import AskedWronglyError, ConfigError, ModelFileError, PromptError, TritcoderError
from tritcoder.ternary.format import read_hugging_face, write_gguf
from tritcoder.tokenizer.bpe import Tokenizer

MOST_IMPORT_S = 0.5
"""Three times what is aimed at, for busy machines."""


@pytest.fixture(scope="module")
def coder(untrained: Path) -> Iterator[TritCoder]:
    with TritCoder.load(untrained, kernel="numpy") as model:
        yield model


def test_words_in_code_out(coder: TritCoder) -> None:
    text = coder.generate("Add two numbers.", max_tokens=5, temperature=0)
    assert isinstance(text, str)
    assert text == coder.generate("Add two numbers.", max_tokens=5, temperature=0)
    assert "".join(coder.generate("Add two numbers.", max_tokens=5, temperature=0, stream=True)) == text
    both = coder.generate(["Add two numbers.", "Sort."], max_tokens=5, temperature=0)
    assert (both[0], len(both)) == (text, 2)


def test_samples_differ_and_a_seed_repeats_them(coder: TritCoder) -> None:
    some = coder.generate("Sort.", max_tokens=8, n=3, temperature=1, seed=5)
    assert len(set(some)) == 3
    assert coder.generate("Sort.", max_tokens=8, n=3, temperature=1, seed=5) == some
    assert coder.generate(["Sort.", "x"], max_tokens=8, n=3, temperature=1, seed=5)[0] == some
    assert coder.generate("Sort.", max_tokens=8, n=3, temperature=1, seed=6) != some


def test_code_is_gone_on_with_and_gaps_are_filled(coder: TritCoder) -> None:
    plain, filled = (
        coder.complete("def add(", suffix, max_tokens=9, temperature=0) for suffix in ("", "return a + b\n")
    )
    assert plain != filled
    assert "".join(coder.complete("def add(", max_tokens=9, temperature=0, stream=True)) == plain


def test_a_chat_of_one_message_is_that_message(coder: TritCoder) -> None:
    asked = [{"role": "user", "content": "Sort."}]
    settings: dict[str, Any] = {"max_tokens": 6, "temperature": 0}
    assert coder.chat(asked, **settings) == coder.generate("Sort.", **settings)
    more = [*asked, {"role": "assistant", "content": "sorted(x)"}, {"role": "user", "content": "Backwards."}]
    assert isinstance(coder.chat(more, **settings), str)
    assert "".join(coder.chat(asked, stream=True, **settings)) == coder.chat(asked, **settings)


def test_completions_tell_all(coder: TritCoder) -> None:
    one, two = coder.completions("Sort.", max_tokens=4, n=2, logprobs=3)
    assert [one.sample, two.sample] == [0, 1]
    assert one.n_tokens == len(one.scores) <= 4
    assert all(len(score.top) == 3 for score in one.scores)


def test_ids_logits_and_perplexity(coder: TritCoder) -> None:
    ids = coder.tokenize("return a + b")
    assert coder.detokenize(ids) == "return a + b"
    logits = coder.logits(ids)
    assert logits.shape == (len(ids), coder.tokenizer.vocab_size)
    log_probs = coder.logits([coder.tokenizer.end_id, *ids]).astype(np.float64)
    log_probs -= np.log(np.exp(log_probs).sum(-1, keepdims=True))
    mean = -np.mean([log_probs[place, token] for place, token in enumerate(ids)])
    assert coder.perplexity("return a + b") == pytest.approx(np.exp(mean), rel=1e-5)
    assert coder.perplexity("return a + b\n" * 30) > 1


def test_answers_keep_to_a_schema_or_a_grammar(coder: TritCoder) -> None:
    schema = {"type": "array", "items": {"enum": [1, 2]}, "minItems": 2, "maxItems": 2}
    schema["x-guidance"] = {"whitespace_flexible": False}
    assert json.loads(coder.generate("x", json_schema=schema, temperature=1)) in ([1, 1], [1, 2], [2, 1], [2, 2])
    assert coder.generate("x", grammar='start: "no"') == "no"
    assert coder.generate("x", regex="[ab]", temperature=1) in ("a", "b")


WRONG: list[tuple[str, Any]] = [
    ("empty", lambda coder: coder.generate("")),
    ("must be text", lambda coder: coder.generate(3)),
    ("must be text", lambda coder: coder.generate(["a", None])),
    ("no setting 'temprature'", lambda coder: coder.generate("a", temprature=1)),
    ("temperature must be", lambda coder: coder.generate("a", temperature=-1)),
    ("another kind", lambda coder: coder.generate("a", temperature="hot")),
    ("max_tokens must be", lambda coder: coder.generate("a", 0)),
    ("n must be", lambda coder: coder.generate("a", n=0)),
    ("a stream is of one", lambda coder: coder.generate(["a"], stream=True)),
    ("must have a message", lambda coder: coder.chat([])),
    ("a role and a content", lambda coder: coder.chat([{"content": "a"}])),
    ("1 to 64 tokens", lambda coder: coder.logits([])),
    ("below", lambda coder: coder.logits([10**6])),
    ("no perplexity", lambda coder: coder.perplexity("")),
    ("JSON schema", lambda coder: coder.generate("a", json_schema="{")),
    ("no model", lambda coder: TritCoder.load(Path(__file__).parent)),
    ("does not exist", lambda coder: TritCoder.load("/nowhere")),
    ("threads", lambda coder: coder.generate("a", threads=3)),
]


@pytest.mark.parametrize(("sentence", "deed"), WRONG)
def test_what_is_wrong_is_said_in_a_sentence(coder: TritCoder, sentence: str, deed: Any) -> None:
    with pytest.raises(TritcoderError, match=sentence) as found:
        deed(coder)
    assert isinstance(found.value, AskedWronglyError | PromptError | ConfigError | ModelFileError)


def test_a_file_a_directory_and_a_run_are_the_same_model(model: Path, tmp_path: Path) -> None:
    weights = read_hugging_face(model)
    write_gguf(tmp_path / "one.gguf", weights)
    run = tmp_path / "run" / "ternary"
    run.mkdir(parents=True)
    model.rename(run / "model")
    texts = set()
    for place in (tmp_path / "one.gguf", run / "model", tmp_path / "run"):
        with TritCoder.load(place, kernel="numpy") as coder:
            texts.add(coder.generate("Sort.", max_tokens=6, temperature=0))
    tokenizer = Tokenizer.load(run / "model" / "tokenizer.json")
    with TritCoder(weights, tokenizer, kernel="numpy", kv_dtype="int8", speculate=3) as coder:
        assert isinstance(coder.generate("Sort.", max_tokens=6, temperature=0), str)
    assert len(texts) == 1


def test_a_closed_model_says_so(untrained: Path) -> None:
    coder = TritCoder.load(untrained, kernel="numpy")
    stream = coder.generate("Sort.", temperature=1, stream=True)
    next(stream)
    coder.close()
    coder.close()
    assert len(list(stream)) <= 1
    with pytest.raises(AskedWronglyError, match="closed"):
        coder.generate("Sort.")


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import time, sys; began = time.perf_counter(); import tritcoder; took = time.perf_counter() - began\n"
        "assert not {'numpy', 'tokenizers', 'torch'} & set(sys.modules)\n"
        f"assert took < {MOST_IMPORT_S}, took\n"
        "from tritcoder import TritCoder; assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    with pytest.raises(AttributeError, match="no attribute 'TritKoder'"):
        package.TritKoder  # noqa: B018
