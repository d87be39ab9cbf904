"""Run a scenario: one validated object in, one result out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from simulator.assembly.control import control_of
from simulator.assembly.finetuning import FinetuningSetup, finetuning_of, finetuning_pool
from simulator.assembly.pairing import pairing_of
from simulator.assembly.pools import Pool, pools_of, prefill_pool, replica_spec, router_of
from simulator.assembly.power import power_of
from simulator.assembly.speculation import speculation_of
from simulator.engine.clock import Clock
from simulator.engine.cluster import Cluster
from simulator.engine.cluster_spec import Load
from simulator.engine.control import Control
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
from simulator.engine.speculation import Speculation, SpeculationRecord
from simulator.hardware.overheads import StepOverheads
from simulator.policies.sequence import Sequence
from simulator.scenario import Scenario
from simulator.specs.load import LoadSpec
from simulator.workloads.requests import RequestSource

if TYPE_CHECKING:
    import pandas as pd

    from simulator.cascade.result import Calls


@dataclass(frozen=True)
class Result:
    """What a scenario did: columns by request and by iteration, and what they add up to.

    `pools` holds one pool of replicas, or that which decodes and then that which computes prompts; after them the
    pool that only fine-tunes, if there is one. `rejected` requests could never be served, `shed` ones (indices) were
    refused by admission control. `fleet` is None where nothing but the router acted on the cluster. `calls` is
    None unless requests are planned calls to several pools.
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
    swapping: dict[str, float] = field(default_factory=dict)
    shed: list[int] = field(default_factory=list)
    fleet: History | None = None
    migrations: Migrations | None = None
    split: SplitRecord | None = None
    power: PowerControl | None = None
    finetuning: FinetuningRecord | None = None
    roles: Roles | None = None
    pairs: Pairs | None = None
    adapters: dict[str, Any] | None = None
    calls: Calls | None = None

    @property
    def deployment(self) -> Deployment:
        """That of the replicas that decode."""
        return self.pools[0].deployment

    @cached_property
    def summary(self) -> dict[str, Any]:
        """Headline figures as nested plain data; names carry their units."""
        if self.calls is not None:
            from simulator.report.serving.calls import summarise_calls

            return summarise_calls(self, self.calls)
        from simulator.report.serving.metrics import summarise

        return summarise(self)

    @property
    def requests(self) -> pd.DataFrame:
        """One row a finished request, in the order of the trace; times in seconds."""
        import pandas as pd

        from simulator.report.serving.requests import request_table

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
    served = assemble(
        scenario,
        recorder=recorder or Recorder(iterations=keep_iterations),
        factors=factors,
        host=host,
        on_progress=on_progress,
    )
    requests = source if source is not None else request_source(scenario.load)
    served.cluster.run(requests)
    return served.result(dict(getattr(requests, "skipped_by_reason", {})))


@dataclass(frozen=True)
class Assembled:
    """A scenario's cluster, ready to run, with what it was built from."""

    scenario: Scenario
    pools: tuple[Pool, ...]
    recorder: Recorder
    speculation: Speculation | None
    split: SplitRecord | None
    finetuning: FinetuningSetup | None
    control: Control | None
    cluster: Cluster

    def result(self, skipped: dict[str, int]) -> Result:
        """What the cluster did; `skipped` counts damaged rows of the trace by reason."""
        from simulator.report.serving.adapters import adapter_figures
        from simulator.report.serving.swapping import swap_figures
        from simulator.report.serving.tiers import tier_figures

        cluster, speculation, split, finetuning = self.cluster, self.speculation, self.split, self.finetuning
        iterations = self.recorder.iterations() | (speculation.record.columns() if speculation else {})
        iterations |= split.columns() if split else {}
        iterations |= finetuning.record.columns(self.recorder.rows) if finetuning else {}
        if cluster.power is not None:
            iterations["clock"] = cluster.power.log.clock_of(iterations["replica"], iterations["start_s"])
        states = [lane.state for replica in cluster.all_replicas for lane in replica.lanes]
        return Result(
            scenario=self.scenario,
            pools=self.pools,
            request_columns=self.recorder.requests(),
            iteration_columns=iterations,
            recorder=self.recorder,
            hit_tokens=sum(s.hit_tokens for s in states),
            lookup_tokens=sum(s.lookup_tokens for s in states),
            rejected=cluster.rejected,
            skipped=skipped,
            handoff=cluster.handoff,
            speculation=speculation.record if speculation else None,
            kv_tiers=tier_figures(cluster) if cluster.tiers else {},
            swapping=swap_figures(cluster.all_replicas),
            shed=cluster.shed,
            fleet=None if self.control is None or cluster.roles is not None else cluster.fleet.history(),
            migrations=cluster.migrations,
            split=split,
            power=cluster.power,
            finetuning=finetuning.record if finetuning else None,
            roles=cluster.roles,
            pairs=cluster.pairs,
            adapters=adapter_figures(cluster),
        )


def assemble(
    scenario: Scenario,
    *,
    recorder: Recorder,
    factors: Mapping[str, float] | None = None,
    host: StepOverheads | None = None,
    on_progress: Callable[[int], None] | None = None,
    clock: Clock | None = None,
    first_lane: int = 0,
    on_end: Callable[[Sequence, float], None] | None = None,
) -> Assembled:
    """The cluster that a scenario describes, on a clock of its own or on one that it shares; see `run`, `Cluster`."""
    pools = pools_of(scenario, factors, host)
    speculation = speculation_of(scenario, pools[0].deployment, keep_iterations=recorder.keep_iterations)
    prefill = prefill_pool(scenario, *pools, keep_iterations=recorder.keep_iterations) if len(pools) > 1 else None
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
        clock=clock,
        first_lane=first_lane,
        on_end=on_end,
    )
    split = None if prefill is None or prefill.split is None else prefill.split.record
    everything = pools if apart is None else (*pools, apart)
    return Assembled(scenario, everything, recorder, speculation, split, finetuning, control, cluster)
