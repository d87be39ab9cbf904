"""From a scenario's `sites` and a timed step to local steps and exchanges."""

from __future__ import annotations

from dataclasses import dataclass, replace

from simulator.engine.training.ending import FP32
from simulator.engine.training.sites.local_steps import Period, Sites, required_bandwidth, steady_period
from simulator.engine.training.sites.presence import Presence, Rounds, run_rounds
from simulator.engine.training.step import Step
from simulator.errors import InputError
from simulator.hardware.links import link
from simulator.policies.registry import build_policy
from simulator.policies.synchronisation import Synchronisation
from simulator.specs.training_sites import SitesSpec
from simulator.workloads.operators import Elementwise

# The outer step with Nesterov momentum reads the mean change, the old weights and the momentum, writes the last two.
OUTER_READS, OUTER_WRITES, OUTER_FLOPS = 3.0, 2.0, 5.0
MOST_ROUNDS = 1_000_000
HOUR, DAY = 3600.0, 86400.0


@dataclass(frozen=True, slots=True)
class SitesResult:
    """Sites in the steady state of a period of `local_steps`; `required` are bytes a second; rounds if sites leave."""

    spec: SitesSpec
    sites: Sites
    local_steps: int
    period: Period
    required: float
    rounds: Rounds | None


def sites_of(spec: SitesSpec, step: Step) -> SitesResult:
    """Simulate local steps and exchanges, and whole rounds where sites come and go.

    Raises `InputError` for policies that there are not and for more rounds than are worth while.
    """
    policy: Synchronisation = build_policy("synchronisation", spec.policy, spec.options)
    between = link(spec.link)
    if spec.gbit_per_s is not None:
        between = replace(between, bandwidth=spec.gbit_per_s * 1e9 / 8.0, efficiency=1.0)
    if spec.latency_ms is not None:
        between = replace(between, latency=spec.latency_ms / 1e3)
    sites = Sites(spec.count, between, step.step_seconds, step.parameters(), outer_seconds(step))
    plan = policy.exchanges()
    rounds = None
    if spec.presence is not None:
        given = spec.presence
        state = step.parameters() * (
            step.job.formats.stored.bytes + step.job.optimizer.states_beside(step.job.formats.stored)
        )
        presence = Presence(given.stay_h * HOUR, given.absence_h * HOUR, given.timeout_s, state, given.live)
        count = given.days * DAY / (policy.period * sites.step)
        if count > MOST_ROUNDS:
            raise InputError(f"sites.presence: {count:,.0f} rounds: take fewer days, or more local steps")
        rounds = run_rounds(sites, policy, presence, given.days * DAY, given.seed)
    return SitesResult(
        spec, sites, policy.period, steady_period(sites, policy.period, plan),
        required_bandwidth(sites, policy.period, plan, spec.target_utilisation), rounds,
    )  # fmt: skip


def outer_seconds(step: Step) -> float:
    """Seconds of the outer optimiser over a site's devices, which share the parameters."""
    own = step.parameters() / step.job.layout.devices
    return step.of(Elementwise(own, OUTER_READS, OUTER_WRITES, OUTER_FLOPS, FP32))
