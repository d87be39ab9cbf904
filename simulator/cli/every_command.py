"""What every command has: --quiet and --plain, options in panels, and a help text that ends with an example."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from typer.main import get_command

from simulator.report.terminal import set_output

OUTPUT = "Output"
PANELS = {
    "Load": ("concurrency", "limit", "speed_up", "trace_format", "on_error"),
    "Layout": ("tensor_parallel", "pipeline_parallel", "data_parallel", "expert_parallel", "replicas"),
    "Policies": ("policy", "queue", "router"),
    "Simulation": ("settings", "seed", "step_by_step", "uncertainty", "jobs"),
    OUTPUT: (
        "out",
        "json_file",
        "onnx_file",
        "timeline",
        "metrics",
        "metrics_interval",
        "metrics_start",
        "quiet",
        "plain",
    ),
}
EXAMPLE = "Example: "
WIDTH = 70
# An option stays on one line with its value.
_OPTION = re.compile(r"(\s--[\w-]+) (?!-)")
CONTINUED = " \\\n    "


def complete(app: typer.Typer) -> Any:
    """The command line of an app, whose every command gets what all have."""
    whole: Any = get_command(app)
    shared = typer.Typer(add_completion=False)
    shared.command()(_output)
    for _, command in commands(whole):
        known = {parameter.name for parameter in command.params}
        command.params += [p for p in get_command(shared).params if p.name in {"quiet", "plain"} - known]
        for parameter in command.params:
            _in_panel(parameter)
            if parameter.name in ("quiet", "plain"):
                parameter.callback = _noticed
                parameter.expose_value = parameter.name in known
        _end_with_example(command)
    for group in whole.commands.values():
        if hasattr(group, "commands"):
            group.epilog = next(iter(group.commands.values())).epilog
    return whole


def commands(group: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that does something, with its words."""
    if not hasattr(group, "commands"):
        yield words, group
        return
    for name, inner in group.commands.items():
        yield from commands(inner, (*words, name))


def example_lines(command: Any) -> str:
    """The command line that a command's help ends with, as it is shown; empty if there is none."""
    return str(command.epilog or "").removeprefix(EXAMPLE).strip()


def _output(
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
    plain: Annotated[bool, typer.Option("--plain", help="Print plain text of full width, on a terminal too.")] = False,
) -> None:
    """Options of output that commands need not declare."""


def _noticed(context: Any, parameter: Any, value: bool) -> bool:
    set_output(**{parameter.name: value})
    return value


def _in_panel(parameter: Any) -> None:
    """Put an option that is in no panel yet under the heading where its name belongs."""
    for panel, names in PANELS.items():
        if parameter.name in names and parameter.param_type_name == "option" and parameter.rich_help_panel is None:
            parameter.rich_help_panel = panel


def _end_with_example(command: Any) -> None:
    """Move the example of a help text below the options, in lines that can be pasted."""
    text, found, example = (command.help or "").partition(EXAMPLE)
    if found:
        command.help = text.rstrip()
        whole = _OPTION.sub("\\1\xa0", " ".join(example.split()))
        lines = textwrap.wrap(whole, WIDTH, break_long_words=False, break_on_hyphens=False)
        command.epilog = f"{EXAMPLE}\n\n{CONTINUED.join(lines)}".replace("\xa0", " ")
