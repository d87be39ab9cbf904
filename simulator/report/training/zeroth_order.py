"""Figures of training without a backward pass: passes over the weights, bytes exchanged, and catching up."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.engine.training.forward_steps import ForwardSteps
from simulator.engine.training.step import Step


def zeroth_order_figures(step: Step, found: ForwardSteps) -> dict[str, Any]:
    """Plain data, of the slowest stage. `sent_bytes` are those of a worker in a step, headers counted.

    `delay_steps` say how late others' scalars are added. `catching_up` is what a worker that was away gets and
    computes for each step that it missed, in place of copying `state_gb`.
    """
    job, rule = step.job, found.rule
    workers, largest = job.layout.data, max(step.states(s).parameters for s in range(job.layout.pipeline))
    updating = found.updating(largest)
    delays = step.peers.delays(workers) if step.peers is not None else [0] * (workers - 1)
    return {
        "workers": workers,
        "forwards_per_micro_batch": rule.forwards,
        "directions_per_worker": found.directions,
        "bytes_per_gradient": rule.bits / 8.0,
        "sent_bytes": found.sent,
        "perturbing_s": found.perturbing(largest),
        "updating_s": updating,
        "exchanging_s": found.exchange_seconds,
        "delay_steps": {"mean": float(np.mean(delays or [0])), "max": max(delays, default=0)},
        "catching_up": {
            "bytes_per_step": workers * found.payload,
            "seconds_per_step": updating,
            "state_gb": step.parameters() * job.formats.stored.bytes / 1e9,
        },
    }


def zeroth_order_rows(figures: dict[str, Any]) -> list[dict[str, str]]:
    """Headlines of training without a backward pass."""
    away = figures["catching_up"]
    return [
        {"figure": "forward passes of a micro-batch", "value": f"{figures['forwards_per_micro_batch']:,}"},
        {"figure": "sent by a worker", "value": f"{figures['sent_bytes']:,.6g} bytes a step"},
        {"figure": "perturbing weights", "value": f"{figures['perturbing_s'] * 1e3:,.3f} ms"},
        {"figure": "adding all workers' directions", "value": f"{figures['updating_s'] * 1e3:,.3f} ms"},
        {"figure": "exchanging scalars", "value": f"{figures['exchanging_s'] * 1e3:,.3f} ms"},
        {"figure": "scalars come late by at most", "value": f"{figures['delay_steps']['max']:,} steps"},
        {
            "figure": "catching up on a missed step",
            "value": f"{away['bytes_per_step']:,.6g} bytes, {away['seconds_per_step'] * 1e3:,.3f} ms",
        },
    ]
