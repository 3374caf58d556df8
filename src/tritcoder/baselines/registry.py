"""A rival is named by one string; here it becomes a Generator."""

import difflib
from collections.abc import Sequence
from pathlib import Path

from tritcoder.baselines.limits import DEFAULT_LIMITS, NOTHING, ServiceLimits, Spending
from tritcoder.baselines.naive import ConstantBaseline, RetrievalBaseline
from tritcoder.errors import ConfigError
from tritcoder.protocols import Generator
from tritcoder.records import Problem

NAMES = ("naive:constant", "naive:retrieval", "hf:PATH", "gemini:NAME", "openai:NAME@URL")
"""What can be asked for."""


def open_baseline(
    name: str, problems: Sequence[Problem], limits: ServiceLimits = DEFAULT_LIMITS, spent: Spending = NOTHING
) -> Generator:
    """Open the rival that a string names.

    Args:
        name: one of `NAMES`, with PATH, NAME and URL filled in; without `@URL` it is OpenAI's own service. Settings
            may follow PATH, as in `hf:PATH?recipe=authors&batch=4`: the fields of `checkpoint.HFSettings`.
        problems: training problems, which the naive rivals learn from; the others do not look at them.
        limits: what a service may use; the others do not look at it.
        spent: what a service's answers that are there already have cost: `Spending.of` them.

    Raises:
        ConfigError: no such rival, or no such setting; names the nearest.
        EmptyCorpusError: the training problems have nothing to learn from.
        ModelFileError, MissingExtraError, AccessError: it cannot be opened; says why.
    """
    if name == ConstantBaseline.name:
        return ConstantBaseline.fit(problems)
    if name == RetrievalBaseline.name:
        return RetrievalBaseline.fit(problems)
    kind, _, rest = name.partition(":")
    if rest and kind == "hf":
        return _open_hf(rest)
    if rest and kind == "gemini":
        from tritcoder.baselines.gemini import GeminiGenerator

        return GeminiGenerator(rest, limits, spent)
    if rest and kind == "openai":
        return _open_openai(rest, limits, spent)
    raise _unknown(name)


def _open_hf(rest: str) -> Generator:
    from tritcoder.baselines.checkpoint import HFSettings
    from tritcoder.baselines.hf import HFGenerator

    path, asked, query = (rest, "", "") if Path(rest).exists() else rest.partition("?")
    if not path:
        raise _unknown(f"hf:{rest}")
    return HFGenerator(path, HFSettings.parse(query) if asked else HFSettings())


def _open_openai(rest: str, limits: ServiceLimits, spent: Spending) -> Generator:
    from tritcoder.baselines.openai import OPENAI_URL, OpenAIGenerator

    place = max(rest.rfind("@http://"), rest.rfind("@https://"))
    model, url = (rest[:place], rest[place + 1 :]) if place >= 0 else (rest, OPENAI_URL)
    if not model:
        raise _unknown(f"openai:{rest}")
    return OpenAIGenerator(model, url, limits, spent)


def _unknown(name: str) -> ConfigError:
    near = difflib.get_close_matches(name, NAMES, n=1, cutoff=0.6)
    kind = difflib.get_close_matches(name.partition(":")[0], [n.partition(":")[0] for n in NAMES], n=1)
    near = near or [n for n in NAMES if kind and n.startswith(kind[0])][:1]
    hint = f"did you mean {near[0]}?" if near else f"rivals are {', '.join(NAMES)}"
    return ConfigError(f"there is no rival called {name!r}", hint)
