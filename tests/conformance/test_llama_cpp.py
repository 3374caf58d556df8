"""A GGUF file is, to stock llama.cpp, the model that training left: the same ids, nearly the same predictions.

Equal logits cannot be asked for: llama.cpp rounds activations in blocks of 256, training under one scale a token. A
model of random weights predicts all but uniformly: its first choice is easily another, a trained one's is not.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.conformance.exchange import Exchanged, divergence

from tritcoder.ternary.format import write_gguf

llama_cpp = pytest.importorskip("llama_cpp", reason="pip install 'tritcoder[conformance]'")

KL_TOLERANCE = 1e-3
"""Measured: 3e-4 on random weights of this size, of which rounding activations accounts for 2e-4."""
TOP_1 = 0.8

ODD_TEXTS = (
    "def add(first, second):\n    return first + second\n\n",
    "", " ", "  a", "a  ", "\n\n\n  x\t\ty", "\r\n\r\n", "a\u00a0b\u2003c\u3000 d", " \u1680 \u0085\u000b\u000c",
    "it's we'll I'D 've", "1234567 ٣٤ ²³½ ⅷ ①", "漢字かな한글 ไทย देवनागरी", "e\u0301 \u200d👩‍💻🏽 𝔘𝔫𝔦 𝟘𝟙",
    "<|endoftext|> <|problem|>", "\x01\x1c\x1d\x1e\x1f\x7f", "\u2028\u2029 \ufeff \u180e \u200b ªº µ ǅ ʰ",
    "x=1;y_2 = __init__(**k)  # ok\n\n    \n\tif",
)  # fmt: skip


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    model = llama_cpp.Llama(str(path), n_ctx=256, n_batch=256, n_threads=2, logits_all=True, verbose=False)
    try:
        yield model
    finally:
        model.close()


@pytest.mark.parametrize(("layout", "embedding"), [("tq2_0", "q8_0"), ("tq1_0", "f16"), ("f32", "f32")])
def test_llama_cpp_predicts_what_the_trained_model_predicts(
    exchanged: Exchanged, tmp_path: Path, layout: Any, embedding: Any
) -> None:
    write_gguf(tmp_path / "x.gguf", exchanged.weights, layout, embedding)
    with opened(tmp_path / "x.gguf") as model:
        model.eval(exchanged.ids)
        theirs = np.array(model.scores[: len(exchanged.ids)])
    assert divergence(exchanged.logits, theirs) < KL_TOLERANCE
    assert (theirs.argmax(-1) == exchanged.logits.argmax(-1)).mean() > TOP_1


def test_llama_cpp_makes_the_same_ids_of_every_text(exchanged: Exchanged, tmp_path: Path) -> None:
    write_gguf(tmp_path / "x.gguf", exchanged.weights)
    with opened(tmp_path / "x.gguf") as model:
        for text in ODD_TEXTS:
            theirs = model.tokenize(text.encode(), add_bos=False, special=False)
            assert theirs == exchanged.tokenizer.encode(text), repr(text)
        assert model.token_eos() == exchanged.tokenizer.end_id
        assert model.metadata["tokenizer.chat_template"] == exchanged.weights.metadata["tokenizer.chat_template"]
