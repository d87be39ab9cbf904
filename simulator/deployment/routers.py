"""Routers of the targets: what each calls the policies that it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from simulator.deployment.pools import Pool
from simulator.specs.policies import RouterSpec

# vllm-router 0.1.17 (github.com/vllm-project/router), --policy
VLLM = {
    "round-robin": "round_robin", "random": "random", "power-of-two": "power_of_two", "prefix-affinity": "cache_aware",
    "session-affinity": "consistent_hash",
}  # fmt: skip
# sglang-router 0.3.2 (docs.sglang.io, sgl_model_gateway), --policy; "manual" keeps a routing key in its place
SGLANG = {**VLLM, "session-affinity": "manual"}
# NVIDIA Dynamo 1.5 (docs.nvidia.com/dynamo/v1.5.0/knowledge-base/modular-components/router/router-guide)
DYNAMO = {
    "round-robin": "round-robin", "random": "random", "power-of-two": "power-of-two",
    "least-outstanding": "least-loaded", "prefix-affinity": "kv",
}  # fmt: skip
# Scorers of the endpoint picker (llm-d-inference-scheduler and Gateway API Inference Extension, configuration).
LLM_D = {
    "least-outstanding": {"active-request-scorer": 1}, "shortest-queue": {"queue-scorer": 1},
    "kv-utilisation": {"kv-cache-utilization-scorer": 1}, "prefix-affinity": {"prefix-cache-scorer": 1},
    "session-affinity": {"session-affinity-scorer": 1}, "adapter-affinity": {"lora-affinity-scorer": 1}, "random": {},
}  # fmt: skip
USUAL = "round-robin"


def routed(pools: Sequence[Pool]) -> dict[str, tuple[Pool, RouterSpec]]:
    """The router before each pool, by the name of the field that gives it.

    Where prompts are computed apart, the scenario's own router chooses among those that compute them.
    """
    if len(pools) == 1:
        return {"router": (pools[0], pools[0].scenario.router)}
    prefill, decode = pools
    apart = decode.scenario.disaggregation
    assert apart is not None
    return {"router": (prefill, prefill.scenario.router), "disaggregation.router": (decode, apart.router)}


def claimed(pools: Sequence[Pool], known: Mapping[str, object]) -> set[str]:
    """Fields of routers whose policies a target has."""
    return {f"{field}.policy" for field, (_, router) in routed(pools).items() if router.policy in known}


def idle(pools: Sequence[Pool]) -> dict[str, str]:
    """Reasons not to say what a router does, by its field, where it has one replica to choose from."""
    found = routed(pools).items()
    return {field: "one replica leaves nothing to choose" for field, (pool, _) in found if pool.replicas == 1}


def policy(router: RouterSpec, known: Mapping[str, str]) -> str:
    """A target's name of a policy, that of round-robin for one that it lacks."""
    return known.get(router.policy, known[USUAL])


def notes(pools: Sequence[Pool], known: Mapping[str, object], instead: str) -> list[str]:
    """Remarks on policies that a target lacks and takes others `instead` of."""
    return [
        f"{field} {router.policy} is not among the target's policies: {instead} takes its place"
        for field, (pool, router) in routed(pools).items()
        if router.policy not in known and pool.replicas > 1
    ]
