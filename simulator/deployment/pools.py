"""The pools of replicas that a scenario deploys, each as a scenario of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from simulator.deployment.naming import checkpoint
from simulator.scenario import Scenario
from simulator.specs.speculation import SpeculationSpec

Role = Literal["mixed", "prefill", "decode"]


@dataclass(frozen=True, slots=True)
class Pool:
    """Equal replicas: what each of them is, and what it does. `apart` are fields that `disaggregation` gives it."""

    role: Role
    scenario: Scenario
    replicas: int
    apart: tuple[str, ...] = ()

    @property
    def devices(self) -> int:
        """Devices of one replica."""
        layout = self.scenario.parallel
        return layout.tensor * layout.pipeline * layout.data

    def origin(self, field: str) -> str:
        """Where in the whole scenario this pool's field is given."""
        return f"disaggregation.{field}" if field.split(".", maxsplit=1)[0] in self.apart else field


def pools_of(scenario: Scenario) -> list[Pool]:
    """Prefill before decode replicas, or one pool that does both."""
    apart = scenario.disaggregation
    if apart is None:
        return [Pool("mixed", scenario, scenario.replicas)]
    own = {name: getattr(apart, name) for name in ("device", "node", "parallel", "batching")}
    given = {name: value for name, value in own.items() if value is not None}
    if "device" in given and "node" not in given:
        given["node"] = None
    prefill = scenario.model_copy(update={**given, "speculation": SpeculationSpec()})
    return [
        Pool("prefill", prefill, apart.replicas, ("replicas", *given)),
        Pool("decode", scenario, scenario.replicas),
    ]


def headline(scenario: Scenario, pools: list[Pool]) -> str:
    """What is deployed on what, in one line."""
    where = " and ".join(f"{p.replicas} x {p.devices} {_place(p.scenario)}" for p in pools)
    name = scenario.name or checkpoint(scenario.model)
    return f"{name}: {where}, timed as {checkpoint(scenario.engine)}"


def _place(scenario: Scenario) -> str:
    return " in ".join(checkpoint(name) for name in (scenario.device, scenario.node) if name)
