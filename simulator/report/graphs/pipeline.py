"""Figures of a pipeline: what became of items, where their time went, and how busy stages, devices and links were."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.engine.pipeline.items import Item
from simulator.engine.pipeline.resources import Resource
from simulator.engine.pipeline.services.adaptive import Adaptive
from simulator.engine.pipeline.services.cold_starts import ColdStarts
from simulator.engine.pipeline.services.transfer import Transfer
from simulator.engine.pipeline.station import Station
from simulator.errors import InputError

if TYPE_CHECKING:
    from simulator.pipelines import PipelineResult


def summarise_pipeline(result: PipelineResult) -> dict[str, Any]:
    """Headline figures; latencies count from an item's creation.

    Goodput counts items that are completed by their deadline.
    """
    outcome, scenario = result.outcome, result.scenario
    items = [i for i in outcome.items if i.created >= scenario.warm_up_s]
    if not items:
        raise InputError(f"warm_up_s {scenario.warm_up_s:g} leaves no item: shorten it, or run for longer")
    resources = {name: _resource(result, name) for name in outcome.network.resources}
    energy = sum(row["energy_j"] for row in resources.values())
    done = sum(i.completed for i in items)
    return {
        "makespan_s": outcome.makespan,
        "items": _items(items, outcome.makespan - scenario.warm_up_s),
        "latency_ms": _latencies(items),
        "sources": {name: _source(result, name, items) for name in scenario.sources},
        "breakdown_ms": _breakdown(result, items),
        "stages": {name: _stage(s, outcome.makespan) for name, s in outcome.network.stations.items()},
        "resources": resources,
        "supplies": {
            name: {
                "made": s.made,
                "expired": s.expired,
                "missed": s.missed,
                "kept_mean": s.kept.area(outcome.makespan) / outcome.makespan if outcome.makespan else 0.0,
            }
            for name, s in outcome.network.supplies.items()
        },
        "energy_j": energy,
        "energy_per_item_j": energy / done if done else 0.0,
    }


def _items(items: Sequence[Item], seconds: float) -> dict[str, Any]:
    done = [i for i in items if i.completed]
    late = sum(_latency_end(i) > i.deadline for i in done)
    per_second = 1.0 / seconds if seconds > 0 else 0.0
    return {
        "created": len(items),
        "completed": len(done),
        "dropped": sum(bool(i.lost) and i.closed is not None for i in items),
        "in_flight": sum(i.closed is None for i in items),
        "dropped_by": dict(Counter(i.lost for i in items if i.lost and i.closed is not None)),
        "late": late,
        "deadline_misses": late + sum(bool(i.lost) and i.deadline < float("inf") for i in items),
        "throughput_per_s": len(done) * per_second,
        "goodput_per_s": (len(done) - late) * per_second,
        "loss_share": sum(bool(i.lost) for i in items) / len(items),
    }


def _latencies(items: Sequence[Item]) -> dict[str, float]:
    """Mean and percentiles of completed items; 0 where none is."""
    found = np.array([_latency_end(i) - i.created for i in items if i.completed]) * 1e3
    if not len(found):
        found = np.zeros(1)
    named = {f"p{p}": float(np.percentile(found, p)) for p in (50, 90, 99)}
    return {"mean": float(found.mean()), **named, "max": float(found.max())}


def _latency_end(item: Item) -> float:
    assert item.closed is not None
    return item.closed


def _source(result: PipelineResult, name: str, items: Sequence[Item]) -> dict[str, Any]:
    own = [i for i in items if i.source == name]
    spec = result.scenario.sources[name]
    found: dict[str, Any] = {"created": len(own), "latency_ms": _latencies(own)}
    if spec.arrivals.process == "chunks" and own:
        numbers = {i.number for i in own}
        stations = result.outcome.network.stations.values()
        computing = [s for s in stations if not isinstance(s.service, Transfer)]
        served = sum(v.served for s in computing for v in s.visits if v.item in numbers)
        found["real_time_factor"] = served / (len(own) * spec.arrivals.chunk_ms * 1e-3)
    return found


def _breakdown(result: PipelineResult, items: Sequence[Item]) -> dict[str, dict[str, float]]:
    """Milliseconds that a completed item spent in line, in service and on its way at each stage, on average."""
    numbers = {i.number for i in items if i.completed}
    found: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for visit in result.outcome.visits:
        if visit.item in numbers:
            row = found[visit.stage]
            row[0] += visit.queued
            row[1] += visit.served
            row[2] += visit.lag
    names, per_item = ("queue", "service", "transfer"), 1e3 / max(len(numbers), 1)
    return {stage: {n: s * per_item for n, s in zip(names, row, strict=True)} for stage, row in found.items()}


def _stage(station: Station, makespan: float) -> dict[str, Any]:
    visits, busy = station.visits, station.busy.area(makespan)
    servers = station.settings.servers if station.settings.servers < float("inf") else max(station.busy.most, 1)
    found: dict[str, Any] = {
        "visits": len(visits),
        "dropped": station.dropped,
        "mean_present": station.present.area(makespan) / makespan if makespan else 0.0,
        "mean_batch": len(visits) / sum(1.0 / v.batch for v in visits) if visits else 0.0,
        "sojourn_mean_ms": 1e3 * sum(v.sojourn for v in visits) / len(visits) if visits else 0.0,
        "queue_mean_ms": 1e3 * sum(v.queued for v in visits) / len(visits) if visits else 0.0,
        "busy_s": busy,
        "idle_s": servers * makespan - busy,
        "utilisation": busy / (servers * makespan) if makespan else 0.0,
    }
    if isinstance(station.service, ColdStarts):
        found |= {"cold_starts": station.service.cold, "warm_starts": station.service.warm}
    if isinstance(station.service, Adaptive):
        found["configurations"] = dict(station.service.chosen)
        found["swaps"] = station.service.swaps
    return found


def _resource(result: PipelineResult, name: str) -> dict[str, float]:
    resource: Resource = result.outcome.network.resources[name]
    makespan = result.outcome.makespan
    busy = resource.busy.area(makespan)
    idle = resource.servers * makespan - busy
    found = {
        "busy_s": busy,
        "idle_s": idle,
        "utilisation": busy / (resource.servers * makespan) if makespan else 0.0,
        "energy_j": resource.joules + idle * _idle_w(result, name),
    }
    return found | ({"sent_bytes": resource.done} if name in result.places.links else {})


def _idle_w(result: PipelineResult, name: str) -> float:
    places = result.places
    if name in places.devices:
        return places.devices[name].idle_w
    return places.links[name].spec.idle_w if name in places.links else result.scenario.stores[name].idle_w
