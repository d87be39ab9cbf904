"""From the fields of an inference scenario to the graphs that a device runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from simulator.assembly.graph_options import check_family_options, check_sizes
from simulator.errors import InputError
from simulator.hardware.cores import cores_of
from simulator.hardware.device import device
from simulator.hardware.fabric import fabric_of
from simulator.hardware.law import TimingLaw
from simulator.hardware.relatives import calibrations_for
from simulator.hardware.runtimes import Runtime, runtime
from simulator.policies.parallel import ParallelPolicy
from simulator.policies.registry import build_policy
from simulator.specs.inference import BATCH_NAMES, FamilySpec, InferenceScenario, OnnxSpec, ParallelSpec
from simulator.workloads.dtypes import DType, dtype
from simulator.workloads.graphs.catalogue import entry, family_model, graph_model
from simulator.workloads.graphs.counting import count_model
from simulator.workloads.graphs.graph import Graph, Model, Part
from simulator.workloads.graphs.lifetimes import peak_activation_bytes, touched_bytes
from simulator.workloads.graphs.onnx_import import read_onnx
from simulator.workloads.graphs.phases import Phase
from simulator.workloads.graphs.rewrites import ModelRewrite, Rewrite


def model_of(scenario: InferenceScenario) -> Model:
    """The model with the scenario's rewrites, as any runtime would be given it."""
    model = _read(scenario, dtype(scenario.format))
    return rewritten(model, [build_policy("rewrite", r.policy, r.options) for r in scenario.rewrites])


def rewritten(model: Model, rewrites: Sequence[Rewrite | ModelRewrite]) -> Model:
    """A model that went through these rewrites of it or of all its graphs, one after the other."""
    for rewrite in rewrites:
        if isinstance(rewrite, ModelRewrite):
            model = rewrite.over(model)
        else:
            model = replace(model, parts=tuple(replace(part, graph=rewrite(part.graph)) for part in model.parts))
    return model


def runtime_rewrites(of: Runtime) -> list[Rewrite]:
    """What a runtime does to each graph before it runs it."""
    return [build_policy("rewrite", name, options) for name, options in of.rewrites]


def bytes_of(model: Model) -> tuple[float, float]:
    """Bytes of all weights, and the most of activations at any time."""
    weights = float(np.asarray(count_model(model).weight_bytes))
    return weights, max(float(np.asarray(peak_activation_bytes(part.graph))) for part in model.parts)


def phases_of(given: ParallelSpec, part: Part) -> list[Phase]:
    """What the devices of `parallel` do for a part of a model."""
    policy: ParallelPolicy = build_policy("parallel", given.policy, given.options)
    return policy.phases(part, given.devices)


def law_of(scenario: InferenceScenario) -> tuple[TimingLaw, Runtime]:
    """The device's timing law under the scenario's runtime."""
    on, how = cores_of(device(scenario.device), scenario.threads), runtime(scenario.runtime)
    known = calibrations_for(on, backend=how.kernels, own=scenario.calibrated, file=scenario.calibration)
    return TimingLaw(on, known, fabric_of(on, None), how.overlap), how


def law_for(law: TimingLaw, graph: Graph) -> TimingLaw:
    """The law in passes of this graph: a processor's caches keep what fits of all that a pass touches."""
    return replace(law, footprint=touched_bytes(graph)) if law.device.kind == "cpu" else law


def _read(scenario: InferenceScenario, format: DType) -> Model:
    given = scenario.model
    if isinstance(given, str):
        check_family_options(entry(given).family, scenario.options, f"model {given}")
        return _with_sizes(graph_model(given, scenario.batch, format, **scenario.options))
    if scenario.options:
        raise InputError("options: they are of a named model: give them inside model, or leave them out")
    if isinstance(given, FamilySpec):
        check_family_options(given.family, given.options, f"family {given.family}")
        return _with_sizes(family_model(given.family, given.family, scenario.batch, format, **given.options))
    assert isinstance(given, OnnxSpec)
    return _from_onnx(scenario, given, format)


def _with_sizes(model: Model) -> Model:
    check_sizes(model)
    return model


def _from_onnx(scenario: InferenceScenario, given: OnnxSpec, format: DType) -> Model:
    """The model in a file; its own number formats stay unless the scenario states one."""
    floats = format if "format" in scenario.model_fields_set else None
    graph = read_onnx(given.onnx, given.sizes, floats, usual=dict.fromkeys(BATCH_NAMES, scenario.batch))
    batches = [graph.tensors[name].shape[:1] for name in graph.inputs]
    if scenario.batch > 1 and (scenario.batch,) not in batches:
        raise InputError(
            f"batch: no input of {given.onnx} has a first dimension of {scenario.batch}: leave batch out, or give "
            "the sizes of the open dimensions in model.sizes"
        )
    return Model(graph.name, (Part(graph),))
