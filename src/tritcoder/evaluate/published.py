"""Scores that others have published for APPS, to stand beside ours: not run here."""

from typing import Any

STATUS = "published, not run here"
SOURCE = "Hendrycks et al. 2021, Measuring Coding Challenge Competence With APPS, arXiv:2105.09938, table of results"

_N_PROBLEMS = {"introductory": 1000, "interview": 3000, "competition": 1000, "all": 5000}

# Percent: average by difficulty and over all, then strict the same. All but GPT-3 are fine-tuned on
# APPS; GPT-3 is shown examples in its prompt. The whole test split. The overall scores are the means of
# the three by their numbers of problems, to rounding; GPT-Neo's strict row is also on Papers with Code.
_ROWS: tuple[tuple[str, str, tuple[float, ...], tuple[float, ...]], ...] = (
    ("GPT-2 0.1B", "fine-tuned", (5.64, 6.93, 4.37, 6.16), (1.00, 0.33, 0.00, 0.40)),
    ("GPT-2 1.5B", "fine-tuned", (7.40, 9.11, 5.05, 7.96), (1.30, 0.70, 0.00, 0.68)),
    ("GPT-Neo 2.7B", "fine-tuned", (14.68, 9.85, 6.54, 10.15), (3.90, 0.57, 0.00, 1.12)),
    ("GPT-3 175B", "few-shot", (0.57, 0.65, 0.21, 0.55), (0.20, 0.03, 0.00, 0.06)),
)


def published_scores() -> list[dict[str, Any]]:
    """The published rows in the shape of a score file, as far as the paper gives it.

    They were measured with the authors' comparison, so they have `average_apps` and `strict_apps` only,
    as shares in [0, 1]; the paper gives no intervals.
    """
    return [_score(*row) for row in _ROWS]


def _score(model: str, how: str, average: tuple[float, ...], strict: tuple[float, ...]) -> dict[str, Any]:
    columns = zip(_N_PROBLEMS.items(), average, strict, strict=True)
    return {
        "model": model,
        "kind": "published",
        "benchmark": "apps",
        "how": how,
        "status": STATUS,
        "source": SOURCE,
        "n_problems": _N_PROBLEMS["all"],
        "table": {
            difficulty: {"n": n, "average_apps": _value(mean), "strict_apps": _value(share)}
            for (difficulty, n), mean, share in columns
        },
    }


def _value(percent: float) -> dict[str, float | None]:
    return {"value": percent / 100, "low": None, "high": None}
