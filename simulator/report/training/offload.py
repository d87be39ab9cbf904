"""Figures of a step with offloading: bytes over each link, busy shares, what bounds it, and memory by place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from simulator.engine.training.memory import RESERVED
from simulator.engine.training.offloading.copies import Copies
from simulator.engine.training.offloading.running import FRAGMENTS, LINKS, PLACES, OffloadedStep
from simulator.engine.training.step import Step

NAMES = {
    "compute": "the device's arithmetic",
    "cpu": "the host's processors",
    "down": "the link to the device",
    "up": "the link from the device",
    "read": "reading the drives",
    "write": "writing the drives",
    "host": "host memory",
    "fabric": "collectives",
    "thread": "the thread that copies through pageable memory",
}
# A part that is busy for so much of a phase bounds it.
BINDING = 0.9


def offload_figures(found: OffloadedStep) -> dict[str, Any]:
    """Plain data; gigabytes of one device a step."""
    after = found.seconds - found.passes_seconds
    return {
        "plan": plan_of(found),
        "passes_s": found.passes_seconds,
        "after_passes_s": after,
        "moved_gb": {name: value / 1e9 for name, value in found.moved().items()},
        "busy_share": found.busy(),
        "bound": bound_of(found),
        "memory_gb": {
            place: {"peak": found.peak(place) / 1e9, "capacity": found.capacity(place) / 1e9} for place in PLACES
        },
    }


def plan_of(found: OffloadedStep) -> dict[str, Any]:
    """Where tensors are kept, how they get there, and how much of the activations is swapped."""
    plan = found.plan
    return {
        "weights": plan.weights,
        "gradients": plan.gradients,
        "optimizer": plan.states,
        "activations": plan.activations,
        "copies": plan.copies,
        "activation_copies": plan.activation_copies,
        "update": plan.update,
        "swapped_a_layer": len(plan.swapped[0]) if plan.swapped else 0,
        "update_on_device_every": plan.stride,
    }


def bound_of(found: OffloadedStep) -> str:
    """What each phase waits for, in words."""
    ends = {"passes": (0.0, found.passes_seconds), "update": (found.passes_seconds, found.seconds)}
    said = []
    for phase, (start, end) in ends.items():
        if end - start <= 0.01 * found.seconds:
            continue
        shares = found.busy_between(start, end)
        most = max(shares, key=lambda name: shares[name])
        how = "bound by" if shares[most] >= BINDING else "most of all"
        said.append(f"{phase}: {how} {NAMES[most]} ({shares[most]:.0%} busy)")
    return "; ".join(said)


def offload_breakdown(found: OffloadedStep) -> dict[str, float]:
    """Seconds of a step: passes alone, what links and collectives beside them add, waits, and what follows them."""
    micro_batches = found.step.job.micro_batches
    forward = micro_batches * sum(layer.forward for layer in found.layers)
    backward = micro_batches * sum(layer.backward for layer in found.layers)
    return {
        "forward": forward,
        "recompute_and_backward": backward,
        "crowding": found.computing - forward - backward,
        "wait": found.passes_seconds - found.computing,
        "gradients_and_update": found.seconds - found.passes_seconds,
    }


def offload_memory(found: OffloadedStep) -> dict[str, float]:
    """GB on the device."""
    states = found.states["device"]
    passing = found.run.peak("device")
    parts = {name: states.get(name, 0.0) for name in ("weights", "gradients", "optimizer")}
    parts |= {
        "activations_and_buffers": passing,
        "fragments": FRAGMENTS * (sum(states.values()) + passing),
        "reserved": RESERVED,
        "total": found.peak("device"),
    }
    return {name: value / 1e9 for name, value in parts.items()}


def offload_tables(figures: dict[str, Any]) -> list[tuple[str, list[dict[str, str]]]]:
    """Titles and rows: links and their busy shares, places, and what bounds the step."""
    busy, moved = figures["busy_share"], figures["moved_gb"]
    rows = [
        {"part": NAMES[name], "GB a step": f"{moved[name]:,.1f}" if name in LINKS else "", "busy": f"{share:.0%}"}
        for name, share in busy.items()
    ]
    places = [
        {"place": name, "peak": f"{v['peak']:,.1f}", "there is": f"{v['capacity']:,.1f}"}
        for name, v in figures["memory_gb"].items()
    ]
    return [
        ("what a step moves for one device", rows),
        ("memory by place (GB a device)", places),
        ("what bounds the step", [{"phase": p} for p in figures["bound"].split("; ")]),
    ]


def copy_figures(step: Step, copies: Copies) -> list[dict[str, float]]:
    """Of each stage: GB a device sends to the host a step, the link's share, and GB in the host."""
    found = []
    for stage, done in enumerate(copies.done):
        moved = sum(copy.bytes for copy in done)
        found.append(
            {
                "up_gb": moved / 1e9,
                "down_gb": sum(copy.bytes for copy in done if copy.back) / 1e9,
                "link_busy_share": moved / copies.plan.rate / step.step_seconds,
                "host_gb": copies.host_peak(stage) / 1e9,
            }
        )
    return found


def copy_rows(stages: list[dict[str, float]], shown: Callable[[int], list[int]]) -> list[dict[str, str]]:
    """What leaves the stages that are `shown` of so many."""
    return [
        {
            "stage": str(n),
            "GB a step up": f"{stages[n]['up_gb']:,.1f}",
            "GB down": f"{stages[n]['down_gb']:,.1f}",
            "link busy": f"{stages[n]['link_busy_share']:.0%}",
            "GB in the host": f"{stages[n]['host_gb']:,.1f}",
        }
        for n in shown(len(stages))
    ]
