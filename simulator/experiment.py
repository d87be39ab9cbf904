"""Run a scenario: one validated object in, one result out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from simulator.control_plane import control_of
from simulator.engine.cluster import Cluster, Load, PrefillPool, ReplicaSpec
from simulator.engine.deployment import Deployment, deploy, kv_transfer, native_precision
from simulator.engine.fleet import History
from simulator.engine.handoff import Handoff
from simulator.engine.recorder import Floats, Recorder
from simulator.engine.streams import stream
from simulator.hardware.overheads import StepOverheads
from simulator.policies.batching.state import Limits
from simulator.policies.kv_cache import PagedKVCache
from simulator.policies.registry import build_policy
from simulator.policies.routing import Router
from simulator.scenario import LoadSpec, RouterSpec, Scenario
from simulator.workloads.models import model
from simulator.workloads.parallelism import Parallelism
from simulator.workloads.requests import RequestSource

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Pool:
    """Equal replicas: `scenario` describes them, `first` is the number of the first in the records."""

    scenario: Scenario
    deployment: Deployment
    first: int = 0

    @property
    def replicas(self) -> int:
        return self.scenario.replicas

    @property
    def devices(self) -> int:
        return self.replicas * self.deployment.parallel.devices


@dataclass(frozen=True)
class Result:
    """What a scenario did: columns by request and by iteration, and what they add up to.

    `pools` holds one pool of replicas, or that which decodes and then that which computes prompts. `rejected` requests
    could never be served, `shed` ones (indices) were refused by admission control. `fleet` is None where nothing but
    the router acted on the cluster.
    """

    scenario: Scenario
    pools: tuple[Pool, ...]
    request_columns: dict[str, Floats]
    iteration_columns: dict[str, Floats]
    recorder: Recorder
    hit_tokens: int
    lookup_tokens: int
    rejected: list[tuple[int, str]]
    skipped: dict[str, int]
    handoff: Handoff | None = None
    shed: list[int] = field(default_factory=list)
    fleet: History | None = None

    @property
    def deployment(self) -> Deployment:
        """That of the replicas that decode."""
        return self.pools[0].deployment

    @cached_property
    def summary(self) -> dict[str, Any]:
        """Headline figures as nested plain data; names carry their units."""
        from simulator.report.metrics import summarise

        return summarise(self)

    @property
    def requests(self) -> pd.DataFrame:
        """One row a finished request, in the order of the trace; times in seconds."""
        import pandas as pd

        from simulator.report.metrics import request_table

        return pd.DataFrame(request_table(self))

    @property
    def timeseries(self) -> pd.DataFrame:
        """One row an iteration (or a run of equal decode steps), in order of its end."""
        import pandas as pd

        return pd.DataFrame(self.iteration_columns)


def request_source(load: LoadSpec) -> RequestSource:
    """The trace or generator that a load names."""
    if load.trace is not None:
        from simulator.workloads.traces import open_trace

        return open_trace(
            load.trace, format=load.format, on_error=load.on_error, limit=load.limit, speed_up=load.speed_up
        )
    from simulator.workloads.catalogue import load_generator
    from simulator.workloads.generators import generate

    spec = load.generator if isinstance(load.generator, dict) else load_generator(load.generator or "")
    generated = generate(spec)
    changed: dict[str, Any] = {}
    if load.limit is not None:
        changed["requests"] = min(load.limit, generated.requests)
    if load.speed_up != 1.0:
        changed["speed_up"] = load.speed_up
    return replace(generated, **changed)


def deployment_of(
    scenario: Scenario, factors: Mapping[str, float] | None = None, host: StepOverheads | None = None
) -> Deployment:
    """The deployment that a scenario describes, with `factors` and `host` as in `run`."""
    p = scenario.precision
    return deploy(
        scenario.model,
        scenario.device,
        parallel=Parallelism(**scenario.parallel.model_dump()),
        precision=native_precision(model(scenario.model), p.weights, p.activations, p.kv_cache, p.experts),
        limits=Limits(scenario.batching.max_num_seqs, scenario.batching.max_num_batched_tokens),
        node_name=scenario.node,
        memory_utilization=scenario.kv_cache.memory_utilization,
        block_tokens=scenario.kv_cache.block_size,
        blocks=scenario.kv_cache.blocks,
        engine=scenario.engine,
        calibration=scenario.calibration,
        factors=factors,
        host=host,
    )


def pools_of(
    scenario: Scenario, factors: Mapping[str, float] | None = None, host: StepOverheads | None = None
) -> tuple[Pool, ...]:
    """The pools of replicas that a scenario describes: one, or decode and prefill."""
    decode = Pool(scenario, deployment_of(scenario, factors, host))
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
        }
    )
    return decode, Pool(prompts, deployment_of(prompts, factors, host), scenario.replicas)


def replica_spec(pool: Pool) -> ReplicaSpec:
    """What the replicas of a pool are built from."""
    deployment, batching, cache = pool.deployment, pool.scenario.batching, pool.scenario.kv_cache
    build_policy("batching", batching.policy, batching.options)
    return ReplicaSpec(
        timer=deployment.timer,
        limits=deployment.limits,
        kv=lambda: PagedKVCache(
            blocks=deployment.memory.blocks - 1, block_tokens=cache.block_size, prefix_caching=cache.prefix_caching
        ),
        policy=lambda: build_policy("batching", batching.policy, batching.options),
    )


def _router(spec: RouterSpec, seed: int, name: str) -> Router:
    found: Router = build_policy("router", spec.policy, spec.options, rng=stream(seed, name))
    return found


def _prefill_pool(scenario: Scenario, decode: Pool, prefill: Pool) -> PrefillPool:
    apart = scenario.disaggregation
    assert apart is not None
    transfer = kv_transfer(
        prefill.deployment,
        decode.deployment,
        over=apart.transfer.link,
        layerwise=apart.transfer.layerwise,
        visible=apart.transfer.first_token,
    )
    router = _router(apart.router, scenario.seed, "decode router")
    return PrefillPool(replica_spec(prefill), prefill.replicas, transfer, router)


def run(
    scenario: Scenario,
    *,
    source: RequestSource | None = None,
    on_progress: Callable[[int], None] | None = None,
    keep_iterations: bool = True,
    factors: Mapping[str, float] | None = None,
    host: StepOverheads | None = None,
) -> Result:
    """Simulate a scenario to its end.

    `source` replaces the scenario's own load; `on_progress` is called now and then with the number of requests
    submitted so far, `factors` lengthens kernels by family, `host` stands in for the engine's overheads. Raises
    `InputError` for anything in the scenario or its trace that cannot be used.
    """
    pools = pools_of(scenario, factors, host)
    requests = source if source is not None else request_source(scenario.load)
    recorder = Recorder(iterations=keep_iterations)
    control = control_of(scenario, pools[0].deployment)
    cluster = Cluster(
        replica_spec(pools[0]),
        replicas=scenario.replicas,
        router=_router(scenario.router, scenario.seed, "router"),
        prefill=_prefill_pool(scenario, *pools) if len(pools) > 1 else None,
        recorder=recorder,
        load=Load(scenario.load.concurrency, scenario.load.sessions == "wait"),
        fast_forward=scenario.fast_forward,
        skip_unservable=scenario.load.on_error == "skip",
        on_progress=on_progress,
        control=control,
    )
    cluster.run(requests)
    states = [lane.state for replica in cluster.all_replicas for lane in replica.lanes]
    return Result(
        scenario=scenario,
        pools=pools,
        request_columns=recorder.requests(),
        iteration_columns=recorder.iterations(),
        recorder=recorder,
        hit_tokens=sum(s.hit_tokens for s in states),
        lookup_tokens=sum(s.lookup_tokens for s in states),
        rejected=cluster.rejected,
        skipped=dict(getattr(requests, "skipped_by_reason", {})),
        handoff=cluster.handoff,
        shed=cluster.shed,
        fleet=None if control is None else cluster.fleet.history(),
    )
