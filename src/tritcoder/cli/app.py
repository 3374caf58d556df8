"""The command line: verbs are registered here, errors are printed here."""

import os
import signal
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError
from rich.console import Console

from tritcoder import __version__
from tritcoder.errors import TritcoderError

# Idle threads of OpenMP sleep instead of spinning: on a machine that does something else as well, spinning threads
# make training several times slower. Has to be said before torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

HELP = """A code-generating language model whose weights are -1, 0 and +1, from corpus to report.

Results go to standard output, progress to standard error. Exit status: 0 done, 1 the work failed,
2 it was asked wrongly, 130 interrupted (with everything saved)."""

app = App(name="tritcoder", help=HELP, version=__version__, version_flags=["--version"], help_format="markdown")
app.command("tritcoder.cli.run:run", name="run")
app.command("tritcoder.cli.generate:generate", name="generate")
app.command("tritcoder.cli.evaluate:app", name="evaluate")
app.command("tritcoder.cli.score:score", name="score")
app.command("tritcoder.cli.report:report", name="report")
app.command("tritcoder.cli.doctor:doctor", name="doctor")


def run(arguments: Sequence[str] | None = None) -> None:
    """Run the command and leave with its exit status; a known error is one sentence and a hint."""
    errors = Console(stderr=True, soft_wrap=True, highlight=False)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL) if hasattr(signal, "SIGPIPE") else None
    try:
        app(arguments, exit_on_error=False, print_error=False)
    except TritcoderError as error:
        sys.exit(_say(errors, error.message, error.hint, error.exit_code))
    except CycloptsError as error:
        sys.exit(_say(errors, str(error).strip(), "tritcoder --help", 2))
    except KeyboardInterrupt:
        sys.exit(_say(errors, "interrupted; finished stages are kept", "give the same command again to go on", 130))


def _say(console: Console, message: str, hint: str, status: int) -> int:
    console.print("[bold red]error:[/] ", end="")
    console.print(message, markup=False)
    if hint:
        console.print("[bold]try:[/]   ", end="")
        console.print(hint, markup=False)
    return status
