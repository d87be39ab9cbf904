"""What a cluster is built from, and how it is loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from simulator.engine.adapters import AdapterSetup
from simulator.engine.device_split import Split
from simulator.engine.finetuning import Finetuning
from simulator.engine.handoff import KVTransfer
from simulator.engine.kv_loading import TierSetup
from simulator.engine.speculation import Speculation
from simulator.engine.step_timer import StepTimer
from simulator.engine.swapping import SwapSetup
from simulator.policies.batching.state import BatchingPolicy, Limits
from simulator.policies.kv_cache import PagedKVCache
from simulator.policies.queueing import Discipline
from simulator.policies.routing import Router


@dataclass(frozen=True, slots=True)
class Load:
    """How a trace's requests are offered.

    Open loop (`concurrency` None): at their arrival times. Closed loop: `concurrency` clients, each sending
    the next request as one of its own finishes, arrival times ignored. With `sessions_wait`, a turn of a
    session is sent no earlier than its `think_s` after the turn before it has finished.
    """

    concurrency: int | None = None
    sessions_wait: bool = False


@dataclass(frozen=True, slots=True)
class ReplicaSpec:
    """What every replica is built from; factories are called once a replica (policies once a lane).

    `discipline` None is a queue in order of arrival.
    """

    timer: StepTimer
    limits: Limits
    kv: Callable[[], PagedKVCache]
    policy: Callable[[], BatchingPolicy]
    speculation: Speculation | None = None
    tiers: TierSetup | None = None
    discipline: Callable[[], Discipline] | None = None
    finetuning: Callable[[], Finetuning] | None = None
    adapters: AdapterSetup | None = None
    swap: SwapSetup | None = None


@dataclass(frozen=True, slots=True)
class PrefillPool:
    """Replicas that only compute prompts, and how their work reaches the others; `router` chooses among those.

    Without a transfer each shares its devices and its KV cache with the replica of the same place that decodes; with
    `split`, who has which part of them follows the load.
    """

    spec: ReplicaSpec
    replicas: int
    transfer: KVTransfer | None
    router: Router | None
    split: Split | None = None
