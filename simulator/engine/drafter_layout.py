"""A draft source laid out on devices: which of its layers run where, what memory it takes, and what times it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from simulator.engine.drafter import Drafter
from simulator.engine.memory import NO_DRAFTER, DraftMemory
from simulator.engine.step_timer import StepTimer
from simulator.engine.table import Table
from simulator.errors import InputError
from simulator.hardware.device import Device, device
from simulator.hardware.fabric import fabric_of
from simulator.hardware.law import TimingLaw
from simulator.hardware.node import node
from simulator.hardware.overheads import StepOverheads
from simulator.hardware.relatives import calibrations_for
from simulator.policies.speculation.drafters import DraftModel, DraftSource, EarlyExit, NGram, PredictionHead
from simulator.workloads.dtypes import dtype
from simulator.workloads.models import model
from simulator.workloads.operators import Collective, Gemm
from simulator.workloads.parallelism import Parallelism, Precision, kv_bytes_per_token, weight_bytes
from simulator.workloads.transformer import Transformer


def draft_overheads(own: StepOverheads) -> StepOverheads:
    """The engine's overheads of a draft pass: it is launched, but no batch is decided and nothing goes to a client."""
    return replace(own, scheduler=0.0, sampling=0.0, detokenisation=0.0)


def model_drafter(
    loaded: Transformer,
    layout: Parallelism,
    precision: Precision,
    law: TimingLaw,
    own: StepOverheads,
    *,
    max_num_seqs: int,
    layer_parallel: int = 1,
    cache_tokens: int | None = None,
    device: Device | None = None,
) -> Drafter:
    """A whole model as drafter, `layer_parallel` of its layers at a time."""
    launches = draft_overheads(own)
    groups = math.ceil(len(loaded.layers) / layer_parallel)
    extra: Table | None = None
    correction: StepTimer | None = None
    if layer_parallel > 1:
        correction = StepTimer(loaded, layout, precision, law, launches)
        width = loaded.hidden * precision.activations.bytes
        # After each group of layers, their outputs are summed into the residual stream on all of them.
        extra = Table(
            lambda t: groups * np.asarray(law.seconds(Collective("all_reduce", t * width, layer_parallel))) + 0.0 * t
        )
    timer = StepTimer(replace(loaded, layers=loaded.layers[:groups]), layout, precision, law, launches)
    weights = weight_bytes(loaded, layout, precision) / layer_parallel
    per_token = kv_bytes_per_token(loaded, layout, precision) / layer_parallel
    memory = DraftMemory(weights, per_token)
    if cache_tokens is not None:
        memory = DraftMemory(weights, 0.0, per_token * cache_tokens * max_num_seqs / layout.data)
    if device is not None:
        used = memory.weights + memory.kv_fixed
        if used > device.memory_capacity:
            raise InputError(
                f"draft model {loaded.name} needs {used / 1e9:.4g} GB on each {device.id}, which has "
                f"{device.memory_capacity / 1e9:.4g} GB: raise tensor in speculation.draft.options"
            )
        memory = NO_DRAFTER
    return Drafter(
        loaded.name,
        timer,
        memory,
        extra,
        correction,
        cache_tokens,
        device=device,
        devices=layout.devices * layer_parallel if device is not None else 0,
    )


def prediction_head(
    target: Transformer, parallel: Parallelism, precision: Precision, law: TimingLaw, own: StepOverheads
) -> Drafter:
    """One more layer of the target's last kind behind a projection of (hidden state, embedding); the head is shared."""
    layout = replace(parallel, pipeline=1)
    layer = replace(target, layers=target.layers[-1:])
    hidden = target.hidden
    projection = Gemm(1.0, hidden / parallel.tensor, 2 * hidden, precision.weights, precision.activations)
    extra = Table(lambda t: np.asarray(law.seconds(replace(projection, m=np.ceil(t / parallel.data)))))
    shared = replace(target, layers=())
    own_weights = weight_bytes(layer, layout, precision) - weight_bytes(shared, layout, precision)
    own_weights += 2 * hidden * hidden / parallel.tensor * precision.weights.bytes
    return Drafter(
        f"{target.name} prediction layer",
        StepTimer(layer, layout, precision, law, draft_overheads(own)),
        DraftMemory(own_weights, kv_bytes_per_token(layer, layout, precision)),
        extra,
    )


def early_exit(
    target: Transformer,
    parallel: Parallelism,
    precision: Precision,
    law: TimingLaw,
    own: StepOverheads,
    *,
    layers: int,
    reuse: bool,
) -> Drafter:
    """The target's first `layers` layers and its head. Raises `InputError` if the target has no more than these."""
    if layers >= len(target.layers):
        raise InputError(
            f"speculation.draft.options.layers {layers} is not less than the {len(target.layers)} layers of "
            f"{target.name}: lower it"
        )
    if parallel.pipeline > 1:
        raise InputError("early-exit drafts need the whole model on one pipeline stage: set parallel.pipeline to 1")
    lower = StepTimer(replace(target, layers=target.layers[:layers]), parallel, precision, law, draft_overheads(own))
    upper = StepTimer(replace(target, layers=target.layers[layers:]), parallel, precision, law, own) if reuse else None
    return Drafter(f"{target.name} to layer {layers}", lower, shares_cache=True, upper=upper)


def drafter_of(
    source: DraftSource,
    target: Transformer,
    parallel: Parallelism,
    precision: Precision,
    law: TimingLaw,
    own: StepOverheads,
    *,
    max_num_seqs: int,
) -> Drafter:
    """The drafter that a description means, for this target. Raises `InputError` if it cannot be laid out so."""
    if isinstance(source, NGram):
        return Drafter("n-gram lookup", shares_cache=True)
    if isinstance(source, PredictionHead):
        return prediction_head(target, parallel, precision, law, own)
    if isinstance(source, EarlyExit):
        return early_exit(target, parallel, precision, law, own, layers=source.layers, reuse=source.reuse)
    return _of_model(source, parallel, precision, law, own, max_num_seqs)


def _of_model(
    source: DraftModel,
    parallel: Parallelism,
    precision: Precision,
    law: TimingLaw,
    own: StepOverheads,
    max_num_seqs: int,
) -> Drafter:
    loaded = model(source.model)
    weights = dtype(source.weights) if source.weights else dtype(loaded.dtype)
    formats = replace(precision, weights=precision.activations if weights.name == "fp32" else weights, experts=None)
    device_of_own: Device | None = None
    most = parallel.tensor
    if source.device is not None:
        device_of_own = device(source.device)
        place = node(device_of_own.node) if device_of_own.node else None
        law = TimingLaw(device_of_own, calibrations_for(device_of_own, backend=own.engine),
                        fabric_of(device_of_own, place), own.overlap, factors=law.factors)  # fmt: skip
        most = max(1, source.tensor) * source.layer_parallel
    tensor = source.tensor or math.gcd(loaded.layers[0].attention.q_heads, most // source.layer_parallel or 1)
    if tensor * source.layer_parallel > most:
        raise InputError(
            f"the drafter's tensor {tensor} x layer_parallel {source.layer_parallel} exceeds the target's tensor "
            f"{most}: lower one of them in speculation.draft.options"
        )
    layout = Parallelism(tensor=tensor, data=parallel.data if device_of_own is None else 1)
    try:
        layout.check(loaded)
    except InputError as error:
        raise InputError(f"speculation.draft.options.tensor: {error.message}") from None
    return model_drafter(
        loaded,
        layout,
        formats,
        law,
        own,
        max_num_seqs=max_num_seqs,
        layer_parallel=source.layer_parallel,
        cache_tokens=source.cache_tokens,
        device=device_of_own,
    )
