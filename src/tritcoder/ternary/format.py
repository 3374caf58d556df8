"""The face of what is read and written: any model on disk becomes weights, and weights become files."""

from pathlib import Path

from tritcoder.ternary.decoding import check_codes
from tritcoder.ternary.gguf_reading import read_gguf
from tritcoder.ternary.gguf_writing import write_gguf
from tritcoder.ternary.hugging_face import read_hugging_face, write_packed
from tritcoder.ternary.weights import ModelWeights

__all__ = ["check_codes", "read_gguf", "read_hugging_face", "read_model", "write_gguf", "write_packed"]


def read_model(path: Path) -> ModelWeights:
    """The weights of a GGUF file, or of a Hugging Face directory.

    Raises:
        ModelFileError: there is none, or it is damaged or of another kind.
    """
    return read_hugging_face(path) if path.is_dir() else read_gguf(path)
