"""The candidates of a planning question: scenarios without a number of replicas, by their place in the space."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from simulator.errors import InputError
from simulator.hardware.device import device
from simulator.planning.spec import DeviceChoice, PlanSpec
from simulator.scenario import Scenario, apply_overrides, scenario_from
from simulator.specs.layout import ParallelSpec

DEGREES = {"tensor": "TP", "pipeline": "PP", "data": "DP", "expert": "EP"}


@dataclass(frozen=True)
class Configuration:
    """One unit of a candidate: a replica, or decode and prefill replicas in the ratio that the scenario gives.

    `settings` are the scenario fields that distinguish it, `price` is US dollars a device-hour, `most` the largest
    number of replicas that may be asked for.
    """

    scenario: Scenario
    settings: Mapping[str, Any]
    price: float
    most: int

    @property
    def label(self) -> str:
        """The device and what was chosen for it, short enough for a table."""
        return ", ".join([Path(self.scenario.device).stem, *(_said(k, v) for k, v in self.settings.items())])

    @property
    def key(self) -> str:
        """The scenario as text, equal for equal scenarios."""
        return self.scenario.model_dump_json()

    @property
    def devices(self) -> int:
        """Devices of one unit."""
        return self._decode_devices + self._prefill_devices + self._feed_forward_devices

    @property
    def usd_per_hour(self) -> float:
        """Rent of one unit."""
        apart = self.scenario.disaggregation
        price = self.price
        if apart is not None and apart.price_per_device_hour is not None:
            price = apart.price_per_device_hour
        elif apart is not None and apart.device is not None:
            price = device(apart.device).price or 0.0
        own = self.price * self._decode_devices + price * self._prefill_devices
        return own + self._feed_forward_price * self._feed_forward_devices

    @property
    def _decode_devices(self) -> int:
        each = _devices(self.scenario.parallel)
        return each * self.scenario.replicas if self.scenario.disaggregation is not None else each

    @property
    def _feed_forward_devices(self) -> int:
        pool = self.scenario.feed_forward
        if pool is None:
            return 0
        return pool.devices * self.scenario.replicas if self.scenario.disaggregation is not None else pool.devices

    @property
    def _feed_forward_price(self) -> float:
        pool = self.scenario.feed_forward
        if pool is None or (pool.price_per_device_hour is None and pool.device is None):
            return self.price
        given = pool.price_per_device_hour
        return given if given is not None else device(pool.device or self.scenario.device).price or 0.0

    @property
    def _prefill_devices(self) -> int:
        apart = self.scenario.disaggregation
        return 0 if apart is None else apart.replicas * _devices(apart.parallel or self.scenario.parallel)

    def with_replicas(self, replicas: int) -> Scenario:
        """The scenario that `simulator run` simulates for so many serving units."""
        apart = self.scenario.disaggregation
        if apart is None:
            return self.scenario.model_copy(update={"replicas": replicas})
        more = apart.model_copy(update={"replicas": apart.replicas * replicas})
        return self.scenario.model_copy(update={"replicas": self.scenario.replicas * replicas, "disaggregation": more})


def _devices(layout: ParallelSpec) -> int:
    return layout.tensor * layout.pipeline * layout.data


def _said(key: str, value: Any) -> str:
    path = key.replace("-", "_")
    if path.startswith("disaggregation."):
        return f"prefill {_said(path.removeprefix('disaggregation.'), value)}"
    name = path.rsplit(".", 1)[-1]
    if name in DEGREES:
        return f"{DEGREES[name]}{value}"
    return f"{name} {'as published' if value is None else value}"


class Space:
    """Devices x layouts x values of every varied field. A choice is one index for each of these axes."""

    def __init__(self, spec: PlanSpec) -> None:
        self.spec = spec
        self._fields = list(spec.vary)

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """How many values each axis has."""
        return (len(self.spec.devices), len(self.spec.layouts), *(len(self.spec.vary[f]) for f in self._fields))

    @property
    def axes(self) -> list[str]:
        return ["device", "layout", *self._fields]

    @property
    def size(self) -> int:
        size = 1
        for length in self.shape:
            size *= length
        return size

    def choices(self) -> Iterator[tuple[int, ...]]:
        """Every choice, the last axis fastest."""
        return itertools.product(*(range(length) for length in self.shape))

    def at(self, choice: tuple[int, ...]) -> Configuration | None:
        """The configuration of a choice; None where its values contradict each other (as the scenario says).

        Raises `InputError` for a field that no scenario has.
        """
        return configuration(self.spec, self.spec.devices[choice[0]], self._settings(choice))

    def check(self) -> Scenario:
        """The first scenario that makes sense. Raises `InputError` for a name that no scenario has, or without any."""
        apply_overrides({}, {k: None for f in (*self.spec.layouts, self.spec.vary, self.spec.fixed) for k in f})
        problem: InputError | None = None
        for choice in itertools.islice(self.choices(), 10_000):
            try:
                return scenario_of(self.spec, self.spec.devices[choice[0]], self._settings(choice))
            except InputError as error:
                problem = problem or error
        raise problem or InputError("the space of candidates is empty")

    def _settings(self, choice: tuple[int, ...]) -> dict[str, Any]:
        _, layout, *rest = choice
        varied = {f: self.spec.vary[f][i] for f, i in zip(self._fields, rest, strict=True)}
        return {**self.spec.layouts[layout], **varied}


def configuration(spec: PlanSpec, choice: DeviceChoice, settings: Mapping[str, Any]) -> Configuration | None:
    """The configuration with these settings on this device; None where they contradict each other."""
    try:
        scenario = scenario_of(spec, choice, settings)
    except InputError:
        return None
    found = Configuration(scenario, dict(settings), choice.price or 0.0, spec.max_replicas)
    if choice.max_devices is None:
        return found
    most = min(spec.max_replicas, choice.max_devices // found.devices)
    return None if most < 1 else replace(found, most=most)


def scenario_of(spec: PlanSpec, choice: DeviceChoice, settings: Mapping[str, Any]) -> Scenario:
    """The scenario of one replica. Raises `InputError` for settings that no scenario can have."""
    load = spec.load.model_dump(exclude_defaults=True)
    if "trace" in load:
        load["trace"] = str(Path(load["trace"]).resolve())
    load["speed_up"] = spec.load.speed_up * spec.growth
    good = spec.objectives.goodput
    values: dict[str, Any] = {
        "model": spec.model,
        "device": choice.device,
        "node": choice.node,
        "load": load,
        "price_per_device_hour": choice.price,
        "seed": spec.seed,
    }
    if good is not None:
        values["objectives"] = {"ttft_ms": good.ttft_ms, "tpot_ms": good.tpot_ms, "e2e_ms": good.e2e_ms}
    apply_overrides(values, spec.fixed)
    apply_overrides(values, settings)
    return scenario_from(values)
