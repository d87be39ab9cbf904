"""Devices, links and stores of a pipeline as resources of the engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from simulator.engine.clock import Clock
from simulator.engine.pipeline.rates import Rate, Steady, gilbert_elliott, trace
from simulator.engine.pipeline.resources import Queued, Resource, Shared
from simulator.engine.pipeline.services.search import Store
from simulator.engine.pipeline.services.transfer import Loss
from simulator.engine.streams import stream
from simulator.errors import InputError, unknown_name
from simulator.hardware.device import Device, device
from simulator.hardware.drives import Drive
from simulator.hardware.fabric import fabric_of
from simulator.hardware.law import TimingLaw
from simulator.hardware.partition import part_of
from simulator.hardware.relatives import calibrations_for
from simulator.hardware.runtimes import Runtime
from simulator.specs.pipeline.resources import DeviceSpec, LinkSpec, StoreSpec
from simulator.specs.pipeline.scenario import PipelineScenario

BYTES_PER_MBIT = 1e6 / 8.0
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Placed:
    """A device of a pipeline: what stages use of it, its datasheet (of one server) if named, watts of an idle server.

    `own_energy` says whether models bring their own energy figures.
    """

    spec: DeviceSpec
    resource: Resource
    sheet: Device | None
    idle_w: float

    @property
    def own_energy(self) -> bool:
        return self.spec.busy_w is None

    def law(self, how: Runtime) -> TimingLaw:
        """The timing law of one server under a runtime. Raises `InputError` for a device without a name."""
        if self.sheet is None:
            raise InputError(f"devices.{self.resource.name}.device is missing: models and searches need a datasheet")
        whole = device(self.spec.device or "")
        known = calibrations_for(whole, backend=how.kernels, own=self.spec.calibrated, file=self.spec.calibration)
        return TimingLaw(self.sheet, known, fabric_of(whole, None), how.overlap)


@dataclass(frozen=True, slots=True)
class Wire:
    """A link of a pipeline: seconds one way, and how it loses packets."""

    spec: LinkSpec
    resource: Resource
    latency: float
    loss: Loss | None


@dataclass(frozen=True, slots=True)
class Places:
    """All that the stages of a pipeline share, by name."""

    devices: Mapping[str, Placed]
    links: Mapping[str, Wire]
    stores: Mapping[str, Store]

    def device(self, name: str) -> Placed:
        """A device by its name in the scenario. Raises `InputError` for an unknown one."""
        return _found("device", name, self.devices)

    def link(self, name: str) -> Wire:
        return _found("link", name, self.links)

    def store(self, name: str) -> Store:
        return _found("store", name, self.stores)


def places_of(scenario: PipelineScenario, clock: Clock) -> Places:
    """Build everything that stages share."""
    return Places(
        {name: _device(clock, name, spec) for name, spec in scenario.devices.items()},
        {name: _link(clock, name, spec, scenario.seed) for name, spec in scenario.links.items()},
        {name: _store(clock, name, spec) for name, spec in scenario.stores.items()},
    )


def _device(clock: Clock, name: str, spec: DeviceSpec) -> Placed:
    sheet = None if spec.device is None else device(spec.device)
    if sheet is not None and spec.servers > 1:
        sheet = part_of(sheet, 1.0 / spec.servers, 1.0 / spec.servers)
    idle, busy = (0.0, 0.0) if sheet is None else (sheet.idle_power, sheet.tdp)
    watts = busy if spec.busy_w is None else spec.busy_w
    contention = spec.contention
    rate = Steady(1.0) if contention is None else trace(contention.seconds, contention.available)
    return Placed(
        spec,
        _resource(clock, name, spec.sharing, rate, spec.servers, watts),
        sheet,
        idle if spec.idle_w is None else spec.idle_w,
    )


def _link(clock: Clock, name: str, spec: LinkSpec, seed: int) -> Wire:
    loss = Loss(spec.loss, spec.packet_bytes, spec.retries) if spec.loss else None
    resource = _resource(clock, name, spec.sharing, _rate(name, spec, seed), 1, spec.busy_w)
    return Wire(spec, resource, spec.latency_ms * 1e-3, loss)


def _rate(name: str, spec: LinkSpec, seed: int) -> Rate:
    if isinstance(spec.mbit_per_s, list):
        return trace(spec.seconds, [rate * BYTES_PER_MBIT for rate in spec.mbit_per_s])
    good = spec.mbit_per_s * BYTES_PER_MBIT
    if spec.rate == "steady":
        return Steady(good)
    rng = stream(seed, f"pipeline/link/{name}")
    return gilbert_elliott(good, spec.bad_mbit_per_s * BYTES_PER_MBIT, spec.good_s, spec.bad_s, rng)


def _store(clock: Clock, name: str, spec: StoreSpec) -> Store:
    drive = Drive(spec.iops, spec.gb_per_s * 1e9, spec.latency_us * 1e-6, spec.depth)
    return Store(drive, Queued(clock, name, Steady(1.0), 1, spec.busy_w))


def _resource(clock: Clock, name: str, sharing: str, rate: Rate, servers: int, watts: float) -> Resource:
    if sharing in ("processor-sharing", "lanes"):
        return Shared(clock, name, rate, watts)
    return Queued(clock, name, rate, servers, watts, by_priority=sharing == "priority")


def _found(kind: str, name: str, known: Mapping[str, T]) -> T:
    if name not in known:
        raise unknown_name(kind, name, known, remedy=f"(of {kind}s)")
    return known[name]
