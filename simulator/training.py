"""Run a training scenario: one validated object in, one result out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from simulator.assembly.communication import communication_of
from simulator.assembly.layer_graph import layer_graph_of
from simulator.assembly.parameter_server import ServedResult, served_of
from simulator.assembly.stragglers import straggling_of
from simulator.assembly.training_formats import formats_of, optimizer_of
from simulator.assembly.training_offload import leaving_of, offloaded_step
from simulator.assembly.training_run import RunResult, run_of
from simulator.assembly.training_sites import SitesResult, sites_of
from simulator.assembly.training_stages import check_alone, mixed_step
from simulator.assembly.zeroth_order import peers_of, zeroth_order_of
from simulator.engine.streams import stream
from simulator.engine.training.laying_out import step_of
from simulator.engine.training.memory import check_memory
from simulator.engine.training.step import Step
from simulator.engine.training.straggling import Straggling
from simulator.engine.training.varied import VariedStep
from simulator.errors import InputError, refuse_beside
from simulator.inference import anchor_inference
from simulator.policies.context import ContextParallel
from simulator.policies.packing import Packing
from simulator.policies.pipeline import Schedule
from simulator.policies.registry import build_policy
from simulator.policies.tensor_overlap import SERIAL
from simulator.specs.settings import lay_over
from simulator.specs.training import BatchSpec, GptSpec, RoutingSpec, ScheduleSpec, TrainingScenario
from simulator.specs.validating import validated
from simulator.training_limits import largest, with_size
from simulator.workloads.generators.building import length_law
from simulator.workloads.models import model
from simulator.workloads.training.gpt import gpt
from simulator.workloads.training.job import Job, Layout
from simulator.workloads.training.layer_graph import LayerGraph
from simulator.workloads.training.optimizers import STATELESS
from simulator.workloads.training.routing import Routing
from simulator.workloads.transformer import Experts, FeedForward, Transformer
from simulator.yaml_io import loads_yaml, read_text


@dataclass(frozen=True)
class TrainingResult:
    """What a step of a training scenario takes, and what came of stragglers, its long run or its sites, if any."""

    scenario: TrainingScenario
    step: Step
    varied: VariedStep | None = None
    run: RunResult | None = None
    largest: Mapping[str, int] = field(default_factory=dict)
    sites: SitesResult | None = None
    straggling: Straggling | None = None
    served: ServedResult | None = None

    @cached_property
    def summary(self) -> dict[str, Any]:
        """Headline figures as nested plain data; names carry their units."""
        from simulator.report.training.summary import summarise
        from simulator.report.training.varied import summarise_varied

        return summarise(self) if self.varied is None else summarise_varied(self, self.varied)


def train(scenario: TrainingScenario) -> TrainingResult:
    """Lay out and time one step, of the largest size where the scenario asks for it.

    Raises `InputError` for what cannot be laid out and `DoesNotFit` for what there is no memory for.
    """
    if scenario.largest is None:
        return _train(scenario)
    refuse_beside("largest", {"run": scenario.run is not None})
    size = largest(scenario, scenario.largest, _check_room)
    return replace(_train(with_size(scenario, scenario.largest, size)), largest={scenario.largest: size})


def _check_room(scenario: TrainingScenario) -> None:
    """Raise `DoesNotFit` without timing the step, unless what it holds depends on when it holds it."""
    timed = (scenario.offload, scenario.parameter_server, scenario.batch.lengths)
    if any(part is not None for part in timed):
        _train(scenario)
    else:
        check_memory(lay_out(scenario))


def _train(scenario: TrainingScenario) -> TrainingResult:
    step = lay_out(scenario)
    if scenario.batch.lengths is not None:
        communication = step.job.communication
        refuse_beside("sequences of different lengths", {
            "run": scenario.run is not None,
            "largest": scenario.largest is not None, "communication.local": communication.local is not None,
            "communication.overlap_weights": communication.weight_bucket is not None,
            "communication.tensor": communication.tensor != SERIAL and step.job.layout.tensor > 1,
            "backward_chunk": scenario.backward_chunk is not None,
            "sites": scenario.sites is not None, "stragglers": scenario.stragglers is not None,
            "parameter_server": scenario.parameter_server is not None,
        })  # fmt: skip
        packing: Packing = build_policy("packing", scenario.packing.policy, scenario.packing.options)
        leaving = None if scenario.offload is None else leaving_of(step, scenario.offload, scenario.node)
        varied = VariedStep(step, lengths_of(scenario.batch), packing, _context(scenario), leaving)
        return TrainingResult(scenario, step, varied)
    if scenario.offload is not None:
        step = offloaded_step(step, scenario.offload, scenario.node)
    if scenario.parameter_server is not None:
        refuse_beside("parameter_server", {
            "a run with failures": scenario.run is not None, "sites": scenario.sites is not None,
        })  # fmt: skip
        served = served_of(scenario.parameter_server, scenario.stragglers, step)
        straggling = None if scenario.stragglers is None else straggling_of(scenario.stragglers, step)
        return TrainingResult(scenario, step, straggling=straggling, served=served)
    check_memory(step)
    if scenario.sites is not None:
        refuse_beside("sites", {
            "a run with failures": scenario.run is not None, "stragglers": scenario.stragglers is not None,
        })  # fmt: skip
        return TrainingResult(scenario, step, sites=sites_of(scenario.sites, step))
    straggling = None if scenario.stragglers is None else straggling_of(scenario.stragglers, step)
    slower = 1.0 if straggling is None else straggling.slower
    run = None if scenario.run is None else run_of(scenario.run, step, slower)
    return TrainingResult(scenario, step, run=run, straggling=straggling)


def lay_out(scenario: TrainingScenario) -> Step:
    """A step of the scenario's job on its devices, before lengths differ or anything leaves the devices.

    Raises `InputError` for what cannot be laid out; memory is not looked at.
    """
    _check_unused(scenario)
    job = job_of(scenario)
    if isinstance(job.model, LayerGraph):
        refuse_beside(f"{job.model.name}, which is no transformer,", {
            "offload": scenario.offload is not None, "batch.lengths": scenario.batch.lengths is not None,
        })  # fmt: skip

    def made(given: Job[Any], device: str, node: str | None) -> Step:
        schedule, context = _schedule(scenario.schedule), _context(scenario)
        return step_of(given, device, node=node, stack=scenario.stack, schedule=schedule, context=context)

    if scenario.stages is not None:
        check_alone(scenario)
        return mixed_step(scenario, scenario.stages, job, made)
    step = replace(made(job, scenario.device, scenario.node), peers=peers_of(scenario.zeroth_order))
    if scenario.network is None:
        return step
    from simulator.assembly.network import network_of

    return replace(step, network=network_of(scenario.network, step), _timed={})


def _check_unused(scenario: TrainingScenario) -> None:
    """Raise `InputError` for fields that would change nothing, or mean something else."""
    given = scenario.model_fields_set
    if scenario.zeroth_order is not None:
        refuse_beside("zeroth_order, which moves weights in place,", {
            "optimizer": "optimizer" in given, "schedule.policy": scenario.schedule.policy is not None,
            "offload": scenario.offload is not None, "batch.lengths": scenario.batch.lengths is not None,
            "sites (give zeroth_order.link)": scenario.sites is not None,
            "parameter_server": scenario.parameter_server is not None,
        })  # fmt: skip
    if scenario.schedule.policy is None and scenario.schedule.options:
        raise InputError("schedule.options: they are of a policy: give schedule.policy, or leave them out")
    if "packing" in given and scenario.batch.lengths is None:
        raise InputError("packing: all sequences are of one length: give batch.lengths, or leave packing out")
    if scenario.keep_attention and scenario.recompute != "full":
        raise InputError(f"keep_attention with recompute {scenario.recompute}: set recompute to full, or leave it out")


def lengths_of(batch: BatchSpec) -> tuple[int, ...]:
    """Lengths of the sequences of one step, drawn by the batch's own seed."""
    drawn = length_law("batch.lengths", batch.lengths).quantiles(
        stream(batch.seed, "training-lengths").standard_normal(batch.global_size)
    )
    return tuple(np.minimum(drawn, batch.sequence).tolist())


def job_of(scenario: TrainingScenario) -> Job[Any]:
    """The job that a scenario describes."""
    packed = scenario.batch.lengths is not None
    if packed:
        refuse_beside("sequences of different lengths", {
            "micro above 1": scenario.batch.micro > 1, "attention that is not fused": not scenario.fused_attention,
        })  # fmt: skip
    return Job(
        layer_graph_of(scenario) or model_of(scenario),
        scenario.batch.sequence,
        scenario.batch.micro,
        scenario.layout.data if packed else scenario.batch.global_size,
        Layout(**scenario.layout.model_dump()),
        formats_of(scenario.formats),
        STATELESS if scenario.zeroth_order is not None else optimizer_of(scenario.optimizer, scenario.formats),
        scenario.recompute,
        scenario.fused_attention,
        scenario.dropout,
        scenario.overlap_sends,
        keep_attention=scenario.keep_attention,
        routing=_routing(scenario.routing),
        communication=communication_of(scenario.communication),
        backward_chunk=scenario.backward_chunk,
        zeroth_order=zeroth_order_of(scenario.zeroth_order),
    )


def load_training(path: str | Path, overrides: Sequence[str] | Mapping[str, Any] = ()) -> TrainingScenario:
    """Read a YAML training scenario, with settings laid over it as for `load_scenario`."""
    text = read_text(path)
    values = loads_yaml(text, file=path)
    if isinstance(values, dict):
        anchor_training(values, Path(path).parent)
        lay_over(values, overrides, TrainingScenario)
    return validated(TrainingScenario, values, "a training scenario", file=path, text=text)


def anchor_training(values: dict[str, Any], folder: Path) -> None:
    """Make the paths of a failure trace and of an ONNX file in plain values relative to `folder`, in place."""
    anchor_inference(values, folder)
    run = values.get("run")
    if isinstance(run, dict) and isinstance(run.get("trace"), str):
        run["trace"] = str(folder / run["trace"])


def model_of(scenario: TrainingScenario) -> Transformer:
    """The model that a scenario trains."""
    given, sequence = scenario.model, scenario.batch.sequence
    if isinstance(given, str):
        return model(given)
    if not isinstance(given, GptSpec):
        raise InputError("model: this takes transformers only: give the name of one, or the sizes of a GPT")
    found = gpt(sequence=sequence, **given.model_dump(exclude={"experts"}))
    if given.experts is None:
        return found
    layer = found.layers[0]
    assert isinstance(layer.ffn, FeedForward)
    routed = replace(layer, ffn=Experts(given.experts.count, given.experts.top_k, layer.ffn))
    return replace(found, layers=(routed,) * len(found.layers))


def _context(scenario: TrainingScenario) -> ContextParallel:
    built: ContextParallel = build_policy("context", scenario.context.policy, scenario.context.options)
    return built


def _routing(spec: RoutingSpec) -> Routing:
    return Routing(spec.skew, spec.capacity, spec.dispatch, None if spec.parts == "adaptive" else spec.parts)


def _schedule(spec: ScheduleSpec) -> Schedule | None:
    if spec.policy is None:
        return None
    built: Schedule = build_policy("schedule", spec.policy, spec.options)
    return built
