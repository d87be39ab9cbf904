"""Run a scenario: one validated object in, one result out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from simulator.assembly.control import control_of
from simulator.assembly.finetuning import finetuning_of, finetuning_pool
from simulator.assembly.pairing import pairing_of
from simulator.assembly.pools import Pool, pools_of, prefill_pool, replica_spec, router_of, speculation_of
from simulator.assembly.power import power_of
from simulator.engine.cluster import Cluster, Load
from simulator.engine.deployment import Deployment
from simulator.engine.device_split import SplitRecord
from simulator.engine.finetuning import FinetuningRecord
from simulator.engine.fleet import History
from simulator.engine.handoff import Handoff
from simulator.engine.migration import Migrations
from simulator.engine.pairs import Pairs
from simulator.engine.power import PowerControl
from simulator.engine.recorder import Floats, Recorder
from simulator.engine.roles import Roles
from simulator.engine.speculation import SpeculationRecord
from simulator.hardware.overheads import StepOverheads
from simulator.scenario import Scenario
from simulator.specs.load import LoadSpec
from simulator.workloads.requests import RequestSource

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Result:
    """What a scenario did: columns by request and by iteration, and what they add up to.

    `pools` holds one pool of replicas, or that which decodes and then that which computes prompts; after them the
    pool that only fine-tunes, if there is one. `rejected` requests could never be served, `shed` ones (indices) were
    refused by admission control. `fleet` is None where nothing but the router acted on the cluster.
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
    speculation: SpeculationRecord | None = None
    handoff: Handoff | None = None
    kv_tiers: dict[str, dict[str, float]] = field(default_factory=dict)
    shed: list[int] = field(default_factory=list)
    fleet: History | None = None
    migrations: Migrations | None = None
    split: SplitRecord | None = None
    power: PowerControl | None = None
    finetuning: FinetuningRecord | None = None
    roles: Roles | None = None
    pairs: Pairs | None = None
    adapters: dict[str, Any] | None = None

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


def run(
    scenario: Scenario,
    *,
    source: RequestSource | None = None,
    on_progress: Callable[[int], None] | None = None,
    keep_iterations: bool = True,
    factors: Mapping[str, float] | None = None,
    host: StepOverheads | None = None,
    recorder: Recorder | None = None,
) -> Result:
    """Simulate a scenario to its end.

    `source` replaces the scenario's own load; `on_progress` is called now and then with the number of requests
    submitted so far, `factors` lengthens kernels by family, `host` stands in for the engine's overheads, `recorder`
    is told of every request and iteration in place of one made here. Raises `InputError` for anything in the
    scenario or its trace that cannot be used.
    """
    pools = pools_of(scenario, factors, host)
    requests = source if source is not None else request_source(scenario.load)
    recorder = recorder or Recorder(iterations=keep_iterations)
    speculation = speculation_of(scenario, pools[0].deployment, keep_iterations=keep_iterations)
    prefill = prefill_pool(scenario, *pools, keep_iterations=recorder.keep_iterations) if len(pools) > 1 else None
    split = None if prefill is None or prefill.split is None else prefill.split.record
    control = control_of(scenario, pools[0].deployment, power_of(scenario, pools, factors, host))
    apart = finetuning_pool(scenario, pools, factors, host)
    finetuning = finetuning_of(scenario, pools[0].deployment, apart)
    cluster = Cluster(
        replica_spec(pools[0], speculation, None if finetuning is None else finetuning.beside),
        replicas=scenario.replicas,
        router=router_of(scenario.router, scenario.seed, "router"),
        prefill=prefill,
        recorder=recorder,
        load=Load(scenario.load.concurrency, scenario.load.sessions == "wait"),
        fast_forward=scenario.fast_forward,
        skip_unservable=scenario.load.on_error == "skip",
        on_progress=on_progress,
        control=control,
        finetuning=None if finetuning is None else finetuning.pool,
        pairing=pairing_of(scenario, pools[0].deployment),
    )
    cluster.run(requests)
    from simulator.report.adapters import adapter_figures
    from simulator.report.tiers import tier_figures

    iterations = recorder.iterations() | (speculation.record.columns() if speculation else {})
    iterations |= split.columns() if split else {}
    iterations |= finetuning.record.columns(recorder.rows) if finetuning else {}
    if cluster.power is not None:
        iterations["clock"] = cluster.power.log.clock_of(iterations["replica"], iterations["start_s"])
    states = [lane.state for replica in cluster.all_replicas for lane in replica.lanes]
    return Result(
        scenario=scenario,
        pools=pools if apart is None else (*pools, apart),
        request_columns=recorder.requests(),
        iteration_columns=iterations,
        recorder=recorder,
        hit_tokens=sum(s.hit_tokens for s in states),
        lookup_tokens=sum(s.lookup_tokens for s in states),
        rejected=cluster.rejected,
        skipped=dict(getattr(requests, "skipped_by_reason", {})),
        handoff=cluster.handoff,
        speculation=speculation.record if speculation else None,
        kv_tiers=tier_figures(cluster) if cluster.tiers else {},
        shed=cluster.shed,
        fleet=None if control is None or cluster.roles is not None else cluster.fleet.history(),
        migrations=cluster.migrations,
        split=split,
        power=cluster.power,
        finetuning=finetuning.record if finetuning else None,
        roles=cluster.roles,
        pairs=cluster.pairs,
        adapters=adapter_figures(cluster),
    )
