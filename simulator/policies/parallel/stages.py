"""Every device holds some layers of the network."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from simulator.errors import InputError
from simulator.policies.parallel.plan import looking_at, patch, warm
from simulator.workloads.graphs.graph import Part
from simulator.workloads.graphs.phases import Phase
from simulator.workloads.graphs.pieces import balanced, passed_bytes
from simulator.workloads.operators import Collective


@dataclass(frozen=True, slots=True)
class AsynchronousStages:
    """All stages run at once, each on what the stage before gave in the last step (AsyncDiff, arXiv:2406.06911).

    The first `warm_up` steps run stage after stage. Then every device sends its result to all others after each round,
    which brings the sampler on by `stride` steps (3.3: 1 or 2). Rounds wait for the exchange.
    """

    warm_up: int = 1
    stride: int = 1

    def phases(self, part: Part, devices: int) -> list[Phase]:
        if self.stride < 1:
            raise InputError(f"parallel: stride is {self.stride}: give at least 1")
        pieces = balanced(part.graph, devices)
        passed = [b for b in passed_bytes(part.graph, pieces) if b]
        first, later = warm(part, self.warm_up)
        onward = tuple((Collective("send_recv", b, 2), 1.0) for b in passed)
        shared = tuple((Collective("all_gather", b * devices / max(devices - 1, 1), devices), 1.0) for b in passed)
        found = [
            Phase((tuple(pieces),), onward, first),
            Phase(tuple((piece,) for piece in pieces), shared, ceil(later / self.stride)),
        ]
        return [phase for phase in found if phase.times > 0.0]


@dataclass(frozen=True, slots=True)
class PatchPipeline:
    """Patches flow through stages of layers, one behind the other and step after step without a gap.

    Attention looks at the keys and values that a stage has of the other patches, of this step or of the one before, so
    that only what a stage gives travels (PipeFusion, arXiv:2405.14430; of blocks of frames, DualParal,
    arXiv:2505.21070). `patches` None: as many as devices. The first `warm_up` steps run stage after stage.
    """

    warm_up: int = 1
    patches: int | None = None
    axis: int = 2

    def phases(self, part: Part, devices: int) -> list[Phase]:
        count = self.patches or devices
        mine = looking_at(patch(part.graph, count, self.axis), float(count))
        first, later = warm(part, self.warm_up)
        whole = balanced(part.graph, devices)
        onward = tuple((Collective("send_recv", b, 2), 1.0) for b in passed_bytes(part.graph, whole) if b)
        pieces = balanced(mine, devices)
        most = max(passed_bytes(mine, pieces), default=0.0)
        sends = ((Collective("send_recv", most, 2), 1.0),) if most else ()
        beats = later * max(count, devices) + devices - 1 if later else 0.0
        found = [
            Phase((tuple(whole),), onward, first),
            Phase(tuple((piece,) for piece in pieces), sends, beats, stale=True),
        ]
        return [phase for phase in found if phase.times > 0.0]
