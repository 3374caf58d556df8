"""A checkpoint of `transformers` on disk becomes a network and its tokenizer; nothing is downloaded."""

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, Self

from tritcoder.config import build
from tritcoder.errors import ConfigError, MissingExtraError, ModelFileError

AUTHORS_BEAMS = 5
"""Beams of the APPS authors' published rows."""
VOCABULARY_FILES = ("tokenizer.json", "vocab.json", "tokenizer.model", "spiece.model", "vocab.txt")
"""A folder that holds one of these holds a tokenizer."""
GPT2_TOKENIZER = ("gpt2", "openai-community/gpt2")
"""The hub's two names for the tokenizer of GPT-2 and GPT-Neo, which have one vocabulary."""

_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


@dataclass(frozen=True, slots=True)
class HFSettings:
    """How a checkpoint is loaded and how it writes: what may follow `hf:PATH?`."""

    beams: int = 0
    """Beam search with so many beams; 1: one token after another; 0: 5 for the authors' recipe, else 1."""
    recipe: Literal["own", "authors"] = "own"
    """`authors`: length, long prompts and the text's last touches as in the APPS authors' own script."""
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """`auto`: float32 on the CPU and for the authors' recipe, else the half precision that suits the device."""
    device: str = "auto"
    """`cpu`, `cuda`, `cuda:1`, `mps`; `auto`: `cuda` where torch finds one, else `cpu`."""
    batch: int = 8
    """Answers written at once; where the GPU's memory does not hold them, half as many."""
    tokenizer: str = ""
    """A folder or a name in the hub's cache; empty: beside the weights, or the family's."""

    def __post_init__(self) -> None:
        """Refuse settings outside their range."""
        if self.batch < 1:
            raise ConfigError(f"batch must be at least 1, found {self.batch}")
        if self.beams < 0:
            raise ConfigError(f"beams must be 0 or more, found {self.beams}")
        if not _DEVICE.fullmatch(self.device):
            raise ConfigError(f"device must be auto, cpu, mps, cuda or cuda:N, found {self.device!r}")

    @classmethod
    def parse(cls, query: str) -> Self:
        """Read `key=value&key=value`.

        Raises:
            ConfigError: an unknown key (names the nearest), a key given twice, or a value that does not fit.
        """
        given: dict[str, Any] = {}
        for part in query.split("&"):
            key, separator, value = part.partition("=")
            if not (separator and key and value):
                raise ConfigError(
                    f"hf:PATH? is followed by key=value, found {part!r}", "for example hf:PATH?beams=5&batch=4"
                )
            if key in given:
                raise ConfigError(f"hf:PATH?{query} gives {key} twice", "give it once")
            given[key] = int(value) if value.isdecimal() and value.isascii() else value
        return build(cls, given, where=f"hf:PATH?{query}")

    @property
    def query(self) -> str:
        """What differs from the defaults, as `parse` reads it."""
        return "&".join(
            f"{field.name}={value}" for field in fields(self) if (value := getattr(self, field.name)) != field.default
        )

    @property
    def n_beams(self) -> int:
        """How many beams there are: at least 1."""
        return self.beams or (AUTHORS_BEAMS if self.recipe == "authors" else 1)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A network that is ready to run, and what turns text into its ids."""

    network: Any
    tokenizer: Any
    device: str


def load_checkpoint(path: str, settings: HFSettings) -> Checkpoint:
    """Load network and tokenizer; old weight files are read as data alone, never as a program.

    Raises:
        MissingExtraError: transformers or torch is not installed.
        ModelFileError: there is no such checkpoint, it is damaged, or it has no tokenizer; says what to copy where.
        ConfigError: a GPU is asked for that is not there.
    """
    try:
        import torch
        from transformers import AutoModelForCausalLM
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"hf:{path} needs {error.name}, which is not installed", "pip install 'tritcoder[baselines,train]'"
        ) from None
    device = _device(settings.device)
    dtype = getattr(torch, _dtype(settings, device))
    try:
        network: Any = AutoModelForCausalLM.from_pretrained(
            path, local_files_only=True, dtype=dtype, weights_only=True
        )
        tokenizer = _load_tokenizer(path, network.config.model_type, settings.tokenizer)
        network = network.to(device).eval()
    except ModelFileError:
        raise
    except Exception as error:  # a library's own kinds of error, for whatever is wrong with the files
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise ModelFileError(
            f"transformers cannot load {path} ({type(error).__name__}: {said})",
            "give a directory with config.json and weights, or fetch it first: hf download NAME",
        ) from error
    _require_one_vocabulary(path, network, tokenizer)
    return Checkpoint(network, tokenizer, device)


def _device(asked: str) -> str:
    import torch

    found = torch.cuda.is_available()
    if asked == "auto":
        return "cuda" if found else "cpu"
    if asked.startswith("cuda") and not found:
        raise ConfigError(
            f"device={asked} is asked for, but torch finds no CUDA device", "leave it out, or device=cpu"
        )
    return asked


def _dtype(settings: HFSettings, device: str) -> str:
    import torch

    if settings.dtype != "auto":
        return settings.dtype
    if device == "cpu" or settings.recipe == "authors":
        return "float32"
    return "bfloat16" if device.startswith("cuda") and torch.cuda.is_bf16_supported() else "float16"


def _load_tokenizer(path: str, family: str, asked: str) -> Any:
    """The tokenizer that was asked for, that lies with the weights, or that the family shares."""
    from transformers import AutoTokenizer

    folder = Path(path)
    if asked or not folder.is_dir():
        return AutoTokenizer.from_pretrained(asked or path, local_files_only=True)
    for place in (folder, folder / "tokenizer", folder.parent / "tokenizer"):
        if any((place / name).is_file() for name in VOCABULARY_FILES):
            return AutoTokenizer.from_pretrained(place, local_files_only=True)
    if family in ("gpt2", "gpt_neo"):
        return _load_gpt2_tokenizer(folder)
    raise ModelFileError(
        f"{path} holds weights but no tokenizer",
        f"copy tokenizer.json and tokenizer_config.json of the original {family} model to {folder / 'tokenizer'}",
    )


def _load_gpt2_tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    for name in GPT2_TOKENIZER:
        try:
            return AutoTokenizer.from_pretrained(name, local_files_only=True)
        except Exception:  # noqa: S112 - not in the cache, in whichever words this version says so
            continue
    raise ModelFileError(
        f"{folder} holds weights but no tokenizer, and GPT-2's, which they share, is not in the hub's cache",
        f"copy vocab.json and merges.txt of gpt2 to {folder / 'tokenizer'}, or: hf download gpt2 --include '*.json' "
        "--include '*.txt'",
    )


def _require_one_vocabulary(path: str, network: Any, tokenizer: Any) -> None:
    rows = network.get_input_embeddings().num_embeddings
    if len(tokenizer) > rows:
        raise ModelFileError(
            f"the tokenizer of {path} holds {len(tokenizer)} tokens, the network only {rows}",
            "put the tokenizer that the network was trained with beside it, or name it: hf:PATH?tokenizer=FOLDER",
        )
