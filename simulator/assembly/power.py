"""From a scenario's power budget to the process that keeps its servers within it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

from simulator.assembly.pools import Pool, deployment_of
from simulator.engine.power import PowerCapping, PoweredPool
from simulator.engine.step_timer import StepTimer
from simulator.errors import InputError
from simulator.hardware.clocks import at_clock
from simulator.hardware.overheads import StepOverheads
from simulator.policies.power import PowerPolicy, gives_way
from simulator.policies.registry import build_policy
from simulator.scenario import Scenario
from simulator.specs.combining import refuse_together


def power_of(
    scenario: Scenario,
    pools: tuple[Pool, ...],
    factors: Mapping[str, float] | None = None,
    host: StepOverheads | None = None,
) -> PowerCapping | None:
    """How the scenario's servers keep their power budget, None where there is none; `factors`, `host` as in `run`."""
    spec = scenario.power
    if spec is None:
        return None
    refuse_together(
        "power", scenario, "speculation", "attention_offload", "feed_forward", "partition.split", "autoscaling"
    )
    for pool in pools:
        if not pool.deployment.device.tdp:
            raise InputError(f"power: the power of {pool.deployment.device.id} is not known: give it in a device file")
    policy: PowerPolicy = build_policy("power", spec.policy, spec.options)
    servers = servers_of(scenario, pools)
    if spec.most_servers is not None and len(servers) > spec.most_servers:
        raise InputError(
            f"power: {len(servers)} servers of server_w {spec.server_w:g} W need more than budget_w "
            f"{spec.budget_w:g} W, which is enough for {spec.most_servers}: use fewer, or leave out server_w"
        )
    return PowerCapping(
        policy=policy,
        budget_w=spec.budget_w,
        servers=servers,
        low_priority=low_priority(scenario, len(servers)),
        pools=tuple(PoweredPool(p.first, p.deployment, _timer_by_clock(p, factors, host)) for p in pools),
        interval_s=spec.every_s,
        delay_s=spec.delay_s,
        brake_delay_s=spec.brake_delay_s,
        brake_clock=spec.brake_clock,
        host_w=spec.host_w,
    )


def servers_of(scenario: Scenario, pools: tuple[Pool, ...]) -> tuple[tuple[int, ...], ...]:
    """The replicas of each server: one, or the two that share devices in a partition."""
    if scenario.partition is not None:
        return tuple((n, n + pools[1].first) for n in range(scenario.replicas))
    return tuple((n,) for pool in pools for n in range(pool.first, pool.first + pool.replicas))


def low_priority(scenario: Scenario, servers: int) -> tuple[bool, ...]:
    """Which servers give way first. Raises `InputError` for one that there is not."""
    assert scenario.power is not None
    given = scenario.power.low_priority
    if isinstance(given, list) and given and max(given) >= servers:
        raise InputError(f"power.low_priority: server {max(given)} is not among the {servers}, from 0")
    return tuple(gives_way(n, given) for n in range(servers))


def _timer_by_clock(
    pool: Pool, factors: Mapping[str, float] | None, host: StepOverheads | None
) -> Callable[[float], StepTimer]:
    """Timers of a pool's replicas by the share of the full clock, each built when it is first asked for."""

    @cache
    def timer(clock: float) -> StepTimer:
        if clock == 1.0:
            return pool.deployment.timer
        return deployment_of(pool.scenario, factors, host, at_clock(pool.deployment.device, clock)).timer

    return timer
