"""A model is named by one string: a run directory, a model directory, or a rival such as `naive:constant`."""

from collections.abc import Sequence
from pathlib import Path

from tritcoder.baselines.limits import DEFAULT_LIMITS, NOTHING, ServiceLimits, Spending
from tritcoder.config import fingerprint
from tritcoder.errors import MissingExtraError, ModelFileError
from tritcoder.generate import DEFAULT_BATCH, TextModel
from tritcoder.protocols import Generator
from tritcoder.records import Problem
from tritcoder.tokenizer.bpe import Tokenizer


def model_directory(path: Path) -> Path:
    """Where the model of a run, an arm or a directory lies.

    A run directory stands for its ternary model, after fine-tuning if there was one; so does an arm's folder.

    Raises:
        ModelFileError: there is no model.
    """
    for place in ("", "model", "base", "ternary/model", "ternary/base"):
        if (path / place / "config.json").is_file():
            return path / place
    state = "holds no model yet" if path.is_dir() else "is a file" if path.exists() else "does not exist"
    raise ModelFileError(
        f"{path} {state}",
        "give a run directory (runs/demo), a model directory, or a rival (naive:retrieval, hf:PATH)",
    )


def open_text_model(path: Path, name: str = "", batch_size: int = DEFAULT_BATCH) -> TextModel:
    """Our own model, with torch.

    Raises:
        ModelFileError: there is none, or it is damaged or of another kind.
        MissingExtraError: torch is not installed.
    """
    directory = model_directory(path)
    try:
        from tritcoder.model.torch_model import TorchLanguageModel
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"running a model directory needs {error.name}, which is not installed",
            "pip install 'tritcoder[train]'",
        ) from None
    model = TorchLanguageModel.load(directory, name or str(path))
    return TextModel(model, Tokenizer.load(directory / "tokenizer.json"), batch_size)


def model_identity(spec: str) -> str:
    """A text that changes when the model behind a string does: a rival's own name, or its files' sizes and times.

    Raises:
        ConfigError: there is no such naive rival.
        ModelFileError: there is no such directory, or no model in it.
    """
    if is_baseline(spec):
        from tritcoder.baselines.registry import NAMES, open_baseline

        if spec.startswith("naive:") and spec not in NAMES:
            open_baseline(spec, ())  # which names the nearest
        return spec
    directory = model_directory(Path(spec))
    files = sorted(path for path in directory.iterdir() if path.is_file())
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
        spec: `runs/demo`, a model directory, `naive:constant`, `naive:retrieval`, `hf:PATH`, `gemini:NAME`,
            `openai:NAME@URL`.
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
