"""The page of commands, from the command line's own definitions."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, get_args

from reference.markdown import code, paragraphs, table
from simulator.cli import BAD_INPUT, INTERRUPTED, app
from simulator.cli.every_command import complete, example_lines

EXIT_CODES = (
    (0, "done; what was found, be it an overload or a plan that nothing meets, is a result and no error"),
    (1, "a defect of the simulator, with its traceback"),
    (BAD_INPUT, "input that cannot be used: one line on standard error names it and the remedy"),
    (INTERRUPTED, "interrupted"),
)
TYPES = {str: "text", int: "integer", float: "number", bool: "", "Path": "path"}


def page() -> str:
    """Every command with its arguments, options, defaults and example."""
    parts = [
        "# Commands\n",
        "Written from the command line itself. `python -m simulator` does the same as `simulator`; `simulator COMMAND "
        "--help` shows this on a terminal. A command writes nothing outside the folder and the files that it is given."
        "\n",
        table(("exit code", "means"), EXIT_CODES),
    ]
    for name, command in commands():
        parts.append(_section(name, command))
    return "\n".join(parts)


def commands() -> Iterator[tuple[str, Any]]:
    """The full name of each command that can be run, and the command, in the order of `--help`."""
    yield from _under("simulator", complete(app))


def _under(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name, command
        return
    for each, below in inner.items():
        if not getattr(below, "hidden", False):
            yield from _under(f"{name} {each}", below)


def _section(name: str, command: Any) -> str:
    shown = [p for p in command.params if not getattr(p, "hidden", False) and p.name != "help"]
    arguments = [p for p in shown if p.param_type_name == "argument"]
    options = [p for p in shown if p.param_type_name == "option"]
    usage = " ".join([name, *(p.name.upper() for p in arguments), "[OPTIONS]"])
    example = example_lines(command)
    parts = [f"## {name}\n", paragraphs(inspect.cleandoc(command.help or "")), f"```text\n{usage}\n```\n"]
    if arguments:
        given = [(code(p.name.upper()), p.help or "", "" if p.required else "optional") for p in arguments]
        parts.append(table(("argument", "meaning", ""), given))
    if options:
        rows = [(_names(p), _kind(p), _default(p), paragraphs(p.help or "")) for p in options]
        parts.append(table(("option", "value", "default", "meaning"), rows))
    if example:
        parts.append(f"Example:\n\n```sh\n{example}\n```\n")
    return "\n".join(parts)


def _names(option: Any) -> str:
    return ", ".join(code(name) for name in (*option.opts, *option.secondary_opts))


def _kind(option: Any) -> str:
    if option.is_flag:
        return ""
    if option.metavar:
        return code(option.metavar)
    annotation = option.type_descriptor.annotation
    many = annotation is list or bool(get_args(annotation))
    inner = next(iter(get_args(annotation)), annotation)
    text = TYPES.get(inner) or TYPES.get(getattr(inner, "__name__", ""), "text")
    return f"{text}, more than once" if many or option.multiple else text


def _default(option: Any) -> str:
    if option.required:
        return "required"
    return "" if option.default is None or option.is_flag else code(option.default)
