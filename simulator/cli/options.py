"""What options of commands need of each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from simulator.errors import InputError

# Folders that the running command has made, innermost first.
_MADE: ContextVar[list[Path]] = ContextVar("made folders")


@contextmanager
def without_empty_folders() -> Iterator[None]:
    """Run a command, and take away the folders it made for --out that are still empty when it ends."""
    made: list[Path] = []
    token = _MADE.set(made)
    try:
        yield
    finally:
        _MADE.reset(token)
        with suppress(OSError):
            for folder in made:
                folder.rmdir()


def made_folder(out: Path | None) -> Path | None:
    """The folder of --out, made now so that a path that cannot be is refused early. Raises `InputError` for such."""
    if out is None:
        return None
    from simulator.report.files import output_folder

    _MADE.get([]).extend(folder for folder in (out, *out.parents) if not folder.exists())
    return output_folder(out)


def timeline_needs_out(timeline: bool, out: Path | None) -> None:
    """Raise `InputError` for a timeline that would be written nowhere."""
    if timeline and out is None:
        raise InputError("--timeline writes timeline.json into the folder of --out: add --out DIR")
