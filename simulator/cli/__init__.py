"""The `simulator` command. Each command lives in its own module; heavy imports wait until one runs."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Annotated

import typer
from typer.exceptions import TyperException

from simulator.cli import calibrate, compare, explain, export, listing, observe, plan, replay, run, sweep, train
from simulator.cli.every_command import complete
from simulator.cli.options import without_empty_folders
from simulator.cli.trace import app as trace_app
from simulator.cli.validate import app as validate_app
from simulator.errors import InputError
from simulator.report.terminal import own_output

BAD_INPUT = 2
INTERRUPTED = 130

SIMULATE, DECIDE, MEASURE, LOOK_UP = "Simulate", "Decide", "Measure and check", "Look up and prepare"

app = typer.Typer(
    name="simulator",
    help="Simulate how models run on devices: serving under real traces, training, any network on any device.",
    epilog="Example:\n\nsimulator replay traces/azure-like-conversation.csv.gz \\\n    --model meta-llama/Llama-3.1-8B "
    "--device nvidia-h100-sxm-80gb\n\nExit codes: 0 done; 2 input that cannot be used, with one line that says why; "
    "130 interrupted; 1 a defect of the simulator, with a traceback.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)
app.command("replay", rich_help_panel=SIMULATE)(replay.replay)
app.command("run", rich_help_panel=SIMULATE)(run.run)
app.command("compare", rich_help_panel=DECIDE)(compare.compare)
app.command("plan", rich_help_panel=DECIDE)(plan.plan)
app.command("sweep", rich_help_panel=DECIDE)(sweep.sweep)
app.command("train", rich_help_panel=SIMULATE)(train.train)
app.command("explain", rich_help_panel=SIMULATE)(explain.explain)
app.command("export", rich_help_panel=DECIDE)(export.export)
app.command("list", rich_help_panel=LOOK_UP)(listing.list_)
app.command("show", rich_help_panel=LOOK_UP)(listing.show)
app.command("calibrate", rich_help_panel=MEASURE)(calibrate.calibrate)
app.command("observe", rich_help_panel=MEASURE)(observe.observe)
app.add_typer(trace_app, name="trace", rich_help_panel=LOOK_UP)
app.add_typer(validate_app, name="validate", rich_help_panel=MEASURE)


def _print_version(wanted: bool) -> None:
    if wanted:
        from simulator import __version__

        print(f"simulator {__version__}")
        raise typer.Exit


@app.callback()
def simulator(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Options before a command."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and give the exit code: 0, 2 after one line on stderr, or 130 where it was interrupted.

    A reader of the output that goes away, such as `head`, ends the command quietly with 0.
    """
    try:
        with without_empty_folders(), own_output():
            code = complete(app)(arguments, standalone_mode=False)
            sys.stdout.flush()
    except InputError as error:
        return _refuse(str(error))
    except TyperException as error:
        formatted = getattr(error, "format_message", error.__str__)
        message = str(formatted())
        return _refuse(" ".join(message.split()))
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except (BrokenPipeError, SystemExit) as stop:
        # Rich and the parser of the command line turn the one into the other.
        if not isinstance(stop, BrokenPipeError) and not isinstance(stop.__context__, BrokenPipeError):
            raise
        return _unread()
    if code == INTERRUPTED:
        print("interrupted", file=sys.stderr)
    return int(code or 0)


def _unread() -> int:
    """Let nothing more be written to a pipe that nobody reads."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _refuse(message: str) -> int:
    """The exit code of bad input, with its line; a command without arguments has shown its help instead."""
    if message:
        print(f"error: {message}", file=sys.stderr)
    return BAD_INPUT
