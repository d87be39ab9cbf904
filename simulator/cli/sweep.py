"""`simulator sweep`: many points of one scenario, side by side, into one table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from simulator.cli import completion
from simulator.cli.options import Json, Quiet, file_argument, made_folder
from simulator.shipped import SWEEPS


def sweep(
    spec: Annotated[Path, file_argument("Sweep in YAML; simulator list sweeps shows some.", SWEEPS)],
    out: Annotated[Path | None, typer.Option(help="Folder for results.parquet, a page and finished points.")] = None,
    workers: Annotated[int, typer.Option(metavar="N", help="Processes side by side; -1: one a core.")] = -1,
    backend: Annotated[
        str,
        typer.Option(
            help="Where points are simulated: local, dask or ray.",
            autocompletion=completion.choices("local", "dask", "ray"),
        ),
    ] = "local",
    cluster: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="A Dask or Ray cluster that runs; else one here is started.")
    ] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Simulate points that failed again.")] = False,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Simulate many points of one scenario: a grid, a random sample or a Latin hypercube of any of its fields.

    A sweep that was stopped goes on where it was when the same command is given again. Points that cannot be
    simulated are rows that say why.

    Example: simulator sweep simulator/sweeping/specs/serving-limits.yaml --out out/
    """
    from simulator.report import files
    from simulator.report.progress import progress
    from simulator.sweeping import sweep as run_sweep

    folder = made_folder(out)
    with _resumable(folder), progress("sweeping", "points") as on_progress:
        found = run_sweep(
            spec,
            out=folder,
            workers=workers,
            backend=backend,
            cluster=cluster,
            retry_failed=retry_failed,
            on_progress=on_progress,
        )
    if folder is not None:
        from simulator.report.sweeps.page import sweep_page

        files.write_text(folder / "report.html", sweep_page(found))
    if json_file is not None:
        files.write_json(json_file, found.summary)
    if not quiet:
        from simulator.report.sweeps.table import print_sweep

        print_sweep(found)


@contextmanager
def _resumable(folder: Path | None) -> Iterator[None]:
    """Say what is kept if the block is interrupted."""
    import sys

    try:
        yield
    except KeyboardInterrupt:
        if folder is not None:
            print(f"finished points are kept in {folder}: the same command goes on from there", file=sys.stderr)
        raise typer.Abort from None
