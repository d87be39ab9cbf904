"""Options that commands share, and what they need of each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any

import typer

from simulator.cli import completion
from simulator.errors import InputError

Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Set any scenario field, e.g. max_num_seqs=128.",
        autocompletion=completion.fields,
    ),
]
Out = Annotated[Path | None, typer.Option(help="Folder for summary.json, requests.parquet and report.html.")]
Json = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Also write JSON to FILE.")]
Timeline = Annotated[bool, typer.Option("--timeline", help="Also write timeline.json, which opens in Perfetto.")]
Uncertainty = Annotated[
    int, typer.Option(metavar="N", help="Also give 90 % intervals, from N replications with kernel times redrawn.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]

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


def file_argument(text: str, folder: Path) -> Any:
    """An argument that takes files, or names of files of `folder`, which come with the package; `text` is its help."""
    from simulator.shipped import file_of

    def paths(given: Any) -> Any:
        if isinstance(given, Path):
            return file_of(given, folder)
        return given and [file_of(path, folder) for path in given]

    return typer.Argument(help=text, callback=paths, autocompletion=completion.shipped(folder))
