"""Figures of federated training: updates and their staleness, who took part, bytes, and the clients' energy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from simulator.federated import FederatedResult


def summarise_federation(result: FederatedResult) -> dict[str, Any]:
    """Plain data. `given_up_share` is of all updates that clients made.

    `slow_half_share` is the share of updates that come from the slower half of the clients, half where all take part
    alike. `client_s` is what an update takes with all its local steps, the mean of the clients. Of an upload `energy_j`
    counts the radio while it sends, and the processor while it compresses.
    """
    found, scenario = result.gathered, result.scenario
    hours, uploads = found.seconds / 3600.0, int(found.used.sum())
    made = uploads + found.given_up
    bits = result.upload.bits(scenario.model.parameters)
    given = scenario.clients
    up, compress = float(result.clients.up.mean()), float(result.clients.compress.mean())
    slow = np.argsort(result.clients.step, kind="stable")[given.count // 2 :]
    return {
        "hours": hours,
        "model_updates": found.updates,
        "model_updates_per_hour": found.updates / hours,
        "client_updates": uploads,
        "client_updates_per_hour": uploads / hours,
        "local_steps_per_hour": found.steps / hours,
        "given_up_share": found.given_up / made if made else 0.0,
        "staleness": _staleness(found.staleness),
        "slow_half_share": float(found.used[slow].sum()) / uploads if uploads else None,
        "clients_that_took_part": int((found.used > 0).sum()),
        "upload": {
            "mb": bits / 8e6,
            "compression_rate": 32.0 * scenario.model.parameters / bits,
            "seconds": up,
            "compressing_s": compress,
            "energy_j": given.radio_w * up + given.compute_w * compress,
        },
        "client_s": {
            "getting_the_model": float(result.clients.down.mean()),
            "local_steps": scenario.local_steps * float(result.clients.step.mean()),
            "compressing": compress,
            "sending": up,
        },
        "sent_gb": made * bits / 8e9,
        "energy_kwh": {
            "compute": found.computing * given.compute_w / 3.6e6,
            "radio": (found.sending + found.getting) * given.radio_w / 3.6e6,
        },
    }


def _staleness(values: Any) -> dict[str, float] | None:
    """Updates of the model between a client's start and the update to which it led."""
    if not values.size:
        return None
    p50, p90, p99 = (float(x) for x in np.percentile(values, [50, 90, 99]))
    return {"mean": float(values.mean()), "p50": p50, "p90": p90, "p99": p99, "max": float(values.max())}


def federation_tables(summary: dict[str, Any]) -> list[tuple[str, list[dict[str, str]]]]:
    """Titles and rows: headline figures, and what a client's update takes."""
    stale, upload, energy = summary["staleness"], summary["upload"], summary["energy_kwh"]
    rows = [
        {"figure": "length", "value": f"{summary['hours']:,.1f} h"},
        {"figure": "updates of the model", "value": f"{summary['model_updates']:,}"},
        {"figure": "updates of clients taken in", "value": f"{summary['client_updates']:,}"},
        {"figure": "given up", "value": f"{summary['given_up_share']:.1%}"},
        {"figure": "local steps taken in", "value": f"{summary['local_steps_per_hour']:,.0f} /h"},
        {"figure": "clients that took part", "value": f"{summary['clients_that_took_part']:,}"},
        {"figure": "staleness, mean and P99", "value": "" if not stale else f"{stale['mean']:.2f}, {stale['p99']:.0f}"},
        {"figure": "an upload", "value": f"{upload['mb']:,.4g} MB in {upload['seconds']:,.3g} s"},
        {"figure": "compressed", "value": f"{upload['compression_rate']:,.4g} x"},
        {"figure": "sent by clients", "value": f"{summary['sent_gb']:,.4g} GB"},
        {"figure": "energy of computing", "value": f"{energy['compute']:,.4g} kWh"},
        {"figure": "energy of the radio", "value": f"{energy['radio']:,.4g} kWh"},
    ]
    whole = sum(summary["client_s"].values())
    parts = [
        {"part": name.replace("_", " "), "seconds": f"{s:,.3f}", "share": f"{s / whole:.1%}"}
        for name, s in summary["client_s"].items()
    ]
    return [("federation", rows), ("an update of a client, the mean of all clients", parts)]
