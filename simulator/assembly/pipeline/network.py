"""From the fields of a pipeline to its network, with sources that are ready to run."""

from __future__ import annotations

from collections.abc import Generator

from simpy.events import Event

from simulator.assembly.pipeline.arrivals import sources_of
from simulator.assembly.pipeline.resources import Places, places_of
from simulator.assembly.pipeline.services import ServiceBuilder
from simulator.engine.clock import Clock
from simulator.engine.pipeline.network import Join, Network, unreachable
from simulator.engine.pipeline.station import Station, StationSettings
from simulator.engine.pipeline.supply import Supply, SupplySettings
from simulator.engine.streams import stream
from simulator.errors import InputError, unknown_name
from simulator.policies.registry import build_policy
from simulator.policies.stages.routing import NextStage
from simulator.specs.pipeline.laws import PolicySpec
from simulator.specs.pipeline.scenario import RESERVED, JoinSpec, PipelineScenario, StageSpec, SupplySpec
from simulator.specs.pipeline.sources import SourceSpec

Sources = list[Generator[Event, None, None]]


def network_of(scenario: PipelineScenario) -> tuple[Network, Places, Sources]:
    """The network of a scenario. Raises `InputError` for names that there are not, and for stages never reached."""
    network = Network(Clock())
    places = places_of(scenario, network.clock)
    builder = ServiceBuilder(places, scenario.seed)
    shared = (places.devices, places.links)
    network.resources = {name: found.resource for group in shared for name, found in group.items()}
    network.resources |= {name: store.resource for name, store in places.stores.items()}
    for name, supply in scenario.supplies.items():
        service = builder.build(supply.service, name)
        network.supplies[name] = Supply(network.clock, name, service, _supply_settings(supply))
    for name, stage in scenario.stages.items():
        network.stations[name] = _station(network, builder, name, stage)
    network.joins = {name: Join(join.needed) for name, join in scenario.joins.items()}
    _add_routes(network, scenario)
    return network, places, sources_of(scenario, network)


def _station(network: Network, builder: ServiceBuilder, name: str, spec: StageSpec) -> Station:
    if spec.takes is not None and spec.takes not in network.supplies:
        raise unknown_name("supply", spec.takes, network.supplies, remedy=f"(stages.{name}.takes)")
    capacity = float("inf") if spec.queue.capacity is None else float(spec.queue.capacity)
    if 1 < spec.batch.size > capacity:
        raise InputError(f"stages.{name}.queue.capacity {capacity:g} has no room for a batch of {spec.batch.size}")
    settings = StationSettings(
        float("inf") if spec.servers is None else spec.servers,
        spec.batch.size,
        spec.batch.timeout_ms * 1e-3,
        spec.queue.order,
        capacity,
        spec.late == "drop",
    )
    full = build_policy("full-queue", spec.queue.full.policy, spec.queue.full.options)
    supply = None if spec.takes is None else network.supplies[spec.takes]
    service = builder.build(spec.service, name)
    return Station(network.clock, name, service, settings, full, supply, network.forward, network.drop)


def _supply_settings(spec: SupplySpec) -> SupplySettings:
    lifetime = float("inf") if spec.lifetime_s is None else spec.lifetime_s
    return SupplySettings(spec.capacity, spec.initial, spec.makers, spec.priority, lifetime)


def _add_routes(network: Network, scenario: PipelineScenario) -> None:
    parts: dict[str, SourceSpec | StageSpec | JoinSpec] = {**scenario.sources, **scenario.stages, **scenario.joins}
    for name, part in parts.items():
        network.routes[name] = _route(network, name, part.to, scenario.seed)
    lost = unreachable(network.routes, set(scenario.sources))
    if lost:
        raise InputError(f"no item can come to {min(lost)}: name it in a `to`, or leave it out")


def _route(network: Network, name: str, to: str | list[str] | PolicySpec, seed: int) -> NextStage:
    if not isinstance(to, PolicySpec):
        places = [to] if isinstance(to, str) else to
        to = PolicySpec(policy="always", options={"to": places})
    rng = stream(seed, f"pipeline/route/{name}")
    try:
        route: NextStage = build_policy("next-stage", to.policy, to.options, rng=rng)
    except InputError as error:
        raise InputError(f"{name}.to: {error.message}") from None
    known = (*network.stations, *network.joins, *RESERVED)
    timed = getattr(route, "stages", ())
    for target in route.targets:
        if target not in known:
            raise unknown_name("stage", target, known, remedy=f"({name}.to)")
    for target in timed:
        if target not in network.stations:
            raise unknown_name("stage", target, network.stations, remedy=f"({name}.to)")
    if not route.targets:
        raise InputError(f"{name}.to is empty: name a stage, or done")
    return route
