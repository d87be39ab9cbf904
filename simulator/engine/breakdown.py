"""Where the time of one iteration goes: operator by operator, and the engine's own share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulator.engine.deployment import Deployment
from simulator.workloads.graph import AttentionLoad, attention_calls, head_calls, spans, token_calls
from simulator.workloads.operators import Call, Collective


@dataclass(frozen=True, slots=True)
class Part:
    """One named part of an iteration. `bound` says which roof holds it: compute, memory, launch, network or host."""

    stage: int
    name: str
    count: int
    seconds: float
    share: float
    bound: str
    flops: float
    bytes: float


def iteration_parts(
    deployment: Deployment, *, prefill: Sequence[tuple[int, int]] = (), decode: Sequence[int] = ()
) -> list[Part]:
    """Parts of one iteration, in the order of execution; their seconds add up to the step timer's.

    `prefill` lists prompt chunks as (cached tokens, new tokens), `decode` the cached tokens of each decoding
    sequence.
    """
    new = sum(n for _, n in prefill)
    loads = _loads(deployment, prefill, decode)
    sequences = len(prefill) + len(decode)
    found: list[tuple[int, str, int, float, str, float, float]] = []
    for stage in range(deployment.parallel.pipeline):
        shape = (deployment.model, deployment.parallel, deployment.precision)
        calls = token_calls(*shape, float(new + len(decode)), stage)
        calls += attention_calls(*shape, loads, stage)
        calls += head_calls(*shape, float(sequences), stage)
        found += [_part(deployment, stage, call) for call in calls]
    overheads = deployment.calibration.overheads
    found += [
        (0, "host: launch", 1, overheads.launch, "host", 0.0, 0.0),
        (0, "host: scheduler", 1, overheads.scheduler, "host", 0.0, 0.0),
        (0, "host: sampling", sequences, overheads.sampling * sequences, "host", 0.0, 0.0),
        (0, "host: detokenisation", sequences, overheads.detokenisation * sequences, "host", 0.0, 0.0),
    ]
    total = sum(row[3] for row in found)
    return [Part(s, n, c, t, t / total, b, f, m) for s, n, c, t, b, f, m in found if t > 0]


def _loads(deployment: Deployment, prefill: Sequence[tuple[int, int]], decode: Sequence[int]) -> list[AttentionLoad]:
    return [
        AttentionLoad(
            prefill_tokens=float(sum(n for _, n in prefill)),
            prefill_pairs=float(sum(span.pairs(c, n) for c, n in prefill)),
            prefill_context=float(sum(span.context(c, n) for c, n in prefill)),
            decode_sequences=float(len(decode)),
            decode_context=float(sum(span.attended(c + 1) for c in decode)),
        )
        for span in spans(deployment.model)
    ]


def _part(deployment: Deployment, stage: int, call: Call) -> tuple[int, str, int, float, str, float, float]:
    roofs = deployment.law.roofs(call.op)
    network = isinstance(call.op, Collective)
    seconds = float(np.asarray(roofs.seconds())) * call.count
    bound = "network" if network and roofs.bound() == "memory" else roofs.bound()
    flops, moved = float(np.asarray(call.op.flops())), float(np.asarray(call.op.bytes()))
    return stage, call.name, call.count, seconds, bound, flops * call.count, moved * call.count
