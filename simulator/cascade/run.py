"""Run a cascade: its pools on one clock, its requests through their plans."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from simulator.assembly.control import cold_start_seconds
from simulator.assembly.pools import Pool
from simulator.cascade.attributes import asked
from simulator.cascade.result import Calls
from simulator.cascade.spec import Cascade, GroupSpec, NetworkSpec, PoolSpec
from simulator.engine.clock import Clock
from simulator.engine.cluster import Cluster
from simulator.engine.endpoint import Endpoint, Network
from simulator.engine.planned import PlannedRequests
from simulator.engine.recorder import Floats, Recorder
from simulator.engine.streams import stream
from simulator.engine.time_sharing import TimeShared
from simulator.errors import InputError, refuse_beside, unknown_name
from simulator.experiment import Assembled, Result, assemble, request_source
from simulator.policies.plans.plan import Plan
from simulator.policies.registry import build_policy
from simulator.workloads.requests import RequestSource

# Iterations of a pool that records no clock or units run at all of them.
_WHOLE = {"clock": 1.0, "units": 1.0}


def run_cascade(
    cascade: Cascade,
    *,
    source: RequestSource | None = None,
    on_progress: Callable[[int], None] | None = None,
    keep_iterations: bool = True,
) -> Result:
    """Simulate a cascade to its end; arguments as for `experiment.run`.

    The result's columns are those of whole requests, as who sent them saw them; `calls` holds the rest. Raises
    `InputError` for anything in the scenario or its trace that cannot be used.
    """
    plan = plan_of(cascade)
    clock = Clock()
    served: dict[str, Assembled] = {}
    endpoints: dict[str, Endpoint] = {}
    for name, spec in cascade.pools.items():

        def cluster(endpoint: Endpoint, name: str = name) -> Cluster:
            served[name] = assemble(
                part_of(cascade, name),
                recorder=Recorder(iterations=keep_iterations),
                clock=clock,
                first_lane=max((s.cluster.lanes_end for s in served.values()), default=0),
                on_end=endpoint.ended,
            )
            return served[name].cluster

        try:
            endpoints[name] = Endpoint(name, clock, network_of(spec.network), cluster)
        except InputError as error:
            raise InputError(f"pool {name}: {error}") from None
    groups = _groups(cascade, clock, served, endpoints)
    requests = PlannedRequests(
        clock,
        plan,
        endpoints,
        partial(stream, cascade.seed, "plan"),
        concurrency=cascade.load.concurrency,
        skip_unservable=cascade.load.on_error == "skip",
        on_progress=on_progress,
    )
    load = source if source is not None else request_source(cascade.load)
    requests.run(asked(load, cascade.attributes, cascade.seed))
    calls = Calls(
        cascade=cascade,
        columns=requests.calls(),
        roles=tuple(requests.roles),
        pools={name: one.result({}) for name, one in served.items()},
        sent_bytes={name: endpoint.sent_bytes for name, endpoint in endpoints.items()},
        loads={name: (group.loads, group.loading_s) for name, group in groups.items()},
    )
    return _whole(cascade, calls, requests, dict(getattr(load, "skipped_by_reason", {})))


def plan_of(cascade: Cascade) -> Plan:
    """The plan that a cascade names. Raises `InputError` for one that calls pools that there are not."""
    names = tuple(cascade.pools)
    plan: Plan = build_policy("plan", cascade.plan.policy, cascade.plan.options, pools=names)
    for name in plan.pools:
        if name not in cascade.pools:
            raise unknown_name(f"pool in the options of plan {cascade.plan.policy}", name, names)
    return plan


def part_of(cascade: Cascade, name: str) -> PoolSpec:
    """A pool as a serving scenario with what the whole says; its random numbers are its own."""
    return cascade.pools[name].model_copy(
        update={
            "name": name,
            "load": cascade.load.model_copy(update={"concurrency": None}),
            "seed": pool_seed(cascade.seed, name),
            "fast_forward": cascade.fast_forward,
        }
    )


def pool_seed(seed: int, name: str) -> int:
    """The seed of a pool, which those of other names do not share."""
    children = np.random.SeedSequence(seed, spawn_key=(zlib.crc32(f"pool {name}".encode()),))
    return int(children.generate_state(1, np.uint64)[0] >> np.uint64(1))


def network_of(spec: NetworkSpec) -> Network:
    """The network in seconds and bytes."""
    up, down = (math.inf if m is None else m * 1e6 / 8 for m in (spec.uplink_mbit_s, spec.downlink_mbit_s))
    return Network(spec.round_trip_ms / 1e3, up, down, spec.bytes_per_token)


def _groups(
    cascade: Cascade, clock: Clock, served: Mapping[str, Assembled], endpoints: Mapping[str, Endpoint]
) -> dict[str, TimeShared]:
    """The groups of pools that take turns on the same devices."""
    found: dict[str, TimeShared] = {}
    for group in dict.fromkeys(pool.group for pool in cascade.pools.values() if pool.group is not None):
        spec = cascade.groups.get(group, GroupSpec())
        members = cascade.members(group)
        _check_group(group, [served[name] for name in members])
        seconds = [cold_start_seconds(spec.loading, served[name].pools[0].deployment) for name in members]
        turns = build_policy("turns", spec.policy, spec.options)
        found[group] = TimeShared(clock, turns, [endpoints[name] for name in members], seconds)
    return found


def _check_group(group: str, members: list[Assembled]) -> None:
    """Raise `InputError` unless the members can be on the same devices, one at a time."""
    for one in members:
        scenario = one.scenario
        others = {
            "disaggregation": scenario.disaggregation is not None,
            "partition": scenario.partition is not None,
            "pairing": scenario.pairing is not None,
            "attention_offload": scenario.attention_offload is not None,
            "feed_forward": scenario.feed_forward is not None,
            "speculation": one.speculation is not None,
            "kv_cache.tiers": bool(scenario.kv_cache.tiers),
            "admission, autoscaling, failures, migration or power": one.control is not None,
        }
        refuse_beside(f"group {group}", others)
    devices = {(one.pools[0].deployment.device.id, one.pools[0].devices) for one in members}
    if len(devices) > 1:
        shown = ", ".join(f"{count} x {device}" for device, count in sorted(devices))
        raise InputError(f"group {group}: its pools are on {shown}, and must all be on the same devices")


def _whole(cascade: Cascade, calls: Calls, requests: PlannedRequests, skipped: dict[str, int]) -> Result:
    """All pools as one result: replicas are numbered through, in the order of the pools."""
    first = cascade.pools[next(iter(cascade.pools))]
    numbered = list(_numbered(calls))
    runs = calls.pools.values()
    return Result(
        scenario=first.model_copy(
            update={"name": cascade.name, "load": cascade.load, "objectives": cascade.objectives, "seed": cascade.seed}
        ),
        pools=tuple(pool for pools, _ in numbered for pool in pools),
        request_columns=requests.requests(),
        iteration_columns=_joined([rows for _, rows in numbered]),
        recorder=Recorder(),
        hit_tokens=sum(r.hit_tokens for r in runs),
        lookup_tokens=sum(r.lookup_tokens for r in runs),
        rejected=requests.rejected,
        skipped=skipped,
        shed=requests.shed,
        calls=calls,
    )


def _numbered(calls: Calls) -> Iterator[tuple[list[Pool], dict[str, Floats]]]:
    """Each run's pools and iterations with its replicas' numbers after those of the runs before."""
    offset = 0
    for run in calls.pools.values():
        rows = run.iteration_columns
        yield (
            [replace(pool, first=pool.first + offset) for pool in run.pools],
            rows | {"replica": rows["replica"] + offset},
        )
        offset += max(sum(pool.replicas for pool in run.pools), int(rows["replica"].max(initial=-1)) + 1)


def _joined(tables: list[dict[str, Floats]]) -> dict[str, Floats]:
    """Iterations of all pools by column; what a pool does not record is as without the mechanism."""
    names = dict.fromkeys(name for table in tables for name in table)
    for table in tables:
        decoded = table["steps"] * table["decode_sequences"]
        for name in names:
            if name not in table:
                table[name] = decoded if name == "decode_tokens" else np.full(len(decoded), _WHOLE.get(name, 0.0))
    return {name: np.concatenate([table[name] for table in tables]) for name in names}
