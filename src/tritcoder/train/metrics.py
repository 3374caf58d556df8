"""metrics.jsonl: one line a step, and one for each evaluation; a resumed run's log equals an unbroken one's."""

import json
from pathlib import Path
from typing import Any

from tritcoder.errors import storage_errors
from tritcoder.provenance import read_jsonl, write_jsonl


class MetricsLog:
    """Appends lines to `metrics.jsonl`."""

    def __init__(self, path: Path, resume_step: int) -> None:
        """Open the log, dropping what a killed run wrote beyond the checkpoint it resumes from."""
        kept = [row for row in read_jsonl(path) if row["step"] <= resume_step]
        self.evaluated = bool(kept) and kept[-1]["step"] == resume_step and "held_out_loss" in kept[-1]
        """Whether the step that the run resumes from has been measured on held-out data."""
        write_jsonl(path, kept)
        self._path = path
        with storage_errors(path):
            self._file = path.open("a", encoding="utf-8")

    def write(self, row: dict[str, Any]) -> None:
        """Add one line, at once visible to readers."""
        with storage_errors(self._path):
            self._file.write(json.dumps(row) + "\n")
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        with storage_errors(self._path):
            self._file.close()
