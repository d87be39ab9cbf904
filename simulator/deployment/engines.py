"""An engine as the targets see it: its arguments for a pool, what it lacks, and what it runs on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from simulator.deployment import sglang, vllm
from simulator.deployment.accelerators import MOST_PER_SERVER, kind_of, per_server
from simulator.deployment.flags import Argument
from simulator.deployment.naming import is_file
from simulator.deployment.pools import Pool


@dataclass(frozen=True, slots=True)
class Engine:
    """`lacks` has reasons by the beginning of a field's name, `runs_on` pairs of vendor and kind of device."""

    name: str
    arguments: Callable[[Pool], list[Argument]]
    notes: Callable[[Pool], list[str]]
    lacks: Mapping[str, str]
    runs_on: tuple[tuple[str, str], ...]


ENGINES = {
    "vllm": Engine(vllm.NAME, vllm.arguments, vllm.notes, vllm.LACKS, vllm.RUNS_ON),
    "sglang": Engine(sglang.NAME, sglang.arguments, sglang.notes, sglang.LACKS, sglang.RUNS_ON),
}


def claimed(engine_name: str, pools: Sequence[Pool]) -> set[str]:
    """Fields that are said by the arguments of all pools, and by how many replicas there are of what on what."""
    engine = ENGINES[engine_name]
    found, nearly = {"name"}, set[str]()
    for pool in pools:
        scenario = pool.scenario
        said = engine.arguments(pool)
        found.update(field for argument in said for field in argument.fields)
        nearly.update(field for argument in said for field in argument.nearly)
        found.add(pool.origin("replicas"))
        if not is_file(scenario.model):
            found.add("model")
        if kind_of(scenario.device) in engine.runs_on:
            found.update((pool.origin("device"), pool.origin("node")))
        if scenario.engine.startswith(engine_name) and not is_file(scenario.engine):
            found.add("engine")
    return found - nearly


def notes(engine_name: str, pools: Iterable[Pool]) -> list[str]:
    """Remarks for whoever launches the pools, each once."""
    found = []
    for pool in pools:
        found += ENGINES[engine_name].notes(pool)
        inside = per_server(pool.scenario.device, pool.scenario.node)
        if inside is not None and inside > MOST_PER_SERVER:
            found.append(f"a node of {inside} devices is a rack of several servers: spread its lines over them")
    return list(dict.fromkeys(found))
