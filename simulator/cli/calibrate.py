"""`simulator calibrate`: fit the timing law to measured kernels, of this machine or of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simulator.cli import completion
from simulator.cli.options import Json


def calibrate(
    out: Annotated[Path, typer.Option(help="Calibration file to write; with --from a folder for several.")],
    device: Annotated[
        str,
        typer.Option(
            help="Device whose datasheet the fit rests on; this-cpu writes one for this machine.",
            autocompletion=completion.devices,
        ),
    ] = "this-cpu",
    backend: Annotated[
        str,
        typer.Option(
            help="Where kernels run: cpu (NumPy), onnxruntime, cpu-torch or cuda (PyTorch).",
            autocompletion=completion.choices("cpu", "onnxruntime", "cpu-torch", "cuda"),
        ),
    ] = "cpu",
    full: Annotated[bool, typer.Option("--full", help="Measure three times as many shapes, for longer.")] = False,
    measurements: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="Fit these instead: a Parquet file of measured kernels, or a CSV file of measured deployments for "
            "the overheads of their engines.",
            metavar="FILE",
            autocompletion=completion.files(*completion.MEASURED),
        ),
    ] = None,
    json_file: Json = None,
) -> None:
    """Measure kernels on this machine, or read them from a file, and fit calibration files to them.

    A third of the shapes is held out and judges the fit. Use the result by --set calibration=FILE.

    Example: simulator calibrate --device this-cpu --out my-cpu.yaml
    """
    from simulator.calibrate.files import fit_file
    from simulator.calibrate.machine import device_file, fit_machine, measure_machine
    from simulator.calibrate.this_cpu import NAME
    from simulator.report.files import write_json
    from simulator.report.progress import progress
    from simulator.report.terminal import say

    if measurements is not None:
        from simulator.calibrate.fit_overheads import fit_overheads_file

        fit_any = fit_overheads_file if measurements.suffix == ".csv" else fit_file
        with progress("fitting"):
            written = fit_any(measurements, out, say=say)
        for path in written:
            say(f"wrote {path}")
        if json_file is not None:
            write_json(json_file, {"written": [str(path) for path in written]})
        return
    with progress("measuring", "kernels") as on_count:
        rows, on = measure_machine(out, device=device, backend=backend, full=full, say=say, on_count=on_count)
    with progress("fitting"):
        fit_machine(rows, on, out, say=say)
    written = [out, out.with_suffix(".parquet"), *([device_file(out)] if on.id == NAME else [])]
    say(f"wrote {' and '.join(str(path) for path in written)}")
    if json_file is not None:
        write_json(json_file, {"written": [str(path) for path in written]})
