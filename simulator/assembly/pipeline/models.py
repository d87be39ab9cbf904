"""Models of a pipeline: graphs, cut or whole, with their times on a device and the bytes that cross a cut."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from simulator.assembly.graphs import bytes_of, model_of, rewritten, runtime_rewrites
from simulator.assembly.pipeline.resources import Placed
from simulator.engine.inference.execution import execute
from simulator.engine.pipeline.services.model import Cost
from simulator.errors import InputError
from simulator.hardware.runtimes import runtime
from simulator.specs.inference import InferenceScenario
from simulator.specs.pipeline.services import CrossingSpec, ModelSpec, NetSpec
from simulator.workloads.graphs.cutting import Cut, cut
from simulator.workloads.graphs.graph import Model, Part


def batch_cost(spec: ModelSpec, placed: Placed) -> Callable[[int], Cost]:
    """Seconds and joules of a batch on a device, by its size."""
    how = runtime(spec.runtime)
    law = placed.law(how)

    def cost(size: int) -> Cost:
        ready = rewritten(_side(spec, size, spec.device), runtime_rewrites(how))
        runs = [(execute(p.graph, law, dispatch=how.dispatch, call=how.call), p.times) for p in ready.parts]
        joules = sum(run.joules * times for run, times in runs) if placed.own_energy else None
        return sum(run.seconds * times for run, times in runs), joules

    return cost


def weight_bytes(spec: ModelSpec) -> float:
    """Bytes of the weights that a device holds of a model, or of its side of a cut."""
    return bytes_of(_side(spec, 1, spec.device))[0]


def crossing_bytes(spec: CrossingSpec) -> float:
    """Bytes that one item sends over a cut, quantised and compressed as the fields say."""
    found = _cut(spec, 1, "")
    if spec.bits is None:
        return float(np.asarray(found.bytes)) * spec.keep
    numbers = sum(float(np.asarray(t.elements)) for t in found.crossing)
    return numbers * spec.bits / 8.0 * spec.keep


def _side(spec: ModelSpec, batch: int, device: str) -> Model:
    if spec.cut is None:
        return model_of(_scenario(spec, batch, device))
    found = _cut(spec, batch, device)
    return Model(str(spec.model), (Part(found.head if spec.side == "head" else found.tail),))


def _cut(spec: NetSpec, batch: int, device: str) -> Cut:
    model = model_of(_scenario(spec, batch, device))
    if len(model.parts) != 1 or model.parts[0].times != 1.0:
        raise InputError(f"cut: model {model.name} runs several graphs, which cannot be cut: leave cut out")
    assert spec.cut is not None
    return cut(model.parts[0].graph, spec.cut)


def _scenario(spec: NetSpec, batch: int, device: str) -> InferenceScenario:
    """The model's fields as those of an inference scenario, which says how graphs are read."""
    given = {name: getattr(spec, name) for name in NetSpec.model_fields if name in spec.model_fields_set}
    kept = {name: value for name, value in given.items() if name in InferenceScenario.model_fields}
    return InferenceScenario(**kept, device=device, batch=batch)
