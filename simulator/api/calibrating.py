"""`simulator calibrate` as a function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.calibrate.this_cpu import NAME

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Calibrated:
    """A machine that was measured: what `device` and `calibration` of a scenario or of `explain` take.

    `measurements` has a row a kernel, with its shape, `latency_us` and `noise` (interquartile range by median);
    `errors` a row a family of kernels and format: `rows` that were held out of the fit, `median` and `mean` of their
    absolute errors as fractions of the measured times, and `spread`, the standard deviation of log errors.
    """

    device: str
    calibration: Path
    measurements: pd.DataFrame
    errors: pd.DataFrame


def calibrate_machine(
    out: str | Path,
    *,
    device: str = NAME,
    backend: str = "cpu",
    full: bool = False,
    operators: Sequence[str] | None = None,
    most: int | None = None,
    seed: int = 0,
) -> Calibrated:
    """Time kernels on this machine and fit the timing law to them, as `simulator calibrate` does.

    Writes the calibration file `out`, the measurements beside it and, for device this-cpu, a datasheet of this
    processor. `operators` are the kinds of kernels to time, such as ("gemm", "attention_decode"), all where None, and
    `most` the number of shapes of each: a family with fewer than 24 keeps the curves of the nearest relative. `seed`
    draws the shapes. Raises `InputError` for a backend,
    device or operator that there is not, and for a folder that is missing.
    """
    from simulator.calibrate.machine import device_file, fit_machine, measure_machine

    path = Path(out)
    rows, on = measure_machine(
        path, device=device, backend=backend, full=full, operators=operators, most=most, seed=seed
    )
    fit_machine(rows, on, path)
    return Calibrated(str(device_file(path)) if on.id == NAME else on.id, path, rows, _errors(path))


def _errors(calibration: Path) -> pd.DataFrame:
    import pandas as pd

    from simulator.yaml_io import load_yaml

    found = load_yaml(calibration)
    residuals = found["residuals"] if isinstance(found, dict) else {}
    rows = [{"family": f, "format": name, **r} for f, named in residuals.items() for name, r in named.items()]
    return pd.DataFrame(rows)
