"""What a training step sends: bytes by kind, and where the seconds of its collectives pass."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from simulator.engine.training.crowded import Crowded
from simulator.engine.training.outer import KIND, averaging
from simulator.engine.training.step import Step
from simulator.engine.training.tensor_overlap import Overlapped, TensorPasses
from simulator.policies.compression import NO_COMPRESSION
from simulator.report.training.sequences import computed, exchanged, exposed_seconds
from simulator.workloads.operators import Call, Collective, Rounds
from simulator.workloads.training.chunks import chunks_of
from simulator.workloads.training.passes import Passes
from simulator.workloads.training.replica_exchange import exchanges, sent_bytes


def communication_figures(step: Step, stage: int) -> dict[str, Any]:
    """Bytes that a device of a stage sends in a step, and seconds of collectives by kind.

    `exposed_s` are waited for, `hidden_s` pass beside computation, `bubble_s` while the stage waits for others anyway.
    `crowding_s` is what computation loses beside collectives. Where compression begins after a warm-up, `mean_step_s`
    is the mean over a run.
    """
    waited, beside = (_by_kind(found) for found in link_waits(step, stage))
    exposed = waited | {kind: value for kind, value in step.end.reductions(stage).items() if value}
    seconds: dict[str, dict[str, float]] = {"exposed_s": exposed, "hidden_s": beside, "bubble_s": {}}
    crowding = recasting = 0.0
    if step.exchanging:
        lane = step.exchanging[stage]
        for kind, value in lane.streams.seconds("exposed").items():
            seconds["exposed_s"][kind] = seconds["exposed_s"].get(kind, 0.0) + value
        seconds["hidden_s"] = beside | lane.streams.seconds("hidden")
        seconds["bubble_s"] = lane.streams.seconds("waiting")
        crowding, recasting = lane.streams.slowed, lane.recasting
    if step.job.communication.local is not None and step.job.layout.holders > 1:
        rounds = step.end.averaging(stage)
        seconds["exposed_s"][KIND], seconds["hidden_s"][KIND] = rounds.exposed, rounds.hidden
        crowding += rounds.slowed
    tensor = tensor_overlap(step, stage)
    if tensor is not None:
        seconds["exposed_s"]["tensor_parallel"], seconds["hidden_s"]["tensor_parallel"] = tensor.exposed, tensor.hidden
        crowding += tensor.slowed
    sent = {kind: value / 1e9 for kind, value in sent_by_kind(step, stage).items()}
    return {
        "sent_gb_per_device": sent | {"total": sum(sent.values())},
        **{name: values | {"total": sum(values.values())} for name, values in seconds.items()},
        "crowding_s": crowding,
        "recasting_s": recasting,
        **_reduced_products(step, stage),
        **_warm_up(step),
    }


def micro_batches_of(step: Step) -> int:
    """Micro-batches that each piece of a stage runs in a step: half of them where they go both ways."""
    return step.job.micro_batches // step.job.layout.directions


def link_waits(step: Step, stage: int) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds in which a stage's passes only wait for links, by part of the breakdown, and those that pairs hide."""
    n, part = micro_batches_of(step), step.part(stage)
    calls = [call for piece in step.job.layout.pieces(stage) for call in _all_calls(step.passes[piece])]
    found = {"tensor_parallel": n * part.seconds(c for c in _collectives(calls) if not exchanged(c))}
    found |= {name: n * seconds for name, seconds in exposed_seconds(part, calls).items()}
    waiting = sum(found.values())
    share = _hidden(step, stage) / waiting if waiting > 0.0 else 0.0
    return {k: v * (1.0 - share) for k, v in found.items()}, {k: v * share for k, v in found.items()}


def _hidden(step: Step, stage: int) -> float:
    """Seconds of links that a stage hides by running passes in pairs."""
    timeline, each = step.timeline, step.pass_seconds
    if not any(p.paired for p in timeline.passes[stage]):
        return 0.0
    pieces = step.job.layout.pieces(stage)
    alone = micro_batches_of(step) * sum(each.forward[p] + each.backward[p] + each.weights[p] for p in pieces)
    return max(0.0, alone - timeline.busy(stage))


def _by_kind(waits: dict[str, float]) -> dict[str, float]:
    """Waits for links by kind of communication, without those that are not."""
    found: dict[str, float] = defaultdict(float)
    for name, seconds in waits.items():
        if seconds:
            found["tensor_parallel" if name == "tensor_parallel" else "sequence_and_experts"] += seconds
    return dict(found)


def tensor_overlap(step: Step, stage: int) -> Overlapped | None:
    """A stage's passes of a step in which tensor-parallel collectives overlap with products, None without."""
    passes = step.part(stage).tensor_passes
    if passes is None:
        return None
    found = [o for p in step.job.layout.pieces(stage) for o in (passes.forward(p), passes.backward(p, weights=True))]
    n = micro_batches_of(step)
    return Overlapped(
        *(n * sum(getattr(o, name) for o in found) for name in ("seconds", "exposed", "hidden", "slowed"))
    )


def _reduced_products(step: Step, stage: int) -> dict[str, float]:
    """Where whole micro-batches are computed, seconds of products whose results are summed, and of their sums."""
    step = step.part(stage)
    communication, layout = step.job.communication, step.job.layout
    if layout.tensor == 1 or layout.context > 1 or layout.expert > 1 or communication.tensor.parts > 1:
        return {}
    passes = step.tensor_passes or TensorPasses(step.job, Crowded(step.law, step.of, 0.0))
    found = sum(passes.reduced_products(p) for p in layout.pieces(stage))
    return {"reduced_products_s": micro_batches_of(step) * found}


def sent_by_kind(step: Step, stage: int) -> dict[str, float]:
    """Bytes that one device of a stage puts on links in a step."""
    found = _of_passes(step, stage)
    states = step.states(stage)
    if step.forward_steps is not None:
        return found | {"projected_gradients": step.forward_steps.sent}
    times, local = step.job.micro_batches, step.job.communication.local
    if local is not None and step.job.layout.holders > 1:
        return found | {KIND: sent_bytes(averaging(step.part(stage).job, states.parameters)) / local.steps}
    if step.job.layout.holders > 1:
        moves = [
            move
            for exchange, own in exchanges(step.part(stage).job, states.parameters, states.routed)
            for move in (
                ("weight_gathering", exchange.forward_weights(own).links, times),
                ("weight_gathering", exchange.backward_weights(own).links, times),
                ("gradient_reduction", exchange.micro_batch_gradients(own).links, times),
                ("gradient_reduction", exchange.step_gradients(own).links, 1),
                ("updated_weights", exchange.updated_weights(own).links, 1),
            )
        ]
        for kind, links, count in moves:
            if links:
                found[kind] = found.get(kind, 0.0) + count * sum(map(sent_bytes, links))
    return found


def _of_passes(step: Step, stage: int) -> dict[str, float]:
    job, n = step.part(stage).job, micro_batches_of(step)
    layout = job.layout
    found: dict[str, float] = defaultdict(float)
    pieces = layout.pieces(stage)
    calls = [call for piece in pieces for call in _all_calls(step.passes[piece])]
    for call in _collectives(calls):
        kind = "sequence_and_experts" if exchanged(call) else "tensor_parallel"
        assert isinstance(call.op, Collective)
        found[kind] += sent_bytes(call.op) * call.count * n
    for transfer, count in _in_rounds(calls):
        found["sequence_and_experts"] += sent_bytes(transfer) * count * n
    if layout.pipeline > 1:
        sends = [p for p in pieces if p < layout.model_chunks - 1]
        sends += [p - 1 for p in pieces if p > 0 and job.zeroth_order is None]
        found["pipeline"] = sum(chunks_of(job).sent(p) for p in sends) / layout.tensor * n
    return dict(found)


def _in_rounds(calls: Iterable[Call]) -> Iterable[tuple[Collective, int]]:
    """What a device sends beside computing, in rings and over both kinds of links, and how often."""
    for call in calls:
        if isinstance(call.op, Rounds):
            yield from ((transfer, count * call.count) for transfer, count in call.op.transfers())


def _collectives(calls: Iterable[Call]) -> Iterable[Call]:
    return (c for c in computed(calls) if c.op.kind == "collective")


def _all_calls(passes: Passes) -> Iterable[Call]:
    return (*passes.forward, *passes.recompute, *passes.inputs, *passes.weights)


def _warm_up(step: Step) -> dict[str, float]:
    communication = step.job.communication
    share = communication.compression.warm_up
    if not share:
        return {}
    plain = replace(communication, compression=NO_COMPRESSION)
    before = replace(step, job=replace(step.job, communication=plain)).step_seconds
    return {
        "warm_up_share": share,
        "warm_up_step_s": before,
        "mean_step_s": share * before + (1.0 - share) * step.step_seconds,
    }


def communication_rows(figures: dict[str, Any]) -> list[dict[str, str]]:
    """One row a kind of communication with its bytes and seconds; none where nothing is sent."""
    columns = {
        "sent_gb_per_device": "GB sent", "exposed_s": "exposed (s)", "hidden_s": "hidden (s)",
        "bubble_s": "in bubbles (s)",
    }  # fmt: skip
    kinds = dict.fromkeys(kind for name in columns for kind in figures[name] if kind != "total")
    return [
        {"kind": kind.replace("_", " ")}
        | {title: f"{figures[name].get(kind, 0.0):,.3f}" for name, title in columns.items()}
        for kind in kinds
    ]
