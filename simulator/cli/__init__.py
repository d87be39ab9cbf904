"""The `simulator` command. Each command lives in its own module; heavy imports wait until one runs."""

from __future__ import annotations

import sys

import typer
from typer.exceptions import TyperException

from simulator.cli import calibrate, compare, explain, export, listing, observe, plan, replay, sweep, train
from simulator.cli.options import without_empty_folders
from simulator.cli.trace import app as trace_app
from simulator.cli.validate import app as validate_app
from simulator.errors import InputError

BAD_INPUT = 2

app = typer.Typer(
    name="simulator",
    help="Simulate how models run on devices: replay request traces through LLM deployments, step by step or fast.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)
app.command("replay")(replay.replay)
app.command("run")(replay.run_scenario)
app.command("compare")(compare.compare)
app.command("plan")(plan.plan)
app.command("observe")(observe.observe)
app.command("sweep")(sweep.sweep)
app.command("export")(export.export)
app.command("train")(train.train)
app.command("explain")(explain.explain)
app.command("list")(listing.list_)
app.command("show")(listing.show)
app.command("calibrate")(calibrate.calibrate)
app.add_typer(trace_app, name="trace")
app.add_typer(validate_app, name="validate")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code is 0, or 2 after one line on stderr for input that cannot be used."""
    try:
        with without_empty_folders():
            app(arguments, standalone_mode=False)
    except InputError as error:
        return _refuse(str(error))
    except TyperException as error:
        formatted = getattr(error, "format_message", error.__str__)
        message = str(formatted())
        return _refuse(" ".join(message.split()) or "see simulator --help")
    except typer.Exit as stop:
        return int(stop.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    return 0


def _refuse(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return BAD_INPUT
