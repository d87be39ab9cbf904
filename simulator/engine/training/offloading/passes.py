"""The passes of a step's layers as tasks, with what is fetched before and what leaves after each.

Weights and activations are fetched up to `prefetch` passes ahead, into buffers that are free when earlier passes end;
a pass waits while more than as many copies are on their way out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from simulator.engine.training.offloading.crossing import gradient_bytes, to_device, to_host
from simulator.engine.training.offloading.graph import Graph
from simulator.engine.training.offloading.layers import TimedLayer
from simulator.engine.training.step import Step
from simulator.hardware.host import HostShare
from simulator.policies.offload.plan import Copying, Plan
from simulator.workloads.operators import Collective


@dataclass(frozen=True, slots=True)
class Visit:
    """One pass of one micro-batch through one layer, or through one of the tiles that it is cut into."""

    kind: str
    micro_batch: int
    layer: int
    tile: int


def visits(layers: int, micro_batches: int, tiles: int) -> list[Visit]:
    """All passes in order: each micro-batch forward through the layers and back."""
    found = []
    for m in range(micro_batches):
        found += [Visit("forward", m, n, t) for n in range(layers) for t in range(tiles)]
        found += [Visit("backward", m, n, t) for n in reversed(range(layers)) for t in reversed(range(tiles))]
    return found


def consumed_at_once(step: Step, plan: Plan) -> bool:
    """Whether gradients wait in host memory only for the update of their layer."""
    return plan.update == "layer" and plan.gradients == "host" and step.job.micro_batches == 1


class PassTasks:
    """Adds the tasks of all passes to a graph."""

    def __init__(self, graph: Graph, step: Step, host: HostShare, plan: Plan, layers: Sequence[TimedLayer]) -> None:
        self.graph, self.step, self.host, self.plan, self.layers = graph, step, host, plan, layers
        self.copies = step.job.layout.copies
        self.sharded = step.job.layout.zero >= 3 and self.copies > 1
        self.order = visits(len(layers), step.job.micro_batches, plan.tiles)
        self.computed: list[int] = []
        self.kept_at: dict[tuple[int, int], int] = {}

    def add(self, complete: Callable[[int, int], None] | None = None) -> None:
        """Add the tasks; `complete` is told of a layer, and of the task at whose end all its gradients are there."""
        for place, visit in enumerate(self.order):
            fetched = self._weights(place, visit)
            if visit.kind == "forward":
                self._forward(place, visit, fetched)
                continue
            ended = self._backward(place, visit, fetched)
            if complete is not None and visit.tile == 0 and visit.micro_batch == self.step.job.micro_batches - 1:
                complete(visit.layer, ended)

    def _room(self, place: int) -> int | None:
        """The pass at whose end the buffer for what this pass fetches is free."""
        before = place - self.plan.prefetch - 1
        return self.computed[before] if before >= 0 else None

    def _leaving(self, stream: str, how: Copying = "beside") -> int | None:
        """The copy that must have left: the last if passes wait for it, else so that `prefetch` are on their way."""
        return self.graph.back(stream, self.plan.prefetch + 1 if how == "beside" else 1)

    def _weights(self, place: int, visit: Visit) -> int | None:
        """Fetch a layer's weights over drives, link and fabric, unless the pass before used them too."""
        plan, graph, layer = self.plan, self.graph, self.layers[visit.layer]
        if (plan.weights == "device" and not self.sharded) or self._again(place):
            return None
        whole = layer.weights / plan.tiles
        own = whole / self.copies if self.sharded else whole
        buffer = {"device": whole}
        last, room, name = None, self._room(place), f"weights of layer {visit.layer}"
        if plan.weights == "nvme":
            least = 0.0 if plan.slices else whole / (self.host.read * self.host.devices)
            read = {"read": own, "host": own}
            last = graph.add(name, "weights read", read, after=[room], least=least, takes={"host": own})
        if plan.weights != "device":
            least = 0.0 if plan.slices else whole / self.host.link_alone
            gives = {"host": own} if plan.weights == "nvme" else {}
            down = {"down": own, "host": own}
            last = graph.add(
                name, "weights down", down, after=[last, room], least=least, takes=buffer, gives=gives
            )  # fmt: skip
            buffer = {}
        if self.sharded:
            last = self._collective(name, "gather", "all_gather", whole, after=[last, room], takes=buffer)
        return last

    def _again(self, place: int) -> bool:
        """Whether the pass uses the weights of the pass before it, which are still there."""
        if place == 0:
            return False
        a, b = self.order[place - 1], self.order[place]
        return (a.layer, a.tile) == (b.layer, b.tile)

    def _freed(self, place: int) -> dict[str, float]:
        """Weights that are let go when a pass ends."""
        if self.plan.weights == "device" and not self.sharded:
            return {}
        if place + 1 < len(self.order) and self._again(place + 1):
            return {}
        return {"device": self.layers[self.order[place].layer].weights / self.plan.tiles}

    def _forward(self, place: int, visit: Visit, fetched: int | None) -> None:
        plan, layer, graph = self.plan, self.layers[visit.layer], self.graph
        first, last = visit.tile == 0, visit.tile == plan.tiles - 1
        number = graph.add(
            f"forward of layer {visit.layer}",
            "compute",
            self._crossing(layer.wire[0] / plan.tiles),
            least=layer.forward / plan.tiles,
            beside=tuple(b / plan.tiles for b in layer.beside[0]),
            after=[
                fetched,
                self._leaving("activations up", plan.activation_copies),
                self._leaving("activations write"),
            ],
            takes={"device": layer.kept} if first else {},
            gives=self._freed(place),
        )
        self.computed.append(number)
        if last and plan.activations != "device" and not self._turns(place):
            self.kept_at[visit.micro_batch, visit.layer] = self._out(visit, layer.kept, number)

    def _turns(self, place: int) -> bool:
        """Whether the layer's own backward pass follows at once, so that its activations stay."""
        return self.order[place + 1].layer == self.order[place].layer

    def _out(self, visit: Visit, size: float, computed: int) -> int:
        """Activations leave for the host, and from there for the drives."""
        graph, name, held = self.graph, f"activations of layer {visit.layer}", {"host": size}
        up = to_host(self.plan.activation_copies, size, size).over("up")
        number = graph.add(name, "activations up", up, after=[computed], takes=held, gives={"device": size})
        if self.plan.activations == "host":
            return number
        write = {"write": size, "host": size}
        return graph.add(name, "activations write", write, after=[number], takes={"nvme": size}, gives=held)

    def _back(self, place: int, visit: Visit, size: float) -> int | None:
        """Activations come back, if they left."""
        out = self.kept_at.get((visit.micro_batch, visit.layer))
        if out is None:
            return None
        graph, name, held, room = self.graph, f"activations of layer {visit.layer}", {"host": size}, self._room(place)
        how = self.plan.activation_copies
        if self.plan.activations == "nvme":
            read = {"read": size, "host": size}
            out = graph.add(name, "activations read", read, after=[out, room], takes=held, gives={"nvme": size})
        down = to_device(how, size, size).over("down")
        after = [out, room if how == "beside" else self.computed[-1]]
        return graph.add(name, "activations down", down, after=after, takes={"device": size}, gives=held)

    def _backward(self, place: int, visit: Visit, fetched: int | None) -> int:
        """Add a backward pass and the way of its gradients, and give the last task of these."""
        plan, layer, graph = self.plan, self.layers[visit.layer], self.graph
        first, last = visit.tile == plan.tiles - 1, visit.tile == 0
        back = self._back(place, visit, layer.kept) if first else None
        passing = plan.gradients != "device" or self.copies > 1
        gradients, formed = (x / plan.tiles if passing else 0.0 for x in (layer.gradients, layer.formed))
        working = layer.working if first else 0.0
        gives = self._freed(place).get("device", 0.0) + (layer.working + layer.kept if last else 0.0)
        number = graph.add(
            f"backward of layer {visit.layer}",
            "compute",
            self._crossing(layer.wire[1] / plan.tiles),
            least=layer.backward / plan.tiles,
            beside=tuple(b / plan.tiles for b in layer.beside[1]),
            after=[fetched, back, self._leaving("reduce"), self._leaving("gradients up", plan.copies)],
            takes={"device": formed + working},
            gives={"device": gives},
        )
        self.computed.append(number)
        return self._gradients(visit, gradients, number) if passing else number

    def _gradients(self, visit: Visit, size: float, computed: int) -> int:
        """Gradients are summed over the replicas, each keeping its share, and leave for where they are kept.

        Those of later micro-batches are added to what is there, which is read and written again. Where they wait in
        the host for their layer's update alone, they leave no sooner than it has room.
        """
        plan, graph, name = self.plan, self.graph, f"gradients of layer {visit.layer}"
        own, last, leave = size / self.copies, computed, {"device": size}
        kept = own * gradient_bytes(self.step.job, plan) / self.step.job.formats.gradients.bytes
        if self.copies > 1:
            stays = plan.gradients == "device"
            gives = leave if stays else {}
            last = self._collective(name, "reduce", "reduce_scatter", size, after=[last], gives=gives)
        if plan.gradients == "device":
            return last
        adds = visit.micro_batch > 0
        up = to_host(plan.copies, own, kept).over("up")
        up["host"] += 2.0 * kept if adds and plan.gradients == "host" else 0.0
        waits = consumed_at_once(self.step, plan)
        staged = {"host": kept} if plan.gradients == "nvme" or waits else {}
        room = graph.back("cpu", plan.staged + 1) if waits else None
        last = graph.add(name, "gradients up", up, after=[last, room], takes=staged, gives=leave)
        if plan.gradients == "nvme":
            write = {"write": kept, "read": kept * adds, "host": kept * (3.0 if adds else 1.0)}
            last = graph.add(name, "gradients write", write, after=[last], gives=staged)
        return last

    def _collective(
        self, name: str, stream: str, pattern: str, whole: float, *, after: Iterable[int | None],
        takes: Mapping[str, float] | None = None, gives: Mapping[str, float] | None = None,
    ) -> int:  # fmt: skip
        """Add a collective of the replicas, whose kernels crowd what computes beside it."""
        link = Collective(pattern, whole, self.copies, self.step.job.layout.tensor)
        demands = {"fabric": self.step.of(link)} | self._crossing(whole * (self.copies - 1) / self.copies)
        level = self.step.law.fabric.level(link.world, link.stride)
        return self.graph.add(name, stream, demands, after=after, takes=takes, gives=gives, crowds=level)

    def _crossing(self, wire: float) -> dict[str, float]:
        """What collectives put on the host links where devices have no others."""
        return {"down": wire, "up": wire} if self.host.crossed and wire else {}
