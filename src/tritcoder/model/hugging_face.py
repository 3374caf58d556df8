"""A model as a Hugging Face directory, in and out: the one file that knows their names.

    config.json              model_type `bitnet`; for the ternary model also how its linear layers quantise
    model.safetensors        latent float weights (`online` mode: quantised at each call)
    tokenizer.json, tokenizer_config.json, chat_template.jinja, generation_config.json

The directory loads in transformers 4.57 and 5: `rope_theta` is written for the one, `rope_parameters` for the other.
"""

import json
import math
import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors import torch as safetensors
from torch import Tensor

from tritcoder.config import build
from tritcoder.errors import ConfigError, ModelFileError
from tritcoder.model.transformer import Transformer
from tritcoder.provenance import whole_file, write_json
from tritcoder.ternary.shape import ModelConfig

_NAMES = (
    (r"embedding\.weight", r"model.embed_tokens.weight"),
    (r"norm\.weight", r"model.norm.weight"),
    (r"blocks\.(\d+)\.attention_norm\.weight", r"model.layers.\1.input_layernorm.weight"),
    (r"blocks\.(\d+)\.attention\.([qkvo])\.weight", r"model.layers.\1.self_attn.\2_proj.weight"),
    (r"blocks\.(\d+)\.attention\.sub_norm\.weight", r"model.layers.\1.self_attn.attn_sub_norm.weight"),
    (r"blocks\.(\d+)\.feed_forward_norm\.weight", r"model.layers.\1.post_attention_layernorm.weight"),
    (r"blocks\.(\d+)\.feed_forward\.(gate|up|down)\.weight", r"model.layers.\1.mlp.\2_proj.weight"),
    (r"blocks\.(\d+)\.feed_forward\.sub_norm\.weight", r"model.layers.\1.mlp.ffn_sub_norm.weight"),
)
_MAX_SEQ_LEN = 1 << 20
"""A longer context is an attack or an accident: memory is set aside for all of it."""
_QUANTIZATION = {"quant_method": "bitnet", "linear_class": "autobitlinear", "quantization_mode": "online"}


def save(
    model: Transformer, directory: Path, tokenizer: dict[str, Any] | None = None, chat_template: str = ""
) -> None:
    """Write the directory; `config.json` comes last, so that a directory with one is complete.

    Args:
        model: its latent weights are written as float32.
        directory: made if missing.
        tokenizer: the content of `tokenizer.json`; its special tokens hold `<|endoftext|>`.
        chat_template: Jinja text for `apply_chat_template`; none if empty.

    Raises:
        StorageError: the disk is full.
    """
    tensors = {_their_name(name): tensor.float().contiguous() for name, tensor in model.state_dict().items()}
    with whole_file(directory / "model.safetensors", "wb") as file:
        file.write(safetensors.save(tensors, metadata={"format": "pt"}))
    if tokenizer is not None:
        _write_tokenizer(directory, tokenizer, model.config, chat_template)
    write_json(directory / "config.json", to_their_config(model.config))


def load(directory: Path) -> Transformer:
    """Read a directory that `save` wrote, or another BitNet directory with latent weights.

    Raises:
        ModelFileError: no such directory, a model of another kind, or a damaged or ill-fitting weight file.
    """
    config = from_their_config(_read_config(directory), directory)
    path = directory / "model.safetensors"
    try:
        tensors = safetensors.load(path.read_bytes())
    except FileNotFoundError:
        raise ModelFileError(
            f"{directory} has a config.json but no model.safetensors", "export the model again"
        ) from None
    except SafetensorError as error:
        raise ModelFileError(f"{path} is damaged ({error})", "export the model again") from None
    held = sum(tensor.numel() for tensor in tensors.values())
    if config.parameters > 2 * held:  # not to be built at all; what misfits by less is named below
        raise ModelFileError(
            f"{path} holds {held:,} weights, config.json describes {config.parameters:,}", "export the model again"
        )
    model = Transformer(config)
    state: dict[str, Tensor] = {}
    for name, parameter in model.state_dict().items():
        tensor = tensors.get(_their_name(name))
        if tensor is None or tensor.shape != parameter.shape:
            found = "none" if tensor is None else tuple(tensor.shape)
            raise ModelFileError(
                f"{path}: tensor {_their_name(name)} should have shape {tuple(parameter.shape)}, found {found}",
                "export the model again; packed weights are not read here",
            )
        if not torch.isfinite(tensor).all():
            raise ModelFileError(f"{path}: tensor {_their_name(name)} holds NaN or infinity", "train again")
        state[name] = tensor.float()
    model.load_state_dict(state)
    return model


def to_their_config(config: ModelConfig) -> dict[str, Any]:
    """config.json for a model of this shape."""
    content: dict[str, Any] = {
        "model_type": "bitnet",
        "architectures": ["BitNetForCausalLM"],
        "vocab_size": config.vocab_size,
        "hidden_size": config.dim,
        "intermediate_size": config.hidden_dim,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "num_key_value_heads": config.n_kv_heads,
        "max_position_embeddings": config.max_seq_len,
        "hidden_act": config.hidden_act,
        "rms_norm_eps": config.norm_eps,
        "rope_theta": config.rope_theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_theta},
        "tie_word_embeddings": True,
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "pad_token_id": 0,
        "torch_dtype": "float32",
        "dtype": "float32",
    }
    if config.quantization == "ternary":
        content["quantization_config"] = _QUANTIZATION
    return content


def from_their_config(content: dict[str, Any], directory: Path) -> ModelConfig:
    """The shape that a config.json describes.

    Raises:
        ModelFileError: it describes a model that is not ours to run.
    """
    kind = content.get("model_type")
    if kind != "bitnet":
        raise ModelFileError(
            f"{directory} holds a model of kind {kind!r}, tritcoder reads 'bitnet'",
            f"for another kind of model use hf:{directory}",
        )
    if not content.get("tie_word_embeddings", False):
        raise ModelFileError(f"{directory} has an output head of its own, tritcoder ties it to the embedding")
    quantization = content.get("quantization_config")
    if quantization is not None and (
        not isinstance(quantization, dict) or quantization.get("quantization_mode") != "online"
    ):
        raise ModelFileError(f"{directory} holds packed weights", "use the directory with the latent weights")
    path = directory / "config.json"
    try:
        shape = {
            "vocab_size": content["vocab_size"],
            "dim": content["hidden_size"],
            "n_layers": content["num_hidden_layers"],
            "n_heads": content["num_attention_heads"],
            "n_kv_heads": content.get("num_key_value_heads") or content["num_attention_heads"],
            "hidden_dim": content["intermediate_size"],
            "max_seq_len": content["max_position_embeddings"],
            "rope_theta": content.get("rope_theta") or content["rope_parameters"]["rope_theta"],
            "norm_eps": content["rms_norm_eps"],
            "hidden_act": content["hidden_act"],
            "quantization": "ternary" if quantization else "none",
        }
        config = build(ModelConfig, shape, str(path))
    except (KeyError, TypeError) as error:
        raise ModelFileError(f"{path} lacks or garbles {error}", "export the model again") from None
    except ConfigError as error:
        raise ModelFileError(error.message, error.hint or "export the model again") from None
    if not (0 < config.rope_theta < math.inf and 0 < config.norm_eps < 1 and config.max_seq_len <= _MAX_SEQ_LEN):
        raise ModelFileError(
            f"{path}: rope_theta ({config.rope_theta}) should be above 0 and finite, "
            f"rms_norm_eps ({config.norm_eps}) between 0 and 1, "
            f"max_position_embeddings ({config.max_seq_len}) at most {_MAX_SEQ_LEN}",
            "export the model again",
        )
    return config


def _read_config(directory: Path) -> dict[str, Any]:
    path = directory / "config.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise ModelFileError(f"no model at {directory} (it has no config.json)", "give a model directory") from None
    except ValueError as error:
        raise ModelFileError(f"{path} is not JSON ({error})", "export the model again") from None
    if not isinstance(content, dict):
        raise ModelFileError(f"{path} should hold an object, found {type(content).__name__}")
    return content


def _their_name(name: str) -> str:
    for ours, theirs in _NAMES:
        if match := re.fullmatch(ours, name):
            return match.expand(theirs)
    raise AssertionError(f"parameter {name} has no Hugging Face name")


def _write_tokenizer(directory: Path, content: dict[str, Any], config: ModelConfig, chat_template: str) -> None:
    end = "<|endoftext|>"
    write_json(directory / "tokenizer.json", content)
    settings: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": end,
        "eos_token": end,
        "pad_token": end,
        "model_max_length": config.max_seq_len,
        "clean_up_tokenization_spaces": False,
    }
    if chat_template:
        settings["chat_template"] = chat_template
        with whole_file(directory / "chat_template.jinja") as file:
            file.write(chat_template)
    write_json(directory / "tokenizer_config.json", settings)
    generation = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0, "max_new_tokens": config.max_seq_len // 2}
    write_json(directory / "generation_config.json", generation)
