"""What a step takes on the workers that are left, and what a change of arrangement moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from simulator.engine.training.pipeline import PassSeconds, run_pipeline
from simulator.engine.training.step import Step
from simulator.policies.elastic.arrangement import Arrangement
from simulator.policies.pipeline import ZeroBubble


@dataclass(frozen=True)
class Arranged:
    """Times arrangements of `step`, each once. `communicator` seconds rebuild groups of ranks at every change.

    With `overlapped`, layers and states move while training goes on; else everybody waits for them. Steps take `slower`
    times as long as on usual devices.
    """

    step: Step
    communicator: float = 0.0
    overlapped: bool = True
    slower: float = 1.0
    _known: dict[Arrangement, float] = field(default_factory=dict, repr=False)

    @property
    def layers(self) -> tuple[int, ...]:
        """Layers of each stage of the whole cluster."""
        job = self.step.job
        pieces = (job.layout.pieces(s) for s in range(job.layout.pipeline))
        return tuple(sum(len(job.chunk_layers(p)) for p in held) for held in pieces)

    def seconds(self, arrangement: Arrangement) -> float:
        """Seconds of a step under an arrangement."""
        if arrangement not in self._known:
            self._known[arrangement] = self.slower * self._seconds(arrangement)
        return self._known[arrangement]

    def _seconds(self, arrangement: Arrangement) -> float:
        if self._is_whole(arrangement):
            return self.step.step_seconds
        usual, layout = self.step, self.step.job.layout
        steps = [usual]
        if arrangement.scattered and layout.pipeline > 1 and layout.chunks == 1 and not layout.placed:
            steps.append(replace(usual, schedule=ZeroBubble()))
        whole = Arrangement(1.0, (1.0,) * layout.pipeline, self.layers)
        longer = min(self._pipeline(s, arrangement) for s in steps) - self._pipeline(usual, whole)
        return usual.step_seconds + longer

    def _is_whole(self, arrangement: Arrangement) -> bool:
        return set(arrangement.load) == {1.0} and arrangement.layers == self.layers

    def _pipeline(self, step: Step, arrangement: Arrangement) -> float:
        """More micro-batches of a worker take as long as one longer micro-batch each."""
        times, layout = step.pass_seconds, step.job.layout
        stage_of = {piece: s for s in range(layout.pipeline) for piece in layout.pieces(s)}
        grown = [new / old for new, old in zip(arrangement.layers, self.layers, strict=True)]

        def scaled(seconds: Sequence[float]) -> list[float]:
            pieces = [len(step.job.chunk_layers(p)) for p in range(len(seconds))]
            layer = min(t / n for t, n in zip(seconds, pieces, strict=True))
            return [
                arrangement.load[stage_of[p]] * (t + (grown[stage_of[p]] - 1.0) * pieces[p] * layer)
                for p, t in enumerate(seconds)
            ]

        timed = PassSeconds(
            scaled(times.forward), scaled(times.backward), scaled(times.weights), times.send, times.waits
        )
        return run_pipeline(step.orders, timed, layout.placed).seconds

    def change_seconds(self, old: Arrangement | None, new: Arrangement, joined: bool) -> float:
        """Seconds in which all wait while the arrangement changes; a worker that `joined` needs a stage's states."""
        if self.overlapped:
            return self.communicator
        before = self.layers if old is None else old.layers
        moved = 0.0
        for stage, (had, has) in enumerate(zip(before, new.layers, strict=True)):
            states = self.step.states(stage)
            share = 1.0 if joined else max(0, has - had) / self.layers[stage]
            moved = max(moved, share * (states.weights + states.optimizer))
        link = self.step.law.fabric.between
        return self.communicator + moved / (link.bandwidth * link.efficiency)
