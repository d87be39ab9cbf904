"""What no simulation of a layout can beat: bytes that a stage holds at least, and seconds that a step takes at least.

Both are optimistic, so that pruning by them never removes the quickest layout that fits.
"""

from __future__ import annotations

from collections.abc import Sequence

from simulator.engine.training.memory import RESERVED
from simulator.engine.training.step import Step
from simulator.policies.pipeline import Pass


def least_bytes(step: Step) -> float:
    """Bytes of a device of the first stage.

    A stage runs its passes one by one in the schedule's order, so that the activations that it keeps at most follow
    from that order alone, whenever the passes run.
    """
    pieces = [step.passes[piece] for piece in step.job.layout.pieces(0)]
    kept = kept_at_most(_order(step, 0), [p.saved for p in pieces], splits=step.schedule.splits)
    return step.states(0).total + kept + max(p.working for p in pieces) + RESERVED


def kept_at_most(order: Sequence[Pass], saved: Sequence[float], *, splits: bool) -> float:
    """Most bytes kept at once by passes in this order, of which a forward pass keeps `saved` by chunk."""
    last = ("weights", "whole") if splits else ("backward",)
    now = most = 0.0
    for each in order:
        if each.kind == "forward":
            now += saved[each.chunk]
            most = max(most, now)
        elif each.kind in last:
            now -= saved[each.chunk]
    return most


def least_seconds(step: Step) -> float:
    """Seconds of a step: of each stage, until work can reach it, its passes, and until its last gradients are back.

    The longest of these over the stages, with the update and what is reduced after the passes. Exact for 1F1B and for
    interleaved 1F1B with equal stages and free sends. Passes in pairs may hide their links.
    """
    layout, each = step.job.layout, step.pass_seconds
    micro_batches = step.job.micro_batches // layout.directions
    paired = any(p.paired for p in _order(step, 0))
    before, after = [0.0], [0.0]
    sends = each.sends or [(each.send, each.send)] * (len(each.forward) - 1)
    for forward, backward, (there, back) in zip(each.forward, each.backward, (*sends, (0.0, 0.0)), strict=True):
        before.append(before[-1] + forward + there)
        after.append(after[-1] + (0.0 if step.schedule.splits else backward + back))

    def passes(piece: int) -> float:
        whole = each.forward[piece] + each.backward[piece] + (each.weights[piece] if step.schedule.splits else 0.0)
        return whole - (each.forward_links[piece] + each.backward_links[piece] if paired else 0.0)

    def stage_seconds(stage: int) -> float:
        pieces = layout.pieces(stage)
        work = micro_batches * sum(map(passes, pieces))
        return min(before[p] for p in pieces) + work + min(after[p] for p in pieces)

    stages = range(layout.pipeline)
    end = max(step.end.reduce_seconds(s) + step.end.update_seconds(s) for s in stages) + step.end.tied_seconds()
    return max(map(stage_seconds, stages)) + end


def _order(step: Step, stage: int) -> list[Pass]:
    layout = step.job.layout
    return step.schedule.order(stage, layout.pipeline, step.job.micro_batches, layout.chunks)
