"""From the stages of a training scenario to a step whose stages are not all alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from simulator.engine.training.layer_costs import layer_costs
from simulator.engine.training.mixed import Mixed
from simulator.engine.training.step import Step
from simulator.errors import DoesNotFit, InputError, refuse_beside
from simulator.hardware.links import link
from simulator.policies.partition import Partition
from simulator.policies.registry import build_policy
from simulator.specs.training import TrainingScenario
from simulator.specs.training_stages import StageSpec, StagesSpec
from simulator.workloads.training.job import Job, Layout

# Lays out a job on a device, in nodes of a kind or of the device's usual one.
LayOut = Callable[[Job[Any], str, str | None], Step]


def check_alone(scenario: TrainingScenario) -> None:
    """Raise `InputError` for what is not modelled beside stages of their own."""
    refuse_beside("stages", {
        "batch.lengths": scenario.batch.lengths is not None, "network": scenario.network is not None,
        "offload": scenario.offload is not None, "run": scenario.run is not None,
        "sites": scenario.sites is not None, "parameter_server": scenario.parameter_server is not None,
        "layout.count_ends": scenario.layout.count_ends, "zeroth_order": scenario.zeroth_order is not None,
    })  # fmt: skip


def mixed_step(scenario: TrainingScenario, spec: StagesSpec, job: Job[Any], lay_out: LayOut) -> Step:
    """The step of a job on its stages' devices, its layers dealt to them.

    Raises `InputError` for stages that contradict the layout, and `DoesNotFit` where the partition finds no room.
    """
    stages = spec.each
    _check(scenario, spec, job, stages)
    widths = tuple(stage.tensor or job.layout.tensor for stage in stages)
    own = replace(job.layout, pipeline=len(stages))
    kinds = [(s.device or scenario.device, _node(scenario, s), w) for s, w in zip(stages, widths, strict=True)]
    made = {k: lay_out(replace(job, layout=replace(own, tensor=k[2])), k[0], k[1]) for k in dict.fromkeys(kinds)}
    first = made[kinds[0]]
    refuse_beside("stages", {
        "a schedule whose micro-batches go both ways": first.job.layout.directions > 1,
        "compression that begins after a warm-up": job.communication.compression.warm_up > 0.0,
    })  # fmt: skip
    counts = [s.layers for s in stages if s.layers is not None] or _dealt(spec, [made[k] for k in kinds])
    layers = _pieces(first.job.layout, counts)
    parts = {k: replace(p, job=replace(p.job, layout=replace(p.job.layout, layers=layers))) for k, p in made.items()}
    whole = replace(first.job, layout=replace(first.job.layout, tensor=max(widths), layers=layers, widths=widths))
    mixed = Mixed(tuple(parts[k] for k in kinds), link(spec.between) if spec.between else None)
    return replace(first, job=whole, mixed=mixed)


def _node(scenario: TrainingScenario, stage: StageSpec) -> str | None:
    """The kind of a stage's nodes: the scenario's is that of its device only."""
    return stage.node or (scenario.node if stage.device in (None, scenario.device) else None)


def _dealt(spec: StagesSpec, parts: Sequence[Step]) -> list[int]:
    """Layers of each stage by the partition policy, which takes those of a stage to be neighbours."""
    refuse_beside("stages.partition", {
        "a schedule that places pieces itself (or give the stages' layers)": bool(parts[0].job.layout.placed)
    })  # fmt: skip
    policy: Partition = build_policy("partition", spec.partition.policy, spec.partition.options)
    costs = layer_costs(parts)
    try:
        counts = [int(n) for n in policy.layers(costs)]
    except ValueError as error:
        raise DoesNotFit(
            f"stages.partition {spec.partition.policy}: {error}: use recompute full, zero 1, or more devices"
        ) from None
    if len(counts) != len(parts) or min(counts) < costs.least or sum(counts) != costs.seconds.shape[1]:
        raise InputError(
            f"stages.partition {spec.partition.policy} deals {counts} layers: each of {len(parts)} stages needs "
            f"{costs.least} or more, {costs.seconds.shape[1]} in all"
        )
    return counts


def _pieces(layout: Layout, counts: Sequence[int]) -> tuple[int, ...]:
    """Layers of each piece of the model, those of a stage being dealt evenly to its chunks."""
    found = [0] * layout.model_chunks
    for stage, count in enumerate(counts):
        base, more = divmod(count, layout.chunks)
        for chunk, piece in enumerate(layout.pieces(stage)):
            found[piece] = base + (chunk < more)
    return tuple(found)


def _check(scenario: TrainingScenario, spec: StagesSpec, job: Job[Any], stages: Sequence[StageSpec]) -> None:
    """Raise `InputError` for stages that contradict each other, the layout, or the model."""
    if "pipeline" in scenario.layout.model_fields_set and scenario.layout.pipeline != len(stages):
        raise InputError(
            f"stages lists {len(stages)} stages and layout.pipeline is {scenario.layout.pipeline}: leave pipeline out"
        )
    named = {stage.device or scenario.device for stage in stages}
    if scenario.device not in named:
        raise InputError(f"device {scenario.device} is on no stage: name one of {', '.join(sorted(named))}")
    if spec.between is not None and len({(s.device or scenario.device, _node(scenario, s)) for s in stages}) == 1:
        raise InputError("stages.between joins nodes of different kinds, and all stages are on one kind: leave it out")
    given = [stage.layers for stage in stages if stage.layers is not None]
    if not given:
        return
    if len(given) < len(stages):
        raise InputError("stages: some give layers and some do not: give them for all, or for none")
    if "partition" in spec.model_fields_set:
        raise InputError("stages.partition deals layers that the stages give themselves: leave one of the two out")
    if sum(given) != len(job.model.layers):
        raise InputError(
            f"stages hold {sum(given)} layers in all and {job.model.name} has {len(job.model.layers)}: change layers"
        )
    if min(given) < job.layout.chunks:
        raise InputError(f"stages: {min(given)} layers are fewer than the {job.layout.chunks} chunks of a stage")
