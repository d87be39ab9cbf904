"""The optimiser's update as tasks: by subgroups after the passes, or by layers as gradients come."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from simulator.engine.training.ending import FP32
from simulator.engine.training.offloading.crossing import gradient_bytes, to_device
from simulator.engine.training.offloading.graph import Graph
from simulator.engine.training.offloading.layers import TimedLayer
from simulator.engine.training.offloading.passes import consumed_at_once
from simulator.engine.training.step import Step
from simulator.hardware.host import HostShare
from simulator.policies.offload.plan import Plan
from simulator.workloads.operators import Collective, Elementwise


@dataclass(frozen=True, slots=True)
class UpdateTasks:
    """Adds the tasks of updating this device's share of the parameters to a graph."""

    graph: Graph
    step: Step
    host: HostShare
    plan: Plan
    layers: Sequence[TimedLayer]

    @property
    def copies(self) -> int:
        return self.step.job.layout.copies

    def add_after(self) -> None:
        """Everything, once all passes and their transfers have ended."""
        total = sum(layer.parameters for layer in self.layers) / self.copies
        groups = math.ceil(total / self.plan.subgroup)
        before = self.graph.lasts()
        for number in range(groups):
            size = min(self.plan.subgroup, total - number * self.plan.subgroup)
            here = self.plan.stride > 0 and number % self.plan.stride == self.plan.stride - 1
            self._group(f"subgroup {number}", size, before, on_device=here)

    def add_layer(self, number: int, gradients: int) -> None:
        """One layer, once its gradients are where they are kept."""
        layer = self.layers[number]
        own = layer.parameters / self.copies
        held = own * gradient_bytes(self.step.job, self.plan) if consumed_at_once(self.step, self.plan) else 0.0
        self._group(f"layer {number}", own, [gradients], held=held)

    def gather(self) -> None:
        """Whole weights are gathered after the update where the replicas keep them whole."""
        layout = self.step.job.layout
        if self.copies > 1 and layout.zero < 3:
            whole = sum(layer.weights for layer in self.layers)
            seconds = self.step.of(Collective("all_gather", whole, self.copies, layout.tensor))
            self.graph.add("updated weights", "gather", {"fabric": seconds}, after=self.graph.lasts())

    def _group(
        self, name: str, parameters: float, after: Sequence[int], *, on_device: bool = False, held: float = 0.0
    ) -> None:
        name = f"update of {name}"
        if self.plan.states == "device":
            self.graph.add(name, "compute", least=self._device_seconds(parameters), after=after)
        elif on_device:
            self._on_device(name, parameters, after)
        else:
            self._on_host(name, parameters, after, held)

    def _on_host(self, name: str, parameters: float, after: Sequence[int], held: float) -> None:
        """States come from the drives where they lie there, the processors update, and the new ones go back.

        `held` bytes of gradients are let go of after it.
        """
        graph, plan, size = self.graph, self.plan, self._bytes(parameters)
        last = list(after)
        if plan.gradients == "device":
            up = {"up": size["gradients"], "host": size["gradients"]}
            last = [graph.add(name, "updates up", up, after=last)]
        read = size["states"] * (plan.states == "nvme") + size["gradients"] * (plan.gradients == "nvme")
        written = size["states"] * (plan.states == "nvme") + size["weights"] * (plan.weights == "nvme")
        staged = read + size["weights"] * (plan.weights != "host")
        kept = {"host": staged} if staged else {}
        if read:
            waits = [*last, graph.back("states write" if written else "cpu", plan.staged + 1)]
            last = [graph.add(name, "states read", {"read": read, "host": read}, after=waits, takes=kept)]
        optimizer = self.step.job.optimizer
        rescaling = 2.0 * gradient_bytes(self.step.job, plan) if plan.rescaled else 0.0
        seconds, moved = self.host.update(
            parameters, optimizer.moved_beside(self.step.job.formats.stored) + rescaling, optimizer.flops
        )
        free = held + (staged if not written and plan.weights != "device" else 0.0)
        last = [
            graph.add(
                name,
                "cpu",
                {"host": moved},
                least=seconds,
                after=last,
                takes={} if read else kept,
                gives={"host": free} if free else {},
            )
        ]
        if written:
            last = [graph.add(name, "states write", {"write": written, "host": written}, after=last, gives=kept)]
        if plan.weights == "device":
            down = to_device(plan.copies, size["weights"], parameters * FP32.bytes).over("down")
            # The thread that copies through pageable memory is the one that calls the next update.
            stream = "updates down" if plan.copies == "beside" else "cpu"
            graph.add(name, stream, down, after=last, gives={} if written else kept)

    def _on_device(self, name: str, parameters: float, after: Sequence[int]) -> None:
        """States and gradients go down to the device, which updates them, and the states go back.

        One thread takes the subgroups in turn: the copies down start with the host's first update since the device's
        last one, and are waited for after the host's last. One stream copies both ways, as in the authors' code.
        """
        graph, plan, size = self.graph, self.plan, self._bytes(parameters)
        down = size["states"] + size["gradients"] * (plan.gradients != "device")
        up = size["states"] + size["weights"] * (plan.weights != "device")
        last = [*after, graph.back("cpu", plan.stride)]
        if plan.states == "nvme":
            last = [graph.add(name, "states read", {"read": size["states"], "host": size["states"]}, after=last)]
        held = {"device": down}
        number = graph.add(name, "states", {"down": down, "host": down}, after=last, takes=held)
        number = graph.add(name, "cpu", after=[number])
        number = graph.add(name, "compute", least=self._device_seconds(parameters), after=[number])
        number = graph.add(name, "states", {"up": up, "host": up}, after=[number], gives=held)
        written = size["states"] * (plan.states == "nvme") + size["weights"] * (plan.weights == "nvme")
        if written:
            graph.add(name, "states write", {"write": written, "host": written}, after=[number])

    def _bytes(self, parameters: float) -> Mapping[str, float]:
        job = self.step.job
        return {
            "states": parameters * job.optimizer.states_beside(job.formats.stored),
            "gradients": parameters * gradient_bytes(job, self.plan),
            "weights": parameters * job.formats.stored.bytes,
        }

    def _device_seconds(self, parameters: float) -> float:
        optimizer = self.step.job.optimizer
        return self.step.of(
            Elementwise(
                parameters,
                optimizer.moved_beside(self.step.job.formats.stored) / FP32.bytes,
                0.0,
                optimizer.flops,
                FP32,
            )
        )
