"""From a scenario's fields to replicas that keep each other's KV caches."""

from __future__ import annotations

from functools import partial

from simulator.engine.deployment import Deployment, kv_transfer
from simulator.engine.pairs import Pairing
from simulator.errors import InputError, refuse_beside
from simulator.policies.registry import build_policy
from simulator.scenario import Scenario


def pairing_of(scenario: Scenario, deployment: Deployment) -> Pairing | None:
    """How the scenario's replicas are paired, None where they are not. Raises `InputError` where they cannot be."""
    spec = scenario.pairing
    if spec is None:
        return None
    if scenario.replicas % 2:
        raise InputError(
            f"pairing takes replicas two and two, and replicas is {scenario.replicas}: give an even number"
        )
    _refuse_beside_pairing(scenario)
    policy = partial(build_policy, "pairing", spec.policy, spec.options)
    policy()
    return Pairing(policy, kv_transfer(deployment, deployment, over=spec.link, layerwise=spec.layerwise))


def _refuse_beside_pairing(scenario: Scenario) -> None:
    others = {
        "disaggregation": scenario.disaggregation is not None,
        "partition": scenario.partition is not None,
        "finetuning": scenario.finetuning is not None,
        "attention_offload": scenario.attention_offload is not None,
        "speculation": scenario.speculation.policy != "none",
        "kv_cache.tiers": bool(scenario.kv_cache.tiers),
        "kv_cache.keep_share": scenario.kv_cache.keep_share is not None,
        f"queue {scenario.queue.policy}": scenario.queue.policy != "fcfs",
        "failures": scenario.failures.any,
        f"autoscaling {scenario.autoscaling.policy}": scenario.autoscaling.policy != "fixed",
        f"migration {scenario.migration.policy}": scenario.migration.policy != "none",
        f"batching {scenario.batching.policy}": scenario.batching.policy == "static",
        "parallel.pipeline above 1": scenario.parallel.pipeline > 1,
    }
    refuse_beside("pairing", others)
