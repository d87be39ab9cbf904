"""From a scenario's fields to replicas that change between the prefill and the decode pool."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from simulator.engine.deployment import Deployment
from simulator.engine.roles import Batching, RoleSwitching
from simulator.errors import InputError
from simulator.policies.batching.state import Limits
from simulator.policies.registry import build_policy
from simulator.policies.roles import Fixed, Role, RolePolicy
from simulator.scenario import Scenario
from simulator.specs.combining import refuse_together
from simulator.specs.policies import BatchingSpec

# What prefill and decode replicas must have in common to play either role.
_SHARED = ("device", "node", "parallel", "calibration", "price_per_device_hour")


def roles_of(scenario: Scenario) -> RoleSwitching | None:
    """How replicas change their role, None where they keep it. Raises `InputError` where they could not."""
    apart = scenario.disaggregation
    if apart is None:
        return None
    policy: RolePolicy = build_policy("roles", apart.roles.policy, apart.roles.options)
    if isinstance(policy, Fixed):
        return None
    _refuse_beside_roles(scenario)
    objectives = scenario.objectives
    return RoleSwitching(
        policy=policy,
        interval_s=apart.roles.every_s,
        drain=apart.roles.drain,
        batching={
            Role.PREFILL: _batching(apart.batching or scenario.batching),
            Role.DECODE: _batching(scenario.batching),
        },
        ttft_s=None if objectives.ttft_ms is None else objectives.ttft_ms / 1e3,
        tpot_s=None if objectives.tpot_ms is None else objectives.tpot_ms / 1e3,
    )


def equal_caches(scenario: Scenario, one: Deployment, other: Deployment) -> tuple[Deployment, Deployment]:
    """Two deployments with the smaller KV cache of both, where replicas may go from one to the other."""
    if scenario.disaggregation is None or scenario.disaggregation.roles.policy == "fixed":
        return one, other
    blocks = min(one.memory.blocks, other.memory.blocks)
    return (
        replace(one, memory=replace(one.memory, blocks=blocks)),
        replace(other, memory=replace(other.memory, blocks=blocks)),
    )


def _batching(spec: BatchingSpec) -> Batching:
    limits = Limits(spec.max_num_seqs, spec.max_num_batched_tokens)
    return Batching(partial(build_policy, "batching", spec.policy, spec.options), limits)


def _refuse_beside_roles(scenario: Scenario) -> None:
    apart = scenario.disaggregation
    assert apart is not None
    what = f"disaggregation.roles {apart.roles.policy}"
    for name in _SHARED:
        given = getattr(apart, name)
        if given is not None and given != getattr(scenario, name):
            raise InputError(
                f"{what} moves replicas between the pools, so they must be alike: leave out disaggregation.{name}"
            )
    refuse_together(
        what, scenario, "feed_forward", "finetuning", "attention_offload", "kv_cache.tiers", "queue",
        "parallel.pipeline above 1",
    )  # fmt: skip
