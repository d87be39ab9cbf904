"""Run a federated scenario: one validated object in, one result out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from simulator.engine.training.federated.clients import Clients, Population, Spread, Task, clients_of
from simulator.engine.training.federated.gathering import Gathered, gather, poll
from simulator.policies.federated import Polling
from simulator.policies.registry import build_policy
from simulator.policies.upload import Upload
from simulator.specs.federated import FederatedScenario, SpreadSpec

MBIT = 1e6 / 8.0


@dataclass(frozen=True)
class FederatedResult:
    """What came of a federated scenario; `upload` tells what an update takes on its way."""

    scenario: FederatedScenario
    clients: Clients
    gathered: Gathered
    upload: Upload

    @cached_property
    def summary(self) -> dict[str, Any]:
        """Headline figures as nested plain data; names carry their units."""
        from simulator.report.training.federated import summarise_federation

        return summarise_federation(self)


def simulate_federation(scenario: FederatedScenario) -> FederatedResult:
    """Draw the clients and gather their updates. Raises `InputError` for policies that there are not."""
    upload: Upload = build_policy("upload", scenario.upload.policy, scenario.upload.options)
    server = build_policy("federated", scenario.server.policy, scenario.server.options)
    given = scenario.clients
    population = Population(
        given.count, _spread(given.gflop_per_s, 1e9), _spread(given.uplink_mbit_per_s, MBIT),
        _spread(given.downlink_mbit_per_s, MBIT), given.latency_ms / 1e3, given.compute_w, given.radio_w,
    )  # fmt: skip
    model = scenario.model
    task = Task(model.step_gflop * 1e9, scenario.local_steps, model.parameters, upload, model.download_bits)
    clients = clients_of(population, task, scenario.seed)
    until = scenario.hours * 3600.0
    if isinstance(server, Polling):
        found = poll(clients, scenario.local_steps, server, until, scenario.seed)
    else:
        found = gather(clients, scenario.local_steps, server, until, scenario.seed)
    return FederatedResult(scenario, clients, found, upload)


def _spread(spec: SpreadSpec, unit: float) -> Spread:
    return Spread(spec.median * unit, spec.deviation)
