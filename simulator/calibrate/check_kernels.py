"""Predicted against measured kernels."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from simulator.calibrate.errors import Comparison
from simulator.calibrate.kernels import Group, groups, predict, predict_collective, read_rows
from simulator.counted import OnCount, counted
from simulator.errors import InputError
from simulator.hardware.device import Device, device
from simulator.hardware.fabric import Fabric, fabric_of
from simulator.hardware.node import node
from simulator.hardware.relatives import calibrations_for


def check_kernels(
    path: str | Path, *, calibrated: bool = True, held_out: bool = False, on_count: OnCount | None = None
) -> Comparison:
    """Compare every row of a file of measured kernels with the timing law.

    With `calibrated` False each device is timed as if it had never been measured, by its datasheet and its
    relatives' curves. `held_out` keeps only the third of the shapes that no fit has seen. What cannot be
    modelled is counted with its reason.
    """
    frame = read_rows(path)
    comparison, skipped = Comparison(), Counter[str]()
    for name, rows in frame.groupby("device", sort=True):
        try:
            on = device(str(name))
        except InputError:
            skipped[f"unknown device {name}"] += len(rows)
            continue
        fabric = fabric_of(on, node(on.node) if on.node else None)
        listed = list(groups(rows.copy(), skipped))
        for group in counted(listed, len(listed), on_count):
            chosen = group.take(group.held_out()) if held_out else group
            if len(chosen):
                _add(comparison, chosen, on, fabric, calibrated)
    comparison.skipped.update(skipped)
    return comparison


def _add(comparison: Comparison, group: Group, on: Device, fabric: Fabric, calibrated: bool) -> None:
    known = calibrations_for(on, backend=group.backend.removesuffix("-custom"), own=calibrated)
    comparison.sources[known.name] = known.source
    names = group.names()
    label = {"device": on.id, "op": group.op, "backend": group.backend, "dtype": group.dtype}
    if group.family in ("attention", "decode"):
        label["dtype"] = group.format
    if group.distribution:
        label["distribution"] = group.distribution
    if group.family == "collective":
        curve = known.collective(group.format, fabric.inside.name)
        if curve is None:
            comparison.add(label, predict_collective(group, fabric), group.seconds, names=names)
            return
        spread = next(
            (
                c.residuals["collective"][group.format].spread
                for c in (*known.own, *known.relatives)
                if c.curves.get("collective", {}).get(group.format) is curve
            ),
            None,
        )
        comparison.add(label, predict(group, curve, on, fabric), group.seconds, spread, names)
        return
    found = known.find(group.family, group.format)
    spread = found.spread if found.calibration.device == on.id else None
    comparison.add(label, predict(group, found.curve, on, fabric), group.seconds, spread, names)
