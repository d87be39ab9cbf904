"""From a file of measurements to calibration files: one for each device and backend in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from simulator.calibrate.fitting import Fitted, fit
from simulator.calibrate.graphs.files import graphs_text
from simulator.calibrate.graphs.measuring import BACKEND as RUNTIME
from simulator.calibrate.graphs.measuring import OP as GRAPHS
from simulator.calibrate.kernels import Group, groups, read_rows
from simulator.hardware.calibration import FAMILIES
from simulator.hardware.device import Device, device
from simulator.hardware.fabric import Fabric, fabric_of
from simulator.hardware.node import node
from simulator.report.files import write_text

FEWEST = 24  # rows below which a format is left to its neighbours
# Engines that serve prompts and decoding sequences of one iteration by one kernel (FlashAttention's variable-length
# interface); on datacentre Blackwell vLLM uses separate kernels.
ONE_KERNEL_BACKENDS = ("vllm", "vllm-eager")
TWO_KERNEL_DEVICES = ("nvidia-b200-sxm-180gb",)


def fit_file(path: str | Path, folder: str | Path, *, say: Callable[[str], None] = lambda _: None) -> list[Path]:
    """Fit every device and backend in a file of measurements and write their calibrations into `folder`.

    Returns the files. The same measurements give the same bytes.
    """
    written = []
    for name, rows in read_rows(path).groupby("device", sort=True):
        for backend, text in fit_rows(rows, device(str(name)), say=say).items():
            Path(folder).mkdir(parents=True, exist_ok=True)
            target = Path(folder) / f"{name}.{backend}.yaml"
            write_text(target, text)
            written.append(target)
    return written


def fit_rows(rows: pd.DataFrame, on: Device, *, say: Callable[[str], None] = lambda _: None) -> dict[str, str]:
    """Calibration files by backend, fitted to measurements of one device."""
    if (rows["op"] == GRAPHS).all():
        return {RUNTIME: graphs_text(rows, on, say=say)}
    fabric = fabric_of(on, node(on.node) if on.node else None)
    found = list(groups(rows.copy(), Counter()))
    texts = {}
    for backend in sorted({_engine(g.backend) for g in found}):
        mine = [g for g in found if _engine(g.backend) == backend]
        texts[backend] = calibration_text(on, fabric, backend, mine, origin(rows, backend), say)
    return texts


def _engine(backend: str) -> str:
    """The engine whose kernels a backend's rows are: its own collectives go with its other kernels."""
    return backend.removesuffix("-custom")


def origin(rows: Any, backend: str) -> str:
    """Where the measurements came from, from their own columns."""
    mine = rows[rows["backend"].isin([backend, f"{backend}-custom"])]
    versions, sources = (
        ", ".join(sorted({str(v).split(":")[0] for v in mine[c].dropna()})) if c in mine else "unknown"
        for c in ("version", "source")
    )
    return f"{sources}; {backend} {versions}; {len(mine):,} measurements"


def calibration_text(
    on: Device, fabric: Fabric, backend: str, rows: Sequence[Group], source: str, say: Callable[[str], None]
) -> str:
    """The calibration file of one device and backend."""
    curves: dict[str, dict[str, Any]] = {}
    residuals: dict[str, dict[str, Any]] = {}
    errors: list[NDArray[np.float64]] = []
    for family, kind in FAMILIES.items():
        for name in sorted({g.format for g in rows if g.family == family}):
            mine = [g for g in rows if g.family == family and g.format == name]
            if sum(map(len, mine)) < FEWEST:
                continue
            found = fit(kind, mine, on, fabric, **_fixed(family, backend, on))
            curves.setdefault(family, {})[name] = asdict(found.curve)
            residuals.setdefault(family, {})[name] = asdict(found.residual)
            errors.append(found.errors)
            say(_line(on, backend, family, name, found))
    if errors:
        every = np.concatenate(errors)
        say(f"{on.id} {backend}: median {np.median(every):.1%}, mean {every.mean():.1%} of all {len(every)} held out")
    document = {
        "name": f"{on.id} as {backend} runs it",
        "device": on.id,
        "backend": backend,
        "source": source,
        "gaps": not backend.endswith("-eager"),
        "curves": curves,
        "residuals": residuals,
    }
    text = yaml.safe_dump(document, sort_keys=False, default_flow_style=None, width=110)
    return f"# Written by `simulator calibrate --from`; residuals are of the held-out third of the shapes.\n{text}"


def _fixed(family: str, backend: str, on: Device) -> dict[str, Any]:
    if family != "attention":
        return {}
    return {"one_kernel": backend in ONE_KERNEL_BACKENDS and on.id not in TWO_KERNEL_DEVICES}


def _line(on: Device, backend: str, family: str, name: str, found: Fitted) -> str:
    r = found.residual
    return f"{on.id} {backend} {family} {name}: median {r.median:.1%}, mean {r.mean:.1%} of {r.rows} held-out rows"
