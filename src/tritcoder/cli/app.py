"""The command line: verbs are registered here, errors are printed here."""

import os
import signal
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError, Parameter
from rich.console import Console

from tritcoder import __version__
from tritcoder.errors import TritcoderError

# Idle threads of OpenMP sleep instead of spinning: on a machine that does something else as well, spinning threads
# make training several times slower. Has to be said before torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

HELP = """A code-generating language model whose weights are -1, 0 and +1, from corpus to report.

Results go to standard output, progress to standard error. Exit status: 0 done, 1 the work failed,
2 it was asked wrongly, 130 interrupted (with everything saved)."""

app = App(
    name="tritcoder",
    help=HELP,
    version=__version__,
    version_flags=["--version"],
    help_format="markdown",
    default_parameter=Parameter(negative=()),
)
VERBS = {
    "run": "Walk an experiment from corpus to report.",
    "generate": "Write code for a problem in words.",
    "evaluate": "Measure a model on a benchmark.",
    "score": "Run the programs of a samples file and print what they score.",
    "report": "Write a run's report anew.",
    "doctor": "Say what this machine offers.",
}
for _place, (_verb, _help) in enumerate(VERBS.items()):
    _target = "app" if _verb == "evaluate" else _verb
    app.command(f"tritcoder.cli.{_verb}:{_target}", name=_verb, help=_help, sort_key=_place)


def run(arguments: Sequence[str] | None = None) -> None:
    """Run the command and leave with its exit status; a known error is one sentence and a hint."""
    errors = Console(stderr=True, soft_wrap=True, highlight=False)
    if hasattr(signal, "SIGPIPE"):  # a reader that closes the pipe early, as `head` does, ends us quietly
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
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
