"""Errors that a user can mend, each one line that names what was wrong and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path


class InputError(ValueError):
    """Input that cannot be used. The message is one line; commands print it and exit with 2.

    `file` and `line` say where the input came from and are put before the message.
    """

    def __init__(self, message: str, *, file: str | Path | None = None, line: int | None = None) -> None:
        self.message = " ".join(message.split())
        self.file = None if file is None else str(file)
        self.line = line
        place = "" if file is None else f"{file}: " if line is None else f"{file}:{line}: "
        super().__init__(place + self.message)


class DoesNotFit(InputError):
    """What is asked for needs more memory than there is; the message says how much, where, and what would fit."""


def refuse_beside(what: str, beside: Mapping[str, bool]) -> None:
    """Raise an `InputError` for the first mechanism that is in use and not modelled together with `what`."""
    for name, used in beside.items():
        if used:
            raise InputError(f"{what} beside {name} is not modelled: leave one of the two out")


def unknown_name(
    kind: str, name: object, known: Iterable[str], *, remedy: str = "", file: str | Path | None = None
) -> InputError:
    """An `InputError` for a name that is not among `known`, with the nearest matches."""
    names = sorted(known)
    lowered = {n.lower(): n for n in names}
    near = [lowered[m] for m in difflib.get_close_matches(str(name).lower(), list(lowered), n=3, cutoff=0.5)]
    if near:
        hint = f"did you mean {' or '.join(near)}?"
    elif len(names) <= 12:
        hint = f"choose one of {', '.join(names)}"
    else:
        hint = f"there are {len(names)}, for example {', '.join(names[:3])}"
    return InputError(f"unknown {kind} {str(name)!r}: {hint}{' ' + remedy if remedy else ''}", file=file)
