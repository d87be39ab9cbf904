"""Stages on devices of their own: a step for each kind of stage, and what passes between unlike stages."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

from simulator.engine.training.pipeline import PassSeconds
from simulator.hardware.collectives import ring_all_reduce, send_recv
from simulator.hardware.links import Link
from simulator.workloads.operators import Collective
from simulator.workloads.training.chunks import chunks_of
from simulator.workloads.training.passes import Passes

if TYPE_CHECKING:
    from simulator.engine.training.step import Step


@dataclass(frozen=True)
class Mixed:
    """Of each stage the step as it were if all stages were like it; those alike are one object.

    `link` joins nodes of different kinds; None: the slower one of what joins either kind's own nodes.
    """

    parts: tuple[Step, ...]
    link: Link | None = None

    @cached_property
    def stage_of(self) -> tuple[int, ...]:
        """The stage of each piece of the model."""
        layout = self.parts[0].job.layout
        found = {piece: stage for stage in range(layout.pipeline) for piece in layout.pieces(stage)}
        return tuple(found[piece] for piece in range(layout.model_chunks))

    @property
    def passes(self) -> tuple[Passes, ...]:
        """Of each piece of the model, on its own stage's devices."""
        return tuple(self.parts[stage].passes[piece] for piece, stage in enumerate(self.stage_of))

    @cached_property
    def pass_seconds(self) -> PassSeconds:
        """Seconds of each piece's passes on its stage, and of what goes from piece to piece and back."""
        own = [self.parts[stage].pass_seconds for stage in self.stage_of]
        borders = list(pairwise(self.stage_of))
        sends = [(self._send(a, b, p), self._send(b, a, p)) for p, (a, b) in enumerate(borders)]
        return PassSeconds(
            [each.forward[p] for p, each in enumerate(own)],
            [each.backward[p] for p, each in enumerate(own)],
            [each.weights[p] for p, each in enumerate(own)],
            max((seconds for pair in sends for seconds in pair), default=0.0),
            own[0].waits,
            forward_links=[each.forward_links[p] for p, each in enumerate(own)],
            backward_links=[each.backward_links[p] for p, each in enumerate(own)],
            sends=sends,
        )

    def crossing(self, one: int, other: int) -> Link:
        """The link between two stages on nodes of different kinds."""
        ends = (self.parts[stage].law.fabric.between for stage in (one, other))
        return self.link or min(ends, key=lambda end: end.bandwidth * end.efficiency)

    def _send(self, sender: int, receiver: int, piece: int) -> float:
        """Seconds in which activations of a piece, or their gradients, get from one stage to another.

        The narrower stage's devices have one flow each, whose parts the receivers then gather inside their node.
        """
        one, other = self.parts[sender], self.parts[receiver]
        if one is other:
            return one.send_seconds
        whole, width = chunks_of(one.job).sent(piece), other.job.layout.tensor
        flows = min(one.job.layout.tensor, width)
        if self._same_nodes(sender, receiver):
            before = self.parts[min(sender, receiver)].job.layout
            seconds = one.of(Collective("send_recv", whole / flows, 2, before.tensor * before.holders))
        else:
            seconds = float(send_recv(whole / flows, self.crossing(sender, receiver)))
        if other.job.layout.sequence_parallel or width == 1:
            return seconds
        return seconds + other.of(Collective("all_gather", whole, width))

    def tied_seconds(self) -> float:
        """Seconds of summing the gradients of an embedding that the first and the last stage share."""
        first, last = self.stage_of[0], self.stage_of[-1]
        one, other = self.parts[first], self.parts[last]
        if one is other:
            return one.end.tied_seconds()
        tied = max(chunks_of(part.job).tied for part in (one, other))
        if not tied:
            return 0.0
        message = tied * one.job.formats.gradients.bytes
        if self._same_nodes(first, last):
            return one.of(Collective("all_reduce", message, 2, one.job.layout.tensor * one.job.layout.holders))
        return float(ring_all_reduce(message, 2, self.crossing(first, last)))

    def _same_nodes(self, one: int, other: int) -> bool:
        """Whether two stages are on nodes of one kind, whatever their widths."""
        laws = [self.parts[stage].law for stage in (one, other)]
        return laws[0].device == laws[1].device and laws[0].fabric == laws[1].fabric
