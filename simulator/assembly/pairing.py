"""From a scenario's fields to replicas that keep each other's KV caches."""

from __future__ import annotations

from functools import partial

from simulator.engine.deployment import Deployment, kv_transfer
from simulator.engine.pairs import Pairing
from simulator.errors import InputError
from simulator.policies.registry import build_policy
from simulator.scenario import Scenario
from simulator.specs.combining import refuse_together


def pairing_of(scenario: Scenario, deployment: Deployment) -> Pairing | None:
    """How the scenario's replicas are paired, None where they are not. Raises `InputError` where they cannot be."""
    spec = scenario.pairing
    if spec is None:
        return None
    if scenario.replicas % 2:
        raise InputError(
            f"pairing takes replicas two and two, and replicas is {scenario.replicas}: give an even number"
        )
    refuse_together(
        "pairing", scenario, "disaggregation", "partition", "finetuning", "attention_offload", "speculation",
        "kv_cache.tiers", "kv_cache.keep_share", "queue", "failures", "autoscaling", "migration", "batching static",
        "parallel.pipeline above 1",
    )  # fmt: skip
    policy = partial(build_policy, "pairing", spec.policy, spec.options)
    policy()
    return Pairing(policy, kv_transfer(deployment, deployment, over=spec.link, layerwise=spec.layerwise))
