"""Measure the machine at hand and fit the timing law to it: the two halves of `simulator calibrate`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from simulator.calibrate.check_serving import device_named
from simulator.calibrate.files import fit_rows
from simulator.calibrate.graphs.measuring import BACKEND, measure_graphs
from simulator.calibrate.graphs.sessions import runtime_package
from simulator.calibrate.microbench import bench_named, machine_name, measure
from simulator.calibrate.this_cpu import NAME, this_cpu
from simulator.counted import OnCount
from simulator.errors import InputError
from simulator.hardware.device import Device
from simulator.hardware.device import device as known_device
from simulator.report.files import atomic, write_text


def device_file(out: Path) -> Path:
    """Where the datasheet of this processor goes, beside the calibration `out`."""
    return out.parent / f"{NAME}.device.yaml"


def measure_machine(
    out: Path,
    *,
    device: str = NAME,
    backend: str = "cpu",
    full: bool = False,
    operators: Sequence[str] | None = None,
    most: int | None = None,
    seed: int = 0,
    say: Callable[[str], None] = lambda _: None,
    on_count: OnCount | None = None,
) -> tuple[pd.DataFrame, Device]:
    """Time kernels through a library and store them beside `out` as Parquet; also the device that they were timed on.

    `operators` keeps only these of the suite, and `most` so many shapes of each. Raises `InputError`
    for what there is not and for a missing folder.
    """
    if not out.parent.is_dir():
        raise InputError(f"no folder {out.parent}: make it first")
    runtime_package() if backend == BACKEND else bench_named(backend)
    if backend == BACKEND and (operators is not None or most is not None):
        raise InputError(f"backend {backend} times its graphs together: leave operators and most out")
    kernels = partial(measure, backend, operators=operators, most=most, on_count=on_count)
    how = measure_graphs if backend == BACKEND else kernels
    if device == NAME and backend == "cuda":
        device = device_named(machine_name(backend))
    on = this_cpu(out.parent) if device == NAME else known_device(device)
    rows = how(quick=not full, seed=seed, say=say).assign(device=on.id)
    with atomic(out.with_suffix(".parquet")) as temporary:
        rows.to_parquet(temporary)
    return rows, on


def fit_machine(rows: pd.DataFrame, on: Device, out: Path, *, say: Callable[[str], None] = lambda _: None) -> None:
    """Fit measurements of one device and write the calibration to `out`."""
    for text in fit_rows(rows, on, say=say).values():
        write_text(out, text)
