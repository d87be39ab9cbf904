"""Figures of requests that are planned calls to several pools. Names carry units."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.report.serving.facts import deployment_facts
from simulator.report.serving.fleet import mean_replicas
from simulator.report.serving.requests import latency_figures, request_figures
from simulator.report.serving.resources import device_cost, pool_usage
from simulator.report.serving.usage import pool_rows

if TYPE_CHECKING:
    from simulator.cascade.result import Calls
    from simulator.cascade.spec import Cascade, PoolSpec
    from simulator.experiment import Result


def summarise_calls(result: Result, calls: Calls) -> dict[str, Any]:
    """The summary of a cascade: whole requests first, then calls, pools, energy and cost."""
    summary = request_figures(result)
    seconds, finished = max(summary["makespan_s"], 1e-12), summary["requests"]["finished"]
    pools = {name: _pool(result, calls, name, seconds, finished) for name in calls.pools}
    output = float(result.request_columns["output_tokens"].sum())
    summary["calls"] = _calls(calls, finished)
    summary["pools"] = pools
    if calls.loads:
        summary["groups"] = {
            name: {"loads": count, "loading_s": spent, "loading_share_of_time": spent / seconds}
            for name, (count, spent) in calls.loads.items()
        }
    if len(result.iteration_columns["start_s"]):
        energy = sum(pool["energy_j"] for pool in pools.values())
        summary["energy"] = {"total_j": energy, "j_per_output_token": energy / max(output, 1.0)}
    summary["cost"] = _cost(pools, finished, output)
    summary["deployment"] = _deployment(calls)
    return summary


def _calls(calls: Calls, finished: int) -> dict[str, Any]:
    """How many calls and tokens, in all and by role."""
    c = calls.columns
    prompt, output = float(c["prompt_tokens"].sum()), float(c["output_tokens"].sum())
    roles = np.bincount(c["role"].astype(np.int64), minlength=len(calls.roles)).tolist()
    return {
        "total": len(c["index"]),
        "per_request": len(c["index"]) / finished,
        "prompt_tokens": int(prompt),
        "output_tokens": int(output),
        "tokens_per_request": (prompt + output) / finished,
        "by_role": dict(zip(calls.roles, roles, strict=True)),
    }


def _pool(result: Result, calls: Calls, name: str, seconds: float, finished: int) -> dict[str, Any]:
    """What one pool did in the whole run's `seconds`, and what it costs."""
    place, run, spec = list(calls.pools).index(name), calls.pools[name], calls.cascade.pools[name]
    c = calls.columns
    mine = c["pool"] == place
    count = int(mine.sum())
    prompt, output = (int(c[column][mine].sum()) for column in ("prompt_tokens", "output_tokens"))
    answered = int((result.request_columns["answered_by"] == place).sum())
    found: dict[str, Any] = {
        "calls": count,
        "shed_calls": len(run.shed),
        "answered_requests": answered,
        "answered_share": answered / finished,
        "prompt_tokens": prompt,
        "output_tokens": output,
        "prompt_tokens_per_request": prompt / finished,
        "output_tokens_per_request": output / finished,
        "sent_mb": calls.sent_bytes[name] / 1e6,
        "latency_ms": latency_figures(run) if count else {},
        "preemptions": int(c["preemptions"][mine].sum()),
    }
    present = run if count else replace(run, fleet=None)
    if len(result.iteration_columns["start_s"]):
        found |= _use(present, seconds, _share(calls.cascade, spec), spec)
    devices = device_cost(present, seconds)[0]
    found["device_cost_usd"] = None if devices is None else devices * _share(calls.cascade, spec)
    found["token_cost_usd"] = tokens = _token_cost(spec, prompt, output)
    found["cost_usd"] = found["device_cost_usd"] if tokens is None else tokens
    found["cost_usd_per_request"] = None if found["cost_usd"] is None else found["cost_usd"] / finished
    return found


def _use(run: Result, seconds: float, share: float, spec: PoolSpec) -> dict[str, float]:
    """Busy share, KV cache and energy; idle power of devices that are shared in turn is split among the pools."""
    used = [pool_usage(pool, rows, mean_replicas(run, pool), seconds) for pool, rows in pool_rows(run)]
    total = {name: sum(pool[name] for pool in used) for name in used[0]}
    device = run.deployment.device
    elsewhere = (1.0 - share) * device.idle_power * sum(pool.devices for pool in run.pools) * seconds
    return {
        "busy": total["busy"] / total["lane_seconds"],
        "mfu": total["flops"] / total["flops_there"],
        "kv_cache_mean_utilisation": total["block_seconds"] / total["block_seconds_there"],
        "energy_j": total["energy"] - elsewhere,
    }


def _share(cascade: Cascade, spec: PoolSpec) -> float:
    """The part of its devices that a pool pays for: those of a group share them equally."""
    return 1.0 if spec.group is None else 1.0 / len(cascade.members(spec.group))


def _token_cost(spec: PoolSpec, prompt: int, output: int) -> float | None:
    into, out = spec.price_per_million_input_tokens, spec.price_per_million_output_tokens
    return None if into is None or out is None else (prompt * into + output * out) / 1e6


def _cost(pools: dict[str, dict[str, Any]], finished: int, output: float) -> dict[str, Any]:
    """What all pools cost, by the token or by the device-hour; None where a price is missing."""
    costs = [pool["cost_usd"] for pool in pools.values()]
    total = None if None in costs else sum(costs)
    return {
        "total_usd": total,
        "usd_per_request": None if total is None else total / finished,
        "usd_per_million_output_tokens": None if total is None else total / output * 1e6,
        "token_priced_usd": sum(pool["token_cost_usd"] or 0.0 for pool in pools.values()),
    }


def _deployment(calls: Calls) -> dict[str, Any]:
    facts = {name: deployment_facts(run) for name, run in calls.pools.items()}
    cascade = calls.cascade
    shares = {name: _share(cascade, spec) for name, spec in cascade.pools.items()}
    return {
        "plan": cascade.plan.policy,
        "devices": round(sum(pool["devices"] * shares[name] for name, pool in facts.items())),
        "pools": facts,
        "calibration": ", ".join(dict.fromkeys(pool["calibration"] for pool in facts.values())),
        "calibration_source": " ".join(dict.fromkeys(pool["calibration_source"] for pool in facts.values())),
        "seed": cascade.seed,
    }
