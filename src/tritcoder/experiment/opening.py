"""A model is named by one string: a run, a model directory, a GGUF file, or a rival such as `naive:constant`."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from tritcoder.baselines.limits import DEFAULT_LIMITS, NOTHING, ServiceLimits, Spending
from tritcoder.coder import model_place, tokenizer_of
from tritcoder.config import fingerprint
from tritcoder.engine.core import is_compiled, open_core
from tritcoder.engine.language_model import EngineModel
from tritcoder.generate import DEFAULT_BATCH, TextModel
from tritcoder.protocols import Generator
from tritcoder.records import Problem
from tritcoder.ternary.format import read_model
from tritcoder.tokenizer.bpe import Tokenizer


def open_text_model(path: Path, name: str = "", batch_size: int = DEFAULT_BATCH) -> TextModel:
    """Our own model, in the engine; where that is not compiled, in torch; and where that is not there, in numpy.

    Raises:
        ModelFileError: there is none, or it is damaged or of another kind.
    """
    place = model_place(path)
    name = name or str(path)
    if place.is_dir() and not is_compiled() and find_spec("torch"):
        from tritcoder.model.torch_model import TorchLanguageModel

        model = TorchLanguageModel.load(place, name)
        return TextModel(model, Tokenizer.load(place / "tokenizer.json"), batch_size)
    weights = read_model(place)
    return TextModel(EngineModel(open_core(weights), name), tokenizer_of(weights, place), batch_size)


def model_identity(spec: str) -> str:
    """A text that changes when the model behind a string does: a rival's own name, or its files' sizes and times.

    Raises:
        ConfigError: there is no such naive rival.
        ModelFileError: there is no such file or directory, or no model in it.
    """
    if is_baseline(spec):
        from tritcoder.baselines.registry import NAMES, open_baseline

        if spec.startswith("naive:") and spec not in NAMES:
            open_baseline(spec, ())  # which names the nearest
        return spec
    place = model_place(Path(spec))
    files = [place] if place.is_file() else sorted(path for path in place.iterdir() if path.is_file())
    return fingerprint([(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files])


def is_baseline(spec: str) -> bool:
    """Whether a model string names a rival rather than a directory."""
    return spec.partition(":")[0] in ("naive", "hf", "gemini", "openai") and ":" in spec


def has_likelihoods(spec: str) -> bool:
    """Whether what a model string names can say how probable a text is: our models and checkpoints can."""
    return not is_baseline(spec) or spec.startswith("hf:")


def open_generator(
    spec: str,
    training_problems: Sequence[Problem],
    batch_size: int = DEFAULT_BATCH,
    services: ServiceLimits = DEFAULT_LIMITS,
    spent: Spending = NOTHING,
) -> Generator:
    """Whatever a model string names.

    Args:
        spec: `runs/demo`, a model directory, `model.gguf`, `naive:constant`, `naive:retrieval`, `hf:PATH`,
            `gemini:NAME`, `openai:NAME@URL`.
        training_problems: what the naive rivals learn from.
        batch_size: answers that our own model writes at once.
        services: what a rival behind an API may use.
        spent: what its answers that are there already have cost.

    Raises:
        ModelFileError, ConfigError, MissingExtraError, AccessError: it cannot be opened; says why.
    """
    if is_baseline(spec):
        from tritcoder.baselines.registry import open_baseline

        return open_baseline(spec, training_problems, services, spent)
    return open_text_model(Path(spec), batch_size=batch_size)
