"""The saved directory means the same to `transformers` as to us."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tritcoder.errors import ModelFileError
from tritcoder.model import hugging_face
from tritcoder.model.transformer import Transformer
from tritcoder.ternary.shape import ModelConfig

ROUNDING_TOLERANCE = 1e-4
"""Two float32 programs of one function may differ by this; by more only on a rounding border."""
ROUNDING_SHARE = 0.01
KL_TOLERANCE = 1e-5

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


def small_model(**changes: object) -> Transformer:
    shape = ModelConfig(vocab_size=512, dim=256, n_layers=3, n_kv_heads=2, hidden_dim=512, max_seq_len=128)
    return Transformer(replace(shape, **changes)).initialise(seed=1)  # type: ignore[arg-type]


def their_logits(directory: Path, ids: Tensor) -> Tensor:
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    model.eval()
    with torch.no_grad():
        logits: Tensor = model(ids).logits
    return logits


@pytest.mark.parametrize("hidden_act", ["silu", "relu2"])
@pytest.mark.parametrize("quantization", ["ternary", "none"])
def test_logits_equal_those_of_transformers(tmp_path: Path, quantization: str, hidden_act: str) -> None:
    model = small_model(quantization=quantization, hidden_act=hidden_act)
    hugging_face.save(model, tmp_path)
    ids = torch.randint(0, 512, (4, 100), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        ours = model(ids)
    theirs = their_logits(tmp_path, ids)
    differing = ((ours - theirs).abs().amax(dim=-1) > ROUNDING_TOLERANCE).float().mean().item()
    kl = torch.nn.functional.kl_div(ours.log_softmax(-1), theirs.log_softmax(-1), log_target=True, reduction="none")
    assert differing < ROUNDING_SHARE
    assert kl.sum(-1).mean().item() < KL_TOLERANCE


def test_ternary_directory_does_not_load_as_full_precision(tmp_path: Path) -> None:
    model = small_model(quantization="ternary")
    hugging_face.save(model, tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["quantization_config"]["quantization_mode"] == "online"
    twin = small_model(quantization="none")
    twin.load_state_dict(model.state_dict())
    ids = torch.arange(64)[None]
    with torch.no_grad():
        assert (model(ids) - twin(ids)).abs().max() > 100 * ROUNDING_TOLERANCE


@pytest.mark.parametrize("quantization", ["ternary", "none"])
def test_saved_model_loads_to_the_same_weights(tmp_path: Path, quantization: str) -> None:
    model = small_model(quantization=quantization)
    hugging_face.save(model, tmp_path)
    again = hugging_face.load(tmp_path)
    assert again.config == model.config
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name


def test_broken_directories_are_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"no config\.json"):
        hugging_face.load(tmp_path)
    hugging_face.save(small_model(), tmp_path)
    weights = tmp_path / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelFileError, match="damaged"):
        hugging_face.load(tmp_path)
    weights.write_bytes(whole)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"intermediate_size": 768}))
    with pytest.raises(ModelFileError, match="should have shape"):
        hugging_face.load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "gpt2"}))
    with pytest.raises(ModelFileError, match="'gpt2'"):
        hugging_face.load(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelFileError, match="not JSON"):
        hugging_face.load(tmp_path)


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    model = small_model()
    with torch.no_grad():
        model.norm.weight[3] = float("nan")
    hugging_face.save(model, tmp_path)
    with pytest.raises(ModelFileError, match="NaN"):
        hugging_face.load(tmp_path)
