"""Figures of a training step: its time by part, and all others gathered."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.engine.training.step import Step
from simulator.report.training.communication import communication_figures, link_waits, micro_batches_of, tensor_overlap
from simulator.report.training.energy import stage_energy, step_energy
from simulator.report.training.flops import hardware_flops, model_flops
from simulator.report.training.long_run import summarise_run
from simulator.report.training.memory import largest_micro_batch, memory_of
from simulator.report.training.network import network_figures
from simulator.report.training.notes import notes
from simulator.report.training.offload import (
    copy_figures,
    offload_breakdown,
    offload_figures,
)
from simulator.report.training.parameter_server import seconds_of_a_step, served_energy, summarise_served
from simulator.report.training.sequences import (
    attention_seconds,
    computed,
    experts_figures,
)
from simulator.report.training.sites import summarise_sites
from simulator.report.training.stages import (
    border_figures,
    device_names,
    devices_of,
    hourly_price,
    peak_flops,
    stage_figures,
)
from simulator.report.training.stragglers import straggler_figures
from simulator.report.training.zeroth_order import zeroth_order_figures
from simulator.workloads.training.job import Layout
from simulator.workloads.training.layer_graph import LayerGraph

if TYPE_CHECKING:
    from simulator.training import TrainingResult


def summarise(result: TrainingResult) -> dict[str, Any]:
    """Plain data; times in seconds a step.

    With a parameter server energy and cost are those of a step's samples at the workers' pace.
    """
    step, job = result.step, result.step.job
    layout = job.layout
    seconds, tokens = step.step_seconds, job.global_batch * job.sequence
    peak, hourly = peak_flops(step), hourly_price(result)
    experts = experts_figures(step.part(0))
    paid = seconds if result.served is None else seconds_of_a_step(result.served)
    cost = None if hourly is None else hourly * paid / 3600.0
    energy = step_energy(step) if result.served is None else served_energy(result.served)
    memory = memory_of(step)
    extra: dict[str, Any] = {"largest": dict(result.largest)} if result.largest else {}
    if told := notes(step):
        extra["notes"] = told
    if step.offloaded is None:
        busiest = max(range(layout.pipeline), key=step.timeline.busy)
        extra["communication"] = communication_figures(step, busiest)
    else:
        extra["offload"] = offload_figures(step.offloaded)
    if step.copies is not None:
        extra["copies"] = copy_figures(step, step.copies)
    if step.mixed is not None:
        joules = [stage_energy(step, s) * devices_of(step, s) for s in range(layout.pipeline)]
        extra |= {"stages": stage_figures(result, joules), "borders": border_figures(step)}
    run = {} if result.run is None else {"run": summarise_run(result.run, layout.devices, tokens, price_of(result))}
    stragglers = {} if result.straggling is None else {"stragglers": straggler_figures(result.straggling)}
    sites = {} if result.sites is None else {"sites": summarise_sites(result.sites, tokens)}
    served = (
        {}
        if result.served is None
        else {"parameter_server": summarise_served(result.served, breakdown(result.served.worker))}
    )
    forward = step.forward_steps
    forward_only = {} if forward is None else {"zeroth_order": zeroth_order_figures(step, forward)}
    return {
        "model": {"name": job.model.name, "parameters": job.model.parameters()},
        "layout": {"device": device_names(step), "devices": layout.devices, **degrees(layout)},
        "step_s": seconds,
        **({"samples_per_s": tokens / seconds} if isinstance(job.model, LayerGraph) else {}),
        "tokens_per_s": tokens / seconds,
        "tokens_per_s_and_device": tokens / seconds / layout.devices,
        "model_flops": model_flops(step),
        "mfu": model_flops(step) / (seconds * peak),
        "hfu": hardware_flops(step) / (seconds * peak),
        "breakdown_s": breakdown(step),
        "bubble_share": bubble_share(step),
        "attention_share": attention_share(step),
        **({} if step.offloaded is not None else {"largest_micro_batch": largest_micro_batch(step)}),
        **({} if experts is None else {"experts": experts}),
        "memory_gb": memory,
        "peak_memory_gb": max(stage["total"] for stage in memory),
        "network": network_figures(step, result.scenario.network),
        "energy_kwh": energy / 3.6e6,
        "cost_usd": cost,
        "cost_per_million_tokens_usd": None if cost is None else cost / tokens * 1e6,
        "calibration": {"kernels": calibration_names(step), "stack": result.scenario.stack},
        **extra,
        **run,
        **sites,
        **stragglers,
        **served,
        **forward_only,
    }


def degrees(layout: Layout) -> dict[str, Any]:
    """A layout as plain data, without what single pieces and stages have of their own."""
    return {name: value for name, value in asdict(layout).items() if name not in ("placed", "layers", "widths")}


def calibration_names(step: Step) -> str:
    """Whose kernels were measured, for each kind of device."""
    return " + ".join(dict.fromkeys(part.law.calibrations.name for part, _ in step.kinds))


def price_of(result: TrainingResult) -> float | None:
    """USD an hour of one device: the scenario's, else that of the device; None where neither is known."""
    given = result.scenario.price_per_device_hour
    return result.step.law.device.price if given is None else given


def breakdown(step: Step) -> dict[str, float]:
    """Seconds of a step on the stage that computes longest, by part; `wait` is what it waits for other stages."""
    if step.offloaded is not None:
        return offload_breakdown(step.offloaded)
    layout, n = step.job.layout, micro_batches_of(step)
    stage = max(range(layout.pipeline), key=step.timeline.busy)
    own, part = [step.passes[piece] for piece in layout.pieces(stage)], step.part(stage)

    def total(calls_of: Any) -> float:
        return n * part.seconds(c for p in own for c in computed(calls_of(p)) if c.op.kind != "collective")

    waited, _ = link_waits(step, stage)
    busy = {
        "forward": total(lambda p: p.forward),
        "recompute": total(lambda p: p.recompute),
        "backward": total(lambda p: (*p.inputs, *p.weights)),
        **waited,
    }
    tensor = tensor_overlap(step, stage)
    if tensor is not None:
        busy["tensor_parallel"] += tensor.seconds - sum(busy.values())
    if step.exchanging:
        busy |= step.exchanging[stage].within
    reduction, update = step.tails[stage] + step.end.reduce_seconds(stage), step.end.update_seconds(stage)
    return busy | {
        "wait": step.timeline.seconds - sum(busy.values()),
        "gradient_reduction": reduction,
        "optimizer": update,
        "other": step.end.seconds - reduction - update,
    }


def bubble_share(step: Step) -> float:
    """Share of the pipeline's time in which its stages wait, the mean over the stages."""
    if step.offloaded is not None:
        return 0.0
    busy = [step.timeline.busy(s) for s in range(step.job.layout.pipeline)]
    return 1.0 - float(np.mean(busy)) / step.timeline.seconds


def attention_share(step: Step) -> float:
    """Share of the time in which the stages compute that goes to attention proper."""
    layout, attention = step.job.layout, 0.0
    for part, stages in step.kinds:
        own = [step.passes[p] for p in sorted({p for s in stages for p in layout.pieces(s)})]
        calls = [c for p in own for c in (*p.forward, *p.recompute, *p.inputs, *p.weights)]
        attention += attention_seconds(part, calls)
    busy = sum(step.timeline.busy(s) for s in range(layout.pipeline))
    return step.job.micro_batches * attention / busy
