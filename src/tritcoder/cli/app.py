"""The command line: verbs are registered here, errors are printed here."""

import os
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
    suppress_keyboard_interrupt=False,  # `run` below says what is kept
)
VERBS = {
    "run": "Walk an experiment from corpus to report.",
    "generate": "Write code for a problem in words.",
    "evaluate": "Measure a model on a benchmark.",
    "score": "Run the programs of a samples file and print what they score.",
    "bench": "Measure how fast a model writes and what it needs.",
    "report": "Write a run's report anew.",
    "export": "Write a model as GGUF or as a packed Hugging Face directory.",
    "doctor": "Say what this machine offers.",
}
for _place, (_verb, _help) in enumerate(VERBS.items()):
    app.command(f"tritcoder.cli.{_verb}:{_verb}", name=_verb, help=_help, sort_key=_place)


def run(arguments: Sequence[str] | None = None) -> None:
    """Run the command and leave with its exit status; a known error is one sentence and a hint."""
    try:
        words = _name_standard_input(sys.argv[1:] if arguments is None else arguments)
        app(words, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
    except TritcoderError as error:
        sys.exit(_say(error.message, error.hint, error.exit_code))
    except CycloptsError as error:
        verb = " ".join(("tritcoder", *(error.command_chain or ()), "--help"))
        sys.exit(_say(str(error).strip(), verb, 2))
    except KeyboardInterrupt:
        sys.exit(_say("interrupted; finished stages are kept", "give the same command again to go on", 130))
    except ModuleNotFoundError as error:
        if (error.name or "tritcoder").partition(".")[0] == "tritcoder":
            raise  # our own file is missing: no extra helps
        sys.exit(_say(f"this verb needs {error.name}, which is not installed", "tritcoder doctor names its extra", 2))
    except BrokenPipeError:  # whoever read our output has seen enough, as `head` does
        _drop_output()
        sys.exit(141)
    except OSError as error:  # what no room expects: a disk that fails, an output that is full
        _drop_output()
        place = f"{error.filename}: " if error.filename else ""
        sys.exit(_say(f"{place}{error.strerror or error}", "", 1))


def _name_standard_input(words: Sequence[str]) -> list[str]:
    """A lone hyphen, which the parser would take for an option, by its other name; not where it may be a value."""
    pairs = zip(["", *words], words, strict=False)
    return ["/dev/stdin" if word == "-" and before[:1] != "-" else word for before, word in pairs]


def _drop_output() -> None:
    """Let what is still to be printed go nowhere: Python would fail on it once more when it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(message: str, hint: str, status: int) -> int:
    console = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)
    console.print("[bold red]error:[/] ", end="")
    console.print(message, markup=False)
    if hint:
        console.print("[bold]try:[/]   ", end="")
        console.print(hint, markup=False)
    return status
