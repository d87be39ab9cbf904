"""Figures of an operator graph on a device: latency, where the time goes, memory and energy."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.report.terminal import console, table
from simulator.workloads.graphs.lifetimes import peak_activation_bytes
from simulator.workloads.graphs.lowering import unknown

if TYPE_CHECKING:
    from simulator.inference import InferenceResult

SLOWEST = 12


def summarise_inference(result: InferenceResult) -> dict[str, Any]:
    """Headline figures; times are of one answer to a batch."""
    scenario, counts = result.scenario, result.counts
    estimated: dict[str, int] = {}
    for part in result.model.parts:
        estimated |= unknown(part.graph)
    peak = result.law.peak(scenario_format(result))
    return {
        "model": result.model.name,
        "device": result.law.device.id,
        "runtime": scenario.runtime,
        "format": scenario.format,
        "batch": scenario.batch,
        "latency_ms": result.seconds * 1e3,
        "throughput_per_s": scenario.batch / result.seconds,
        "energy_mj": result.joules * 1e3,
        "parameters": float(np.asarray(counts.parameters)),
        "macs": float(np.asarray(counts.macs)),
        "flops": float(np.asarray(counts.flops)),
        "kernels": sum(float(e.counts.sum()) * times for e, times in result.executions),
        "moved_mb": sum(e.bytes * times for e, times in result.executions) / 1e6,
        "weights_mb": float(np.asarray(counts.weight_bytes)) / 1e6,
        "peak_activation_mb": max(peak_activation_bytes(p.graph) for p in result.model.parts) / 1e6,
        "share_of_peak_flops": 2.0 * float(np.asarray(counts.macs)) / (result.seconds * peak),
        "time_by_type_ms": _by(result, "type"),
        "time_by_bound_ms": _by(result, "bound"),
        "estimated_operators": estimated,
        "calibration": result.law.calibrations.name,
        "calibration_source": result.law.calibrations.source,
    }


def scenario_format(result: InferenceResult) -> str:
    """The arithmetic format of the scenario."""
    from simulator.workloads.dtypes import dtype

    return dtype(result.scenario.format).compute


def _by(result: InferenceResult, what: str) -> dict[str, float]:
    """Milliseconds by operator type or by what bounds a kernel, the most first; waiting for the host apart."""
    found: dict[str, float] = defaultdict(float)
    for execution, times in result.executions:
        for kernel, roofs, busy in zip(execution.kernels, execution.roofs, execution.busy, strict=True):
            found[kernel.type if what == "type" else roofs.bound()] += busy * times * 1e3
        found["host"] += (execution.seconds - float(execution.busy.sum())) * times * 1e3
    return {name: ms for name, ms in sorted(found.items(), key=lambda item: -item[1]) if ms > 1e-9}


def print_inference(summary: dict[str, Any]) -> None:
    """The headline figures and where the time goes."""
    on = console()
    shown = table(on, f"{summary['model']} on {summary['device']}", ("figure", "left"), ("value", "right"))
    shown.add_row("latency", f"{summary['latency_ms']:.3f} ms")
    shown.add_row("throughput", f"{summary['throughput_per_s']:,.1f} /s")
    if summary["energy_mj"]:
        shown.add_row("energy", f"{summary['energy_mj']:,.2f} mJ")
    shown.add_row("parameters", f"{summary['parameters'] / 1e6:,.3f} M")
    shown.add_row("multiply-adds", f"{summary['macs'] / 1e9:,.4f} G")
    shown.add_row("kernels", f"{summary['kernels']:,.0f}")
    shown.add_row("weights", f"{summary['weights_mb']:,.2f} MB")
    shown.add_row("peak of activations", f"{summary['peak_activation_mb']:,.2f} MB")
    shown.add_row("share of peak arithmetic", f"{summary['share_of_peak_flops']:.1%}")
    on.print(shown)
    parts = table(on, "where the time goes", ("operators", "left"), ("ms", "right"), ("share", "right"))
    for name, ms in list(summary["time_by_type_ms"].items())[:SLOWEST]:
        parts.add_row(name, f"{ms:.3f}", f"{ms / summary['latency_ms']:.1%}")
    on.print(parts)
    for name, ms in summary["time_by_bound_ms"].items():
        on.print(f"bound by {name}: {ms:.3f} ms ({ms / summary['latency_ms']:.1%})")
    if summary["estimated_operators"]:
        listed = ", ".join(f"{name} ({count})" for name, count in summary["estimated_operators"].items())
        on.print(f"estimated as memory-bound, their types being unknown: {listed}")
    on.print(f"kernels timed by: {summary['calibration']}")
