"""The network as a Hugging Face directory, in and out: latent float weights, to train on (`online` mode).

Names, config.json and the tokenizer's files are those of `ternary/hugging_face_names.py`, which reads and writes
without torch; `ternary/hugging_face.py` reads any directory to run it, and writes packed ones.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors import torch as safetensors
from torch import Tensor

from tritcoder.errors import ModelFileError
from tritcoder.model.transformer import Transformer
from tritcoder.provenance import whole_file, write_json
from tritcoder.ternary.hugging_face_names import (
    from_their_config,
    packing_of,
    read_their_config,
    their_name,
    to_their_config,
    write_tokenizer,
)


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
    tensors = {their_name(name): tensor.float().contiguous() for name, tensor in model.state_dict().items()}
    with whole_file(directory / "model.safetensors", "wb") as file:
        file.write(safetensors.save(tensors, metadata={"format": "pt"}))
    if tokenizer is not None:
        write_tokenizer(directory, tokenizer, model.config, chat_template)
    write_json(directory / "config.json", to_their_config(model.config))


def load(directory: Path) -> Transformer:
    """Read a directory that `save` wrote, or another BitNet directory with latent weights.

    Raises:
        ModelFileError: no such directory, a model of another kind, or a damaged or ill-fitting weight file.
    """
    content = read_their_config(directory)
    config = from_their_config(content, directory)
    if packing_of(content, directory) not in ("none", "online"):
        raise ModelFileError(f"{directory} holds packed weights", "use the directory with the latent weights")
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
        tensor = tensors.get(their_name(name))
        if tensor is None or tensor.shape != parameter.shape:
            found = "none" if tensor is None else tuple(tensor.shape)
            raise ModelFileError(
                f"{path}: tensor {their_name(name)} should have shape {tuple(parameter.shape)}, found {found}",
                "export the model again; packed weights are not read here",
            )
        if not torch.isfinite(tensor).all():
            raise ModelFileError(f"{path}: tensor {their_name(name)} holds NaN or infinity", "train again")
        state[name] = tensor.float()
    model.load_state_dict(state)
    return model
