"""What a serving run takes for granted: fields left as usual, whose curves time its kernels, and how far those err."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.report.sections import Row, Rows
from simulator.report.serving.step_time import Spent
from simulator.uncertainty import formats, spreads

if TYPE_CHECKING:
    from simulator.engine.deployment import Deployment
    from simulator.experiment import Result


# Standard deviations that hold 90 % of a normal law, to one side and the other.
NINETY = 1.645
# Fields that change latencies or costs most, and that scenarios often leave as usual.
FIELDS = {
    "engine": "engine whose kernels and overheads run it",
    "precision.weights": "format of the weights",
    "precision.kv_cache": "format of the KV cache",
    "batching.policy": "batching policy",
    "batching.max_num_seqs": "sequences in a batch at most",
    "batching.max_num_batched_tokens": "tokens in an iteration at most",
    "kv_cache.memory_utilization": "share of the memory that the engine takes",
    "kv_cache.prefix_caching": "prefix caching",
    "queue.policy": "queue discipline",
    "router.policy": "router",
    "objectives.ttft_ms": "objective for TTFT (ms)",
    "objectives.tpot_ms": "objective for TPOT (ms)",
    "objectives.e2e_ms": "objective for E2E (ms)",
    "price_per_device_hour": "USD a device-hour",
    "failures": "failures",
    "seed": "seed",
}
# Families of curves by the kinds of operator that they time.
TIMED = {"gemm": "products", "experts": "experts", "streaming": "pointwise operators", "collective": "collectives"}
KERNELS = {
    "gemm": "matrix products",
    "attention": "prompt attention",
    "decode": "decode attention",
    "streaming": "pointwise operators",
    "collective": "collectives",
}
NOT_MODELLED = (
    "Latencies count from a request's arrival to its tokens leaving the engine: the network to the client is not in "
    "them. Outputs have the lengths that the load gives, and prompts share only what it says that they share."
)


def assumption_rows(result: Result) -> Rows:
    """The fields of `FIELDS`, the value of each in this run, and whether the scenario gives it or leaves it."""
    scenario = result.scenario
    values, given = scenario.model_dump(), scenario.model_dump(exclude_defaults=True)
    found: list[Row] = []
    for path, what in FIELDS.items():
        value = _shown(result, path, _inside(values, path))
        if value:
            chosen = "the scenario" if _inside(given, path) is not None else "the usual value"
            found.append({"assumed": what, "field": path, "value": value, "by": chosen})
    return found


def calibration_rows(result: Result, spent: Sequence[Spent]) -> Rows:
    """For each pool and family of kernels: whose curve times it, how its measurements spread, its share of the time."""
    rows: dict[tuple[str, ...], Row] = {}
    for pool in result.pools:
        for row in _pool_rows(pool.deployment, spent):
            rows.setdefault(tuple(row.values()), row)
    return list(rows.values())


def provenance(deployment: Deployment) -> str:
    """Where the curves come from, in a sentence."""
    known = deployment.calibrations
    if known.own:
        return f"Kernels are timed by curves measured on {deployment.device.id}: {known.own[0].source}."
    if known.relatives:
        lender = known.relatives[0]
        return (
            f"No kernel was measured on {deployment.device.id}: its times are its datasheet's peaks under the curves "
            f"of its nearest relative, {lender.name} ({lender.source}), and less sure than those of a measured device."
        )
    return (
        f"No kernel was measured on {deployment.device.id} or on a relative of it: its times are its datasheet's peaks "
        "under usual efficiencies, and much less sure than those of a measured device."
    )


def _pool_rows(deployment: Deployment, spent: Sequence[Spent]) -> Iterator[Row]:
    total = sum(one.seconds for one in spent)
    spread, known = spreads(deployment), deployment.calibrations
    for family, name in (formats(deployment) | {"collective": "all_reduce"}).items():
        seconds = sum(one.seconds for one in spent if _times(family, one))
        if spent and not seconds:
            continue
        if family == "collective":
            own = any(name in c.curves.get(family, {}) for c in known.own)
            source = "this device" if own else "usual links"
        else:
            curve = known.find(family, name)
            near = "" if curve.format == name else f", by its {curve.format}"
            source = f"{'another device: ' if curve.lent else ''}{curve.calibration.name}{near}"
        low, high = (math.exp(side * NINETY * spread[family]) - 1.0 for side in (-1, 1))
        yield {
            "device": deployment.device.id,
            "kernels": KERNELS.get(family, family),
            "format": name,
            "timed by the curve of": source,
            "error (90 %)": f"{low:+.0%} to {high:+.0%}",
            "share of the time": f"{seconds / total:.1%}" if total else "",
        }


def _times(family: str, one: Spent) -> bool:
    """Whether curves of this family time this operator."""
    if one.family == "attention":
        return family == ("decode" if one.name.startswith("decode") else "attention")
    return TIMED.get(family) == one.family


def _inside(values: Any, path: str) -> Any:
    for key in path.split("."):
        values = values.get(key) if isinstance(values, dict) else None
    return values


def _shown(result: Result, path: str, value: Any) -> str:
    """A field's value as this run has it; empty where it says nothing."""
    deployment = result.deployment
    known: dict[str, Any] = {
        "precision.weights": deployment.precision.weights.name,
        "precision.kv_cache": deployment.precision.kv_cache.name,
        "price_per_device_hour": "unknown" if deployment.device.price is None else deployment.device.price,
        "failures": "some" if result.scenario.failures.any else "none",
    }
    found = known[path] if path in known and (value is None or path == "failures") else value
    if isinstance(found, bool):
        return "on" if found else "off"
    if isinstance(found, float):
        return f"{found:g}"
    return "" if found is None else Path(str(found)).name if path == "engine" else str(found)
