"""`simulator calibrate`: fit the timing law to measured kernels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def calibrate(
    out: Annotated[Path, typer.Option(help="Folder for the calibration files.", metavar="DIR")],
    measurements: Annotated[Path, typer.Option("--from", help="Parquet file of measured kernels.", metavar="FILE")],
) -> None:
    """Fit calibration files, one for each device and backend, to measured kernels.

    A third of the shapes is held out and judges the fit.

    Example: simulator calibrate --from nvidia-h100-sxm-80gb.parquet --out calibrations/
    """
    from simulator.calibrate.files import fit_file

    for path in fit_file(measurements, out, say=print):
        print(f"wrote {path}")
