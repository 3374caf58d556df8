"""Hugging Face's names for our tensors and settings, and the small files of a model directory.

    config.json              model_type `bitnet`; for the ternary model also how its linear layers are held
    tokenizer.json, tokenizer_config.json, chat_template.jinja, generation_config.json

What is written loads in transformers 4.57 and 5: `rope_theta` is there for the one, `rope_parameters` for the other.
"""

import json
import math
import re
from pathlib import Path
from typing import Any, Literal

from tritcoder.config import build
from tritcoder.errors import ConfigError, ModelFileError
from tritcoder.provenance import whole_file, write_json
from tritcoder.ternary.shape import ModelConfig

Packing = Literal["none", "online", "offline", "bitlinear"]
"""How the linear layers lie in `model.safetensors`.

    none        floats, used as they are: the full-precision twin
    online      latent floats, rounded to trits at each call
    offline     trits, four in a byte; `weight_scale` multiplies
    bitlinear   the same; `weight_scale` divides
"""

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
_MAX_SIZE = 1 << 50
_MAX_TEXT_BYTES = 1 << 26
_QUANTIZATION = {"quant_method": "bitnet", "linear_class": "autobitlinear"}


def their_name(name: str) -> str:
    """Hugging Face's name of one of our parameters."""
    for ours, theirs in _NAMES:
        if match := re.fullmatch(ours, name):
            return match.expand(theirs)
    raise AssertionError(f"parameter {name} has no Hugging Face name")


def to_their_config(config: ModelConfig, packing: Packing = "online") -> dict[str, Any]:
    """config.json for a model of this shape; `packing` is heeded where the model is ternary."""
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
        assert packing in ("online", "offline"), "the two that are written"
        content["quantization_config"] = _QUANTIZATION | {"quantization_mode": packing}
    return content


def from_their_config(content: dict[str, Any], directory: Path) -> ModelConfig:
    """The shape that a config.json describes.

    Raises:
        ModelFileError: it describes a model that is not ours to run.
    """
    kind = content.get("model_type")
    if kind != "bitnet":
        raise ModelFileError(
            f"{directory} holds a model of kind {str(kind)[:40]!r}, tritcoder reads 'bitnet'",
            f"for another kind of model use hf:{directory}",
        )
    if not content.get("tie_word_embeddings", False):
        raise ModelFileError(f"{directory} has an output head of its own, tritcoder ties it to the embedding")
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
            "quantization": "none" if packing_of(content, directory) == "none" else "ternary",
        }
        config = build(ModelConfig, shape, str(path))
    except (KeyError, TypeError) as error:
        raise ModelFileError(f"{path} lacks or garbles {error}", "export the model again") from None
    except ConfigError as error:
        raise ModelFileError(error.message, error.hint or "export the model again") from None
    except OverflowError:
        raise ModelFileError(f"{path} holds a number beyond every bound", "export the model again") from None
    sizes = (config.vocab_size, config.dim, config.hidden_dim, config.n_layers, config.max_seq_len)
    if max(sizes) > _MAX_SIZE:
        raise ModelFileError(f"{path} describes a model beyond every bound", "export the model again")
    if not (0 < config.rope_theta < math.inf and 0 < config.norm_eps < 1 and config.max_seq_len <= _MAX_SEQ_LEN):
        raise ModelFileError(
            f"{path}: rope_theta ({config.rope_theta}) should be above 0 and finite, "
            f"rms_norm_eps ({config.norm_eps}) between 0 and 1, "
            f"max_position_embeddings ({config.max_seq_len}) at most {_MAX_SEQ_LEN}",
            "export the model again",
        )
    return config


def packing_of(content: dict[str, Any], directory: Path) -> Packing:
    """How a config.json says that the linear layers lie in the weight file.

    Raises:
        ModelFileError: they are quantised in a way that is not BitNet's.
    """
    told = content.get("quantization_config")
    if told is None:
        return "none"
    if isinstance(told, dict) and told.get("quant_method", "bitnet") == "bitnet" and not told.get("use_rms_norm"):
        mode = told.get("quantization_mode", "offline")
        match told.get("linear_class", "bitlinear"), mode:
            case "autobitlinear", "online" | "offline":
                return "online" if mode == "online" else "offline"
            case "bitlinear", _:
                return "bitlinear"
    raise ModelFileError(
        f"{directory}/config.json should quantise as BitNet does (quant_method bitnet; autobitlinear online or "
        f"offline, or bitlinear), found {str(told)[:200]}",
        "export the model again",
    )


def read_their_config(directory: Path) -> dict[str, Any]:
    """The content of a directory's `config.json`.

    Raises:
        ModelFileError: there is none, or it is no JSON object.
    """
    path = directory / "config.json"
    text = read_text(path)
    if text is None:
        raise ModelFileError(f"no model at {directory} (it has no config.json)", "give a model directory")
    return parse_object(text, path)


def parse_object(text: str, path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        ModelFileError: the text is no JSON, or something else than an object.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{path} is not JSON ({error})", "export the model again") from None
    if not isinstance(content, dict):
        raise ModelFileError(
            f"{path} should hold an object, found {type(content).__name__}", "export the model again"
        )
    return content


def read_text(path: Path) -> str | None:
    """The text of a small file of a directory; None if there is none.

    Raises:
        ModelFileError: it is too large, no UTF-8, or cannot be read.
    """
    try:
        if not path.is_file():
            return None
        if path.stat().st_size > _MAX_TEXT_BYTES:
            raise ModelFileError(f"{path} should be at most {_MAX_TEXT_BYTES} bytes long, found more")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ModelFileError(f"{path} is not JSON (it is no UTF-8: {error})", "export the model again") from None
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read ({error.strerror})", "choose another directory") from None


def write_tokenizer(directory: Path, content: dict[str, Any], config: ModelConfig, chat_template: str) -> None:
    """Write the tokenizer's files, and how transformers wraps them.

    Raises:
        StorageError: the disk is full.
    """
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
