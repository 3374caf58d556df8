"""One small model, as training leaves it, and what it is in other programs' formats."""

from pathlib import Path

import pytest
import torch
from tests.conformance.exchange import Exchanged

from tritcoder.model import hugging_face
from tritcoder.model.transformer import Transformer
from tritcoder.ternary.format import read_hugging_face
from tritcoder.ternary.shape import ModelConfig
from tritcoder.tokenizer.bpe import Tokenizer
from tritcoder.tokenizer.template import CHAT_TEMPLATE


@pytest.fixture(scope="session")
def exchanged(tmp_path_factory: pytest.TempPathFactory) -> Exchanged:
    source = Path(__file__).read_text()
    tokenizer = Tokenizer.train([source, "for i in range(10):\n\tprint(i, 'ünïcödé', \"漢字\")\n"] * 3, 600)
    shape = ModelConfig(tokenizer.vocab_size, n_layers=3, n_kv_heads=2, hidden_dim=512, max_seq_len=256)
    model = Transformer(shape).initialise(seed=1)
    directory = tmp_path_factory.mktemp("exchanged") / "model"
    hugging_face.save(model, directory, tokenizer.to_json(), CHAT_TEMPLATE)
    ids = tokenizer.encode(source)[:200]
    with torch.no_grad():
        logits = model(torch.tensor([ids]))[0].numpy()
    return Exchanged(directory, tokenizer, read_hugging_face(directory), ids, logits)
