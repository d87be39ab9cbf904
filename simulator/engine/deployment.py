"""From a validated scenario to a cluster that can run: model, devices, layout, memory, policies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from simulator.engine.attention_offload import AttentionOffload, AttentionPool
from simulator.engine.chunks import PromptPass
from simulator.engine.drafter import Drafter
from simulator.engine.drafter_layout import drafter_of
from simulator.engine.feed_forward import FeedForwardPool, PoolMemory
from simulator.engine.handoff import KVTransfer, WireEncoding
from simulator.engine.memory import NO_DRAFTER, FinetuningMemory, MemoryPlan, plan_memory
from simulator.engine.prompt_pass import PromptModel, prompt_pass
from simulator.engine.step_timer import StepTimer
from simulator.errors import InputError
from simulator.hardware.calibration import Calibrations
from simulator.hardware.device import Device, device
from simulator.hardware.fabric import Fabric, fabric_of
from simulator.hardware.law import TimingLaw
from simulator.hardware.links import link
from simulator.hardware.node import Node, node
from simulator.hardware.overheads import StepOverheads, overheads
from simulator.hardware.relatives import calibrations_for
from simulator.policies.batching.state import Limits
from simulator.policies.execution import Execution
from simulator.policies.speculation.drafters import DraftSource
from simulator.workloads.dtypes import DTYPES, DType, dtype
from simulator.workloads.models import model
from simulator.workloads.parallelism import Parallelism, Precision, kv_bytes_per_token
from simulator.workloads.sides import without_feed_forward
from simulator.workloads.transformer import Transformer

_SIXTEEN_BIT = ("bf16", "fp16")


@dataclass(frozen=True, slots=True)
class Deployment:
    """One model on some layout of devices, ready to be timed."""

    model: Transformer
    device: Device
    fabric: Fabric
    parallel: Parallelism
    precision: Precision
    limits: Limits
    calibrations: Calibrations
    memory: MemoryPlan
    timer: StepTimer
    law: TimingLaw
    drafter: Drafter | None = None
    pool_memory: PoolMemory | None = None

    @property
    def devices(self) -> int:
        """Devices of one replica, those of its feed-forward pool included."""
        apart = self.timer.ping_pong
        return self.parallel.devices + (0 if apart is None else apart.pool.devices)


def native_precision(
    model: Transformer,
    weights: str | None = None,
    activations: str | None = None,
    kv_cache: str | None = None,
    experts: str | None = None,
) -> Precision:
    """The formats given, and for the others those of the published checkpoint; activations are 16 bits wide."""
    published = dtype(model.dtype)
    half = published if published.name in _SIXTEEN_BIT else DTYPES["bf16"]
    active = dtype(activations) if activations else half
    stored = dtype(weights) if weights else (half if published.name == "fp32" else published)
    expert: DType | None = dtype(experts) if experts else None
    if stored.name == "mxfp4" and weights is None:
        stored, expert = active, expert or stored
    return Precision(stored, active, dtype(kv_cache) if kv_cache else active, expert)


def deploy(
    model_or_name: str | Transformer,
    device_or_name: str | Device,
    *,
    parallel: Parallelism | None = None,
    precision: Precision | None = None,
    limits: Limits | None = None,
    node_name: str | None = None,
    memory_utilization: float = 0.9,
    block_tokens: int = 16,
    blocks: int | None = None,
    engine: str = "vllm",
    calibration: str | None = None,
    factors: Mapping[str, float] | None = None,
    host: StepOverheads | None = None,
    execution: Execution | None = None,
    draft: DraftSource | None = None,
    pool: AttentionPool | None = None,
    shared_prefix: int = 0,
    scored: bool = False,
    feed_forward: FeedForwardPool | None = None,
    finetuning: FinetuningMemory | None = None,
    prompt_model: PromptModel | None = None,
    reserved: float = 0.0,
) -> Deployment:
    """Put a model on devices.

    `factors` lengthens kernels by family, `host` stands in for the engine's overheads, `execution` says how an
    iteration's operators share a device.

    `draft` writes drafts for it, if speculation is on, and takes its part of the memory. `pool` keeps its KV cache
    and does its decode attention, if they are not on its own devices. `shared_prefix` tokens begin every prompt and
    are read once a step. `scored` says that decode steps keep scores of the tokens they attend to. `feed_forward` holds
    the feed-forward weights and works on them, if the model's own devices do not.
    `finetuning` is the memory that fine-tuning takes beside. `prompt_model` computes prompts in the model's place, and
    takes its part of the memory. `reserved` bytes of each device are taken besides the weights.

    Raises `InputError` if it is unknown, cannot be laid out so, or does not fit.
    """
    loaded = model_or_name if isinstance(model_or_name, Transformer) else model(model_or_name)
    on = device_or_name if isinstance(device_or_name, Device) else device(device_or_name)
    layout = parallel or Parallelism()
    layout.check(loaded)
    formats = precision or native_precision(loaded)
    bounds = limits or Limits()
    fabric = fabric_of(on, _node(on, node_name))
    own = host or overheads(engine)
    calibrations = calibrations_for(on, backend=own.engine, file=calibration)
    law = TimingLaw(on, calibrations, fabric, own.overlap, factors=factors or {})
    drafter: Drafter | None = None
    if draft is not None:
        drafter = drafter_of(draft, loaded, layout, formats, law, own, max_num_seqs=bounds.max_num_seqs)
    if feed_forward is not None:
        feed_forward.check(loaded, layout)
    held = loaded if feed_forward is None else without_feed_forward(loaded)
    beside = NO_DRAFTER if drafter is None else drafter.memory
    before: PromptPass | None = None
    if prompt_model is not None:
        before, beside = prompt_pass(prompt_model, layout, law, own), prompt_model.memory(layout)
    memory = plan_memory(
        held, layout, formats, on, bounds, utilization=memory_utilization, block_tokens=block_tokens, blocks=blocks,
        draft=beside, stages=feed_forward is None, finetuning=finetuning,
        reserved=reserved,
    )  # fmt: skip
    offload: AttentionOffload | None = None
    if pool is not None:
        offload = AttentionOffload(pool, loaded, layout, formats, law)
        memory = replace(
            memory,
            blocks=pool.blocks(loaded, formats, block_tokens),
            block_bytes=pool.block_bytes(loaded, formats, block_tokens),
        )
    there = None if feed_forward is None else feed_forward.memory(loaded, layout, formats, bounds)
    timer = StepTimer(
        loaded, layout, formats, law, own, execution, offload, shared_prefix, scored, feed_forward, before
    )
    return Deployment(loaded, on, fabric, layout, formats, bounds, calibrations, memory, timer, law, drafter, there)


def kv_transfer(
    source: Deployment,
    target: Deployment,
    *,
    over: str | None = None,
    layerwise: bool = False,
    visible: str = "prefill",
    encoding: WireEncoding | None = None,
) -> KVTransfer:
    """How cached tokens go from a replica of `source` to one of `target`, over the link named `over` at each device.

    Without a name: over the scale-up links where one replica of each fits into one node, else over the network. All
    devices of a side work at once; a device that keeps a copy of what another keeps receives it too.
    An attention pool receives it over its own links, each part once. `encoding` has the rates of one device.
    """
    together = source.parallel.devices + target.parallel.devices
    near = source.device.id == target.device.id and together <= target.fabric.devices_per_node

    def devices(side: Deployment) -> int:
        if side.timer.offload is not None:
            return side.timer.offload.pool.devices
        return side.parallel.tensor * side.parallel.pipeline

    def rate(side: Deployment) -> tuple[float, float]:
        if side.timer.offload is not None:
            pool = side.timer.offload.pool
            return pool.devices * pool.link.bandwidth * pool.link.efficiency, pool.link.latency
        used = link(over) if over is not None else side.fabric.inside if near else side.fabric.between
        return devices(side) * used.bandwidth * used.efficiency, used.latency

    (send, one), (receive, other) = rate(source), rate(target)
    each = sum(
        kv_bytes_per_token(target.model, target.parallel, target.precision, s) for s in range(target.parallel.pipeline)
    )
    if encoding is not None:
        encoding = replace(
            encoding, encode=encoding.encode * devices(source), decode=encoding.decode * devices(target)
        )  # fmt: skip
    return KVTransfer(
        each * target.parallel.tensor, send, receive, max(one, other), len(target.model.layers), layerwise, visible,
        encoding,
    )  # fmt: skip


def _node(on: Device, name: str | None) -> Node | None:
    if name is None:
        return node(on.node) if on.node else None
    found = node(name)
    if found.device != on.id:
        raise InputError(f"node {found.name} holds {found.device}, not {on.id}: choose a node of that device")
    return found
