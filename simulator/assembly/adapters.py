"""From a scenario's `adapters` to what the engine serves them with."""

from __future__ import annotations

from math import ceil

from simulator.engine.adapter_timer import AdapterTimer
from simulator.engine.adapters import AdapterSetup
from simulator.engine.deployment import Deployment
from simulator.errors import InputError
from simulator.policies.adapters import AdapterPolicy, Form
from simulator.policies.adapters.memory import BASE
from simulator.policies.registry import build_policy
from simulator.scenario import Scenario
from simulator.specs.combining import refuse_together
from simulator.workloads.adapters import AdapterGraph
from simulator.workloads.parallelism import Parallelism, Precision, weight_bytes
from simulator.workloads.transformer import Transformer


def adapter_policy(scenario: Scenario) -> AdapterPolicy | None:
    """The policy that a scenario names for its adapters, None where it has none.

    Raises `InputError` for an unknown policy, and beside what cannot be combined with it.
    """
    spec = scenario.adapters
    if spec is None:
        return None
    policy: AdapterPolicy = build_policy("adapters", spec.policy, spec.options)
    if policy.slots is None and policy.form is not Form.FACTORS:
        raise InputError(f"adapters.policy {spec.policy}: give it slots, which all but factors of adapters need")
    if policy.form is Form.DELTA and (spec.experts is not None or policy.slots != 1):
        raise InputError(
            f"adapters.policy {spec.policy} adds one LoRA to the weights: use it without experts, in one slot"
        )
    refuse_together(
        "adapters", scenario, "speculation", "disaggregation", "partition", "prompt_model", "pairing",
        "attention_offload", "feed_forward", "finetuning", "shared_prefix_tokens", "kv_cache.tiers", "power",
        "experts.offload", "queue", "migration", "parallel.data above 1",
    )  # fmt: skip
    if policy.form is not Form.FACTORS:
        refuse_together("adapters", scenario, "parallel.pipeline above 1")
    return policy


def reserved_bytes(scenario: Scenario, model: Transformer, parallel: Parallelism, precision: Precision) -> float:
    """Bytes of a device that adapters take from the start: slots of the largest one, or further copies of the model."""
    policy = adapter_policy(scenario)
    if scenario.adapters is None or policy is None or policy.slots is None:
        return 0.0
    if policy.form is Form.MODEL:
        return (policy.slots - 1) * weight_bytes(model, parallel, precision)
    return policy.slots * _largest(AdapterGraph(scenario.adapters.adapters(), model, parallel, precision))


def _largest(graph: AdapterGraph) -> float:
    return max(graph.bytes(adapter) for adapter in range(min(len(graph.adapters.ranks), graph.adapters.count)))


def adapter_setup(scenario: Scenario, deployment: Deployment) -> AdapterSetup | None:
    """What adapters are served with, None where there are none.

    Raises `InputError` as `adapter_policy`, and where a page of the KV pool cannot hold any.
    """
    policy = adapter_policy(scenario)
    if scenario.adapters is None or policy is None:
        return None
    d, memory = deployment, deployment.memory
    graph = AdapterGraph(scenario.adapters.adapters(), d.model, d.parallel, d.precision)
    whole = weight_bytes(d.model, d.parallel, d.precision)

    def moved(adapter: int) -> float:
        if policy.form is Form.MODEL:
            return whole
        return 0.0 if adapter == BASE else graph.bytes(adapter)

    def blocks(adapter: int) -> int:
        return ceil(graph.bytes(adapter) / memory.block_bytes)

    paged = policy.slots is None
    most = ceil(_largest(graph) / memory.block_bytes) if paged else 0
    if most >= memory.blocks - 1:
        raise InputError(
            f"adapters: one of {_largest(graph) / 1e9:.3g} GB does not fit into the "
            f"{memory.kv_bytes / 1e9:.3g} GB of the KV pool: use larger devices or smaller adapters"
        )
    over = d.fabric.host
    timer = AdapterTimer(graph, d.law, d.timer.overheads)
    return AdapterSetup(
        policy, scenario.adapters.count, timer, moved, blocks, most, over.bandwidth * over.efficiency, over.latency
    )
