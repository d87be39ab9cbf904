"""Figures of stages on devices of their own, and sums over kinds of stages."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from simulator.engine.training.memory import stage_memory
from simulator.engine.training.step import Step
from simulator.workloads.training.chunks import chunks_of

if TYPE_CHECKING:
    from simulator.training import TrainingResult


def devices_of(step: Step, stage: int) -> int:
    """Devices of a stage, over all replicas."""
    layout = step.job.layout
    return step.part(stage).job.layout.tensor * layout.copies


def peak_flops(step: Step) -> float:
    """Peak FLOP/s of all devices in the format of the job's products."""
    form = step.job.formats.compute.compute
    return sum(part.law.peak(form) * sum(devices_of(step, s) for s in stages) for part, stages in step.kinds)


def hourly_price(result: TrainingResult) -> float | None:
    """USD an hour of all devices; None where the price of one is not known."""
    layout, prices = result.step.job.layout, stage_prices(result)
    known = [price for price in prices if price is not None]
    if len(known) < len(prices):
        return None
    if len(set(known)) == 1:
        return known[0] * layout.devices
    return sum(price * devices_of(result.step, stage) for stage, price in enumerate(known))


def stage_prices(result: TrainingResult) -> list[float | None]:
    """USD an hour of one device of each stage: the stage's own, else the scenario's, else that of the device."""
    scenario, step = result.scenario, result.step
    own = [None] * step.job.layout.pipeline if scenario.stages is None else scenario.stages.each
    given = [None if stage is None else stage.price_per_device_hour for stage in own]
    usual = scenario.price_per_device_hour
    by_device = [step.part(s).law.device.price if usual is None else usual for s in range(len(given))]
    return [other if price is None else price for price, other in zip(given, by_device, strict=True)]


def device_names(step: Step) -> str:
    """The devices in the order of the stages, each kind once."""
    return " + ".join(dict.fromkeys(part.law.device.id for part, _ in step.kinds))


def stage_figures(result: TrainingResult, joules: list[float]) -> list[dict[str, Any]]:
    """What each stage runs on, what it holds, and what it makes of the step; `joules` are those of each stage."""
    step, prices = result.step, stage_prices(result)
    each, layout = step.pass_seconds, step.job.layout
    back = [a + b for a, b in zip(each.backward, each.weights, strict=True)] if step.schedule.splits else each.backward
    return [
        {
            "stage": stage,
            "device": step.part(stage).law.device.id,
            "devices": devices_of(step, stage),
            "tensor": step.part(stage).job.layout.tensor,
            "layers": sum(len(step.job.chunk_layers(p)) for p in layout.pieces(stage)),
            "forward_s": sum(each.forward[p] for p in layout.pieces(stage)),
            "backward_s": sum(back[p] for p in layout.pieces(stage)),
            "busy_share": step.timeline.busy(stage) / step.timeline.seconds,
            "reduction_s": step.tails[stage] + step.end.reduce_seconds(stage),
            "memory_gb": stage_memory(step, stage).total / 1e9,
            "capacity_gb": step.part(stage).law.device.memory_capacity / 1e9,
            "energy_kwh": joules[stage] / 3.6e6,
            "cost_usd": None if price is None else price * devices_of(step, stage) * step.step_seconds / 3600.0,
        }
        for stage, price in enumerate(prices)
    ]


def border_figures(step: Step) -> list[dict[str, Any]]:
    """What passes from piece to piece where stages differ: GB of a micro-batch, and seconds there and back."""
    assert step.mixed is not None
    stage_of, sends = step.mixed.stage_of, step.pass_seconds.sends
    return [
        {
            "from_stage": here,
            "to_stage": there,
            "sent_gb": chunks_of(step.job).sent(piece) / 1e9,
            "forward_s": sends[piece][0],
            "backward_s": sends[piece][1],
        }
        for piece, (here, there) in enumerate(pairwise(stage_of))
        if step.part(here) is not step.part(there)
    ]


def devices_by_kind(stages: list[dict[str, Any]]) -> str:
    """How many devices of each kind the stages have, such as "16 x a + 8 x b"."""
    counts: Counter[str] = Counter()
    for each in stages:
        counts[each["device"]] += each["devices"]
    return " + ".join(f"{count:,} x {device}" for device, count in counts.items())


def stage_rows(stages: list[dict[str, Any]]) -> list[dict[str, str]]:
    """A row a stage, or one for stages in a row that are alike."""
    found: list[dict[str, str]] = []
    for each in stages:
        row = {
            "stage": str(each["stage"]),
            "device": f"{each['devices']:,} x {each['device']}",
            "tensor": str(each["tensor"]),
            "layers": str(each["layers"]),
            "forward (ms)": f"{each['forward_s'] * 1e3:,.2f}",
            "backward (ms)": f"{each['backward_s'] * 1e3:,.2f}",
            "busy": f"{each['busy_share']:.1%}",
            "memory (GB)": f"{each['memory_gb']:,.1f} of {each['capacity_gb']:,.1f}",
        }
        if found and _alike(found[-1], row):
            first = found[-1]["stage"].partition("-")[0]
            found[-1]["stage"] = f"{first}-{each['stage']}"
        else:
            found.append(row)
    return found


def _alike(one: dict[str, str], other: dict[str, str]) -> bool:
    return {k: v for k, v in one.items() if k != "stage"} == {k: v for k, v in other.items() if k != "stage"}
