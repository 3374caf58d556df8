"""`tritcoder report`: a run directory becomes one page."""

from pathlib import Path


def report(run: Path, /) -> None:
    """Write report.html anew from what a run directory holds.

    Args:
        run: the run directory, such as runs/demo.
    """
    from tritcoder.experiment.reporting import write_report

    print(write_report(run))
