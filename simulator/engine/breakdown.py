"""Where the time of one iteration goes: operator by operator, and the engine's own share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from simulator.engine.attention_timer import AttentionPiece
from simulator.engine.deployment import Deployment
from simulator.errors import refuse_beside
from simulator.workloads.graph import attention_calls, head_calls, token_calls
from simulator.workloads.operators import AnyOperator, Attention, Call, Collective, Experts, Gemm, HostCopy
from simulator.workloads.sides import attention_side_calls


@dataclass(frozen=True, slots=True)
class Part:
    """One named part of an iteration.

    `bound` says which roof holds it: compute, memory, launch, network, host link or host. `family` is the kind of
    operator: products, experts, attention, collectives, host copies, pointwise operators, host, or waiting.
    """

    stage: int
    name: str
    count: int
    seconds: float
    share: float
    bound: str
    flops: float
    bytes: float
    family: str


def iteration_parts(
    deployment: Deployment, *, prefill: Sequence[tuple[int, int]] = (), decode: Sequence[int] = ()
) -> list[Part]:
    """Parts of one iteration, in the order of execution; their seconds add up to the step timer's.

    `prefill` lists prompt chunks as (cached tokens, new tokens), `decode` the cached tokens of each decoding
    sequence. Of layers that are fed forward elsewhere they are those of the devices that attend, micro-batch by
    micro-batch, and what these wait for the pool and the links.
    """
    refuse_beside(
        "the breakdown of prompts", {"prompt_model": deployment.timer.prompt_pass is not None and bool(prefill)}
    )
    new = sum(n for _, n in prefill)
    sequences = len(prefill) + len(decode)
    found: list[Row] = []
    for stage in range(deployment.parallel.pipeline):
        shape = (deployment.model, deployment.parallel, deployment.precision)
        found += [_part(deployment, stage, call) for call in _layers(deployment, new + len(decode), stage)]
        cut = _micro_batches(deployment, new + len(decode))
        for call, (_, piece) in zip(
            attention_calls(*shape, prefill, decode, stage), deployment.timer.stages[stage].pieces, strict=True
        ):
            found += _attention(deployment, stage, *_shared(call, piece, cut))
        found += [_part(deployment, stage, call) for call in head_calls(*shape, float(sequences), stage)]
        if deployment.timer.ping_pong is not None:
            whole = _step_seconds(deployment, prefill, decode) - sum(r[3] for r in found)
            found.append(
                (
                    stage,
                    "waiting for the feed-forward pool",
                    1,
                    max(whole, 0.0),
                    "feed-forward pool",
                    0.0,
                    0.0,
                    "waiting",
                )
            )
            continue
        late = deployment.timer.prefetch_floor(stage, new + len(decode)) - sum(r[3] for r in found if r[0] == stage)
        found.append((stage, "waiting for experts loaded ahead", 1, max(late, 0.0), "host link", 0.0, 0.0, "waiting"))
        late = deployment.timer.launch_floor(stage, new + len(decode)) - sum(r[3] for r in found if r[0] == stage)
        found.append((stage, "host: launching kernels one by one", 1, max(late, 0.0), "host", 0.0, 0.0, "host"))
    overheads = deployment.timer.overheads
    found += [
        (0, "host: launch", 1, overheads.launch, "host", 0.0, 0.0, "host"),
        (0, "host: scheduler", 1, overheads.scheduler, "host", 0.0, 0.0, "host"),
        (0, "host: sampling", sequences, overheads.sampling * sequences, "host", 0.0, 0.0, "host"),
        (0, "host: detokenisation", sequences, overheads.detokenisation * sequences, "host", 0.0, 0.0, "host"),
    ]
    total = sum(row[3] for row in found)
    return [Part(s, n, c, t, t / total, b, f, m, kind) for s, n, c, t, b, f, m, kind in found if t > 0]


Row = tuple[int, str, int, float, str, float, float, str]


def _micro_batches(deployment: Deployment, tokens: int) -> int:
    apart = deployment.timer.ping_pong
    return 1 if apart is None else apart.micro_batches(tokens)


def _layers(deployment: Deployment, tokens: int, stage: int) -> list[Call]:
    """The linear layers of a stage; of every micro-batch, where others feed forward."""
    shape = (deployment.model, deployment.parallel, deployment.precision)
    if deployment.timer.ping_pong is None:
        return token_calls(*shape, float(tokens), stage)
    cut = _micro_batches(deployment, tokens)
    return [replace(call, count=call.count * cut) for call in attention_side_calls(*shape, tokens / cut)]


def _shared(call: Call, piece: AttentionPiece, cut: int) -> tuple[Call, AttentionPiece]:
    """The attention of as many equal micro-batches."""
    if cut == 1:
        return call, piece
    assert isinstance(call.op, Attention)
    shared = replace(call, op=replace(call.op, share=call.op.share / cut), count=call.count * cut)
    return shared, AttentionPiece(piece.span, piece.kernel, piece.count * cut, piece.share / cut)


def _step_seconds(deployment: Deployment, prefill: Sequence[tuple[int, int]], decode: Sequence[int]) -> float:
    """One iteration without the engine's own time."""
    timer, sequences = deployment.timer, len(prefill) + len(decode)
    contexts = [(sum(span.attended(c + 1) for c in decode), len(decode)) for span in timer.spans]
    whole = timer.step_seconds(len(decode), contexts, timer.chunks(list(prefill)))
    return whole - timer.host_seconds(sequences)


def _attention(deployment: Deployment, stage: int, call: Call, piece: AttentionPiece) -> list[Row]:
    """Prefill and decode attention of one call, or the one kernel that does both, timed as the step timer does."""
    op = call.op
    assert isinstance(op, Attention)
    work = piece.kernel.work(op.chunks)
    sequences, attended = int(op.sequences), op.attended
    bounds = {name: roofs.bound() for name, roofs in deployment.law.attention_parts(op)}
    if "mixed" in bounds:
        times = {"mixed": piece.mixed(work, sequences, attended)}
    else:
        times = {"prefill": piece.prompts(work)} if op.chunks else {}
        if sequences:
            times["decode"] = piece.decoding(sequences, attended)
    flops = {"prefill": op.prompt_flops(), "decode": op.decode_flops(), "mixed": float(op.flops())}
    moved = {"prefill": op.prompt_bytes(), "decode": op.decode_bytes(), "mixed": float(op.bytes())}
    n = call.count
    return [
        (stage, f"{name} {call.name}", n, seconds, bounds[name], flops[name] * n, moved[name] * n, "attention")
        for name, seconds in times.items()
    ]


def _part(deployment: Deployment, stage: int, call: Call) -> Row:
    roofs = deployment.law.roofs(call.op)
    network = isinstance(call.op, Collective)
    seconds = float(np.asarray(roofs.seconds())) * call.count
    bound = "network" if network and roofs.bound() == "memory" else roofs.bound()
    bound = "host link" if isinstance(call.op, HostCopy) else bound
    flops, moved = float(np.asarray(call.op.flops())), float(np.asarray(call.op.bytes()))
    return stage, call.name, call.count, seconds, bound, flops * call.count, moved * call.count, _family(call.op)


def _family(op: AnyOperator) -> str:
    kinds: tuple[tuple[type, str], ...] = (
        (Gemm, "products"),
        (Experts, "experts"),
        (Collective, "collectives"),
        (HostCopy, "host copies"),
    )
    return next((name for kind, name in kinds if isinstance(op, kind)), "pointwise operators")
