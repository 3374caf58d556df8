import json
from typing import Any

import pytest

from tritcoder.evaluate.published import published_scores


def test_every_row_says_that_it_was_not_run_here() -> None:
    for row in published_scores():
        assert row["kind"] == "published"
        assert row["status"] == "published, not run here"
        assert "2105.09938" in row["source"]
    assert json.loads(json.dumps(published_scores())) == published_scores()


@pytest.mark.parametrize("measure", ["average_apps", "strict_apps"])
def test_the_overall_score_is_the_mean_over_problems_of_the_difficulties(measure: Any) -> None:
    for row in published_scores():
        table = row["table"]
        parts = [table[name] for name in ("introductory", "interview", "competition")]
        mean = sum(part["n"] * part[measure]["value"] for part in parts) / table["all"]["n"]
        assert mean == pytest.approx(table["all"][measure]["value"], abs=0.0002), (row["model"], measure)
