"""Figures of workers with a parameter server: their pace, staleness, waiting, and how busy the server is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.assembly.parameter_server import ServedResult
from simulator.engine.training.parameter_server.run import Served
from simulator.report.training.energy import step_energy
from simulator.report.training.stages import devices_of


def seconds_of_a_step(result: ServedResult) -> float:
    """Seconds in which all workers together do a step's samples, at the pace that the server lets them have."""
    found = result.served
    return len(result.local_steps) * found.seconds / int(found.steps @ np.array(result.local_steps))


def served_energy(result: ServedResult) -> float:
    """Joules of all workers' devices for a step's samples: idle power while they exchange, wait or are slowed.

    Devices of the server are not counted.
    """
    worker, workers = result.worker, len(result.local_steps)
    idle = sum(worker.law.device.idle_power * devices_of(worker, s) for s in range(worker.job.layout.pipeline))
    return workers * (step_energy(worker) + idle * (seconds_of_a_step(result) - worker.step_seconds))


def summarise_served(result: ServedResult, own_step: Mapping[str, float]) -> dict[str, Any]:
    """Plain data. `staleness` counts updates of the model, `steps_ahead` steps; `workers_share` sums to one.

    `over_synchronous` are samples a second over those of the same workers and server where all wait for all. Of
    `breakdown_s`, the parts of a worker's `own_step` and what the server, other workers and slow devices add, the sum
    is `mean_step_s`.
    """
    found, spec, job = result.served, result.spec, result.worker.job
    workers, dealt = len(result.local_steps), np.array(result.local_steps)
    steps, together = int(found.steps @ dealt), result.synchronous
    pace = steps / found.seconds
    all_wait = int(together.steps.sum()) * spec.local_steps / together.seconds
    return {
        "workers": workers,
        "devices_per_worker": job.layout.devices,
        "local_steps": {"least": int(dealt.min()), "most": int(dealt.max())},
        "simulated_s": found.seconds,
        "updates_per_s": found.updates / found.seconds,
        "samples_per_s": pace * job.global_batch,
        "tokens_per_s": pace * job.global_batch * job.sequence,
        "over_synchronous": pace / all_wait,
        "staleness": _spread(found.staleness),
        "steps_ahead": _spread(found.ahead),
        "workers_share": _share(workers, found),
        "synchronous_workers_share": _share(workers, together),
        "server_utilisation": {
            "receiving": found.receiving, "updating": found.updating / found.seconds, "sending": found.sending,
        },
        "gradients": {"pushed": found.pushed, "applied": found.applied, "in_flight": found.in_flight},
        "push_gb": result.push / 1e9,
        "pull_gb": result.pull / 1e9,
        "mean_step_s": seconds_of_a_step(result),
        "breakdown_s": {
            **own_step, "parameter_server": seconds_of_a_step(result) - result.worker.step_seconds,
        },
        "worker_memory_gb": result.worker_memory / 1e9,
        "server_memory_gb": result.server_memory / 1e9,
    }  # fmt: skip


def _share(workers: int, found: Served) -> dict[str, float]:
    whole = workers * found.seconds
    computing, waiting = found.computing / whole, found.waiting / whole
    return {"computing": computing, "exchanging": 1.0 - computing - waiting, "waiting": waiting}


def _spread(values: NDArray[np.int64]) -> dict[str, float] | None:
    if not values.size:
        return None
    return {"mean": float(values.mean()), "p99": float(np.percentile(values, 99)), "max": float(values.max())}


def served_rows(found: dict[str, Any]) -> list[dict[str, str]]:
    """Headlines of workers with a parameter server."""
    share, server, stale = found["workers_share"], found["server_utilisation"], found["staleness"]
    return [
        {"figure": "workers", "value": f"{found['workers']:,}"},
        {"figure": "devices a worker", "value": f"{found['devices_per_worker']:,}"},
        {"figure": "updates", "value": f"{found['updates_per_s']:,.4g} /s"},
        {"figure": "samples", "value": f"{found['samples_per_s']:,.4g} /s"},
        {"figure": "over workers that wait for all", "value": f"{found['over_synchronous']:.3f} x"},
        {
            "figure": "staleness in updates: mean, P99, most",
            "value": "" if stale is None else f"{stale['mean']:,.2f}, {stale['p99']:,.0f}, {stale['max']:,.0f}",
        },
        {
            "figure": "workers compute, exchange, wait",
            "value": f"{share['computing']:.1%}, {share['exchanging']:.1%}, {share['waiting']:.1%}",
        },
        {
            "figure": "server receives, updates, sends",
            "value": f"{server['receiving']:.1%}, {server['updating']:.1%}, {server['sending']:.1%} of the time",
        },
        {"figure": "memory of a worker's device", "value": f"{found['worker_memory_gb']:,.2f} GB"},
    ]
