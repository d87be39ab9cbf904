"""Small models, loads and clusters for tests of the engine and its policies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from simulator.engine.cluster import Cluster
from simulator.engine.cluster_spec import Load, PrefillPool, ReplicaSpec
from simulator.engine.control import Control
from simulator.engine.handoff import KVTransfer
from simulator.engine.kv_loading import TierSetup
from simulator.engine.pairs import Pairing
from simulator.engine.recorder import Recorder
from simulator.engine.speculation import Speculation
from simulator.engine.step_timer import StepTimer
from simulator.engine.swapping import SwapSetup
from simulator.hardware.device import device
from simulator.hardware.fabric import fabric_of
from simulator.hardware.law import TimingLaw
from simulator.hardware.overheads import StepOverheads, overheads
from simulator.hardware.relatives import calibrations_for
from simulator.policies.batching import VllmV1
from simulator.policies.batching.state import BatchingPolicy, Limits
from simulator.policies.kv_cache import PagedKVCache
from simulator.policies.queueing import Discipline
from simulator.policies.routing import LeastOutstanding, RoundRobin, Router
from simulator.workloads.parallelism import Parallelism, Precision
from simulator.workloads.requests import PrefixHashes, Requests
from simulator.workloads.span import Span
from simulator.workloads.transformer import Attention, Experts, FeedForward, Layer, Transformer


def tiny_model(*, window: int | None = None, chunked: bool = False, experts: bool = False) -> Transformer:
    """Two layers of full attention, with a window or chunk on every second one if asked."""
    ffn = Experts(8, 2, FeedForward(128)) if experts else FeedForward(512)
    full = Layer(Attention(4, 2, 32, 32), ffn)
    local = Layer(Attention(4, 2, 32, 32, window, chunked), ffn) if window else full
    return Transformer("tiny", "Tiny", 128, 1000, (full, local), 4096)


def timer_of(model: Transformer, *, parallel: Parallelism | None = None, name: str = "nvidia-l4-24gb") -> StepTimer:
    found = device(name)
    law = TimingLaw(found, calibrations_for(found), fabric_of(found, None))
    return StepTimer(model, parallel or Parallelism(), Precision(), law, overheads("vllm"))


@dataclass
class FixedTimer:
    """Every iteration takes `seconds`, whatever is in it."""

    seconds: float
    spans: tuple[Span, ...] = (Span(),)
    overheads: StepOverheads = field(default_factory=StepOverheads)
    stages: tuple[None, ...] = (None,)
    kernels: tuple[()] = ()
    prompt_pass: None = None
    shared_prefix: int = 0
    chunks = StepTimer.chunks

    def step_seconds(self, *_: object) -> float:
        return self.seconds

    def decode_seconds(self, decoding: int, contexts: object, steps: int) -> np.ndarray:
        return np.full(steps, self.seconds)

    def attention_work(self, *_: object) -> tuple[float, float]:
        return 0.0, 0.0


@dataclass
class Rows:
    """A request source of rows given in full, in chunks of `size`."""

    requests: Requests
    size: int = 1 << 30
    name: str = "rows"

    def chunks(self) -> Iterator[Requests]:
        r = self.requests
        for start in range(0, len(r), self.size):
            cut = slice(start, start + self.size)
            prefix = r.prefix
            if prefix is not None:
                bounds = prefix.offsets[start : start + self.size + 1]
                prefix = PrefixHashes(bounds - bounds[0], prefix.ids[bounds[0] : bounds[-1]], prefix.block_tokens)
            yield Requests(
                r.arrival_s[cut],
                r.prompt_tokens[cut],
                r.output_tokens[cut],
                ids=None if r.ids is None else r.ids[cut],
                prefix=prefix,
                session=None if r.session is None else r.session[cut],
                think_s=None if r.think_s is None else r.think_s[cut],
                chunks=r.chunks,
                priority=None if r.priority is None else r.priority[cut],
                tenant=None if r.tenant is None else r.tenant[cut],
            )


def rows(
    arrivals: list[float],
    prompts: list[int],
    outputs: list[int],
    *,
    hashes: list[list[int]] | None = None,
    block_tokens: int = 4,
    sessions: list[int] | None = None,
    think: list[float] | None = None,
    priorities: list[int] | None = None,
    tenants: list[int] | None = None,
) -> Rows:
    prefix = None
    if hashes is not None:
        offsets = np.cumsum([0, *(len(h) for h in hashes)])
        prefix = PrefixHashes(offsets, np.array([i for h in hashes for i in h], dtype=np.int64), block_tokens)
    return Rows(
        Requests(
            np.array(arrivals, dtype=np.float64),
            np.array(prompts, dtype=np.int64),
            np.array(outputs, dtype=np.int64),
            prefix=prefix,
            session=None if sessions is None else np.array(sessions, dtype=np.int64),
            think_s=None if think is None else np.array(think, dtype=np.float64),
            priority=None if priorities is None else np.array(priorities, dtype=np.int64),
            tenant=None if tenants is None else np.array(tenants, dtype=np.int64),
        )
    )


def serve(
    source: Rows,
    *,
    timer: StepTimer | FixedTimer,
    policy: Callable[[], BatchingPolicy] = VllmV1,
    discipline: Callable[[], Discipline] | None = None,
    blocks: int = 1000,
    block_tokens: int = 4,
    max_num_seqs: int = 8,
    max_num_batched_tokens: int = 32,
    prefix_caching: bool = True,
    keep_share: float | None = None,
    replicas: int = 1,
    router: Router | None = None,
    load: Load | None = None,
    fast_forward: bool = True,
    prefill_replicas: int = 0,
    prefill_blocks: int | None = None,
    transfer: KVTransfer | None = None,
    speculation: Speculation | None = None,
    tiers: TierSetup | None = None,
    swap: SwapSetup | None = None,
    control: Control | None = None,
    pairing: Pairing | None = None,
) -> tuple[Cluster, Recorder]:
    """Serve a source to its end; with `prefill_replicas` prompts are computed apart."""
    recorder = Recorder()

    def spec_of(size: int, speculation: Speculation | None = None) -> ReplicaSpec:
        return ReplicaSpec(
            timer=timer,  # type: ignore[arg-type]
            limits=Limits(max_num_seqs, max_num_batched_tokens),
            kv=lambda: PagedKVCache(
                blocks=size, block_tokens=block_tokens, prefix_caching=prefix_caching, keep_share=keep_share
            ),
            policy=policy,
            speculation=speculation,
            tiers=tiers,
            swap=swap,
            discipline=discipline,
        )

    moved = transfer or KVTransfer(1e3, 1e9, 1e9, 1e-5, 2)
    pool = PrefillPool(spec_of(prefill_blocks or blocks), prefill_replicas, moved, LeastOutstanding())
    cluster = Cluster(
        spec_of(blocks, speculation),
        prefill=pool if prefill_replicas else None,
        replicas=replicas,
        router=router or RoundRobin(),
        recorder=recorder,
        load=load,
        fast_forward=fast_forward,
        skip_unservable=True,
        control=control,
        pairing=pairing,
    )
    cluster.run(source)
    return cluster, recorder


def assert_conserved(cluster: Cluster, recorder: Recorder, source: Rows) -> None:
    """Every request was served once or refused, every token counted, and nothing is left anywhere."""
    served = recorder.requests()
    assert recorder.finished + len(cluster.rejected) == len(source.requests)
    assert recorder.inter_token.total == (served["output_tokens"] - 1).sum()
    replicas = cluster.all_replicas
    assert all(r.outstanding == 0 and r.kv.used == 0 and r.prompt_backlog == 0 for r in replicas)
    assert all(len(r.waiting) == 0 for r in replicas)
