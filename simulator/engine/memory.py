"""Where a device's memory goes, and how many KV blocks that leaves."""

from __future__ import annotations

from dataclasses import dataclass, replace

from simulator.errors import InputError
from simulator.hardware.device import Device
from simulator.policies.batching.state import Limits
from simulator.workloads.dtypes import DTYPES
from simulator.workloads.parallelism import Parallelism, Precision, kv_bytes_per_token, weight_bytes
from simulator.workloads.transformer import Experts, Transformer

# Driver context, communication buffers and captured graphs that serving engines hold besides tensors: about
# 0.6 GB a device in the start-up logs of vLLM 0.6 to 0.19 (non-torch memory plus graph pool).
RUNTIME_BYTES = 0.6e9


@dataclass(frozen=True, slots=True)
class DraftMemory:
    """Bytes of a drafter on each device of the last stage: weights, cache for each token, and cache of fixed size."""

    weights: float = 0.0
    kv_per_token: float = 0.0
    kv_fixed: float = 0.0


NO_DRAFTER = DraftMemory()


@dataclass(frozen=True, slots=True)
class FinetuningMemory:
    """Bytes of fine-tuning on each device: activations kept of one sequence, what one pass works in, the adapter.

    `unpruned` is what would be kept if every operator's input were. The adapter has its gradients and optimiser.
    """

    kept: float
    unpruned: float
    workspace: float
    adapter: float

    @property
    def total(self) -> float:
        return self.kept + self.workspace + self.adapter


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Bytes of one device (of the fullest pipeline stage) and the KV blocks of the replica that fit."""

    capacity: float
    usable: float
    weights: float
    activations: float
    runtime: float
    block_bytes: float
    blocks: int
    finetuning: FinetuningMemory | None = None

    @property
    def kv_bytes(self) -> float:
        """Bytes of KV cache on one device."""
        return self.blocks * self.block_bytes


def activation_peak(model: Transformer, parallel: Parallelism, precision: Precision, limits: Limits) -> float:
    """Peak bytes of activations in one iteration, as a profiling run of an engine meets it.

    The widest moment of a layer (both halves of a gated feed-forward part, their product, and three copies
    of the hidden state) for `max_num_batched_tokens` tokens, and logits in the activation format and twice in
    fp32 (copy and softmax) for `max_num_seqs` rows.
    """
    tokens = limits.max_num_batched_tokens / parallel.data
    widest = 0.0
    for layer in set(model.layers):
        a, ffn = layer.attention, layer.ffn
        if isinstance(ffn, Experts):
            visits = ffn.top_k / parallel.expert
            width = 3 * visits * ffn.expert.intermediate / parallel.expert_tensor + visits * model.hidden
        else:
            width = (3 if ffn.gated else 2) * ffn.intermediate / parallel.tensor
        qkv = (a.q_heads * (a.head_dim + a.v_head_dim) + 2 * a.kv_elements()) / parallel.tensor
        widest = max(widest, width, qkv)
    act = precision.activations.bytes
    hidden = tokens * (widest + 3 * model.hidden) * act
    logits = limits.max_num_seqs / parallel.data * model.vocab * (act + 2 * DTYPES["fp32"].bytes)
    return hidden + logits


def plan_memory(
    model: Transformer,
    parallel: Parallelism,
    precision: Precision,
    device: Device,
    limits: Limits,
    *,
    utilization: float,
    block_tokens: int,
    blocks: int | None = None,
    draft: DraftMemory = NO_DRAFTER,
    stages: bool = True,
    finetuning: FinetuningMemory | None = None,
    reserved: float = 0.0,
) -> MemoryPlan:
    """The memory plan of a replica. `blocks` fixes the number of KV blocks instead of filling what is free.

    `draft` is what a drafter takes on the last stage, of weights and of each block; `stages` says whether more
    pipeline stages may be advised. `finetuning` is what fine-tuning takes on every device. `reserved` bytes more
    are weights of every stage.

    Raises `InputError` with the missing bytes and a change that fits, if the weights leave no room.
    """
    plans = [
        _stage_plan(
            model, parallel, precision, device, limits, utilization, block_tokens, stage, draft, finetuning, reserved
        )
        for stage in range(parallel.pipeline)
    ]
    plan = min(plans, key=lambda p: p.blocks)
    if blocks is None:
        if plan.blocks < 1:
            if finetuning is not None:
                _check_room_beside(finetuning, plan, device)
            raise _does_not_fit(model, parallel, precision, device, limits, plan, utilization, draft, stages, reserved)
        return plan
    free = plan.capacity - plan.weights - (0.0 if finetuning is None else finetuning.total)
    most = max(0, int(free * parallel.data / plan.block_bytes))
    if blocks > most:
        raise InputError(
            f"kv_cache.blocks {blocks:,} of {plan.block_bytes / 1e6:.3g} MB do not fit beside "
            f"{plan.weights / 1e9:.4g} GB of weights "
            f"in the {plan.capacity / 1e9:.4g} GB of {device.id}: at most {most:,} do"
        )
    return replace(plan, blocks=blocks)


def _stage_plan(
    model: Transformer,
    parallel: Parallelism,
    precision: Precision,
    device: Device,
    limits: Limits,
    utilization: float,
    block_tokens: int,
    stage: int,
    draft: DraftMemory = NO_DRAFTER,
    finetuning: FinetuningMemory | None = None,
    reserved: float = 0.0,
) -> MemoryPlan:
    weights = weight_bytes(model, parallel, precision, stage) + reserved
    activations = activation_peak(model, parallel, precision, limits)
    block = kv_bytes_per_token(model, parallel, precision, stage) * block_tokens
    if stage == parallel.pipeline - 1:
        weights += draft.weights + draft.kv_fixed
        block += draft.kv_per_token * block_tokens
    usable = device.memory_capacity * utilization
    free = usable - weights - activations - RUNTIME_BYTES - (0.0 if finetuning is None else finetuning.total)
    blocks = int(free // block) * parallel.data
    return MemoryPlan(device.memory_capacity, usable, weights, activations, RUNTIME_BYTES, block, blocks, finetuning)


def _check_room_beside(finetuning: FinetuningMemory, plan: MemoryPlan, device: Device) -> None:
    """Raise `InputError` if the model fits, and fine-tuning beside it does not."""
    missing = plan.weights + plan.activations + plan.runtime + plan.block_bytes + finetuning.total - plan.usable
    if finetuning.total >= missing:
        raise InputError(
            f"finetuning does not fit beside the model on {device.id}: it takes {finetuning.total / 1e9:.3g} GB "
            f"({finetuning.kept / 1e9:.3g} GB of activations kept), {missing / 1e9:.3g} GB are missing: "
            "lower finetuning.sequence_tokens or window_tokens, or use devices with more memory"
        )


def _does_not_fit(
    model: Transformer,
    parallel: Parallelism,
    precision: Precision,
    device: Device,
    limits: Limits,
    plan: MemoryPlan,
    utilization: float,
    draft: DraftMemory,
    stages: bool,
    reserved: float,
) -> InputError:
    needed = plan.weights + plan.activations + plan.runtime + plan.block_bytes
    remedies = [] if reserved else _remedies(model, parallel, precision, device, limits, utilization, draft, stages)
    return InputError(
        f"{model.name} does not fit on {parallel.devices} x {device.id}: each device needs {needed / 1e9:.4g} GB "
        f"({plan.weights / 1e9:.4g} GB of weights, {plan.activations / 1e9:.3g} GB of activations) and "
        f"{plan.usable / 1e9:.4g} GB are usable, {(needed - plan.usable) / 1e9:.3g} GB are missing: "
        + (f"use {' or '.join(remedies)}" if remedies else "use devices with more memory")
    )


def _remedies(
    model: Transformer,
    parallel: Parallelism,
    precision: Precision,
    device: Device,
    limits: Limits,
    utilization: float,
    draft: DraftMemory,
    stages: bool,
) -> list[str]:
    """Single changes to the layout or the weight format after which the weights fit."""
    heads = model.layers[0].attention.q_heads

    def fits(changed: Parallelism, kept: Precision) -> bool:
        plans = (
            _stage_plan(model, changed, kept, device, limits, utilization, 1, s, draft) for s in range(changed.pipeline)
        )
        return all(p.blocks >= 1 for p in plans)

    found: list[str] = []
    for tensor in (2, 4, 8, 16, 32, 64):
        wider = replace(parallel, tensor=tensor)
        if tensor > parallel.tensor and heads % tensor == 0 and fits(wider, precision):
            found.append(f"tensor_parallel {tensor}")
            break
    for pipeline in (2, 4, 8, 16) if stages else ():
        deeper = replace(parallel, pipeline=pipeline)
        if parallel.pipeline < pipeline <= len(model.layers) and fits(deeper, precision):
            found.append(f"pipeline_parallel {pipeline}")
            break
    for name in ("fp8", "int4"):
        smaller = DTYPES[name]
        if smaller.bytes < precision.weights.bytes and fits(parallel, replace(precision, weights=smaller)):
            found.append(f"{name} weights")
            break
    return found
