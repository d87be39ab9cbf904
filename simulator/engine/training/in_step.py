"""Ranks with micro-batches of their own that exchange weights and gradients: a collective begins with the last of them.

One device stands for all: at each layer and each bucket it is as late as the latest rank. Where all micro-batches are
alike it is every rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.engine.training.exchanging import Exchanging, LayerPass, Move, StageWork
from simulator.engine.training.streams import Segment
from simulator.policies.pipeline.schedule import Pass

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """Both passes of a micro-batch, layer by layer in the order in which they run."""

    forward: tuple[LayerPass, ...]
    backward: tuple[LayerPass, ...]


def in_turns(turns: Sequence[Sequence[MicroBatch]], prefetch: int) -> Exchanging:
    """Run micro-batches turn by turn, all ranks layer by layer together, as they must that gather weights together.

    Each gathers `prefetch` layers ahead. Of the gradients those of every micro-batch are reduced.
    """
    layers, order = {}, []
    for turn, found in enumerate(turns):
        # a turn stands where another stage has a chunk
        layers["forward", turn, False] = latest([m.forward for m in found])
        layers["backward", turn, True] = latest([m.backward for m in found])
        order += [Pass("forward", turn, turn), Pass("backward", turn, turn)]
    lane = Exchanging(StageWork(layers, {}, prefetch), order)
    for each in order:
        lane.run(each, lane.streams.now)
    return lane


def latest(passes: Sequence[tuple[LayerPass, ...]]) -> tuple[LayerPass, ...]:
    """The pass of which each piece takes as long as the longest of those pieces; their layers are the same."""
    return tuple(
        LayerPass(
            same[0].gather,
            tuple((max((s for s, _ in at), key=lambda s: s.seconds), at[0][1]) for at in zip(*pieces, strict=True)),
        )
        for same in zip(*passes, strict=True)
        for pieces in [[layer.pieces for layer in same]]
    )


def after_each(ends: Sequence[float], backward: Sequence[tuple[LayerPass, ...]]) -> Exchanging:
    """Reduce gradients in buckets, each as soon as all ranks have it.

    The last backward pass of each rank, of which `backward` has the pieces, ends at second `ends` unless collectives
    slow it.
    """
    pieces = [[piece for layer in found for piece in layer.pieces] for found in backward]
    seconds = np.array([[segment.seconds for segment, _ in own] for own in pieces])
    # from the end of each piece to the end of its pass
    left = seconds[:, ::-1].cumsum(axis=1)[:, ::-1] - seconds
    ready = np.array(ends)[:, None] - left
    slowest = ready.argmax(axis=0)
    at = ready.max(axis=0)
    first = float(seconds[slowest[0], 0])
    lengths = np.diff(at, prepend=at[0] - first)
    found: list[tuple[Segment, Move | None]] = []
    for number, (rank, length) in enumerate(zip(slowest.tolist(), lengths.tolist(), strict=True)):
        segment, move = pieces[rank][number]
        found.append((segment.part(length / segment.seconds) if segment.seconds else segment, move))
    each = Pass("backward", 0, 0)
    lane = Exchanging(StageWork({("backward", 0, True): (LayerPass(None, tuple(found)),)}, {}, 0), [each])
    lane.run(each, float(at[0]) - first)
    return lane
