"""Run a scenario: one validated object in, one result out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from simulator.engine.cluster import Cluster, Load, ReplicaSpec
from simulator.engine.deployment import Deployment, deploy, native_precision
from simulator.engine.recorder import Floats, Recorder
from simulator.engine.streams import stream
from simulator.hardware.overheads import StepOverheads
from simulator.policies.batching.state import Limits
from simulator.policies.kv_cache import PagedKVCache
from simulator.policies.queueing import Discipline, FirstComeFirstServed
from simulator.policies.registry import build_policy
from simulator.scenario import LoadSpec, Scenario
from simulator.workloads.models import model
from simulator.workloads.parallelism import Parallelism
from simulator.workloads.requests import RequestSource

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Result:
    """What a scenario did: columns by request and by iteration, and what they add up to."""

    scenario: Scenario
    deployment: Deployment
    request_columns: dict[str, Floats]
    iteration_columns: dict[str, Floats]
    recorder: Recorder
    hit_tokens: int
    lookup_tokens: int
    rejected: list[tuple[int, str]]
    skipped: dict[str, int]

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
    deployment = deployment_of(scenario, factors, host)
    requests = source if source is not None else request_source(scenario.load)
    batching, cache = scenario.batching, scenario.kv_cache
    build_policy("batching", batching.policy, batching.options)
    router = build_policy(
        "router", scenario.router.policy, scenario.router.options, rng=stream(scenario.seed, "router")
    )
    recorder = Recorder(iterations=keep_iterations)
    in_order_of_arrival = isinstance(discipline_of(scenario), FirstComeFirstServed)
    spec = ReplicaSpec(
        timer=deployment.timer,
        limits=deployment.limits,
        kv=lambda: PagedKVCache(
            blocks=deployment.memory.blocks - 1, block_tokens=cache.block_size, prefix_caching=cache.prefix_caching
        ),
        policy=lambda: build_policy("batching", batching.policy, batching.options),
        discipline=None if in_order_of_arrival else lambda: discipline_of(scenario),
    )
    cluster = Cluster(
        spec,
        replicas=scenario.replicas,
        router=router,
        recorder=recorder,
        load=Load(scenario.load.concurrency, scenario.load.sessions == "wait"),
        fast_forward=scenario.fast_forward,
        skip_unservable=scenario.load.on_error == "skip",
        on_progress=on_progress,
    )
    cluster.run(requests)
    states = [lane.state for replica in cluster.replicas for lane in replica.lanes]
    return Result(
        scenario=scenario,
        deployment=deployment,
        request_columns=recorder.requests(),
        iteration_columns=recorder.iterations(),
        recorder=recorder,
        hit_tokens=sum(s.hit_tokens for s in states),
        lookup_tokens=sum(s.lookup_tokens for s in states),
        rejected=cluster.rejected,
        skipped=dict(getattr(requests, "skipped_by_reason", {})),
    )
