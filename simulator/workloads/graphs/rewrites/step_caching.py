"""Reuse between the steps of a sampler: features of an earlier step, and the pass without the text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil

from simulator.errors import InputError
from simulator.workloads.graphs.graph import Graph, Model, Part
from simulator.workloads.graphs.rewrites.editing import Edit, chosen, given, resized


@dataclass(frozen=True, slots=True)
class CacheSteps:
    """Run the whole network in one of `every` steps; in the others take results of an earlier step where named.

    Of a network with skips, the last `shallow` concatenations still run, on what came from below before (DeepCache,
    arXiv:2312.00858); `reuse` names nodes or types whose results are kept, attention for instance (FasterCache,
    arXiv:2410.19355). `adaptor` 3 x 3 convolutions of what is kept stand for what is left out (Clockwork Diffusion,
    arXiv:2312.08128). `whole` steps, if given, run the whole network instead of one of `every`.
    """

    every: int = 2
    shallow: int | None = None
    reuse: Sequence[str] = ()
    adaptor: int = 0
    whole: int | None = None

    def over(self, model: Model) -> Model:
        if self.every < 1 or (self.shallow is None) == (not self.reuse):
            raise InputError("cache-steps: give every of at least 1, and one of shallow and reuse")
        return _steps(model, "cache-steps", self._split)

    def _split(self, part: Part) -> tuple[Part, ...]:
        whole = min(float(self.whole or ceil(part.times / self.every)), part.times)
        return replace(part, times=whole), Part(self._cached(part.graph), part.times - whole)

    def _cached(self, graph: Graph) -> Graph:
        if self.shallow is None:
            names = [name for node in chosen(graph, self.reuse, "cache-steps.reuse") for name in node.written]
        else:
            skips = [node for node in graph.nodes if node.type == "Concat"]
            if not 1 <= self.shallow <= len(skips):
                raise InputError(
                    f"cache-steps: shallow is {self.shallow}: {graph.name} has {len(skips)} concatenations"
                )
            names = [skips[-self.shallow].inputs[0]]
        return self._adapted(given(graph, names), names)

    def _adapted(self, graph: Graph, names: Sequence[str]) -> Graph:
        if not self.adaptor:
            return graph
        edit = Edit(graph)
        renamed = {}
        for name in names:
            filters = graph.tensors[name].shape[1]
            x = name
            for _ in range(self.adaptor):
                x = edit.add(f"{name}.adaptor", "Conv", [x], weights=[(filters, filters, 3, 3)], pads=[1, 1, 1, 1])
            renamed[name] = x
        for node in graph.nodes:
            edit.keep(node, inputs=tuple(renamed.get(n, n) for n in node.inputs))
        return edit.build()


@dataclass(frozen=True, slots=True)
class SkipGuidance:
    """Run the pass without the text in the share `guided` of steps only, else on half the batch.

    FasterCache (arXiv:2410.19355) takes it from earlier steps; StreamDiffusion's residual guidance (arXiv:2312.12491,
    3.2) has it in the first step (its share: 1 / steps) or not at all (0).
    """

    guided: float = 0.5

    def over(self, model: Model) -> Model:
        if not 0.0 <= self.guided <= 1.0:
            raise InputError(f"skip-guidance: guided is {self.guided}: give a share of steps")
        return _steps(model, "skip-guidance", self._split)

    def _split(self, part: Part) -> tuple[Part, ...]:
        batch = part.graph.tensors[part.graph.inputs[0]].shape[0]
        if int(batch) % 2:
            raise InputError(f"skip-guidance: the batch is {int(batch)}: it has to hold both passes, turn guidance on")
        return (
            replace(part, times=part.times * self.guided),
            Part(with_batch(part.graph, int(batch) // 2), part.times * (1.0 - self.guided)),
        )


@dataclass(frozen=True, slots=True)
class StreamBatch:
    """Run all steps of a sampler as one batch: each frame of a stream is in another step (StreamDiffusion, 3.1).

    What is computed for one answer is the same; the network is called once for each frame and not once for each step.
    """

    def over(self, model: Model) -> Model:
        return _steps(model, "stream-batch", self._split)

    def _split(self, part: Part) -> tuple[Part, ...]:
        batch = part.graph.tensors[part.graph.inputs[0]].shape[0]
        return (Part(with_batch(part.graph, int(batch) * int(part.times)), 1.0),)


def with_batch(graph: Graph, batch: int) -> Graph:
    """The same network on another batch: the first dimension of all inputs that had the batch of the first."""
    before = graph.tensors[graph.inputs[0]].shape[0]
    shapes = {name: graph.tensors[name].shape for name in graph.inputs}
    return resized(graph, {n: (batch, *s[1:]) for n, s in shapes.items() if s and int(s[0]) == int(before)})


def _steps(model: Model, what: str, split: Callable[[Part], tuple[Part, ...]]) -> Model:
    """A model whose repeated parts are split; parts that then never run are left out."""
    if all(part.times <= 1.0 for part in model.parts):
        raise InputError(f"{what}: {model.name} repeats no network: give a model of several steps")
    parts: list[Part] = []
    for part in model.parts:
        parts += [p for p in (split(part) if part.times > 1.0 else (part,)) if p.times > 0.0]
    return replace(model, parts=tuple(parts))
