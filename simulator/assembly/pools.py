"""From a scenario to what a cluster is built from: pools of replicas, their deployments, and their policies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial

from simulator.assembly.adapters import adapter_setup, reserved_bytes
from simulator.assembly.cache import tier_setup
from simulator.assembly.feed_forward import feed_forward_pool_of
from simulator.assembly.finetuning_memory import memory_of
from simulator.assembly.offload import attention_pool_of
from simulator.assembly.prompt_model import prompt_model_of
from simulator.assembly.roles import equal_caches
from simulator.assembly.speculation import draft_source
from simulator.assembly.splitting import split_of
from simulator.assembly.swapping import swap_setup
from simulator.engine.cluster_spec import PrefillPool, ReplicaSpec
from simulator.engine.deployment import Deployment, deploy, kv_transfer, native_precision
from simulator.engine.finetuning import Finetuning
from simulator.engine.handoff import WireEncoding
from simulator.engine.speculation import Speculation
from simulator.engine.step_timer import StepTimer
from simulator.engine.streams import stream
from simulator.hardware.device import Device, device
from simulator.hardware.overheads import StepOverheads
from simulator.hardware.partition import part_of, split
from simulator.policies.batching.state import Limits
from simulator.policies.kv_cache import PagedKVCache
from simulator.policies.queueing import Discipline, FirstComeFirstServed
from simulator.policies.registry import build_policy
from simulator.policies.routing import Router
from simulator.scenario import Scenario
from simulator.specs.combining import refuse_together
from simulator.specs.phases import PartitionSpec, TransferSpec
from simulator.specs.policies import RouterSpec
from simulator.workloads.models import model
from simulator.workloads.parallelism import Parallelism


@dataclass(frozen=True)
class Pool:
    """Equal replicas: `scenario` describes them, `first` is the number of the first in the records.

    `share` is the part of each device that the pool has. Where it varies in a run, `timers` gives the timer for shares
    of a device's units and bandwidth, and `counted` is what the pool counts of the whole device's peaks.
    """

    scenario: Scenario
    deployment: Deployment
    first: int = 0
    share: float = 1.0
    counted: float = 1.0
    timers: Callable[[float, float], StepTimer] | None = None

    @property
    def replicas(self) -> int:
        return self.scenario.replicas

    @property
    def devices(self) -> int:
        return self.replicas * self.deployment.devices


def deployment_of(
    scenario: Scenario,
    factors: Mapping[str, float] | None = None,
    host: StepOverheads | None = None,
    on: Device | None = None,
) -> Deployment:
    """The deployment that a scenario describes, with `factors` and `host` as in `run`, `on` a part of its device."""
    p = scenario.precision
    if scenario.experts.offload is not None:
        refuse_together("experts.offload", scenario, "execution")
    loaded = model(scenario.model)
    parallel = Parallelism(**scenario.parallel.model_dump(), experts=scenario.experts.serving())
    precision = native_precision(loaded, p.weights, p.activations, p.kv_cache, p.experts)
    return deploy(
        scenario.model,
        on or scenario.device,
        parallel=parallel,
        precision=precision,
        limits=Limits(scenario.batching.max_num_seqs, scenario.batching.max_num_batched_tokens),
        node_name=scenario.node,
        memory_utilization=scenario.kv_cache.memory_utilization,
        block_tokens=scenario.kv_cache.block_size,
        blocks=scenario.kv_cache.blocks,
        engine=scenario.engine,
        calibration=scenario.calibration,
        factors=factors,
        host=host,
        execution=build_policy("execution", scenario.execution.policy, scenario.execution.options),
        draft=draft_source(scenario.speculation),
        pool=attention_pool_of(scenario),
        shared_prefix=scenario.shared_prefix_tokens,
        scored=scenario.kv_cache.keep_share is not None,
        feed_forward=feed_forward_pool_of(scenario, factors),
        finetuning=memory_of(scenario.finetuning, loaded, parallel, precision),
        prompt_model=prompt_model_of(scenario),
        reserved=reserved_bytes(scenario, loaded, parallel, precision),
    )


def pools_of(
    scenario: Scenario, factors: Mapping[str, float] | None = None, host: StepOverheads | None = None
) -> tuple[Pool, ...]:
    """The pools of replicas that a scenario describes: one, or decode and prefill."""
    if scenario.partition is not None:
        return _parts(scenario, scenario.partition, factors, host)
    decode = _serving_pool(scenario, factors, host)
    apart = scenario.disaggregation
    if apart is None:
        return (decode,)
    given = {k: v for k in ("device", "parallel", "batching") if (v := getattr(apart, k)) is not None}
    node = apart.node or (scenario.node if apart.device is None else None)
    kept = scenario.calibration if apart.device is None else None
    prompts = scenario.model_copy(
        update={
            **given,
            "replicas": apart.replicas,
            "node": node,
            "calibration": apart.calibration or kept,
            "price_per_device_hour": apart.price_per_device_hour
            if apart.device is not None or apart.price_per_device_hour is not None
            else scenario.price_per_device_hour,
            "kv_cache": scenario.kv_cache.model_copy(update={"blocks": None}),
            "disaggregation": None,
            "attention_offload": None,
            "feed_forward": None,
            "finetuning": None,
        }
    )
    one, other = equal_caches(scenario, decode.deployment, deployment_of(prompts, factors, host))
    return Pool(scenario, one), Pool(prompts, other, scenario.replicas)


def _serving_pool(scenario: Scenario, factors: Mapping[str, float] | None, host: StepOverheads | None) -> Pool:
    """The replicas that decode, on what fine-tuning leaves of each device."""
    spatial = scenario.finetuning.spatial if scenario.finetuning is not None else None
    if spatial is None:
        return Pool(scenario, deployment_of(scenario, factors, host))
    left, _ = split(device(scenario.device), spatial.units, spatial.saturating_units, spatial.traffic)
    return Pool(scenario, deployment_of(scenario, factors, host, left), 0, 1.0 - spatial.units)


def _parts(
    scenario: Scenario, spec: PartitionSpec, factors: Mapping[str, float] | None, host: StepOverheads | None
) -> tuple[Pool, Pool]:
    """Decoding and prompts on parts of the same devices (semi-PD, arXiv:2504.19867; Nexus, arXiv:2507.06608)."""
    if spec.split is not None:
        return _varying_parts(scenario, spec, factors, host)
    units = spec.prefill_units
    left, taken = split(device(scenario.device), units, spec.saturating_units, spec.prefill_traffic)
    given = {} if spec.batching is None else {"batching": spec.batching}
    prompts = scenario.model_copy(update={**given, "partition": None})
    return (
        Pool(scenario, deployment_of(scenario, factors, host, left), 0, 1.0 - units),
        Pool(prompts, deployment_of(prompts, factors, host, taken), scenario.replicas, units),
    )


def _varying_parts(
    scenario: Scenario, spec: PartitionSpec, factors: Mapping[str, float] | None, host: StepOverheads | None
) -> tuple[Pool, Pool]:
    """The same where the parts follow the load: either pool may have the whole device, and counts half of its peaks."""
    whole = device(scenario.device)
    given = {} if spec.batching is None else {"batching": spec.batching}
    prompts = scenario.model_copy(update={**given, "partition": None})

    @cache
    def timers(units: float, bandwidth: float) -> StepTimer:
        return deployment_of(scenario, factors, host, part_of(whole, units, bandwidth)).timer

    def pool(side: Scenario, first: int, units: float) -> Pool:
        idle = whole.idle_power * units
        drawing = replace(whole, idle_power=idle, tdp=idle + whole.tdp - whole.idle_power)
        there = deployment_of(side, factors, host)
        there = replace(there, device=drawing, timer=timers(units, min(1.0, round(units / spec.saturating_units, 9))))
        return Pool(side, there, first, units, 0.5, timers)

    units = round(spec.prefill_units, 9)
    return pool(scenario, 0, round(1.0 - units, 9)), pool(prompts, scenario.replicas, units)


def replica_spec(
    pool: Pool, speculation: Speculation | None = None, finetuning: Callable[[], Finetuning] | None = None
) -> ReplicaSpec:
    """What the replicas of a pool are built from; `finetuning` builds what they do beside serving."""
    deployment, batching, cache = pool.deployment, pool.scenario.batching, pool.scenario.kv_cache
    build_policy("batching", batching.policy, batching.options)
    in_order_of_arrival = isinstance(discipline_of(pool.scenario), FirstComeFirstServed)
    if not in_order_of_arrival:
        refuse_together(
            f"queue {pool.scenario.queue.policy}", pool.scenario, "speculation", "kv_cache.tiers", "failures"
        )
    admits = not pool.scenario.apart
    return ReplicaSpec(
        timer=deployment.timer,
        limits=deployment.limits,
        kv=lambda: PagedKVCache(
            blocks=deployment.memory.blocks - 1,
            block_tokens=cache.block_size,
            prefix_caching=cache.prefix_caching,
            keep_share=cache.keep_share,
        ),
        policy=lambda: build_policy("batching", batching.policy, batching.options),
        speculation=speculation,
        tiers=tier_setup(pool.scenario, deployment) if admits else None,
        swap=swap_setup(pool.scenario, deployment),
        discipline=partial(discipline_of, pool.scenario) if admits and not in_order_of_arrival else None,
        finetuning=finetuning,
        adapters=adapter_setup(pool.scenario, deployment),
    )


def discipline_of(scenario: Scenario) -> Discipline:
    """A queue discipline for one replica. Raises `InputError` for an unknown one or wrong options."""
    found: Discipline = build_policy(
        "queue",
        scenario.queue.policy,
        scenario.queue.options,
        rng=stream(scenario.seed, "queue"),
        objectives=scenario.objectives,
    )
    return found


def router_of(spec: RouterSpec, seed: int, name: str) -> Router:
    """The router that a scenario names; `name` is that of its random stream."""
    found: Router = build_policy("router", spec.policy, spec.options, rng=stream(seed, name))
    return found


def prefill_pool(scenario: Scenario, decode: Pool, prefill: Pool, *, keep_iterations: bool = True) -> PrefillPool:
    """The replicas that compute prompts alone, and the way from them to those that decode."""
    apart = scenario.disaggregation
    if apart is None:
        split = None
        if prefill.timers is not None:
            split = split_of(scenario, prefill.timers, prefill.deployment.law, keep_iterations=keep_iterations)
        return PrefillPool(replica_spec(prefill), prefill.replicas, None, None, split)
    transfer = kv_transfer(
        prefill.deployment,
        decode.deployment,
        over=apart.transfer.link,
        layerwise=apart.transfer.layerwise,
        visible=apart.transfer.first_token,
        encoding=_wire_encoding(apart.transfer),
    )
    router = router_of(apart.router, scenario.seed, "decode router")
    return PrefillPool(replica_spec(prefill), prefill.replicas, transfer, router)


def _wire_encoding(spec: TransferSpec) -> WireEncoding | None:
    """The rates of one device, in bytes/s."""
    if spec.encoding is None:
        return None
    return WireEncoding(spec.encoding.ratio, spec.encode_gb_s * 1e9, spec.encoding.decode_gb_s * 1e9)
