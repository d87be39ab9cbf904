"""Run an inference scenario: one validated object in, one result out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from simulator.assembly.graph_memory import DeviceMemory, memory_of, planned, with_paging
from simulator.assembly.graphs import bytes_of, law_for, law_of, model_of, phases_of, rewritten, runtime_rewrites
from simulator.engine.inference.execution import Execution, execute
from simulator.engine.inference.parallel import Shared, shared
from simulator.errors import InputError, refuse_beside
from simulator.hardware.architectures import Streaming, architecture_name
from simulator.hardware.law import TimingLaw
from simulator.hardware.room import require_room
from simulator.specs.inference import InferenceScenario
from simulator.workloads.graphs.counting import Counts, count_model
from simulator.workloads.graphs.graph import Graph, Model


@dataclass(frozen=True)
class InferenceResult:
    """One answer of a model: an execution of each of its graphs, and how often each runs.

    Of steps that several devices share (`shared`) the executions are those of the slowest device.
    """

    scenario: InferenceScenario
    model: Model
    counts: Counts
    law: TimingLaw
    executions: tuple[tuple[Execution, float], ...]
    memory: DeviceMemory | None = None
    shared: tuple[Shared, ...] = ()

    @property
    def seconds(self) -> float:
        """Latency of one answer to a whole batch."""
        return sum(e.seconds * times for e, times in self.executions) + sum(s.waiting * s.times for s in self.shared)

    @property
    def joules(self) -> float:
        """Energy of all devices for one answer."""
        others = sum((s.joules - sum(e.joules for e in s.runs)) * s.times for s in self.shared)
        return sum(e.joules * times for e, times in self.executions) + others

    @property
    def interval(self) -> float | None:
        """Seconds from one answer to the next where answers flow through the device; None elsewhere."""
        on = self.law.device
        if not isinstance(on.architecture, Streaming):
            return None
        return sum(
            on.architecture.interval([(k.op, k.count) for k in e.kernels], on) * times for e, times in self.executions
        )

    @property
    def timed_by(self) -> tuple[str, str]:
        """What times the kernels, and where its figures are from."""
        on = self.law.device
        if on.architecture is not None:
            return f"{on.id} as a {architecture_name(on.architecture)}", on.source
        return self.law.calibrations.name, self.law.calibrations.source

    @cached_property
    def summary(self) -> dict[str, Any]:
        """Headline figures as nested plain data; names carry their units."""
        from simulator.report.graphs.inference import summarise_inference

        return summarise_inference(self)


def anchor_inference(values: dict[str, Any], folder: Path) -> None:
    """Make the path of a model's file in plain values relative to `folder`, in place."""
    model = values.get("model")
    if isinstance(model, dict) and isinstance(model.get("onnx"), str):
        model["onnx"] = str(folder / model["onnx"])


def infer(scenario: InferenceScenario) -> InferenceResult:
    """Time one forward pass. Raises `InputError` for models, devices and formats that do not go together."""
    model = model_of(scenario)
    if scenario.parallel is not None and all(part.times <= 1.0 for part in model.parts):
        raise InputError(f"parallel: {model.name} repeats no network: give a model of several steps, or leave it out")
    law, how = law_of(scenario)
    ready = rewritten(model, runtime_rewrites(how))
    memory, spec = None, scenario.memory
    if spec is None:
        require_room(law.device, *bytes_of(ready))
    else:
        refuse_beside("parallel", {"memory": scenario.parallel is not None})
        ready, plans = planned(ready, spec)
        memory = memory_of(ready, plans, spec, law.device)

    def run(graph: Graph) -> Execution:
        found = execute(graph, law_for(law, graph), dispatch=how.dispatch, call=how.call)
        return found if spec is None or spec.paging is None else with_paging(found, spec.paging)

    steps: list[Shared] = []
    executions: list[tuple[Execution, float]] = []
    for part in ready.parts:
        if scenario.parallel is None or part.times <= 1.0:
            executions.append((run(part.graph), part.times))
            continue
        found = shared(phases_of(scenario.parallel, part), run, law, scenario.parallel.devices)
        steps += found
        executions += [(each, s.times) for s in found for each in s.runs]
    if not any(each.kernels for each, _ in executions):
        raise InputError(f"model {model.name}: nothing runs, its operators only rename tensors: give another model")
    return InferenceResult(scenario, ready, count_model(model), law, tuple(executions), memory, tuple(steps))
