"""A trained model as a file that other programs run: GGUF for llama.cpp, a packed directory for transformers."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from tritcoder.errors import AskedWronglyError
from tritcoder.experiment.opening import model_directory
from tritcoder.ternary.format import read_gguf, read_hugging_face, write_gguf, write_packed
from tritcoder.ternary.gguf_writing import EmbeddingChoice, LinearChoice
from tritcoder.ternary.weights import ModelWeights

Target = Literal["gguf", "hf"]


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    path: Path
    size_bytes: int
    """Of the file; of a directory its `model.safetensors`."""
    weights: ModelWeights
    """What was read, to say more of it."""
    linear: str
    """How the linear layers lie in it."""
    embedding: str

    @property
    def bits_per_weight(self) -> float:
        """Bits of the file for each of the model's weights, embedding, scales and tokenizer included."""
        return 8 * self.size_bytes / self.weights.shape.parameters


def read_weights(source: Path) -> tuple[ModelWeights, Path]:
    """The weights that a run, an arm, a model directory or a GGUF file stands for, and where they lie.

    Raises:
        ModelFileError: there is no model, or it is damaged or of another kind.
    """
    if source.suffix == ".gguf" or source.is_file():
        return read_gguf(source), source
    directory = model_directory(source)
    weights = read_hugging_face(directory)
    return replace(weights, name=(source if source.is_dir() else directory).resolve().name), directory


def export(
    source: Path,
    target: Target,
    linear: LinearChoice | None = None,
    embedding: EmbeddingChoice | None = None,
    out: Path | None = None,
) -> Exported:
    """Write a model as a GGUF file or a packed directory; what is there under that name is replaced.

    Args:
        source: a run directory, an arm, a model directory, or a GGUF file.
        target: `gguf` or `hf`.
        linear: layout of a GGUF file's linear layers; TQ2_0, or float16 for the twin, if None.
        embedding: layout of the embedding; Q8_0 in GGUF and float32 in a directory, if None.
        out: where to; beside the model if None.

    Raises:
        ModelFileError: there is no model, or it is damaged or of another kind.
        AskedWronglyError: layouts that do not go together, or a target that is the source.
        StorageError: the disk is full or cannot be written.
    """
    weights, place = read_weights(source)
    name = place.stem if place.suffix == ".gguf" else place.resolve().name
    if target == "hf":
        if linear is not None:
            raise AskedWronglyError(
                "a Hugging Face directory has one layout of trits, four in a byte", "leave --ternary out"
            )
        if embedding == "q8_0":
            raise AskedWronglyError("the embedding of a Hugging Face directory is f32 or f16, found q8_0")
        path = out or place.with_name(f"{name}-packed")
        _require_another_place(path, place)
        size = write_packed(path, weights, embedding or "f32")
        return Exported(path, size, weights, "four trits in a byte", embedding or "f32")
    twin = weights.shape.quantization == "none"
    chosen = linear or ("f16" if twin else "tq2_0")
    path = out or place.with_name(f"{name}-{chosen}.gguf")
    if path.is_dir():
        raise AskedWronglyError(f"{path} is a folder, a GGUF model is one file", f"--out {path / 'model.gguf'}")
    size = write_gguf(path, weights, chosen, embedding or "q8_0")
    return Exported(path, size, weights, chosen, embedding or "q8_0")


def _require_another_place(path: Path, place: Path) -> None:
    if path.resolve() == place.resolve():
        raise AskedWronglyError(
            f"{path} holds the model itself: packed trits would take the place of its weights",
            "choose another place with --out",
        )
    if path.exists() and not path.is_dir():
        raise AskedWronglyError(f"{path} is a file, a Hugging Face model is a directory", "choose another place")
