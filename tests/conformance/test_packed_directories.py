"""A packed directory is, to stock transformers, the model that training left."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.conformance.exchange import Exchanged, divergence

from tritcoder.ternary.format import write_packed

KL_TOLERANCE = 1e-5
"""Rounding borders apart, the two are one function in float32."""
TOP_1 = 0.95

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


def their_logits(directory: Path, ids: list[int]) -> np.ndarray:
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    model.eval()
    with torch.no_grad():
        logits: np.ndarray = model(torch.tensor([ids])).logits[0].numpy()
    return logits


def test_packed_logits_are_those_of_the_latent_model(exchanged: Exchanged, tmp_path: Path) -> None:
    write_packed(tmp_path / "packed", exchanged.weights)
    theirs = their_logits(tmp_path / "packed", exchanged.ids)
    assert divergence(exchanged.logits, theirs) < KL_TOLERANCE
    assert (theirs.argmax(-1) == exchanged.logits.argmax(-1)).mean() > TOP_1
    packed, latent = (
        (folder / "model.safetensors").stat().st_size for folder in (tmp_path / "packed", exchanged.directory)
    )
    assert packed < latent / 4


def test_packed_tokenizer_is_that_of_the_latent_model(exchanged: Exchanged, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    write_packed(tmp_path / "packed", exchanged.weights)
    theirs: Any = AutoTokenizer.from_pretrained(tmp_path / "packed")
    text = "def add(a, b):\n\treturn a  + b\n"
    assert theirs(text)["input_ids"] == exchanged.tokenizer.encode(text)
    asked = [{"role": "user", "content": "Add."}]
    assert theirs.apply_chat_template(asked, tokenize=False) == "<|problem|>Add.<|standard_input|><|answer|>"
