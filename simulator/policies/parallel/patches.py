"""Every device computes a patch of the image (or some frames of the video) with all of the network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.errors import InputError
from simulator.policies.parallel.plan import looking_at, patch, self_attention, warm
from simulator.workloads.graphs.graph import Graph, Part
from simulator.workloads.graphs.phases import Phase
from simulator.workloads.graphs.rewrites.step_caching import with_batch
from simulator.workloads.operators import Collective


@dataclass(frozen=True, slots=True)
class Patches:
    """Patches along `axis` whose keys and values, and edges under windows, all devices exchange.

    After `warm_up` steps a device takes its neighbours' numbers of the step before, so that they travel beside the work
    (DistriFusion, arXiv:2402.19481, 4; without `stale` each step waits); what the network answers is gathered in every
    step. A device looks at the share `context` of the other patches' tokens (PCPP, arXiv:2412.02962; clips of long
    videos with a sample of the others', Video-Infinity, arXiv:2406.16260). With `split_guidance` half the devices run
    the pass without the text.
    """

    warm_up: int = 4
    stale: bool = True
    context: float = 1.0
    axis: int = 2
    split_guidance: bool = True

    def phases(self, part: Part, devices: int) -> list[Phase]:
        if not 0.0 <= self.context <= 1.0:
            raise InputError(f"parallel: context is {self.context}: give a share of the other patches")
        graph, patches = part.graph, devices
        batch = int(graph.tensors[graph.inputs[0]].shape[0])
        if self.split_guidance and devices % 2 == 0 and batch % 2 == 0:
            graph, patches = with_batch(graph, batch // 2), devices // 2
        mine = patch(graph, patches, self.axis)
        graphs = ((looking_at(mine, 1.0 + (patches - 1) * self.context),),)
        sends = self._sends(mine, patches, self.context)
        answer = sum(float(np.asarray(part.graph.tensors[name].bytes)) for name in part.graph.outputs)
        awaited = ((Collective("all_gather", answer, devices), 1.0),)
        first, later = warm(part, self.warm_up) if self.stale else (part.times, 0.0)
        seen = 1.0 if self.stale else self.context
        waiting = ((looking_at(mine, 1.0 + (patches - 1) * seen),),)
        found = [
            Phase(waiting, self._sends(mine, patches, seen), first, awaited=awaited),
            Phase(graphs, sends, later, stale=True, awaited=awaited),
        ]
        return [phase for phase in found if phase.times > 0.0]

    def _sends(self, mine: Graph, patches: int, share: float) -> tuple[tuple[Collective, float], ...]:
        if patches == 1:
            return ()
        gathered = [
            (Collective("all_gather", b * patches * share, patches), 1.0) for b in self_attention(mine).values()
        ]
        edges = [(Collective("send_recv", b, 2), 2.0) for b in self._edges(mine) if b]
        return (*gathered, *edges)

    def _edges(self, mine: Graph) -> list[float]:
        """Bytes of the rows that a window reaches over on one side, for each convolution."""
        found = []
        for node in mine.nodes:
            if node.type == "Conv":
                image, filters = mine.tensors[node.inputs[0]], mine.tensors[node.inputs[1]]
                over = (int(filters.shape[self.axis]) - 1) // 2 if len(filters.shape) > self.axis else 0
                row = float(np.asarray(image.bytes / image.shape[self.axis]))
                found.append(over * row * float(np.asarray(node.repeat)))
        return found
