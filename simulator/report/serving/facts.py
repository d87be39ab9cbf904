"""What serves in a run, as its summary states it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulator.report.serving.feed_forward import feed_forward_pool

if TYPE_CHECKING:
    from simulator.assembly.pools import Pool
    from simulator.engine.deployment import Deployment
    from simulator.experiment import Result
    from simulator.workloads.parallelism import Parallelism


def deployment_facts(result: Result) -> dict[str, Any]:
    """What serves: model, devices, layout, formats, memory and calibration."""
    d, scenario = result.deployment, result.scenario
    found: dict[str, Any] = {
        "model": d.model.name,
        "parameters": d.model.parameters(),
        "device": d.device.id,
        "devices": round(sum(pool.devices * pool.share for pool in result.pools)),
        "replicas": scenario.replicas,
        "parallel": _layout(d.parallel),
        "precision": {
            "weights": d.precision.weights.name,
            "activations": d.precision.activations.name,
            "kv_cache": d.precision.kv_cache.name,
            "experts": d.precision.expert_weights.name,
        },
        "policy": scenario.batching.policy,
        "router": scenario.router.policy,
        "memory_per_device_gb": {
            "capacity": d.memory.capacity / 1e9,
            "weights": d.memory.weights / 1e9,
            "activations": d.memory.activations / 1e9,
            "runtime": d.memory.runtime / 1e9,
            "kv_cache": d.memory.blocks / d.parallel.data * d.memory.block_bytes / 1e9,
        },
        "calibration": d.calibrations.name,
        "calibration_source": d.calibrations.source,
        "seed": scenario.seed,
    }
    if d.timer.offload is not None:
        found["memory_per_device_gb"]["kv_cache"] = 0.0
        found["attention_pool"] = _attention_pool(d, scenario.replicas)
    if d.timer.ping_pong is not None:
        found["feed_forward_pool"] = feed_forward_pool(d, scenario.replicas)
    if d.memory.finetuning is not None:
        found["memory_per_device_gb"]["finetuning"] = d.memory.finetuning.total / 1e9
    if scenario.finetuning is not None and scenario.finetuning.dedicated_replicas:
        found["finetuning_replicas"] = scenario.finetuning.dedicated_replicas
    if scenario.prompt_model is not None:
        found["prompt_model"] = scenario.prompt_model.model
    if scenario.apart:
        found["prefill_pool"] = _prefill_pool(result.pools[1])
    return found


def _attention_pool(d: Deployment, replicas: int) -> dict[str, Any]:
    """The devices that keep the KV cache of all replicas, where they are not those of the model."""
    assert d.timer.offload is not None
    pool = d.timer.offload.pool
    return {
        "device": None if pool.device is None else pool.device.id,
        "devices": pool.devices * replicas,
        "link": pool.link.name,
        "kv_cache_per_device_gb": d.memory.kv_bytes / 1e9,
        "usd_per_device_hour": pool.price,
    }


def _layout(parallel: Parallelism) -> dict[str, int]:
    return {name: getattr(parallel, name) for name in ("tensor", "pipeline", "data", "expert")}


def _prefill_pool(pool: Pool) -> dict[str, Any]:
    d = pool.deployment
    return {
        "device": d.device.id,
        "devices": pool.devices,
        "share_of_each": pool.share,
        "replicas": pool.replicas,
        "parallel": _layout(d.parallel),
        "policy": pool.scenario.batching.policy,
        "calibration": d.calibrations.name,
    }
