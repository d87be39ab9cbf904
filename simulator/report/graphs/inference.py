"""Figures of an operator graph on a device: latency, where the time goes, memory and energy."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.report.graphs.memory import memory_figures, memory_rows
from simulator.workloads.graphs.lifetimes import peak_activation_bytes
from simulator.workloads.graphs.lowering import unknown

if TYPE_CHECKING:
    from simulator.inference import InferenceResult

SLOWEST = 12
# The first of these begins the backward pass of a training step.
GRADIENTS = {"Loss", "InputGradient", "PointwiseGradient", "WeightGradient"}


def summarise_inference(result: InferenceResult) -> dict[str, Any]:
    """Headline figures; times are of one answer to a batch."""
    scenario, counts = result.scenario, result.counts
    estimated: dict[str, int] = {}
    for part in result.model.parts:
        estimated |= unknown(part.graph)
    timed_by, source = result.timed_by
    return {
        "model": result.model.name,
        "device": result.law.device.id,
        "runtime": scenario.runtime,
        "format": scenario.format,
        "batch": scenario.batch,
        "latency_ms": result.seconds * 1e3,
        "throughput_per_s": scenario.batch / result.seconds,
        **({} if result.interval is None else {"interval_ms": result.interval * 1e3}),
        "energy_mj": result.joules * 1e3,
        "parameters": float(np.asarray(counts.parameters)),
        "macs": float(np.asarray(counts.macs)),
        "flops": float(np.asarray(counts.flops)),
        "kernels": sum(float(e.counts.sum()) * times for e, times in result.executions),
        "moved_mb": sum(e.bytes * times for e, times in result.executions) / 1e6,
        "weights_mb": float(np.asarray(counts.weight_bytes)) / 1e6,
        "peak_activation_mb": _peak(result) / 1e6,
        "share_of_peak_flops": sum(e.at_peak * times for e, times in result.executions) / result.seconds,
        "time_by_type_ms": _by(result, "type"),
        "time_by_bound_ms": _by(result, "bound"),
        **_backward(result),
        **_exits(result),
        **_shared(result),
        "estimated_operators": estimated,
        **({} if result.memory is None else {"memory": memory_figures(result.memory)}),
        "calibration": timed_by,
        "calibration_source": source,
    }


def _backward(result: InferenceResult) -> dict[str, Any]:
    """Milliseconds of a training step from the loss on, updates included; nothing for graphs that train nothing."""
    found = 0.0
    for execution, times in result.executions:
        starts = [at for at, kernel in enumerate(execution.kernels) if kernel.type in GRADIENTS]
        if starts:
            before = execution.ends[starts[0] - 1] if starts[0] else 0.0
            found += float(execution.ends[-1] - before) * times * 1e3
    return {"backward_ms": found} if found else {}


def _exits(result: InferenceResult) -> dict[str, Any]:
    """How long inputs take that leave at each exit, and the share that does; nothing without exits."""
    if not result.model.exits:
        return {}
    until = np.cumsum([e.seconds for e, _ in result.executions]) * 1e3
    ways = [{"share": s, "latency_ms": float(ms)} for s, ms in zip(result.model.exits, until, strict=True)]
    return {"exits": ways}


def _shared(result: InferenceResult) -> dict[str, Any]:
    """What the devices that share steps send each other, and how long they wait for it."""
    if not result.shared:
        return {}
    assert result.scenario.parallel is not None
    found = {
        "devices": result.scenario.parallel.devices,
        "sent_mb": sum(s.bytes * s.times for s in result.shared) / 1e6,
        "exchange_ms": sum((s.exchange + s.awaited) * s.times for s in result.shared) * 1e3,
        "waiting_ms": sum(s.waiting * s.times for s in result.shared) * 1e3,
    }
    return {"parallel": found}


def _peak(result: InferenceResult) -> float:
    """Bytes of activations at most: as planned, or in the graph's order with a buffer for each result."""
    if result.memory is not None:
        return max(plan.peak for plan in result.memory.plans)
    return max(float(np.asarray(peak_activation_bytes(p.graph))) for p in result.model.parts)


def _by(result: InferenceResult, what: str) -> dict[str, float]:
    """Milliseconds by operator type or by what bounds a kernel, the most first; waits apart."""
    found: dict[str, float] = defaultdict(float)
    found["exchange"] = sum(s.waiting * s.times for s in result.shared) * 1e3
    for execution, times in result.executions:
        for kernel, roofs, busy in zip(execution.kernels, execution.roofs, execution.busy, strict=True):
            found[kernel.type if what == "type" else roofs.bound()] += busy * times * 1e3
        unpaged = replace(execution, loaded=None).seconds
        found["paging"] += (execution.seconds - unpaged) * times * 1e3
        found["host"] += (unpaged - float(execution.busy.sum())) * times * 1e3
    return {name: ms for name, ms in sorted(found.items(), key=lambda item: -item[1]) if ms > 1e-9}


def inference_title(summary: dict[str, Any]) -> str:
    """One line that says what runs on what."""
    return f"{summary['model']} on {summary['device']}"


def _interval(summary: dict[str, Any]) -> list[dict[str, str]]:
    """The row of devices through which answers flow one behind the other."""
    known = "interval_ms" in summary
    return [{"figure": "interval of answers", "value": f"{summary['interval_ms']:.3f} ms"}] if known else []


def inference_tables(summary: dict[str, Any]) -> list[tuple[str, list[dict[str, str]]]]:
    """Titles and rows: the headline figures, where the time goes, and what the times rest on."""
    rows = [
        {"figure": "latency", "value": f"{summary['latency_ms']:.3f} ms"},
        {"figure": "throughput", "value": f"{summary['throughput_per_s']:,.1f} /s"},
        *_interval(summary),
        {"figure": "energy", "value": f"{summary['energy_mj']:,.2f} mJ"},
        {"figure": "parameters", "value": f"{summary['parameters'] / 1e6:,.3f} M"},
        {"figure": "multiply-adds", "value": f"{summary['macs'] / 1e9:,.4f} G"},
        {"figure": "kernels", "value": f"{summary['kernels']:,.0f}"},
        {"figure": "weights", "value": f"{summary['weights_mb']:,.2f} MB"},
        {"figure": "peak of activations", "value": f"{summary['peak_activation_mb']:,.2f} MB"},
        {"figure": "share of peak arithmetic", "value": f"{summary['share_of_peak_flops']:.1%}"},
        {"figure": "kernels timed by", "value": summary["calibration"]},
    ]
    slowest = dict(list(summary["time_by_type_ms"].items())[:SLOWEST])
    tables = [
        (inference_title(summary), [row for row in rows if row["figure"] != "energy" or summary["energy_mj"]]),
        ("where the time goes", _time_rows("operators", slowest, summary)),
        ("what bounds it", _time_rows("bound by", summary["time_by_bound_ms"], summary)),
    ]
    if "exits" in summary:
        tables.append(("early exits", _exit_rows(summary["exits"])))
    if "parallel" in summary:
        tables.append(("devices that share the steps", _shared_rows(summary["parallel"])))
    if "memory" in summary:
        tables.append(("memory", memory_rows(summary["memory"])))
    unknown_types = [{"operator": n, "nodes": f"{c:,}"} for n, c in summary["estimated_operators"].items()]
    title = "estimated as memory-bound, their types being unknown"
    return [*tables, (title, unknown_types)] if unknown_types else tables


def _time_rows(what: str, parts: dict[str, float], summary: dict[str, Any]) -> list[dict[str, str]]:
    total = summary["latency_ms"]
    return [{what: name, "ms": f"{ms:.3f}", "share": f"{ms / total:.1%}"} for name, ms in parts.items()]


def _exit_rows(ways: list[dict[str, float]]) -> list[dict[str, str]]:
    last = len(ways) - 1
    return [
        {"exit": "end" if i == last else str(i + 1), "share": f"{w['share']:.1%}", "ms": f"{w['latency_ms']:.3f}"}
        for i, w in enumerate(ways)
    ]


def _shared_rows(found: dict[str, float]) -> list[dict[str, str]]:
    return [
        {"figure": "devices", "value": f"{found['devices']:,.0f}"},
        {"figure": "sent by each", "value": f"{found['sent_mb']:,.1f} MB"},
        {"figure": "exchange", "value": f"{found['exchange_ms']:,.3f} ms"},
        {"figure": "waiting for it", "value": f"{found['waiting_ms']:,.3f} ms"},
    ]
