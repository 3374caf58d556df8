"""How much completions look like what people wrote: BLEU against the human solutions.

It rises with difficulty while correctness falls; it is reported and never selected on.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from tritcoder.errors import MissingExtraError

MAX_REFERENCES = 20
"""Of each problem only its first so many solutions are compared with."""


def bleu(pairs: Iterable[tuple[str, Sequence[str]]]) -> dict[str, Any]:
    """Corpus BLEU against all human solutions of each problem, and the mean of the best single ones.

    Args:
        pairs: a completion and the solutions of its problem; those without solutions are counted only.

    Returns:
        "corpus" in [0, 100], n-grams clipped against all references of a problem together;
        "best_single" in [0, 100], the mean over completions of the highest sentence BLEU against one
        solution; both None when nothing can be compared; "signature" and "signature_single", sacreBLEU's
        own; "n", "without_references" and "max_references".

    Raises:
        MissingExtraError: sacrebleu is not installed.
    Source: Papineni et al. 2002; Post 2018, arXiv:1804.08771.
    """
    metric, sentence = _metrics()
    given = [(completion, _usable(solutions)) for completion, solutions in pairs]
    known = [(completion, references) for completion, references in given if references]
    result: dict[str, Any] = {
        "corpus": None,
        "best_single": None,
        "signature": "",
        "signature_single": "",
        "n": len(known),
        "without_references": len(given) - len(known),
        "max_references": MAX_REFERENCES,
    }
    if not known:
        return result
    completions = [completion for completion, _ in known]
    best = [
        max(sentence.sentence_score(completion, [reference]).score for reference in references)
        for completion, references in known
    ]
    result["corpus"] = float(metric.corpus_score(completions, _streams([row for _, row in known])).score)
    result["best_single"] = float(sum(best) / len(best))
    result["signature"] = str(metric.get_signature())
    result["signature_single"] = str(sentence.get_signature())
    return result


def _metrics() -> tuple[Any, Any]:
    try:
        from sacrebleu.metrics.bleu import BLEU
    except ImportError:
        raise MissingExtraError(
            "BLEU needs sacrebleu, which is not installed", "pip install 'tritcoder[eval]'"
        ) from None
    # `force` changes no score: it silences a warning about text that ends in a full stop set apart.
    return BLEU(force=True), BLEU(effective_order=True, force=True)


def _usable(solutions: Sequence[str]) -> list[str]:
    """The first distinct solutions that are not blank: a blank one would be the shortest of references."""
    distinct = dict.fromkeys(solution for solution in solutions if solution.strip())
    return list(distinct)[:MAX_REFERENCES]


def _streams(references: Sequence[Sequence[str]]) -> list[list[str | None]]:
    """Reference k of every problem, for each k, as sacreBLEU takes them; None where there is none."""
    longest = max(map(len, references))
    return [[row[k] if k < len(row) else None for row in references] for k in range(longest)]
