"""A pipeline's run as a Chrome trace: a lane for each server of a stage, and the first items from end to end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.engine.pipeline.records import Visit
from simulator.engine.pipeline.running import Outcome
from simulator.engine.pipeline.station import Station
from simulator.report.trace import MOST_ITERATIONS, MOST_REQUESTS, Event, write_trace

if TYPE_CHECKING:
    from simulator.pipelines import PipelineResult


def write_pipeline_timeline(path: Path, result: PipelineResult, *, most: int = MOST_ITERATIONS) -> None:
    """Write the trace; visits beyond `most` a stage and items beyond the first are left out, as its metadata says."""
    outcome = result.outcome
    stations = list(outcome.network.stations.values())
    note = {
        "visits": sum(len(s.visits) for s in stations),
        "visits_shown": sum(min(len(s.visits), most) for s in stations),
    }
    write_trace(path, note, _events(outcome, stations, most))


def _events(outcome: Outcome, stations: list[Station], most: int) -> Iterator[Event]:
    for pid, station in enumerate(stations):
        yield {"ph": "M", "pid": pid, "name": "process_name", "args": {"name": station.name}}
        yield from _visits(pid, sorted(station.visits, key=lambda v: v.started)[:most])
    pid = len(stations)
    yield {"ph": "M", "pid": pid, "name": "process_name", "args": {"name": "items"}}
    for item in outcome.items[:MOST_REQUESTS]:
        end = outcome.makespan if item.closed is None else item.closed
        same = {"pid": pid, "cat": "item", "id": item.number, "name": f"item {item.number}"}
        yield same | {"ph": "b", "ts": item.created * 1e6, "args": {"source": item.source, "dropped": item.lost}}
        yield same | {"ph": "e", "ts": end * 1e6}


def _visits(pid: int, visits: list[Visit]) -> Iterator[Event]:
    """One slice a batch, on the first lane that is free."""
    free: list[float] = []
    seen: set[tuple[float, float]] = set()
    for visit in visits:
        if visit.batch > 1 and (visit.started, visit.ended) in seen:
            continue
        seen.add((visit.started, visit.ended))
        lane = next((n for n, end in enumerate(free) if end <= visit.started), len(free))
        free[lane : lane + 1] = [visit.ended]
        yield {
            "ph": "X",
            "pid": pid,
            "tid": lane,
            "ts": visit.started * 1e6,
            "dur": (visit.ended - visit.started) * 1e6,
            "name": f"item {visit.item}" if visit.batch == 1 else f"batch of {visit.batch}",
            "args": {"waited_ms": visit.waited * 1e3, "queued_ms": visit.queued * 1e3},
        }
