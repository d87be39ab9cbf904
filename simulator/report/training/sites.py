"""Figures of training at several sites: computing against waiting, and what goes over the links."""

from __future__ import annotations

from math import isfinite
from typing import Any

from simulator.assembly.training_sites import SitesResult


def summarise_sites(result: SitesResult, tokens: int) -> dict[str, Any]:
    """Plain data; `tokens` are those of one local step at one site.

    `sent_gb_a_step` and `sustained_gbit_per_s` are of each site, `required_gbit_per_s` is what its link needs for the
    target share of computing, None where no bandwidth will do.
    """
    found, n = result.period, result.local_steps
    steps = result.sites.count * n
    return {
        "sites": result.sites.count,
        "local_steps": n,
        "step_s": result.sites.step,
        "period_s": found.seconds,
        "waiting_s": found.waiting,
        "exchanging_s": found.linked,
        "utilisation": found.utilisation,
        "tokens_per_s": steps * tokens / found.seconds,
        "sent_gb_a_step": found.sent / n / 1e9,
        "sustained_gbit_per_s": found.sent * 8 / found.seconds / 1e9,
        "required_gbit_per_s": result.required * 8 / 1e9 if isfinite(result.required) else None,
        "presence": _rounds(result, tokens),
    }


def _rounds(result: SitesResult, tokens: int) -> dict[str, Any] | None:
    rounds = result.rounds
    if rounds is None:
        return None
    return {
        "days": rounds.seconds / 86400.0,
        "rounds": rounds.rounds,
        "mean_sites": rounds.active,
        "left": rounds.left,
        "joined": rounds.joined,
        "waiting_h": rounds.waiting / 3600.0,
        "utilisation": rounds.computed / (rounds.seconds * rounds.active) if rounds.active else 0.0,
        "tokens_per_s": rounds.computed / result.sites.step * tokens / rounds.seconds,
    }


def sites_rows(found: dict[str, Any]) -> list[dict[str, str]]:
    """Headlines of the sites."""
    required = found["required_gbit_per_s"]
    rows = [
        {"figure": "sites", "value": f"{found['sites']:,}"},
        {"figure": "local steps a period", "value": f"{found['local_steps']:,}"},
        {"figure": "period", "value": f"{found['period_s']:,.2f} s"},
        {"figure": "share of time computing", "value": f"{found['utilisation']:.1%}"},
        {"figure": "tokens", "value": f"{found['tokens_per_s']:,.0f} /s"},
        {"figure": "sent by a site", "value": f"{found['sent_gb_a_step']:,.4g} GB a step"},
        {
            "figure": "bandwidth needed",
            "value": "none is enough" if required is None else f"{required:,.4g} Gbit/s",
        },
    ]
    if found["presence"] is not None:
        rounds = found["presence"]
        rows.append({"figure": "sites taking part in a round", "value": f"{rounds['mean_sites']:,.1f}"})
        rows.append({"figure": "sites that left", "value": f"{rounds['left']:,}"})
        rows.append({"figure": "share of time computing, with absences", "value": f"{rounds['utilisation']:.1%}"})
    return rows
